//! A simulated network under the production reactor: hosts, links and faults in one process, in virtual time,
//! deterministically.

mod fault;
mod network;

pub use crate::net::sim::{Latency, Link};
pub use fault::Fault;
pub use network::{Host, Network};
