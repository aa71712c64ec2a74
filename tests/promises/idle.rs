//! How a reactor waits: it blocks, spins, or does one and then the other, and it wakes for nothing.

use crate::net::{Rig, config, echo, ignore};
use std::io::Write;
use std::thread;
use std::time::Duration;
use windlass::{Idle, Owner, Turn, Wait};

const STRATEGIES: [Idle; 3] = [Idle::Block, Idle::Spin, Idle::SpinThenBlock(Duration::from_millis(2))];

#[test]
fn every_strategy_serves_connections_timers_and_mail() {
    for idle in STRATEGIES {
        let mut rig = Rig::with(config(|c| c.idle = idle));
        let (_, mut peer) = rig.peer();
        peer.write_all(b"ping").unwrap();
        assert_eq!(rig.receive(&mut peer, 4, echo), b"ping", "{idle:?}");
        let (sender, mut inbox) = rig.io().mailbox::<u8>(1, Owner::APP).unwrap();
        let thread = thread::spawn(move || sender.try_send(1).unwrap());
        let mut got = None;
        rig.turn(Wait::For(Duration::from_secs(20)), |_, _| {
            while let Some(message) = inbox.recv() {
                got = Some(message);
            }
        });
        assert_eq!(got, Some(1), "{idle:?}");
        thread.join().unwrap();
        let at = rig.io().clock() + Duration::from_millis(5);
        rig.io().timer_at(at, 1);
        let turn = rig.turn(Wait::Forever, |io, _| assert!(io.now() >= at, "never early"));
        assert_eq!(
            (turn.handled, rig.count("timer")),
            (1, 1),
            "{idle:?}: it waits for the timer in one turn"
        );
    }
}

#[test]
fn a_wait_lasts_as_long_as_it_may_and_no_event_ends_it_early() {
    for idle in STRATEGIES {
        let mut rig = Rig::with(config(|c| c.idle = idle));
        let (_, _peer) = rig.peer();
        rig.settle(ignore);
        let began = rig.io().clock();
        let turn = rig.turn(Wait::For(Duration::from_millis(20)), ignore);
        assert_eq!(turn, Turn::default(), "{idle:?}");
        assert!(rig.io().now().since(began) >= Duration::from_millis(20), "{idle:?}");
        let until = rig.io().clock() + Duration::from_millis(10);
        assert_eq!(rig.turn(Wait::Until(until), ignore), Turn::default());
        assert!(rig.io().now() >= until, "{idle:?}");
    }
}

#[test]
fn wait_no_returns_at_once_with_nothing() {
    for idle in STRATEGIES {
        let mut rig = Rig::with(config(|c| c.idle = idle));
        assert_eq!(rig.turn(Wait::No, ignore), Turn::default());
    }
}

/// Idle connections with their far deadlines do not wake the reactor: one turn lasts the whole wait.
#[test]
fn an_idle_reactor_does_not_wake() {
    let mut rig = Rig::new();
    let _peers: Vec<_> = (0..20).map(|_| rig.peer()).collect();
    rig.settle(ignore);
    let before = rig.figures().turns;
    let until = rig.io().clock() + Duration::from_millis(100);
    let turn = rig.reactor.run_until(until, &mut ignore).unwrap();
    assert_eq!(turn, Turn::default());
    assert_eq!(rig.figures().turns - before, 1);
}

#[test]
fn run_until_returns_early_only_when_stopped() {
    let mut rig = Rig::new();
    let far = rig.io().clock() + Duration::from_secs(1000);
    rig.io().timer_after(Duration::ZERO, 1);
    let mut stopping = |io: &mut windlass::Io, _: windlass::Event<'_>| io.stop();
    let turn = rig.reactor.run_until(far, &mut stopping).unwrap();
    assert_eq!(turn.handled, 1);
    let near = rig.io().clock() + Duration::from_millis(5);
    rig.reactor.run_until(near, &mut ignore).unwrap();
    assert!(rig.io().clock() >= near, "a stop counts once");
}
