//! The simulated network as its users see it: every fault by itself over production reactors, chaos, what a failing run
//! says, shrinking, and that the same seed is the same run.

#[cfg(feature = "tls")]
mod certificates;
mod determinism;
mod failing;
mod hosts;
mod links;
mod odd;
mod rig;
#[cfg(feature = "tls")]
mod secured;
#[rustfmt::skip]
mod shrunk;
#[path = "../../src/thorough.rs"]
mod thorough;
