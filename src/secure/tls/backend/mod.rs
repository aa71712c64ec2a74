//! The one place that names rustls, whose next release replaces the interface used here.

mod alerts;
mod client;
mod failures;
mod handshake;
mod hello;
#[cfg(feature = "tls12")]
mod legacy;
mod pem;
mod resolver;
mod restore;
pub mod rustls_0_23;
mod schedule;
mod server;
mod sessions;
mod tap;
mod ticketer;
mod verify;
mod wall;

pub(crate) use client::{ClientSide, session_store};
pub(crate) use handshake::{Ended, Handshake};
#[cfg(feature = "tls12")]
pub(crate) use legacy::Legacy;
pub(crate) use schedule::Schedule;
pub(crate) use server::{Lasting, ServerSide};
pub(crate) use sessions::{Store, decode, encode};
pub(crate) use verify::Pin;

use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{cipher_suite, default_provider};
use rustls::{SupportedCipherSuite, SupportedProtocolVersion};
use std::sync::{Arc, LazyLock};

/// A server's name as rustls has it.
pub(crate) type Name = rustls::pki_types::ServerName<'static>;

/// The cryptography: aws-lc-rs, named outright, because the process' default may be another's. AES-128 comes first:
/// it costs a sixth less than AES-256 and is what nobody has broken either. The key exchanges keep their order, with
/// X25519MLKEM768 in front.
fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
        let mut provider = default_provider();
        let first = cipher_suite::TLS13_AES_128_GCM_SHA256;
        provider.cipher_suites.sort_by_key(|suite| suite.suite() != first.suite());
        Arc::new(provider)
    });
    PROVIDER.clone()
}

/// The same for clients, whose suites let the keys of tickets be saved.
fn client_provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
        let mut provider = (*provider()).clone();
        for suite in &mut provider.cipher_suites {
            if let Some(tapped) = tap::tapped(*suite) {
                *suite = SupportedCipherSuite::Tls13(Box::leak(Box::new(tapped)));
            }
        }
        Arc::new(provider)
    });
    PROVIDER.clone()
}

/// TLS 1.3, and 1.2 if that is allowed.
fn versions(tls12: bool) -> &'static [&'static SupportedProtocolVersion] {
    static TLS13: [&SupportedProtocolVersion; 1] = [&rustls::version::TLS13];
    #[cfg(feature = "tls12")]
    static BOTH: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS13, &rustls::version::TLS12];
    match tls12 {
        #[cfg(feature = "tls12")]
        true => &BOTH,
        _ => &TLS13,
    }
}

/// The name of a server: a DNS name or an address.
pub(crate) fn server_name(name: &str) -> Option<Name> {
    Name::try_from(name.to_owned()).ok()
}
