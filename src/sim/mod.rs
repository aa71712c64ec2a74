//! A simulated network under the production reactor: hosts, links and faults in one process, in virtual time,
//! deterministically.

mod chaos;
mod failure;
mod fault;
mod inflict;
mod network;
mod shrink;
#[cfg(feature = "tls")]
pub mod tls;

pub use crate::net::sim::{Latency, Link};
pub use chaos::{Chaos, FaultKind};
pub use failure::{SEED_VARIABLE, seeds};
pub use fault::Fault;
pub use network::{Host, Network};
pub use shrink::{Shrunk, check, shrink};
