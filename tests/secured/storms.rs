//! Many at once: handshakes that must starve nobody, connections that come and go, and no descriptors left.

use crate::peers::{Raw, TlsPeer};
use crate::rig::{Host, Kind, Pair, SECURED, echo, ignore};
use crate::thorough::thorough;
use std::fs::File;
use windlass::metrics::{AcceptFailure, Budget};
use windlass::{Cause, Config, Event, Io};

#[test]
fn a_storm_of_handshakes_takes_one_step_a_turn_and_an_open_connection_is_served_in_each() {
    const STORM: usize = 200;
    let mut host = Host::new(Kind::Tls, Config::default());
    let mut open = TlsPeer::connect(host.address);
    host.until("open", ignore, |host| {
        open.pump();
        !host.seen.opened.is_empty()
    });
    let conn = host.seen.opened[0];
    let mut storm: Vec<TlsPeer> = (0..STORM).map(|_| TlsPeer::connect(host.address)).collect();
    host.until("all accepted", ignore, |host| host.seen.words.len() == STORM + 2);
    storm.iter_mut().for_each(TlsPeer::pump);
    let (mut turns, mut last_opened) = (0, 1);
    while host.seen.opened.len() <= STORM {
        turns += 1;
        assert!(turns < 20 * STORM, "{} of {STORM} have opened", host.seen.opened.len());
        let ping = open.seal(b"ping");
        open.raw.send(&ping);
        let mut pinged = 0;
        let mut counting = |_: &mut Io, event: Event<'_>| {
            if let Event::Data { conn: from, bytes } = event {
                assert!(from == conn && bytes == b"ping");
                pinged += 1;
            }
        };
        host.turn(&mut counting);
        assert_eq!(pinged, 1, "a turn of the storm did not serve the open connection");
        assert!(host.seen.opened.len() <= last_opened + 1, "more than one handshake ended in a turn");
        last_opened = host.seen.opened.len();
        storm.iter_mut().for_each(TlsPeer::pump);
    }
    assert!(turns >= 2 * STORM, "two steps of each handshake took {turns} turns");
    assert!(host.figures().budgets_exhausted[Budget::Handshakes] as usize >= STORM);
}

#[test]
fn under_overload_the_newest_handshakes_are_served_first() {
    let mut host = Host::new(Kind::Noise, Config::default());
    let flight = crate::deadlines::first_flight(Kind::Noise);
    let mut peers: Vec<Raw> = (0..20).map(|_| Raw::connect(host.address)).collect();
    host.until("all accepted", ignore, |host| host.seen.words.len() == 20);
    peers.iter_mut().for_each(|raw| raw.send(&flight));
    let mut order = Vec::new();
    host.until("all answered", ignore, |_| {
        for (i, raw) in peers.iter_mut().enumerate() {
            raw.pump();
            if !raw.got.is_empty() && !order.contains(&i) {
                order.push(i);
            }
        }
        order.len() == 20
    });
    // The events of one turn come in the order of the kernel's; the last of them stands last in line.
    assert!(order.is_sorted_by(|a, b| a > b), "{order:?}");
}

/// Resident memory of this process in bytes.
fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[test]
fn connections_that_come_and_go_leave_nothing() {
    let cycles =
        std::env::var("SECURED_CYCLES").map_or_else(|_| thorough(300, 40), |text| text.parse().unwrap());
    for kind in SECURED {
        let mut pair = Pair::listening(|listen| kind.listen(listen), Config::default());
        let mut warm = 0;
        for cycle in 0..cycles {
            let conn = pair.connect(kind);
            pair.client.io().send(conn, &[7; 3000]).unwrap();
            pair.until(&format!("{kind:?} {cycle}"), echo, ignore, |pair| pair.c.received.len() == 3000);
            // Each of the ways to go.
            match cycle % 4 {
                0 => assert!(pair.client.io().close(conn)),
                1 => assert!(pair.client.io().abort(conn)),
                2 => pair.client.io().finish(conn).unwrap(),
                _ => assert!(pair.server.io().close(pair.s.opened[0])),
            }
            pair.until("gone", ignore, ignore, |pair| pair.s.cause().is_some() && pair.c.cause().is_some());
            (pair.s, pair.c) = Default::default();
            if cycle == cycles / 2 {
                warm = resident_bytes();
            }
        }
        for reactor in [&mut pair.server, &mut pair.client] {
            let figures = reactor.io().metrics().figures();
            assert_eq!(
                (figures.connections_active, figures.pool_bytes_taken, figures.deadlines_armed),
                (0, 0, 0)
            );
            assert_eq!(figures.connections_opened, cycles);
        }
        let grown = resident_bytes().saturating_sub(warm);
        // Other tests run beside it: only a run by itself is asked for flat memory.
        assert!(
            cycles < 10_000 || grown < 1 << 20,
            "{kind:?} grew by {grown} bytes over {} cycles",
            cycles / 2
        );
    }
}

#[test]
fn without_descriptors_handshakes_under_way_go_on_and_the_others_wait() {
    const NAME: &str = "storms::without_descriptors_handshakes_under_way_go_on_and_the_others_wait";
    if std::env::var_os("SECURED_CHILD").is_none() {
        // By itself: the limit is the process's.
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        let output = child.args([NAME, "--exact"]).env("SECURED_CHILD", "1").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        return;
    }
    let mut host = Host::new(Kind::Tls, Config::default());
    let mut early = TlsPeer::connect(host.address);
    host.until("accepted", ignore, |host| !host.seen.words.is_empty());
    let mut late = TlsPeer::connect(host.address);
    let maximum = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
    let limit = rustix::process::Rlimit { current: Some(64), maximum };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
    let taken: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    host.until("the early one opens", echo, |host| {
        early.pump();
        late.pump();
        host.seen.opened.len() == 1 && host.figures().accept_errors[AcceptFailure::Descriptors] > 0
    });
    assert!(!late.is_open());
    drop(taken);
    host.until("the late one too", echo, |host| {
        late.pump();
        host.seen.opened.len() == 2
    });
    assert_eq!(host.seen.cause(), None::<Cause>);
}
