//! The bound over all buffers: thousands of peers that never read, and shortages that somebody must end.

use crate::rig::{Rig, Script, Seen, config, echo, in_a_child, silent};
use bytes::Bytes;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use windlass::{Cause, Config, Conn, Connect, Event, Io, SendError};

#[test]
fn two_thousand_peers_that_never_read_stay_within_the_memory_bound() {
    if !in_a_child("memory::two_thousand_peers_that_never_read_stay_within_the_memory_bound") {
        return;
    }
    const PEERS: usize = 2000;
    const BOUND: usize = 16 << 20;
    let mut rig = Rig::with(config(|c| {
        c.buffer_bytes_max = BOUND;
        c.options.timeouts.write = Some(Duration::from_millis(300));
        c.options.socket.send_buffer_bytes = Some(4096);
    }));
    let mut script = Script::new(|io: &mut Io, event: &Event<'_>| match event {
        Event::Opened { conn, .. } | Event::Drained { conn } => {
            for size in [100, 20_000, 3_000, 60_000] {
                let _ = io.send(*conn, &[1; 100_000][..size]);
            }
            let _ = io.send_bytes(*conn, &Bytes::from_static(&[2; 30_000]));
        }
        _ => {}
    });
    let mut peers: Vec<TcpStream> = Vec::new();
    let mut refused = 0;
    let mut check = |rig: &mut Rig| {
        let figures = rig.figures();
        // One chunk of the largest class may be taken for a send that was within the bound.
        assert!(figures.buffered_bytes as usize <= BOUND + (1 << 20), "{}", figures.buffered_bytes);
        assert!(figures.pool_bytes_taken <= figures.buffered_bytes);
        refused = figures.sends_refused_full;
    };
    while peers.len() < PEERS {
        let peer = rig.peer();
        socket2::SockRef::from(&peer).set_recv_buffer_size(4096).unwrap();
        peers.push(peer);
        rig.turn(&mut script);
        check(&mut rig);
    }
    rig.until(&mut script, |script| script.opened().len() == PEERS);
    check(&mut rig);
    while rig.reactor.io().connections() > 0 {
        rig.reactor.turn(windlass::Wait::For(Duration::from_millis(10)), &mut script).unwrap();
        check(&mut rig);
        // Connections that were refused everything have nothing queued and would live: end them.
        for conn in script.opened() {
            if rig.reactor.io().queued(conn) == 0 {
                rig.reactor.io().abort(conn);
            }
        }
    }
    assert!(refused > 0, "the bound was never reached");
    rig.assert_nothing_left();
    let peer = rig.peer();
    rig.until(&mut script, |script| script.opened().len() == PEERS + 1);
    drop(peer);
    rig.until(&mut script, |script| script.causes().len() == PEERS + 1);
    rig.assert_nothing_left();
}

#[test]
fn a_send_beyond_the_whole_bound_is_too_large_and_stops_nobody() {
    let mut rig = Rig::with(config(|c| c.buffer_bytes_max = 100_000));
    let mut peer = rig.peer();
    let mut script = echo();
    rig.until(&mut script, |script| !script.opened().is_empty());
    let conn = script.opened()[0];
    assert_eq!(rig.reactor.io().send(conn, &[0; 100_001]), Err(SendError::TooLarge));
    peer.write_all(b"still served?").unwrap();
    rig.until(&mut script, |script| !script.received().is_empty());
    let mut got = [0; 13];
    peer.read_exact(&mut got).unwrap();
}

/// Fills the reactor's memory with what the first of two peers does not read.
fn short_of_memory(shared: bool) -> (Rig, [TcpStream; 2], [Conn; 2]) {
    let mut rig = Rig::with(config(|c| {
        c.buffer_bytes_max = 400_000;
        c.options.half_close = true;
    }));
    let first = rig.peer();
    let mut script = silent();
    rig.until(&mut script, |script| script.opened().len() == 1);
    let second = rig.peer();
    rig.until(&mut script, |script| script.opened().len() == 2);
    let conns: [Conn; 2] = script.opened().try_into().unwrap();
    rig.reactor.io().grant_write(conns[0], Some(0)).unwrap();
    while rig.reactor.io().room(conns[0]) >= 70_000 {
        match shared {
            false => rig.reactor.io().send(conns[0], &[1; 70_000]).unwrap(),
            true => rig.reactor.io().send_bytes(conns[0], &Bytes::from_static(&[1; 70_000])).unwrap(),
        };
    }
    rig.settle(&mut script);
    (rig, [first, second], conns)
}

#[test]
fn room_and_send_agree_when_memory_is_short() {
    for shared in [false, true] {
        let (mut rig, _peers, [_, other]) = short_of_memory(shared);
        let io = rig.reactor.io();
        let room = io.room(other);
        assert_eq!(io.send(other, &vec![0; room + 1]), Err(SendError::Full), "shared: {shared}");
        assert!(io.send_bytes(other, &Bytes::from(vec![0; room])).is_ok(), "shared: {shared}");
    }
}

#[test]
fn a_shortage_ends_for_everybody_when_its_cause_goes() {
    let (mut rig, [_, mut peer], [hog, other]) = short_of_memory(true);
    let mut script = echo_of_known();
    for _ in 0..1000 {
        assert_eq!(rig.reactor.io().send(other, &[1; 70_000]), Err(SendError::Full));
    }
    peer.write_all(b"hello").unwrap();
    rig.settle(&mut script);
    assert!(!script.log.iter().any(|seen| matches!(seen, Seen::Data(..))), "read although memory is short");
    rig.reactor.io().abort(hog);
    rig.settle(&mut script);
    assert_eq!(script.log.iter().filter(|seen| matches!(seen, Seen::Drained(_))).count(), 1);
    let mut got = [0; 5];
    peer.read_exact(&mut got).unwrap();
    assert_eq!(rig.reactor.io().queued(other), 0);
}

#[test]
fn a_send_refused_for_memory_while_connecting_is_drained_once_it_opens() {
    let (mut rig, _peers, [hog, _]) = short_of_memory(false);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let connecting = rig.reactor.io().connect(Connect::to(listener.local_addr().unwrap())).unwrap();
    assert_eq!(rig.reactor.io().send(connecting, &[1; 70_000]), Err(SendError::Full));
    // The shortage is over before the connection opens.
    rig.reactor.io().abort(hog);
    let mut script = echo_of_known();
    rig.settle(&mut script);
    let seen = |wanted: Seen| script.log.iter().position(|seen| *seen == wanted);
    let (opened, drained) = (seen(Seen::Opened(connecting)), seen(Seen::Drained(connecting)));
    assert!(opened.is_some() && drained > opened, "{:?}", script.log);
}

/// Connections that it has not seen open are no offence to it.
struct Known {
    log: Vec<Seen>,
}

fn echo_of_known() -> Known {
    Known { log: Vec::new() }
}

impl windlass::Handler for Known {
    fn handle(&mut self, io: &mut Io, event: Event<'_>) {
        match event {
            Event::Data { conn, bytes } => {
                self.log.push(Seen::Data(conn, bytes.to_vec()));
                io.send(conn, bytes).unwrap();
            }
            Event::Opened { conn, .. } => self.log.push(Seen::Opened(conn)),
            Event::Drained { conn } => self.log.push(Seen::Drained(conn)),
            Event::Closed { conn, reason } => self.log.push(Seen::Closed(conn, reason.cause())),
            _ => {}
        }
    }
}

#[test]
fn peers_that_only_begin_frames_stay_within_the_bound_and_are_timed_out() {
    const BOUND: usize = 1 << 18;
    let mut rig = Rig::with(config(|c: &mut Config| {
        c.buffer_bytes_max = BOUND;
        c.options.timeouts.read = Some(Duration::from_millis(100));
    }));
    let mut peers: Vec<TcpStream> = (0..100).map(|_| rig.peer()).collect();
    let mut script = Script::new(|io: &mut Io, event: &Event<'_>| {
        if let Event::Data { conn, bytes } = event {
            io.keep_until(*conn, bytes.len(), 60_000).unwrap();
        }
    });
    rig.until(&mut script, |script| script.opened().len() == 100);
    peers.iter_mut().for_each(|peer| peer.write_all(b"a frame of 60,000 bytes begins").unwrap());
    for _ in 0..20 {
        rig.turn(&mut script);
        assert!(rig.figures().buffered_bytes as usize <= BOUND);
    }
    assert!(rig.figures().reads_stopped_by_memory > 0);
    rig.until(&mut script, |script| script.causes().len() == 100);
    assert_eq!(script.causes(), [Cause::ReadTimeout; 100]);
    rig.assert_nothing_left();
}

#[test]
fn a_million_timers_cancelled_leave_nothing() {
    if !in_a_child("memory::a_million_timers_cancelled_leave_nothing") {
        return;
    }
    let mut rig = Rig::new();
    let resident_kib = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap()
    };
    let io = rig.reactor.io();
    let far = io.now() + Duration::from_secs(3600);
    let mut after_first = 0;
    for round in 0..crate::thorough::thorough(10, 3) {
        let timers: Vec<_> = (0..100_000).map(|tag| io.timer_at(far, tag)).collect();
        for timer in timers {
            assert!(io.cancel(timer));
            assert!(!io.cancel(timer));
        }
        if round == 0 {
            after_first = resident_kib();
        }
    }
    let grown = resident_kib().saturating_sub(after_first);
    assert!(grown < 16 << 10, "{grown} KiB more after several times the same");
    let mut script = silent();
    rig.settle(&mut script);
    assert_eq!(rig.figures().timers_armed, 0);
    assert_eq!(rig.reactor.next_deadline(), None);
    assert_eq!(script.log, []);
}
