//! A load generator that can be believed: requests start when they are meant to, whether or not the target keeps
//! up, latency counts from that intended start, and the generator measures its own lateness beside it.
//!
//! [`Plan`] says what to do, a [`Protocol`] what to ask, [`run`] does it, and [`Run`] says what came of it.
//!
//! ```no_run
//! use windlass::load::{self, Echo, Pace, Plan, Sizes};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut plan = Plan::new("127.0.0.1:7000".parse::<windlass::Address>()?);
//! plan.pace = Pace::constant(50_000.0);
//! let run = load::run(&plan, Echo::new(Sizes::Fixed(64)))?;
//! println!("{:?}: p99 {:?} ns", run.generator.verdict, run.response.percentile_ns(0.99));
//! # Ok(())
//! # }
//! ```

mod arrivals;
mod descriptors;
mod engine;
mod faults;
mod generator;
pub mod plan;
mod protocol;
pub mod record;
mod running;
mod samples;
mod series;
mod summary;
mod verdict;

pub use descriptors::reserve as reserve_descriptors;
pub use plan::{Pace, Plan, Spacing, Waiting};
pub use protocol::{
    Answer, Draw, Echo, Http, HttpRequest, MESSAGE_BYTES_MAX, Malformed, Protocol, Redis, RedisCommands,
    Sizes, Step,
};
pub use record::Run;
pub use running::{Progress, Running, StopRun, run, start};
