//! The simulated world: hosts with cores, sockets and listeners on them, paths between them, and one queue of what
//! happens when. Sans-I/O: it neither reads a clock nor calls a reactor; `crate::sim` asks it what is next.
//!
//! What a reactor sees of it are a [`Port`] (its core), [`Socket`]s and [`Listener`]s, which behave as descriptors of
//! Linux do under edge-triggered epoll. All of them share one [`State`]; the lock around it is there because reactors
//! may move between threads, and nobody ever waits for it.

mod channel;
mod flow;
mod link;
mod listening;
mod path;
#[cfg(any(test, feature = "scenario"))]
pub(crate) mod pftk;
mod port;
mod presets;
mod recording;
mod state;
mod topology;

pub(crate) use channel::ip_of_host;
#[cfg(feature = "scenario")]
pub(crate) use flow::{SEGMENT_BYTES, WINDOW_BYTES};
pub use link::{Latency, Link};
pub use port::Socket;
pub(crate) use port::{Descriptor, Listener, Port};
pub(crate) use state::{Next, Settings, Shared};
pub(crate) use topology::Hosts;
