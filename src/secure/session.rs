//! What the handshakes of a connection agreed on, as [`Event::Opened`](crate::Event::Opened) lends it.

use std::time::Duration;

/// What the handshakes of a connection agreed on. Nothing on a plain connection.
///
/// It is lent with [`Event::Opened`](crate::Event::Opened) and freed after it, so that an idle connection does not
/// carry certificates around: copy out what you want to know later.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Session {
    /// What TLS agreed on, if the connection has it.
    pub tls: Option<TlsSession>,
    /// What Noise agreed on, if the connection has it; inside TLS if it has both.
    pub noise: Option<NoiseSession>,
    /// How long that took, from the moment the connection was established.
    pub took: Duration,
}

impl Session {
    /// What a plain connection agreed on: nothing.
    pub(crate) const PLAIN: Session = Session { tls: None, noise: None, took: Duration::ZERO };
}

/// The outcome of a TLS handshake.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct TlsSession {
    /// `TLS 1.3`, or `TLS 1.2` with the feature that allows it.
    pub version: &'static str,
    /// The cipher suite by its IANA name, such as `TLS_AES_128_GCM_SHA256`.
    pub cipher_suite: &'static str,
    /// The key exchange group, such as `X25519MLKEM768`; empty where a resumed handshake had none.
    pub key_exchange: &'static str,
    /// The application protocol, if both ends named a common one (RFC 7301).
    pub alpn: Option<Vec<u8>>,
    /// On a server: the name that the client asked for (RFC 6066).
    pub server_name: Option<String>,
    /// Whether an earlier session was resumed with a ticket instead of a full handshake.
    pub resumed: bool,
    /// Whether data that may have been replayed was accepted before the handshake ended.
    pub early_data: bool,
    /// The peer's certificates in DER, its own first, as they were verified. On a server empty unless it asks
    /// clients for theirs.
    pub peer_certificates: Vec<Vec<u8>>,
}

/// The outcome of a Noise handshake.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct NoiseSession {
    /// The full protocol name, such as `Noise_XK_25519_AESGCM_SHA256`.
    pub protocol: String,
    /// The peer's static public key; `None` for patterns that do not authenticate it.
    pub peer: Option<[u8; 32]>,
    /// The hash of the whole handshake, the same at both ends and different in every session: what
    /// applications bind their own authentication to (Noise specification, section 11.2).
    pub handshake_hash: Vec<u8>,
}
