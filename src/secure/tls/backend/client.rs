//! A client's configuration in rustls' terms.

use super::super::client::ClientTlsBuilder;
use super::super::sessions::Sessions;
use super::sessions::{Origin, Store};
use super::verify::Verifier;
use super::{client_provider, pem, restore, versions, wall};
use crate::error::Error;
use rustls::client::danger::ServerCertVerifier;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::fmt;
use std::sync::Arc;

/// One whole configuration.
pub(crate) struct ClientSide {
    config: Arc<ClientConfig>,
    sessions: Option<Arc<Store>>,
    /// The digest of the certificates it shows.
    identity: [u8; 32],
}

impl ClientSide {
    /// Reads all that `builder` names, checks it, and makes a configuration of it.
    pub(crate) fn build(builder: &ClientTlsBuilder) -> Result<ClientSide, Error> {
        let provider = client_provider();
        let verifier = verifier(builder, &provider)?;
        let mut shown = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
        let config = ClientConfig::builder_with_details(provider.clone(), wall::clock())
            .with_protocol_versions(versions(builder.tls12))
            .map_err(|error| Error::Config(format!("no usable TLS version: {error}")))?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match &builder.identity {
            None => config.with_no_client_auth(),
            Some((chain, key)) => {
                let certified = pem::certified_key(chain, key, &provider)?;
                certified.cert.iter().for_each(|certificate| shown.update(certificate));
                let resolver = rustls::sign::SingleCertAndKey::from(certified);
                config.with_client_cert_resolver(Arc::new(resolver))
            }
        };
        config.alpn_protocols.clone_from(&builder.alpn);
        config.enable_secret_extraction = true;
        let sessions = builder.sessions.as_ref().map(Sessions::store);
        config.resumption = match &sessions {
            Some(store) => Resumption::store(store.clone()),
            None => Resumption::disabled(),
        };
        let mut identity = [0; 32];
        identity.copy_from_slice(shown.finish().as_ref());
        Ok(ClientSide { config: Arc::new(config), sessions, identity })
    }

    /// A configuration that was made elsewhere.
    pub(super) fn foreign(config: &ClientConfig) -> ClientSide {
        let mut config = config.clone();
        config.enable_secret_extraction = true;
        #[cfg(feature = "sim")]
        {
            config.time_provider = wall::unless_virtual(config.time_provider);
        }
        ClientSide { config: Arc::new(config), sessions: None, identity: [0; 32] }
    }

    /// The configuration for a connection to `name`. What was saved of sessions with that server is made ready.
    pub(super) fn config_for(&self, name: &ServerName<'static>) -> Arc<ClientConfig> {
        if let Some(sessions) = &self.sessions {
            let saved = sessions.take_loaded(name, &self.identity);
            restore::restore(&self.config, name, saved);
        }
        self.config.clone()
    }

    /// What is needed to carry the sessions of a connection to another process; `None` if none are kept.
    pub(super) fn origin(
        &self,
        name: &ServerName<'static>,
        chain: Option<&[CertificateDer<'static>]>,
    ) -> Option<Origin> {
        let chain = self.sessions.as_ref()?.shared_chain(name, chain?);
        Some(Origin { chain, identity: self.identity })
    }
}

/// The store as rustls takes it.
pub(crate) fn session_store(servers_max: usize) -> Arc<Store> {
    Arc::new(Store::new(servers_max))
}

fn verifier(
    builder: &ClientTlsBuilder,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, Error> {
    let mut chain: Option<Arc<dyn ServerCertVerifier>> = None;
    if !builder.pins_alone {
        let mut roots = pem::roots(&builder.roots)?;
        if builder.platform_roots {
            add_platform_roots(&mut roots)?;
        }
        chain = Some(chain_verifier(builder, roots, provider)?);
    }
    Ok(Arc::new(Verifier {
        chain,
        pins: builder.pins.clone(),
        algorithms: provider.signature_verification_algorithms,
    }))
}

fn chain_verifier(
    builder: &ClientTlsBuilder,
    roots: RootCertStore,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>, Error> {
    let mut verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    for source in &builder.crls {
        verifier = verifier.with_crls(pem::revocation_lists(source)?);
    }
    if !builder.crls.is_empty() {
        verifier = verifier.only_check_end_entity_revocation().enforce_revocation_expiration();
    }
    verifier.build().map_err(|error| {
        Error::Config(format!("servers' certificates cannot be checked with these: {error}"))
    })
}

fn add_platform_roots(roots: &mut RootCertStore) -> Result<(), Error> {
    let found = rustls_native_certs::load_native_certs();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added > 0 {
        return Ok(());
    }
    let why = found.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
    Err(Error::Config(format!(
        "this machine has no trusted roots{why}: install the package ca-certificates, set SSL_CERT_FILE, or give \
         roots_file"
    )))
}

impl fmt::Debug for ClientSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientSide")
    }
}
