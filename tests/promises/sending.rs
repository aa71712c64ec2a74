//! Sending: all or nothing, in order, and told how it went; watermarks, bounds and self-throttling.

use crate::net::{End, Rig, Seen, assert_same, config, drink, echo, ignore, options, pattern, pour};
use bytes::Bytes;
use std::io::{IoSlice, Write};
use windlass::{Cause, Event, Io, SendError, Sent, Wait};

#[test]
fn an_empty_queue_flows() {
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer();
    assert_eq!(rig.io().send(conn, b"small"), Ok(Sent::Flowing));
    assert_eq!(rig.io().send(conn, &[0; 10_000]), Ok(Sent::Flowing));
    rig.receive(&mut peer, 10_005, ignore);
    assert_eq!(rig.io().queued(conn), 0);
}

/// The loop that flushes went on offering an empty queue after the kernel had taken everything.
#[test]
fn flushing_ends_when_the_kernel_has_taken_everything() {
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer();
    rig.io().send(conn, b"queued outside of events").unwrap();
    let turn = rig.turn(Wait::No, ignore);
    assert_eq!((turn.handled, rig.io().queued(conn)), (0, 0));
    assert_eq!(rig.receive(&mut peer, 24, ignore), b"queued outside of events");
}

#[test]
fn over_high_water_is_backlogged_and_then_drained_comes_once() {
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer();
    let mut sent = rig.clog(conn);
    let high = rig.io().options(conn).unwrap().queue.high_bytes;
    while rig.io().queued(conn) + 1000 <= high {
        assert_eq!(rig.io().send(conn, &[b'x'; 1000]), Ok(Sent::Flowing));
        sent += 1000;
    }
    assert_eq!(rig.io().send(conn, &[b'x'; 1000]), Ok(Sent::Backlogged));
    assert_eq!(rig.io().send(conn, &[b'x'; 1000]), Ok(Sent::Backlogged));
    rig.settle(ignore);
    assert_eq!(rig.count("drained"), 0, "the peer has taken nothing");
    let low = rig.io().options(conn).unwrap().queue.low_bytes;
    rig.receive(&mut peer, sent + 2000, |io: &mut Io, event: Event<'_>| {
        if let Event::Drained { conn } = event {
            assert!(io.queued(conn) <= low);
        }
    });
    rig.settle(ignore);
    assert_eq!(rig.count("drained"), 1);
}

#[test]
fn full_takes_nothing_and_then_drained_comes() {
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer();
    let mut sent = rig.clog(conn);
    let max = rig.io().options(conn).unwrap().queue.max_bytes;
    let room = rig.io().room(conn);
    assert_eq!(room, max - rig.io().queued(conn));
    assert_eq!(rig.io().send(conn, &vec![b'x'; room + 1]), Err(SendError::Full));
    assert_eq!(rig.io().queued(conn), max - room, "nothing of it was taken");
    assert_eq!(rig.io().send(conn, &vec![b'x'; room]), Ok(Sent::Backlogged));
    sent += room;
    assert_eq!((rig.io().room(conn), rig.io().send(conn, b"x")), (0, Err(SendError::Full)));
    assert_eq!(rig.io().send_parts(conn, &[b"x", b"y"]), Err(SendError::Full));
    assert_eq!(rig.io().send_bytes(conn, &Bytes::from_static(b"xy")), Err(SendError::Full));
    assert_eq!(rig.io().send_with(conn, 1, |_| unreachable!("no room")), Err(SendError::Full));
    assert_eq!(rig.figures().sends_refused_full, 5);
    let got = rig.receive(&mut peer, sent, ignore);
    assert_eq!(got.len(), sent);
    rig.settle(ignore);
    assert_eq!((rig.count("drained"), rig.io().queued(conn)), (1, 0));
    assert_eq!(drink(&mut peer, &mut Vec::new(), 1), End::None, "nothing of what was refused arrives");
}

#[test]
fn full_below_the_low_watermark_is_followed_by_drained_too() {
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer();
    let sent = rig.clog(conn);
    assert!(rig.io().queued(conn) <= rig.io().options(conn).unwrap().queue.low_bytes);
    let max = rig.io().options(conn).unwrap().queue.max_bytes;
    assert_eq!(rig.io().send(conn, &vec![0; max]), Err(SendError::Full));
    rig.receive(&mut peer, sent, ignore);
    rig.settle(ignore);
    assert_eq!(rig.count("drained"), 1);
    assert!(rig.io().send(conn, &vec![0; max]).is_ok());
}

#[test]
fn more_than_the_queue_may_ever_hold_is_too_large() {
    let mut rig = Rig::new();
    let (conn, _peer) = rig.peer();
    let max = rig.io().options(conn).unwrap().queue.max_bytes;
    assert_eq!(rig.io().send(conn, &vec![0; max + 1]), Err(SendError::TooLarge));
    let shared = Bytes::from(vec![0; max + 1]);
    assert_eq!(rig.io().send_bytes(conn, &shared), Err(SendError::TooLarge));
    assert_eq!(rig.io().send_with(conn, max + 1, |_| 0), Err(SendError::TooLarge));
    assert_eq!(rig.io().queued(conn), 0);
}

#[test]
fn after_finish_and_while_closing_sends_answer_closing() {
    let mut rig = Rig::new();
    let (conn, _peer) = rig.peer();
    rig.io().finish(conn).unwrap();
    assert_eq!(rig.io().send(conn, b"x"), Err(SendError::Closing));
    assert_eq!(rig.io().room(conn), 0);
    rig.io().close(conn);
    assert_eq!(rig.io().send(conn, b"x"), Err(SendError::Closing));
    rig.io().abort(conn);
    assert_eq!(rig.io().send(conn, b"x"), Err(SendError::Closing));
    rig.until_closed(conn, ignore);
    assert_eq!(rig.io().send(conn, b"x"), Err(SendError::Stale));
}

/// Every way of sending, small and large, from the connection's own event and from another's.
fn send_in_every_way(io: &mut Io, conn: windlass::Conn, bytes: &[u8]) {
    let mut rest = bytes;
    let mut next = |n: usize| {
        let (now, later) = rest.split_at(n.min(rest.len()));
        rest = later;
        now
    };
    for large in [10, 5000, 3, 4096, 20_000] {
        io.send(conn, next(7)).unwrap();
        io.send(conn, next(large)).unwrap();
        let (a, b, c) = (next(5), next(large), next(1));
        io.send_parts(conn, &[a, b, c]).unwrap();
        let encoded = next(large);
        let encode = |room: &mut [u8]| {
            room[..encoded.len()].copy_from_slice(encoded);
            encoded.len()
        };
        io.send_with(conn, large + 100, encode).unwrap();
        io.send_bytes(conn, &Bytes::copy_from_slice(next(3))).unwrap();
        io.send_bytes(conn, &Bytes::copy_from_slice(next(large))).unwrap();
    }
    io.send(conn, rest).unwrap();
}

#[test]
fn all_ways_of_sending_keep_the_order_inside_the_own_event() {
    let mut rig = Rig::new();
    let (_, mut peer) = rig.peer();
    let bytes = pattern(130_000);
    peer.write_all(b"go").unwrap();
    let got = rig.receive(&mut peer, bytes.len(), |io: &mut Io, event: Event<'_>| {
        if let Event::Data { conn, .. } = event {
            send_in_every_way(io, conn, &bytes);
        }
    });
    assert_same(&got, &bytes);
}

#[test]
fn all_ways_of_sending_keep_the_order_outside_of_events() {
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer();
    let bytes = pattern(130_000);
    send_in_every_way(rig.io(), conn, &bytes);
    assert_same(&rig.receive(&mut peer, bytes.len(), ignore), &bytes);
}

#[test]
fn all_ways_of_sending_keep_the_order_before_opened_and_behind_a_full_kernel() {
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer();
    let before = rig.clog(conn);
    let bytes = pattern(130_000);
    send_in_every_way(rig.io(), conn, &bytes);
    let got = rig.receive(&mut peer, before + bytes.len(), ignore);
    assert_same(&got[before..], &bytes);
}

/// What another connection's event had queued was overtaken by a large shared buffer sent after it.
#[test]
fn a_shared_buffer_does_not_overtake_what_waits_in_the_queue() {
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer();
    rig.io().send(conn, b"first").unwrap();
    rig.io().send_bytes(conn, &Bytes::from(vec![b'2'; 8192])).unwrap();
    let got = rig.receive(&mut peer, 8197, ignore);
    assert_eq!(String::from_utf8_lossy(&got[..8]), "first222");
}

/// The cork stayed open after the kernel had refused a part of a large send, and what went through the cork
/// was written past the queue as soon as the kernel had room again.
#[test]
fn a_small_send_does_not_overtake_what_the_kernel_refused_in_the_same_event() {
    let mut rig = Rig::new();
    let (_, mut peer) = rig.peer();
    peer.write_all(b"go").unwrap();
    let mut other_end = peer.try_clone().unwrap();
    let (mut got, mut sent) = (Vec::new(), 0);
    let answer = |io: &mut Io, event: Event<'_>| {
        if let Event::Data { conn, .. } = event {
            while io.queued(conn) == 0 {
                io.send(conn, &[b'x'; 50_000]).unwrap();
                sent += 50_000;
            }
            drink(&mut other_end, &mut got, usize::MAX);
            io.send(conn, b"last").unwrap();
        }
    };
    rig.until("it is answered", answer, |rig| rig.count("data") == 1);
    let rest = sent + 4 - got.len();
    got.extend(rig.receive(&mut peer, rest, ignore));
    assert_eq!(String::from_utf8_lossy(&got[sent - 2..]), "xxlast");
}

/// One write takes 64 slices; what was beyond them waited for a readiness that never came, because the kernel
/// had refused nothing.
#[test]
fn more_parts_than_one_write_takes_arrive_without_waiting() {
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer();
    let bytes = pattern(20_000);
    let parts: Vec<&[u8]> = bytes.chunks(100).collect();
    assert_eq!(parts.len(), 200);
    rig.settle(ignore);
    rig.io().send_parts(conn, &parts).unwrap();
    assert_same(&rig.receive(&mut peer, bytes.len(), ignore), &bytes);
    rig.io().send(conn, b"dirty").unwrap();
    rig.io().send_parts(conn, &parts).unwrap();
    assert_same(&rig.receive(&mut peer, bytes.len() + 5, ignore)[5..], &bytes);
}

#[test]
fn send_with_may_write_less_than_it_asked_for_or_nothing() {
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer();
    rig.io().send_with(conn, 1000, |_| 0).unwrap();
    rig.io()
        .send_with(conn, 1000, |room| {
            assert_eq!(room.len(), 1000);
            room[..3].copy_from_slice(b"abc");
            3
        })
        .unwrap();
    assert_eq!(rig.io().queued(conn), 3);
    assert_eq!(rig.receive(&mut peer, 3, ignore), b"abc");
}

#[test]
fn small_sends_of_one_event_leave_in_one_write() {
    let mut rig = Rig::new();
    let (_, mut peer) = rig.peer();
    peer.write_all(b"go").unwrap();
    let before = rig.figures().bytes_out;
    let mut queued = Vec::new();
    let got = rig.receive(&mut peer, 3000, |io: &mut Io, event: Event<'_>| {
        if let Event::Data { conn, .. } = event {
            for _ in 0..1000 {
                assert_eq!(io.send(conn, b"abc"), Ok(Sent::Flowing));
            }
            queued.push((io.queued(conn), io.metrics().figures().bytes_out));
        }
    });
    assert_eq!(got.len(), 3000);
    assert_eq!(queued, [(3000, before)], "nothing was written before the handler returned");
}

#[test]
fn the_echo_loses_nothing_when_the_peer_does_not_read_for_a_while() {
    const TOTAL: usize = 20 << 20;
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer();
    let bytes = pattern(TOTAL);
    let mut rest = &bytes[..];
    let mut stuck = 0;
    // The peer only writes until the echo has stopped reading, that is until both kernels are full.
    rig.until("the echo stops reading", echo, |rig| {
        let before = rest.len();
        pour(&mut peer, &mut rest);
        let queued = rig.io().queued(conn);
        stuck = if rest.len() == before && queued > 0 { stuck + 1 } else { 0 };
        stuck == 20
    });
    assert!(!rest.is_empty(), "the echo should not have taken all 20 MB");
    assert!(rig.io().queued(conn) > rig.io().options(conn).unwrap().queue.high_bytes);
    let mut got = Vec::with_capacity(TOTAL);
    rig.until("all comes back", echo, |_| {
        pour(&mut peer, &mut rest);
        assert_eq!(drink(&mut peer, &mut got, TOTAL), End::None);
        got.len() == TOTAL
    });
    assert_same(&got, &bytes);
    assert_eq!(rig.figures().sends_refused_full, 0);
}

/// A connection over high water is still read when it is a proxy's: its directions are independent.
#[test]
fn without_self_throttle_a_backlogged_connection_is_read() {
    for throttle in [true, false] {
        let mut rig = Rig::new();
        let (conn, mut peer) = rig.peer_with(options(|o| o.self_throttle = throttle));
        rig.clog(conn);
        assert_eq!(rig.io().send(conn, &[0; 300_000]), Ok(Sent::Backlogged));
        peer.write_all(b"read me").unwrap();
        rig.settle(ignore);
        assert_eq!(rig.data(conn).len(), if throttle { 0 } else { 7 }, "throttle {throttle}");
    }
}

#[test]
fn what_came_while_throttled_is_lent_after_it_drained() {
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer();
    let sent = rig.clog(conn);
    rig.io().send(conn, &[0; 300_000]).unwrap();
    peer.write_all(b"read me").unwrap();
    rig.settle(ignore);
    assert_eq!(rig.count("data"), 0);
    rig.receive(&mut peer, sent + 300_000, ignore);
    rig.until_data(conn, 7, ignore);
    assert_eq!(rig.count("drained"), 1);
}

#[test]
fn a_paused_connection_is_not_read_and_what_came_is_lent_after_resume() {
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer();
    rig.io().pause(conn).unwrap();
    peer.write_all(b"meanwhile").unwrap();
    rig.settle(ignore);
    assert_eq!(rig.count("data"), 0);
    rig.io().resume(conn).unwrap();
    rig.until_data(conn, 9, ignore);
    assert_eq!(rig.data(conn), b"meanwhile");
}

#[test]
fn a_pause_inside_data_holds_for_the_rest_of_what_is_there() {
    let mut rig = Rig::with(config(|c| c.receive_buffer_bytes = 4096));
    let (conn, mut peer) = rig.peer();
    peer.write_all(&pattern(12_000)).unwrap();
    let mut pausing = |io: &mut Io, event: Event<'_>| {
        if let Event::Data { conn, .. } = event {
            io.pause(conn).unwrap();
        }
    };
    rig.settle(&mut pausing);
    assert_eq!(rig.lent(conn).len(), 1);
    while rig.data(conn).len() < 12_000 {
        let before = rig.count("data");
        rig.io().resume(conn).unwrap();
        rig.settle(&mut pausing);
        assert_eq!(rig.count("data"), before + 1);
    }
    assert_same(&rig.data(conn), &pattern(12_000));
}

#[test]
fn a_reset_is_noticed_while_paused() {
    let mut rig = Rig::new();
    let (conn, peer) = rig.peer();
    rig.io().pause(conn).unwrap();
    crate::net::reset(peer);
    assert_eq!(rig.until_closed(conn, ignore), Cause::Reset);
}

#[test]
fn a_paused_connection_still_sends() {
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer();
    rig.io().pause(conn).unwrap();
    let sent = rig.clog(conn);
    assert_eq!(rig.receive(&mut peer, sent, ignore).len(), sent);
}

/// All queues together are bounded: what is beyond is refused, and `Drained` comes when there is room again.
#[test]
fn the_sum_of_all_buffers_is_bounded() {
    let mut rig = Rig::with(config(|c| c.buffer_bytes_max = 1 << 20));
    let (one, mut peer) = rig.peer();
    let (two, _other) = rig.peer();
    rig.clog(two);
    let sent = rig.clog(one) + 600_000;
    rig.io().send(one, &[0; 600_000]).unwrap();
    assert_eq!(rig.io().send(two, &[0; 600_000]), Err(SendError::Full));
    assert!(rig.io().room(two) < 600_000);
    rig.receive(&mut peer, sent, ignore);
    rig.until("both drain", ignore, |rig| {
        rig.seen.contains(&Seen::Drained(one)) && rig.seen.contains(&Seen::Drained(two))
    });
    assert!(rig.io().send(two, &[0; 600_000]).is_ok());
}

/// Shared buffers in queues count like pooled ones.
#[test]
fn room_counts_shared_buffers_of_all_queues() {
    let mut rig = Rig::with(config(|c| c.buffer_bytes_max = 1 << 20));
    let (one, _peer) = rig.peer();
    let (two, _other) = rig.peer();
    rig.clog(one);
    rig.io().send_bytes(one, &Bytes::from(vec![0; 700_000])).unwrap();
    rig.clog(two);
    let room = rig.io().room(two);
    assert_eq!(rig.io().send(two, &vec![0; room + 1]), Err(SendError::Full));
    assert!(rig.io().send(two, &vec![0; room]).is_ok(), "room() promised {room} bytes");
}

/// Above 80 % nothing is read, so that echoes need no more memory; below 70 % it goes on.
#[test]
fn short_memory_stops_reading_until_there_is_some() {
    let mut rig = Rig::with(config(|c| c.buffer_bytes_max = 1 << 20));
    let (full, mut taker) = rig.peer();
    let (conn, mut peer) = rig.peer();
    let mut sent = rig.clog(full);
    rig.io().send(full, &[0; 900_000]).unwrap();
    sent += 900_000;
    peer.write_all(b"wait").unwrap();
    rig.settle(ignore);
    assert_eq!(rig.count("data"), 0);
    assert!(rig.figures().reads_stopped_by_memory > 0);
    rig.receive(&mut taker, sent, ignore);
    rig.until_data(conn, 4, ignore);
}

/// A send that can never fit was answered `Full`, and because nothing was buffered that could shrink, nobody
/// was read ever after.
#[test]
fn a_send_beyond_the_sum_of_all_buffers_does_not_stop_reading() {
    let mut rig = Rig::with(config(|c| c.buffer_bytes_max = 512 * 1024));
    let (conn, mut peer) = rig.peer();
    assert_eq!(rig.io().send(conn, &[0; 600_000]), Err(SendError::TooLarge));
    peer.write_all(b"still here").unwrap();
    rig.until_data(conn, 10, ignore);
}

#[test]
fn a_write_to_a_peer_that_reset_closes_and_says_so() {
    let mut rig = Rig::new();
    let (conn, peer) = rig.peer();
    crate::net::reset(peer);
    // Either the kernel reports the reset first or the write meets it; both are this connection's end.
    let _ = rig.io().send(conn, &[0; 10_000]);
    assert_eq!(rig.until_closed(conn, ignore), Cause::Reset);
    assert_eq!(rig.turn(Wait::No, ignore).handled, 0);
}

/// Vectored writes of the peer arrive like any others; what they cost the reactor is one `Data`.
#[test]
fn pieces_that_arrive_together_are_lent_together() {
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer();
    let n = peer.write_vectored(&[IoSlice::new(b"one "), IoSlice::new(b"two")]).unwrap();
    rig.until_data(conn, n, ignore);
    assert_eq!(rig.lent(conn), [b"one two"]);
}
