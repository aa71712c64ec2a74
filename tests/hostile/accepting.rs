//! Accepting under shortages: descriptors, slots, admission.

use crate::rig::{Rig, Script, Seen, config, echo, in_a_child, silent, take_all_descriptors};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc;
use std::time::Duration;
use windlass::metrics::{AcceptFailure, Refusal};
use windlass::{Config, Event, Io, Listen, Reactor, Wait};

#[test]
fn a_shortage_of_descriptors_does_not_spin_and_sheds_after_a_second() {
    if !in_a_child("accepting::a_shortage_of_descriptors_does_not_spin_and_sheds_after_a_second") {
        return;
    }
    let mut rig = Rig::new();
    let address = rig.address;
    let (tell, told) = mpsc::channel();
    let mut peers: Vec<TcpStream> = (0..20).map(|_| rig.peer()).collect();
    let taken = take_all_descriptors();
    let mut script = silent();
    let started = rig.reactor.io().clock();
    let watcher = std::thread::spawn(move || {
        for peer in &mut peers {
            tell.send(peer.read(&mut [0; 1]).map_err(|error| error.kind())).unwrap();
        }
    });
    let mut answers = Vec::new();
    rig.until(&mut script, |_| {
        answers.extend(told.try_iter());
        answers.len() == 20
    });
    watcher.join().unwrap();
    assert!(answers.iter().all(|answer| *answer == Err(std::io::ErrorKind::ConnectionReset)), "{answers:?}");
    assert_eq!(script.opened(), []);
    let took = rig.reactor.io().clock().since(started);
    assert!(took >= Duration::from_secs(1), "nobody is shed at once");
    // The rig turns every 10 ms by itself; what a spin would add is hundreds of thousands.
    let turns = rig.figures().turns;
    assert!(u128::from(turns) <= 100 + took.as_millis() / 2, "{turns} turns in {took:?}");
    assert!(rig.figures().accept_errors[AcceptFailure::Descriptors] <= 100 + took.as_millis() as u64 / 50);
    drop(taken);
    let mut late = TcpStream::connect(address).unwrap();
    let mut script = echo();
    late.write_all(b"x").unwrap();
    rig.until(&mut script, |script| script.received() == b"x");
    late.read_exact(&mut [0; 1]).unwrap();
}

#[test]
fn a_shortage_that_passed_does_not_shorten_the_next_ones_patience() {
    if crate::slow::left_out() {
        return;
    }
    if !in_a_child("accepting::a_shortage_that_passed_does_not_shorten_the_next_ones_patience") {
        return;
    }
    let mut rig = Rig::new();
    let mut script = silent();
    let _first = rig.peer();
    let mut taken = take_all_descriptors();
    // The last descriptor is for the one who waits; the next accept fails although nobody waits any more.
    taken.pop();
    rig.until(&mut script, |script| script.opened().len() == 1);
    rig.turn(&mut script);
    assert!(rig.figures().accept_errors[AcceptFailure::Descriptors] > 0);
    drop(taken);
    let later = rig.reactor.io().clock() + Duration::from_millis(1100);
    while rig.reactor.io().clock() < later {
        rig.reactor.turn(Wait::For(Duration::from_millis(50)), &mut script).unwrap();
    }
    let second = rig.peer();
    let taken = take_all_descriptors();
    for _ in 0..20 {
        rig.reactor.turn(Wait::For(Duration::from_millis(10)), &mut script).unwrap();
    }
    drop(taken);
    rig.until(&mut script, |script| script.opened().len() == 2);
    drop(second);
}

#[test]
fn a_burst_of_ten_times_the_limit_is_served_as_slots_become_free() {
    const MAX: usize = 20;
    let mut rig = Rig::with(config(|c| c.admission.connections_max = Some(MAX)));
    let mut script = Script::new(|io: &mut Io, event: &Event<'_>| {
        assert!(io.connections() <= MAX);
        if let Event::Data { conn, bytes } = event {
            io.send(*conn, bytes).unwrap();
            io.close(*conn);
        }
    });
    let mut peers: Vec<TcpStream> = (0..10 * MAX).map(|_| rig.peer()).collect();
    rig.until(&mut script, |script| script.opened().len() == MAX);
    rig.settle(&mut script);
    assert_eq!(script.opened().len(), MAX);
    for peer in &mut peers {
        peer.write_all(b"x").unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
    }
    rig.until(&mut script, |script| script.causes().len() == 10 * MAX);
    for peer in &mut peers {
        let mut all = Vec::new();
        peer.read_to_end(&mut all).unwrap();
        assert_eq!(all, b"x");
    }
    assert!(rig.figures().admissions_refused[Refusal::ConnectionsMax] > 0);
    drop(script);
    rig.assert_nothing_left();
}

#[test]
fn released_and_aborted_connections_free_their_slot_for_the_waiting() {
    let mut rig = Rig::with(config(|c| c.admission.connections_max = Some(1)));
    let _peers: Vec<TcpStream> = (0..6).map(|_| rig.peer()).collect();
    let mut script = silent();
    for round in 1..=6 {
        rig.until(&mut script, |script| script.opened().len() == round);
        rig.settle(&mut script);
        assert_eq!(script.opened().len(), round);
        let conn = script.opened()[round - 1];
        if round % 2 == 0 {
            rig.reactor.io().release(conn).unwrap();
        } else {
            rig.reactor.io().abort(conn);
        }
    }
    rig.settle(&mut script);
    rig.assert_nothing_left();
}

#[test]
fn refusals_per_address_reset_the_excess_and_count_exactly() {
    let mut rig = Rig::with(config(|c| c.admission.per_address_max = Some(5)));
    let mut script = silent();
    for _ in 0..5 {
        let opened = script.opened().len();
        let peers: Vec<TcpStream> = (0..12).map(|_| rig.peer()).collect();
        rig.until(&mut script, |script| script.opened().len() == opened + 5);
        rig.settle(&mut script);
        let refused = peers.iter().filter(|peer| {
            peer.set_nonblocking(true).unwrap();
            let mut peer = *peer;
            peer.read(&mut [0; 1]).is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset)
        });
        assert_eq!(refused.count(), 7);
        drop(peers);
        rig.until(&mut script, |script| script.causes().len() == opened + 5);
    }
    assert_eq!(rig.figures().admissions_refused[Refusal::PerAddress], 35);
    rig.assert_nothing_left();
}

#[test]
fn a_dead_unix_listener_is_replaced_and_a_vanished_file_does_no_harm() {
    let path = std::env::temp_dir().join(format!("windlass-hostile-accept-{}.sock", std::process::id()));
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let mut reactor = Reactor::new(Config::default()).unwrap();
    let listener = reactor.io().listen(Listen::unix(&path)).unwrap();
    let mut script = echo();
    let mut peer = std::os::unix::net::UnixStream::connect(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    peer.write_all(b"x").unwrap();
    crate::rig::drive(&mut reactor, &mut script, |script| script.received() == b"x");
    peer.read_exact(&mut [0; 1]).unwrap();
    assert!(reactor.io().close_listener(listener));
    assert!(!reactor.io().close_listener(listener));
}

#[test]
fn a_listener_closed_while_it_waits_for_room_is_forgotten() {
    let mut rig = Rig::with(config(|c| c.admission.connections_max = Some(1)));
    let other = rig.reactor.io().listen(Listen::tcp("127.0.0.1:0")).unwrap();
    let address = rig.reactor.io().listener_address(other).unwrap().as_inet().unwrap();
    let _peers = [rig.peer(), TcpStream::connect(address).unwrap(), TcpStream::connect(address).unwrap()];
    let mut script = silent();
    rig.until(&mut script, |script| script.opened().len() == 1);
    rig.settle(&mut script);
    let conn = script.opened()[0];
    assert!(rig.reactor.io().close_listener(other));
    rig.reactor.io().abort(conn);
    rig.settle(&mut script);
    assert!(script.log.iter().all(|seen| !matches!(seen, Seen::Failed)));
}
