//! `openssl s_client` with our server: what it verifies, resumes, updates and offers, and what it is refused.

use crate::ours::Server;
use crate::rig::{Folder, Tool};
use crate::{openssl, ours};
use windlass::error::Cause;
use windlass::tls::ServerTls;
use windlass::{Listen, TlsSession};

fn listen(tls: &ServerTls) -> Server {
    Server::start(Listen::tcp("127.0.0.1:0").tls(tls))
}

fn opened(server: &Server) -> TlsSession {
    server.opened().tls.expect("TLS")
}

/// Types a line and waits for its echo; that of an earlier one like it does not count.
#[track_caller]
fn is_echoed(client: &mut Tool, line: &str) {
    let before = client.said().matches(line).count();
    client.type_line(line);
    client.says_times(line, before + 1);
}

/// Ends a conversation in good order, and sees that both ends call it that.
#[track_caller]
fn part(server: &Server, mut client: Tool) -> String {
    client.type_line("Q");
    let said = client.ends_well();
    assert_eq!(server.closed().cause(), Cause::PeerClosed);
    said
}

/// A client that must be refused: it says `words`, and the server saw `cause`.
#[track_caller]
fn is_refused(server: &Server, mut client: Tool, words: &str, cause: Cause) {
    client.says(words);
    let reason = server.closed();
    assert_eq!(reason.cause(), cause, "{reason}");
}

#[test]
fn s_client_verifies_negotiates_and_is_echoed() {
    let Some((folder, _, pair)) = openssl::prepared() else { return };
    let tls = ServerTls::builder()
        .certificate_files(&pair.cert, &pair.key)
        .alpn(["http/1.1"])
        .build()
        .expect("a pair");
    let server = listen(&tls);
    let mut client =
        openssl::client(&folder, server.address, &["-servername", "localhost", "-alpn", "h2,http/1.1"]);
    client.says("\nNew, TLSv1.3");
    let session = opened(&server);
    assert_eq!(session.version, "TLS 1.3");
    assert_eq!(session.alpn.as_deref(), Some(&b"http/1.1"[..]));
    assert_eq!(session.server_name.as_deref(), Some("localhost"));
    assert!(!session.resumed && session.peer_certificates.is_empty());
    is_echoed(&mut client, "over and out");
    let said = part(&server, client);
    for words in ["Verification: OK", "Verified peername: localhost", "ALPN protocol: http/1.1"] {
        assert!(said.contains(words), "{words}: {said}");
    }
}

/// The second group makes the server ask for another hello, as s_client sends a share of the first only.
#[test]
fn s_client_may_choose_any_suite_and_group() {
    let Some((folder, _, pair)) = openssl::prepared() else { return };
    let server = listen(&ours::server_tls(&pair));
    let suites = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"];
    for (suite, groups) in suites.into_iter().zip(["X25519", "P-521:X25519", "P-256"]) {
        let mut client =
            openssl::client(&folder, server.address, &["-ciphersuites", suite, "-groups", groups]);
        client.says(&format!("\nNew, TLSv1.3, Cipher is {suite}"));
        let session = opened(&server);
        assert_eq!(session.cipher_suite, suite);
        is_echoed(&mut client, "with any of them");
        part(&server, client);
    }
}

/// Padding is zeroes behind the content that only whoever opens a record sees.
#[test]
fn s_client_may_pad_and_cut_its_records() {
    let Some((folder, _, pair)) = openssl::prepared() else { return };
    let server = listen(&ours::server_tls(&pair));
    for options in [["-record_padding", "1024"], ["-max_send_frag", "512"], ["-record_padding", "16384"]] {
        let mut client = openssl::client(&folder, server.address, &options);
        opened(&server);
        is_echoed(&mut client, "short");
        is_echoed(&mut client, &"0123456789".repeat(500));
        part(&server, client);
    }
}

#[test]
fn s_client_resumes_with_the_ticket_that_it_saved() {
    let Some((folder, _, pair)) = openssl::prepared() else { return };
    let server = listen(&ours::server_tls(&pair));
    let saved = folder.file("session");
    let mut client = openssl::client(&folder, server.address, &["-sess_out", &saved]);
    assert!(!opened(&server).resumed);
    // What comes behind the ticket says that the ticket was taken.
    is_echoed(&mut client, "first");
    part(&server, client);
    let mut client = openssl::client(&folder, server.address, &["-sess_in", &saved]);
    client.says("\nReused, TLSv1.3");
    assert!(opened(&server).resumed);
    is_echoed(&mut client, "second");
    part(&server, client);
}

/// A ticket is good for early data once: whoever recorded the first message and sends it again is not heard before
/// the handshake is over.
#[test]
fn s_client_sends_early_data_once_with_each_ticket() {
    let Some((folder, _, pair)) = openssl::prepared() else { return };
    let tls = ServerTls::builder().certificate_files(&pair.cert, &pair.key).early_data(4096).build();
    let server = listen(&tls.expect("a pair"));
    let (saved, early) = (folder.file("session"), folder.write("early", "before we have met"));
    let mut client = openssl::client(&folder, server.address, &["-sess_out", &saved]);
    opened(&server);
    is_echoed(&mut client, "first");
    part(&server, client);

    let arguments = ["-sess_in", &saved, "-early_data", &early];
    let mut client = openssl::client(&folder, server.address, &arguments);
    client.says("Early data was accepted");
    assert_eq!(server.early(), b"before we have met");
    let session = opened(&server);
    assert!(session.resumed && session.early_data);
    is_echoed(&mut client, "second");
    part(&server, client);

    let mut client = openssl::client(&folder, server.address, &arguments);
    client.says("Early data was rejected");
    assert!(!opened(&server).early_data);
    is_echoed(&mut client, "third");
    part(&server, client);
}

#[test]
fn s_client_updates_its_key_and_asks_for_ours_to_be_updated() {
    let Some((folder, _, pair)) = openssl::prepared() else { return };
    let server = listen(&ours::server_tls(&pair));
    let mut client = openssl::client(&folder, server.address, &[]);
    opened(&server);
    is_echoed(&mut client, "before");
    for (update, times) in ["k", "K", "K", "k", "K"].into_iter().zip(1..) {
        client.type_line(update);
        client.says_times("KEYUPDATE", times);
        is_echoed(&mut client, "after");
    }
    part(&server, client);
}

#[test]
fn s_client_shows_its_certificate_and_is_refused_without_a_good_one() {
    let Some((folder, authority, pair)) = openssl::prepared() else { return };
    let ca = folder.file("ca.pem");
    let tls = ServerTls::builder()
        .certificate_files(&pair.cert, &pair.key)
        .require_client_certificates()
        .client_roots_file(&ca)
        .build()
        .expect("files");
    let server = listen(&tls);
    let known = authority.write_client(&folder, "ann");
    let mut client = openssl::client(&folder, server.address, &["-cert", &known.cert, "-key", &known.key]);
    let shown = opened(&server).peer_certificates;
    assert!(shown[0].windows(3).any(|window| window == b"ann"), "{shown:?}");
    is_echoed(&mut client, "it is me");
    part(&server, client);

    let client = openssl::client(&folder, server.address, &[]);
    is_refused(&server, client, "alert certificate required", Cause::CertificateMissing);

    let elsewhere = Folder::new();
    let stranger = crate::certificates::Authority::named("another authority").write_client(&elsewhere, "ann");
    let client = openssl::client(&folder, server.address, &["-cert", &stranger.cert, "-key", &stranger.key]);
    is_refused(&server, client, "alert unknown ca", Cause::CertificateUnknown);
}

#[test]
fn s_client_of_an_older_version_gets_the_alert_that_says_so() {
    let Some((folder, _, pair)) = openssl::prepared() else { return };
    let server = listen(&ours::server_tls(&pair));
    for version in ["-tls1_1", "-tls1_2"] {
        // At its usual level of security this openssl would not even say that it is so old.
        let client = openssl::client(&folder, server.address, &[version, "-cipher", "DEFAULT@SECLEVEL=0"]);
        is_refused(&server, client, "alert protocol version", Cause::NothingInCommon);
    }
}

#[test]
fn s_client_with_nothing_in_common_gets_the_alert_that_says_so() {
    let Some((folder, _, pair)) = openssl::prepared() else { return };
    let tls = ServerTls::builder()
        .certificate_files(&pair.cert, &pair.key)
        .alpn(["http/1.1"])
        .build()
        .expect("a pair");
    let server = listen(&tls);
    let client = openssl::client(&folder, server.address, &["-alpn", "smtp"]);
    is_refused(&server, client, "alert no application protocol", Cause::AlpnMismatch);
    let client = openssl::client(&folder, server.address, &["-groups", "P-521"]);
    is_refused(&server, client, "alert handshake failure", Cause::NothingInCommon);
    let client = openssl::client(&folder, server.address, &["-ciphersuites", "TLS_AES_128_CCM_SHA256"]);
    is_refused(&server, client, "alert handshake failure", Cause::NothingInCommon);
}

#[test]
fn s_client_that_is_killed_leaves_a_truncated_stream() {
    let Some((folder, _, pair)) = openssl::prepared() else { return };
    let server = listen(&ours::server_tls(&pair));
    let mut client = openssl::client(&folder, server.address, &[]);
    opened(&server);
    is_echoed(&mut client, "and that was");
    drop(client);
    assert_eq!(server.closed().cause(), Cause::Truncated);
}

#[cfg(feature = "tls12")]
#[test]
fn s_client_is_served_with_tls_1_2_if_that_was_asked_for() {
    let Some((folder, _, pair)) = openssl::prepared() else { return };
    let tls = ServerTls::builder().certificate_files(&pair.cert, &pair.key).tls12().build().expect("a pair");
    let server = listen(&tls);
    let saved = folder.file("session");
    for (session, resumed) in [("-sess_out", false), ("-sess_in", true)] {
        let mut client = openssl::client(&folder, server.address, &["-tls1_2", session, &saved]);
        client.says(if resumed { "\nReused, TLSv1.2" } else { "\nNew, TLSv1.2" });
        let agreed = opened(&server);
        assert_eq!((agreed.version, agreed.resumed), ("TLS 1.2", resumed));
        is_echoed(&mut client, "not the newest");
        part(&server, client);
    }
    let mut client = openssl::client(&folder, server.address, &[]);
    client.says("\nNew, TLSv1.3");
    assert_eq!(opened(&server).version, "TLS 1.3");
    part(&server, client);
}
