//! What goes wrong with a host: crash, power cut, restart, pause, clock, slowness, descriptors, accept.

use crate::rig::{MS, PORT, Pair, Peer, SECOND};
use std::time::Duration;
use windlass::sim::{Fault, Host};
use windlass::{Cause, Connect, KeepAlive, Options};

#[test]
fn a_crash_resets_what_was_open_and_refuses_until_the_restart() {
    let mut pair = Pair::new(1);
    pair.connected(Options::default());
    pair.net.inflict(Fault::Crash(pair.server));
    assert!(!pair.net.is_running(pair.server));
    let closed = pair.closed_within(SECOND);
    assert_eq!(closed.cause, Cause::Reset);

    pair.connect();
    pair.net.run_for(SECOND);
    assert_eq!(pair.seen_by_client().closed[1].cause, Cause::Refused);

    pair.net.inflict(Fault::Restart(pair.server));
    pair.connected(Options::default());
    pair.net.run_for(SECOND);
    assert_eq!(pair.seen_by_server().accepted, 1, "it began anew");
}

#[test]
fn a_restart_does_nothing_to_a_host_that_runs() {
    let mut pair = Pair::new(1);
    let conn = pair.connected(Options::default());
    pair.net.inflict(Fault::Restart(pair.server));
    pair.send(conn, b"still there?");
    pair.net.run_for(SECOND);
    assert_eq!(pair.seen_by_client().received, b"still there?");
    assert_eq!(pair.seen_by_server().accepted, 1);
}

/// Who only listens to a host without power hears nothing, for ever.
#[test]
fn a_power_cut_tells_nobody() {
    let mut pair = Pair::new(1);
    pair.connected(Options::with(|o| o.timeouts.keep_alive = None));
    pair.net.inflict(Fault::PowerOff(pair.server));
    pair.net.run_for(10_000 * SECOND);
    assert!(pair.seen_by_client().closed.is_empty());
}

#[test]
fn a_power_cut_is_noticed_by_the_idle_timeout() {
    let mut pair = Pair::new(1);
    pair.connected(Options::with(|o| o.timeouts.keep_alive = Some(7 * SECOND)));
    pair.net.inflict(Fault::PowerOff(pair.server));
    assert_eq!(pair.closed_within(8 * SECOND).cause, Cause::IdleTimeout);
}

#[test]
fn a_power_cut_is_noticed_by_keep_alive_probes() {
    let mut pair = Pair::new(1);
    pair.connected(Options::with(|o| {
        o.timeouts.keep_alive = None;
        o.socket.keep_alive = Some(KeepAlive { idle: 10 * SECOND, interval: 2 * SECOND, probes: 3 });
    }));
    pair.net.inflict(Fault::PowerOff(pair.server));
    let closed = pair.closed_within(20 * SECOND);
    assert_eq!(closed.cause, Cause::PeerVanished);
    assert!(closed.at >= 16 * SECOND, "10 s of silence and three probes 2 s apart, not {:?}", closed.at);
}

#[test]
fn a_power_cut_is_noticed_by_tcps_user_timeout() {
    let mut pair = Pair::new(1);
    let conn = pair.connected(Options::with(|o| {
        o.timeouts.keep_alive = None;
        o.timeouts.write = None;
        o.socket.user_timeout = Some(12 * SECOND);
    }));
    pair.net.inflict(Fault::PowerOff(pair.server));
    pair.send(conn, b"anybody?");
    let closed = pair.closed_within(30 * SECOND);
    assert_eq!(closed.cause, Cause::PeerVanished);
    assert!(closed.at >= 12 * SECOND, "{:?}", closed.at);
}

/// What the send buffer takes is out of the reactor's sight: only a full one is a write that makes no progress.
#[test]
fn a_power_cut_is_noticed_by_the_write_timeout_once_buffers_are_full() {
    let mut pair = Pair::new(1);
    let conn = pair.connected(Options::with(|o| {
        o.timeouts.write = Some(5 * SECOND);
        o.socket.send_buffer_bytes = Some(64 << 10);
    }));
    pair.net.inflict(Fault::PowerOff(pair.server));
    pair.send(conn, &vec![0; 512 << 10]);
    let closed = pair.closed_within(8 * SECOND);
    assert_eq!(closed.cause, Cause::WriteTimeout);
}

/// What is not acknowledged is sent again, and the reset that answers it comes again, too.
#[test]
fn a_reset_that_was_lost_comes_again_when_data_does() {
    let mut pair = Pair::new(1);
    let conn = pair.connected(Options::with(|o| o.timeouts.keep_alive = None));
    pair.net.inflict(Fault::PartitionOneWay(vec![pair.server], vec![pair.client]));
    pair.net.inflict(Fault::Crash(pair.server));
    pair.send(conn, b"are you there?");
    pair.net.run_for(5 * SECOND);
    assert!(pair.seen_by_client().closed.is_empty());
    pair.net.inflict(Fault::Heal);
    assert_eq!(pair.closed_within(20 * SECOND).cause, Cause::Reset);
}

#[test]
fn a_host_that_is_back_resets_connections_from_before_the_power_cut() {
    let mut pair = Pair::new(1);
    let conn = pair.connected(Options::default());
    pair.net.inflict(Fault::PowerOff(pair.server).lasting(3 * SECOND));
    pair.net.run_for(SECOND);
    pair.send(conn, b"are you there?");
    let closed = pair.closed_within(20 * SECOND);
    assert_eq!(closed.cause, Cause::Reset);
    assert!(closed.at >= 3 * SECOND, "{:?}", closed.at);
}

#[test]
fn connecting_to_a_host_without_power_times_out_and_nobody_answers() {
    let mut pair = Pair::new(1);
    pair.net.inflict(Fault::PowerOff(pair.server));
    pair.connect_with(Options::with(|o| o.timeouts.connect = Some(5 * SECOND)));
    assert_eq!(pair.closed_within(6 * SECOND).cause, Cause::ConnectTimeout);
}

#[test]
fn a_host_that_was_off_starts_again_and_serves() {
    let mut pair = Pair::new(1);
    pair.net.inflict(Fault::PowerOff(pair.server));
    pair.net.run_for(SECOND);
    pair.net.inflict(Fault::Restart(pair.server));
    let conn = pair.connected(Options::default());
    pair.send(conn, b"hello");
    pair.net.run_for(SECOND);
    assert_eq!(pair.seen_by_client().received, b"hello");
}

/// Deadlines of a host that stood still come late, in the right order and each once; its kernel has answered meanwhile.
#[test]
fn a_pause_makes_deadlines_late_and_loses_nothing() {
    let mut pair = Pair::new(1);
    let conn = pair.connected(Options::default());
    pair.net.with(pair.server, |_: &mut Peer, io| {
        for (tag, after) in [(1, 500 * MS), (2, SECOND), (3, 8 * SECOND)] {
            io.timer_after(after, tag);
        }
    });
    let from = pair.net.elapsed();
    pair.net.run_for(600 * MS);
    pair.net.inflict(Fault::Pause(pair.server, 4 * SECOND));
    pair.send(conn, b"while it stands still");
    pair.connect();
    pair.net.run_for(3 * SECOND);
    assert_eq!(pair.seen_by_client().opened.len(), 2, "the kernel of a paused host takes connections in");
    assert!(pair.seen_by_client().received.is_empty());
    assert_eq!(pair.seen_by_server().timers.len(), 1);

    pair.net.run_for(10 * SECOND);
    assert_eq!(pair.seen_by_client().received, b"while it stands still");
    let came: Vec<_> =
        pair.seen_by_server().timers.iter().map(|(tag, at)| (*tag, (*at - from).as_millis())).collect();
    assert_eq!(came, [(1, 500), (2, 4600), (3, 8000)]);
}

#[test]
fn a_short_pause_does_not_end_a_longer_one() {
    let mut pair = Pair::new(1);
    let conn = pair.connected(Options::default());
    pair.net.inflict(Fault::Pause(pair.server, 10 * SECOND));
    pair.net.inflict(Fault::Pause(pair.server, SECOND));
    pair.send(conn, b"x");
    pair.net.run_for(9 * SECOND);
    assert!(pair.seen_by_client().received.is_empty());
    pair.net.run_for(2 * SECOND);
    assert_eq!(pair.seen_by_client().received, b"x");
}

/// Deadlines that a jump passed fire at once, each once, at a cost that goes with how many there are and not with how
/// far the clock went.
#[test]
fn a_clock_that_jumps_a_year_ahead_fires_what_is_due_at_once() {
    const YEAR_NANOS: i64 = 365 * 24 * 3600 * 1_000_000_000;
    let mut pair = Pair::new(1);
    pair.connected(Options::with(|o| o.timeouts.keep_alive = Some(60 * SECOND)));
    pair.net.with(pair.client, |_: &mut Peer, io| {
        for tag in 0..1000 {
            io.timer_after(SECOND * (tag as u32 + 1), tag);
        }
    });
    let events = pair.net.events();
    pair.net.inflict(Fault::ClockJump(pair.client, YEAR_NANOS));
    pair.net.run_for(100 * MS);
    assert_eq!(pair.seen_by_client().timers.len(), 1000);
    assert_eq!(pair.seen_by_client().closed[0].cause, Cause::IdleTimeout);
    assert!(pair.net.events() - events < 200, "{} events for one jump", pair.net.events() - events);
}

#[test]
fn a_clock_that_jumps_back_delays_what_is_due_and_breaks_nothing() {
    let mut pair = Pair::new(1);
    pair.net.run_for(100 * SECOND);
    let conn = pair.connected(Options::with(|o| o.timeouts.keep_alive = Some(40 * SECOND)));
    pair.net.with(pair.client, |_: &mut Peer, io| io.timer_after(SECOND, 1));
    pair.net.inflict(Fault::ClockJump(pair.client, -60_000_000_000));
    pair.send(conn, b"before its own past");
    pair.net.run_for(10 * SECOND);
    assert_eq!(pair.seen_by_client().received, b"before its own past");
    assert!(pair.seen_by_client().timers.is_empty());
    pair.net.run_for(60 * SECOND);
    assert_eq!(pair.seen_by_client().timers.len(), 1);
    pair.net.run_for(60 * SECOND);
    assert_eq!(pair.seen_by_client().closed[0].cause, Cause::IdleTimeout);
}

#[test]
fn clocks_jump_to_both_ends_of_time_and_the_host_lives() {
    let mut pair = Pair::new(1);
    let conn = pair.connected(Options::with(|o| o.timeouts.keep_alive = None));
    for by_nanos in [i64::MIN, i64::MAX, i64::MAX, i64::MIN, i64::MIN, i64::MAX, 0] {
        pair.net.inflict(Fault::ClockJump(pair.client, by_nanos));
        pair.net.inflict(Fault::ClockJump(pair.server, by_nanos).lasting(SECOND));
        pair.send(conn, b"tick");
        pair.net.run_for(5 * SECOND);
    }
    assert!(pair.net.is_running(pair.client) && pair.net.is_running(pair.server));
}

/// A jump that lasts is undone by what it was.
#[test]
fn a_clock_that_jumped_for_a_while_is_right_again() {
    let mut pair = Pair::new(1);
    pair.net.inflict(Fault::ClockJump(pair.client, 50_000_000_000).lasting(SECOND));
    pair.net.run_for(2 * SECOND);
    let now = pair.net.with(pair.client, |_: &mut Peer, io| io.clock());
    assert_eq!(now, pair.net.now());
}

#[test]
fn a_slow_host_takes_its_time_and_is_fast_again() {
    let mut pair = Pair::new(1);
    let conn = pair.connected(Options::default());
    let round_trip = |pair: &mut Pair| {
        let (from, had) = (pair.net.elapsed(), pair.seen_by_client().received.len());
        pair.send(conn, b"x");
        let client = pair.client;
        pair.net.expect_within(5 * SECOND, "an answer", |net| net.app::<Peer>(client).received.len() > had);
        pair.net.elapsed() - from
    };
    assert!(round_trip(&mut pair) < 25 * MS);
    pair.net.inflict(Fault::Slow(pair.server, 300 * MS).lasting(5 * SECOND));
    // The first turn after it is on time; those that follow wait for the one before.
    round_trip(&mut pair);
    let slow = round_trip(&mut pair);
    assert!(slow > 250 * MS, "{slow:?}");
    pair.net.run_for(10 * SECOND);
    assert!(round_trip(&mut pair) < 25 * MS);
}

#[test]
fn without_descriptors_connecting_fails_and_says_so() {
    let mut pair = Pair::new(1);
    pair.net.inflict(Fault::Descriptors(pair.client, 0).lasting(SECOND));
    let to = pair.server.port(PORT);
    let outcome = pair.net.with(pair.client, |_: &mut Peer, io| io.connect(Connect::to(to)).map(drop));
    pair.net.run_for(500 * MS);
    let said = match outcome {
        Err(error) => error.to_string(),
        Ok(()) => format!("{:?}", pair.seen_by_client().closed[0]),
    };
    assert!(said.contains("24") || said.to_lowercase().contains("too many open files"), "{said}");
    pair.net.run_for(SECOND);
    pair.connected(Options::default());
}

/// As under a supervisor: it comes up as soon as it can.
#[test]
fn without_descriptors_a_host_starts_once_there_are_some() {
    let mut pair = Pair::new(1);
    pair.net.inflict(Fault::Descriptors(pair.server, 0).lasting(3 * SECOND));
    pair.net.inflict(Fault::Crash(pair.server).lasting(SECOND));
    pair.net.run_for(2 * SECOND);
    assert!(!pair.net.is_running(pair.server));
    pair.net.run_for(3 * SECOND);
    pair.connected(Options::default());

    // One that crashed while it tried stays down.
    pair.net.inflict(Fault::Descriptors(pair.server, 0).lasting(3 * SECOND));
    pair.net.inflict(Fault::Crash(pair.server).lasting(SECOND));
    pair.net.run_for(1500 * MS);
    pair.net.inflict(Fault::Crash(pair.server));
    pair.net.run_for(10 * SECOND);
    assert!(!pair.net.is_running(pair.server));
}

/// Whoever waits in the backlog is taken in once there are descriptors again.
#[test]
fn without_descriptors_accepting_waits() {
    let mut pair = Pair::new(1);
    pair.net.inflict(Fault::Descriptors(pair.server, 2).lasting(700 * MS));
    for _ in 0..5 {
        pair.connect();
    }
    pair.net.run_for(500 * MS);
    assert_eq!(pair.seen_by_server().accepted, 0);
    assert_eq!(pair.seen_by_client().opened.len(), 5, "the kernel has taken them in");
    pair.net.run_for(SECOND);
    assert_eq!(pair.seen_by_server().accepted, 5);
    assert!(pair.seen_by_client().closed.is_empty());
}

/// Every error number that Linux has, eight times in a row: the listener goes on, or says that it is gone.
#[test]
fn accept_survives_every_errno_or_says_that_the_listener_is_gone() {
    // EAGAIN says that nobody waits, and is believed until somebody comes.
    const EAGAIN: i32 = 11;
    let mut gone = Vec::new();
    for errno in (1..=133).filter(|errno| *errno != EAGAIN) {
        let mut pair = Pair::new(1);
        pair.net.inflict(Fault::AcceptErrors(pair.server, vec![errno; 8]));
        pair.connect();
        pair.net.run_for(20 * SECOND);
        if pair.seen_by_server().listeners_failed > 0 {
            gone.push(errno);
        } else {
            assert_eq!(pair.seen_by_server().accepted, 1, "errno {errno}");
        }
    }
    // What says that the descriptor is no listener any more: EBADF, EINVAL, ENOTSOCK.
    for errno in [9, 22, 88] {
        assert!(gone.contains(&errno), "{gone:?}");
    }
    // What accept(2) says of newcomers and shortages.
    for errno in [4, 12, 23, 24, 71, 92, 100, 101, 103, 105, 112, 113, 95] {
        assert!(!gone.contains(&errno), "errno {errno} is of one newcomer, or passes: {gone:?}");
    }
}

#[test]
fn errors_of_accept_that_last_for_a_while_are_over_after_it() {
    let mut pair = Pair::new(1);
    const EMFILE: i32 = 24;
    pair.net.inflict(Fault::AcceptErrors(pair.server, vec![EMFILE; 1_000_000]).lasting(400 * MS));
    pair.connect();
    pair.net.run_for(300 * MS);
    assert_eq!(pair.seen_by_server().accepted, 0);
    pair.net.run_for(SECOND);
    assert_eq!(pair.seen_by_server().accepted, 1);
}

/// Whatever is wrong, and several things at once: after calm all is as it was.
#[test]
fn calm_puts_everything_right() {
    let mut pair = Pair::new(1);
    let (server, client) = (pair.server, pair.client);
    for fault in [
        Fault::PartitionOneWay(vec![client], vec![server]),
        Fault::NoRoute(vec![server], vec![client]),
        Fault::Clog(vec![server], vec![client], Duration::from_secs(1000)),
        Fault::LossBurst(vec![server], vec![client], 1.0, Duration::from_secs(1000)),
        Fault::Slow(client, SECOND),
        Fault::Descriptors(client, 0),
        Fault::AcceptErrors(server, vec![24; 1000]),
        Fault::Pause(client, Duration::from_secs(1000)),
        Fault::PowerOff(server),
    ] {
        pair.net.inflict(fault);
    }
    pair.net.run_for(10 * SECOND);
    pair.net.inflict(Fault::Calm);
    assert!(pair.net.is_running(server) && pair.net.is_running(client));
    let conn = pair.connected(Options::default());
    pair.send(conn, b"hello");
    pair.net.run_for(100 * MS);
    assert_eq!(pair.seen_by_client().received, b"hello");
}

#[test]
#[should_panic(expected = "there is no Host::nth(9) among 2 hosts")]
fn a_fault_of_nobody_is_a_mistake() {
    Pair::new(1).net.inflict(Fault::Crash(Host::nth(9)));
}
