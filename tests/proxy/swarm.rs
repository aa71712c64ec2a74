//! Many connections under toxics that come and go at random, with ends that talk, stop talking, and fall over: what is
//! heard is always the beginning of what was said, and all of it where the stream ends in good order and nothing was
//! there to lose it.

use crate::rig::{End, Rig, pattern, reset};
use fastrand::Rng;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use windlass::proxy::{Toxic, ToxicKind};

#[path = "../../src/thorough.rs"]
mod thorough;

const CONNECTIONS: usize = 12;
const BYTES_MAX: usize = 400_000;

/// Any toxic but one that changes bytes; if it may, also one that loses some.
fn any(rng: &mut Rng, may_lose: bool) -> ToxicKind {
    match rng.u8(0..if may_lose { 11 } else { 7 }) {
        0 => ToxicKind::Latency { latency_ms: rng.u64(0..5), jitter_ms: rng.u64(0..5) },
        1 => ToxicKind::Bandwidth { rate_kb_per_s: rng.u64(0..50_000) },
        2 => ToxicKind::SlowClose { delay_ms: rng.u64(0..10) },
        3 => {
            ToxicKind::Slicer { average_size: rng.u64(1..2000), size_variation: 0, delay_us: rng.u64(0..100) }
        }
        4 => ToxicKind::Loss { probability: rng.f64() / 100.0, rtt_ms: rng.u64(0..3) },
        5 => ToxicKind::Partition,
        6 => ToxicKind::StopReading,
        7 => ToxicKind::Timeout { timeout_ms: rng.u64(1..50) },
        8 => ToxicKind::ResetPeer { timeout_ms: rng.u64(0..20) },
        9 => ToxicKind::LimitData { bytes: rng.u64(0..BYTES_MAX as u64) },
        _ => ToxicKind::Down,
    }
}

/// What one end does.
#[derive(Clone, Copy, Debug)]
struct Role {
    from: usize,
    says: usize,
    /// Falls over after that instead of ending its side and listening.
    falls: bool,
}

impl Role {
    fn draw(rng: &mut Rng) -> Role {
        Role { from: rng.usize(0..1 << 20), says: rng.usize(0..BYTES_MAX), falls: rng.u8(0..4) == 0 }
    }
}

/// Talks as its role says, listens meanwhile, and tells what it heard and how that ended.
fn play(stream: TcpStream, role: Role) -> Option<(Vec<u8>, End)> {
    let said = pattern(role.from, role.says);
    if role.falls {
        let mut stream = stream;
        let _whoever_hears_it = stream.write_all(&said);
        reset(stream);
        return None;
    }
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let _whoever_hears_it = (&stream).write_all(&said);
            let _may_be_gone = stream.shutdown(Shutdown::Write);
        });
        Some(listen(&stream))
    })
}

/// Everything up to the end, in pieces, so that what was heard before a reset counts.
fn listen(mut stream: &TcpStream) -> (Vec<u8>, End) {
    let (mut heard, mut piece) = (Vec::new(), [0; 16 * 1024]);
    loop {
        match stream.read(&mut piece) {
            Ok(0) => return (heard, End::InOrder),
            Ok(n) => heard.extend_from_slice(&piece[..n]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return (heard, End::Reset),
            Err(error) => panic!("after {} bytes: {error}", heard.len()),
        }
    }
}

fn meddle(rig: &Rig, rng: &mut Rng, may_lose: bool) {
    let mut on: Vec<String> = Vec::new();
    for number in 0..rng.usize(5..60) {
        // Each question lets the proxy do what it can.
        (0..rng.usize(0..60)).for_each(|_| drop(rig.figures()));
        if !on.is_empty() && rng.bool() {
            rig.proxy.remove(&on.swap_remove(rng.usize(0..on.len()))).expect("it is there");
            continue;
        }
        let toxic = Toxic::new(any(rng, may_lose)).named(format!("number {number}")).toxicity(rng.f32());
        let toxic = if rng.bool() { toxic.upstream() } else { toxic };
        on.push(toxic.name.clone());
        rig.proxy.add(toxic).expect("it makes sense");
    }
    rig.proxy.reset().expect("it listens already");
}

/// What `hearer` heard of what `talker` said.
#[track_caller]
fn check(seed: u64, talker: Role, heard: Option<(Vec<u8>, End)>, hearer_fell: bool, may_lose: bool) {
    let Some((heard, end)) = heard else { return };
    assert!(heard.len() <= talker.says, "seed {seed}: {} of {} bytes", heard.len(), talker.says);
    assert!(heard == pattern(talker.from, heard.len()), "seed {seed}: something else than was said");
    if !may_lose && !talker.falls && !hearer_fell {
        assert_eq!((heard.len(), end), (talker.says, End::InOrder), "seed {seed}");
    }
}

#[test]
fn a_swarm_under_toxics_hears_what_was_said_and_leaves_nothing_behind() {
    for seed in 0..thorough::thorough(300, 8) {
        let may_lose = seed % 2 == 1;
        let (rig, mut rng) = (Rig::seeded(seed), Rng::with_seed(seed));
        let roles: Vec<_> = (0..CONNECTIONS).map(|_| [Role::draw(&mut rng), Role::draw(&mut rng)]).collect();
        for number in 0..rng.usize(0..3) {
            rig.proxy
                .add(Toxic::new(any(&mut rng, false)).named(format!("early {number}")))
                .expect("it makes sense");
        }
        let pairs: Vec<_> = roles.iter().map(|_| rig.pair()).collect();
        std::thread::scope(|scope| {
            let mut ends = Vec::new();
            for ((client, served), [asks, answers]) in pairs.into_iter().zip(roles.iter().copied()) {
                let client = scope.spawn(move || play(client, asks));
                let served = scope.spawn(move || play(served, answers));
                ends.push((client, served, asks, answers));
            }
            meddle(&rig, &mut rng, may_lose);
            for (client, served, asks, answers) in ends {
                check(seed, answers, client.join().expect("it plays"), asks.falls || answers.falls, may_lose);
                check(seed, asks, served.join().expect("it plays"), asks.falls || answers.falls, may_lose);
            }
        });
        let figures = rig.until("all are over", |figures| figures.active == 0);
        assert_eq!((figures.held_bytes, figures.accepted), (0, CONNECTIONS as u64), "seed {seed}");
        let reactor = rig.proxy.metrics().snapshot(rig.now()).total;
        assert_eq!(reactor.connections_active, 0, "seed {seed}");
    }
}
