//! `windlass sim` from outside: every scenario at a small size, the same seed twice, what is refused, and what is written.

#[path = "../rig/command.rs"]
mod command;
mod plays;
mod refusals;
mod results;
mod rig;
#[path = "../rig/scratch.rs"]
mod scratch;
