//! What holds before, at and right after `Opened`.

use crate::peers::{Middle, TlsPeer, rustls_client};
use crate::rig::{ALL, Host, Kind, Pair, SECURED, Side, echo, ignore, pattern, some_kinds};
use crate::security::{authority, keys};
use crate::thorough::thorough;
use std::time::Duration;
use windlass::buffer::Watermarks;
use windlass::metrics::HandshakeKind;
use windlass::noise::{KeyPair, Noise};
use windlass::tls::{ClientTls, ServerTls};
use windlass::{Cause, Config, Connect, Event, Io, Options, ReleaseError, SendError, Sent};

fn small_queue() -> Options {
    Options::with(|options| {
        options.queue = Watermarks { low_bytes: 1000, high_bytes: 4000, max_bytes: 10_000 };
        options.self_throttle = false;
    })
}

#[test]
fn what_was_sent_before_opened_arrives_first_and_in_order() {
    for kind in ALL {
        let (mut pair, conn) = Pair::new(kind, Options::default());
        let sent = pattern(150_000);
        for (i, piece) in sent.chunks(10_007).enumerate() {
            // Also between the turns of the handshake.
            pair.client.io().send(conn, piece).unwrap();
            if i % 3 == 0 {
                pair.turn(&mut ignore, &mut ignore);
            }
        }
        pair.until(&format!("{kind:?}"), ignore, ignore, |pair| pair.s.received.len() >= sent.len());
        assert!(pair.s.received == sent, "{kind:?}");
        assert_eq!(pair.s.words[..3], ["accepted", "opened", "data"], "{kind:?}");
    }
}

#[test]
fn a_send_refused_before_opened_is_told_when_there_is_room() {
    for kind in ALL {
        for queued in [200, 9_000] {
            let (mut pair, conn) = Pair::new(kind, small_queue());
            let io = pair.client.io();
            let level = io.send(conn, &pattern(queued)).unwrap();
            assert_eq!(level, if queued > 4000 { Sent::Backlogged } else { Sent::Flowing });
            assert_eq!(io.send(conn, &pattern(10_000 - queued / 2)), Err(SendError::Full));
            pair.until(&format!("{kind:?} {queued}"), ignore, ignore, |pair| pair.c.drained > 0);
            assert!(pair.client.io().is_open(conn), "{:?}", pair.c.words);
            pair.until("arrived", ignore, ignore, |pair| pair.s.received.len() >= queued);
        }
    }
}

#[test]
fn a_key_that_the_responder_refuses_is_told_alike_inside_tls_and_without() {
    for kind in [Kind::Noise, Kind::TlsNoise] {
        let responder = Noise::responder(&keys().0).allow([KeyPair::generate().unwrap().public()]);
        let mut pair = Pair::listening(|listen| kind.listen_with(listen, &responder), Config::default());
        pair.connect(kind);
        pair.until("closed", ignore, ignore, |pair| !pair.s.closed.is_empty() && !pair.c.closed.is_empty());
        assert_eq!(pair.s.cause(), Some(Cause::KeyNotAllowed));
        assert!(pair.s.opened.is_empty());
        // An initiator has opened with its last message.
        assert!(matches!(pair.c.cause(), Some(Cause::PeerClosed | Cause::Truncated)), "{:?}", pair.c.closed);

        let wrong = Noise::initiator(&keys().1, keys().1.public());
        let connect = kind.connect_with(Connect::to(pair.address), &wrong);
        (pair.c, pair.s) = (Side::default(), Side::default());
        pair.client.io().connect(connect).unwrap();
        assert_eq!(pair.causes(&format!("{kind:?}")), (Cause::Tampered, Cause::HandshakeCut));
        assert!(pair.c.closed[0].2.as_deref().unwrap().contains("another key"), "{:?}", pair.c.closed);
    }
}

#[test]
fn opened_says_what_was_agreed_on_and_with_whom() {
    for kind in ALL {
        let (mut pair, conn, _) = Pair::open(kind, Options::default());
        for (side, is_server) in [(&pair.s, true), (&pair.c, false)] {
            let session = &side.sessions[0];
            assert_eq!(session.tls.is_some(), matches!(kind, Kind::Tls | Kind::TlsNoise), "{kind:?}");
            assert_eq!(session.noise.is_some(), matches!(kind, Kind::Noise | Kind::TlsNoise), "{kind:?}");
            if let Some(tls) = &session.tls {
                assert_eq!((tls.version, tls.resumed, tls.early_data), ("TLS 1.3", false, false));
                assert_eq!(tls.server_name.as_deref(), is_server.then_some("localhost"));
                assert_eq!(tls.peer_certificates.is_empty(), is_server);
            }
            if let Some(noise) = &session.noise {
                let peer = if is_server { keys().1.public() } else { keys().0.public() };
                assert_eq!(noise.peer, Some(*peer.as_bytes()));
                assert_eq!(noise.protocol, "Noise_XK_25519_AESGCM_SHA256");
            }
        }
        let hash = |side: &Side| side.sessions[0].noise.as_ref().map(|noise| noise.handshake_hash.clone());
        assert_eq!(hash(&pair.s), hash(&pair.c));
        assert!(pair.client.io().close(conn));
        assert_eq!(pair.causes("closed"), (Cause::PeerClosed, Cause::Closed));
    }
}

#[test]
fn opened_carries_alpn_the_clients_certificate_and_whether_it_was_resumed() {
    let made = authority();
    let server = ServerTls::builder()
        .certificate_pem(&made.cert_pem, &made.key_pem)
        .alpn(["b", "a"])
        .request_client_certificates()
        .client_roots_pem(&made.ca_pem)
        .resume_client_certificates()
        .build()
        .unwrap();
    let client = ClientTls::builder().roots_pem(&made.ca_pem).alpn(["a"]).build().unwrap();
    let mut pair = Pair::listening(|listen| listen.tls(&server), Config::default());
    for round in 0..2 {
        let connect = Connect::to(pair.address).tls(&client, "localhost");
        pair.client.io().connect(connect).unwrap();
        // The answer brings the ticket along.
        pair.until(
            "answered",
            echo,
            |io, event| {
                if let Event::Opened { conn, .. } = event {
                    io.send(conn, b"x").unwrap();
                }
            },
            |pair| pair.c.received.len() > round,
        );
        for side in [&pair.s, &pair.c] {
            let tls = side.sessions[round].tls.as_ref().unwrap();
            assert_eq!((tls.alpn.as_deref(), tls.resumed), (Some(&b"a"[..]), round == 1));
        }
    }
    let figures = pair.server.io().metrics().figures();
    assert_eq!(figures.handshakes[HandshakeKind::TlsServerFull], 1);
    assert_eq!(figures.handshakes[HandshakeKind::TlsServerResumed], 1);
}

/// The client's last flight and data in one segment, as rustls makes them.
fn coalesced(host: &mut Host, data: &[&[u8]], finish: bool) -> TlsPeer {
    let mut peer = TlsPeer::with(host.address, rustls_client());
    let hello = peer.outgoing();
    peer.raw.send(&hello);
    host.until("the server's flight", ignore, |_| {
        peer.take();
        peer.is_open()
    });
    let mut wire = peer.outgoing();
    data.iter().for_each(|data| wire.extend(peer.seal(data)));
    if finish {
        peer.tls.send_close_notify();
        wire.extend(peer.outgoing());
    }
    peer.raw.send(&wire);
    peer
}

#[test]
fn data_in_the_segment_that_ends_the_handshake_is_delivered_without_another_event() {
    for (data, finish) in [(&[&b"one"[..], b"two"][..], false), (&[&b"one"[..], b"two"], true), (&[], true)] {
        let mut host = Host::new(Kind::Tls, Config::default());
        let _peer = coalesced(&mut host, data, finish);
        host.until("delivered", ignore, |host| {
            host.seen.received.len() == data.concat().len() && host.seen.opened.len() == 1
        });
        if finish {
            host.until("ended", ignore, |host| host.seen.cause() == Some(Cause::PeerClosed));
        }
    }
}

#[test]
fn a_pause_within_opened_holds_back_what_came_with_the_handshake_until_resume() {
    for finish in [false, true] {
        let mut host = Host::new(Kind::Tls, Config::with(|config| config.options.half_close = true));
        let _peer = coalesced(&mut host, &[&pattern(9_000), b"more"], finish);
        let mut pausing = |io: &mut Io, event: Event<'_>| {
            if let Event::Opened { conn, .. } = event {
                io.pause(conn).unwrap();
            }
        };
        host.until("opened", &mut pausing, |host| !host.seen.opened.is_empty());
        (0..20).for_each(|_| host.turn(&mut ignore));
        assert_eq!(host.seen.words, ["accepted", "opened"]);
        let conn = host.seen.opened[0];
        host.reactor.io().resume(conn).unwrap();
        host.until("delivered", ignore, |host| host.seen.received.len() == 9_004);
        if finish {
            host.until("the end too", ignore, |host| host.seen.finished == 1);
        }
    }
}

#[test]
fn credit_granted_within_opened_lets_so_much_of_what_came_with_the_handshake_through() {
    let mut host = Host::new(Kind::Tls, Config::default());
    let mut peer = coalesced(&mut host, &[b"with the handshake"], false);
    let mut granting = |io: &mut Io, event: Event<'_>| {
        if let Event::Opened { conn, .. } = event {
            io.grant_read(conn, Some(0)).unwrap();
        }
    };
    host.until("opened", &mut granting, |host| !host.seen.opened.is_empty());
    let more = peer.seal(&pattern(50_000));
    peer.raw.send(&more);
    (0..20).for_each(|_| host.turn(&mut ignore));
    assert!(host.seen.received.is_empty());
    let conn = host.seen.opened[0];
    // A byte at a time through the header of a record, then more: no credit is lost and no byte.
    for credit in [1, 1, 1, 1, 1, 1, 1000, 16_000, 40_000] {
        host.reactor.io().grant_read(conn, Some(credit)).unwrap();
        (0..5).for_each(|_| host.turn(&mut ignore));
        peer.raw.pump();
    }
    host.until("delivered", ignore, |host| host.seen.received.len() == 50_018);
    assert!(host.seen.received[18..] == pattern(50_000));
}

/// What a handler does to the connection in the midst of an event.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Deed {
    Close,
    Abort,
    Finish,
    Pause,
    Release,
    SendAndClose,
    SendAndFinish,
}

#[test]
fn whatever_a_handler_does_within_an_event_events_keep_their_order_and_nothing_is_left() {
    use Deed::*;
    for &kind in some_kinds() {
        for deed in [Close, Abort, Finish, Pause, Release, SendAndClose, SendAndFinish] {
            for at in ["accepted", "opened", "data"] {
                let mut host = Host::new(kind, Config::default());
                let mut client = windlass::Reactor::new(Config::default()).unwrap();
                let conn = client.io().connect(kind.connect(Connect::to(host.address))).unwrap();
                client.io().send(conn, &pattern(3000)).unwrap();
                let (mut theirs, mut released, mut turns) = (Side::default(), None, 0);
                let mut act = |io: &mut Io, event: Event<'_>| {
                    let name = match &event {
                        Event::Accepted { .. } => "accepted",
                        Event::Opened { .. } => "opened",
                        Event::Data { .. } => "data",
                        _ => return,
                    };
                    let Some(conn) = event.conn().filter(|_| name == at) else { return };
                    match deed {
                        Close => assert!(io.close(conn) && !io.close(conn)),
                        Abort => assert!(io.abort(conn)),
                        Finish => assert_eq!((io.finish(conn), io.finish(conn)), (Ok(()), Ok(()))),
                        Pause => io.pause(conn).unwrap(),
                        Release => released = Some(io.release(conn)),
                        SendAndClose | SendAndFinish => {
                            io.send(conn, b"small").unwrap();
                            io.send(conn, &pattern(5000)).unwrap();
                            io.send(conn, b"end").unwrap();
                            match deed {
                                SendAndClose => assert!(io.close(conn)),
                                _ => io.finish(conn).unwrap(),
                            }
                            assert_eq!(io.send(conn, b"too late"), Err(SendError::Closing));
                        }
                    }
                };
                while turns < thorough(30, 12) {
                    turns += 1;
                    host.turn(&mut act);
                    let mut noting = |_: &mut Io, event: Event<'_>| theirs.note(&event);
                    client.turn(windlass::Wait::For(Duration::from_micros(500)), &mut noting).unwrap();
                }
                let what = format!("{kind:?} {deed:?} at {at}: {:?} {:?}", host.seen.words, theirs.words);
                assert!(host.seen.closed.len() + theirs.closed.len() <= 2, "{what}");
                let over = host.seen.words.iter().position(|word| *word == "closed");
                assert!(over.is_none_or(|over| over + 1 == host.seen.words.len()), "{what}");
                match deed {
                    Pause if at != "data" => assert_eq!(host.seen.received.len(), 0, "{what}"),
                    Pause => assert_eq!(host.seen.received.len(), 3000, "{what}"),
                    Release if kind == Kind::Plain => assert!(matches!(released, Some(Ok(_))), "{what}"),
                    Release => assert_eq!(released.unwrap().unwrap_err(), ReleaseError::Secured, "{what}"),
                    SendAndClose if at == "accepted" => assert!(theirs.received.is_empty(), "{what}"),
                    SendAndClose | SendAndFinish => assert_eq!(theirs.received.len(), 5008, "{what}"),
                    Close | Abort | Finish => assert!(host.seen.cause().is_some(), "{what}"),
                }
                client.io().abort(conn);
                if !(deed == Release && kind == Kind::Plain) {
                    host.seen.opened.first().map(|conn| host.reactor.io().resume(*conn));
                    host.until(&what, ignore, |host| {
                        client.turn(windlass::Wait::No, &mut ignore).unwrap();
                        host.reactor.io().connections() == 0
                    });
                }
                host.assert_nothing_left();
            }
        }
    }
}

#[test]
fn data_in_the_segment_of_the_last_message_is_delivered_through_all_layers() {
    for kind in SECURED {
        for (data, finish, pause) in
            [(70_000, false, true), (70_000, true, true), (10, true, false), (0, true, false)]
        {
            let half_close = |config: &mut Config| config.options.half_close = true;
            let mut pair = Pair::listening(|listen| kind.listen(listen), Config::with(half_close));
            let mut middle = Middle::before(pair.address);
            pair.address = middle.address();
            let conn = pair.connect(kind);
            // The client opens with its last message, which the middle holds back.
            pair.until("the client opens", ignore, ignore, |pair| {
                if pair.c.opened.is_empty() {
                    middle.pump();
                }
                !pair.c.opened.is_empty()
            });
            pair.client.io().send(conn, &pattern(data)).unwrap();
            if finish {
                pair.client.io().finish(conn).unwrap();
            }
            (0..5).for_each(|_| pair.turn(&mut ignore, &mut ignore));
            let mut pausing = |io: &mut Io, event: Event<'_>| {
                if let Event::Opened { conn, .. } = event
                    && pause
                {
                    io.pause(conn).unwrap();
                }
            };
            let what = format!("{kind:?} {data} {finish} {pause}");
            pair.until(&what, &mut pausing, ignore, |pair| {
                middle.pump();
                !pair.s.opened.is_empty()
            });
            if pause {
                (0..10).for_each(|_| {
                    middle.pump();
                    pair.turn(&mut ignore, &mut ignore);
                });
                assert_eq!(pair.s.words, ["accepted", "opened"], "{what}");
                let conn = pair.s.opened[0];
                pair.server.io().resume(conn).unwrap();
            }
            pair.until(&what, ignore, ignore, |pair| {
                middle.pump();
                pair.s.received.len() == data && pair.s.finished == usize::from(finish)
            });
            assert!(pair.s.received == pattern(data), "{what}");
        }
    }
}
