//! Names for things that may be gone: an index, the generation of what lives there, and who owns it.

use std::fmt;

/// Index and generation of an entry in [`Slots`](super::Slots).
///
/// Once the entry is removed the handle is stale for good: it never names whatever takes the place next.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Handle {
    index: u32,
    generation: u32,
}

impl Handle {
    pub(crate) const fn new(index: u32, generation: u32) -> Handle {
        Handle { index, generation }
    }

    /// The place in the table: dense, small and reused.
    #[must_use]
    pub const fn index(self) -> u32 {
        self.index
    }

    /// How many entries have lived at that place before this one.
    #[must_use]
    pub const fn generation(self) -> u32 {
        self.generation
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.index, self.generation)
    }
}

/// The component that an event belongs to; carried inside every handle, so telling whose an event is needs
/// no look-up. [`Owner::APP`] is the application itself; `Io::owner` gives out fresh ones.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Owner(u16);

impl Owner {
    /// The application: what everything belongs to unless it says otherwise.
    pub const APP: Owner = Owner(0);
    /// The reactor itself: its events never reach a handler.
    pub(crate) const RUNTIME: Owner = Owner(u16::MAX);

    pub(crate) const fn new(number: u16) -> Owner {
        Owner(number)
    }
}

/// A connection of one reactor. Stays valid as a value for ever, but names nothing once the connection has
/// closed: every call then answers that it is stale.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Conn {
    handle: Handle,
    owner: Owner,
}

impl Conn {
    pub(crate) const fn new(handle: Handle, owner: Owner) -> Conn {
        Conn { handle, owner }
    }

    /// Index and generation in the reactor's table.
    #[must_use]
    pub const fn handle(self) -> Handle {
        self.handle
    }

    /// The place in the reactor's table: dense, small and reused after the connection closed.
    #[must_use]
    pub const fn index(self) -> u32 {
        self.handle.index
    }

    /// Who owns the connection: inherited from the listener, or given to `Connect`.
    #[must_use]
    pub const fn owner(self) -> Owner {
        self.owner
    }
}

impl fmt::Debug for Conn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "conn {:?}", self.handle)
    }
}
