//! What a handler is told, and the handles it is told with.

use crate::collections::{Conn, Handle, Owner};
use crate::error::{Address, CloseReason};
use crate::secure::Session;
use crate::time::Instant;
use std::fmt;

use super::Io;

/// Something happened. See the [crate documentation](crate) for the order in which events come.
///
/// An event is a small copyable value: what does not fit is lent for the duration of the call.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A listener took a connection in; [`Event::Opened`] follows when data may flow.
    Accepted {
        /// The new connection.
        conn: Conn,
        /// The listener that took it.
        listener: Listener,
        /// The other end.
        peer: &'a Address,
    },
    /// Data may flow: connected, and all handshakes done. Comes exactly once for every connection that gets
    /// that far.
    #[non_exhaustive]
    Opened {
        /// The connection.
        conn: Conn,
        /// What its handshakes agreed on: nothing on a plain connection.
        session: &'a Session,
    },
    /// Bytes that came within a TLS handshake and may be a replay of what somebody else sent before: act on them
    /// only if doing so twice does no harm. Comes before `Opened`, and only from servers that opted in to early
    /// data. The bytes cannot be kept.
    EarlyData {
        /// The connection.
        conn: Conn,
        /// What came.
        bytes: &'a [u8],
    },
    /// Bytes came. They are lent for the duration of the call; what the handler wants to see again it must
    /// [`keep`](Io::keep).
    Data {
        /// The connection.
        conn: Conn,
        /// Kept bytes first, then the new ones.
        bytes: &'a [u8],
    },
    /// The outbound queue fell to its low watermark after it had been over the high one or had refused
    /// something: send on.
    Drained {
        /// The connection.
        conn: Conn,
    },
    /// The peer ended its side; sending still works. Only with [`Options::half_close`](crate::Options).
    PeerFinished {
        /// The connection.
        conn: Conn,
    },
    /// The connection is over: exactly once, and nothing follows.
    Closed {
        /// The connection; the handle is stale from now on.
        conn: Conn,
        /// Why.
        reason: &'a CloseReason,
    },
    /// A timer came.
    Timer {
        /// The timer; the handle is stale from now on.
        timer: Timer,
        /// What [`Io::timer_at`] was given.
        tag: u64,
    },
    /// A mailbox has mail: take it from its inbox. Comes again next turn if some is left.
    Mail {
        /// Which mailbox.
        mailbox: Mailbox,
    },
    /// A foreign source is ready.
    Ready {
        /// The source.
        source: Source,
        /// For what.
        readiness: Readiness,
    },
    /// The listener itself broke; it is closed now.
    ListenerFailed {
        /// The listener; the handle is stale from now on.
        listener: Listener,
        /// What the system said.
        error: &'a std::io::Error,
    },
    /// A graceful shutdown began: listeners are closed, and connections end as soon as they owe nothing.
    Stopping {
        /// When whatever is left will be cut off.
        by: Instant,
    },
}

impl Event<'_> {
    /// The connection that the event is about, if it is about one.
    #[must_use]
    pub const fn conn(&self) -> Option<Conn> {
        match self {
            Event::Accepted { conn, .. }
            | Event::Opened { conn, .. }
            | Event::EarlyData { conn, .. }
            | Event::Data { conn, .. }
            | Event::Drained { conn }
            | Event::PeerFinished { conn }
            | Event::Closed { conn, .. } => Some(*conn),
            _ => None,
        }
    }

    /// The component that the event belongs to; needs no look-up.
    #[must_use]
    pub const fn owner(&self) -> Owner {
        match self {
            Event::Timer { timer, .. } => timer.owner,
            Event::Mail { mailbox } => mailbox.owner,
            Event::Ready { source, .. } => source.owner,
            Event::ListenerFailed { listener, .. } => listener.owner,
            Event::Stopping { .. } => Owner::APP,
            _ => match self.conn() {
                Some(conn) => conn.owner(),
                None => Owner::APP,
            },
        }
    }
}

/// Whatever takes events: a closure `FnMut(&mut Io, Event<'_>)` or a type of your own.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot handle events",
    label = "expected `FnMut(&mut Io, Event<'_>)` or a type that implements `Handler`",
    note = "a closure must name both argument types: `|io: &mut Io, event: Event<'_>| {{ .. }}`"
)]
pub trait Handler {
    /// Takes one event. Nothing that is called on `io` calls the handler again before it has returned.
    fn handle(&mut self, io: &mut Io, event: Event<'_>);
}

impl<F: FnMut(&mut Io, Event<'_>)> Handler for F {
    #[inline]
    fn handle(&mut self, io: &mut Io, event: Event<'_>) {
        self(io, event);
    }
}

macro_rules! owned_handle {
    ($(#[$doc:meta])* $name:ident, $word:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name {
            pub(crate) handle: Handle,
            pub(crate) owner: Owner,
        }

        impl $name {
            /// Whom its events belong to.
            #[must_use]
            pub const fn owner(self) -> Owner {
                self.owner
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($word, " {:?}"), self.handle)
            }
        }
    };
}

owned_handle!(
    /// A listening socket of one reactor.
    Listener,
    "listener"
);
owned_handle!(
    /// A timer of one reactor; stale once it fired or was cancelled.
    Timer,
    "timer"
);
owned_handle!(
    /// A foreign mio source registered with one reactor.
    Source,
    "source"
);

/// The reactor's side of a mailbox, as [`Event::Mail`] names it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Mailbox {
    pub(crate) number: u8,
    pub(crate) owner: Owner,
}

impl Mailbox {
    /// Whom its events belong to.
    #[must_use]
    pub const fn owner(self) -> Owner {
        self.owner
    }
}

/// What to be told about a foreign source.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Interest {
    /// When it can be read.
    Readable,
    /// When it can be written.
    Writable,
    /// Both.
    Both,
}

impl Interest {
    pub(super) fn to_mio(self) -> mio::Interest {
        match self {
            Interest::Readable => mio::Interest::READABLE,
            Interest::Writable => mio::Interest::WRITABLE,
            Interest::Both => mio::Interest::READABLE | mio::Interest::WRITABLE,
        }
    }
}

/// What a foreign source is ready for. Edge triggered: go on until it would block.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Readiness {
    /// It can be read, or its end or an error can be.
    pub readable: bool,
    /// It can be written.
    pub writable: bool,
}
