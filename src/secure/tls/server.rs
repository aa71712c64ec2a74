//! A server's TLS: its certificates, what it asks of clients, and how it is reloaded.

use super::backend::{Lasting, ServerSide};
use super::pem::Pem;
use crate::error::Error;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

/// How long a ticket is good for by default: half a day, as rustls has it.
const TICKET_LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);

/// The longest that RFC 8446, section 4.6.1, allows a ticket to live.
const TICKET_LIFETIME_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// A server's TLS, for [`Listen::tls`](crate::Listen::tls).
///
/// A clone is cheap and is the same: all cores share one, and with it the keys of session tickets, so that a client
/// resumes its session on whichever core it lands. [`ServerTls::reload`] on any of them is seen by all.
///
/// TLS 1.3 only, with AES-GCM and ChaCha20-Poly1305, and X25519MLKEM768 as preferred key exchange. Sessions are
/// resumed with tickets whose keys rotate and are never written down. Early data is off, and so are client
/// certificates, until [`ServerTls::builder`] is told otherwise.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use windlass::tls::ServerTls;
///
/// # let made = rcgen::generate_simple_self_signed(vec!["example.com".into()])?;
/// # let (certificates, key) = (made.cert.pem(), made.signing_key.serialize_pem());
/// let tls = ServerTls::builder().certificate_pem(certificates, key).alpn(["h2", "http/1.1"]).build()?;
/// # let _ = tls;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ServerTls {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// What new handshakes begin with. Locked for the length of a clone, once for each.
    current: RwLock<Arc<ServerSide>>,
    /// What to read again; `None` if the configuration was made elsewhere.
    recipe: Mutex<Option<ServerTlsBuilder>>,
    lasting: Lasting,
}

impl ServerTls {
    /// TLS with one chain of certificates and its key from files in PEM. The server's own certificate comes first,
    /// then those between it and the root.
    ///
    /// # Errors
    ///
    /// As [`ServerTlsBuilder::build`].
    pub fn from_pem_files(chain: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<ServerTls, Error> {
        ServerTls::builder().certificate_files(chain, key).build()
    }

    /// The same from PEM in memory.
    ///
    /// # Errors
    ///
    /// As [`ServerTlsBuilder::build`].
    pub fn from_pem(chain: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Result<ServerTls, Error> {
        ServerTls::builder().certificate_pem(chain, key).build()
    }

    /// Everything that can be chosen.
    pub fn builder() -> ServerTlsBuilder {
        ServerTlsBuilder {
            identities: Vec::new(),
            alpn: Vec::new(),
            clients: None,
            ticket_lifetime: TICKET_LIFETIME,
            early_bytes_max: None,
            tls12: false,
        }
    }

    /// Reads all files again and takes what they hold for new connections, on every core. Open connections and
    /// handshakes under way go on with what they began with, and sessions can still be resumed.
    ///
    /// Call it when certificates were renewed, from a signal or a timer. Files that are being replaced right now are
    /// no danger: a key that does not match its certificate is refused, and the next reload will do.
    ///
    /// # Errors
    ///
    /// As [`ServerTlsBuilder::build`]; then nothing has changed. [`Error::Config`] if it was made from a ready
    /// configuration of rustls: there is nothing to read again, use [`ServerTls::replace`].
    pub fn reload(&self) -> Result<(), Error> {
        let recipe = self.shared.recipe.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(recipe) = recipe.as_ref() else {
            return Err(Error::Config(
                "made from a ready configuration: there is nothing to read again, use replace".to_owned(),
            ));
        };
        self.publish(ServerSide::build(recipe, &self.shared.lasting)?);
        Ok(())
    }

    /// Takes another configuration for new connections, as [`ServerTls::reload`] does. Tickets keep the lifetime they
    /// had.
    ///
    /// # Errors
    ///
    /// As [`ServerTlsBuilder::build`]; then nothing has changed.
    pub fn replace(&self, builder: ServerTlsBuilder) -> Result<(), Error> {
        builder.check()?;
        let mut recipe = self.shared.recipe.lock().unwrap_or_else(PoisonError::into_inner);
        self.publish(ServerSide::build(&builder, &self.shared.lasting)?);
        *recipe = Some(builder);
        Ok(())
    }

    fn publish(&self, side: ServerSide) {
        *self.shared.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(side);
    }

    /// What a handshake that begins now is made with.
    pub(super) fn current(&self) -> Arc<ServerSide> {
        self.shared.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// With a configuration that was made elsewhere.
    pub(super) fn foreign(side: ServerSide) -> Result<ServerTls, Error> {
        ServerTls::new(side, None, Lasting::new(seconds(TICKET_LIFETIME))?)
    }

    fn new(side: ServerSide, recipe: Option<ServerTlsBuilder>, lasting: Lasting) -> Result<ServerTls, Error> {
        let (current, recipe) = (RwLock::new(Arc::new(side)), Mutex::new(recipe));
        Ok(ServerTls { shared: Arc::new(Shared { current, recipe, lasting }) })
    }
}

/// One chain with its key.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    /// The names it is for; `None` for those that stand in it.
    pub(super) names: Option<Vec<String>>,
    pub(super) chain: Pem,
    pub(super) key: Pem,
}

/// What clients must show.
#[derive(Clone, Debug, Default)]
pub(super) struct ClientCertificates {
    pub(super) required: bool,
    pub(super) resume: bool,
    pub(super) roots: Vec<Pem>,
    pub(super) crls: Vec<Pem>,
}

/// What a [`ServerTls`] is made of. Files are read by [`ServerTlsBuilder::build`] and again by
/// [`ServerTls::reload`].
#[derive(Clone, Debug)]
#[must_use = "nothing is read before build"]
pub struct ServerTlsBuilder {
    pub(super) identities: Vec<Identity>,
    pub(super) alpn: Vec<Vec<u8>>,
    pub(super) clients: Option<ClientCertificates>,
    ticket_lifetime: Duration,
    pub(super) early_bytes_max: Option<u32>,
    pub(super) tls12: bool,
}

impl ServerTlsBuilder {
    /// Adds a chain of certificates and its key from files in PEM, for the DNS names that the certificate has
    /// itself, `*.` names among them.
    ///
    /// A client that asks for a name gets the first certificate for it that has a kind of key it can check, so that
    /// an ECDSA and an RSA certificate can stand side by side. One that asks for a name nobody has, or for none, gets
    /// the first certificate added: it can judge best whether that will do, and tells its user which names there are.
    pub fn certificate_files(self, chain: impl AsRef<Path>, key: impl AsRef<Path>) -> Self {
        self.identity(None, Pem::file(chain), Pem::file(key))
    }

    /// The same from PEM in memory.
    pub fn certificate_pem(self, chain: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Self {
        self.identity(None, Pem::bytes(chain), Pem::bytes(key))
    }

    /// Adds a chain and its key for the names given, whatever stands in the certificate. A name may begin with `*.`
    /// and then covers one label.
    pub fn named_certificate_files<N: AsRef<str>>(
        self,
        names: impl IntoIterator<Item = N>,
        chain: impl AsRef<Path>,
        key: impl AsRef<Path>,
    ) -> Self {
        self.identity(Some(owned(names)), Pem::file(chain), Pem::file(key))
    }

    /// The same from PEM in memory.
    pub fn named_certificate_pem<N: AsRef<str>>(
        self,
        names: impl IntoIterator<Item = N>,
        chain: impl AsRef<[u8]>,
        key: impl AsRef<[u8]>,
    ) -> Self {
        self.identity(Some(owned(names)), Pem::bytes(chain), Pem::bytes(key))
    }

    fn identity(mut self, names: Option<Vec<String>>, chain: Pem, key: Pem) -> Self {
        self.identities.push(Identity { names, chain, key });
        self
    }

    /// The application protocols it speaks, the preferred one first (RFC 7301). A client that names protocols and
    /// none of these is refused with [`AlpnMismatch`](crate::Cause::AlpnMismatch); one that names none is served.
    pub fn alpn<P: AsRef<[u8]>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
        self.alpn = protocols.into_iter().map(|protocol| protocol.as_ref().to_vec()).collect();
        self
    }

    /// Every client must show a certificate from one of the roots given with
    /// [`client_roots_file`](Self::client_roots_file). Its chain is in
    /// [`TlsSession::peer_certificates`](crate::TlsSession::peer_certificates).
    ///
    /// Sessions are then not resumed, because a ticket would let a client in on the word of its first visit; see
    /// [`resume_client_certificates`](Self::resume_client_certificates).
    pub fn require_client_certificates(mut self) -> Self {
        self.clients().required = true;
        self
    }

    /// Clients are asked for a certificate and may have none. One that is shown must be good.
    pub fn request_client_certificates(mut self) -> Self {
        self.clients().required = false;
        self
    }

    /// Adds roots that client certificates may come from, from a file in PEM. Clients are then asked for one; whether
    /// they must have one is for [`require_client_certificates`](Self::require_client_certificates) to say.
    pub fn client_roots_file(mut self, path: impl AsRef<Path>) -> Self {
        self.clients().roots.push(Pem::file(path));
        self
    }

    /// The same from PEM in memory.
    pub fn client_roots_pem(mut self, pem: impl AsRef<[u8]>) -> Self {
        self.clients().roots.push(Pem::bytes(pem));
        self
    }

    /// Adds revocation lists for client certificates, from a file in PEM. With any given, a client is let in only if
    /// a list of its certificate's issuer is there, has not run out, and does not name the certificate.
    pub fn client_crls_file(mut self, path: impl AsRef<Path>) -> Self {
        self.clients().crls.push(Pem::file(path));
        self
    }

    /// The same from PEM in memory.
    pub fn client_crls_pem(mut self, pem: impl AsRef<[u8]>) -> Self {
        self.clients().crls.push(Pem::bytes(pem));
        self
    }

    /// Sessions of clients with certificates are resumed. The certificate is then checked again as it was shown the
    /// first time, with the roots, lists and time of now; that the client still has its key is not proven anew.
    pub fn resume_client_certificates(mut self) -> Self {
        self.clients().resume = true;
        self
    }

    fn clients(&mut self) -> &mut ClientCertificates {
        self.clients.get_or_insert_default()
    }

    /// How long a session can be resumed: 12 hours by default, 7 days at most. The keys that seal tickets live as
    /// long; who steals one can read what it sealed, though not the data of the connections.
    pub fn ticket_lifetime(mut self, lifetime: Duration) -> Self {
        self.ticket_lifetime = lifetime;
        self
    }

    /// Takes up to `bytes_max` bytes of early data from a client that resumes its session, before the handshake ends:
    /// see [`Event::EarlyData`](crate::Event::EarlyData).
    ///
    /// **Such data can be replayed**: a client, or who forces it to try again, may send it twice. This server
    /// takes it once: its tickets are keys into a store of
    /// [`TLS_EARLY_SESSIONS_MAX`](crate::limits::TLS_EARLY_SESSIONS_MAX) sessions that gives each out once. The store
    /// is in this process, and with it all sessions end when the process does. Where sessions are not resumed, as
    /// with client certificates by default, there is no early data either.
    pub fn early_data(mut self, bytes_max: u32) -> Self {
        self.early_bytes_max = Some(bytes_max);
        self
    }

    /// Serves clients that have nothing newer than TLS 1.2 as well. They cost more CPU and memory: their records go
    /// through rustls instead of our own record layer.
    #[cfg(feature = "tls12")]
    pub fn tls12(mut self) -> Self {
        self.tls12 = true;
        self
    }

    /// Reads the files and checks everything.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] with the path if a file cannot be read. [`Error::Config`] if there is no certificate, a file is
    /// not PEM or holds nothing of its kind, a key does not belong to its certificate, or client certificates are
    /// wanted without roots for them; and for a lifetime of tickets beyond 7 days.
    pub fn build(self) -> Result<ServerTls, Error> {
        self.check()?;
        let lasting = Lasting::new(seconds(self.ticket_lifetime))?;
        let side = ServerSide::build(&self, &lasting)?;
        ServerTls::new(side, Some(self), lasting)
    }

    fn check(&self) -> Result<(), Error> {
        let wrong = |what: &str| Err(Error::Config(what.to_owned()));
        if self.identities.is_empty() {
            return wrong("a TLS server needs a certificate: give certificate_files or certificate_pem");
        }
        if self.ticket_lifetime > TICKET_LIFETIME_MAX {
            return wrong("tickets live 7 days at most (RFC 8446): give ticket_lifetime less");
        }
        if self.clients.as_ref().is_some_and(|clients| clients.roots.is_empty()) {
            return wrong("client certificates need roots to be checked by: give client_roots_file");
        }
        check_alpn(&self.alpn)
    }
}

/// Whether the protocols have names that fit on the wire.
pub(super) fn check_alpn(protocols: &[Vec<u8>]) -> Result<(), Error> {
    match protocols.iter().all(|name| (1..=255).contains(&name.len())) {
        true => Ok(()),
        false => Err(Error::Config("the name of an application protocol has 1 to 255 bytes".to_owned())),
    }
}

fn owned<N: AsRef<str>>(names: impl IntoIterator<Item = N>) -> Vec<String> {
    names.into_iter().map(|name| name.as_ref().to_owned()).collect()
}

/// At most 7 days, which fit.
fn seconds(lifetime: Duration) -> u32 {
    u32::try_from(lifetime.as_secs()).unwrap_or(u32::MAX)
}
