//! Changes while connections are open and bytes on the way: in force at once, and nothing lost by them.

use crate::rig::{End, Rig, hear, hear_to_end, pattern};
use fastrand::Rng;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use windlass::proxy::{Direction, Plan, ProxyError, Toxic, ToxicKind, spawn_with};

/// Toxics that delay and cut up, and lose nothing.
fn harmless(rng: &mut Rng) -> ToxicKind {
    match rng.u8(0..8) {
        0 => ToxicKind::Latency { latency_ms: rng.u64(0..4), jitter_ms: rng.u64(0..4) },
        1 => ToxicKind::Bandwidth { rate_kb_per_s: rng.u64(20_000..200_000) },
        2 => ToxicKind::Slicer {
            average_size: rng.u64(100..10_000),
            size_variation: rng.u64(0..100),
            delay_us: 0,
        },
        3 => ToxicKind::Loss { probability: 0.001, rtt_ms: 1 },
        4 => ToxicKind::StopReading,
        5 => ToxicKind::Timeout { timeout_ms: 0 },
        6 => ToxicKind::Partition,
        _ => ToxicKind::SlowClose { delay_ms: 1 },
    }
}

/// Adds, changes and removes toxics until told to stop, then removes them all.
fn meddle(rig: &Rig, seed: u64, over: &AtomicBool) -> usize {
    let mut rng = Rng::with_seed(seed);
    let mut on: Vec<Toxic> = Vec::new();
    let mut changes = 0;
    while !over.load(Ordering::Relaxed) {
        changes += 1;
        let place = rng.usize(0..6);
        if let Some(known) = on.get_mut(place) {
            if rng.bool() {
                rig.proxy.remove(&on.remove(place).name).unwrap();
                continue;
            }
            let kind = harmless(&mut rng);
            if kind.number() == known.kind.number() {
                known.kind = kind;
            }
            known.toxicity = rng.f32();
            rig.proxy.update(known.clone()).unwrap();
        } else {
            let toxic = Toxic::new(harmless(&mut rng)).named(format!("number {changes}"));
            let toxic = if rng.bool() { toxic.upstream() } else { toxic };
            rig.proxy.add(toxic.clone()).unwrap();
            on.push(toxic);
        }
    }
    rig.proxy.reset().unwrap();
    changes
}

#[test]
fn bytes_arrive_whole_and_in_order_whatever_is_changed_meanwhile() {
    const BYTES: usize = 24 << 20;
    const MEDDLED: usize = 8 << 20;
    let seed = 20_261_121;
    let rig = Rig::seeded(seed);
    let (client, served) = rig.pair();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let meddler = scope.spawn(|| meddle(&rig, seed, &over));
        for (mut talker, from) in [(&client, 0), (&served, BYTES)] {
            scope.spawn(move || talker.write_all(&pattern(from, BYTES)).expect("it is taken"));
        }
        let mut first_parts = Vec::new();
        for (mut hearer, from) in [(&served, 0), (&client, BYTES)] {
            first_parts.push(scope.spawn(move || {
                assert!(hear(&mut hearer, MEDDLED) == pattern(from, MEDDLED), "as it was said");
            }));
        }
        first_parts.into_iter().for_each(|part| part.join().unwrap());
        over.store(true, Ordering::Relaxed);
        let changes = meddler.join().unwrap();
        assert!(changes > 20, "{changes} changes");
        let rest = BYTES - MEDDLED;
        for (mut hearer, from) in [(&served, MEDDLED), (&client, BYTES + MEDDLED)] {
            scope.spawn(move || assert!(hear(&mut hearer, rest) == pattern(from, rest), "as it was said"));
        }
    });
    let figures = rig.figures();
    assert_eq!((figures.active, figures.held_bytes), (1, 0));
}

#[test]
fn a_shorter_latency_counts_for_what_is_on_the_way() {
    let rig = Rig::new();
    rig.proxy.add(Toxic::latency_ms(3_600_000)).unwrap();
    let (mut client, mut served) = rig.pair();
    served.write_all(b"soon").unwrap();
    drop(served);
    rig.until("it is on the way", |figures| figures.held_bytes == 4);
    rig.proxy.update(Toxic::latency_ms(5)).unwrap();
    assert_eq!(hear_to_end(&mut client), (b"soon".to_vec(), End::InOrder));
}

/// Which of `connections` a toxic of this toxicity is applied to.
fn drawn(seed: u64, connections: usize) -> Vec<bool> {
    let rig = Rig::seeded(seed);
    rig.proxy.add(Toxic::new(ToxicKind::Partition).toxicity(0.3)).unwrap();
    let mut before = 0;
    let hit = |_| {
        let _pair = rig.pair();
        let applied = rig.figures().applied[ToxicKind::Partition.number()];
        applied > std::mem::replace(&mut before, applied)
    };
    (0..connections).map(hit).collect()
}

#[test]
fn who_gets_a_toxic_follows_from_the_seed() {
    let (first, again, other) = (drawn(5, 100), drawn(5, 100), drawn(6, 100));
    assert_eq!(first, again, "one seed, one draw");
    assert_ne!(first, other, "another seed, another draw");
    let hit = first.iter().filter(|hit| **hit).count();
    assert!((15..45).contains(&hit), "{hit} of 100 connections at 0.3");
}

#[test]
fn a_toxicity_that_changes_leaves_those_drawn_before_where_they_were() {
    let rig = Rig::new();
    let latency = |toxicity| Toxic::latency_ms(1).toxicity(toxicity);
    rig.proxy.add(latency(0.5)).unwrap();
    let pairs: Vec<_> = (0..50).map(|_| rig.pair()).collect();
    let number = ToxicKind::Latency { latency_ms: 0, jitter_ms: 0 }.number();
    let half = rig.figures().applied[number];
    assert!((10..40).contains(&half), "{half} of 50 at 0.5");
    rig.proxy.update(latency(0.0)).unwrap();
    rig.proxy.update(latency(0.5)).unwrap();
    assert_eq!(rig.figures().applied[number], 2 * half, "the same ones again");
    rig.proxy.update(latency(1.0)).unwrap();
    assert_eq!(rig.figures().applied[number], half + 50, "all of them");
    for (mut client, mut served) in pairs {
        client.write_all(b"x").unwrap();
        assert_eq!(hear(&mut served, 1), b"x");
    }
}

#[test]
fn switched_off_nobody_listens_and_on_again_it_is_where_it_was() {
    let rig = Rig::at("127.0.101.1", 7);
    let (mut client, mut served) = rig.pair();
    rig.proxy.enable(false).unwrap();
    assert_eq!(hear_to_end(&mut client), (Vec::new(), End::InOrder));
    assert_eq!(hear_to_end(&mut served), (Vec::new(), End::InOrder));
    assert!(TcpStream::connect(rig.proxy.address()).is_err());
    rig.proxy.enable(false).unwrap();
    rig.proxy.enable(true).unwrap();
    let (mut client, mut served) = rig.pair();
    client.write_all(b"again").unwrap();
    assert_eq!(hear(&mut served, 5), b"again");
}

#[test]
fn one_that_begins_switched_off_has_its_address_all_the_same() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let plan = Plan::to("later", server.local_addr().unwrap());
    let plan = Plan { listen: "127.0.101.5:0".into(), enabled: false, ..plan };
    let proxy = spawn_with(plan, 1).unwrap();
    assert!(TcpStream::connect(proxy.address()).is_err());
    proxy.enable(true).unwrap();
    let mut client = TcpStream::connect(proxy.address()).unwrap();
    client.write_all(b"now").unwrap();
    assert_eq!(hear(&mut server.accept().unwrap().0, 3), b"now");
}

/// What was on the way is lost when a proxy is switched off: that must not look like an end in good order.
#[test]
fn switched_off_in_the_middle_it_resets_whom_it_owes_something() {
    let rig = Rig::new();
    rig.proxy.add(Toxic::black_hole()).unwrap();
    let (mut client, mut served) = rig.pair();
    served.write_all(b"held").unwrap();
    rig.until("it is held", |figures| figures.held_bytes == 4);
    rig.proxy.enable(false).unwrap();
    assert_eq!(hear_to_end(&mut client), (Vec::new(), End::Reset));
    assert_eq!(hear_to_end(&mut served), (Vec::new(), End::InOrder));
}

#[test]
fn what_is_refused_changes_nothing() {
    let rig = Rig::new();
    rig.proxy.add(Toxic::latency_ms(1).upstream()).unwrap();
    let (mut client, mut served) = rig.pair();
    let mut turned = Toxic::latency_ms(1).upstream();
    turned.direction = Direction::Downstream;
    let refused = [
        rig.proxy.add(Toxic::latency_ms(9).upstream()),
        rig.proxy.add(Toxic::latency_ms(9).toxicity(f32::NAN)),
        rig.proxy.add(Toxic::latency_ms(9).toxicity(-0.1)),
        rig.proxy.add(Toxic::latency_ms(9).toxicity(1.1)),
        rig.proxy.add(Toxic::latency_ms(9).named("")),
        rig.proxy.add(Toxic::new(ToxicKind::Corrupt { probability: f64::NAN })),
        rig.proxy.add(Toxic::new(ToxicKind::Slicer { average_size: 0, size_variation: 0, delay_us: 0 })),
        rig.proxy.update(turned),
        rig.proxy.update(Toxic::black_hole().named("latency_upstream")),
        rig.proxy.update(Toxic::latency_ms(1).named("unknown")),
        rig.proxy.remove("unknown"),
    ];
    for (number, outcome) in refused.iter().enumerate() {
        let error = outcome.as_ref().expect_err("it makes no sense");
        assert!(!error.to_string().is_empty(), "{number}");
    }
    assert!(matches!(refused[0], Err(ProxyError::ToxicExists(_))));
    assert!(matches!(refused[10], Err(ProxyError::ToxicNotFound(_))));
    client.write_all(b"still here").unwrap();
    assert_eq!(hear(&mut served, 10), b"still here");
}
