//! The five timeouts hold on secured connections, the handshake's over all layers together.

use crate::peers::{Raw, TlsPeer};
use crate::rig::{Host, Kind, Pair, SECURED, Side, ignore, pattern};
use crate::security::keys;
use std::time::Duration;
use windlass::metrics::Refusal;
use windlass::noise::Noise;
use windlass::{Cause, Config, Connect, Event, Options};

fn config(change: impl FnOnce(&mut Options)) -> Config {
    Config::with(|config| change(&mut config.options))
}

fn short_handshake() -> Config {
    let mut config = config(|options| options.timeouts.handshake = Some(Duration::from_millis(30)));
    config.admission.handshakes_max = Some(2);
    config
}

/// What a client of this kind says first.
pub fn first_flight(kind: Kind) -> Vec<u8> {
    let mut pair = Pair::listening(|listen| listen, Config::default());
    pair.connect(kind);
    pair.until("the first flight", ignore, ignore, |pair| !pair.s.received.is_empty());
    pair.s.received
}

#[test]
fn a_client_that_stops_in_the_handshake_times_out_and_frees_its_place() {
    for kind in SECURED {
        let flight = first_flight(kind);
        let mut host = Host::new(kind, short_handshake());
        for stop_after in [0, 1, flight.len() / 2, flight.len()] {
            host.seen = Side::default();
            let mut stalled: Vec<Raw> = (0..2).map(|_| Raw::connect(host.address)).collect();
            stalled.iter_mut().for_each(|raw| raw.send(&flight[..stop_after]));
            host.until("both accepted", ignore, |host| host.seen.words.len() >= 2);
            let refused_before = host.figures().admissions_refused[Refusal::HandshakesMax];
            let mut third = Raw::connect(host.address);
            host.until("the third is refused", ignore, |_| {
                third.pump();
                third.end.is_some()
            });
            assert_eq!(host.figures().admissions_refused[Refusal::HandshakesMax], refused_before + 1);
            host.until("both time out", ignore, |host| host.seen.closed.len() == 2);
            assert!(host.seen.closed.iter().all(|closed| closed.1 == Cause::HandshakeTimeout));
            assert!(host.seen.opened.is_empty());
            host.assert_nothing_left();
        }
        assert_eq!(host.figures().handshakes_failed[Cause::HandshakeTimeout], 8);
        // The places are free again.
        let mut pair = Pair::listening(|listen| kind.listen(listen), short_handshake());
        (pair.address, pair.server) = (host.address, host.reactor);
        pair.connect(kind);
        pair.until("one more opens", ignore, ignore, |pair| pair.s.opened.len() == 1);
    }
}

#[test]
fn a_handshake_that_comes_a_byte_at_a_time_has_one_deadline_over_all() {
    for kind in SECURED {
        let flight = first_flight(kind);
        let mut host = Host::new(kind, short_handshake());
        let mut raw = Raw::connect(host.address);
        let mut bytes = flight[..flight.len() - 1].chunks(1);
        host.until("timed out", ignore, |host| {
            raw.send(bytes.next().unwrap_or_default());
            !host.seen.closed.is_empty()
        });
        let cause = host.seen.cause().unwrap();
        assert!(cause == Cause::HandshakeTimeout, "{kind:?}: {cause:?}");
        host.assert_nothing_left();
    }
}

#[test]
fn a_record_that_does_not_end_is_under_the_read_timeout() {
    let mut host =
        Host::new(Kind::Tls, config(|options| options.timeouts.read = Some(Duration::from_millis(20))));
    let mut peer = TlsPeer::connect(host.address);
    host.until("open", ignore, |host| {
        peer.pump();
        !host.seen.opened.is_empty()
    });
    let record = peer.seal(&pattern(500));
    peer.raw.send(&record[..300]);
    host.until("timed out", ignore, |host| !host.seen.closed.is_empty());
    assert_eq!(host.seen.cause(), Some(Cause::ReadTimeout));
    assert!(host.seen.received.is_empty());
    host.assert_nothing_left();
}

#[test]
fn silence_after_whole_records_is_under_keep_alive_and_not_the_read_timeout() {
    for kind in SECURED {
        let (mut pair, conn, theirs) = Pair::open(kind, Options::default());
        pair.client.io().send(conn, &pattern(20_000)).unwrap();
        pair.until("received", ignore, ignore, |pair| pair.s.received.len() == 20_000);
        // Only now, or a busy machine would lose the one in the handshake.
        let options = Options::with(|options| {
            options.timeouts.read = Some(Duration::from_secs(600));
            options.timeouts.keep_alive = Some(Duration::from_millis(40));
        });
        pair.server.io().set_options(theirs, options.clone()).unwrap();
        pair.client.io().set_options(conn, options).unwrap();
        let (server, client) = pair.causes("idle");
        // The first to go ends its stream without a word of the layers.
        let ended = [Cause::IdleTimeout, Cause::Truncated, Cause::PeerClosed];
        assert!(server == Cause::IdleTimeout || client == Cause::IdleTimeout);
        assert!(ended.contains(&server) && ended.contains(&client), "{kind:?}: {server:?} {client:?}");
    }
}

#[test]
fn a_session_that_expires_ends_in_good_order_and_what_is_queued_arrives() {
    for kind in [Kind::Noise, Kind::TlsNoise] {
        let age = Some(Duration::from_millis(60));
        let responder = Noise::responder(&keys().0).session_max(age);
        let initiator = Noise::initiator(&keys().1, keys().0.public());
        let mut pair = Pair::listening(|listen| kind.listen_with(listen, &responder), Config::default());
        let connect = kind.connect_with(Connect::to(pair.address), &initiator);
        pair.client.io().connect(connect).unwrap();
        let sent = pattern(700_000);
        // The client does not read before the server has begun to end the session.
        pair.until(
            "expired",
            |io, event| {
                if let Event::Opened { conn, .. } = event {
                    io.send(conn, &sent).unwrap();
                }
            },
            |io, event| {
                if let Event::Opened { conn, .. } = event {
                    io.pause(conn).unwrap();
                }
            },
            |pair| pair.server.io().metrics().figures().deadlines_expired > 0,
        );
        let conn = pair.c.opened[0];
        pair.client.io().resume(conn).unwrap();
        let causes = pair.causes(&format!("{kind:?}"));
        assert_eq!(causes, (Cause::SessionExpired, Cause::PeerClosed), "{kind:?}");
        assert!(pair.c.received == sent, "{kind:?}: {} bytes", pair.c.received.len());
    }
}

#[test]
fn a_peer_that_ignores_an_alert_and_never_closes_is_dropped_with_the_first_cause() {
    let config = config(|options| options.timeouts.drain = Some(Duration::from_millis(20)));
    let mut host = Host::new(Kind::Tls, config);
    let mut raw = Raw::connect(host.address);
    raw.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    host.until("dropped", ignore, |host| !host.seen.closed.is_empty());
    assert_eq!(host.seen.cause(), Some(Cause::NotSecured));
    host.assert_nothing_left();
}

/// Ends of connections that hold an unfinished record while the memory for buffers is used up.
#[test]
fn partial_records_that_use_up_the_memory_end_by_the_read_timeout_also_with_more_behind_them() {
    let mut config = config(|options| {
        options.timeouts.read = Some(Duration::from_millis(50));
        options.timeouts.keep_alive = None;
        // These peers never close.
        options.timeouts.drain = Some(Duration::from_millis(20));
    });
    config.buffer_bytes_max = 2 << 20;
    let mut host = Host::new(Kind::Tls, config);
    let mut peers: Vec<TlsPeer> = (0..40).map(|_| TlsPeer::connect(host.address)).collect();
    host.until("all open", ignore, |host| {
        peers.iter_mut().for_each(TlsPeer::pump);
        host.seen.opened.len() == peers.len()
    });
    let mut stopped = 0;
    for (i, peer) in peers.iter_mut().enumerate() {
        let record = peer.seal(&pattern(16_000));
        peer.raw.send(&record[..record.len() - 1]);
        host.until("held", ignore, |host| {
            stopped = host.figures().reads_stopped_by_memory;
            stopped > 0 || host.figures().pool_bytes_taken > i as u64 * 16_000
        });
    }
    // What comes now stays in the kernel: it is we who do not read it.
    for peer in &mut peers {
        let more = pattern(20_000);
        peer.raw.send(&more);
    }
    host.until("all end", ignore, |host| host.seen.closed.len() == 40);
    assert!(host.seen.closed.iter().any(|closed| closed.1 == Cause::ReadTimeout), "{:?}", host.seen.closed);
    host.assert_nothing_left();
}

#[test]
fn handshakes_that_hold_all_the_memory_are_dropped_and_it_is_free_again() {
    let mut config = short_handshake();
    config.admission.handshakes_max = None;
    config.options.timeouts.handshake = Some(Duration::from_secs(600));
    config.buffer_bytes_max = 1 << 20;
    let mut host = Host::new(Kind::Tls, config);
    // A record that announces 16 KiB and never ends.
    let mut record = vec![22, 3, 1, 0x40, 0, 1, 0, 0x3f, 0xfc];
    record.resize(16_000, 7);
    let mut peers: Vec<Raw> = (0..200).map(|_| Raw::connect(host.address)).collect();
    peers.iter_mut().for_each(|raw| raw.send(&record));
    let mut most = 0;
    host.until("the rest is dropped", ignore, |host| {
        most = most.max(host.figures().buffered_bytes);
        host.seen.closed.len() > 150
    });
    assert!(most <= (1 << 20) + 65_536, "{most} bytes buffered");
    assert!(host.seen.closed.iter().all(|closed| closed.1 == Cause::System));
    drop(peers);
    host.until("all end", ignore, |host| host.reactor.io().connections() == 0);
    host.assert_nothing_left();
}
