//! TLS from end to end, without sockets.

mod early;
mod handshakes;
mod refusals;
mod rig;
mod servers;
