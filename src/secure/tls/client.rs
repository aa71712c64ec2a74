//! A client's TLS: whom it trusts, who it is, and the sessions it keeps.

use super::backend::{ClientSide, Pin};
use super::pem::Pem;
use super::server::check_alpn;
use super::sessions::Sessions;
use crate::error::Error;
use std::path::Path;
use std::sync::Arc;

/// A client's TLS, for [`Connect::tls`](crate::Connect::tls).
///
/// A clone is cheap and is the same: all cores share one and the sessions in it. TLS 1.3 only, X25519MLKEM768 as
/// preferred key exchange. A server must show a certificate for the name that was asked for, from a root that is
/// trusted; sessions are kept and resumed.
///
/// ```no_run
/// # fn main() -> Result<(), windlass::Error> {
/// use windlass::tls::ClientTls;
///
/// let anyone = ClientTls::platform()?;
/// let ours = ClientTls::builder().roots_file("our-root.pem").identity_files("me.pem", "me.key").build()?;
/// # let _ = (anyone, ours);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ClientTls {
    side: Arc<ClientSide>,
}

impl ClientTls {
    /// TLS with the roots that this machine trusts.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if it trusts none: install them, or name them in `SSL_CERT_FILE`.
    pub fn platform() -> Result<ClientTls, Error> {
        ClientTls::builder().platform_roots().build()
    }

    /// **Trusts a key and nothing else.** The server is whoever proves to have one of the keys pinned: no chain of
    /// certificates is checked, no name, no date, no revocation. Right for devices with self-signed certificates
    /// whose keys you know, wrong for anything else: [`ClientTlsBuilder::pin_sha256`] *adds* pins to those checks.
    ///
    /// Pins are as for [`ClientTlsBuilder::pin_sha256`].
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if there are no pins.
    pub fn pin_only(pins: impl IntoIterator<Item = [u8; 32]>) -> Result<ClientTls, Error> {
        ClientTls::builder().pin_only(pins).build()
    }

    /// Everything that can be chosen.
    pub fn builder() -> ClientTlsBuilder {
        ClientTlsBuilder {
            platform_roots: false,
            roots: Vec::new(),
            pins_alone: false,
            pins: Vec::new(),
            crls: Vec::new(),
            identity: None,
            alpn: Vec::new(),
            sessions: Some(Sessions::default()),
            tls12: false,
        }
    }

    pub(super) fn side(&self) -> &Arc<ClientSide> {
        &self.side
    }

    /// With a configuration that was made elsewhere.
    pub(super) fn foreign(side: ClientSide) -> ClientTls {
        ClientTls { side: Arc::new(side) }
    }
}

/// What a [`ClientTls`] is made of.
#[derive(Clone, Debug)]
#[must_use = "nothing is read before build"]
pub struct ClientTlsBuilder {
    pub(super) platform_roots: bool,
    pub(super) roots: Vec<Pem>,
    /// No chain is checked.
    pub(super) pins_alone: bool,
    pub(super) pins: Vec<Pin>,
    pub(super) crls: Vec<Pem>,
    pub(super) identity: Option<(Pem, Pem)>,
    pub(super) alpn: Vec<Vec<u8>>,
    pub(super) sessions: Option<Sessions>,
    pub(super) tls12: bool,
}

impl ClientTlsBuilder {
    /// Trusts the roots that this machine trusts, beside others given. Without any given that is the default.
    pub fn platform_roots(mut self) -> Self {
        self.platform_roots = true;
        self
    }

    /// Trusts the roots in a file in PEM, beside others given; no longer those of the machine, unless
    /// [`platform_roots`](Self::platform_roots) says so.
    pub fn roots_file(self, path: impl AsRef<Path>) -> Self {
        self.root(Pem::file(path))
    }

    /// The same from PEM in memory.
    pub fn roots_pem(self, pem: impl AsRef<[u8]>) -> Self {
        self.root(Pem::bytes(pem))
    }

    fn root(mut self, source: Pem) -> Self {
        self.roots.push(source);
        self
    }

    /// Adds revocation lists from a file in PEM. With any given, a server is trusted only if a list of its
    /// certificate's issuer is there, has not run out, and does not name the certificate.
    pub fn crls_file(mut self, path: impl AsRef<Path>) -> Self {
        self.crls.push(Pem::file(path));
        self
    }

    /// The same from PEM in memory.
    pub fn crls_pem(mut self, pem: impl AsRef<[u8]>) -> Self {
        self.crls.push(Pem::bytes(pem));
        self
    }

    /// Adds a pin: the SHA-256 of the SubjectPublicKeyInfo of the server's own certificate, which is what
    /// `openssl x509 -pubkey -noout | openssl pkey -pubin -outform der | sha256sum` prints. With any given, the
    /// server's key must be one of them, *and* its chain, name and dates must be right as ever. Give a second pin
    /// for the key that comes next.
    pub fn pin_sha256(mut self, pin: [u8; 32]) -> Self {
        self.pins.push(pin);
        self
    }

    /// **Trusts these keys and nothing else**, as [`ClientTls::pin_only`] does, with the rest still to be chosen. Not
    /// to be had together with roots or revocation lists, which would not be looked at.
    pub fn pin_only(mut self, pins: impl IntoIterator<Item = [u8; 32]>) -> Self {
        self.pins_alone = true;
        self.pins.extend(pins);
        self
    }

    /// Shows servers that ask for one the certificate in these files in PEM.
    pub fn identity_files(mut self, chain: impl AsRef<Path>, key: impl AsRef<Path>) -> Self {
        self.identity = Some((Pem::file(chain), Pem::file(key)));
        self
    }

    /// The same from PEM in memory.
    pub fn identity_pem(mut self, chain: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Self {
        self.identity = Some((Pem::bytes(chain), Pem::bytes(key)));
        self
    }

    /// The application protocols it speaks, the preferred one first (RFC 7301).
    pub fn alpn<P: AsRef<[u8]>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
        self.alpn = protocols.into_iter().map(|protocol| protocol.as_ref().to_vec()).collect();
        self
    }

    /// Keeps sessions in `sessions` rather than in a store of its own, or keeps none.
    pub fn sessions(mut self, sessions: impl Into<Option<Sessions>>) -> Self {
        self.sessions = sessions.into();
        self
    }

    /// Makes do with TLS 1.2 where a server has nothing newer. Such connections cost more CPU and memory: their records
    /// go through rustls instead of our own record layer.
    #[cfg(feature = "tls12")]
    pub fn tls12(mut self) -> Self {
        self.tls12 = true;
        self
    }

    /// Reads the files and checks everything.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] with the path if a file cannot be read. [`Error::Config`] if nobody is trusted (the machine has no
    /// roots, or there are no pins to trust alone), if roots are given beside [`pin_only`](Self::pin_only), if a file
    /// is not PEM or holds nothing of its kind, or if the key does not belong to the certificate.
    pub fn build(mut self) -> Result<ClientTls, Error> {
        let rooted = self.platform_roots || !self.roots.is_empty();
        let wrong = |what: &str| Err(Error::Config(what.to_owned()));
        if self.pins_alone && (rooted || !self.crls.is_empty()) {
            return wrong("pin_only checks no chain: take roots and lists away, or pin with pin_sha256");
        }
        if self.pins_alone && self.pins.is_empty() {
            return wrong("a TLS client must trust somebody: pin_only was given no pins");
        }
        self.platform_roots |= !rooted && !self.pins_alone;
        check_alpn(&self.alpn)?;
        Ok(ClientTls { side: Arc::new(ClientSide::build(&self)?) })
    }
}
