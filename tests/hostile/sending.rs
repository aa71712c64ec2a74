//! Outbound bytes: peers that do not read, resets in the middle, bounds, and sends at awkward moments.

use crate::rig::{Rig, Script, Seen, config, echo, pattern, reset, silent};
use bytes::Bytes;
use std::io::{Read, Write};
use std::time::Duration;
use windlass::buffer::Watermarks;
use windlass::limits::{DIRECT_SEND_BYTES_MIN, KEPT_BYTES_MAX, RECEIVE_BUFFER_BYTES};
use windlass::{Cause, Connect, Event, Io, SendError, Sent};

/// Marks as low as they may be.
fn low_marks() -> Watermarks {
    Watermarks {
        low_bytes: 8 * 1024,
        high_bytes: 16 * 1024,
        max_bytes: 16 * 1024 + RECEIVE_BUFFER_BYTES + KEPT_BYTES_MAX,
    }
}

#[test]
fn what_another_event_queued_is_flushed_and_the_loop_goes_on() {
    let mut rig = Rig::new();
    let mut peer = rig.peer();
    let mut script = silent();
    rig.until(&mut script, |script| !script.opened().is_empty());
    let conn = script.opened()[0];
    assert_eq!(rig.reactor.io().send(conn, b"between turns"), Ok(Sent::Flowing));
    rig.settle(&mut script);
    let mut got = [0; 13];
    peer.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"between turns");
}

#[test]
fn a_peer_that_never_reads_meets_watermark_bound_and_write_timeout() {
    let mut rig = Rig::with(config(|c| {
        c.options.queue = low_marks();
        c.options.timeouts.write = Some(Duration::from_millis(100));
    }));
    let _peer = rig.peer();
    let mut script = silent();
    rig.until(&mut script, |script| !script.opened().is_empty());
    let conn = script.opened()[0];
    let mut answers = Vec::new();
    while answers.last() != Some(&Err(SendError::Full)) {
        answers.push(rig.reactor.io().send(conn, &[7; 2000]));
        if rig.reactor.io().queued(conn) > 100_000 {
            rig.turn(&mut script);
        }
        assert!(rig.reactor.io().queued(conn) <= low_marks().max_bytes);
    }
    let backlogged = answers.iter().position(|answer| *answer == Ok(Sent::Backlogged));
    assert!(backlogged.is_some(), "the high watermark was never announced");
    rig.until(&mut script, |script| script.causes() == [Cause::WriteTimeout]);
    rig.assert_nothing_left();
}

#[test]
fn a_connection_over_its_high_watermark_is_not_read_until_it_drains() {
    let mut rig = Rig::with(config(|c| c.options.queue = low_marks()));
    let mut peer = rig.peer();
    let mut script = echo();
    peer.set_nonblocking(true).unwrap();
    let chunk = pattern(251 * 1000);
    let (mut sent, mut refusals) = (0, 0);
    while refusals < 20 {
        match peer.write(&chunk[sent % 251..]) {
            Ok(n) => sent += n,
            Err(_) => refusals += 1,
        }
        rig.turn(&mut script);
    }
    let held = rig.figures().buffered_bytes as usize;
    assert!(held <= 4 * low_marks().max_bytes, "{held} bytes in memory for one peer");
    assert!(script.received().len() < sent, "everything was read although nothing could be echoed");
    let mut back = Vec::new();
    let mut buffer = vec![0; 65536];
    while back.len() < sent {
        match peer.read(&mut buffer) {
            Ok(n) => back.extend_from_slice(&buffer[..n]),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
        }
        rig.turn(&mut script);
    }
    assert!(back == pattern(sent), "the echo differs");
}

#[test]
fn a_reset_in_mid_write_closes_once_and_frees_everything() {
    let mut rig = Rig::new();
    let peer = rig.peer();
    let mut script = silent();
    rig.until(&mut script, |script| !script.opened().is_empty());
    let conn = script.opened()[0];
    while rig.reactor.io().send(conn, &[1; 50_000]).is_ok() {}
    rig.turn(&mut script);
    assert!(rig.reactor.io().queued(conn) > 0);
    reset(peer);
    rig.until(&mut script, |script| !script.causes().is_empty());
    assert_eq!(script.causes(), [Cause::Reset]);
    rig.assert_nothing_left();
}

#[test]
fn a_reset_while_the_connection_is_paused_is_noticed() {
    let mut rig = Rig::new();
    let mut peer = rig.peer();
    let mut script = Script::new(|io: &mut Io, event: &Event<'_>| {
        if let Event::Opened { conn, .. } = event {
            io.pause(*conn).unwrap();
            io.send(*conn, &[1; 1 << 20]).unwrap();
        }
    });
    rig.until(&mut script, |script| !script.opened().is_empty());
    peer.write_all(b"unread").unwrap();
    reset(peer);
    rig.until(&mut script, |script| script.causes() == [Cause::Reset]);
    assert_eq!(script.received(), b"");
}

#[test]
fn more_parts_than_one_write_takes_all_arrive() {
    let mut rig = Rig::new();
    for parts in [63, 64, 65, 128, 200, 1000] {
        let mut peer = rig.peer();
        let bytes = pattern(parts * 100);
        let all: Vec<&[u8]> = bytes.chunks(100).collect();
        let mut script = silent();
        rig.until(&mut script, |script| !script.opened().is_empty());
        rig.settle(&mut script);
        let conn = script.opened()[0];
        rig.reactor.io().send_parts(conn, &all).unwrap();
        rig.settle(&mut script);
        assert_eq!(rig.reactor.io().queued(conn), 0, "{parts} parts: bytes wait that nobody will ever write");
        let mut got = vec![0; bytes.len()];
        peer.read_exact(&mut got).unwrap();
        assert!(got == bytes, "{parts} parts");
    }
}

#[test]
fn what_is_sent_behind_queued_bytes_in_the_same_event_arrives_behind_them() {
    let mut rig = Rig::new();
    let mut peer = rig.peer();
    let mut script = Script::new(|io: &mut Io, event: &Event<'_>| {
        if let Event::Data { conn, .. } = event {
            // Too large for the cork, so it is queued until the end of the turn.
            io.send_with(*conn, 20_000, |room| {
                room[..5].copy_from_slice(b"first");
                5
            })
            .unwrap();
            io.send(*conn, b"second").unwrap();
        }
    });
    peer.write_all(b"x").unwrap();
    rig.until(&mut script, |script| !script.received().is_empty());
    rig.settle(&mut script);
    let mut got = [0; 11];
    peer.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"firstsecond");
}

#[test]
fn a_shared_buffer_arrives_behind_what_was_queued_before_it() {
    let mut rig = Rig::new();
    let mut peer = rig.peer();
    let mut script = silent();
    rig.until(&mut script, |script| !script.opened().is_empty());
    let conn = script.opened()[0];
    rig.reactor.io().send(conn, b"first").unwrap();
    rig.reactor.io().send_bytes(conn, &Bytes::from_static(&[7; DIRECT_SEND_BYTES_MIN])).unwrap();
    rig.settle(&mut script);
    let mut got = [0; 5 + DIRECT_SEND_BYTES_MIN];
    peer.read_exact(&mut got).unwrap();
    assert_eq!(&got[..6], b"first\x07");
}

#[test]
fn a_send_before_opened_has_the_whole_write_timeout_from_there() {
    let mut server = Rig::new();
    let mut rig = Rig::with(config(|c| c.options.timeouts.write = Some(Duration::from_millis(1))));
    let conn = rig.reactor.io().connect(Connect::to(server.address)).unwrap();
    rig.reactor.io().send(conn, b"early").unwrap();
    // The handshake takes longer than that, and the wheel's resolution.
    let later = rig.reactor.io().clock() + Duration::from_millis(40);
    while rig.reactor.io().clock() < later {}
    let (mut script, mut theirs) = (silent(), silent());
    rig.until(&mut script, |script| !script.log.is_empty());
    rig.settle(&mut script);
    assert_eq!(script.log, [Seen::Opened(conn)], "connecting does not count as not writing");
    server.until(&mut theirs, |theirs| theirs.received() == b"early");
}

#[test]
fn sending_after_finish_is_refused_in_every_event() {
    let mut rig = Rig::with(config(|c| {
        c.options.half_close = true;
        c.options.queue = low_marks();
    }));
    let mut peer = rig.peer();
    let mut answers = Vec::new();
    let mut script = Script::new(|io: &mut Io, event: &Event<'_>| {
        if let Event::Opened { conn, .. } = event {
            io.send(*conn, b"last words").unwrap();
            io.finish(*conn).unwrap();
            answers.push(io.send(*conn, b"one more"));
            answers.push(io.send_with(*conn, 8, |_| unreachable!("the side is finished")));
        }
    });
    rig.until(&mut script, |script| !script.opened().is_empty());
    rig.settle(&mut script);
    assert_eq!(script.causes(), [], "the connection still receives");
    let mut all = Vec::new();
    peer.read_to_end(&mut all).unwrap();
    drop(peer);
    rig.until(&mut script, |script| script.causes() == [Cause::PeerClosed]);
    drop(script);
    assert_eq!(all, b"last words");
    assert_eq!(answers, [Err(SendError::Closing), Err(SendError::Closing)]);
}

#[test]
fn write_credit_taken_away_in_any_event_holds_bytes_back() {
    let mut rig = Rig::new();
    let mut peer = rig.peer();
    let mut script = Script::new(|io: &mut Io, event: &Event<'_>| {
        if let Event::Opened { conn, .. } = event {
            io.grant_write(*conn, Some(4)).unwrap();
            io.send(*conn, b"0123456789").unwrap();
        }
    });
    rig.until(&mut script, |script| !script.opened().is_empty());
    rig.settle(&mut script);
    let conn = script.opened()[0];
    assert_eq!(rig.reactor.io().queued(conn), 6, "only as many bytes as there was credit for may leave");
    rig.reactor.io().grant_write(conn, None).unwrap();
    rig.settle(&mut script);
    let mut got = [0; 10];
    peer.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"0123456789");
}

#[test]
fn a_send_to_a_closed_handle_is_stale_and_reaches_nobody() {
    let mut rig = Rig::new();
    let first = rig.peer();
    let mut script = silent();
    rig.until(&mut script, |script| script.opened().len() == 1);
    let old = script.opened()[0];
    drop(first);
    rig.until(&mut script, |script| script.causes().len() == 1);
    let mut second = rig.peer();
    rig.until(&mut script, |script| script.opened().len() == 2);
    let new = script.opened()[1];
    assert_ne!(old, new);
    let io = rig.reactor.io();
    let shared = Bytes::from_static(&[9; DIRECT_SEND_BYTES_MIN]);
    assert_eq!(io.send(old, b"x"), Err(SendError::Stale));
    assert_eq!(io.send(old, &[0; DIRECT_SEND_BYTES_MIN]), Err(SendError::Stale));
    assert_eq!(io.send_bytes(old, &shared), Err(SendError::Stale));
    assert_eq!(io.send_parts(old, &[b"x", b"y"]), Err(SendError::Stale));
    assert_eq!(io.send_with(old, 4, |_| unreachable!("stale")), Err(SendError::Stale));
    assert!(io.finish(old).is_err() && io.pause(old).is_err() && io.resume(old).is_err());
    assert!(io.grant_read(old, None).is_err() && io.grant_write(old, None).is_err());
    assert!(io.expect(old).is_err() && io.deadline(old, None).is_err() && io.release(old).is_err());
    assert!(!io.close(old) && !io.abort(old));
    assert_eq!((io.room(old), io.queued(old)), (0, 0));
    io.send(new, b"for the living").unwrap();
    io.close(new);
    rig.settle(&mut script);
    let mut all = Vec::new();
    second.read_to_end(&mut all).unwrap();
    assert_eq!(all, b"for the living");
}

#[test]
fn an_encoder_that_panics_for_another_connection_does_not_strand_it() {
    let mut rig = Rig::with(config(|c| c.isolate_panics = true));
    let (mut victim, mut other) = (rig.peer(), rig.peer());
    let mut script = silent();
    rig.until(&mut script, |script| script.opened().len() == 2);
    let mut conns = script.opened();
    let of_other = other.local_addr().unwrap();
    conns.sort_by_key(|conn| rig.reactor.io().peer(*conn).and_then(|peer| peer.as_inet()) == Some(of_other));
    let target = conns[0];
    let mut panicking = |io: &mut Io, event: Event<'_>| {
        if let Event::Data { .. } = event {
            let _ = io.send_with(target, 100, |_| panic!("an encoder that panics"));
        }
    };
    other.write_all(b"x").unwrap();
    while rig.reactor.io().connections() == 2 {
        rig.turn(&mut panicking);
    }
    rig.reactor.io().send(target, b"still here").unwrap();
    rig.settle(&mut silent_closure());
    assert_eq!(rig.reactor.io().queued(target), 0, "bytes wait that nobody will ever write");
    let mut got = [0; 10];
    victim.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"still here");
}

fn silent_closure() -> impl FnMut(&mut Io, Event<'_>) {
    |_: &mut Io, _: Event<'_>| {}
}
