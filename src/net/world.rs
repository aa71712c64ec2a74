//! The world that a reactor lives in: the operating system's network, or one core of a simulated host. What a reactor
//! waits with, is woken by and reads the time from is made here.

#[cfg(feature = "sim")]
use super::sim;
use mio::Token;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
#[cfg(feature = "sim")]
use std::sync::{Arc, atomic::AtomicU64};
use std::time::Duration;

/// Where a reactor's sockets are.
#[derive(Clone, Debug)]
pub(crate) enum World {
    /// In the kernel below.
    Os,
    /// In a simulation of this process.
    #[cfg(feature = "sim")]
    Sim(sim::Port),
}

/// What a reactor waits with.
#[derive(Debug)]
pub(crate) enum Poller {
    Os(mio::Poll),
    #[cfg(feature = "sim")]
    Sim {
        port: sim::Port,
        events_max: usize,
    },
}

/// Readiness that was reported and not yet served.
#[derive(Debug)]
pub(crate) enum Events {
    Os(mio::Events),
    #[cfg(feature = "sim")]
    Sim(Vec<(Token, Reported)>),
}

/// What a poller says of a socket, a listener or a foreign source.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reported {
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// The peer's end of stream, a hang-up, an error or an urgent mark is behind what can be read.
    pub(crate) end: bool,
    pub(crate) error: bool,
}

impl Reported {
    #[inline]
    pub(crate) fn of(event: &mio::event::Event) -> Reported {
        let (end, error) = (event.is_read_closed() || event.is_priority(), event.is_error());
        Reported { readable: event.is_readable() || end || error, writable: event.is_writable(), end, error }
    }
}

/// What ends a reactor's wait from anywhere.
#[derive(Debug)]
pub(crate) enum Waker {
    Os(mio::Waker),
    #[cfg(feature = "sim")]
    Sim(sim::Port),
}

/// A descriptor held for a moment in which there are no others.
#[derive(Debug)]
#[expect(dead_code, reason = "held, not used")]
pub(crate) enum Reserve {
    Os(OwnedFd),
    #[cfg(feature = "sim")]
    Sim(sim::Descriptor),
}

impl World {
    /// Where virtual time stands, in nanoseconds; `None` where time is real.
    #[cfg(feature = "sim")]
    pub(crate) const fn virtual_nanos(&self) -> Option<&Arc<AtomicU64>> {
        match self {
            World::Os => None,
            World::Sim(port) => Some(port.nanos()),
        }
    }

    /// What to wait with, room for what `events_max` readiness events say, and the way to end a wait, which shows as
    /// an event of `waking`.
    pub(crate) fn poller(&self, events_max: usize, waking: Token) -> io::Result<(Poller, Events, Waker)> {
        Ok(match self {
            World::Os => {
                let poll = mio::Poll::new()?;
                let waker = mio::Waker::new(poll.registry(), waking)?;
                (Poller::Os(poll), Events::Os(mio::Events::with_capacity(events_max)), Waker::Os(waker))
            }
            #[cfg(feature = "sim")]
            World::Sim(port) => {
                let poller = Poller::Sim { port: port.clone(), events_max };
                (poller, Events::Sim(Vec::new()), Waker::Sim(port.clone()))
            }
        })
    }

    /// One descriptor, or `None` if there is none left.
    pub(crate) fn reserve_descriptor(&self) -> Option<Reserve> {
        match self {
            World::Os => std::fs::File::open("/dev/null").ok().map(|file| Reserve::Os(file.into())),
            #[cfg(feature = "sim")]
            World::Sim(port) => port.reserve_descriptor().map(Reserve::Sim),
        }
    }
}

impl Poller {
    /// Waits for readiness, at most that long. A simulated reactor never waits: its network knows when it is due.
    pub(crate) fn poll(&mut self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        match (self, events) {
            (Poller::Os(poll), Events::Os(events)) => poll.poll(events, timeout),
            #[cfg(feature = "sim")]
            (Poller::Sim { port, events_max }, Events::Sim(events)) => {
                port.take_ready(events, *events_max);
                Ok(())
            }
            #[cfg(feature = "sim")]
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Where real sources are registered.
    ///
    /// # Errors
    /// A simulated reactor can not watch what is real.
    #[inline]
    pub(crate) fn registry(&self) -> io::Result<&mio::Registry> {
        match self {
            Poller::Os(poll) => Ok(poll.registry()),
            #[cfg(feature = "sim")]
            Poller::Sim { .. } => Err(unsupported()),
        }
    }

    /// Watches a simulated socket.
    #[cfg(feature = "sim")]
    pub(super) fn watch(&self, socket: &sim::Socket, token: Token) -> io::Result<()> {
        match self {
            Poller::Os(_) => Err(unsupported()),
            Poller::Sim { port, .. } => {
                port.watch(socket, token);
                Ok(())
            }
        }
    }

    /// Watches a simulated listener.
    #[cfg(feature = "sim")]
    pub(super) fn watch_listener(&self, listener: &sim::Listener, token: Token) -> io::Result<()> {
        match self {
            Poller::Os(_) => Err(unsupported()),
            Poller::Sim { port, .. } => {
                port.watch_listener(listener, token);
                Ok(())
            }
        }
    }

    /// Whether waiting makes sense: in a simulation time stands still while a reactor runs.
    pub(crate) const fn is_real(&self) -> bool {
        match self {
            Poller::Os(_) => true,
            #[cfg(feature = "sim")]
            Poller::Sim { .. } => false,
        }
    }

    /// The descriptor to watch this reactor by.
    ///
    /// # Panics
    /// In a simulation, which never gives a reactor away.
    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Poller::Os(poll) => poll.registry().as_fd(),
            #[cfg(feature = "sim")]
            Poller::Sim { .. } => unreachable!("a simulated reactor stays inside its network"),
        }
    }
}

impl Events {
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Events::Os(events) => events.is_empty(),
            #[cfg(feature = "sim")]
            Events::Sim(events) => events.is_empty(),
        }
    }

    pub(crate) fn clear(&mut self) {
        match self {
            Events::Os(events) => events.clear(),
            #[cfg(feature = "sim")]
            Events::Sim(events) => events.clear(),
        }
    }
}

impl Waker {
    /// Ends the wait of the reactor, or its next one.
    pub(crate) fn wake(&self) {
        match self {
            // Fails only if the counter overflowed, and then the reactor is awake anyway.
            Waker::Os(waker) => drop(waker.wake()),
            #[cfg(feature = "sim")]
            Waker::Sim(port) => port.ring(),
        }
    }
}

/// What is real has no place in a simulation.
#[cfg(feature = "sim")]
pub(super) fn unsupported() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "a simulated reactor takes no sockets of the operating system")
}
