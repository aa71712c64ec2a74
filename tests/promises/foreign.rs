//! Foreign mio sources inside a reactor, and a reactor inside a foreign loop.

use crate::net::{Rig, ignore};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;
use windlass::{Event, Interest, Owner, Wait};

#[test]
fn a_foreign_source_is_told_when_it_can_be_read() {
    let mut rig = Rig::new();
    let (mut socket, mut other) = mio::net::UnixStream::pair().unwrap();
    let source = rig.io().register_source(&mut socket, Interest::Readable, Owner::APP).unwrap();
    rig.settle(ignore);
    assert_eq!(rig.count("ready"), 0);
    other.write_all(b"hello").unwrap();
    let mut got = Vec::new();
    rig.until(
        "it is told",
        |_, event| {
            if let Event::Ready { source: which, readiness } = event {
                assert!(which == source && readiness.readable && !readiness.writable);
                let error = socket.read_to_end(&mut got).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
            }
        },
        |rig| rig.count("ready") == 1,
    );
    assert_eq!(got, b"hello");
    rig.io().deregister_source(&mut socket, source).unwrap();
    other.write_all(b"unheard").unwrap();
    rig.settle(ignore);
    assert_eq!(rig.count("ready"), 1);
}

#[test]
fn a_foreign_source_is_told_when_it_can_be_written() {
    for interest in [Interest::Writable, Interest::Both] {
        let mut rig = Rig::new();
        let (mut socket, _other) = mio::net::UnixStream::pair().unwrap();
        let source = rig.io().register_source(&mut socket, interest, Owner::APP).unwrap();
        let mut writable = false;
        rig.until(
            "it is told",
            |_, event| {
                if let Event::Ready { readiness, .. } = event {
                    writable = readiness.writable;
                }
            },
            |rig| rig.count("ready") == 1,
        );
        assert!(writable);
        rig.io().deregister_source(&mut socket, source).unwrap();
    }
}

/// A foreign loop that watches a reactor's descriptor.
struct Foreign {
    poll: mio::Poll,
    /// A duplicate of the descriptor, in a type that mio can register; nothing is ever read from it.
    watched: mio::net::UnixStream,
}

impl Foreign {
    fn new(rig: &Rig) -> Foreign {
        let duplicate = UnixStream::from(rig.reactor.as_fd().try_clone_to_owned().unwrap());
        let mut watched = mio::net::UnixStream::from_std(duplicate);
        let poll = mio::Poll::new().unwrap();
        poll.registry().register(&mut watched, mio::Token(0), mio::Interest::READABLE).unwrap();
        Foreign { poll, watched }
    }

    /// Waits until the descriptor is readable, at most that long, and says whether it is.
    fn wait(&mut self, at_most: Option<Duration>) -> bool {
        // mio is edge triggered; registering anew asks for the level.
        self.poll.registry().reregister(&mut self.watched, mio::Token(0), mio::Interest::READABLE).unwrap();
        let mut events = mio::Events::with_capacity(4);
        self.poll.poll(&mut events, at_most).unwrap();
        events.iter().any(|event| event.is_readable())
    }
}

/// Whether the reactor's descriptor is readable now.
fn is_readable(rig: &Rig) -> bool {
    Foreign::new(rig).wait(Some(Duration::ZERO))
}

#[test]
fn the_descriptor_is_readable_when_a_turn_has_something_to_do() {
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer();
    let (sender, mut inbox) = rig.io().mailbox::<u8>(1, Owner::APP).unwrap();
    rig.settle(ignore);
    assert!(!is_readable(&rig));
    peer.write_all(b"x").unwrap();
    assert!(is_readable(&rig));
    rig.until_data(conn, 1, ignore);
    rig.settle(ignore);
    assert!(!is_readable(&rig));
    sender.try_send(1).unwrap();
    assert!(is_readable(&rig), "between turns a reactor counts as asleep");
    rig.settle(|_, _| while inbox.recv().is_some() {});
    assert!(!is_readable(&rig));
    let stopper = rig.reactor.stopper();
    stopper.shutdown(Duration::ZERO);
    assert!(is_readable(&rig));
}

#[test]
fn sleep_max_is_zero_when_something_is_left_and_none_when_only_the_descriptor_matters() {
    let mut rig = Rig::new();
    rig.settle(ignore);
    assert_eq!((rig.reactor.sleep_max(), rig.reactor.next_deadline()), (None, None));
    let at = rig.io().clock() + Duration::from_secs(1000);
    let timer = rig.io().timer_at(at, 1);
    assert_eq!(rig.reactor.next_deadline(), Some(at));
    let most = rig.reactor.sleep_max().unwrap();
    assert!(most <= Duration::from_secs(1000) && most > Duration::from_secs(900), "{most:?}");
    rig.io().cancel(timer);
    assert_eq!(rig.reactor.sleep_max(), None);
    let past = rig.io().now();
    rig.io().timer_at(past, 2);
    assert_eq!(rig.reactor.sleep_max(), Some(Duration::ZERO));
    rig.settle(ignore);

    let (conn, _peer) = rig.peer();
    rig.settle(ignore);
    assert!(rig.reactor.sleep_max().unwrap() > Duration::ZERO, "its keep-alive timeout is far off");
    rig.io().abort(conn);
    assert_eq!(rig.reactor.sleep_max(), Some(Duration::ZERO), "Closed has to be told");
    rig.turn(Wait::No, ignore);
    assert_eq!(rig.words(conn), ["accepted", "opened", "closed"]);
}

/// A loop that only ever sleeps on the descriptor, no longer than `sleep_max`, serves everything.
#[test]
fn a_foreign_loop_that_obeys_descriptor_and_sleep_max_misses_nothing() {
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer();
    let mut foreign = Foreign::new(&rig);
    let bytes = crate::net::pattern(1_000_000);
    let (mut rest, mut got) = (&bytes[..], Vec::new());
    let due = rig.io().clock() + Duration::from_millis(20);
    rig.io().timer_at(due, 5);
    while got.len() < bytes.len() || rig.count("timer") == 0 {
        crate::net::pour(&mut peer, &mut rest);
        foreign.wait(rig.reactor.sleep_max());
        rig.turn(Wait::No, crate::net::echo);
        crate::net::drink(&mut peer, &mut got, bytes.len());
    }
    crate::net::assert_same(&got, &bytes);
    assert_eq!(rig.data(conn).len(), bytes.len());
}

#[test]
fn a_foreign_source_registered_again_is_told_again_what_it_is_ready_for() {
    let mut rig = Rig::new();
    let (mut socket, mut other) = mio::net::UnixStream::pair().unwrap();
    let source = rig.io().register_source(&mut socket, Interest::Readable, Owner::APP).unwrap();
    other.write_all(b"unread").unwrap();
    rig.until("it is told", ignore, |rig| rig.count("ready") == 1);
    rig.settle(ignore);
    assert_eq!(rig.count("ready"), 1, "edges do not repeat");
    rig.io().reregister_source(&mut socket, source, Interest::Both).unwrap();
    let mut told = None;
    rig.until(
        "it is told again",
        |_, event| {
            if let Event::Ready { readiness, .. } = event {
                told = Some(readiness);
            }
        },
        |rig| rig.count("ready") == 2,
    );
    assert!(told.is_some_and(|readiness| readiness.readable && readiness.writable));
    rig.io().deregister_source(&mut socket, source).unwrap();
    assert!(rig.io().reregister_source(&mut socket, source, Interest::Both).is_err());
}
