//! `gnutls-cli` and `gnutls-serv`, which share no code with openssl, with our server and our client.

use crate::certificates::{Authority, Pair};
use crate::ours::{self, Client, Server};
use crate::rig::{Folder, Tool, can_use};
use std::net::{SocketAddr, TcpListener};
use windlass::error::Cause;
use windlass::tls::ServerTls;
use windlass::{Connect, Listen};

/// An authority and a certificate for `localhost`; `None`, and said so, without gnutls.
fn prepared() -> Option<(Folder, Authority, Pair)> {
    if !can_use("gnutls-cli") || !can_use("gnutls-serv") {
        return None;
    }
    let (folder, authority) = (Folder::new(), Authority::new());
    let pair = authority.write_server(&folder, "server", &["localhost"]);
    authority.write(&folder);
    Some((folder, authority, pair))
}

/// A client that takes lines: `^rekey^` updates the keys, everything else is sent.
fn client(folder: &Folder, address: SocketAddr, arguments: &[&str]) -> Tool {
    let (port, ca) = (address.port().to_string(), folder.file("ca.pem"));
    let mut all = vec!["-o0", "gnutls-cli", "--x509cafile", &ca, "--inline-commands", "-p", &port];
    all.extend(["--sni-hostname", "localhost", "--verify-hostname", "localhost"]);
    all.extend(arguments);
    all.push("127.0.0.1");
    Tool::start("stdbuf", &all)
}

/// A server that sends lines back. It cannot choose a port of its own, and somebody else may take the one chosen for
/// it in between: then another is tried.
fn server(pair: &Pair, arguments: &[&str]) -> (Tool, SocketAddr) {
    const TRIES_MAX: usize = 20;
    for _ in 0..TRIES_MAX {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let address = free.expect("a free port");
        let port = address.port().to_string();
        let mut all = vec!["-o0", "gnutls-serv", "--echo", "-p", &port, "--x509certfile", &pair.cert];
        all.extend(["--x509keyfile", &pair.key]);
        all.extend(arguments);
        let mut server = Tool::start("stdbuf", &all);
        server.says("listening on IPv4");
        if server.says_after("listening on IPv4").contains("done") {
            return (server, address);
        }
    }
    panic!("no port that stayed free");
}

#[test]
fn gnutls_cli_verifies_negotiates_and_is_echoed() {
    let Some((folder, _, pair)) = prepared() else { return };
    let tls = ServerTls::builder().certificate_files(&pair.cert, &pair.key).alpn(["http/1.1"]).build();
    let server = Server::start(Listen::tcp("127.0.0.1:0").tls(&tls.expect("a pair")));
    let mut client = client(&folder, server.address, &["--alpn", "http/1.1"]);
    client.says("Handshake was completed");
    let session = server.opened().tls.expect("TLS");
    assert_eq!(session.server_name.as_deref(), Some("localhost"));
    assert_eq!(session.alpn.as_deref(), Some(&b"http/1.1"[..]));
    client.type_line("over and out");
    client.says("over and out");
    for update in 1..=3 {
        client.type_line("^rekey^");
        client.says_times("Rekey was completed", update);
        client.type_line(&format!("after {update}"));
        client.says(&format!("after {update}"));
    }
    let said = client.ends_well();
    assert!(said.contains("The certificate is trusted"), "{said}");
    assert_eq!(server.closed().cause(), Cause::PeerClosed);
}

#[test]
fn gnutls_cli_resumes() {
    let Some((folder, _, pair)) = prepared() else { return };
    let server = Server::start(Listen::tcp("127.0.0.1:0").tls(&ours::server_tls(&pair)));
    let mut client = client(&folder, server.address, &["--resume", "--waitresumption"]);
    client.says("This is a resumed session");
    assert!(!server.opened().tls.expect("TLS").resumed);
    assert_eq!(server.closed().cause(), Cause::PeerClosed);
    assert!(server.opened().tls.expect("TLS").resumed);
    client.type_line("again");
    client.says("again");
    client.ends_well();
}

#[test]
fn gnutls_cli_of_an_older_version_hears_why_it_is_refused() {
    let Some((folder, _, pair)) = prepared() else { return };
    let server = Server::start(Listen::tcp("127.0.0.1:0").tls(&ours::server_tls(&pair)));
    for version in ["TLS1.0", "TLS1.1", "TLS1.2"] {
        let priority = format!("NORMAL:-VERS-ALL:+VERS-{version}");
        let mut client = client(&folder, server.address, &["--priority", &priority]);
        client.says("Error in protocol version");
        assert_eq!(server.closed().cause(), Cause::NothingInCommon, "{version}");
    }
}

#[test]
fn gnutls_serv_agrees_with_us_and_resumes() {
    let Some((folder, _, pair)) = prepared() else { return };
    let (mut server, address) = server(&pair, &["--alpn", "http/1.1", "--disable-client-cert"]);
    let tls = ours::client_tls(&folder).alpn(["http/1.1"]).build().expect("an authority");
    for (resumed, times) in [(false, 1), (true, 2), (true, 3)] {
        let mut client = Client::connect(Connect::to(address).tls(&tls, "localhost"));
        let session = client.opened().tls.expect("TLS");
        assert_eq!((session.version, session.resumed), ("TLS 1.3", resumed));
        assert_eq!(session.alpn.as_deref(), Some(&b"http/1.1"[..]));
        let line = format!("line {times}\n");
        client.send(line.as_bytes());
        client.receives(line.as_bytes());
        assert_eq!(client.close().cause(), Cause::Closed);
        server.says_times("Accepted connection", times);
    }
    // It would say so of an end without the mark for it, before it says anything of the next connection.
    assert!(!server.has_said("Error"), "{}", server.said());
}

#[test]
fn gnutls_serv_wants_our_certificate() {
    let Some((folder, authority, pair)) = prepared() else { return };
    let ca = folder.file("ca.pem");
    let (mut server, address) =
        server(&pair, &["--require-client-cert", "--verify-client-cert", "--x509cafile", &ca]);
    let known = authority.write_client(&folder, "ann");
    let tls = ours::client_tls(&folder).identity_files(&known.cert, &known.key).build().expect("files");
    let mut client = Client::connect(Connect::to(address).tls(&tls, "localhost"));
    client.send(b"it is me\n");
    client.receives(b"it is me\n");
    server.says("CN=ann");
    client.close();

    let tls = ours::client_tls(&folder).build().expect("an authority");
    let refused = Client::connect(Connect::to(address).tls(&tls, "localhost")).closed();
    assert_eq!(refused.cause(), Cause::PeerRefused, "{refused}");
}
