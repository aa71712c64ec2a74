//! What holds before, at and right after `Opened`.

use crate::peers::{Middle, Raw, TO_SERVER, TlsPeer};
use crate::rig::{ALL, Host, Kind, Pair, Side, echo, ignore, pattern};
use crate::security::{authority, client_tls, keys, server_tls};
use std::cell::Cell;
use windlass::buffer::Watermarks;
use windlass::noise::{KeyPair, Noise};
use windlass::tls::{ClientTls, ServerTls};
use windlass::{Cause, Config, Connect, Event, Io, Listen, Options, SendError, Sent};

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
