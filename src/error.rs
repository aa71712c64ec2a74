//! What can go wrong, grouped by whose fault it is, and why a connection ended.

use crate::time::Instant;
use std::any::Any;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Where a peer is, or where to listen: an internet address or the path of a Unix socket.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Address {
    /// IPv4 or IPv6 address and port.
    Inet(SocketAddr),
    /// A Unix stream socket; an unnamed one (the usual client) has an empty path.
    Unix(Arc<Path>),
}

impl Address {
    /// The internet address, if it is one.
    #[must_use]
    pub const fn as_inet(&self) -> Option<SocketAddr> {
        match self {
            Address::Inet(address) => Some(*address),
            Address::Unix(_) => None,
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Address {
        Address::Inet(address)
    }
}

impl From<PathBuf> for Address {
    fn from(path: PathBuf) -> Address {
        Address::Unix(path.into())
    }
}

/// `127.0.0.1:7000` and `[::1]:7000` are internet addresses, `unix:PATH` is a Unix socket. Host names are not
/// resolved: that would block.
impl std::str::FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Address, Error> {
        if let Some(path) = text.strip_prefix("unix:") {
            return Ok(Address::Unix(Path::new(path).into()));
        }
        text.parse().map(Address::Inet).map_err(|_| {
            Error::Config(format!("'{text}' is no address: write IP:PORT, [IPV6]:PORT or unix:PATH"))
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Inet(address) => address.fmt(f),
            Address::Unix(path) if path.as_os_str().is_empty() => f.write_str("unix:(unnamed)"),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Why something could not be set up. Connections that fail later say so in [`CloseReason`].
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The caller asked for something that makes no sense; nothing was changed.
    Config(String),
    /// A named bound of this reactor is reached (listeners, mailboxes, connections); nothing was changed.
    Limit(&'static str),
    /// This platform cannot do it.
    Unsupported(&'static str),
    /// The system refused; what was attempted stands first.
    Io {
        /// What was attempted, with the address or path.
        what: String,
        /// The system's answer.
        source: io::Error,
    },
    /// A core's handler panicked.
    Panicked {
        /// The core whose handler it was.
        core: usize,
        /// What it panicked with.
        payload: Payload,
    },
}

impl Error {
    pub(crate) fn io(what: impl Into<String>, source: io::Error) -> Error {
        Error::Io { what: what.into(), source }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Config(sentence) => f.write_str(sentence),
            Error::Limit(bound) => write!(f, "limit reached: {bound}"),
            Error::Unsupported(what) => write!(f, "not supported on this platform: {what}"),
            Error::Io { what, source } => {
                write!(f, "{what}: {source}{}", remedy_of(source.raw_os_error()))
            }
            Error::Panicked { core, payload } => write!(f, "the handler of core {core} panicked: {payload}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// What a handler panicked with. Its text is the panic's message.
pub struct Payload(Mutex<Box<dyn Any + Send>>);

impl Payload {
    pub(crate) fn new(payload: Box<dyn Any + Send>) -> Payload {
        Payload(Mutex::new(payload))
    }

    /// The payload, for [`std::panic::resume_unwind`] or to look into.
    #[must_use]
    pub fn into_inner(self) -> Box<dyn Any + Send> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let payload = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        f.write_str(text.unwrap_or("(a payload that is not text)"))
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({self})")
    }
}

/// What a user can do about the errors that setting up a socket usually meets.
fn remedy_of(errno: Option<i32>) -> &'static str {
    use rustix::io::Errno;
    match errno.map(Errno::from_raw_os_error) {
        Some(Errno::ADDRINUSE) => "; another program listens there: choose another port, or 0 for any",
        Some(Errno::ACCESS) => "; ports below 1024 need a privilege: choose a higher one",
        Some(Errno::MFILE) => "; this process is out of descriptors: raise `ulimit -n`",
        Some(Errno::ADDRNOTAVAIL) => "; no interface of this machine has that address",
        _ => "",
    }
}

/// The handle names nothing any more: what it named has closed, fired or been cancelled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stale;

impl fmt::Display for Stale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("stale handle: what it named is gone")
    }
}

impl std::error::Error for Stale {}

/// Why a send took nothing at all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum SendError {
    /// The connection's outbound queue, or the reactor's memory, has no room for it now. Wait for
    /// `Event::Drained` and send again.
    Full,
    /// It is larger than the outbound queue, or all buffers together, may ever be: raise `Options::queue` (or
    /// `Config::buffer_bytes_max`) or send it in parts.
    TooLarge,
    /// The connection is closing, or its sending side was finished.
    Closing,
    /// The connection is gone.
    Stale,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SendError::Full => "no room in the outbound queue now; send again after `Drained`",
            SendError::TooLarge => {
                "larger than the outbound queue's bound; raise its max_bytes or send in parts"
            }
            SendError::Closing => "the connection is closing or its sending side is finished",
            SendError::Stale => "stale handle: the connection is gone",
        })
    }
}

impl std::error::Error for SendError {}

/// What ended a connection, without the particulars of [`CloseReason`].
///
/// In every case the slot is free and everything the reactor held for the connection is gone; what was queued
/// and not yet taken by the kernel is lost, except with [`Cause::Closed`], [`Cause::PeerClosed`] and
/// [`Cause::Shutdown`], which come after the queue was flushed. With [`Cause::SessionExpired`] and [`Cause::Truncated`]
/// it is still offered, for the drain timeout at most, and what becomes of that does not change the cause. So are, where
/// a security layer finds something wrong with its peer, the alert that tells of it and all that was sealed before; what
/// was sent and not sealed yet is lost.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Cause {
    /// The application closed it; everything queued was handed to the kernel, unless it was not open yet.
    Closed,
    /// The application aborted it; the peer sees a reset.
    Aborted,
    /// A graceful shutdown closed it in time; everything queued was handed to the kernel.
    Shutdown,
    /// It was still busy when the shutdown's deadline came.
    ShutdownCut,
    /// The peer ended the stream in good order.
    PeerClosed,
    /// The peer reset the connection, or it was gone when we wrote.
    Reset,
    /// Nobody listens at the address.
    Refused,
    /// No route to the host or network.
    Unreachable,
    /// The local address or the permission to use it was missing, or the path does not exist.
    AddressUnusable,
    /// The kernel gave up on the peer: keep-alive probes or retransmissions went unanswered.
    PeerVanished,
    /// TCP was not established within the connect timeout.
    ConnectTimeout,
    /// The security layers did not finish within the handshake timeout.
    HandshakeTimeout,
    /// Input was owed and none came within the read timeout.
    ReadTimeout,
    /// Output was queued and the peer took none within the write timeout.
    WriteTimeout,
    /// No byte either way within the keep-alive timeout.
    IdleTimeout,
    /// The total deadline set by the application came.
    DeadlineExceeded,
    /// Closing in good order took longer than the drain timeout.
    DrainTimeout,
    /// The handler wanted to keep more bytes than a connection may.
    FrameTooLarge,
    /// The handler panicked while serving this connection, and panics are isolated.
    HandlerPanicked,
    /// The system refused something else; the error number says what.
    System,
    /// The stream ended without the mark that ends it in good order: what came may not be all.
    Truncated,
    /// The peer ended the connection during the handshake.
    HandshakeCut,
    /// The peer does not speak the protocol that secures this connection: plaintext, most likely.
    NotSecured,
    /// No version, cipher suite or key exchange that both ends have.
    NothingInCommon,
    /// No application protocol that both ends have.
    AlpnMismatch,
    /// The peer's certificate is not for the name that was asked for.
    CertificateName,
    /// The peer's certificate is expired or not valid yet.
    CertificateExpired,
    /// Nobody whom we trust has issued the peer's certificate.
    CertificateUnknown,
    /// The peer's certificate was revoked.
    CertificateRevoked,
    /// The peer's certificate is unusable for another reason.
    CertificateInvalid,
    /// The peer showed no certificate although one is required.
    CertificateMissing,
    /// The peer's key is none of those that are pinned or allowed.
    KeyNotAllowed,
    /// The peer refused us; its alert says why.
    PeerRefused,
    /// A record or handshake message could not be authenticated: wrong key, or altered on the way.
    Tampered,
    /// The peer broke the rules of the protocol that secures this connection, or went beyond its bounds.
    ProtocolViolation,
    /// The session has lived as long as it may.
    SessionExpired,
    /// The session has sealed as many messages as its key allows.
    NonceExhausted,
}

impl Cause {
    /// Every cause, in the order of their numbers.
    pub const ALL: [Cause; 37] = [
        Cause::Closed,
        Cause::Aborted,
        Cause::Shutdown,
        Cause::ShutdownCut,
        Cause::PeerClosed,
        Cause::Reset,
        Cause::Refused,
        Cause::Unreachable,
        Cause::AddressUnusable,
        Cause::PeerVanished,
        Cause::ConnectTimeout,
        Cause::HandshakeTimeout,
        Cause::ReadTimeout,
        Cause::WriteTimeout,
        Cause::IdleTimeout,
        Cause::DeadlineExceeded,
        Cause::DrainTimeout,
        Cause::FrameTooLarge,
        Cause::HandlerPanicked,
        Cause::System,
        Cause::Truncated,
        Cause::HandshakeCut,
        Cause::NotSecured,
        Cause::NothingInCommon,
        Cause::AlpnMismatch,
        Cause::CertificateName,
        Cause::CertificateExpired,
        Cause::CertificateUnknown,
        Cause::CertificateRevoked,
        Cause::CertificateInvalid,
        Cause::CertificateMissing,
        Cause::KeyNotAllowed,
        Cause::PeerRefused,
        Cause::Tampered,
        Cause::ProtocolViolation,
        Cause::SessionExpired,
        Cause::NonceExhausted,
    ];

    /// A short lower-case name, as metrics label it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Cause::Closed => "closed",
            Cause::Aborted => "aborted",
            Cause::Shutdown => "shutdown",
            Cause::ShutdownCut => "shutdown_cut",
            Cause::PeerClosed => "peer_closed",
            Cause::Reset => "reset",
            Cause::Refused => "refused",
            Cause::Unreachable => "unreachable",
            Cause::AddressUnusable => "address_unusable",
            Cause::PeerVanished => "peer_vanished",
            Cause::ConnectTimeout => "connect_timeout",
            Cause::HandshakeTimeout => "handshake_timeout",
            Cause::ReadTimeout => "read_timeout",
            Cause::WriteTimeout => "write_timeout",
            Cause::IdleTimeout => "idle_timeout",
            Cause::DeadlineExceeded => "deadline_exceeded",
            Cause::DrainTimeout => "drain_timeout",
            Cause::FrameTooLarge => "frame_too_large",
            Cause::HandlerPanicked => "handler_panicked",
            Cause::System => "system",
            Cause::Truncated => "truncated",
            Cause::HandshakeCut => "handshake_cut",
            Cause::NotSecured => "not_secured",
            Cause::NothingInCommon => "nothing_in_common",
            Cause::AlpnMismatch => "alpn_mismatch",
            Cause::CertificateName => "certificate_name",
            Cause::CertificateExpired => "certificate_expired",
            Cause::CertificateUnknown => "certificate_unknown",
            Cause::CertificateRevoked => "certificate_revoked",
            Cause::CertificateInvalid => "certificate_invalid",
            Cause::CertificateMissing => "certificate_missing",
            Cause::KeyNotAllowed => "key_not_allowed",
            Cause::PeerRefused => "peer_refused",
            Cause::Tampered => "tampered",
            Cause::ProtocolViolation => "protocol_violation",
            Cause::SessionExpired => "session_expired",
            Cause::NonceExhausted => "nonce_exhausted",
        }
    }

    /// Whose doing it was and whether trying again can help.
    #[must_use]
    pub const fn class(self) -> Class {
        match self {
            Cause::Closed
            | Cause::Aborted
            | Cause::Shutdown
            | Cause::PeerClosed
            | Cause::SessionExpired
            | Cause::NonceExhausted => Class::Orderly,
            Cause::Reset
            | Cause::Refused
            | Cause::Unreachable
            | Cause::PeerVanished
            | Cause::ConnectTimeout
            | Cause::HandshakeTimeout
            | Cause::Truncated
            | Cause::HandshakeCut
            | Cause::Tampered => Class::Transient,
            Cause::ReadTimeout
            | Cause::WriteTimeout
            | Cause::IdleTimeout
            | Cause::DeadlineExceeded
            | Cause::DrainTimeout
            | Cause::ShutdownCut => Class::Slow,
            Cause::AddressUnusable
            | Cause::FrameTooLarge
            | Cause::NotSecured
            | Cause::NothingInCommon
            | Cause::AlpnMismatch
            | Cause::CertificateName
            | Cause::CertificateExpired
            | Cause::CertificateUnknown
            | Cause::CertificateRevoked
            | Cause::CertificateInvalid
            | Cause::CertificateMissing
            | Cause::KeyNotAllowed
            | Cause::PeerRefused
            | Cause::ProtocolViolation => Class::Permanent,
            Cause::HandlerPanicked => Class::Bug,
            Cause::System => Class::System,
        }
    }

    /// What a client that still wants its answer should do.
    #[must_use]
    pub const fn recovery(self) -> Recovery {
        match self.class() {
            Class::Orderly | Class::Slow => Recovery::Reconnect,
            Class::Transient => match self {
                Cause::Refused | Cause::Unreachable => Recovery::Fallback,
                _ => Recovery::Retry,
            },
            Class::System => Recovery::Retry,
            Class::Permanent | Class::Bug => Recovery::Abort,
        }
    }

    const fn sentence(self) -> &'static str {
        match self {
            Cause::Closed => "closed by the application",
            Cause::Aborted => "aborted by the application",
            Cause::Shutdown => "closed by the shutdown",
            Cause::ShutdownCut => "cut off at the shutdown's deadline; give shutdown more time",
            Cause::PeerClosed => "closed by the peer",
            Cause::Reset => "reset by the peer; reconnect and send again what was not answered",
            Cause::Refused => "refused; check that something listens there, or try another endpoint",
            Cause::Unreachable => "unreachable; check address and route, or try another endpoint",
            Cause::AddressUnusable => "address unusable; check the address, the path and its permissions",
            Cause::PeerVanished => "peer vanished without a word; reconnect",
            Cause::ConnectTimeout => {
                "not established within the connect timeout; the host may be down or a firewall silent"
            }
            Cause::HandshakeTimeout => {
                "handshake not finished in time; check that both ends speak the same protocol"
            }
            Cause::ReadTimeout => "the peer left a message unfinished beyond the read timeout",
            Cause::WriteTimeout => "the peer took nothing of what is queued within the write timeout",
            Cause::IdleTimeout => "idle beyond the keep-alive timeout; reconnect when needed",
            Cause::DeadlineExceeded => "not done by its total deadline",
            Cause::DrainTimeout => "could not be closed in good order within the drain timeout",
            Cause::FrameTooLarge => {
                "the message is larger than a connection may keep; raise kept_bytes_max or refuse it"
            }
            Cause::HandlerPanicked => "the handler panicked while serving it; see the panic message",
            Cause::System => "the system refused",
            Cause::Truncated => "ended without saying so; what came may be incomplete, do not trust its end",
            Cause::HandshakeCut => {
                "ended by the peer during the handshake; check that both ends want the same security and keys"
            }
            Cause::NotSecured => "does not speak the protocol asked of it; is this the right port?",
            Cause::NothingInCommon => "no version, cipher suite or key exchange in common",
            Cause::AlpnMismatch => "no application protocol in common",
            Cause::CertificateName => {
                "its certificate is for another name; check the name that was asked for"
            }
            Cause::CertificateExpired => "its certificate is expired or not valid yet; check both clocks",
            Cause::CertificateUnknown => {
                "its certificate is from nobody trusted here; add its issuer to the roots"
            }
            Cause::CertificateRevoked => "its certificate was revoked",
            Cause::CertificateInvalid => "its certificate is unusable",
            Cause::CertificateMissing => "it showed no certificate, and one is required",
            Cause::KeyNotAllowed => "its key is none of those allowed; check pins and keys",
            Cause::PeerRefused => "refused by the peer during the handshake or after; its alert says why",
            Cause::Tampered => "a record could not be authenticated; wrong keys, or altered on the way",
            Cause::ProtocolViolation => "broke the rules of the protocol that secures the connection",
            Cause::SessionExpired => "the session has reached its age; reconnect",
            Cause::NonceExhausted => "the session's key is used up; reconnect",
        }
    }
}

/// Coarse classes of [`Cause`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Class {
    /// Somebody ended it on purpose.
    Orderly,
    /// A fault of network or peer that may pass.
    Transient,
    /// A deadline came: somebody was too slow.
    Slow,
    /// Trying the same again fails the same way.
    Permanent,
    /// A defect in the program.
    Bug,
    /// This machine is short of something.
    System,
}

/// What to do next about a [`Cause`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Recovery {
    /// Try the same request again on a new connection, after a pause.
    Retry,
    /// A new connection serves the next request; nothing is wrong.
    Reconnect,
    /// Try another endpoint first.
    Fallback,
    /// Give up: repeating cannot help.
    Abort,
}

/// Why one connection ended: the cause, who the peer was, and when.
///
/// Its text names cause, peer and remedy:
/// `127.0.0.1:9: refused; check that something listens there, or try another endpoint`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CloseReason {
    pub(crate) cause: Cause,
    pub(crate) peer: Option<Address>,
    pub(crate) errno: Option<i32>,
    pub(crate) detail: Option<Box<str>>,
    pub(crate) at: Instant,
}

impl CloseReason {
    /// Particulars, where a security layer had some to tell: which alert came, which name was expected.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        self.detail.as_deref()
    }

    /// What ended it.
    #[must_use]
    pub const fn cause(&self) -> Cause {
        self.cause
    }

    /// Whose doing it was and whether trying again can help.
    #[must_use]
    pub const fn class(&self) -> Class {
        self.cause.class()
    }

    /// What a client that still wants its answer should do.
    #[must_use]
    pub const fn recovery(&self) -> Recovery {
        self.cause.recovery()
    }

    /// The other end.
    #[must_use]
    pub const fn peer(&self) -> Option<&Address> {
        self.peer.as_ref()
    }

    /// The system's error number, where one was the cause.
    #[must_use]
    pub const fn errno(&self) -> Option<i32> {
        self.errno
    }

    /// When the connection ended, on the reactor's clock.
    #[must_use]
    pub const fn at(&self) -> Instant {
        self.at
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.peer {
            Some(peer) => write!(f, "{peer}: {}", self.cause.sentence())?,
            None => write!(f, "unknown peer: {}", self.cause.sentence())?,
        }
        match (self.errno, &self.detail) {
            (Some(errno), _) => write!(f, " ({})", io::Error::from_raw_os_error(errno)),
            (None, Some(detail)) => write!(f, " ({detail})"),
            (None, None) => Ok(()),
        }
    }
}

/// The cause that an error number of a connection stands for.
pub(crate) fn cause_of_errno(errno: i32) -> Cause {
    use rustix::io::Errno;
    match Errno::from_raw_os_error(errno) {
        Errno::CONNREFUSED => Cause::Refused,
        Errno::CONNRESET | Errno::PIPE | Errno::CONNABORTED => Cause::Reset,
        Errno::HOSTUNREACH | Errno::NETUNREACH | Errno::HOSTDOWN | Errno::NETDOWN => Cause::Unreachable,
        Errno::ADDRINUSE
        | Errno::ADDRNOTAVAIL
        | Errno::ACCESS
        | Errno::PERM
        | Errno::NOENT
        | Errno::NOTDIR => Cause::AddressUnusable,
        Errno::TIMEDOUT => Cause::PeerVanished,
        _ => Cause::System,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_close_reason_names_cause_peer_and_what_to_do() {
        let peer: Address = "127.0.0.1:9".parse().unwrap();
        for (number, cause) in Cause::ALL.into_iter().enumerate() {
            assert_eq!(cause as usize, number, "Cause::ALL must be in order");
            let reason =
                CloseReason { cause, peer: Some(peer.clone()), errno: None, detail: None, at: Instant::ZERO };
            let text = reason.to_string();
            assert!(text.starts_with("127.0.0.1:9: ") && text.ends_with(cause.sentence()), "{text}");
            assert_eq!((reason.class(), reason.recovery()), (cause.class(), cause.recovery()));
        }
        let reason = CloseReason {
            cause: Cause::Refused,
            peer: Some(peer),
            errno: Some(111),
            detail: None,
            at: Instant::ZERO,
        };
        assert_eq!(
            reason.to_string(),
            "127.0.0.1:9: refused; check that something listens there, or try another endpoint \
             (Connection refused (os error 111))"
        );
    }

    #[test]
    fn addresses_are_read_and_written_alike() {
        for text in ["127.0.0.1:7000", "[::1]:7000", "unix:/run/x.sock"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        let error = "localhost".parse::<Address>().unwrap_err().to_string();
        assert_eq!(error, "'localhost' is no address: write IP:PORT, [IPV6]:PORT or unix:PATH");
    }
}
