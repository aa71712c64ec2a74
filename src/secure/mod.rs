//! Byte transformers between the socket and the handler: plain, TLS, Noise, and Noise inside TLS.
//!
//! A transformer never touches a socket or a clock. Received bytes are opened from the reactor's receive buffer
//! into its plaintext buffer; outgoing bytes are sealed into a buffer that is written or queued. A sealed record
//! is committed: it has used up its sequence number, so it is queued and never sealed again.
//!
//! Without the features `tls` and `noise` a [`Transformer`] cannot exist, and everything that deals with one
//! compiles to nothing.

#[cfg(feature = "noise")]
pub mod noise;
mod session;
mod stack;
#[cfg(feature = "tls")]
pub mod tls;

pub use session::{NoiseSession, Session, TlsSession};
pub(crate) use stack::{Layer, Security, Workspace};

use crate::error::Cause;
use crate::metrics::TlsAlert;
use crate::time::Instant;

/// One layer of a connection's security.
#[derive(Debug)]
pub(crate) enum Transformer {
    #[cfg(feature = "tls")]
    Tls(tls::TlsTransformer),
    #[cfg(feature = "noise")]
    Noise(noise::NoiseTransformer),
}

/// What one step of a handshake came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Shaken {
    /// Bytes at the front of the wire that are done with. The rest is to be presented again, as it now is, with more
    /// behind it.
    pub(crate) consumed: usize,
    /// Early data, which may be replayed, written to the front of `plain`.
    pub(crate) early: usize,
    /// The handshake is over; what was not consumed belongs to [`Transformer::open`].
    pub(crate) done: bool,
}

/// What opening received bytes came to.
#[derive(Debug)]
pub(crate) struct Opened {
    /// Bytes at the front of the wire that are done with; the rest is an unfinished record.
    pub(crate) consumed: usize,
    /// Plaintext written to the front of `plain`. It was all authenticated, also before a failure.
    pub(crate) produced: usize,
    pub(crate) then: Then,
}

/// What comes after the bytes that were opened.
#[derive(Debug)]
#[cfg_attr(not(feature = "tls"), allow(dead_code))]
pub(crate) enum Then {
    /// More, if the peer likes.
    More,
    /// Nothing: the peer ended its side in good order. What it sends beyond is ignored.
    Finished,
    /// Nothing: the stream is broken. An alert may stand in the reply.
    Failed(Failure),
}

/// Why a layer gave up on its peer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Failure {
    pub(crate) cause: Cause,
    /// Particulars for the text of the close reason.
    pub(crate) detail: Option<Box<str>>,
    /// The TLS alert that one end told the other by.
    pub(crate) told: Option<Told>,
}

/// A TLS alert, by who sent it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(not(feature = "tls"), allow(dead_code))]
pub(crate) enum Told {
    ByUs(TlsAlert),
    ByPeer(TlsAlert),
}

impl Failure {
    pub(crate) fn new(cause: Cause) -> Failure {
        Failure { cause, detail: None, told: None }
    }

    #[cfg(any(feature = "tls", feature = "noise"))]
    pub(crate) fn because(cause: Cause, detail: impl Into<Box<str>>) -> Failure {
        Failure { cause, detail: Some(detail.into()), told: None }
    }

    #[cfg(feature = "tls")]
    pub(crate) fn told(self, told: impl Into<Option<Told>>) -> Failure {
        Failure { told: told.into(), ..self }
    }
}

/// Passes a call on to whichever transformer it is.
macro_rules! each {
    ($self:ident, $($by:ident)+ => $call:expr) => {
        each!(@ $self, [$($by)+], $call)
    };
    (@ $self:ident, [mut $of:ident], $call:expr) => {
        match *$self {
            #[cfg(feature = "tls")]
            Transformer::Tls(ref mut $of) => $call,
            #[cfg(feature = "noise")]
            Transformer::Noise(ref mut $of) => $call,
        }
    };
    (@ $self:ident, [$of:ident], $call:expr) => {
        match *$self {
            #[cfg(feature = "tls")]
            Transformer::Tls(ref $of) => $call,
            #[cfg(feature = "noise")]
            Transformer::Noise(ref $of) => $call,
        }
    };
}

#[cfg_attr(not(any(feature = "tls", feature = "noise")), allow(unused_variables, clippy::ptr_arg))]
impl Transformer {
    /// Whether it must speak before the peer has: [`Transformer::shake`] is then called with nothing received.
    pub(crate) fn speaks_first(&self) -> bool {
        each!(self, of => of.speaks_first())
    }

    /// Takes the handshake as far as `wire` goes. What must go to the peer is appended to `reply`, also with a
    /// failure. `wire` may be altered beyond what is consumed. `plain` is at least as long as `wire`.
    pub(crate) fn shake(
        &mut self,
        now: Instant,
        wire: &mut [u8],
        plain: &mut [u8],
        reply: &mut Vec<u8>,
    ) -> Result<Shaken, Failure> {
        each!(self, mut of => of.shake(now, wire, plain, reply))
    }

    /// Adds to `session` what the handshake agreed on, once it is done, and forgets it.
    pub(crate) fn describe(&mut self, session: &mut Session) {
        each!(self, mut of => of.describe(session));
    }

    /// Opens all whole records in `wire` into `plain`, which is at least as long. What must go to the peer (a key
    /// update, an alert) is appended to `reply`, sealed.
    pub(crate) fn open(&mut self, wire: &mut [u8], plain: &mut [u8], reply: &mut Vec<u8>) -> Opened {
        each!(self, mut of => of.open(wire, plain, reply))
    }

    /// The most bytes that sealing `plain_bytes` in one go takes; also asked before the handshake is over.
    pub(crate) fn sealed_bytes_max(&self, plain_bytes: usize) -> usize {
        each!(self, of => of.sealed_bytes_max(plain_bytes))
    }

    /// Seals all of `plain` as records at the front of `sealed`, which has room for
    /// [`Transformer::sealed_bytes_max`], and says how long they are.
    pub(crate) fn seal(&mut self, plain: &[u8], sealed: &mut [u8]) -> Result<usize, Failure> {
        each!(self, mut of => of.seal(plain, sealed))
    }

    /// Appends the mark that ends our side in good order, if the protocol has one. Nothing is sealed after it.
    pub(crate) fn finish(&mut self, reply: &mut Vec<u8>) {
        each!(self, mut of => of.finish(reply));
    }

    /// What the end of the stream means after all that was opened: `None` if it was to be expected.
    pub(crate) fn end_of_stream(&self, bytes_left: usize) -> Option<Failure> {
        each!(self, of => of.end_of_stream(bytes_left))
    }

    /// When the session has lived as long as it may.
    pub(crate) fn expires_at(&self) -> Instant {
        each!(self, of => of.expires_at())
    }
}
