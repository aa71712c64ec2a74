//! The world: sockets and listeners behind closed enums, and the options they are made with.
//!
//! Everything above reads, writes and accepts through [`Socket`] and [`Acceptor`]; only this room and the
//! reactor know mio. A simulated world becomes one more variant of each enum.

mod acceptor;
mod options;
#[cfg(feature = "sim")]
mod sim;
mod socket;

pub(crate) use acceptor::{AcceptFault, Acceptor, Bind};
pub use options::{KeepAlive, SocketOptions};
pub use socket::Stream;
pub(crate) use socket::{Dialled, Socket};
