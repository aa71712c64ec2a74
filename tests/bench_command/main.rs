//! `windlass bench` as its users meet it: what it prints, what it saves, how it ends, and what it says when something
//! goes wrong.

#[path = "../rig/command.rs"]
mod command;
mod failures;
mod refusals;
mod results;
mod rig;
#[path = "../rig/scratch.rs"]
mod scratch;
mod secured;
#[path = "../rig/slow.rs"]
mod slow;
#[path = "../../src/thorough.rs"]
mod thorough;
