//! Handshakes, what they came to, and the alerts that were sent and received are counted where they happen.

use crate::rig::{Pair, echo, ignore};
use crate::security::{Kind, authority, client_tls, server_tls};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use windlass::metrics::{By, Figures, HandshakeKind, Label, Metrics, TlsAlert};
use windlass::tls::rustls_0_23::rustls;
use windlass::tls::rustls_0_23::rustls::pki_types::CertificateDer;
use windlass::tls::rustls_0_23::rustls::pki_types::pem::PemObject;
use windlass::tls::{ClientTls, ServerTls};
use windlass::{Cause, Config, Connect, Options, Reactor};

fn figures(reactor: &mut Reactor) -> Figures {
    reactor.io().metrics().figures()
}

/// What was counted, kind by kind.
fn told<K: Label, const N: usize>(tally: &By<K, u64, N>) -> Vec<(&'static str, u64)> {
    tally.nonzero().map(|(kind, n)| (kind.name(), n)).collect()
}

#[test]
fn handshakes_are_counted_by_kind_at_both_ends_with_their_latency() {
    for (kind, names) in [
        (Kind::Plain, [&[][..], &[]]),
        (Kind::Tls, [&["tls_server_full"], &["tls_client_full"]]),
        (Kind::Noise, [&["noise_responder"], &["noise_initiator"]]),
        (Kind::TlsNoise, [&["tls_server_full", "noise_responder"], &["tls_client_full", "noise_initiator"]]),
    ] {
        let (mut pair, _) = Pair::new(kind, Options::default());
        pair.until("open", echo, ignore, |pair| !pair.s.opened.is_empty() && !pair.c.opened.is_empty());
        for (reactor, names) in [&mut pair.server, &mut pair.client].into_iter().zip(names) {
            let figures = figures(reactor);
            let counted: Vec<_> = names.iter().map(|name| (*name, 1)).collect();
            assert_eq!(told(&figures.handshakes), counted, "{kind:?}");
            let with_latency = u64::from(!names.is_empty());
            assert_eq!(figures.handshake_latency_nanos.count(), with_latency, "{kind:?}");
            assert_eq!(figures.handshakes_failed.total() + figures.handshakes_pending, 0, "{kind:?}");
            assert_eq!(figures.alerts_sent.total() + figures.alerts_received.total(), 0, "{kind:?}");
        }
    }
}

#[test]
fn connections_that_shake_hands_are_counted_while_they_do() {
    let mut pair = Pair::listening(|listen| listen.tls(&server_tls()), Config::default());
    let conn = pair.client.io().connect(Connect::to(pair.address).tls(&client_tls(), "localhost")).unwrap();
    let silent = TcpStream::connect(pair.address).unwrap();
    pair.until("open", echo, ignore, |pair| !pair.c.opened.is_empty() && pair.s.words.len() >= 3);
    assert_eq!(figures(&mut pair.server).handshakes_pending, 1, "{:?}", pair.s.words);
    assert_eq!(figures(&mut pair.client).handshakes_pending, 0);
    drop(silent);
    assert!(pair.client.io().close(conn));
    pair.until("closed", echo, ignore, |pair| pair.s.closed.len() == 2);
    let server = figures(&mut pair.server);
    assert_eq!(told(&server.handshakes_failed), [("handshake_cut", 1)]);
    assert_eq!((server.handshakes_pending, server.handshakes.total()), (0, 1));
}

#[test]
fn resumed_handshakes_are_told_from_full_ones() {
    let (server, client) = (server_tls(), client_tls());
    let mut pair = Pair::listening(|listen| listen.tls(&server), Config::default());
    for connections in 1..=2 {
        let conn = pair.client.io().connect(Connect::to(pair.address).tls(&client, "localhost")).unwrap();
        // The ticket comes behind the handshake, so something must come behind the ticket.
        pair.client.io().send(conn, b"x").unwrap();
        pair.until("echoed", echo, ignore, |pair| pair.c.received.len() == connections);
    }
    let counted = figures(&mut pair.server).handshakes;
    assert_eq!(told(&counted), [("tls_server_full", 1), ("tls_server_resumed", 1)]);
    let counted = figures(&mut pair.client).handshakes;
    assert_eq!(counted[HandshakeKind::TlsClientResumed], 1);
    let report =
        Metrics::new(vec![pair.client.io().metrics()]).snapshot(pair.client.io().clock()).to_string();
    assert!(report.contains("\nHandshakes ") && report.contains("\n  tls_client_resumed "), "{report}");
    assert!(report.contains("\n  handshake ") && report.contains("\n  pending "), "{report}");
}

/// Lets `client` fail with `server`; each side's causes of failed handshakes are given, and who sends which alert.
#[track_caller]
fn assert_counted(server: &ServerTls, connect: impl FnOnce(Connect) -> Connect, expected: Expected) {
    let mut pair = Pair::listening(|listen| listen.tls(server), Config::default());
    let connect = connect(Connect::to(pair.address));
    pair.client.io().connect(connect).unwrap();
    pair.until("closed", echo, ignore, |pair| !pair.c.closed.is_empty() && !pair.s.closed.is_empty());
    let (server, client) = (figures(&mut pair.server), figures(&mut pair.client));
    let causes = [&client, &server].map(|figures| told(&figures.handshakes_failed));
    assert_eq!(causes, expected.causes.map(|cause| vec![(cause.name(), 1)]));
    let (sender, receiver) = if expected.server_tells { (&server, &client) } else { (&client, &server) };
    assert_eq!(told(&sender.alerts_sent), [(expected.alert.name(), 1)]);
    assert_eq!(told(&receiver.alerts_received), [(expected.alert.name(), 1)]);
    assert_eq!(sender.alerts_received.total() + receiver.alerts_sent.total(), 0);
    assert_eq!(server.handshakes_pending + client.handshakes_pending, 0);
}

struct Expected {
    /// The client's, the server's.
    causes: [Cause; 2],
    server_tells: bool,
    alert: TlsAlert,
}

#[test]
fn refused_certificates_are_counted_by_cause_and_alert() {
    let expected = Expected {
        causes: [Cause::CertificateName, Cause::PeerRefused],
        server_tells: false,
        alert: TlsAlert::BadCertificate,
    };
    assert_counted(&server_tls(), |connect| connect.tls(&client_tls(), "example.com"), expected);
    let pinned = ClientTls::pin_only([[7; 32]]).unwrap();
    let expected = Expected {
        causes: [Cause::KeyNotAllowed, Cause::PeerRefused],
        server_tells: false,
        alert: TlsAlert::CertificateUnknown,
    };
    assert_counted(&server_tls(), |connect| connect.tls(&pinned, "localhost"), expected);
}

#[test]
fn protocols_that_do_not_meet_are_counted_by_cause_and_alert() {
    let made = authority();
    let server =
        ServerTls::builder().certificate_pem(&made.cert_pem, &made.key_pem).alpn(["ours"]).build().unwrap();
    let client = ClientTls::builder().roots_pem(&made.ca_pem).alpn(["theirs"]).build().unwrap();
    let expected = Expected {
        causes: [Cause::AlpnMismatch, Cause::AlpnMismatch],
        server_tells: true,
        alert: TlsAlert::NoApplicationProtocol,
    };
    assert_counted(&server, |connect| connect.tls(&client, "localhost"), expected);
}

#[test]
fn who_does_not_speak_tls_is_told_nothing_and_counted() {
    let mut pair = Pair::listening(|listen| listen.tls(&server_tls()), Config::default());
    let mut plain = TcpStream::connect(pair.address).unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    plain.set_nonblocking(true).unwrap();
    pair.until("closed", echo, ignore, |pair| {
        // The server waits for its peer to see the end and to go as well.
        match plain.read(&mut [0; 64]) {
            Ok(0) => _ = plain.shutdown(Shutdown::Write),
            Ok(told) => panic!("it was told {told} bytes"),
            Err(_) => {}
        }
        !pair.s.closed.is_empty()
    });
    let figures = figures(&mut pair.server);
    assert_eq!(told(&figures.handshakes_failed), [("not_secured", 1)]);
    assert_eq!(figures.alerts_sent.total(), 0);
}

#[test]
fn an_alert_behind_the_handshake_is_counted_as_well() {
    let mut pair = Pair::listening(|listen| listen.tls(&server_tls()), Config::default());
    let address = pair.address;
    let client = std::thread::spawn(move || {
        let mut tls = stock_client();
        let mut socket = TcpStream::connect(address).unwrap();
        rustls::Stream::new(&mut tls, &mut socket).write_all(b"good").unwrap();
        // A record that nobody has sealed.
        socket.write_all(&[&[23, 3, 3, 0, 32][..], &[7; 32]].concat()).unwrap();
        rustls::Stream::new(&mut tls, &mut socket).read_to_end(&mut Vec::new()).unwrap_err().to_string()
    });
    pair.until("closed", echo, ignore, |pair| !pair.s.closed.is_empty());
    assert_eq!(client.join().unwrap(), "received fatal alert: BadRecordMac");
    assert_eq!(pair.s.cause(), Some(Cause::Tampered));
    let figures = figures(&mut pair.server);
    assert_eq!(told(&figures.alerts_sent), [("bad_record_mac", 1)]);
    assert_eq!(figures.handshakes_failed.total(), 0);
}

/// Stock rustls as a client of ours.
fn stock_client() -> rustls::ClientConnection {
    let mut roots = rustls::RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(authority().ca_pem.as_bytes()).unwrap();
    roots.add(root).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    rustls::ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap()
}
