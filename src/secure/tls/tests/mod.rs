//! TLS from end to end, without sockets.

mod early;
mod handshakes;
#[cfg(feature = "tls12")]
mod legacy;
mod mangled;
mod ready_made;
mod refusals;
mod rig;
mod servers;
mod sessions;
#[cfg(feature = "sim")]
mod virtual_wall;
