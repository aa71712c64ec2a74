//! Handles are index and generation: a stale one is an error value, never somebody else.

use crate::net::{Rig, ignore, options};
use std::io::Write;
use std::time::Duration;
use windlass::{Conn, Event, Io, KeepError, Owner, PerConn, Priority, SendError, Stale};

/// A closed connection's handle, and one in the same place.
fn stale_and_successor(rig: &mut Rig) -> (Conn, Conn, std::net::TcpStream) {
    let (old, peer) = rig.peer();
    drop(peer);
    rig.until_closed(old, ignore);
    let (new, peer) = rig.peer();
    assert_eq!(old.index(), new.index(), "the place is used again");
    assert_ne!(old, new);
    (old, new, peer)
}

#[test]
fn a_stale_handle_is_an_error_everywhere_and_never_its_successor() {
    let mut rig = Rig::new();
    let (old, new, mut peer) = stale_and_successor(&mut rig);
    let io = rig.io();
    assert_eq!(io.send(old, b"x"), Err(SendError::Stale));
    assert_eq!(io.send(old, &[0; 10_000]), Err(SendError::Stale));
    assert_eq!(io.send(old, b""), Err(SendError::Stale));
    assert_eq!(io.send_parts(old, &[b"x"]), Err(SendError::Stale));
    assert_eq!(io.send_bytes(old, &bytes::Bytes::from_static(b"x")), Err(SendError::Stale));
    assert_eq!(io.send_with(old, 1, |_| unreachable!("nobody to encode for")), Err(SendError::Stale));
    assert_eq!((io.room(old), io.queued(old)), (0, 0));
    assert_eq!((io.pause(old), io.resume(old), io.finish(old)), (Err(Stale), Err(Stale), Err(Stale)));
    assert_eq!((io.grant_read(old, Some(1)), io.grant_write(old, Some(1))), (Err(Stale), Err(Stale)));
    assert_eq!((io.expect(old), io.deadline(old, None)), (Err(Stale), Err(Stale)));
    assert_eq!(io.set_priority(old, Priority::Low), Err(Stale));
    assert!(io.set_options(old, options(|o| o.half_close = true)).is_err());
    assert_eq!(io.keep(old, 0), Err(KeepError::NotLent));
    assert_eq!((io.close(old), io.abort(old), io.is_open(old)), (false, false, false));
    assert!(io.release(old).is_err() && io.options(old).is_none());
    assert_eq!((io.peer(old), io.local(old)), (None, None));
    // None of it has touched whoever lives there now.
    assert!(io.is_open(new) && io.options(new).unwrap().priority == Priority::Normal);
    peer.write_all(b"alive").unwrap();
    rig.until_data(new, 5, ignore);
    assert_eq!(rig.words(new), ["accepted", "opened", "data"]);
}

#[test]
fn the_handle_is_stale_when_closed_is_told_and_its_place_is_free() {
    let mut rig = Rig::new();
    let (_, address) = rig.listen(|listen| listen);
    let (conn, peer) = rig.peer();
    drop(peer);
    let mut successor = None;
    rig.until_closed(conn, |io: &mut Io, event: Event<'_>| {
        if let Event::Closed { conn, .. } = event
            && successor.is_none()
        {
            assert_eq!(io.send(conn, b"x"), Err(SendError::Stale));
            let next = io.connect(windlass::Connect::to(address)).unwrap();
            assert_eq!(next.index(), conn.index());
            successor = Some(next);
        }
    });
    assert_ne!(successor, Some(conn));
}

#[test]
fn finish_of_a_connection_that_is_closing_is_stale() {
    let mut rig = Rig::new();
    let (conn, _peer) = rig.peer();
    rig.io().finish(conn).unwrap();
    rig.io().close(conn);
    assert_eq!(rig.io().finish(conn), Err(Stale));
    rig.io().abort(conn);
    assert_eq!(rig.io().finish(conn), Err(Stale));
}

#[test]
fn timers_listeners_and_sources_go_stale_too() {
    let mut rig = Rig::new();
    let timer = rig.io().timer_after(Duration::ZERO, 7);
    rig.until("it fires", ignore, |rig| rig.count("timer") == 1);
    let next = rig.io().timer_after(Duration::from_secs(3600), 8);
    let now = rig.io().now();
    assert!(!rig.io().cancel(timer) && !rig.io().reschedule(timer, now));
    assert!(rig.io().cancel(next) && !rig.io().cancel(next));

    let (listener, _) = rig.listen(|listen| listen);
    assert!(rig.io().close_listener(listener));
    let (successor, _) = rig.listen(|listen| listen);
    assert!(rig.io().listener_address(listener).is_none());
    assert!(!rig.io().close_listener(listener));
    assert!(rig.io().listener_address(successor).is_some());

    let (mut socket, _other) = mio::net::UnixStream::pair().unwrap();
    let source = rig.io().register_source(&mut socket, windlass::Interest::Readable, Owner::APP).unwrap();
    rig.io().deregister_source(&mut socket, source).unwrap();
    assert!(rig.io().deregister_source(&mut socket, source).is_err());
}

#[test]
fn state_per_connection_is_not_seen_by_the_next_in_its_place() {
    let mut rig = Rig::new();
    let mut names: PerConn<&str> = PerConn::new();
    let (old, peer) = rig.peer();
    names.insert(old, "old");
    drop(peer);
    rig.until_closed(old, ignore);
    let (new, _peer) = rig.peer();
    assert_eq!(old.index(), new.index());
    assert_eq!((names.get(old), names.get(new)), (Some(&"old"), None));
    assert_eq!(names.insert(new, "new"), None);
    assert_eq!((names.get(old), names.get(new), names.len()), (None, Some(&"new"), 1));
}

/// Two connections that end in one batch, the first one's handler closing the second: the event that the
/// kernel had already reported for the second reaches nobody.
#[test]
fn an_event_of_this_batch_for_a_connection_just_closed_reaches_nobody() {
    let mut rig = Rig::new();
    let (one, mut first) = rig.peer();
    let (two, mut second) = rig.peer();
    first.write_all(b"1").unwrap();
    second.write_all(b"2").unwrap();
    let mut survivor = None;
    rig.settle(|io: &mut Io, event: Event<'_>| {
        if let Event::Data { conn, .. } = event {
            survivor = Some(conn);
            assert!(io.abort(if conn == one { two } else { one }));
        }
    });
    assert_eq!((rig.count("data"), rig.count("closed")), (1, 1));
    assert!(rig.closed(survivor.unwrap()).is_none());
}
