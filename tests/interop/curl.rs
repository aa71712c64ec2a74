//! curl with our examples: pages, bodies both ways, resumption, client certificates, a proxy with TLS on both sides.

use crate::certificates::{Authority, Pair};
use crate::example;
use crate::rig::{Folder, Tool, can_use};
use std::net::SocketAddr;

fn prepared() -> Option<(Folder, Authority, Pair)> {
    if !can_use("curl") {
        return None;
    }
    let (folder, authority) = (Folder::new(), Authority::new());
    let pair = authority.write_server(&folder, "server", &["localhost"]);
    authority.write(&folder);
    Some((folder, authority, pair))
}

/// curl that trusts the folder's authority and finds `localhost` at `address`.
fn start(folder: &Folder, address: SocketAddr, arguments: &[&str], paths: &[&str]) -> Tool {
    let ca = folder.file("ca.pem");
    let port = address.port();
    let urls: Vec<String> = paths.iter().map(|path| format!("https://localhost:{port}{path}")).collect();
    let resolve = format!("localhost:{port}:127.0.0.1");
    let mut all = vec!["-sS", "--cacert", &ca, "--resolve", &resolve];
    all.extend(arguments);
    all.extend(urls.iter().map(String::as_str));
    Tool::start("curl", &all)
}

/// What it says; it must be content.
#[track_caller]
fn curl(folder: &Folder, address: SocketAddr, arguments: &[&str], paths: &[&str]) -> String {
    start(folder, address, arguments, paths).ends_well()
}

fn files(pair: &Pair) -> String {
    format!("{},{}", pair.cert, pair.key)
}

#[test]
fn curl_fetches_and_posts_over_tls() {
    let Some((folder, _, pair)) = prepared() else { return };
    let (_server, address) = example::start("http", &["--tls", &files(&pair), "--cores", "2"]);
    assert_eq!(curl(&folder, address, &[], &["/"]), "Welcome to windlass.\n");
    assert_eq!(curl(&folder, address, &["--http1.1"], &["/", "/"]), "Welcome to windlass.\n".repeat(2));
    let body: String = (0..1_000_000).map(|place| char::from(b'a' + (place / 7 % 26) as u8)).collect();
    let post = format!("@{}", folder.write("body", &body));
    assert!(curl(&folder, address, &["--data-binary", &post], &["/echo"]) == body);
    let chunked = ["-H", "Transfer-Encoding: chunked", "--data-binary", &post];
    assert!(curl(&folder, address, &chunked, &["/echo", "/echo"]) == body.repeat(2));
    assert_eq!(curl(&folder, address, &[], &["/bytes/1000000"]).len(), 1_000_000);
}

#[test]
fn curl_resumes_its_session_with_our_server() {
    let Some((folder, _, pair)) = prepared() else { return };
    // With one core and with two: they share what tickets are made with.
    for cores in ["1", "2"] {
        let (_server, address) =
            example::start("tls_server", &["--cert", &pair.cert, "--key", &pair.key, "--cores", cores]);
        // It closes after each page, so each is a connection of its own.
        let said = curl(&folder, address, &[], &["/"; 8]);
        assert_eq!(said.matches("TLS 1.3 TLS_").count(), 8, "{said}");
        assert_eq!(said.matches("name asked for: localhost").count(), 8, "{said}");
        assert_eq!(said.matches("resumed: true").count(), 7, "{said}");
    }
}

#[test]
fn curl_shows_our_server_its_certificate() {
    let Some((folder, authority, pair)) = prepared() else { return };
    let ca = folder.file("ca.pem");
    let (_server, address) =
        example::start("tls_server", &["--cert", &pair.cert, "--key", &pair.key, "--client-ca", &ca]);
    let known = authority.write_client(&folder, "ann");
    let said = curl(&folder, address, &["--cert", &known.cert, "--key", &known.key], &["/", "/"]);
    assert_eq!(said.matches("client certificates: ").count(), 2, "{said}");
    assert!(!said.contains("client certificates: 0"), "{said}");
    assert_eq!(
        said.matches("resumed: false").count(),
        2,
        "who must show a certificate shows it each time: {said}"
    );
}

#[test]
fn curl_hears_from_our_server_that_it_wants_tls() {
    let Some((_folder, _, pair)) = prepared() else { return };
    let (mut server, address) = example::start("tls_server", &["--cert", &pair.cert, "--key", &pair.key]);
    let (status, said) = Tool::start("curl", &["-sS", &format!("http://{address}/")]).end();
    assert!(!status.success(), "{said}");
    server.says("is not TLS");
}

#[test]
fn curl_reaches_a_server_through_tls_on_both_sides_of_our_proxy() {
    let Some((folder, authority, pair)) = prepared() else { return };
    let inner = authority.write_server(&folder, "inner", &["inner.example"]);
    let (_server, upstream) = example::start("http", &["--tls", &files(&inner)]);
    let ca = folder.file("ca.pem");
    let (mut proxy, address) = example::start(
        "proxy",
        &["--to", &upstream.to_string(), "--tls", &files(&pair), "--to-tls", "inner.example", "--ca", &ca],
    );
    let body = "there and back ".repeat(50_000);
    let post = format!("@{}", folder.write("body", &body));
    assert!(curl(&folder, address, &["--data-binary", &post], &["/echo"]) == body);
    proxy.says("client ");

    let (mut proxy, address) = example::start(
        "proxy",
        &["--to", &upstream.to_string(), "--tls", &files(&pair), "--to-tls", "other.example", "--ca", &ca],
    );
    let (status, said) = start(&folder, address, &[], &["/"]).end();
    assert!(!status.success(), "an upstream of another name is none: {said}");
    proxy.says("upstream ");
}
