//! What the crate promises of connections holds on secured ones, whichever way they are secured.

mod damage;
mod deadlines;
mod early;
mod face;
mod flow;
mod half_close;
mod hosting;
mod metrics;
mod noise_on_the_line;
mod opening;
mod peers;
mod rig;
#[path = "../rig/security.rs"]
mod security;
mod sending;
mod storms;
#[path = "../../src/thorough.rs"]
mod thorough;
