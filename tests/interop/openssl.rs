//! `openssl s_client` and `openssl s_server`, and what they say when all is well.

use crate::certificates::{Authority, Pair};
use crate::rig::{Folder, Tool, can_use};
use std::net::SocketAddr;

/// An authority, a certificate for `localhost`, and the folder with both; `None`, and said so, without openssl.
pub fn prepared() -> Option<(Folder, Authority, Pair)> {
    if !can_use("openssl") {
        return None;
    }
    let (folder, authority) = (Folder::new(), Authority::new());
    let pair = authority.write_server(&folder, "server", &["localhost"]);
    authority.write(&folder);
    Some((folder, authority, pair))
}

/// `s_client` that trusts the folder's authority, verifies and gives up where it cannot. It takes lines: `Q` ends,
/// `K` updates the keys both ways, `k` its own; everything else is sent.
pub fn client(folder: &Folder, address: SocketAddr, arguments: &[&str]) -> Tool {
    let (address, ca) = (address.to_string(), folder.file("ca.pem"));
    let mut all = vec!["s_client", "-connect", &address, "-CAfile", &ca, "-verify_return_error"];
    all.extend(["-verify_hostname", "localhost"]);
    all.extend(arguments);
    start(&all)
}

/// `s_server` with these files. It takes lines as `s_client` does and prints what it receives.
pub fn server(pair: &Pair, arguments: &[&str]) -> (Tool, SocketAddr) {
    let mut all = vec!["s_server", "-accept", "127.0.0.1:0", "-cert", &pair.cert, "-key", &pair.key];
    all.extend(arguments);
    let mut server = start(&all);
    let address = server.says_after("ACCEPT ").parse().expect("an address");
    (server, address)
}

/// Most of what openssl says of itself waits in a buffer when nobody sits at a terminal; `stdbuf` takes that away.
fn start(arguments: &[&str]) -> Tool {
    Tool::start("stdbuf", &[&["-o0", "openssl"], arguments].concat())
}
