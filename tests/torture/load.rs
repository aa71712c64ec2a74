//! More than there is room or time for: floods, readers that do not read, slow peers in every slot, twice the limit,
//! and the spread over cores.

use crate::clients::{Clients, Then};
use crate::rig::{Rig, Script, Seen, config, echo, in_a_child, options, pattern, raise_descriptor_limit};
use crate::thorough::thorough;
use std::cell::Cell;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;
use windlass::metrics::Refusal;
use windlass::time::Instant;
use windlass::{Cause, Cores, Event, Io, Listen, Sent, Spread, Wait};

/// In which turn, counted from when all have asked, each pinger was answered, at the 99th percentile. `flood` is
/// called before every turn.
fn p99_turn<F: FnMut(&mut Io, &Event<'_>)>(
    rig: &mut Rig,
    script: &mut Script<F>,
    pingers: &mut [TcpStream],
    turn: &Cell<usize>,
    mut flood: impl FnMut(),
) -> usize {
    pingers.iter_mut().for_each(|pinger| pinger.write_all(b"p").unwrap());
    script.log.clear();
    let mut answered_in = Vec::new();
    turn.set(0);
    while answered_in.len() < pingers.len() {
        flood();
        turn.set(turn.get() + 1);
        rig.turn(script);
        let pings = script.count(|seen| matches!(seen, Seen::Data(_, bytes) if bytes.len() == 1));
        answered_in.resize(pings, turn.get());
        assert!(turn.get() < 1_000, "some are never answered");
    }
    pingers.iter_mut().for_each(|pinger| pinger.read_exact(&mut [0; 1]).unwrap());
    answered_in[answered_in.len() * 99 / 100]
}

#[test]
fn a_thousand_pingers_wait_at_most_twice_as_many_turns_beside_a_flooder() {
    const PINGERS: usize = 1000;
    const BUDGET: usize = 16 * 1024;
    // Fewer events a turn than pingers that are ready, so that there is a line to stand in.
    let mut rig = Rig::with(config(|c| {
        c.budgets.receive_bytes = BUDGET;
        c.budgets.events = 128;
    }));
    let turn = Cell::new(0);
    let mut flooded = 0;
    let mut script = Script::new(|io: &mut Io, event: &Event<'_>| match event {
        Event::Data { conn, bytes } if bytes.len() == 1 => _ = io.send(*conn, bytes).unwrap(),
        Event::Data { bytes, .. } => flooded += bytes.len(),
        _ => {}
    });
    let mut flooder = rig.peer();
    flooder.set_nonblocking(true).unwrap();
    let mut pingers: Vec<TcpStream> = (0..PINGERS).map(|_| rig.peer()).collect();
    rig.until(&mut script, |script| script.opened().len() == PINGERS + 1);
    rig.settle(&mut script);
    let chunk = pattern(1 << 20);
    let mut turns = 0;
    for _ in 0..thorough(20, 3) {
        let idle = p99_turn(&mut rig, &mut script, &mut pingers, &turn, || {});
        let before = rig.figures();
        // Also what he has said in between is there before they ask.
        while flooder.write(&chunk).is_ok() {}
        let flooded =
            p99_turn(&mut rig, &mut script, &mut pingers, &turn, || while flooder.write(&chunk).is_ok() {});
        let figures = rig.figures();
        assert!(flooded <= 2 * idle, "{flooded} turns instead of {idle}");
        let (bytes, taken) = (figures.bytes_in - before.bytes_in, figures.turns - before.turns);
        assert!(bytes as usize <= taken as usize * BUDGET + PINGERS, "{bytes} bytes in {taken} turns");
        turns += taken;
        rig.settle(&mut script);
    }
    drop(script);
    assert!(
        flooded > turns as usize / 2 * BUDGET,
        "the flooder is served as well: {flooded} in {turns} turns"
    );
}

/// Bytes of this process that are in memory.
fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux shows its memory");
    let pages: usize = statm.split(' ').nth(1).expect("the second figure").parse().unwrap();
    pages * rustix::param::page_size()
}

#[test]
fn a_slow_reader_of_many_megabytes_costs_no_memory_is_told_of_and_times_out() {
    if !in_a_child("load::a_slow_reader_of_many_megabytes_costs_no_memory_is_told_of_and_times_out") {
        return;
    }
    const GROWTH_BYTES_MAX: usize = 8 << 20;
    let total = thorough(1 << 30, 64 << 20);
    let mut rig = Rig::with(config(|c| c.options.timeouts.write = None));
    let backlogged = Cell::new(0_usize);
    let mut script = Script::new(|io: &mut Io, event: &Event<'_>| match event {
        Event::Opened { conn, .. } | Event::Drained { conn } => {
            while io.send(*conn, &[7; 30_000]).unwrap() == Sent::Flowing {}
            backlogged.set(backlogged.get() + 1);
        }
        _ => {}
    });
    let mut peer = rig.peer();
    peer.set_nonblocking(true).unwrap();
    let mut buffer = vec![0; 64 * 1024];
    let (mut read, mut at_first, mut at_most) = (0, 0, 0);
    while read < total {
        rig.turn(&mut script);
        match peer.read(&mut buffer) {
            Ok(n) => read += n,
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
        if at_first == 0 && read > total / 16 {
            at_first = resident_bytes();
        }
        at_most = at_most.max(resident_bytes());
    }
    assert!(at_most - at_first < GROWTH_BYTES_MAX, "from {at_first} to {at_most} resident bytes");
    let drained = script.count(|seen| matches!(seen, Seen::Drained(_)));
    assert_eq!(drained + 1, backlogged.get(), "each backlog is followed by one word that it has drained");
    assert!(drained > total / (2 << 20), "{drained} times");

    // Now the peer reads nothing any more.
    let conn = script.opened()[0];
    rig.reactor
        .io()
        .set_options(conn, options(|o| o.timeouts.write = Some(Duration::from_millis(50))))
        .unwrap();
    rig.until(&mut script, |script| !script.causes().is_empty());
    assert_eq!(script.causes(), [Cause::WriteTimeout]);
    drop(script);
    rig.assert_nothing_left();
}

#[test]
fn slow_peers_that_hold_every_slot_and_come_back_do_not_keep_honest_ones_out() {
    const SLOTS: usize = 30;
    const GENERATIONS: usize = 3;
    let mut rig = Rig::with(config(|c| c.admission.connections_max = Some(SLOTS)));
    let mut script = Script::new(|io: &mut Io, event: &Event<'_>| match event {
        Event::Opened { conn, .. } => {
            io.deadline(*conn, Some(io.now() + Duration::from_millis(60))).unwrap();
        }
        Event::Data { conn, bytes } => match bytes {
            [request @ .., b'\n'] => {
                io.send(*conn, request).unwrap();
                io.close(*conn);
            }
            part => io.keep(*conn, part.len()).unwrap(),
        },
        _ => {}
    });
    let mut slow = Vec::new();
    let mut honest = Vec::new();
    for _ in 0..GENERATIONS {
        slow.extend((0..SLOTS).map(|_| rig.peer()));
        let mut latecomers: Vec<TcpStream> = (0..SLOTS).map(|_| rig.peer()).collect();
        for peer in &mut latecomers {
            peer.write_all(b"a request\n").unwrap();
            peer.shutdown(Shutdown::Write).unwrap();
        }
        honest.extend(latecomers);
    }
    let ends = |script: &Script<_>, cause| script.causes().iter().filter(|one| **one == cause).count();
    while ends(&script, Cause::DeadlineExceeded) < GENERATIONS * SLOTS {
        for peer in &mut slow {
            // Those that are closed already answer with an error.
            let _ = peer.write(b"x");
        }
        rig.reactor.turn(Wait::For(Duration::from_millis(5)), &mut script).unwrap();
        assert!(script.log.len() < 100_000, "they are not closed");
    }
    for mut peer in honest {
        let mut got = Vec::new();
        peer.set_nonblocking(true).unwrap();
        while let Err(error) = peer.read_to_end(&mut got) {
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
            rig.reactor.turn(Wait::For(Duration::from_millis(5)), &mut script).unwrap();
        }
        assert_eq!(got, b"a request");
    }
    rig.until(&mut script, |script| script.causes().len() == 2 * GENERATIONS * SLOTS);
    assert_eq!(ends(&script, Cause::DeadlineExceeded), GENERATIONS * SLOTS);
    rig.assert_nothing_left();
}

/// Everybody asks and is answered in one turn.
#[track_caller]
fn ping_all<F: FnMut(&mut Io, &Event<'_>)>(rig: &mut Rig, script: &mut Script<F>, peers: &mut [TcpStream]) {
    peers.iter_mut().for_each(|peer| peer.write_all(b"p").unwrap());
    rig.turn(script);
    for peer in peers {
        peer.set_nonblocking(true).unwrap();
        assert_eq!(peer.read(&mut [0; 1]).ok(), Some(1), "not answered in the turn in which it asked");
    }
}

#[test]
fn at_twice_the_share_of_an_address_the_excess_is_refused_in_its_turn_and_the_others_do_not_feel_it() {
    const LIMIT: usize = 100;
    let mut rig = Rig::with(config(|c| {
        c.admission.per_address_max = Some(LIMIT as u32);
        c.budgets.accepts = LIMIT;
    }));
    let mut script = echo();
    let mut peers: Vec<TcpStream> = (0..LIMIT).map(|_| rig.peer()).collect();
    rig.until(&mut script, |script| script.opened().len() == LIMIT);
    rig.settle(&mut script);
    for round in 1..=thorough(100, 5) {
        let excess: Vec<TcpStream> = (0..LIMIT).map(|_| rig.peer()).collect();
        ping_all(&mut rig, &mut script, &mut peers);
        for mut peer in excess {
            peer.set_nonblocking(true).unwrap();
            let heard = peer.read(&mut [0; 1]).map_err(|error| error.kind());
            assert_eq!(heard, Err(ErrorKind::ConnectionReset), "not refused in the turn in which it came");
        }
        assert_eq!(rig.figures().admissions_refused[Refusal::PerAddress] as usize, round * LIMIT);
        rig.settle(&mut script);
    }
    assert_eq!(script.opened().len(), LIMIT);
    drop(peers);
    rig.until(&mut script, |script| script.causes().len() == LIMIT);
    rig.assert_nothing_left();
}

#[test]
fn at_twice_the_connections_the_excess_waits_without_a_turn_and_is_served_when_others_leave() {
    const LIMIT: usize = 100;
    let mut rig = Rig::with(config(|c| c.admission.connections_max = Some(LIMIT)));
    let mut script = echo();
    let mut peers: Vec<TcpStream> = (0..LIMIT).map(|_| rig.peer()).collect();
    rig.until(&mut script, |script| script.opened().len() == LIMIT);
    rig.settle(&mut script);
    let mut excess: Vec<TcpStream> = (0..LIMIT).map(|_| rig.peer()).collect();
    ping_all(&mut rig, &mut script, &mut peers);
    rig.settle(&mut script);
    let (began, turns) = (rig.reactor.io().clock(), rig.figures().turns);
    rig.reactor.run_until(began + Duration::from_millis(50), &mut script).unwrap();
    assert!(rig.figures().turns - turns <= 2, "those who wait keep the loop awake");
    ping_all(&mut rig, &mut script, &mut peers);
    drop(peers);
    rig.until(&mut script, |script| script.opened().len() == 2 * LIMIT);
    rig.settle(&mut script);
    ping_all(&mut rig, &mut script, &mut excess);
    drop(excess);
    rig.until(&mut script, |script| script.causes().len() == 2 * LIMIT);
    rig.assert_nothing_left();
}

fn echoing(io: &mut Io, event: Event<'_>) {
    if let Event::Data { conn, bytes } = event {
        let _ = io.send(conn, bytes);
    }
}

#[test]
fn no_core_has_a_third_more_connections_than_the_mean() {
    const CORES: usize = 4;
    let count = thorough(10_000, 1_000);
    raise_descriptor_limit();
    for spread in [Spread::HandOff, Spread::ReusePort] {
        let cores = Cores::new(CORES).spread(spread).listen(Listen::tcp("127.0.0.1:0"));
        let running = cores.start(|_| echoing).unwrap();
        let mut clients = Clients::start(running.addresses()[0].as_inet().unwrap(), count, Then::Stay);
        assert_eq!(clients.wait_until_answered().answered, count);
        let cores = running.metrics().snapshot(Instant::ZERO).cores;
        let active: Vec<u64> = cores.iter().map(|core| core.figures.connections_active).collect();
        assert_eq!(active.iter().sum::<u64>() as usize, count);
        let (most, mean) = (active.iter().max().copied().unwrap_or(0) as f64, count as f64 / CORES as f64);
        assert!(most / mean < 1.3, "{spread:?}: {active:?}");
        clients.end();
        running.shutdown(Duration::from_secs(3600));
        assert_eq!(running.join().unwrap().cut, 0);
    }
}

#[test]
fn a_newcomer_wakes_the_core_that_serves_it_and_nobody_else() {
    const NEWCOMERS: u64 = 100;
    // What one connection may take: accepted, asked, ended, and each of them once more for what was left over.
    const TURNS_MAX: u64 = 6;
    let cores = Cores::new(8).listen(Listen::tcp("127.0.0.1:0"));
    let running = cores.start(|_| echoing).unwrap();
    let address = running.addresses()[0].as_inet().unwrap();
    for _ in 0..NEWCOMERS {
        let mut peer = TcpStream::connect(address).unwrap();
        peer.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        peer.write_all(b"?").unwrap();
        peer.read_exact(&mut [0; 1]).unwrap();
    }
    let cores = running.metrics().snapshot(Instant::ZERO).cores;
    let served =
        |core: &windlass::metrics::CoreSnapshot| (core.figures.connections_accepted, core.figures.turns);
    let all: Vec<(u64, u64)> = cores.iter().map(served).collect();
    assert_eq!(all.iter().map(|(accepted, _)| accepted).sum::<u64>(), NEWCOMERS);
    assert!(all.iter().all(|(accepted, turns)| *turns <= TURNS_MAX * accepted + 5), "{all:?}");
    running.shutdown(Duration::ZERO);
    running.join().unwrap();
}
