//! Every loop has a budget per turn; what is left over is remembered, and nobody starves.

use crate::net::{Rig, config, dial, ignore, options, pattern};
use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;
use windlass::metrics::{Budget, Refusal};
use windlass::{Cause, Config, Conn, Error, Priority, Reactor, Wait};

const LONG: Wait = Wait::For(Duration::from_secs(20));

/// What one turn may read of a connection, in these tests.
const SMALL: usize = 4096;

fn small_reads() -> Config {
    config(|c| (c.receive_buffer_bytes, c.budgets.receive_bytes) = (SMALL, SMALL))
}

#[test]
fn a_budget_of_nothing_is_refused() {
    for change in [
        |c: &mut Config| c.budgets.events = 0,
        |c: &mut Config| c.budgets.accepts = 0,
        |c: &mut Config| c.budgets.receive_bytes = 0,
        |c: &mut Config| c.budgets.timers = 0,
        |c: &mut Config| c.budgets.deadlines = 0,
        |c: &mut Config| c.budgets.mail = 0,
        |c: &mut Config| c.budgets.notices = 0,
    ] {
        assert!(matches!(Reactor::new(config(change)), Err(Error::Config(_))));
    }
}

/// One readiness event must suffice for all that is there: the rest is remembered.
#[test]
fn what_the_byte_budget_left_is_read_in_later_turns_without_another_event() {
    let mut rig = Rig::with(small_reads());
    let (conn, mut peer) = rig.peer();
    peer.write_all(&pattern(10 * SMALL + 1)).unwrap();
    let mut turns = Vec::new();
    while rig.data(conn).len() < 10 * SMALL + 1 {
        let before = rig.data(conn).len();
        let turn = rig.turn(LONG, ignore);
        turns.push((rig.data(conn).len() - before, turn.backlog));
    }
    assert_eq!(turns[..10], [(SMALL, true); 10]);
    assert_eq!(turns[10..], [(1, false)]);
    assert!(rig.figures().budgets_exhausted[Budget::Bytes] >= 10);
}

#[test]
fn a_connection_with_ten_megabytes_does_not_starve_another() {
    let mut rig = Rig::with(small_reads());
    let (heavy, mut firehose) = rig.peer();
    let (light, mut peer) = rig.peer();
    let bytes = pattern(10 << 20);
    let mut rest = &bytes[..];
    crate::net::pour(&mut firehose, &mut rest);
    let mut answered = 0;
    for round in 0..50 {
        peer.write_all(b"?").unwrap();
        let before = rig.data(heavy).len();
        rig.until_data(light, round + 1, ignore);
        let meanwhile = rig.data(heavy).len() - before;
        assert!(meanwhile <= 2 * SMALL, "{meanwhile} bytes of the other came first");
        answered += 1;
        crate::net::pour(&mut firehose, &mut rest);
    }
    assert_eq!(answered, 50);
    let served = rig.data(heavy).len();
    assert!(served >= 40 * SMALL, "and it is served all the while, but got only {served} bytes");
}

/// Pauses all, lets data arrive, and resumes all: then they stand in line together.
fn line_up(rig: &mut Rig, all: &mut [(Conn, TcpStream)]) {
    for (conn, peer) in all.iter_mut() {
        rig.io().pause(*conn).unwrap();
        peer.write_all(b"x").unwrap();
    }
    rig.settle(ignore);
    for (conn, _) in all.iter() {
        rig.io().resume(*conn).unwrap();
    }
}

#[test]
fn the_run_queue_is_served_in_order_of_priority() {
    let mut rig = Rig::new();
    let order = [Priority::Low, Priority::Normal, Priority::High, Priority::Low, Priority::High];
    let mut all = order.map(|priority| rig.peer_with(options(|o| o.priority = priority)));
    let conns = [0, 1, 2, 3, 4].map(|i: usize| all[i].0);
    line_up(&mut rig, &mut all);
    rig.seen.clear();
    rig.turn(Wait::No, ignore);
    let served: Vec<_> = rig.seen.iter().filter_map(|seen| seen.conn()).collect();
    assert_eq!(served, [2, 4, 1, 0, 3].map(|i: usize| conns[i]));
}

#[test]
fn a_priority_changed_at_run_time_counts_and_the_lowest_is_still_served_every_turn() {
    let mut rig = Rig::with(small_reads());
    let mut all = [rig.peer(), rig.peer(), rig.peer()];
    rig.io().set_priority(all[2].0, Priority::High).unwrap();
    rig.io().set_priority(all[0].0, Priority::Low).unwrap();
    for (_, peer) in &mut all {
        peer.write_all(&pattern(20 * SMALL)).unwrap();
    }
    rig.turn(LONG, ignore);
    for _ in 0..10 {
        rig.seen.clear();
        rig.turn(Wait::No, ignore);
        let served: Vec<_> = rig.seen.iter().filter_map(|seen| seen.conn()).collect();
        assert_eq!(served, [all[2].0, all[1].0, all[0].0]);
    }
}

/// The listener's own event and the list of listeners with some left over each had a budget, so that a turn
/// accepted twice as many.
#[test]
fn one_turn_accepts_no_more_than_its_budget() {
    let mut rig = Rig::with(config(|c| c.budgets.accepts = 4));
    let (_, address) = rig.listen(|listen| listen);
    let _peers: Vec<_> = (0..10).map(|_| dial(address)).collect();
    let mut turns = Vec::new();
    while rig.count("accepted") < 10 {
        let before = rig.count("accepted");
        let turn = rig.turn(LONG, ignore);
        turns.push((rig.count("accepted") - before, turn.backlog));
    }
    assert_eq!(turns, [(4, true), (4, true), (2, false)]);
    assert_eq!(rig.figures().budgets_exhausted[Budget::Accepts], 2);
}

#[test]
fn a_backlog_of_exactly_the_budget_is_no_trouble() {
    let mut rig = Rig::with(config(|c| c.budgets.accepts = 4));
    let (_, address) = rig.listen(|listen| listen);
    for round in 1..4 {
        let _peers: Vec<_> = (0..4).map(|_| dial(address)).collect();
        rig.until("four more", ignore, |rig| rig.count("accepted") == 4 * round);
        rig.settle(ignore);
    }
}

/// `Turn::backlog` knew nothing of timers that were left over.
#[test]
fn timers_beyond_the_budget_are_backlog_and_fire_in_the_next_turns() {
    let mut rig = Rig::with(config(|c| c.budgets.timers = 10));
    let now = rig.io().now();
    for tag in 0..25 {
        rig.io().timer_at(now, tag);
    }
    let turns: Vec<_> = (0..3).map(|_| rig.turn(LONG, ignore)).collect();
    assert_eq!(turns.iter().map(|turn| turn.handled).collect::<Vec<_>>(), [10, 10, 5]);
    assert_eq!(turns.iter().map(|turn| turn.backlog).collect::<Vec<_>>(), [true, true, false]);
    assert_eq!(rig.figures().budgets_exhausted[Budget::Timers], 2);
}

#[test]
fn a_timer_set_again_and_again_in_its_own_event_does_not_hold_the_turn() {
    let mut rig = Rig::with(config(|c| c.budgets.timers = 10));
    let (conn, mut peer) = rig.peer();
    rig.io().timer_after(Duration::ZERO, 0);
    peer.write_all(b"x").unwrap();
    let mut forever = |io: &mut windlass::Io, event: windlass::Event<'_>| {
        if let windlass::Event::Timer { .. } = event {
            io.timer_after(Duration::ZERO, 0);
        }
    };
    rig.until("somebody else is served", &mut forever, |rig| rig.data(conn).len() == 1);
    assert!(rig.count("timer") >= 1);
}

#[test]
fn deadlines_beyond_the_budget_expire_in_the_next_turns() {
    let mut rig = Rig::with(config(|c| {
        c.budgets.deadlines = 3;
        c.options.timeouts.keep_alive = Some(Duration::from_millis(20));
    }));
    let (_, address) = rig.listen(|listen| listen);
    let _peers: Vec<_> = (0..10).map(|_| dial(address)).collect();
    rig.until("all close", ignore, |rig| rig.count("closed") == 10);
    assert_eq!(rig.figures().connections_closed[Cause::IdleTimeout], 10);
}

#[test]
fn closes_beyond_the_budget_of_notices_are_told_in_the_next_turns() {
    let mut rig = Rig::with(config(|c| c.budgets.notices = 4));
    let all: Vec<_> = (0..10).map(|_| rig.peer()).collect();
    for (conn, _) in &all {
        assert!(rig.io().abort(*conn));
    }
    let mut turns = Vec::new();
    for _ in 0..3 {
        let before = rig.count("closed");
        let turn = rig.turn(Wait::No, ignore);
        turns.push((rig.count("closed") - before, turn.backlog));
    }
    assert_eq!(turns, [(4, true), (4, true), (2, false)]);
}

#[test]
fn readiness_beyond_the_budget_of_events_is_served_in_the_next_turns() {
    let mut rig = Rig::with(config(|c| c.budgets.events = 3));
    let mut all: Vec<_> = (0..10).map(|_| rig.peer()).collect();
    rig.settle(ignore);
    for (_, peer) in &mut all {
        peer.write_all(b"x").unwrap();
    }
    let mut events = Vec::new();
    while rig.count("data") < 10 {
        events.push(rig.turn(LONG, ignore).events);
    }
    assert!(events.iter().all(|&n| n <= 3), "{events:?}");
    for (conn, _) in &all {
        assert_eq!(rig.data(*conn), b"x");
    }
}

#[test]
fn at_connections_max_listeners_pause_and_connect_is_refused_until_one_closes() {
    let mut rig = Rig::with(config(|c| c.admission.connections_max = Some(2)));
    let (_, address) = rig.listen(|listen| listen);
    let mut peers: Vec<_> = (0..3).map(|_| dial(address)).collect();
    rig.until("two open", ignore, |rig| rig.count("opened") == 2);
    rig.settle(ignore);
    assert_eq!(rig.count("accepted"), 2);
    assert!(matches!(rig.io().connect(windlass::Connect::to(address)), Err(Error::Limit(_))));
    peers.remove(0);
    rig.until("the third opens", ignore, |rig| rig.count("opened") == 3);
    assert!(rig.figures().admissions_refused[Refusal::ConnectionsMax] >= 1);
    assert!(rig.io().connections() <= 2);
}

#[test]
fn beyond_the_share_of_an_address_connections_are_reset_and_counted() {
    let mut rig = Rig::with(config(|c| c.admission.per_address_max = Some(1)));
    let (_, address) = rig.listen(|listen| listen);
    let first = dial(address);
    rig.until("one opens", ignore, |rig| rig.count("opened") == 1);
    let mut second = dial(address);
    assert_eq!(rig.receive_to_end(&mut second, ignore).1, crate::net::End::Reset);
    assert_eq!((rig.count("accepted"), rig.figures().admissions_refused[Refusal::PerAddress]), (1, 1));
    drop(first);
    rig.until("it closes", ignore, |rig| rig.count("closed") == 1);
    let _third = dial(address);
    rig.until("its place is free", ignore, |rig| rig.count("opened") == 2);
}

/// A connection that was given away counted for its address ever after.
#[test]
fn a_released_connection_frees_its_share_of_the_address() {
    let mut rig = Rig::with(config(|c| c.admission.per_address_max = Some(1)));
    let (conn, _peer) = rig.peer();
    let _released = rig.io().release(conn).unwrap();
    let (_second, _peer) = rig.peer();
    let (_, address) = rig.listen(|listen| listen);
    let mut third = dial(address);
    assert_eq!(rig.receive_to_end(&mut third, ignore).1, crate::net::End::Reset, "one place, not two");
}

#[test]
fn the_slowest_turn_says_what_it_served() {
    let mut rig = Rig::new();
    for tag in 0..3 {
        let now = rig.io().now();
        rig.io().timer_at(now, tag);
    }
    rig.turn(LONG, ignore);
    let slowest = rig.figures().slowest_turn.expect("there was a turn");
    assert_eq!((slowest.work.timers, slowest.work.events), (3, 3));
}

#[test]
fn spare_buffers_are_shown_until_they_have_gone_back_to_the_system() {
    if crate::slow::left_out() {
        return;
    }
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer();
    let sent = rig.clog(conn);
    rig.receive(&mut peer, sent, ignore);
    let mut shown = false;
    rig.until("the pool has been trimmed", ignore, |rig| {
        let figures = rig.figures();
        shown |= figures.pool_bytes_free > 0;
        shown && figures.pool_bytes_free == 0 && figures.timers_armed == 0
    });
}
