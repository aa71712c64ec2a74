//! Deadlines against slow peers.

use crate::rig::{Rig, Script, Seen, config, silent};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use windlass::{Cause, Event, Io, Wait};

#[test]
fn byte_at_a_time_peers_end_at_their_total_deadline_and_honest_ones_are_served() {
    let mut rig = Rig::new();
    let mut script = Script::new(|io: &mut Io, event: &Event<'_>| match event {
        Event::Opened { conn, .. } => {
            io.deadline(*conn, Some(io.now() + Duration::from_millis(150))).unwrap();
        }
        Event::Data { conn, bytes } => match bytes {
            [request @ .., b'\n'] => {
                io.deadline(*conn, None).unwrap();
                io.send(*conn, request).unwrap();
            }
            part => io.keep(*conn, part.len()).unwrap(),
        },
        _ => {}
    });
    let mut slow: Vec<TcpStream> = (0..50).map(|_| rig.peer()).collect();
    let mut honest: Vec<TcpStream> = (0..50).map(|_| rig.peer()).collect();
    rig.until(&mut script, |script| script.opened().len() == 100);
    honest.iter_mut().for_each(|peer| peer.write_all(b"a request\n").unwrap());
    while script.causes().len() < 50 {
        for peer in &mut slow {
            // Those that are closed already answer with an error.
            let _ = peer.write_all(b"x");
        }
        rig.reactor.turn(Wait::For(Duration::from_millis(5)), &mut script).unwrap();
    }
    assert_eq!(script.causes(), [Cause::DeadlineExceeded; 50]);
    let mut got = [0; 9];
    for peer in &mut honest {
        peer.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"a request");
    }
    drop(honest);
    rig.until(&mut script, |script| script.causes().len() == 100);
    rig.assert_nothing_left();
}

#[test]
fn the_keep_alive_timeout_is_watched_again_when_nothing_is_owed_any_more() {
    let mut rig = Rig::with(config(|c| {
        c.options.timeouts.keep_alive = Some(Duration::from_millis(50));
        c.options.timeouts.read = Some(Duration::from_secs(3600));
    }));
    let mut peer = rig.peer();
    let mut script = Script::new(|io: &mut Io, event: &Event<'_>| match event {
        Event::Opened { conn, .. } => io.expect(*conn).unwrap(),
        Event::Data { .. } => {}
        _ => {}
    });
    rig.until(&mut script, |script| !script.opened().is_empty());
    let conn = script.opened()[0];
    let later = rig.reactor.io().clock() + Duration::from_millis(120);
    // The first visit finds that input is owed, and moves on to the read timeout.
    while rig.reactor.io().clock() < later {
        rig.turn(&mut script);
    }
    peer.write_all(b"the answer").unwrap();
    rig.until(&mut script, |script| script.log.contains(&Seen::Closed(conn, Cause::IdleTimeout)));
}

#[test]
fn what_happens_between_turns_happens_now() {
    let mut rig = Rig::new();
    rig.turn(&mut silent());
    let before = rig.reactor.io().clock();
    let later = before + Duration::from_millis(5);
    while rig.reactor.io().clock() < later {}
    assert!(rig.reactor.io().now() >= later, "a connect begun now would have lost these milliseconds");
}
