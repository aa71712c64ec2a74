//! A client's configuration in rustls' terms.

use super::super::client::{ClientTlsBuilder, Trust};
use super::sessions::Store;
use super::verify::Pinned;
use super::{pem, provider, versions};
use crate::error::Error;
use rustls::client::danger::ServerCertVerifier;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::{ClientConfig, RootCertStore};
use std::fmt;
use std::sync::Arc;

/// One whole configuration.
pub(crate) struct ClientSide {
    config: Arc<ClientConfig>,
}

impl ClientSide {
    /// Reads all that `builder` names, checks it, and makes a configuration of it.
    pub(crate) fn build(builder: &ClientTlsBuilder) -> Result<ClientSide, Error> {
        let provider = provider();
        let verifier = verifier(builder, &provider)?;
        let config = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(versions(builder.tls12))
            .map_err(|error| Error::Config(format!("no usable TLS version: {error}")))?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match &builder.identity {
            None => config.with_no_client_auth(),
            Some((chain, key)) => {
                let certified = pem::certified_key(chain, key, &provider)?;
                let resolver = rustls::sign::SingleCertAndKey::from(certified);
                config.with_client_cert_resolver(Arc::new(resolver))
            }
        };
        config.alpn_protocols.clone_from(&builder.alpn);
        config.enable_secret_extraction = true;
        config.resumption = match &builder.sessions {
            Some(sessions) => Resumption::store(sessions.store()),
            None => Resumption::disabled(),
        };
        Ok(ClientSide { config: Arc::new(config) })
    }

    /// A configuration that was made elsewhere.
    pub(super) fn foreign(config: &ClientConfig) -> ClientSide {
        let mut config = config.clone();
        config.enable_secret_extraction = true;
        ClientSide { config: Arc::new(config) }
    }

    pub(super) fn config(&self) -> Arc<ClientConfig> {
        self.config.clone()
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
    let chain: Option<Arc<dyn ServerCertVerifier>> = match &builder.trust {
        Trust::PinsAlone => None,
        Trust::Roots { platform, own } => {
            let mut roots = pem::roots(own)?;
            if *platform {
                add_platform_roots(&mut roots)?;
            }
            Some(chain_verifier(builder, roots, provider)?)
        }
    };
    match chain {
        Some(chain) if builder.pins.is_empty() => Ok(chain),
        chain => Ok(Arc::new(Pinned {
            chain,
            pins: builder.pins.clone(),
            algorithms: provider.signature_verification_algorithms,
        })),
    }
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
