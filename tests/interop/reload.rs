//! SIGHUP at `tls_server` while its files change: openssl sees which certificate is served.

use crate::certificates::Pair;
use crate::rig::{Folder, Tool};
use crate::{example, openssl};
use rustix::process::{Pid, Signal, kill_process};
use std::net::SocketAddr;

fn hang_up(server: &Tool) {
    let pid = Pid::from_raw(i32::try_from(server.id()).expect("a process id")).expect("not 0");
    kill_process(pid, Signal::HUP).expect("ours");
}

/// The first name in the certificate that is served now, and a client that goes on being served.
fn served(folder: &Folder, address: SocketAddr) -> (String, Tool) {
    let mut client = openssl::client(folder, address, &["-servername", "localhost"]);
    let name = client.says_after("subject=");
    client.says("\nNew, TLSv1.3");
    (name, client)
}

fn overwrite(pair: &Pair, cert: &str, key: &str) {
    std::fs::write(&pair.cert, cert).expect("room");
    std::fs::write(&pair.key, key).expect("room");
}

#[test]
fn a_half_written_pair_keeps_the_old_certificate_and_a_whole_one_replaces_it() {
    let Some((folder, authority, pair)) = openssl::prepared() else { return };
    let (mut server, address) =
        example::start("tls_server", &["--cert", &pair.cert, "--key", &pair.key, "--cores", "2"]);
    let (first, mut before) = served(&folder, address);
    assert_eq!(first, "CN = localhost");

    let (cert, key) = authority.server(&["new.example", "localhost"]);
    let (old_cert, old_key) = (
        std::fs::read_to_string(&pair.cert).expect("there"),
        std::fs::read_to_string(&pair.key).expect("there"),
    );
    let halves = [
        (&cert[..cert.len() / 2], &*key),
        (&*cert, &key[..key.len() / 2]),
        (&*cert, &*old_key),
        (&*old_cert, &*key),
        ("", &*key),
        (&*cert, ""),
    ];
    for ((cert, key), times) in halves.into_iter().zip(1..) {
        overwrite(&pair, cert, key);
        hang_up(&server);
        server.says_times("certificate kept: ", times);
        assert_eq!(served(&folder, address).0, "CN = localhost", "after {times}: {}", server.said());
    }
    assert!(!server.has_said("reloaded"));

    overwrite(&pair, &cert, &key);
    hang_up(&server);
    server.says("certificate reloaded");
    assert_eq!(served(&folder, address).0, "CN = new.example");

    before.write(b"GET / HTTP/1.0\r\n\r\n");
    before.says("HTTP/1.1 200 OK");
}
