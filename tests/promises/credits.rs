//! Read and write credit: the floor that a bandwidth manager stands on.

use crate::net::{Rig, assert_same, drink, echo, ignore, pattern, reset};
use std::io::Write;
use windlass::{Cause, Event, Io};

#[test]
fn without_read_credit_nothing_is_read_and_with_it_no_more_than_that() {
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer();
    rig.io().grant_read(conn, Some(0)).unwrap();
    peer.write_all(&pattern(100)).unwrap();
    rig.settle(ignore);
    assert_eq!(rig.data(conn).len(), 0);
    for granted in [1, 9, 40] {
        let before = rig.data(conn).len();
        rig.io().grant_read(conn, Some(granted)).unwrap();
        rig.settle(ignore);
        assert_eq!(rig.data(conn).len() - before, granted as usize);
    }
    rig.io().grant_read(conn, None).unwrap();
    rig.until_data(conn, 100, ignore);
    assert_same(&rig.data(conn), &pattern(100));
}

#[test]
fn read_credit_adds_up_and_lasts() {
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer();
    rig.io().grant_read(conn, Some(3)).unwrap();
    rig.io().grant_read(conn, Some(4)).unwrap();
    peer.write_all(b"12345").unwrap();
    rig.settle(ignore);
    peer.write_all(b"6789").unwrap();
    rig.settle(ignore);
    assert_eq!(rig.data(conn), b"1234567");
}

/// Granting inside the handler, as much as was used: a window that moves on.
#[test]
fn credit_granted_inside_the_event_it_was_used_up_in_goes_on_at_once() {
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer();
    let bytes = pattern(200_000);
    rig.io().grant_read(conn, Some(1000)).unwrap();
    let mut window = |io: &mut Io, event: Event<'_>| {
        if let Event::Data { conn, bytes } = event {
            assert!(bytes.len() <= 1000);
            io.grant_read(conn, Some(bytes.len() as u64)).unwrap();
        }
    };
    rig.feed(&mut peer, &bytes, &mut window);
    rig.until_data(conn, bytes.len(), &mut window);
    assert_same(&rig.data(conn), &bytes);
}

#[test]
fn a_reset_is_noticed_without_read_credit() {
    let mut rig = Rig::new();
    let (conn, peer) = rig.peer();
    rig.io().grant_read(conn, Some(0)).unwrap();
    reset(peer);
    assert_eq!(rig.until_closed(conn, ignore), Cause::Reset);
}

#[test]
fn without_write_credit_sends_stay_queued_and_with_it_no_more_than_that_leaves() {
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer();
    rig.io().grant_write(conn, Some(0)).unwrap();
    let bytes = pattern(10_000);
    rig.io().send(conn, &bytes[..100]).unwrap();
    rig.io().send(conn, &bytes[100..]).unwrap();
    let mut got = Vec::new();
    let mut expected = 0;
    for granted in [0, 1, 50, 5000] {
        rig.io().grant_write(conn, Some(granted)).unwrap();
        expected += granted as usize;
        rig.settle(ignore);
        drink(&mut peer, &mut got, usize::MAX);
        assert_eq!((got.len(), rig.io().queued(conn)), (expected, 10_000 - expected));
    }
    rig.io().grant_write(conn, None).unwrap();
    got.extend(rig.receive(&mut peer, 10_000 - expected, ignore));
    assert_same(&got, &bytes);
}

#[test]
fn write_credit_granted_in_advance_is_spent_by_later_sends() {
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer();
    rig.io().grant_write(conn, Some(10)).unwrap();
    rig.io().send(conn, b"1234567").unwrap();
    assert_eq!(rig.receive(&mut peer, 7, ignore), b"1234567");
    rig.io().send(conn, b"89abcdef").unwrap();
    assert_eq!(rig.receive(&mut peer, 3, ignore), b"89a");
    rig.settle(ignore);
    assert_eq!(rig.io().queued(conn), 5);
    rig.io().grant_write(conn, Some(5)).unwrap();
    assert_eq!(rig.receive(&mut peer, 5, ignore), b"bcdef");
}

/// What was sent in the same event before credit became limited is not held back, and stays in front.
#[test]
fn limiting_write_credit_inside_an_event_keeps_the_order() {
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer();
    peer.write_all(b"go").unwrap();
    let mut limiting = |io: &mut Io, event: Event<'_>| {
        if let Event::Data { conn, .. } = event {
            io.send(conn, b"free").unwrap();
            io.grant_write(conn, Some(2)).unwrap();
            io.send(conn, b"-bound").unwrap();
        }
    };
    assert_eq!(rig.receive(&mut peer, 6, &mut limiting), b"free-b");
    rig.settle(ignore);
    assert_eq!(rig.io().queued(conn), 4);
    rig.io().grant_write(conn, None).unwrap();
    assert_eq!(rig.receive(&mut peer, 4, ignore), b"ound");
}

#[test]
fn a_close_waits_for_write_credit() {
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer();
    rig.io().grant_write(conn, Some(3)).unwrap();
    rig.io().send(conn, b"abcdef").unwrap();
    rig.io().close(conn);
    assert_eq!(rig.receive(&mut peer, 3, ignore), b"abc");
    rig.settle(ignore);
    assert!(rig.closed(conn).is_none());
    rig.io().grant_write(conn, None).unwrap();
    assert_eq!(rig.receive_to_end(&mut peer, ignore).0, b"def");
}

#[test]
fn an_echo_under_both_credits_loses_nothing() {
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer();
    let bytes = pattern(60_000);
    rig.io().grant_read(conn, Some(0)).unwrap();
    rig.io().grant_write(conn, Some(0)).unwrap();
    rig.feed(&mut peer, &bytes, echo);
    let mut got = Vec::new();
    rig.until("all is echoed", echo, |rig| {
        rig.io().grant_read(conn, Some(777)).unwrap();
        rig.io().grant_write(conn, Some(555)).unwrap();
        drink(&mut peer, &mut got, bytes.len());
        got.len() == bytes.len()
    });
    assert_same(&got, &bytes);
}
