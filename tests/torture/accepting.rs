//! Accepting when there are no descriptors.

use crate::clients::{Clients, Then};
use crate::rig::{Rig, Script, in_a_child, limit_descriptors};
use std::cell::Cell;
use std::time::Duration;
use windlass::metrics::AcceptFailure;
use windlass::{Event, Handler, Io, Wait};

const CLIENTS: usize = 200;
/// The longest pause of a listener that has run short.
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// Turns until one more connection has opened; answers how many turns that took.
fn turns_until_one_more<F>(rig: &mut Rig, script: &mut Script<F>, wait: Wait) -> usize
where
    Script<F>: Handler,
    F: FnMut(&mut Io, &Event<'_>),
{
    let before = script.opened().len();
    let mut turns = 0;
    while script.opened().len() == before {
        rig.reactor.turn(wait, script).unwrap();
        turns += 1;
        assert!(turns < 1_000, "nobody is accepted any more");
    }
    turns
}

#[test]
fn without_descriptors_a_listener_rests_goes_on_at_a_close_and_strands_nobody() {
    if !in_a_child("accepting::without_descriptors_a_listener_rests_goes_on_at_a_close_and_strands_nobody") {
        return;
    }
    let mut rig = Rig::new();
    let mut clients = Clients::start(rig.address, CLIENTS, Then::Leave);
    let elsewhere = std::fs::File::open("/dev/null").unwrap();
    limit_descriptors(64);
    let serving = Cell::new(false);
    let mut script = Script::new(|io: &mut Io, event: &Event<'_>| match event {
        Event::Opened { conn, .. } if !serving.get() => io.pause(*conn).unwrap(),
        Event::Data { conn, bytes } => _ = io.send(*conn, bytes).unwrap(),
        _ => {}
    });
    clients.wait_until_connected();
    rig.until(&mut script, |script| script.opened().len() > 30);
    rig.settle(&mut script);
    assert!(script.opened().len() < 64 && rig.figures().accept_errors[AcceptFailure::Descriptors] > 0);

    // Everybody else waits, and nothing happens: the loop rests.
    let (began, turns) = (rig.reactor.io().clock(), rig.figures().turns);
    rig.reactor.run_until(began + Duration::from_millis(300), &mut script).unwrap();
    let took = rig.reactor.io().clock().since(began);
    let turns = rig.figures().turns - turns;
    assert!(
        u128::from(turns) <= 3 + took.as_millis() / 20,
        "{turns} turns in {took:?}: more than 50 a second"
    );

    // A descriptor becomes free: one of the reactor's own, and one that it knows nothing of.
    let conn = script.opened()[0];
    rig.reactor.io().abort(conn);
    let turns = turns_until_one_more(&mut rig, &mut script, Wait::No);
    assert!(turns <= 2, "{turns} turns until the place of a closed connection was taken");
    rig.settle(&mut script);
    assert!(rig.reactor.sleep_max().is_some_and(|pause| pause <= PAUSE_MAX), "{:?}", rig.reactor.sleep_max());
    drop(elsewhere);
    let turns = turns_until_one_more(&mut rig, &mut script, Wait::Forever);
    assert!(turns <= 2, "{turns} turns until a descriptor freed elsewhere was taken");

    // Whoever is served goes and makes room for the next.
    serving.set(true);
    for conn in script.opened() {
        let _ = rig.reactor.io().resume(conn);
    }
    while clients.are_there() {
        rig.reactor.turn(Wait::For(Duration::from_millis(10)), &mut script).unwrap();
    }
    let fates = clients.wait_until_answered();
    clients.end();
    // On a machine that stands still for a second the listener turns some away: that is no stranding.
    let shed = rig.figures().accept_errors[AcceptFailure::Other] as usize;
    assert_eq!((fates.answered, fates.reset), (CLIENTS - 1 - shed, 1 + shed));
    rig.settle(&mut script);
    rig.assert_nothing_left();
}
