//! Our client with `openssl s_server`: what it agrees on, resumes and shows, and what each end says of a refusal.

use crate::certificates::Pair;
use crate::ours::Client;
use crate::rig::{Folder, Tool};
use crate::{openssl, ours};
use std::net::SocketAddr;
use windlass::error::Cause;
use windlass::tls::ClientTls;
use windlass::{Connect, TlsSession};

fn connect(tls: &ClientTls, address: SocketAddr) -> Client {
    Client::connect(Connect::to(address).tls(tls, "localhost"))
}

fn opened(client: &mut Client) -> TlsSession {
    client.opened().tls.expect("TLS")
}

/// Says something to the other end both ways.
#[track_caller]
fn talk(server: &mut Tool, client: &mut Client, words: &str) {
    client.send(format!("{words} (asked)\n").as_bytes());
    server.says(&format!("{words} (asked)"));
    server.type_line(&format!("{words} (answered)"));
    client.receives(format!("{words} (answered)\n").as_bytes());
}

/// A server that we, or that must refuse us: it says `words`, and we saw `cause`.
#[track_caller]
fn is_refused(mut server: Tool, mut client: Client, words: &str, cause: Cause) {
    let reason = client.closed();
    assert_eq!(reason.cause(), cause, "{reason}");
    server.says(words);
}

#[test]
fn s_server_agrees_with_us_and_hears_when_we_end() {
    let Some((folder, _, pair)) = openssl::prepared() else { return };
    let (mut server, address) = openssl::server(&pair, &["-alpn", "http/1.1"]);
    let tls = ours::client_tls(&folder).alpn(["h2", "http/1.1"]).build().expect("an authority");
    let mut client = connect(&tls, address);
    let session = opened(&mut client);
    assert_eq!(session.version, "TLS 1.3");
    assert_eq!(session.alpn.as_deref(), Some(&b"http/1.1"[..]));
    assert_eq!(session.peer_certificates.len(), 1);
    talk(&mut server, &mut client, "hello");
    assert_eq!(client.close().cause(), Cause::Closed);
    // It says so only of an end in good order, and an error otherwise.
    server.says("CONNECTION CLOSED");
    assert!(!server.has_said("error:"), "{}", server.said());
}

/// As a web server it says that it ends; told to quit it just closes the socket.
#[test]
fn s_server_ends_in_good_order_or_not_and_we_can_tell() {
    let Some((folder, _, pair)) = openssl::prepared() else { return };
    let tls = ours::client_tls(&folder).build().expect("an authority");
    let (_server, address) = openssl::server(&pair, &["-www"]);
    let mut client = connect(&tls, address);
    client.send(b"GET / HTTP/1.0\r\n\r\n");
    client.receives(b"HTTP/1.0 200 ok");
    assert_eq!(client.closed().cause(), Cause::PeerClosed);

    let (mut server, address) = openssl::server(&pair, &[]);
    let mut client = connect(&tls, address);
    talk(&mut server, &mut client, "hello");
    server.type_line("Q");
    assert_eq!(client.closed().cause(), Cause::Truncated);
}

#[test]
fn s_server_may_choose_any_suite_and_group() {
    let Some((folder, _, pair)) = openssl::prepared() else { return };
    let tls = ours::client_tls(&folder).build().expect("an authority");
    let suites = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"];
    for (suite, group) in suites.into_iter().zip(["X25519", "P-256", "P-384"]) {
        let (mut server, address) = openssl::server(&pair, &["-ciphersuites", suite, "-groups", group]);
        let mut client = connect(&tls, address);
        assert_eq!(opened(&mut client).cipher_suite, suite);
        talk(&mut server, &mut client, "with any of them");
        assert_eq!(client.close().cause(), Cause::Closed);
    }
}

#[test]
fn s_server_may_pad_and_cut_its_records_and_give_no_or_many_tickets() {
    let Some((folder, _, pair)) = openssl::prepared() else { return };
    let tls = ours::client_tls(&folder).build().expect("an authority");
    let ways = [
        ["-record_padding", "1024"],
        ["-max_send_frag", "512"],
        ["-num_tickets", "0"],
        ["-num_tickets", "20"],
    ];
    for way in ways {
        let (mut server, address) = openssl::server(&pair, &way);
        let mut client = connect(&tls, address);
        talk(&mut server, &mut client, &format!("{way:?} short"));
        talk(&mut server, &mut client, &format!("{way:?} {}", "0123456789".repeat(300)));
        assert_eq!(client.close().cause(), Cause::Closed, "{way:?}");
    }
}

#[test]
fn s_server_lets_us_resume_with_its_tickets() {
    let Some((folder, _, pair)) = openssl::prepared() else { return };
    let (mut server, address) = openssl::server(&pair, &[]);
    let tls = ours::client_tls(&folder).build().expect("an authority");
    for (round, resumed) in [false, true, true].into_iter().enumerate() {
        let mut client = connect(&tls, address);
        assert_eq!(opened(&mut client).resumed, resumed, "round {round}");
        talk(&mut server, &mut client, &format!("round {round}"));
        client.close();
    }
    server.says_times("Reused session-id", 2);
}

#[test]
fn s_server_updates_its_key_and_asks_for_ours_to_be_updated() {
    let Some((folder, _, pair)) = openssl::prepared() else { return };
    let (mut server, address) = openssl::server(&pair, &[]);
    let tls = ours::client_tls(&folder).build().expect("an authority");
    let mut client = connect(&tls, address);
    talk(&mut server, &mut client, "before");
    for (update, times) in ["k", "K", "K", "k", "K"].into_iter().zip(1..) {
        server.type_line(update);
        server.says_times("SSL_do_handshake -> 1", times);
        talk(&mut server, &mut client, &format!("after {times}"));
    }
    client.close();
}

#[test]
fn s_server_wants_our_certificate() {
    let Some((folder, authority, pair)) = openssl::prepared() else { return };
    let (known, ca) = (authority.write_client(&folder, "ann"), folder.file("ca.pem"));
    let (mut server, address) =
        openssl::server(&pair, &["-Verify", "1", "-verify_return_error", "-CAfile", &ca]);
    let identified =
        |pair: &Pair| ours::client_tls(&folder).identity_files(&pair.cert, &pair.key).build().expect("files");
    let mut client = connect(&identified(&known), address);
    talk(&mut server, &mut client, "it is me");
    assert!(server.has_said("CN = ann"), "{}", server.said());
    client.close();

    // We are done before the server has seen that we are nobody: such a connection opens, and is closed then.
    let anonymous = ours::client_tls(&folder).build().expect("an authority");
    let refused = connect(&anonymous, address).closed();
    assert_eq!(refused.cause(), Cause::PeerRefused, "{refused}");
    assert!(refused.to_string().contains("certificate"), "{refused}");

    let elsewhere = Folder::new();
    let stranger = crate::certificates::Authority::named("another authority").write_client(&elsewhere, "ann");
    let refused = connect(&identified(&stranger), address).closed();
    assert_eq!(refused.cause(), Cause::PeerRefused, "{refused}");
}

#[test]
fn s_server_hears_why_its_certificate_will_not_do() {
    let Some((folder, authority, pair)) = openssl::prepared() else { return };
    let tls = ours::client_tls(&folder).build().expect("an authority");
    let (server, address) = openssl::server(&pair, &[]);
    let client = Client::connect(Connect::to(address).tls(&tls, "example.org"));
    is_refused(server, client, "alert bad certificate", Cause::CertificateName);

    let elsewhere = Folder::new();
    let unknown = crate::certificates::Authority::named("another authority").write_server(
        &elsewhere,
        "unknown",
        &["localhost"],
    );
    let (server, address) = openssl::server(&unknown, &[]);
    is_refused(server, connect(&tls, address), "alert unknown ca", Cause::CertificateUnknown);

    let expired = authority.write_expired_server(&folder, "expired", &["localhost"]);
    let (server, address) = openssl::server(&expired, &[]);
    is_refused(server, connect(&tls, address), "alert certificate expired", Cause::CertificateExpired);
}

#[test]
fn s_server_without_tls_1_3_is_refused() {
    let Some((folder, _, pair)) = openssl::prepared() else { return };
    let tls = ours::client_tls(&folder).build().expect("an authority");
    let (server, address) = openssl::server(&pair, &["-tls1_2"]);
    is_refused(server, connect(&tls, address), "unsupported protocol", Cause::NothingInCommon);
}

#[cfg(feature = "tls12")]
#[test]
fn s_server_of_tls_1_2_is_taken_if_that_was_asked_for() {
    let Some((folder, _, pair)) = openssl::prepared() else { return };
    let tls = ours::client_tls(&folder).tls12().build().expect("an authority");
    let (mut server, address) = openssl::server(&pair, &["-tls1_2"]);
    for resumed in [false, true] {
        let mut client = connect(&tls, address);
        let agreed = opened(&mut client);
        assert_eq!((agreed.version, agreed.resumed), ("TLS 1.2", resumed));
        talk(&mut server, &mut client, &format!("resumed: {resumed}"));
        assert_eq!(client.close().cause(), Cause::Closed);
    }
}
