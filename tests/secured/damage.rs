//! Streams that are cut, altered, replayed or never were what they should be.

use crate::deadlines::first_flight;
use crate::peers::{
    ALERT, APPLICATION_DATA, End, Forge, HANDSHAKE, Middle, Raw, TO_CLIENT, TO_SERVER, TlsPeer, tls_records,
};
use crate::rig::{Host, Kind, Pair, SECURED, Side, echo, ignore, pattern};
use crate::security::keys;
use rustls::AlertDescription;
use std::io::Write;
use std::time::Duration;
use windlass::noise::{Noise, Pattern};
use windlass::{Cause, Config, Connect, Listen};

/// A pair with somebody in between, both open.
fn through_middle(kind: Kind) -> (Pair, Middle) {
    let mut pair = Pair::listening(|listen| kind.listen(listen), Config::default());
    let mut middle = Middle::before(pair.address);
    pair.address = middle.address();
    pair.connect(kind);
    pair.until("both open", ignore, ignore, |pair| {
        middle.pump();
        !pair.s.opened.is_empty() && !pair.c.opened.is_empty()
    });
    (pair, middle)
}

/// The length of the first record of this kind, with what stands before it.
fn record_bytes(kind: Kind, wire: &[u8]) -> usize {
    match kind {
        Kind::Noise => 2 + usize::from(u16::from_be_bytes([wire[0], wire[1]])),
        _ => 5 + usize::from(u16::from_be_bytes([wire[3], wire[4]])),
    }
}

/// Two records of the client's that the middle holds back: where they begin, and how long they are.
fn two_records(kind: Kind, pair: &mut Pair, middle: &mut Middle) -> (usize, usize, usize) {
    let base = middle.seen(TO_SERVER).len();
    middle.pass_max[TO_SERVER] = base;
    for piece in [&pattern(100)[..], &pattern(5000)] {
        let conn = pair.c.opened[0];
        pair.client.io().send(conn, piece).unwrap();
        let before = middle.seen(TO_SERVER).len();
        pair.until("sent", ignore, ignore, |_| {
            middle.pump();
            middle.seen(TO_SERVER).len() > before
        });
    }
    let first = record_bytes(kind, &middle.seen(TO_SERVER)[base..]);
    let second = record_bytes(kind, &middle.seen(TO_SERVER)[base + first..]);
    (base, first, second)
}

#[test]
fn a_stream_cut_at_a_record_or_within_is_truncated_and_what_came_whole_before_is_delivered() {
    for kind in SECURED {
        for place in 0..10 {
            let (mut pair, mut middle) = through_middle(kind);
            let (base, first, second) = two_records(kind, &mut pair, &mut middle);
            let cut =
                [0, 1, 4, 6, first - 1, first, first + 1, first + 7, first + second - 1, first + second]
                    [place];
            middle.pass_max[TO_SERVER] = base + cut;
            middle.pump();
            middle.cut(TO_SERVER);
            pair.until(&format!("{kind:?} {cut}"), ignore, ignore, |pair| {
                middle.pump();
                !pair.s.closed.is_empty()
            });
            let whole = if cut >= first + second {
                5100
            } else if cut >= first {
                100
            } else {
                0
            };
            assert_eq!(pair.s.received.len(), whole, "{kind:?} cut after {cut} bytes");
            // Noise alone cannot tell that nothing more was to come.
            let at_end_of_noise = kind == Kind::Noise && [0, first, first + second].contains(&cut);
            let cause = if at_end_of_noise { Cause::PeerClosed } else { Cause::Truncated };
            assert_eq!(pair.s.cause(), Some(cause), "{kind:?} cut after {cut} bytes: {:?}", pair.s.closed);
        }
    }
}

#[test]
fn a_record_altered_anywhere_is_tampered_and_tls_peers_are_told() {
    for kind in SECURED {
        for place in 0..4 {
            let (mut pair, mut middle) = through_middle(kind);
            let (base, first, second) = two_records(kind, &mut pair, &mut middle);
            // The second record's header is left alone: its first byte, one in it, its tag's first and last.
            let header = if kind == Kind::Noise { 2 } else { 5 };
            let at = base + first + [header, header + 1000, second - 16, second - 1][place];
            middle.pass_max[TO_SERVER] = usize::MAX;
            pair.until(&format!("{kind:?} {place}"), ignore, ignore, |pair| {
                middle.pump_through(|to, from, bytes| {
                    let mut bytes = bytes.to_vec();
                    if to == TO_SERVER && (from..from + bytes.len()).contains(&at) {
                        bytes[at - from] ^= 0x10;
                    }
                    bytes
                });
                !pair.s.closed.is_empty() && !pair.c.closed.is_empty()
            });
            assert_eq!(
                (pair.s.cause(), pair.s.received.len()),
                (Some(Cause::Tampered), 100),
                "{kind:?} {place}"
            );
            if kind == Kind::Noise {
                assert_eq!(pair.c.cause(), Some(Cause::PeerClosed));
            } else {
                assert_eq!(pair.c.cause(), Some(Cause::PeerRefused));
                assert_eq!(
                    pair.c.closed[0].2.as_deref().map(|text| text.contains("bad_record_mac")),
                    Some(true)
                );
            }
        }
    }
}

/// A host with a rustls client, both open.
fn host_and_peer() -> (Host, TlsPeer) {
    let mut host = Host::new(Kind::Tls, Config::default());
    let mut peer = TlsPeer::connect(host.address);
    host.until("open", ignore, |host| {
        peer.pump();
        !host.seen.opened.is_empty()
    });
    (host, peer)
}

fn forging() -> (Host, Raw, Forge) {
    let (host, peer) = host_and_peer();
    let (raw, forge) = peer.forge();
    (host, raw, forge)
}

#[test]
fn rustls_hears_bad_record_mac_from_us() {
    let (mut host, mut peer) = host_and_peer();
    let good = peer.seal(b"good");
    let mut bad = peer.seal(b"altered");
    bad[7] ^= 1;
    let behind = peer.seal(b"behind");
    peer.raw.send(&[good, bad, behind].concat());
    host.until("closed", ignore, |host| {
        peer.take();
        if peer.error.is_some() {
            peer.raw.finish();
        }
        !host.seen.closed.is_empty() && peer.error.is_some()
    });
    assert_eq!((host.seen.cause(), &host.seen.received[..]), (Some(Cause::Tampered), &b"good"[..]));
    assert_eq!(peer.error, Some(rustls::Error::AlertReceived(AlertDescription::BadRecordMac)));
    assert_eq!(host.seen.words, ["accepted", "opened", "data", "closed"]);
    host.assert_nothing_left();
}

#[test]
fn what_stands_behind_close_notify_is_not_delivered() {
    for half_close in [false, true] {
        let (mut host, mut raw, mut forge) = forging();
        let conn = host.seen.opened[0];
        let options = windlass::Options::with(|options| options.half_close = half_close);
        host.reactor.io().set_options(conn, options).unwrap();
        let wire = [
            forge.record(APPLICATION_DATA, b"the last"),
            forge.record(ALERT, &[1, 0]),
            forge.record(APPLICATION_DATA, b"beyond the end"),
            b"no record at all".to_vec(),
        ];
        raw.send(&wire.concat());
        host.until("told", ignore, |host| host.seen.words.len() > 3);
        assert_eq!(host.seen.received, b"the last");
        if half_close {
            assert_eq!(host.seen.finished, 1);
            raw.send(b"and still more");
            host.reactor.io().finish(conn).unwrap();
        }
        host.until("closed", ignore, |host| !host.seen.closed.is_empty());
        assert_eq!(host.seen.cause(), Some(Cause::PeerClosed));
        host.assert_nothing_left();
    }
}

/// How the host ends a connection on which this came, and what it had delivered until then.
fn after(wire: impl FnOnce(&mut Forge) -> Vec<u8>) -> (Option<Cause>, String, usize, Option<End>) {
    let (mut host, mut raw, mut forge) = forging();
    let wire = wire(&mut forge);
    raw.send(&wire);
    host.until("closed", ignore, |host| {
        raw.pump();
        if raw.end.is_some() {
            raw.finish();
        }
        !host.seen.closed.is_empty()
    });
    raw.pump();
    host.assert_nothing_left();
    let detail = host.seen.closed[0].2.clone().unwrap_or_default();
    (host.seen.cause(), detail, host.seen.received.len(), raw.end)
}

#[test]
fn records_beyond_the_rules_end_the_connection_by_name() {
    let violation = Some(Cause::ProtocolViolation);
    let (cause, _, delivered, end) = after(|forge| {
        // An oversize record is refused by its header, with data before it.
        [forge.record(APPLICATION_DATA, b"before"), vec![APPLICATION_DATA, 3, 3, 0x41, 0x01]].concat()
    });
    assert_eq!((cause, delivered, end), (violation, 6, Some(End::Fin)));
    let (cause, ..) = after(|forge| forge.record(APPLICATION_DATA, &[7; 16_385]));
    assert_eq!(cause, violation, "more plaintext than a record may hold");
    let (cause, ..) = after(|_| vec![HANDSHAKE, 3, 3, 0, 4, 1, 0, 0, 0]);
    assert_eq!(cause, violation, "a record in the clear after the handshake");
    let (cause, ..) = after(|forge| forge.record(HANDSHAKE, &[20, 0, 0, 0]));
    assert_eq!(cause, violation, "a handshake message that has no place here");
    let (cause, detail, ..) = after(|forge| forge.record(ALERT, &[2, 48]));
    assert_eq!((cause, detail.contains("unknown_ca")), (Some(Cause::PeerRefused), true), "{detail}");
}

#[test]
fn floods_of_empty_records_and_key_updates_end_and_a_few_do_not() {
    let empty = |forge: &mut Forge, n| {
        (0..n).map(|_| forge.record(APPLICATION_DATA, b"")).collect::<Vec<_>>().concat()
    };
    let (mut host, mut raw, mut forge) = forging();
    for _ in 0..5 {
        let wire = [empty(&mut forge, 32), forge.record(APPLICATION_DATA, b"x")].concat();
        raw.send(&wire);
    }
    host.until("data between", ignore, |host| host.seen.received.len() == 5);
    let (cause, detail, delivered, _) = after(|forge| empty(forge, 33));
    assert_eq!((cause, delivered), (Some(Cause::ProtocolViolation), 0), "{detail}");

    for (updates, survives) in [(32, true), (33, false)] {
        let (mut host, mut peer) = host_and_peer();
        for _ in 0..updates {
            peer.tls.refresh_traffic_keys().unwrap();
        }
        let wire = [peer.outgoing(), peer.seal(b"data")].concat();
        peer.raw.send(&wire);
        host.until("an outcome", echo, |host| {
            peer.pump();
            if peer.error.is_some() {
                peer.raw.finish();
            }
            !host.seen.closed.is_empty() || peer.plain == b"data"
        });
        assert_eq!(host.seen.closed.is_empty(), survives, "{updates} updates: {:?}", host.seen.closed);
    }
}

#[test]
fn key_updates_in_the_middle_of_an_echo_disturb_no_byte() {
    let (mut host, mut peer) = host_and_peer();
    let sent = pattern(400_000);
    let mut pieces = sent.chunks(9_000);
    host.until("echoed", echo, |_| {
        if let Some(piece) = pieces.next() {
            peer.tls.refresh_traffic_keys().unwrap();
            let wire = peer.seal(piece);
            peer.raw.send(&wire);
        }
        peer.pump();
        peer.plain.len() == sent.len()
    });
    assert!(peer.plain == sent);
}

#[test]
fn a_replayed_first_message_of_noise_opens_nothing() {
    let flight = first_flight(Kind::Noise);
    let mut host = Host::new(Kind::Noise, Config::default());
    for _ in 0..3 {
        let mut raw = Raw::connect(host.address);
        raw.send(&flight);
        host.until("answered", ignore, |_| {
            raw.pump();
            !raw.got.is_empty()
        });
        // Whoever only has the recording cannot make the third message.
        raw.send(&[&[0, 64][..], &[7; 64]].concat());
        raw.finish();
        host.until("closed", ignore, |host| !host.seen.closed.is_empty());
        assert_eq!((host.seen.cause(), host.seen.opened.len()), (Some(Cause::Tampered), 0));
        host.seen = Side::default();
    }
}

#[test]
fn another_pattern_key_or_prologue_never_opens_a_responder() {
    let peer = keys().0.public();
    let good = || Noise::initiator(&keys().1, peer);
    let others = [
        good().pattern(Pattern::IK),
        good().pattern(Pattern::XX),
        good().prologue(b"something else"),
        good().psk(3, &[7; 32]),
        Noise::unauthenticated_nk_initiator(peer),
        Noise::unauthenticated_nn_initiator(),
        Noise::initiator(&keys().1, keys().1.public()),
    ];
    for kind in [Kind::Noise, Kind::TlsNoise] {
        for (which, noise) in others.iter().enumerate() {
            let mut pair = Pair::listening(|listen| kind.listen(listen), Config::default());
            let connect = kind.connect_with(Connect::to(pair.address), noise);
            pair.client.io().connect(connect).unwrap();
            let (server, _) = pair.causes(&format!("{kind:?} {which}"));
            assert!(pair.s.opened.is_empty());
            let known = matches!(server, Cause::Tampered | Cause::NotSecured | Cause::HandshakeCut);
            assert!(known, "{kind:?} {which}: {:?}", pair.s.closed);
        }
    }
}

#[test]
fn who_speaks_something_else_is_told_apart() {
    let greetings: [&[u8]; 4] =
        [b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b"\x00", &[0xff; 3000]];
    for kind in [Kind::Tls, Kind::TlsNoise] {
        for greeting in greetings {
            let mut host = Host::new(kind, Config::default());
            let mut raw = Raw::connect(host.address);
            raw.send(greeting);
            host.until("closed", ignore, |host| {
                raw.pump();
                if raw.end.is_some() {
                    raw.finish();
                }
                !host.seen.closed.is_empty()
            });
            assert_eq!(host.seen.cause(), Some(Cause::NotSecured), "{kind:?} {greeting:?}");
            host.assert_nothing_left();
        }
    }
    // A client that talks TLS or Noise to a server that talks first, and neither.
    for kind in SECURED {
        let mut pair = Pair::listening(|listen: Listen| listen, Config::default());
        pair.connect(kind);
        pair.until(
            "the client closes",
            |io, event| {
                if let windlass::Event::Opened { conn, .. } = event {
                    io.send(conn, b"220 mail.example ESMTP\r\n").unwrap();
                }
            },
            ignore,
            |pair| !pair.c.closed.is_empty(),
        );
        assert_eq!((pair.c.cause(), pair.c.opened.len()), (Some(Cause::NotSecured), 0), "{kind:?}");
    }
}

#[test]
fn garbage_in_every_place_of_a_handshake_ends_it_and_leaves_nothing() {
    let mut seed = 0x9e37_79b9_u64;
    for kind in SECURED {
        let flight = first_flight(kind);
        let mut host = Host::new(kind, Config::default());
        for from in (0..flight.len()).step_by(flight.len() / 24) {
            let mut wire = flight[..from].to_vec();
            wire.extend((from..flight.len() + 3000).map(|_| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (seed >> 56) as u8
            }));
            let mut raw = Raw::connect(host.address);
            raw.send(&wire);
            raw.finish();
            host.until("closed", ignore, |host| !host.seen.closed.is_empty());
            assert!(host.seen.opened.is_empty());
            let cause = host.seen.cause().unwrap();
            let known = [
                Cause::NotSecured,
                Cause::Tampered,
                Cause::ProtocolViolation,
                Cause::HandshakeCut,
                Cause::NothingInCommon,
                Cause::AlpnMismatch,
                Cause::PeerRefused,
            ];
            assert!(known.contains(&cause), "{kind:?} from {from}: {:?}", host.seen.closed);
            host.seen = Side::default();
            host.assert_nothing_left();
        }
    }
}

#[test]
fn a_handshake_longer_than_it_may_be_ends() {
    // Well-formed records of a message that announces too much at once, and of one that only lasts too long.
    for length in [[0xff, 0xff, 0xff], [0, 0xff, 0xf0]] {
        let mut wire = Vec::new();
        for record in 0..6 {
            wire.extend_from_slice(&[HANDSHAKE, 3, 1, 0x40, 0]);
            let head = if record == 0 { [&[1][..], &length].concat() } else { Vec::new() };
            wire.extend(head.into_iter().chain(std::iter::repeat(0)).take(0x4000));
        }
        let mut host = Host::new(Kind::Tls, Config::default());
        let mut raw = Raw::connect(host.address);
        raw.send(&wire);
        host.until("closed", ignore, |host| {
            raw.pump();
            if raw.end.is_some() {
                raw.finish();
            }
            !host.seen.closed.is_empty()
        });
        assert_eq!(host.seen.cause(), Some(Cause::ProtocolViolation));
        // rustls has no alert for some of it.
        assert!(tls_records(&raw.got).iter().all(|(kind, _)| *kind == ALERT));
        host.assert_nothing_left();
    }
}

#[test]
fn a_reset_or_an_end_in_every_state_is_told_by_its_name_and_leaves_nothing() {
    for kind in SECURED {
        let flight = first_flight(kind);
        let mut host = Host::new(kind, Config::default());
        for sent in [0, 1, flight.len() - 1, flight.len()] {
            for reset in [false, true] {
                let mut raw = Raw::connect(host.address);
                raw.send(&flight[..sent]);
                host.until("accepted", ignore, |host| !host.seen.words.is_empty());
                if reset {
                    raw.reset();
                } else {
                    raw.finish();
                }
                host.until("closed", ignore, |host| !host.seen.closed.is_empty());
                let cause = if reset { Cause::Reset } else { Cause::HandshakeCut };
                assert_eq!(host.seen.cause(), Some(cause), "{kind:?} after {sent} bytes");
                host.seen = Side::default();
                host.assert_nothing_left();
            }
        }
    }
}

#[test]
fn a_peer_that_resets_behind_its_garbage_is_named_for_the_garbage() {
    let mut host = Host::new(Kind::Tls, Config::default());
    let mut raw = Raw::connect(host.address);
    host.until("accepted", ignore, |host| !host.seen.words.is_empty());
    raw.send(b"\x16\x03\x01\xff\xff and so on");
    raw.reset();
    host.until("closed", ignore, |host| !host.seen.closed.is_empty());
    // The reset may be the first thing that is heard of it.
    assert!(
        matches!(host.seen.cause(), Some(Cause::ProtocolViolation | Cause::Reset)),
        "{:?}",
        host.seen.closed
    );
    host.assert_nothing_left();
}

#[test]
fn a_handshake_cut_by_the_server_is_told_to_the_client() {
    for kind in SECURED {
        for pass in [0, 1, 30] {
            let mut pair = Pair::listening(|listen| kind.listen(listen), Config::default());
            let mut middle = Middle::before(pair.address);
            middle.pass_max[TO_CLIENT] = pass;
            pair.address = middle.address();
            pair.connect(kind);
            pair.until("answered", ignore, ignore, |_| {
                middle.pump();
                middle.seen(TO_CLIENT).len() > pass
            });
            middle.cut(TO_CLIENT);
            pair.until("closed", ignore, ignore, |pair| {
                middle.pump();
                !pair.c.closed.is_empty() && !pair.s.closed.is_empty()
            });
            assert_eq!(
                (pair.c.cause(), pair.c.opened.len()),
                (Some(Cause::HandshakeCut), 0),
                "{kind:?} {pass}"
            );
            assert_eq!(pair.s.cause(), Some(Cause::HandshakeCut), "{kind:?} {pass}");
        }
    }
}

/// The hello of rustls' client without or with another extension of supported versions (RFC 8446, section 4.2.1).
fn hello_with_versions(versions: Option<&[u8]>) -> Vec<u8> {
    const SUPPORTED_VERSIONS: [u8; 2] = [0, 43];
    let mut peer = TlsPeer::connect(Host::new(Kind::Plain, Config::default()).address);
    let hello = peer.outgoing();
    // Record header, message header, version, random; then session id, suites and compression before the extensions.
    let mut at = 5 + 4 + 2 + 32;
    at += 1 + usize::from(hello[at]);
    at += 2 + usize::from(u16::from_be_bytes([hello[at], hello[at + 1]]));
    at += 1 + usize::from(hello[at]);
    let extensions_at = at;
    let mut extensions = Vec::new();
    at += 2;
    while at < hello.len() {
        let length = usize::from(u16::from_be_bytes([hello[at + 2], hello[at + 3]]));
        let whole = &hello[at..at + 4 + length];
        match versions {
            _ if whole[..2] != SUPPORTED_VERSIONS => extensions.extend_from_slice(whole),
            None => {}
            Some(versions) => {
                extensions.extend_from_slice(&SUPPORTED_VERSIONS);
                extensions.extend_from_slice(&[0, versions.len() as u8 + 1, versions.len() as u8]);
                extensions.extend_from_slice(versions);
            }
        }
        at += 4 + length;
    }
    let mut message = hello[9..extensions_at].to_vec();
    message.extend_from_slice(&(extensions.len() as u16).to_be_bytes());
    message.extend_from_slice(&extensions);
    let length = (message.len() as u32).to_be_bytes();
    let record = ((message.len() + 4) as u16).to_be_bytes();
    [&[HANDSHAKE, 3, 1, record[0], record[1], 1], &length[1..], &message].concat()
}

#[test]
fn clients_without_tls_1_3_are_refused_with_protocol_version() {
    const PROTOCOL_VERSION: u8 = 70;
    let offers: [Option<&[u8]>; 3] = [None, Some(&[3, 3]), Some(&[3, 3, 3, 2, 3, 1])];
    for offer in offers {
        let mut host = Host::new(Kind::Tls, Config::default());
        let mut raw = Raw::connect(host.address);
        raw.send(&hello_with_versions(offer));
        host.until("closed", ignore, |host| {
            raw.pump();
            if raw.end.is_some() {
                raw.finish();
            }
            !host.seen.closed.is_empty()
        });
        assert_eq!(host.seen.cause(), Some(Cause::NothingInCommon), "{offer:?}: {:?}", host.seen.closed);
        assert_eq!(raw.got, [ALERT, 3, 3, 0, 2, 2, PROTOCOL_VERSION], "{offer:?}");
    }
}

#[test]
fn a_hello_altered_on_the_way_to_lower_versions_fails_on_both_ends() {
    let mut pair = Pair::listening(|listen| Kind::Tls.listen(listen), Config::default());
    let mut middle = Middle::before(pair.address);
    pair.address = middle.address();
    pair.connect(Kind::Tls);
    pair.until("both closed", ignore, ignore, |pair| {
        middle.pump_through(|to, from, bytes| {
            let mut bytes = bytes.to_vec();
            if to == TO_SERVER && from == 0 {
                let at =
                    bytes.windows(7).position(|w| w[..5] == [0, 43, 0, 3, 2] || w[..5] == [0, 43, 0, 5, 4]);
                let at = at.expect("the hello names its versions") + 5;
                bytes[at..at + 2].copy_from_slice(&[3, 3]);
            }
            bytes
        });
        !pair.s.closed.is_empty() && !pair.c.closed.is_empty()
    });
    assert_eq!(
        (pair.s.cause(), pair.c.cause()),
        (Some(Cause::NothingInCommon), Some(Cause::NothingInCommon))
    );
    assert!(pair.s.opened.is_empty() && pair.c.opened.is_empty());
}

#[test]
fn what_failed_first_is_the_cause_also_if_the_peer_never_takes_the_alert() {
    for reset in [false, true] {
        let mut config = Config::default();
        config.options.timeouts.drain = Some(Duration::from_millis(if reset { 600_000 } else { 20 }));
        config.options.socket.send_buffer_bytes = Some(16 * 1024);
        config.options.self_throttle = false;
        let mut host = Host::new(Kind::Tls, config);
        let mut peer = TlsPeer::connect(host.address);
        host.until("open", ignore, |host| {
            peer.pump();
            !host.seen.opened.is_empty()
        });
        // More than the kernel takes, so that the alert waits behind it.
        let conn = host.seen.opened[0];
        let data = pattern(900_000);
        for _ in 0..40 {
            let _ = host.reactor.io().send(conn, &data);
            host.turn(&mut ignore);
        }
        assert!(host.reactor.io().queued(conn) > 0);
        let mut bad = peer.seal(b"altered");
        bad[9] ^= 1;
        peer.raw.stream.write_all(&bad).unwrap();
        host.until("draining", ignore, |host| !host.reactor.io().is_open(conn));
        if reset {
            peer.raw.reset();
        }
        host.until("closed", ignore, |host| !host.seen.closed.is_empty());
        assert_eq!(host.seen.cause(), Some(Cause::Tampered), "reset: {reset}");
        host.assert_nothing_left();
    }
}

#[test]
fn a_reset_of_an_open_connection_is_a_reset_of_any_kind() {
    for kind in SECURED {
        let (mut pair, mut middle) = through_middle(kind);
        let server = pair.s.opened[0];
        pair.server.io().send(server, b"on its way").unwrap();
        let [client, towards_server] = middle.sides.take().unwrap();
        towards_server.reset();
        pair.until("closed", ignore, ignore, |pair| !pair.s.closed.is_empty());
        assert_eq!(pair.s.cause(), Some(Cause::Reset), "{kind:?}");
        client.reset();
        pair.until("closed", ignore, ignore, |pair| !pair.c.closed.is_empty());
        assert_eq!(pair.c.cause(), Some(Cause::Reset), "{kind:?}");
    }
}
