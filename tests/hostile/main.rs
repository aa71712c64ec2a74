//! Attacks on the reactor over real loopback sockets: peers that lie, stall, flood and vanish, shortages of
//! everything, and handlers that do the unexpected.
//!
//! `SWARM_SEED` replays a run of the randomised test, `SWARM_ROUNDS` makes it longer.

mod accepting;
mod closing;
mod deadlines;
mod fairness;
mod mail;
mod memory;
mod panics;
mod receiving;
mod rig;
#[cfg(all(feature = "noise", feature = "tls"))]
#[path = "../rig/security.rs"]
mod security;
mod sending;
mod shutdown;
mod signals;
#[path = "../rig/slow.rs"]
mod slow;
mod swarm;
#[path = "../../src/thorough.rs"]
mod thorough;
