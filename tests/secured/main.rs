//! What the crate promises of connections holds on secured ones, whichever way they are secured.

mod face;
mod metrics;
mod rig;
#[path = "../rig/security.rs"]
mod security;
