//! redis-cli with our redis example over TLS.

use crate::certificates::Authority;
use crate::example;
use crate::rig::{Folder, Tool, can_use};

#[test]
fn redis_cli_sets_and_gets_over_tls() {
    if !can_use("redis-cli") {
        return;
    }
    let (folder, authority) = (Folder::new(), Authority::new());
    let pair = authority.write_server(&folder, "server", &["localhost"]);
    let ca = authority.write(&folder);
    let files = format!("{},{}", pair.cert, pair.key);
    let (_server, address) = example::start("redis", &["--tls", &files, "--cores", "2"]);
    let port = address.port().to_string();
    let ask = |command: &[&str]| {
        let secured = ["-p", &port, "--tls", "--cacert", &ca, "--sni", "localhost"];
        Tool::start("redis-cli", &[&secured, command].concat()).ends_well()
    };
    let long = "a long value ".repeat(5000);
    assert_eq!(ask(&["SET", "key", &long]), "OK\n");
    assert_eq!(ask(&["GET", "key"]), format!("{long}\n"));
    assert_eq!(ask(&["-r", "100", "INCR", "count"]).lines().last(), Some("100"));
}
