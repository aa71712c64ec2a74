//! Handles of connections for benches that need many of them and no traffic.

use std::path::PathBuf;
use windlass::{Config, Conn, Connect, Reactor};

/// Handles of `live` connections. They fail at once, for nobody listens there, and keep their places until the
/// reactor's next turn tells of it, which never comes: so they take no descriptor.
pub fn conns_without_sockets(live: usize) -> Vec<Conn> {
    let nobody = PathBuf::from("/nonexistent/windlass.sock");
    let mut reactor = Reactor::new(Config::default()).expect("a reactor");
    let mut dial = || reactor.io().connect(Connect::to(nobody.clone())).expect("room for one more");
    (0..live).map(|_| dial()).collect()
}
