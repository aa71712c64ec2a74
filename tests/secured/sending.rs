//! Small sends share records, in whichever way they are sent, and a record never waits for another turn.

use crate::peers::{APPLICATION_DATA, TlsPeer, tls_records};
use crate::rig::{Host, Kind, Pair, SECURED, Side, ignore, pattern};
use crate::thorough::thorough;
use bytes::Bytes;
use windlass::{Config, Conn, Event, Io};

/// A host with a client that has taken everything of the handshake.
fn open() -> (Host, TlsPeer, Conn) {
    let mut host = Host::new(Kind::Tls, Config::default());
    let mut peer = TlsPeer::connect(host.address);
    host.until("open", ignore, |host| {
        peer.pump();
        !host.seen.opened.is_empty()
    });
    (0..3).for_each(|_| host.turn(&mut ignore));
    peer.pump();
    peer.raw.got.clear();
    let conn = host.seen.opened[0];
    (host, peer, conn)
}

/// Lengths of what the records on the wire hold once the client has `bytes` of plaintext: without the type and tag.
fn records(
    host: &mut Host,
    peer: &mut TlsPeer,
    bytes: usize,
    act: impl FnMut(&mut Io, Event<'_>),
) -> Vec<usize> {
    let mut act = act;
    let wanted = |got: &[u8]| -> Vec<usize> {
        let records = tls_records(got);
        assert!(records.iter().all(|(kind, _)| *kind == APPLICATION_DATA));
        records.into_iter().map(|(_, length)| length - 17).collect()
    };
    host.until("the records", &mut act, |_| {
        peer.raw.pump();
        wanted(&peer.raw.got).iter().sum::<usize>() >= bytes
    });
    (0..3).for_each(|_| host.turn(&mut act));
    peer.raw.pump();
    wanted(&peer.raw.got)
}

#[test]
fn sends_of_one_event_share_a_record() {
    let (mut host, mut peer, _) = open();
    let asked = peer.seal(b"?");
    peer.raw.send(&asked);
    let answering = |io: &mut Io, event: Event<'_>| {
        if let Event::Data { conn, .. } = event {
            for _ in 0..20 {
                io.send(conn, &[1; 10]).unwrap();
                io.send_parts(conn, &[&[2; 5], &[3; 5]]).unwrap();
                io.send_bytes(conn, &Bytes::from_static(&[4; 10])).unwrap();
                let encode = |room: &mut [u8]| {
                    room[..10].fill(5);
                    10
                };
                io.send_with(conn, 100, encode).unwrap();
            }
        }
    };
    assert_eq!(records(&mut host, &mut peer, 800, answering), [800]);
}

#[test]
fn sends_between_turns_share_records_and_flush_now_ends_one() {
    let (mut host, mut peer, conn) = open();
    let io = host.reactor.io();
    for _ in 0..50 {
        io.send(conn, &[1; 10]).unwrap();
        io.send_parts(conn, &[&[2; 5], &[3; 5]]).unwrap();
        io.send_bytes(conn, &Bytes::from_static(&[4; 10])).unwrap();
        io.send_with(conn, 100, |room| {
            room[..10].fill(5);
            10
        })
        .unwrap();
    }
    assert_eq!(records(&mut host, &mut peer, 2000, ignore), [2000]);

    peer.raw.got.clear();
    let io = host.reactor.io();
    io.send(conn, &[1; 10]).unwrap();
    io.flush_now(conn).unwrap();
    peer.raw.pump();
    assert_eq!(tls_records(&peer.raw.got).len(), 1, "it left at once");
    let io = host.reactor.io();
    io.send(conn, &[1; 20]).unwrap();
    io.send(conn, &[1; 30]).unwrap();
    assert_eq!(records(&mut host, &mut peer, 60, ignore), [10, 50]);
}

#[test]
fn sends_before_opened_share_a_record() {
    let mut host = Host::new(Kind::Tls, Config::default());
    let mut peer = TlsPeer::connect(host.address);
    let early = |io: &mut Io, event: Event<'_>| {
        if let Event::Accepted { conn, .. } = event {
            (0..100).for_each(|_| _ = io.send(conn, &[1; 10]).unwrap());
        }
    };
    host.until("open", early, |_| {
        peer.pump();
        peer.plain.len() == 1000
    });
    let lengths: Vec<usize> = tls_records(&peer.raw.got).iter().map(|(_, length)| length - 1).collect();
    assert!(lengths.contains(&1016), "{lengths:?}");
}

#[test]
fn a_large_send_takes_as_few_records_as_can_be_whichever_way_it_is_sent() {
    for way in 0..5 {
        for between_turns in [false, true] {
            let (mut host, mut peer, conn) = open();
            let data = pattern(100_000);
            let send = |io: &mut Io| {
                match way {
                    0 => io.send(conn, &data),
                    1 => io.send_bytes(conn, &Bytes::from(data.clone())),
                    2 => io.send_parts(conn, &data.chunks(777).collect::<Vec<_>>()),
                    3 => io.send_with(conn, 150_000, |room| {
                        room[..100_000].copy_from_slice(&data);
                        100_000
                    }),
                    _ => io.send(conn, &data[..1]).and_then(|_| io.send(conn, &data[1..])),
                }
                .unwrap()
            };
            let lengths = if between_turns {
                send(host.reactor.io());
                records(&mut host, &mut peer, data.len(), ignore)
            } else {
                let asked = peer.seal(b"?");
                peer.raw.send(&asked);
                let sending = |io: &mut Io, event: Event<'_>| {
                    if let Event::Data { .. } = event {
                        send(io);
                    }
                };
                records(&mut host, &mut peer, data.len(), sending)
            };
            // Seven at least; a boundary of a buffer may cost one more.
            assert!(lengths.len() <= 9, "way {way}, between turns {between_turns}: {lengths:?}");
            let mut got = &std::mem::take(&mut peer.raw.got)[..];
            while !got.is_empty() {
                peer.tls.read_tls(&mut got).unwrap();
                let state = peer.tls.process_new_packets().unwrap();
                let from = peer.plain.len();
                peer.plain.resize(from + state.plaintext_bytes_to_read(), 0);
                std::io::Read::read_exact(&mut peer.tls.reader(), &mut peer.plain[from..]).unwrap();
            }
            assert!(peer.plain == data, "way {way}, between turns {between_turns}");
        }
    }
}

#[test]
fn all_ways_of_sending_mixed_at_random_keep_their_order() {
    let mut seed = 7_u64;
    let mut random = move |n: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % n
    };
    for kind in SECURED {
        let (mut pair, conn) = Pair::new(kind, windlass::Options::default());
        let data = pattern(thorough(2_000_000, 400_000));
        let mut sent = 0;
        pair.until(&format!("{kind:?}"), ignore, ignore, |pair| {
            let io = pair.client.io();
            for _ in 0..random(4) {
                let len = [random(30), random(5000), 4096, random(70_000)][random(4)].min(data.len() - sent);
                let piece = &data[sent..sent + len];
                let outcome = match random(5) {
                    0 => io.send_bytes(conn, &Bytes::copy_from_slice(piece)),
                    1 => io.send_parts(conn, &piece.chunks(1 + random(3000)).collect::<Vec<_>>()),
                    2 => io.send_with(conn, len + random(50), |room| {
                        room[..len].copy_from_slice(piece);
                        len
                    }),
                    _ => io.send(conn, piece),
                };
                sent += if outcome.is_ok() { len } else { 0 };
                if random(5) == 0 {
                    io.flush_now(conn).unwrap();
                }
            }
            pair.s.received.len() == data.len()
        });
        assert!(pair.s.received == data, "{kind:?}");
        pair.s = Side::default();
    }
}
