//! The world: sockets and listeners behind closed enums, and the options they are made with.
//!
//! Everything above reads, writes and accepts through [`Socket`] and [`Acceptor`], and waits with what its [`World`]
//! gives it; only this room and the reactor know mio. The simulated world is one more variant of each enum, and without
//! the feature `sim` none of them has it.

mod acceptor;
mod options;
#[cfg(feature = "sim")]
pub(crate) mod sim;
mod socket;
mod world;

pub(crate) use acceptor::{AcceptFault, Acceptor, Bind};
pub use options::{KeepAlive, SocketOptions};
pub use socket::Stream;
pub(crate) use socket::{Dialled, Socket};
pub(crate) use world::{Events, Poller, Reported, Reserve, Waker, World};
