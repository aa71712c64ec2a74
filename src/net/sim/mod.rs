//! The simulated network, without I/O and without a clock: links between hosts and the TCP that runs over them.

mod flow;
mod link;
mod path;

pub(crate) use flow::{Change, Flow, FlowSettings, Paths, Step};
pub(crate) use path::{Fate, Path};
pub use link::{Latency, Link};
