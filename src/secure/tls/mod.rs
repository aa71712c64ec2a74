//! TLS on connections: what users configure it with, and the transformer behind it.
//!
//! A server is given a [`ServerTls`], a client a [`ClientTls`] and the name of the server it wants; both are made once
//! and shared by all connections and cores. The handler sees no difference but in
//! [`Event::Opened`](crate::Event::Opened), whose [`TlsSession`](crate::TlsSession) says what was agreed on.
//!
//! ```no_run
//! use windlass::tls::ServerTls;
//! use windlass::{Cores, Event, Io, Listen};
//!
//! # fn main() -> Result<(), windlass::Error> {
//! let tls = ServerTls::from_pem_files("chain.pem", "key.pem")?;
//! Cores::per_cpu().listen(Listen::tcp("127.0.0.1:7443").tls(&tls)).run(|_core| {
//!     |io: &mut Io, event: Event<'_>| {
//!         if let Event::Data { conn, bytes } = event {
//!             let _ = io.send(conn, bytes);
//!         }
//!     }
//! })?;
//! # Ok(())
//! # }
//! ```
//!
//! # What is on and what is off
//!
//! On: TLS 1.3; AES-GCM and ChaCha20-Poly1305, AES-128 preferred; X25519MLKEM768 preferred, so that who records
//! today cannot decrypt with a quantum computer tomorrow; resumption with tickets; `close_notify`, without which the
//! end of a stream is [`Truncated`](crate::Cause::Truncated).
//!
//! Off until asked for: early data, because it can be replayed; client certificates, and with them resumption; TLS
//! 1.2, which is behind a feature of its own. There is no key log, and no renegotiation, compression, or cipher with
//! a known weakness that could be switched on.
//!
//! # When it fails
//!
//! Each kind of refusal has its own [`Cause`](crate::Cause), in the same words on both ends where both can know it,
//! and the peer is told with the alert that RFC 8446 has for it. A peer that does not speak TLS at all is
//! [`NotSecured`](crate::Cause::NotSecured) at its first byte and is told nothing, as OpenSSL does it. What a peer
//! can make the handshake take is bounded by [`limits`](crate::limits).
//!
//! # How it is built
//!
//! The handshake is rustls' with the cryptography of aws-lc-rs. It is fed record by record, and when it is over, its
//! keys go to a record layer of our own, which opens and seals in the reactor's buffers without copying; rustls keeps
//! the key schedule. Connections of TLS 1.2 stay with rustls. What these builders do not offer is open to
//! configurations made with rustls itself: [`rustls_0_23`].

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

    /// Whether a peer may send data before the handshake ends, as things are now.
    #[cfg(feature = "noise")]
    pub(crate) fn takes_early_data(&self) -> bool {
        matches!(self, Wanted::Server(tls) if tls.current().early_bytes_max() > 0)
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
