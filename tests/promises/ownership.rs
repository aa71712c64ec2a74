//! An owner is carried inside every handle, so that a component knows its events without a look-up.

use crate::net::{Rig, dial, ignore};
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;
use windlass::{Adopt, Connect, Event, Interest, Io, Listen, Owner};

/// Notes the owner of every event.
fn owners_of(seen: &mut Vec<Owner>) -> impl FnMut(&mut Io, Event<'_>) {
    |_, event| seen.push(event.owner())
}

#[test]
fn owners_are_fresh() {
    let mut rig = Rig::new();
    let (a, b) = (rig.io().owner().unwrap(), rig.io().owner().unwrap());
    assert!(a != b && a != Owner::APP && b != Owner::APP);
}

#[test]
fn accepted_connections_inherit_the_owner_of_their_listener() {
    let mut rig = Rig::new();
    let owner = rig.io().owner().unwrap();
    let (listener, address) = rig.listen(|listen| listen.owner(owner));
    assert_eq!(listener.owner(), owner);
    let mut peer = dial(address);
    peer.write_all(b"x").unwrap();
    drop(peer);
    let mut seen = Vec::new();
    rig.until("it closes", owners_of(&mut seen), |rig| rig.count("closed") == 1);
    assert_eq!(seen, [owner; 4], "accepted, opened, data, closed");
}

#[test]
fn connected_and_adopted_connections_have_the_owner_they_were_given() {
    let mut rig = Rig::new();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let (mine, theirs) = (rig.io().owner().unwrap(), rig.io().owner().unwrap());
    let address = server.local_addr().unwrap();
    let connected = rig.io().connect(Connect::to(address).owner(mine)).unwrap();
    let stream = TcpStream::connect(address).unwrap();
    let adopted = rig.io().adopt(Adopt::stream(stream).owner(theirs)).unwrap();
    assert_eq!((connected.owner(), adopted.owner()), (mine, theirs));
    let mut seen = Vec::new();
    rig.until(
        "both open",
        |_, event| seen.push((event.conn(), event.owner())),
        |rig| rig.count("opened") == 2,
    );
    seen.sort_by_key(|(_, owner)| *owner != mine);
    assert_eq!(seen, [(Some(connected), mine), (Some(adopted), theirs)]);
}

#[test]
fn timers_mail_and_sources_name_their_owner() {
    let mut rig = Rig::new();
    let [timers, mail, sources] = [(); 3].map(|()| rig.io().owner().unwrap());
    let now = rig.io().now();
    let timer = rig.io().timer_for(timers, now, 1);
    let (sender, mut inbox) = rig.io().mailbox::<u8>(1, mail).unwrap();
    let (mut socket, mut other) = mio::net::UnixStream::pair().unwrap();
    let source = rig.io().register_source(&mut socket, Interest::Readable, sources).unwrap();
    assert_eq!((timer.owner(), inbox.mailbox().owner(), source.owner()), (timers, mail, sources));
    sender.try_send(1).unwrap();
    other.write_all(b"x").unwrap();
    let mut seen = Vec::new();
    rig.until(
        "all three come",
        |_, event| {
            seen.push(event.owner());
            inbox.recv();
        },
        |rig| rig.count("timer") == 1 && rig.count("mail") == 1 && rig.count("ready") == 1,
    );
    assert!([timers, mail, sources].iter().all(|owner| seen.contains(owner)));
    rig.io().deregister_source(&mut socket, source).unwrap();
}

#[test]
fn what_nobody_else_owns_is_the_applications() {
    let mut rig = Rig::new();
    let (conn, _peer) = rig.peer();
    let timer = rig.io().timer_after(Duration::ZERO, 0);
    let listener = rig.io().listen(Listen::tcp("127.0.0.1:0")).unwrap();
    assert_eq!([conn.owner(), timer.owner(), listener.owner()], [Owner::APP; 3]);
    let mut seen = Vec::new();
    rig.io().shutdown(Duration::ZERO);
    rig.until("it stops", owners_of(&mut seen), |rig| rig.count("stopping") == 1);
    assert!(seen.iter().all(|owner| *owner == Owner::APP));
    rig.settle(ignore);
}
