//! A proxy that injects faults between real programs: latency, limits, stalls, cuts, resets, each on a direction and a
//! share of the connections, changed while they run.

mod address;
mod attributes;
mod chain;
mod error;
mod flow;
mod metrics;
mod pair;
mod plan;
mod proxies;
mod spawn;
mod toxics;

pub use error::ProxyError;
pub use metrics::{ProxyFigures, Snapshot};
pub use plan::{Change, Direction, Plan, Toxic, ToxicKind};
pub use proxies::{Proxies, Proxy};
pub use spawn::{FaultProxy, spawn, spawn_with};
