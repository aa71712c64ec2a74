//! Scenarios: what a network does to a program, played in virtual time, measured, and held against what physics allows.

mod board;
mod bounds;
mod graph;
mod mesh;
mod meter;
mod node;
mod plan;
mod stage;

pub use mesh::play;
pub use plan::{Plan, Scenario, Secure};
pub use stage::{Progress, Watch};
