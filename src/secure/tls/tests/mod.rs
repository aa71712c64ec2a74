//! TLS from end to end, without sockets.

mod handshakes;
mod refusals;
mod rig;
