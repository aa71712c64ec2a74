//! In which order events come, which come exactly once, and that none comes from inside a call.

use crate::net::{End, Rig, Seen, SocketPath, config, dial, ignore, options, reset};
use std::io::Write;
use std::net::TcpListener;
use std::time::Duration;
use windlass::{Address, Cause, Connect, Event, Io, Listen, Owner, Priority, Wait};

#[test]
fn opened_comes_after_accepted_and_both_exactly_once() {
    let mut rig = Rig::new();
    let (listener, address) = rig.listen(|listen| listen);
    let peers: Vec<_> = (0..20).map(|_| dial(address)).collect();
    rig.until("20 open", ignore, |rig| rig.count("opened") == 20);
    drop(peers);
    rig.until("20 close", ignore, |rig| rig.count("closed") == 20);
    rig.settle(ignore);
    let accepted: Vec<_> = rig
        .seen
        .iter()
        .filter_map(|seen| match seen {
            Seen::Accepted(conn, from) => {
                assert_eq!(*from, listener);
                Some(*conn)
            }
            _ => None,
        })
        .collect();
    assert_eq!(accepted.len(), 20);
    for conn in accepted {
        assert_eq!(rig.words(conn), ["accepted", "opened", "closed"]);
    }
}

#[test]
fn accepted_names_the_peer_and_so_does_the_close_reason() {
    let mut rig = Rig::new();
    let (_, address) = rig.listen(|listen| listen);
    let peer = dial(address);
    let expected = Address::Inet(peer.local_addr().unwrap());
    let mut told = None;
    rig.until(
        "it opens",
        |io, event| {
            if let Event::Accepted { conn, peer, .. } = event {
                assert_eq!(io.peer(conn), Some(peer));
                assert_eq!(io.local(conn), Some(Address::Inet(address)));
                told = Some((conn, peer.clone()));
            }
        },
        |rig| rig.count("opened") == 1,
    );
    let (conn, named) = told.unwrap();
    assert_eq!(named, expected);
    drop(peer);
    assert_eq!(rig.until_closed(conn, ignore), Cause::PeerClosed);
    assert_eq!(rig.closed(conn).unwrap().peer(), Some(&expected));
}

#[test]
fn a_connect_opens_without_accepted() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut rig = Rig::new();
    let conn = rig.io().connect(Connect::to(server.local_addr().unwrap())).unwrap();
    assert!(!rig.io().is_open(conn), "connect never opens inside the call");
    rig.until("it opens", ignore, |rig| rig.count("opened") == 1);
    assert!(rig.io().is_open(conn));
    rig.io().close(conn);
    drop(server.accept().unwrap());
    assert_eq!(rig.until_closed(conn, ignore), Cause::Closed);
    assert_eq!(rig.words(conn), ["opened", "closed"]);
}

#[test]
fn a_refused_connect_is_closed_without_opened() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut rig = Rig::new();
    let conn = rig.io().connect(Connect::to(nobody)).unwrap();
    rig.io().send(conn, b"in vain").unwrap();
    assert_eq!(rig.until_closed(conn, ignore), Cause::Refused);
    rig.settle(ignore);
    assert_eq!(rig.words(conn), ["closed"]);
    let figures = rig.figures();
    assert_eq!(figures.connections_failed[Cause::Refused], 1);
    assert_eq!((figures.connections_opened, figures.connections_active), (0, 0));
}

#[test]
fn a_connect_to_a_path_that_does_not_exist_is_closed_without_opened() {
    let nowhere = SocketPath::new("nowhere");
    let mut rig = Rig::new();
    let conn = rig.io().connect(Connect::to(nowhere.path())).unwrap();
    assert!(rig.seen.is_empty(), "not from inside the call");
    assert_eq!(rig.until_closed(conn, ignore), Cause::AddressUnusable);
    assert_eq!(rig.words(conn), ["closed"]);
}

#[test]
fn a_connect_from_an_address_that_is_not_ours_is_closed_without_opened() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut rig = Rig::new();
    let foreign = "203.0.113.1:0".parse().unwrap();
    let conn = rig.io().connect(Connect::to(server.local_addr().unwrap()).from(foreign)).unwrap();
    assert_eq!(rig.until_closed(conn, ignore), Cause::AddressUnusable);
    assert_eq!(rig.words(conn), ["closed"]);
}

#[test]
fn send_before_opened_queues_and_arrives() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut rig = Rig::new();
    let conn = rig.io().connect(Connect::to(server.local_addr().unwrap())).unwrap();
    let big = crate::net::pattern(100_000);
    rig.io().send(conn, b"first ").unwrap();
    rig.io().send(conn, &big).unwrap();
    assert_eq!(rig.io().queued(conn), 100_006);
    let (mut peer, _) = server.accept().unwrap();
    peer.set_nonblocking(true).unwrap();
    let got = rig.receive(&mut peer, 100_013, |io: &mut Io, event: Event<'_>| {
        if let Event::Opened { conn, .. } = event {
            io.send(conn, b" opened").unwrap();
        }
    });
    assert_eq!(&got[..6], b"first ");
    crate::net::assert_same(&got[6..100_006], &big);
    assert_eq!(&got[100_006..], b" opened");
}

#[test]
fn send_while_accepted_is_handled_arrives_before_what_opened_sends() {
    let mut rig = Rig::new();
    let (_, address) = rig.listen(|listen| listen);
    let mut peer = dial(address);
    let got = rig.receive(&mut peer, 4, |io, event| match event {
        Event::Accepted { conn, .. } => assert!(io.send(conn, b"ac").is_ok()),
        Event::Opened { conn, .. } => assert!(io.send(conn, b"op").is_ok()),
        _ => {}
    });
    assert_eq!(got, b"acop");
}

#[test]
fn a_connection_that_is_dropped_in_accepted_never_opens() {
    let mut rig = Rig::new();
    let (_, address) = rig.listen(|listen| listen);
    let mut peer = dial(address);
    let (_, end) = rig.receive_to_end(&mut peer, |io, event| {
        if let Event::Accepted { conn, .. } = event {
            assert!(io.abort(conn));
        }
    });
    assert_eq!(end, End::Reset);
    rig.settle(ignore);
    assert_eq!(rig.seen.iter().map(Seen::word).collect::<Vec<_>>(), ["accepted", "closed"]);
}

#[test]
fn nothing_follows_closed() {
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer();
    peer.write_all(b"never lent").unwrap();
    rig.io().abort(conn);
    let timer = rig.io().timer_after(Duration::ZERO, 1);
    rig.until("its timer fires", ignore, |rig| rig.count("timer") == 1);
    rig.settle(|io, event| {
        if event.conn() == Some(conn) {
            assert!(io.send(conn, b"x").is_err(), "{timer:?}");
        }
    });
    assert_eq!(rig.words(conn), ["accepted", "opened", "closed"]);
}

#[test]
fn closed_comes_once_whatever_is_called_meanwhile() {
    let mut rig = Rig::new();
    let (conn, peer) = rig.peer();
    assert!(rig.io().close(conn));
    assert!(!rig.io().close(conn), "it is closing already");
    reset(peer);
    assert!(rig.io().abort(conn), "a close in good order can be cut short");
    assert!(!rig.io().abort(conn));
    assert_eq!(rig.until_closed(conn, ignore), Cause::Aborted);
    rig.settle(ignore);
    assert_eq!(rig.words(conn), ["accepted", "opened", "closed"]);
}

#[test]
fn a_peers_reset_is_told_once_after_the_data_before_it() {
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer();
    peer.write_all(b"last words").unwrap();
    rig.until_data(conn, 10, ignore);
    reset(peer);
    assert_eq!(rig.until_closed(conn, ignore), Cause::Reset);
    rig.settle(ignore);
    assert_eq!(rig.words(conn), ["accepted", "opened", "data", "closed"]);
}

/// Calls everything there is from inside a handler and counts how deep handlers are nested.
#[test]
fn no_call_ever_reenters_the_handler() {
    let mut rig = Rig::with(config(|c| c.receive_buffer_bytes = 4096));
    let (_, address) = rig.listen(|listen| listen.options(options(|o| o.half_close = true)));
    let mut peer = dial(address);
    let second = std::cell::RefCell::new(dial(address));
    let (sender, mut inbox) = rig.io().mailbox::<u8>(8, Owner::APP).unwrap();
    let mut depth = 0;
    let mut called = 0;
    peer.write_all(b"go").unwrap();
    rig.until(
        "both close",
        |io, event| {
            depth += 1;
            assert_eq!(depth, 1, "the handler was called from inside itself");
            called += 1;
            if let Event::Data { conn, .. } = event {
                call_everything(io, conn, address);
                sender.try_send(1).unwrap();
                let _ = second.borrow_mut().write(b"more");
            }
            while inbox.recv().is_some() {}
            depth -= 1;
        },
        |rig| rig.count("closed") >= 3,
    );
    assert_eq!(called, rig.seen.len());
}

fn call_everything(io: &mut Io, conn: windlass::Conn, address: std::net::SocketAddr) {
    let _ = io.keep(conn, 1);
    let _ = io.send(conn, b"small");
    let _ = io.send(conn, &[0; 100_000]);
    let _ = io.send_parts(conn, &[b"a", b"b"]);
    let _ = io.send_with(conn, 4, |room| {
        room.fill(7);
        4
    });
    let _ = io.send_bytes(conn, &bytes::Bytes::from_static(&[0; 8192]));
    let _ = (io.pause(conn), io.resume(conn), io.expect(conn));
    let _ = (io.grant_read(conn, Some(10)), io.grant_write(conn, Some(10)), io.grant_write(conn, None));
    let _ = io.set_priority(conn, Priority::High);
    let _ = io.set_options(conn, options(|o| o.half_close = true));
    let _ = io.set_default_options(options(|o| o.half_close = true));
    let _ = io.deadline(conn, Some(io.now()));
    let timer = io.timer_at(io.now(), 1);
    let _ = (io.reschedule(timer, io.now()), io.cancel(timer));
    io.timer_after(Duration::ZERO, 2);
    let other = io.connect(Connect::to(address)).unwrap();
    let failing = io.connect(Connect::to(SocketPath::new("reenter").path())).unwrap();
    let _ = (io.finish(other), io.abort(other), io.close(failing));
    let listener = io.listen(Listen::tcp("127.0.0.1:0")).unwrap();
    io.close_listener(listener);
    let _ = io.finish(conn);
    let _ = io.close(conn);
}

#[test]
fn a_close_in_good_order_delivers_everything_first() {
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer();
    let sent = rig.clog(conn);
    rig.io().close(conn);
    assert!(rig.io().send(conn, b"too late").is_err());
    let (got, end) = rig.receive_to_end(&mut peer, ignore);
    assert_eq!((got.len(), end), (sent, End::InOrder));
    drop(peer);
    assert_eq!(rig.until_closed(conn, ignore), Cause::Closed);
    assert_eq!(rig.turn(Wait::No, ignore).handled, 0);
}

/// Closing a descriptor with unread input makes the kernel send a reset, which destroys what the peer has not
/// read yet.
#[test]
fn a_close_with_unread_input_does_not_destroy_the_last_bytes() {
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer();
    rig.io().pause(conn).unwrap();
    peer.write_all(&[b'u'; 50_000]).unwrap();
    rig.io().send(conn, b"farewell").unwrap();
    rig.io().close(conn);
    rig.settle(ignore);
    assert!(rig.closed(conn).is_none(), "the peer has not ended its side");
    let (got, end) = rig.receive_to_end(&mut peer, ignore);
    assert_eq!((&got[..], end), (&b"farewell"[..], End::InOrder));
    drop(peer);
    assert_eq!(rig.until_closed(conn, ignore), Cause::Closed);
}
