//! A server's configuration in rustls' terms.

use super::super::server::{ClientCertificates, ServerTlsBuilder};
use super::resolver::{ByName, Noting};
use super::{pem, provider, ticketer, versions, wall};
use crate::error::Error;
use crate::limits::TLS_EARLY_SESSIONS_MAX;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    NoServerSessionStorage, ProducesTickets, ServerSessionMemoryCache, WebPkiClientVerifier,
};
use std::fmt;
use std::sync::{Arc, OnceLock};

pub(super) use super::resolver::take_server_name;

/// What outlives a reload, so that sessions do too.
pub(crate) struct Lasting {
    ticketer: Arc<dyn ProducesTickets>,
    /// Made when early data is first allowed: it takes room from the start.
    early: OnceLock<Arc<ServerSessionMemoryCache>>,
}

impl Lasting {
    pub(crate) fn new(ticket_lifetime_s: u32) -> Result<Lasting, Error> {
        Ok(Lasting { ticketer: ticketer::rotating(ticket_lifetime_s)?, early: OnceLock::new() })
    }

    fn early(&self) -> Arc<ServerSessionMemoryCache> {
        self.early.get_or_init(|| ServerSessionMemoryCache::new(TLS_EARLY_SESSIONS_MAX)).clone()
    }
}

/// One whole configuration. A handshake keeps the one it began with.
pub(crate) struct ServerSide {
    config: Arc<ServerConfig>,
    clients: Clients,
}

/// Whether clients show certificates.
enum Clients {
    /// They are not asked to.
    Anonymous,
    /// They are asked, and what they show is checked by this.
    Certified { verifier: Arc<dyn ClientCertVerifier> },
    /// The configuration was made elsewhere and its checks with it.
    Foreign,
}

impl ServerSide {
    /// Reads all that `builder` names, checks it, and makes a configuration of it.
    pub(crate) fn build(builder: &ServerTlsBuilder, lasting: &Lasting) -> Result<ServerSide, Error> {
        let provider = provider();
        let clients = match &builder.clients {
            None => Clients::Anonymous,
            Some(clients) => Clients::Certified { verifier: client_verifier(clients)? },
        };
        let config = ServerConfig::builder_with_details(provider.clone(), wall::clock())
            .with_protocol_versions(versions(builder.tls12))
            .map_err(|error| Error::Config(format!("no usable TLS version: {error}")))?;
        let config = match &clients {
            Clients::Certified { verifier } => config.with_client_cert_verifier(verifier.clone()),
            _ => config.with_no_client_auth(),
        };
        let mut resolver = ByName::default();
        for identity in &builder.identities {
            let certified = pem::certified_key(&identity.chain, &identity.key, &provider)?;
            resolver.add(identity.names.as_deref(), certified)?;
        }
        let mut config = config.with_cert_resolver(Arc::new(Noting(Arc::new(resolver))));
        config.alpn_protocols.clone_from(&builder.alpn);
        config.enable_secret_extraction = true;
        let resumes = builder.clients.as_ref().is_none_or(|clients| clients.resume);
        set_resumption(&mut config, lasting, resumes, builder.early_bytes_max);
        Ok(ServerSide { config: Arc::new(config), clients })
    }

    /// A configuration that was made elsewhere.
    pub(super) fn foreign(config: &ServerConfig) -> ServerSide {
        let mut config = config.clone();
        config.cert_resolver = Arc::new(Noting(config.cert_resolver));
        config.enable_secret_extraction = true;
        #[cfg(feature = "sim")]
        {
            config.time_provider = wall::unless_virtual(config.time_provider);
        }
        ServerSide { config: Arc::new(config), clients: Clients::Foreign }
    }

    pub(super) fn config(&self) -> Arc<ServerConfig> {
        self.config.clone()
    }

    pub(crate) fn early_bytes_max(&self) -> usize {
        self.config.max_early_data_size as usize
    }

    /// Whether certificates of clients mean anything here.
    pub(super) fn asks_for_certificates(&self) -> bool {
        !matches!(self.clients, Clients::Anonymous)
    }

    /// Whether a resumed session with these certificates would be let in anew.
    pub(super) fn check_resumed(
        &self,
        certificates: Option<&[CertificateDer<'static>]>,
    ) -> Result<(), rustls::Error> {
        let Clients::Certified { verifier } = &self.clients else { return Ok(()) };
        match certificates.and_then(<[_]>::split_first) {
            Some((own, chain)) => verifier.verify_client_cert(own, chain, wall::now()).map(drop),
            None if verifier.client_auth_mandatory() => Err(rustls::Error::NoCertificatesPresented),
            None => Ok(()),
        }
    }
}

/// Without early data tickets hold the whole session and nothing is stored. With it a ticket is a key into a store
/// that gives each session out once, so that early data replayed with the same ticket finds none (RFC 8446, section
/// 8.1).
fn set_resumption(config: &mut ServerConfig, lasting: &Lasting, resumes: bool, early_bytes_max: Option<u32>) {
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = usize::from(resumes);
    match early_bytes_max {
        _ if !resumes => {}
        None => config.ticketer = lasting.ticketer.clone(),
        Some(bytes_max) => {
            config.session_storage = lasting.early();
            config.max_early_data_size = bytes_max;
        }
    }
}

fn client_verifier(clients: &ClientCertificates) -> Result<Arc<dyn ClientCertVerifier>, Error> {
    let roots = Arc::new(pem::roots(&clients.roots)?);
    let mut builder = WebPkiClientVerifier::builder_with_provider(roots, provider());
    for source in &clients.crls {
        builder = builder.with_crls(pem::revocation_lists(source)?);
    }
    if !clients.crls.is_empty() {
        builder = builder.only_check_end_entity_revocation().enforce_revocation_expiration();
    }
    if !clients.required {
        builder = builder.allow_unauthenticated();
    }
    builder.build().map_err(|error| {
        Error::Config(format!("clients' certificates cannot be checked with these: {error}"))
    })
}

impl fmt::Debug for ServerSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.clients {
            Clients::Anonymous => "no client certificates",
            Clients::Certified { .. } => "client certificates",
            Clients::Foreign => "made elsewhere",
        };
        write!(f, "ServerSide({kind})")
    }
}

impl fmt::Debug for Lasting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lasting")
    }
}
