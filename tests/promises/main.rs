//! The promises of the reactor, each kept over real loopback sockets by a test that bears its name.

mod adopt_release;
mod budgets;
mod cores;
mod credits;
mod deadlines;
mod foreign;
mod half_close;
mod handles;
mod idle;
mod lent_and_kept;
mod mail;
mod net;
mod order;
mod ownership;
mod sending;
#[path = "../rig/slow.rs"]
mod slow;
#[path = "../../src/thorough.rs"]
mod thorough;
