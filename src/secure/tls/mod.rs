//! TLS on connections: what users configure it with, and the transformer behind it.

mod backend;
mod client;
mod keys;
mod pem;
mod records;
mod server;
mod sessions;
mod transformer;

pub use backend::rustls_0_23;
pub use client::{ClientTls, ClientTlsBuilder};
pub use server::{ServerTls, ServerTlsBuilder};
pub use sessions::Sessions;
pub(crate) use transformer::TlsTransformer;

use super::Failure;
use crate::error::Error;
use backend::{Handshake, Name};
use std::sync::Arc;

/// What a connection's TLS is to be.
#[derive(Clone, Debug)]
pub(crate) enum Wanted {
    Server(ServerTls),
    Client(Arc<(ClientTls, Name)>),
}

impl Wanted {
    pub(crate) fn server(tls: &ServerTls) -> Wanted {
        Wanted::Server(tls.clone())
    }

    /// Fails if `name` is neither a DNS name nor an address.
    pub(crate) fn client(tls: &ClientTls, name: &str) -> Result<Wanted, Error> {
        let name_read = backend::server_name(name).ok_or_else(|| {
            Error::Config(format!(
                "'{name}' is no name for TLS: give a DNS name or an IP address, without port"
            ))
        })?;
        Ok(Wanted::Client(Arc::new((tls.clone(), name_read))))
    }

    pub(crate) fn begin(&self) -> TlsTransformer {
        TlsTransformer::new(self.clone())
    }

    fn handshake(&self) -> Result<Handshake, Failure> {
        match self {
            Wanted::Server(tls) => Handshake::server(tls.current()),
            Wanted::Client(client) => Handshake::client(client.0.side(), &client.1),
        }
    }
}

/// The fuzz target of the record layer: `fuzz_target!(|data: &[u8]| windlass::tls::fuzz_records(data))`. It exists only
/// in builds with `--cfg fuzzing`, which fuzzers set; as a randomised test it runs with the others.
#[cfg(fuzzing)]
pub fn fuzz_records(data: &[u8]) {
    records::fuzz::fuzz(data);
}

#[cfg(test)]
mod tests;
