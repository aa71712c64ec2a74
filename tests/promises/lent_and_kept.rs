//! What is lent, what can be kept of it, and that nothing is held for a connection that has nothing pending.

use crate::net::{Rig, assert_same, config, echo, ignore, options, pattern};
use std::io::Write;
use std::net::Shutdown;
use windlass::{Cause, Event, Io, KeepError, Wait};

/// Keeps everything until `want` bytes are there.
fn keeps_until(want: usize) -> impl FnMut(&mut Io, Event<'_>) {
    move |io, event| {
        if let Event::Data { conn, bytes } = event
            && bytes.len() < want
        {
            io.keep_until(conn, bytes.len(), want).unwrap();
        }
    }
}

#[test]
fn what_is_not_kept_is_consumed() {
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer();
    peer.write_all(b"one").unwrap();
    rig.until_data(conn, 3, ignore);
    peer.write_all(b"two").unwrap();
    rig.until_data(conn, 6, ignore);
    assert_eq!(rig.lent(conn), [b"one", b"two"]);
}

#[test]
fn a_kept_tail_stands_before_what_comes_next() {
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer();
    let mut keep_two = |io: &mut Io, event: Event<'_>| {
        if let Event::Data { conn, bytes } = event {
            io.keep(conn, bytes.len().min(2)).unwrap();
        }
    };
    peer.write_all(b"abcd").unwrap();
    rig.until_data(conn, 4, &mut keep_two);
    rig.settle(&mut keep_two);
    assert_eq!(rig.lent(conn), [b"abcd"], "nothing new: not lent again");
    peer.write_all(b"e").unwrap();
    rig.until_data(conn, 7, &mut keep_two);
    peer.write_all(b"fg").unwrap();
    rig.until_data(conn, 11, &mut keep_two);
    assert_eq!(rig.lent(conn), [&b"abcd"[..], b"cde", b"defg"]);
}

#[test]
fn keeping_nothing_is_consuming() {
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer();
    let mut keep_then_not = |io: &mut Io, event: Event<'_>| {
        if let Event::Data { conn, bytes } = event {
            io.keep(conn, bytes.len()).unwrap();
            io.keep(conn, 0).unwrap();
        }
    };
    peer.write_all(b"abc").unwrap();
    rig.until_data(conn, 3, &mut keep_then_not);
    peer.write_all(b"d").unwrap();
    rig.until_data(conn, 4, &mut keep_then_not);
    assert_eq!(rig.lent(conn), [&b"abc"[..], b"d"]);
}

#[test]
fn keep_until_comes_back_only_when_that_much_is_there() {
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer();
    for piece in [&b"12"[..], b"345", b"6789", b"0!"] {
        peer.write_all(piece).unwrap();
        rig.settle(keeps_until(10));
    }
    assert_eq!(rig.lent(conn), [&b"12"[..], b"1234567890!"]);
}

/// A handler that has consumed a header knows the length of the body of which nothing has come yet.
#[test]
fn keep_until_waits_although_nothing_is_kept_yet() {
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer();
    let mut body_of_ten = |io: &mut Io, event: Event<'_>| {
        if let Event::Data { conn, bytes: b"head" } = event {
            io.keep_until(conn, 0, 10).unwrap();
        }
    };
    for piece in [&b"head"[..], b"01234", b"56789"] {
        peer.write_all(piece).unwrap();
        rig.settle(&mut body_of_ten);
    }
    assert_eq!(rig.lent(conn), [&b"head"[..], b"0123456789"]);
    assert_eq!(rig.figures().pool_bytes_taken, 0);
}

#[test]
fn the_end_of_the_stream_lends_nothing_when_keep_until_had_nothing() {
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer();
    peer.write_all(b"head").unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    let cause = rig.until_closed(conn, |io, event| {
        if let Event::Data { conn, bytes } = event {
            assert!(!bytes.is_empty(), "an empty Data says nothing");
            io.keep_until(conn, 0, 10).unwrap();
        }
    });
    assert_eq!((cause, rig.lent(conn)), (Cause::PeerClosed, vec![&b"head"[..]]));
}

#[test]
fn a_frame_larger_than_the_headroom_is_lent_whole_and_contiguous() {
    let mut rig = Rig::new();
    let frame = pattern(700_000);
    let (conn, mut peer) = rig.peer_with(options(|o| o.kept_bytes_max = 1 << 20));
    rig.feed(&mut peer, &frame, keeps_until(700_000));
    rig.until("the frame is whole", keeps_until(700_000), |rig| {
        rig.lent(conn).last().is_some_and(|last| last.len() == 700_000)
    });
    assert_same(rig.lent(conn).last().unwrap(), &frame);
    assert_eq!(rig.lent(conn).len(), 2, "the first piece and the whole");
    rig.settle(ignore);
    assert_eq!(rig.figures().pool_bytes_taken, 0);
}

/// The same with `keep`: each piece comes with all before it, beyond the headroom too.
#[test]
fn kept_bytes_larger_than_the_headroom_stay_in_front() {
    let mut rig = Rig::new();
    let bytes = pattern(200_000);
    let (conn, mut peer) = rig.peer_with(options(|o| o.kept_bytes_max = 1 << 20));
    let mut keep_all = |io: &mut Io, event: Event<'_>| {
        if let Event::Data { conn, bytes } = event {
            io.keep(conn, bytes.len()).unwrap();
        }
    };
    for piece in bytes.chunks(40_000) {
        rig.feed(&mut peer, piece, &mut keep_all);
        rig.settle(&mut keep_all);
    }
    for lent in rig.lent(conn) {
        assert_same(lent, &bytes[..lent.len()]);
    }
    assert_eq!(rig.lent(conn).last().unwrap().len(), 200_000);
}

#[test]
fn exactly_the_bound_can_be_kept_and_not_one_more() {
    let bound = windlass::limits::KEPT_BYTES_MAX;
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer();
    rig.feed(&mut peer, &pattern(bound), keeps_until(bound));
    rig.until("all is there", keeps_until(bound), |rig| {
        rig.lent(conn).last().is_some_and(|last| last.len() == bound)
    });
    let mut answers = Vec::new();
    peer.write_all(b"x").unwrap();
    let cause = rig.until_closed(conn, |io, event| {
        if let Event::Data { conn, .. } = event {
            answers.push(io.keep_until(conn, 1, bound));
            answers.push(io.keep_until(conn, 1, bound + 2));
        }
    });
    assert_eq!(answers, [Ok(()), Err(KeepError::TooLarge)]);
    assert_eq!(cause, Cause::FrameTooLarge);
    assert_eq!(rig.figures().pool_bytes_taken, 0);
}

#[test]
fn keeping_more_than_the_bound_closes_with_frame_too_large() {
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer_with(options(|o| o.kept_bytes_max = 100));
    peer.write_all(&[1; 101]).unwrap();
    let mut answer = None;
    let cause = rig.until_closed(conn, |io, event| {
        if let Event::Data { conn, bytes } = event {
            answer = Some(io.keep(conn, bytes.len()));
        }
    });
    assert_eq!((cause, answer), (Cause::FrameTooLarge, Some(Err(KeepError::TooLarge))));
}

#[test]
fn only_what_was_lent_can_be_kept_and_only_while_it_is() {
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer();
    let (other, _other_peer) = rig.peer();
    assert_eq!(rig.io().keep(conn, 0), Err(KeepError::NotLent));
    peer.write_all(b"abc").unwrap();
    rig.until_data(conn, 3, |io, event| {
        if let Event::Data { conn, .. } = event {
            assert_eq!(io.keep(other, 1), Err(KeepError::NotLent));
            assert_eq!(io.keep(conn, 4), Err(KeepError::NotLent));
            assert_eq!(io.keep(conn, usize::MAX), Err(KeepError::NotLent));
        }
    });
    assert_eq!(rig.io().keep(conn, 1), Err(KeepError::NotLent));
    assert!(rig.io().is_open(conn));
}

#[test]
fn kept_bytes_are_lent_once_more_before_peer_finished() {
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer_with(options(|o| o.half_close = true));
    peer.write_all(b"unfinished").unwrap();
    rig.until_data(conn, 10, keeps_until(100));
    peer.shutdown(Shutdown::Write).unwrap();
    rig.until("the end is told", keeps_until(100), |rig| rig.count("peer finished") == 1);
    assert_eq!(rig.words(conn), ["accepted", "opened", "data", "data", "peer finished"]);
    assert_eq!(rig.lent(conn), [b"unfinished", b"unfinished"]);
    rig.settle(ignore);
    assert_eq!(rig.figures().pool_bytes_taken, 0, "nothing can come behind it, so nothing is kept");
}

#[test]
fn kept_bytes_are_lent_once_more_before_closed() {
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer();
    peer.write_all(b"unfinished").unwrap();
    rig.until_data(conn, 10, keeps_until(100));
    drop(peer);
    assert_eq!(rig.until_closed(conn, keeps_until(100)), Cause::PeerClosed);
    assert_eq!(rig.words(conn), ["accepted", "opened", "data", "data", "closed"]);
}

#[test]
fn a_connection_with_nothing_pending_owns_no_buffer() {
    let mut rig = Rig::new();
    let mut peers: Vec<_> = (0..10).map(|_| rig.peer()).collect();
    for (_, peer) in &mut peers {
        peer.write_all(&pattern(3000)).unwrap();
    }
    for (_, peer) in &mut peers {
        assert_same(&rig.receive(peer, 3000, echo), &pattern(3000));
    }
    for (conn, peer) in &mut peers {
        let sent = rig.clog(*conn);
        assert!(rig.figures().connections_active == 10 && rig.io().queued(*conn) > 0);
        rig.receive(peer, sent, ignore);
    }
    rig.settle(ignore);
    let figures = rig.figures();
    assert_eq!((figures.pool_bytes_taken, figures.buffered_bytes), (0, 0));
}

#[test]
fn metrics_show_what_is_kept_while_it_is_kept() {
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer();
    peer.write_all(b"12345").unwrap();
    rig.until_data(conn, 5, keeps_until(10));
    assert!(rig.figures().pool_bytes_taken >= 5);
    peer.write_all(b"67890").unwrap();
    rig.until_data(conn, 15, keeps_until(10));
    rig.turn(Wait::No, ignore);
    assert_eq!(rig.figures().pool_bytes_taken, 0);
}

#[test]
fn more_than_a_receive_buffer_comes_in_pieces_no_larger_than_it() {
    let mut rig = Rig::with(config(|c| c.receive_buffer_bytes = 4096));
    let (conn, mut peer) = rig.peer();
    let bytes = pattern(100_000);
    rig.feed(&mut peer, &bytes, ignore);
    rig.until_data(conn, bytes.len(), ignore);
    assert_same(&rig.data(conn), &bytes);
    assert!(rig.lent(conn).iter().all(|lent| lent.len() <= 4096));
}

#[test]
fn relend_lends_what_is_kept_once_more_without_new_bytes() {
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer();
    let keep_all = |io: &mut Io, event: Event<'_>| {
        if let Event::Data { conn, bytes } = event {
            io.keep_until(conn, bytes.len(), 100).unwrap();
        }
    };
    peer.write_all(b"abc").unwrap();
    rig.until_data(conn, 3, keep_all);
    rig.io().pause(conn).unwrap();
    rig.io().relend(conn).unwrap();
    rig.settle(ignore);
    assert_eq!(rig.lent(conn), [b"abc"], "a paused connection is lent nothing");
    rig.io().resume(conn).unwrap();
    rig.io().relend(conn).unwrap();
    rig.io().relend(conn).unwrap();
    rig.settle(ignore);
    assert_eq!(rig.lent(conn), [b"abc", b"abc"], "asked twice in one turn, lent once");
    rig.io().relend(conn).unwrap();
    rig.settle(ignore);
    assert_eq!(rig.lent(conn).len(), 2, "it was consumed, so there is nothing to lend");
    assert_eq!(rig.figures().buffered_bytes, 0);
}

/// A length that peers merely declared was reserved for each of them, until nobody was read any more.
#[test]
fn declaring_a_long_frame_takes_no_memory_before_its_bytes_come() {
    let frame = 16 * 1024 * 1024;
    let mut rig = Rig::new();
    let mut peers = Vec::new();
    for _ in 0..20 {
        let (conn, mut peer) = rig.peer_with(options(|o| o.kept_bytes_max = frame));
        peer.write_all(b"L").unwrap();
        rig.until_data(conn, 1, keeps_until(frame));
        peers.push(peer);
    }
    assert!(rig.figures().buffered_bytes <= 20 * 4096, "{}", rig.figures().buffered_bytes);
}
