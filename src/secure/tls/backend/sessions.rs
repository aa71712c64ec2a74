//! The sessions of a client, as rustls stores and takes them and as they are carried to another process.

use super::{restore, tap, wall};
use rustls::client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CipherSuite, NamedGroup};
use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Tickets kept of one server; each is used once. rustls keeps as many.
const TICKETS_MAX: usize = 8;

/// The certificates a server showed.
pub(super) type Chain = Arc<[CertificateDer<'static>]>;

/// What a session was made with, beside its ticket.
#[derive(Clone)]
pub(crate) struct Origin {
    pub(super) chain: Chain,
    /// Who we were: the digest of the certificates we would have shown.
    pub(super) identity: [u8; 32],
}

/// A session as it is carried to another process.
#[derive(Clone)]
pub(crate) struct Portable {
    pub(super) suite: u16,
    pub(super) received_s: u64,
    pub(super) psk: tap::Psk,
    /// The message that brought the ticket.
    pub(super) ticket: Vec<u8>,
    pub(super) origin: Origin,
}

thread_local! {
    /// The ticket that is being handled on this thread, and what it came with.
    static ARRIVING: RefCell<Option<Arriving>> = const { RefCell::new(None) };
}

/// A ticket on its way through rustls into the store.
pub(super) struct Arriving {
    pub(super) ticket: Vec<u8>,
    pub(super) received_s: u64,
    pub(super) origin: Origin,
}

impl Arriving {
    /// Runs `call`, in which rustls stores the ticket.
    pub(super) fn during<T>(self, call: impl FnOnce() -> T) -> T {
        ARRIVING.set(Some(self));
        let result = call();
        ARRIVING.set(None);
        result
    }
}

/// A bounded store. The server that was added first is forgotten first.
pub(crate) struct Store {
    servers_max: usize,
    servers: Mutex<Servers>,
}

#[derive(Default)]
struct Servers {
    by_name: HashMap<ServerName<'static>, Server>,
    /// The same names, the oldest first.
    order: VecDeque<ServerName<'static>>,
}

#[derive(Default)]
struct Server {
    kx_hint: Option<NamedGroup>,
    tls12: Option<Tls12ClientSessionValue>,
    tickets: VecDeque<(Tls13ClientSessionValue, Option<Portable>)>,
    /// Brought from another process and not given to rustls yet.
    loaded: Vec<Portable>,
    chain: Option<Chain>,
}

impl Store {
    pub(crate) fn new(servers_max: usize) -> Store {
        Store { servers_max, servers: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Servers> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is kept of a server, which may be new.
    fn edit(&self, name: ServerName<'static>, edit: impl FnOnce(&mut Server)) {
        let mut servers = self.lock();
        if !servers.by_name.contains_key(&name) {
            if self.servers_max == 0 {
                return;
            }
            if servers.order.len() >= self.servers_max
                && let Some(oldest) = servers.order.pop_front()
            {
                servers.by_name.remove(&oldest);
            }
            servers.order.push_back(name.clone());
        }
        edit(servers.by_name.entry(name).or_default());
    }

    /// The same certificates as one value, however many connections have them.
    pub(super) fn shared_chain(
        &self,
        name: &ServerName<'static>,
        chain: &[CertificateDer<'static>],
    ) -> Chain {
        let mut shared: Option<Chain> = None;
        self.edit(name.clone(), |server| {
            let known = server.chain.take().filter(|known| **known == *chain);
            let known = known.unwrap_or_else(|| chain.into());
            server.chain = Some(known.clone());
            shared = Some(known);
        });
        shared.unwrap_or_else(|| chain.into())
    }

    /// Takes what was brought from another process for a server by one who was `identity` there.
    pub(super) fn take_loaded(&self, name: &ServerName<'static>, identity: &[u8; 32]) -> Vec<Portable> {
        let mut servers = self.lock();
        let Some(server) = servers.by_name.get_mut(name) else { return Vec::new() };
        server.loaded.extract_if(.., |portable| portable.origin.identity == *identity).collect()
    }

    /// Brings a session from another process. The latest few of a server are kept.
    pub(crate) fn load(&self, name: ServerName<'static>, portable: Portable) {
        self.edit(name, |server| {
            if server.loaded.len() >= TICKETS_MAX {
                server.loaded.remove(0);
            }
            server.loaded.push(portable);
        });
    }

    /// Calls `each` with every session that can be carried, the oldest servers first.
    pub(crate) fn for_each(&self, mut each: impl FnMut(&ServerName<'static>, &Portable)) {
        let servers = self.lock();
        for name in &servers.order {
            let Some(server) = servers.by_name.get(name) else { continue };
            let kept = server.tickets.iter().filter_map(|(_, portable)| portable.as_ref());
            for portable in server.loaded.iter().chain(kept) {
                each(name, portable);
            }
        }
    }
}

impl ClientSessionStore for Store {
    fn set_kx_hint(&self, server_name: ServerName<'static>, group: NamedGroup) {
        if !restore::under_way() {
            self.edit(server_name, |server| server.kx_hint = Some(group));
        }
    }

    fn kx_hint(&self, server_name: &ServerName<'_>) -> Option<NamedGroup> {
        self.lock().by_name.get(server_name).and_then(|server| server.kx_hint)
    }

    fn set_tls12_session(&self, server_name: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.edit(server_name, |server| server.tls12 = Some(value));
    }

    fn tls12_session(&self, server_name: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.lock().by_name.get(server_name).and_then(|server| server.tls12.clone())
    }

    fn remove_tls12_session(&self, server_name: &ServerName<'static>) {
        if let Some(server) = self.lock().by_name.get_mut(server_name) {
            server.tls12 = None;
        }
    }

    fn insert_tls13_ticket(&self, server_name: ServerName<'static>, value: Tls13ClientSessionValue) {
        let arriving = ARRIVING.take();
        let portable = arriving.zip(tap::noted()).map(|(arriving, psk)| Portable {
            suite: u16::from(value.suite().common.suite),
            received_s: arriving.received_s,
            psk,
            ticket: arriving.ticket,
            origin: arriving.origin,
        });
        self.edit(server_name, |server| {
            if server.tickets.len() >= TICKETS_MAX {
                server.tickets.pop_front();
            }
            server.tickets.push_back((value, portable));
        });
    }

    fn take_tls13_ticket(&self, server_name: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        if restore::under_way() {
            return None;
        }
        let mut servers = self.lock();
        servers.by_name.get_mut(server_name)?.tickets.pop_back().map(|(value, _)| value)
    }
}

/// Says nothing of what is in it.
impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({} of {} servers)", self.lock().order.len(), self.servers_max)
    }
}

/// Now, in the seconds that tickets count.
pub(super) fn now_s() -> u64 {
    wall::now().as_secs()
}

// ---- as bytes

/// What saved sessions begin with.
const MAGIC: &[u8] = b"windlass TLS sessions 1\n";

/// All sessions that can be carried, as bytes.
pub(crate) fn encode(store: &Store) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    store.for_each(|name, portable| {
        let name = name.to_str();
        put(&mut out, name.as_bytes());
        out.extend_from_slice(&portable.suite.to_be_bytes());
        out.extend_from_slice(&portable.received_s.to_be_bytes());
        put(&mut out, &portable.psk);
        put(&mut out, &portable.ticket);
        out.extend_from_slice(&portable.origin.identity);
        out.extend_from_slice(&(portable.origin.chain.len() as u16).to_be_bytes());
        portable.origin.chain.iter().for_each(|certificate| put(&mut out, certificate));
    });
    out
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// Reads what [`encode`] wrote into `store`, and says how many sessions that were. `None` if it is something else;
/// then nothing was taken.
pub(crate) fn decode(store: &Store, bytes: &[u8]) -> Option<usize> {
    let mut rest = Fields(bytes.strip_prefix(MAGIC)?);
    let mut found = Vec::new();
    while !rest.0.is_empty() {
        found.push(rest.session()?);
    }
    let count = found.len();
    found.into_iter().for_each(|(name, portable)| store.load(name, portable));
    Some(count)
}

/// What is left of the bytes.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = u32::from_be_bytes(self.array()?) as usize;
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn session(&mut self) -> Option<(ServerName<'static>, Portable)> {
        let name = std::str::from_utf8(self.bytes()?).ok()?;
        let name = ServerName::try_from(name.to_owned()).ok()?;
        let suite = u16::from_be_bytes(self.array()?);
        let received_s = u64::from_be_bytes(self.array()?);
        let psk = tap::Psk::new(self.bytes()?.to_vec());
        let ticket = self.bytes()?.to_vec();
        let identity = self.array()?;
        let certificates = u16::from_be_bytes(self.array()?);
        let chain = (0..certificates)
            .map(|_| self.bytes().map(|der| CertificateDer::from(der.to_vec())))
            .collect::<Option<Vec<_>>>()?;
        let origin = Origin { chain: chain.into(), identity };
        Some((name, Portable { suite, received_s, psk, ticket, origin }))
    }
}

impl Portable {
    pub(super) fn suite(&self) -> CipherSuite {
        CipherSuite::from(self.suite)
    }
}
