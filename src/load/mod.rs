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
//!
//! # Why the intended start
//!
//! Take a server that answers one request at a time in 0.1 ms, give it 1,000 requests a second for ten seconds, and
//! let it stand still for one second in the middle. Whoever comes *i* ms after the standstill began waits for the
//! rest of that second and for those who came before: 1,000 - 0.9 *i* ms. The worst hundred of the ten thousand are
//! those up to *i* = 100, so the 99th percentile is **910 ms**, and the median 0.1 ms.
//!
//! A closed loop asks only after it was answered. It has one request in flight when the server stops, asks for nothing
//! during the second, and reports one slow answer among ninety thousand: a 99th percentile of **0.1 ms**. It measured
//! how the server treats somebody who waits for it, which is not what users do. Tests of this module run both against
//! that server in virtual time and hold the figures to 1 %, whatever the number of connections.
//!
//! So each request has an *intended* start, set by the rate alone. Response time counts from there; service time, beside
//! it, from the actual send. A request that waits for a free connection is waiting for the target. What the generator
//! itself adds is measured apart, as [send lag](record::Generator::send_lag): from the moment a request could have been
//! sent to the moment it was.
//!
//! # What a failure counts as
//!
//! A request that was refused, lost with its connection, not answered within [`Plan::timeout`] or never sent at all stands
//! in the distribution with no less than that time-out. Otherwise a target that fails quickly would look fast, and one
//! that fails slowly would look like nothing at all.
//!
//! # Connections that are secured
//!
//! `plan.connect = Connect::to(address).tls(&tls, "example.com")` measures over TLS, `.noise(..)` over Noise. Connecting
//! and shaking hands are measured beside the requests, full handshakes apart from resumed ones, and the record says what
//! was agreed on. With [`Mode::Handshakes`] each request opens a connection of its own: the rate is then one of
//! handshakes.
//!
//! # What is not told
//!
//! A percentile without ten samples beyond it. The 99.9th of a thousand requests is the one worst of them; ask for more
//! requests.

mod arrivals;
mod compare;
mod crowding;
mod descriptors;
mod engine;
mod faults;
#[cfg(test)]
mod fixture;
mod generator;
mod host;
mod json;
pub mod plan;
mod profile;
mod protocol;
pub mod record;
pub mod report;
mod running;
mod samples;
#[cfg(test)]
pub(crate) mod schema_checker;
mod search;
mod secured;
mod series;
mod slo;
mod summary;
mod verdict;

pub use compare::{COMPARED_INTERVALS_MIN, compare};
pub use crowding::CROWDED_FRACTION;
pub use descriptors::reserve as reserve_descriptors;
pub use host::reference_round_trip_ns;
pub use plan::{Mode, Pace, Plan, Spacing, Waiting};
pub use profile::{Profile, Sampler, Traffic};
pub use protocol::{
    Answer, Draw, Echo, Http, HttpRequest, MESSAGE_BYTES_MAX, Malformed, Protocol, Redis, RedisCommands,
    Sizes, Step,
};
pub use record::Run;
pub use running::{Progress, Running, StopRun, run, start};
pub use search::{RateSearch, RateToTry, Stage};
pub use slo::{OBJECTIVES_MAX, Slo};

/// Times, rates and counts as people write and read them: `1.5s`, `50k`, `212 µs`, `49 998`.
pub mod units {
    pub use crate::units::{
        human_bit_rate, human_count, human_duration, human_percent, human_rate, human_size, parse_duration,
        parse_rate,
    };
}
