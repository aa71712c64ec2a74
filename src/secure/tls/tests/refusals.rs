//! Handshakes that fail: each for a reason of its own, on both ends, with the alert that says so.

use super::super::{ClientTls, ServerTls};
use super::rig::{Authority, Cut, End, assert_open, shake, talk};
use crate::error::Cause;
use crate::limits::TLS_HANDSHAKE_BYTES_MAX;
use crate::metrics::{Label, TlsAlert};
use crate::secure::Told;

/// What each end failed with, and the words of the end that was refused.
#[track_caller]
fn assert_refused(client: &ClientTls, name: &str, server: &ServerTls, causes: [Cause; 2], alert: &str) {
    let (client, server) = shake(client, name, server);
    let found = [client.failure().cause, server.failure().cause];
    let details = [&client.failure().detail, &server.failure().detail];
    assert_eq!(found, causes, "{details:?}");
    let told = details.into_iter().flatten().any(|detail| detail.ends_with(&format!("the alert {alert}")));
    assert!(told, "nobody was told {alert}: {details:?}");
    // What is counted is what was sent: rustls' encrypted alerts are known by the error only.
    let label = *TlsAlert::ALL.iter().find(|known| known.name() == alert).unwrap();
    let counted = [client.failure().told, server.failure().told];
    let both = [Some(Told::ByUs(label)), Some(Told::ByPeer(label))];
    assert!(counted == both || counted == [both[1], both[0]], "{counted:?} is not {alert}");
}

#[test]
fn a_certificate_for_another_name_is_refused() {
    let authority = Authority::new();
    let server = authority.server(&["example.com"]).build().unwrap();
    let causes = [Cause::CertificateName, Cause::PeerRefused];
    assert_refused(&authority.client(), "example.org", &server, causes, "bad_certificate");
    assert_refused(&authority.client(), "127.0.0.1", &server, causes, "bad_certificate");
}

#[test]
fn an_address_is_a_name_too() {
    let authority = Authority::new();
    let server = authority.server(&["127.0.0.1", "::1"]).build().unwrap();
    for address in ["127.0.0.1", "::1"] {
        let (mut client, mut server) = shake(&authority.client(), address, &server);
        assert_open(&mut client, &mut server);
        assert_eq!(server.session().server_name, None);
    }
}

#[test]
fn an_expired_certificate_is_refused() {
    let authority = Authority::new();
    let leaf = authority.issue_until(&["example.com"], 2020);
    let server = ServerTls::from_pem(&leaf.chain, &leaf.key).unwrap();
    let causes = [Cause::CertificateExpired, Cause::PeerRefused];
    assert_refused(&authority.client(), "example.com", &server, causes, "certificate_expired");
}

#[test]
fn a_certificate_of_an_unknown_issuer_is_refused() {
    let server = Authority::new().server(&["example.com"]).build().unwrap();
    let causes = [Cause::CertificateUnknown, Cause::PeerRefused];
    assert_refused(&Authority::new().client(), "example.com", &server, causes, "unknown_ca");
}

#[test]
fn a_revoked_certificate_is_refused_and_so_is_one_that_no_list_speaks_of() {
    let authority = Authority::new();
    let (good, bad) = (authority.issue(&["example.com"]), authority.issue(&["example.com"]));
    let trusting =
        |crl: String| ClientTls::builder().roots_pem(authority.pem()).crls_pem(crl).build().unwrap();
    let client = trusting(authority.revoke(&[&bad]));
    let server = ServerTls::from_pem(&bad.chain, &bad.key).unwrap();
    let causes = [Cause::CertificateRevoked, Cause::PeerRefused];
    assert_refused(&client, "example.com", &server, causes, "certificate_revoked");
    let server = ServerTls::from_pem(&good.chain, &good.key).unwrap();
    let (mut open, mut peer) = shake(&client, "example.com", &server);
    assert_open(&mut open, &mut peer);
    let silent = trusting(Authority::new().revoke(&[]));
    let causes = [Cause::CertificateInvalid, Cause::PeerRefused];
    assert_refused(&silent, "example.com", &server, causes, "unknown_ca");
}

#[test]
fn pins_are_added_to_chain_and_name() {
    let authority = Authority::new();
    let (leaf, other) = (authority.issue(&["example.com"]), authority.issue(&["example.com"]));
    let server = ServerTls::from_pem(&leaf.chain, &leaf.key).unwrap();
    let pinned = |pin| ClientTls::builder().roots_pem(authority.pem()).pin_sha256(pin).build().unwrap();
    let (mut client, mut peer) = shake(&pinned(leaf.pin), "example.com", &server);
    assert_open(&mut client, &mut peer);
    let causes = [Cause::KeyNotAllowed, Cause::PeerRefused];
    assert_refused(&pinned(other.pin), "example.com", &server, causes, "certificate_unknown");
    let causes = [Cause::CertificateName, Cause::PeerRefused];
    assert_refused(&pinned(leaf.pin), "example.org", &server, causes, "bad_certificate");
    let stranger =
        ClientTls::builder().roots_pem(Authority::new().pem()).pin_sha256(leaf.pin).build().unwrap();
    let causes = [Cause::CertificateUnknown, Cause::PeerRefused];
    assert_refused(&stranger, "example.com", &server, causes, "unknown_ca");
}

#[test]
fn pins_alone_ask_for_nothing_but_the_key() {
    let authority = Authority::new();
    let leaf = authority.issue_until(&["example.com"], 2020);
    let server = ServerTls::from_pem(&leaf.chain, &leaf.key).unwrap();
    let client = ClientTls::pin_only([leaf.pin]).unwrap();
    let (mut open, mut peer) = shake(&client, "another.example", &server);
    assert_open(&mut open, &mut peer);
    let client = ClientTls::pin_only([[7; 32]]).unwrap();
    let causes = [Cause::KeyNotAllowed, Cause::PeerRefused];
    assert_refused(&client, "another.example", &server, causes, "certificate_unknown");
}

#[test]
fn a_server_without_the_key_of_the_certificate_it_shows_is_refused() {
    let authority = Authority::new();
    let server = authority.server(&["example.com"]).build().unwrap();
    let client = authority.client();
    let (mut client, mut server) = (End::client(&client, "example.com"), End::server(&server));
    let hello = client.receive(&[]);
    let mut answer = server.receive(&hello);
    let last = answer.len() - 1;
    answer[last] ^= 1;
    let alert = client.receive(&answer);
    assert_eq!(client.failure().cause, Cause::Tampered, "{:?}", client.failure);
    server.receive(&alert);
    assert_eq!(server.failure().cause, Cause::PeerRefused);
    let told = server.failure().detail.as_deref().unwrap_or_default();
    assert!(told.ends_with("bad_record_mac"), "{told}");
}

#[test]
fn protocols_that_do_not_meet_are_refused_and_those_that_do_are_named() {
    let authority = Authority::new();
    let server = authority.server(&["example.com"]).alpn(["h2", "http/1.1"]).build().unwrap();
    let speaking =
        |protocol: &str| ClientTls::builder().roots_pem(authority.pem()).alpn([protocol]).build().unwrap();
    let causes = [Cause::AlpnMismatch, Cause::AlpnMismatch];
    assert_refused(&speaking("gopher"), "example.com", &server, causes, "no_application_protocol");
    let (mut client, mut peer) = shake(&speaking("http/1.1"), "example.com", &server);
    assert_open(&mut client, &mut peer);
    for end in [&client, &peer] {
        assert_eq!(end.session().alpn.as_deref(), Some(&b"http/1.1"[..]));
    }
    let (mut client, mut peer) = shake(&authority.client(), "example.com", &server);
    assert_open(&mut client, &mut peer);
    assert_eq!(peer.session().alpn, None);
}

#[test]
fn a_client_without_a_certificate_is_refused_where_one_is_required() {
    let authority = Authority::new();
    let server = authority.server(&["example.com"]).client_roots_pem(authority.pem());
    let server = server.require_client_certificates().build().unwrap();
    let (mut client, mut server) = shake(&authority.client(), "example.com", &server);
    assert_eq!(server.failure().cause, Cause::CertificateMissing);
    assert!(client.done, "a client learns of it only after its handshake");
    assert_eq!(client.failure().cause, Cause::PeerRefused);
    let told = client.failure().detail.as_deref().unwrap_or_default().to_owned();
    assert!(told.contains("certificate_required"), "{told}");
    assert!(client.finish().is_empty() && server.finish().is_empty(), "nothing follows an alert");
}

#[test]
fn plaintext_at_the_door_is_named_at_its_first_bytes_and_answered_with_nothing() {
    let authority = Authority::new();
    let tls = authority.server(&["example.com"]).build().unwrap();
    for said in ["G", "GET / HTTP/1.1\r\n\r\n", "\x16\x01", "*1\r\n$4\r\nPING\r\n", "\0", "\u{16}\u{3}\u{9}"]
    {
        let mut server = End::server(&tls);
        assert!(server.receive(said.as_bytes()).is_empty());
        assert_eq!(server.failure().cause, Cause::NotSecured, "{said:?}");
    }
    let mut client = End::client(&authority.client(), "example.com");
    assert!(!client.receive(&[]).is_empty());
    assert!(client.receive(b"220 mail.example.com ESMTP\r\n").is_empty());
    assert_eq!(client.failure().cause, Cause::NotSecured);
    assert!(client.finish().is_empty());
}

#[test]
fn a_record_longer_than_tls_allows_is_refused_by_its_header() {
    let authority = Authority::new();
    let mut server = End::server(&authority.server(&["example.com"]).build().unwrap());
    assert_eq!(server.receive(&[22, 3, 1, 0x41, 0x01]), [21, 3, 3, 0, 2, 2, 22], "record_overflow");
    assert_eq!(server.failure().cause, Cause::ProtocolViolation);

    let (client, server) = (authority.client(), authority.server(&["example.com"]).build().unwrap());
    let (mut client, mut server) = (End::client(&client, "example.com"), End::server(&server));
    let hello = client.receive(&[]);
    let answer = server.receive(&hello);
    let alert = server.receive(&[23, 3, 3, 0x41, 0x01]);
    assert_eq!(server.failure().cause, Cause::ProtocolViolation);
    client.receive(&answer);
    client.receive(&alert);
    assert_eq!(client.failure().cause, Cause::PeerRefused, "the alert is sealed");
}

#[test]
fn a_handshake_beyond_its_bound_is_refused() {
    let authority = Authority::new();
    let mut server = End::server(&authority.server(&["example.com"]).build().unwrap());
    let mut first = vec![22, 3, 1, 0x40, 0x00, 1, 0, 0xff, 0xff];
    first.resize(5 + 0x4000, 0);
    let mut more = vec![22, 3, 1, 0x40, 0x00];
    more.resize(5 + 0x4000, 0);
    let mut reply = server.receive(&first);
    let mut sent = first.len();
    while server.failure.is_none() {
        assert!(reply.is_empty() && sent < 2 * TLS_HANDSHAKE_BYTES_MAX, "{sent} bytes and no end");
        reply = server.receive(&more);
        sent += more.len();
    }
    assert_eq!(server.failure().cause, Cause::ProtocolViolation);
    assert!(sent > TLS_HANDSHAKE_BYTES_MAX);
    assert_eq!(reply, [21, 3, 3, 0, 2, 2, 50], "decode_error");
}

#[test]
fn a_peer_that_leaves_in_the_middle_is_cut_off() {
    let authority = Authority::new();
    let server = authority.server(&["example.com"]).build().unwrap();
    let client = authority.client();
    let (mut client, mut server) = (End::client(&client, "example.com"), End::server(&server));
    let hello = client.receive(&[]);
    server.receive(&hello[..hello.len() - 1]);
    for end in [&client, &server] {
        assert_eq!(end.tls.end_of_stream(0).map(|failure| failure.cause), Some(Cause::HandshakeCut));
    }
    let answer = server.receive(&hello[hello.len() - 1..]);
    client.receive(&answer);
    assert!(client.done);
    assert_eq!(client.tls.end_of_stream(0).map(|failure| failure.cause), Some(Cause::Truncated));
    assert_eq!(server.tls.end_of_stream(0).map(|failure| failure.cause), Some(Cause::HandshakeCut));
}

#[test]
fn a_version_that_only_one_end_has_is_refused() {
    let authority = Authority::new();
    let mut server = End::server(&authority.server(&["example.com"]).build().unwrap());
    // A ClientHello of TLS 1.2 with one suite, no extensions but signature_algorithms and supported_groups.
    let extensions: &[u8] = &[0, 13, 0, 4, 0, 2, 4, 3, 0, 10, 0, 4, 0, 2, 0, 29];
    let mut hello = vec![3, 3];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0xc0, 0x2b, 1, 0, 0, extensions.len() as u8]);
    hello.extend(extensions);
    let mut record = vec![22, 3, 1, 0, (hello.len() + 4) as u8, 1, 0, 0, hello.len() as u8];
    record.extend(hello);
    assert_eq!(server.receive(&record), [21, 3, 3, 0, 2, 2, 70], "protocol_version");
    assert_eq!(server.failure().cause, Cause::NothingInCommon);

    let mut client = End::client(&authority.client(), "example.com");
    client.receive(&[]);
    // A ServerHello of TLS 1.2.
    let mut hello = vec![3, 3];
    hello.extend([7; 32]);
    hello.extend([0, 0xc0, 0x2b, 0]);
    let mut record = vec![22, 3, 3, 0, (hello.len() + 4) as u8, 2, 0, 0, hello.len() as u8];
    record.extend(hello);
    assert_eq!(client.receive(&record), [21, 3, 3, 0, 2, 2, 70], "protocol_version");
    assert_eq!(client.failure().cause, Cause::NothingInCommon);
}

#[test]
fn what_a_handshake_was_refused_with_can_be_in_pieces() {
    let authority = Authority::new();
    let server = authority.server(&["example.com"]).build().unwrap();
    let (mut client, mut server) = (End::client(&authority.client(), "example.org"), End::server(&server));
    talk(&mut client, &mut server, Cut::Every(1));
    assert_eq!(client.failure().cause, Cause::CertificateName);
    assert_eq!(server.failure().cause, Cause::PeerRefused);
}
