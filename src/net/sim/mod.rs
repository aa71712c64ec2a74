//! The simulated network, without I/O and without a clock: links between hosts and the TCP that runs over them.

mod flow;
mod link;
mod path;
mod presets;

pub(crate) use flow::{Change, Flow, FlowSettings, Paths, Step};
pub use link::{Latency, Link};
pub(crate) use path::{Fate, Path};
