//! `windlass proxy` as its users meet it: its command line, its file, and its control as Toxiproxy's clients and as the
//! malicious use it.

mod api;
mod clients;
#[path = "../rig/command.rs"]
mod command;
mod malformed;
mod options;
mod populate;
mod rig;
mod slow;
