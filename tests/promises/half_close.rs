//! Half close, both ways, for those who asked for it and for those who did not.

use crate::net::{End, Rig, drink, ignore, options};
use std::io::Write;
use std::net::Shutdown;
use windlass::{Cause, Event, Io};

#[test]
fn without_half_close_the_peers_end_flushes_and_closes() {
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer();
    let sent = rig.clog(conn);
    peer.write_all(b"bye").unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    let (got, end) = rig.receive_to_end(&mut peer, ignore);
    assert_eq!((got.len(), end), (sent, End::InOrder));
    assert_eq!(rig.until_closed(conn, ignore), Cause::PeerClosed);
    assert_eq!(rig.words(conn), ["accepted", "opened", "data", "closed"]);
}

#[test]
fn with_half_close_peer_finished_comes_once_and_sending_goes_on() {
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer_with(options(|o| o.half_close = true));
    peer.write_all(b"question").unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    rig.until("the end is told", ignore, |rig| rig.count("peer finished") == 1);
    assert!(rig.io().is_open(conn));
    rig.io().send(conn, b"answer").unwrap();
    assert_eq!(rig.receive(&mut peer, 6, ignore), b"answer");
    rig.io().finish(conn).unwrap();
    assert_eq!(rig.until_closed(conn, ignore), Cause::PeerClosed);
    assert_eq!(rig.receive_to_end(&mut peer, ignore), (Vec::new(), End::InOrder));
    assert_eq!(rig.words(conn), ["accepted", "opened", "data", "peer finished", "closed"]);
}

/// Every later event of the socket repeats that the peer finished; the handler was told each time.
#[test]
fn peer_finished_is_not_repeated_when_the_socket_becomes_writable_again() {
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer_with(options(|o| o.half_close = true));
    peer.shutdown(Shutdown::Write).unwrap();
    rig.until("the end is told", ignore, |rig| rig.count("peer finished") == 1);
    for _ in 0..3 {
        let sent = rig.clog(conn);
        rig.receive(&mut peer, sent, ignore);
        rig.settle(ignore);
    }
    rig.io().resume(conn).unwrap();
    rig.settle(ignore);
    assert_eq!(rig.words(conn), ["accepted", "opened", "peer finished"]);
}

#[test]
fn finish_flushes_ends_the_stream_and_goes_on_receiving() {
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer();
    let sent = rig.clog(conn);
    rig.io().finish(conn).unwrap();
    rig.io().finish(conn).unwrap();
    let (got, end) = rig.receive_to_end(&mut peer, ignore);
    assert_eq!((got.len(), end), (sent, End::InOrder));
    peer.write_all(b"still talking").unwrap();
    rig.until_data(conn, 13, ignore);
    drop(peer);
    assert_eq!(rig.until_closed(conn, ignore), Cause::PeerClosed);
}

#[test]
fn finish_inside_an_event_sends_the_answer_before_the_end() {
    for half_close in [false, true] {
        let mut rig = Rig::new();
        let (conn, mut peer) = rig.peer_with(options(|o| o.half_close = half_close));
        peer.write_all(b"question").unwrap();
        let (got, end) = rig.receive_to_end(&mut peer, |io: &mut Io, event: Event<'_>| {
            if let Event::Data { conn, .. } = event {
                io.send(conn, b"ans").unwrap();
                io.send(conn, b"wer").unwrap();
                io.finish(conn).unwrap();
                assert!(io.send(conn, b"!").is_err());
            }
        });
        assert_eq!((&got[..], end), (&b"answer"[..], End::InOrder));
        assert!(rig.closed(conn).is_none(), "the peer may still send");
    }
}

#[test]
fn finish_before_opened_ends_the_stream_after_what_was_queued() {
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    for queued in [&b""[..], b"queued"] {
        let mut rig = Rig::new();
        let conn = rig.io().connect(windlass::Connect::to(server.local_addr().unwrap())).unwrap();
        if !queued.is_empty() {
            rig.io().send(conn, queued).unwrap();
        }
        rig.io().finish(conn).unwrap();
        let (mut peer, _) = server.accept().unwrap();
        peer.set_nonblocking(true).unwrap();
        assert_eq!(rig.receive_to_end(&mut peer, ignore), (queued.to_vec(), End::InOrder));
        assert_eq!(rig.words(conn), ["opened"]);
    }
}

/// The answer to a peer that has finished: flushed whole, then both ends are closed.
#[test]
fn finish_inside_peer_finished_closes_after_the_flush() {
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer_with(options(|o| o.half_close = true));
    peer.shutdown(Shutdown::Write).unwrap();
    let (got, end) = rig.receive_to_end(&mut peer, |io: &mut Io, event: Event<'_>| {
        if let Event::PeerFinished { conn } = event {
            io.send(conn, &[b'z'; 900_000]).unwrap();
            io.send(conn, b"end").unwrap();
            io.finish(conn).unwrap();
        }
    });
    assert_eq!((got.len(), end), (900_003, End::InOrder));
    assert_eq!(rig.until_closed(conn, ignore), Cause::PeerClosed);
}

/// A connection that is paused when the peer ends its side is told when it is read again, after the data.
#[test]
fn a_paused_connection_is_told_of_the_end_after_resume() {
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer_with(options(|o| o.half_close = true));
    rig.io().pause(conn).unwrap();
    peer.write_all(b"before the end").unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    rig.settle(ignore);
    assert_eq!(rig.words(conn), ["accepted", "opened"]);
    rig.io().resume(conn).unwrap();
    rig.until("the end is told", ignore, |rig| rig.count("peer finished") == 1);
    assert_eq!(rig.data(conn), b"before the end");
}

/// The end of the stream is never lost behind data, however the two arrive.
#[test]
fn data_and_end_that_arrive_together_are_both_told() {
    for round in 0..50 {
        let mut rig = Rig::new();
        let (conn, mut peer) = rig.peer_with(options(|o| o.half_close = true));
        peer.write_all(b"all of it").unwrap();
        drop(peer);
        rig.until("the end is told", ignore, |rig| rig.count("peer finished") == 1);
        assert_eq!(rig.data(conn), b"all of it", "round {round}");
    }
}

#[test]
fn a_reset_after_peer_finished_closes() {
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer_with(options(|o| o.half_close = true));
    peer.shutdown(Shutdown::Write).unwrap();
    rig.until("the end is told", ignore, |rig| rig.count("peer finished") == 1);
    assert_eq!(drink(&mut peer, &mut Vec::new(), 1), End::None);
    crate::net::reset(peer);
    assert_eq!(rig.until_closed(conn, ignore), Cause::Reset);
}

/// A forwarder that passes ends on must hear of this one before the connection is gone.
#[test]
fn with_half_close_peer_finished_comes_also_when_our_side_had_ended_before() {
    let mut rig = Rig::new();
    let (conn, peer) = rig.peer_with(options(|o| o.half_close = true));
    rig.io().finish(conn).unwrap();
    rig.settle(ignore);
    drop(peer);
    assert_eq!(rig.until_closed(conn, ignore), Cause::PeerClosed);
    assert_eq!(rig.words(conn), ["accepted", "opened", "peer finished", "closed"]);
}
