//! An example as a child: `cargo test` builds them beside the tests.

use crate::rig::Tool;
use std::net::SocketAddr;
use std::path::Path;

/// A server example on a port of its own choice.
pub fn start(name: &str, arguments: &[&str]) -> (Tool, SocketAddr) {
    let own = std::env::current_exe().expect("a path");
    let program = own.parent().and_then(Path::parent).expect("target/PROFILE").join("examples").join(name);
    assert!(
        program.exists(),
        "{} is missing: cargo test builds it, but cargo test --test NAME wants cargo build --examples before",
        program.display()
    );
    let mut server = Tool::start(program, &[&["--listen", "127.0.0.1:0"], arguments].concat());
    let address = server.says_after("listening on ").parse().expect("an address");
    (server, address)
}
