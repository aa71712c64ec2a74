//! Nobody starves: one who floods beside many who ask little.

use crate::rig::{Rig, Script, config, pattern};
use std::io::{Read, Write};
use std::net::TcpStream;
use windlass::{Conn, Event, Io, Priority, Wait};

#[test]
fn one_flooder_beside_many_pingers_takes_one_budget_a_turn() {
    const BUDGET: usize = 16 * 1024;
    let mut rig = Rig::with(config(|c| c.budgets.receive_bytes = BUDGET));
    let mut flooder = rig.peer();
    let mut flood = 0;
    let mut pings = 0;
    let mut script = Script::new(|io: &mut Io, event: &Event<'_>| match event {
        Event::Opened { conn, .. } => io.set_priority(*conn, Priority::Low).unwrap(),
        Event::Data { conn, bytes } if bytes.len() == 1 => {
            pings += 1;
            io.send(*conn, bytes).unwrap();
        }
        Event::Data { bytes, .. } => flood += bytes.len(),
        _ => {}
    });
    rig.until(&mut script, |script| script.opened().len() == 1);
    let loud: Conn = script.opened()[0];
    rig.reactor.io().set_priority(loud, Priority::High).unwrap();
    let mut pingers: Vec<TcpStream> = (0..200).map(|_| rig.peer()).collect();
    rig.until(&mut script, |script| script.opened().len() == 201);
    rig.settle(&mut script);
    flooder.set_nonblocking(true).unwrap();
    let chunk = pattern(1 << 20);
    let mut got = [0; 1];
    for _ in 0..30 {
        let _ = flooder.write(&chunk);
        pingers.iter_mut().for_each(|pinger| pinger.write_all(b"p").unwrap());
        let before = rig.figures();
        rig.reactor.turn(Wait::No, &mut script).unwrap();
        let after = rig.figures();
        let read = (after.bytes_in - before.bytes_in) as usize;
        // Everybody who had something was served in the one turn, the flooder with his budget.
        assert!(read <= BUDGET + 200, "{read} bytes in one turn");
        for pinger in &mut pingers {
            pinger.read_exact(&mut got).unwrap();
        }
    }
    drop(script);
    assert_eq!(pings, 30 * 200);
    assert!(flood > 0, "the flooder is served as well");
}

#[test]
fn flooders_share_turns_whatever_their_priority() {
    const BUDGET: usize = 4096;
    let mut rig = Rig::with(config(|c| c.budgets.receive_bytes = BUDGET));
    let mut peers: Vec<TcpStream> = (0..9).map(|_| rig.peer()).collect();
    let mut priorities = [Priority::High, Priority::Normal, Priority::Low].into_iter().cycle();
    let mut read = std::collections::HashMap::new();
    let mut script = Script::new(|io: &mut Io, event: &Event<'_>| match event {
        Event::Opened { conn, .. } => io.set_priority(*conn, priorities.next().unwrap()).unwrap(),
        Event::Data { conn, bytes } => *read.entry(*conn).or_insert(0) += bytes.len(),
        _ => {}
    });
    rig.until(&mut script, |script| script.opened().len() == 9);
    rig.settle(&mut script);
    peers.iter_mut().for_each(|peer| peer.write_all(&pattern(100 * BUDGET)).unwrap());
    for _ in 0..20 {
        rig.turn(&mut script);
    }
    drop(script);
    let (least, most) = (read.values().min().unwrap(), read.values().max().unwrap());
    assert_eq!(read.len(), 9);
    assert!(most - least <= 2 * BUDGET, "{least} to {most} bytes after 20 turns");
}

#[test]
fn timers_mail_and_accepts_go_on_under_a_storm_of_each() {
    let mut rig = Rig::with(config(|c| {
        c.budgets.timers = 4;
        c.budgets.accepts = 4;
        c.budgets.mail = 4;
        c.budgets.notices = 4;
        c.budgets.events = 4;
        c.budgets.deadlines = 4;
    }));
    let (sender, mut inbox) = rig.reactor.io().mailbox::<u32>(1000, windlass::Owner::APP).unwrap();
    let peers: Vec<TcpStream> = (0..100).map(|_| rig.peer()).collect();
    (0..1000).for_each(|message| sender.try_send(message).unwrap());
    let (mut mail, mut timers) = (0, 0);
    for tag in 0..1000 {
        rig.reactor.io().timer_after(std::time::Duration::ZERO, tag);
    }
    let mut script = Script::new(|_: &mut Io, event: &Event<'_>| match event {
        Event::Mail { .. } => {
            while inbox.recv().is_some() {
                mail += 1;
            }
        }
        Event::Timer { .. } => timers += 1,
        _ => {}
    });
    for turn in 1..=25 {
        rig.turn(&mut script);
        assert_eq!(script.opened().len(), 4 * turn, "accepts are served each turn");
    }
    for _ in 25..260 {
        rig.turn(&mut script);
    }
    drop(peers);
    rig.until(&mut script, |script| script.causes().len() == 100);
    drop(script);
    assert_eq!((mail, timers), (1000, 1000), "each in 250 turns");
    rig.assert_nothing_left();
}
