//! Scenarios: what a network does to a program, played in virtual time, measured, and held against what physics allows.
//!
//! A [`Plan`] says what to play, [`play`] plays it on a simulated [`Network`](crate::sim::Network) with the production
//! reactor on every node, and a [`Record`] says what came of it; [`page`] draws it for people. The same plan gives the same
//! record, but for what it took on the machine.
//!
//! ```
//! use std::time::Duration;
//! use windlass::scenario::{Plan, Scenario, play};
//!
//! # fn main() -> Result<(), windlass::Error> {
//! let mut plan = Plan::new(Scenario::Mesh);
//! (plan.nodes, plan.duration) = (5, Duration::from_secs(2));
//! let record = play(&plan, &mut |_progress| true)?;
//! let delivery = record.measure("delivery").expect("nodes talk");
//! assert!(delivery.over_bound.as_ref().is_some_and(|over| over.max < Some(1.1)));
//! # Ok(())
//! # }
//! ```

mod board;
mod bounds;
mod broadcast;
mod columns;
mod connect;
mod course;
mod graph;
mod heat;
mod meter;
mod node;
mod plan;
mod real;
pub mod record;
mod report;
mod stage;
mod talk;
mod tell;
#[cfg(test)]
mod tests;
mod transfer;

pub use plan::{Plan, Scenario, Secured};
pub use record::Record;
pub use report::page;
pub use stage::{Progress, Watch};

use crate::error::Error;

/// Plays a scenario. `watch` hears how far it is, several times a second, and answers whether to go on.
///
/// # Errors
/// [`Error::Config`] for a plan that makes no sense, with a sentence; and what the reactors of its nodes cannot be made
/// with.
pub fn play(plan: &Plan, watch: &mut Watch<'_>) -> Result<Record, Error> {
    plan.validate()?;
    let played = match plan.scenario {
        Scenario::Connect => connect::play(plan, watch)?,
        Scenario::Broadcast => broadcast::play(plan, watch)?,
        Scenario::Transfer => transfer::play(plan, watch)?,
        Scenario::Mesh | Scenario::Churn | Scenario::Partition => talk::play(plan, watch)?,
    };
    let mut record = tell::record(plan, &played);
    if let (true, Scenario::Transfer, Some(simulated)) = (plan.real, plan.scenario, record.transfer_time()) {
        let ways = talk::ways(&played.stage.net, &played.hosts, 0, 1);
        drop(played);
        record.add_real(real::transfer(plan, ways, simulated, watch)?);
    }
    Ok(record)
}
