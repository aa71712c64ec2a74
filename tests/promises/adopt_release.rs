//! Sockets come in from elsewhere and go out again, with what is unread and unsent.

use crate::net::{End, Rig, SocketPath, assert_same, drink, echo, ignore, pattern};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use windlass::{Address, Connect, Event, Io, Listen, ReleaseError, Stream};

/// Two connected sockets.
fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let two = listener.accept().unwrap().0;
    one.set_nonblocking(true).unwrap();
    (two, one)
}

#[test]
fn an_adopted_stream_opens_once_and_what_it_had_received_is_lent() {
    let (ours, mut peer) = tcp_pair();
    peer.write_all(b"before").unwrap();
    let mut rig = Rig::new();
    let peers_address = Address::Inet(peer.local_addr().unwrap());
    let conn = rig.io().adopt(ours).unwrap();
    assert!(!rig.io().is_open(conn), "never from inside the call");
    assert_eq!(rig.io().peer(conn), Some(&peers_address));
    rig.io().send(conn, b"hello").unwrap();
    rig.until_data(conn, 6, ignore);
    assert_eq!(rig.receive(&mut peer, 5, ignore), b"hello");
    rig.settle(ignore);
    assert_eq!(rig.words(conn), ["opened", "data"]);
}

#[test]
fn an_adopted_stream_whose_peer_has_gone_is_opened_and_closed() {
    let (ours, peer) = tcp_pair();
    drop(peer);
    let mut rig = Rig::new();
    let conn = rig.io().adopt(ours).unwrap();
    rig.until_closed(conn, ignore);
    assert_eq!(rig.words(conn), ["opened", "closed"]);
}

#[test]
fn an_adopted_unix_stream_is_served() {
    let (ours, mut peer) = UnixStream::pair().unwrap();
    peer.set_nonblocking(true).unwrap();
    let mut rig = Rig::new();
    rig.io().adopt(ours).unwrap();
    let bytes = pattern(500_000);
    let mut rest = &bytes[..];
    let mut got = Vec::new();
    rig.until("all is echoed", echo, |_| {
        crate::net::pour(&mut peer, &mut rest);
        drink(&mut peer, &mut got, bytes.len());
        got.len() == bytes.len()
    });
    assert_same(&got, &bytes);
}

#[test]
fn a_released_connection_takes_what_is_unread_and_unsent_along() {
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer();
    peer.write_all(b"kept").unwrap();
    rig.until_data(conn, 4, |io: &mut Io, event: Event<'_>| {
        if let Event::Data { conn, bytes } = event {
            io.keep(conn, bytes.len()).unwrap();
        }
    });
    let mut sent = rig.clog(conn);
    rig.io().send(conn, b"the").unwrap();
    rig.io().send_bytes(conn, &bytes::Bytes::from(vec![b'-'; 5000])).unwrap();
    rig.io().send(conn, b"end").unwrap();
    sent += 5006;
    let queued = rig.io().queued(conn);
    peer.write_all(b" and in the kernel").unwrap();
    let released = rig.io().release(conn).unwrap();
    assert_eq!((&released.unread[..], released.unsent.len()), (&b"kept"[..], queued));
    assert!(released.unsent.starts_with(b"x") && released.unsent.ends_with(b"-end"));
    assert_eq!(rig.io().send(conn, b"x"), Err(windlass::SendError::Stale));
    rig.settle(ignore);
    assert_eq!(rig.words(conn), ["accepted", "opened", "data"], "it leaves without Closed");
    let figures = rig.figures();
    assert_eq!((figures.connections_active, figures.pool_bytes_taken, figures.buffered_bytes), (0, 0, 0));
    finish_by_hand(released, peer, sent);
}

/// Goes on where the reactor stopped: nothing is missing, nothing doubled.
fn finish_by_hand(released: windlass::Released, mut peer: TcpStream, sent: usize) {
    let Stream::Tcp(mut stream) = released.stream else { panic!("it was TCP") };
    let mut rest = &released.unsent[..];
    let mut got = Vec::new();
    while !rest.is_empty() {
        crate::net::pour(&mut stream, &mut rest);
        assert_eq!(drink(&mut peer, &mut got, sent), End::None);
    }
    let mut unread = [0; 18];
    stream.read_exact(&mut unread).unwrap();
    assert_eq!(&unread, b" and in the kernel");
    drop(stream);
    peer.set_nonblocking(false).unwrap();
    peer.read_to_end(&mut got).unwrap();
    assert_eq!(got.len(), sent);
    assert!(got.ends_with(b"-end"));
}

#[test]
fn a_connection_can_be_released_inside_its_own_event_and_adopted_by_another_reactor() {
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer();
    peer.write_all(b"upgrade").unwrap();
    let mut taken = None;
    rig.until("it is released", |_, _| (), |_| true);
    rig.until_data(conn, 7, |io: &mut Io, event: Event<'_>| {
        if let Event::Data { conn, .. } = event {
            io.send(conn, b"switching ").unwrap();
            taken = Some(io.release(conn).unwrap());
            assert_eq!(io.release(conn).err(), Some(ReleaseError::Stale));
        }
    });
    let released = taken.unwrap();
    assert!(released.unread.is_empty() && released.unsent.is_empty());
    let mut other = Rig::new();
    let there = other.io().adopt(released.stream).unwrap();
    other.io().send(there, b"done").unwrap();
    assert_eq!(other.receive(&mut peer, 14, ignore), b"switching done");
    peer.write_all(b"thanks").unwrap();
    other.until_data(there, 6, ignore);
    rig.settle(ignore);
    assert_eq!(rig.words(conn), ["accepted", "opened", "data"]);
}

#[test]
fn a_closing_connection_can_not_be_released() {
    let mut rig = Rig::new();
    let (conn, _peer) = rig.peer();
    rig.io().close(conn);
    assert_eq!(rig.io().release(conn).err(), Some(ReleaseError::Stale));
}

#[test]
fn listeners_made_elsewhere_are_served() {
    let path = SocketPath::new("made-elsewhere");
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let unix = UnixListener::bind(path.path()).unwrap();
    let address = tcp.local_addr().unwrap();
    let mut rig = Rig::new();
    let one = rig.io().listen(Listen::from_std(tcp)).unwrap();
    let two = rig.io().listen(Listen::from_std_unix(unix)).unwrap();
    assert_eq!(rig.io().listener_address(one), Some(&Address::Inet(address)));
    assert_eq!(rig.io().listener_address(two), Some(&path.address()));
    let mut tcp = crate::net::dial(address);
    let mut unix = UnixStream::connect(path.path()).unwrap();
    unix.set_nonblocking(true).unwrap();
    tcp.write_all(b"tcp").unwrap();
    unix.write_all(b"unix").unwrap();
    assert_eq!(rig.receive(&mut tcp, 3, echo), b"tcp");
    assert_eq!(rig.receive(&mut unix, 4, echo), b"unix");
    rig.io().close_listener(two);
    assert!(path.path().exists(), "the socket file stays the caller's");
}

#[test]
fn a_unix_listener_removes_its_socket_file_and_replaces_one_left_behind() {
    let path = SocketPath::new("left-behind");
    drop(UnixListener::bind(path.path()).unwrap());
    assert!(path.path().exists());
    let mut rig = Rig::new();
    let listener = rig.io().listen(Listen::unix(path.path())).unwrap();
    assert!(rig.io().listen(Listen::unix(path.path())).is_err(), "it is in use now");
    let client = rig.io().connect(Connect::to(path.path())).unwrap();
    rig.io().send(client, b"over a path").unwrap();
    rig.until_data(client, 11, echo_for_others(client));
    rig.io().close_listener(listener);
    assert!(!path.path().exists());
}

/// Echoes on every connection but `client`.
fn echo_for_others(client: windlass::Conn) -> impl FnMut(&mut Io, Event<'_>) {
    move |io, event| {
        if event.conn() != Some(client) {
            echo(io, event);
        }
    }
}
