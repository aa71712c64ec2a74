//! A load generator that can be believed: requests start when they are meant to, whether or not the target keeps
//! up, latency counts from that intended start, and the generator measures its own lateness beside it.
#![doc = "\n[`Plan`] says what to do, a [`Protocol`] what to ask, [`Run`] what came of it."]

pub mod plan;
mod protocol;
pub mod record;
pub mod report;

pub use plan::{Pace, Plan, Spacing, Waiting};
pub use protocol::{Answer, Draw, Echo, Malformed, Protocol, Sizes, Step};
pub use record::Run;
