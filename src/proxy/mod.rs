//! A proxy that injects faults between real programs: latency, limits, stalls, cuts, resets, each on a direction and a
//! share of the connections, changed while they run.
//!
//! [`spawn`] runs one on a thread of its own: three lines in a test. [`Proxies`] is any number of them as a component of
//! a reactor that does other things too. A proxy is a [`Plan`]; a fault is a [`Toxic`], with the names, attributes and
//! JSON of [Toxiproxy](https://github.com/Shopify/toxiproxy) where it has the same.
//!
//! # What holds
//!
//! - Toxics stand in the order in which they were made, in each direction by itself. Bytes, and the end behind them, pass
//!   one after the other, and are never put in another order.
//! - A change of toxics is in force at once, also on the connections there are. None is dropped by it and no byte is
//!   lost, unless losing them is what the toxic is for. What a toxic held flows on when it is taken out, as far as the
//!   next one.
//! - Whatever is held is bounded, [`PROXY_HELD_BYTES_MAX`](crate::limits::PROXY_HELD_BYTES_MAX) in each direction of a
//!   connection: beyond it the sender is not read. A latency therefore also limits the rate, as a window of that size
//!   does.
//! - One end's half-close is the other's half-close, and its reset the other's reset; both go through the toxics, behind
//!   the bytes. A Unix socket knows no reset: there it looks like an end.
//! - Times count from when bytes came, not from when a timer fired, so that delays of several toxics do not add up to
//!   more than they say; a timer fires at most 1 ms and one turn late, and nothing leaves early.
//! - Chance follows from a seed. Whether a toxic is applied to a connection depends on the seed, the number of the
//!   connection and that of the toxic alone; which bytes [`Corrupt`](ToxicKind::Corrupt) hits and which segments
//!   [`Loss`](ToxicKind::Loss) loses, besides on where in the stream they are.
//! - Without a toxic on its direction, bytes are handed over from the receive buffer at once.
//!
//! # Where it differs from Toxiproxy
//!
//! - A `timeout` holds what comes until it is taken out, and does not drop it: as TCP would send it again. It counts from
//!   when it came to the connection.
//! - Misspelt attributes, and values that make no sense, are refused.
//! - A latency also delays the end of the stream.
//! - A client whose bytes were lost because its proxy was switched off sees a reset, not an end in good order.

mod address;
mod attributes;
mod chain;
#[cfg(test)]
mod chain_tests;
mod control;
mod error;
mod flow;
mod metrics;
mod pair;
mod plan;
mod proxies;
mod spawn;
mod toxics;

pub use control::Control;
pub use error::ProxyError;
pub use metrics::{ProxyFigures, Snapshot};
pub use plan::{Change, Direction, Plan, Toxic, ToxicKind};
pub use proxies::{Proxies, Proxy};
pub use spawn::{FaultProxy, spawn, spawn_with};
