//! Ready-made configurations of rustls 0.23, for what the builders here do not offer.
//!
//! TLS 1.2 in one is served with the feature `tls12` only; without it such a connection ends as
//! [`NothingInCommon`](crate::Cause::NothingInCommon).

use super::super::{ClientTls, ServerTls};
use super::{ClientSide, ServerSide};
use crate::error::Error;
use rustls::crypto::CryptoProvider;
use rustls::{CipherSuite, ClientConfig, ServerConfig};
use std::sync::Arc;

pub use rustls;

/// A server with a ready-made configuration: keys in hardware, verifiers of one's own.
///
/// # Errors
///
/// [`Error::Config`] if its provider has a cipher suite of TLS 1.3 that the record layer does not.
pub fn server(config: &Arc<ServerConfig>) -> Result<ServerTls, Error> {
    check(config.crypto_provider())?;
    ServerTls::foreign(ServerSide::foreign(config))
}

/// A client with a ready-made configuration.
///
/// # Errors
///
/// [`Error::Config`] if its provider has a cipher suite of TLS 1.3 that the record layer does not.
pub fn client(config: &Arc<ClientConfig>) -> Result<ClientTls, Error> {
    check(config.crypto_provider())?;
    Ok(ClientTls::foreign(ClientSide::foreign(config)))
}

fn check(provider: &CryptoProvider) -> Result<(), Error> {
    let known = |suite: CipherSuite| {
        matches!(
            suite,
            CipherSuite::TLS13_AES_128_GCM_SHA256
                | CipherSuite::TLS13_AES_256_GCM_SHA384
                | CipherSuite::TLS13_CHACHA20_POLY1305_SHA256
        )
    };
    // Suites of TLS 1.2 stand in a provider as soon as anybody in the tree asks rustls for them, and hurt nobody here.
    let of_tls13 = provider.cipher_suites.iter().filter(|suite| suite.tls13().is_some());
    match of_tls13.map(|suite| suite.suite()).find(|suite| !known(*suite)) {
        None => Ok(()),
        Some(suite) => {
            Err(Error::Config(format!("the record layer does not have the cipher suite {suite:?}")))
        }
    }
}
