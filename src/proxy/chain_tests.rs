//! Chains of toxics in virtual time: nothing is lost, doubled, reordered or early, whatever stands in a chain and however
//! it is changed meanwhile.

use super::chain::{Chain, Content, Ending, Piece};
use super::plan::ToxicKind;
use crate::limits::PROXY_HELD_BYTES_MAX;
use crate::thorough::thorough;
use crate::time::Instant;
use bytes::Bytes;
use fastrand::Rng;
use std::time::Duration;

fn at(ms: u64) -> Instant {
    Instant::from_millis(ms)
}

fn bytes(from: u64, n: u64) -> Bytes {
    (from..from + n).map(|place| place.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()[0]).collect()
}

fn chain_of(kinds: &[ToxicKind]) -> Chain {
    let mut chain = Chain::default();
    for (number, kind) in kinds.iter().enumerate() {
        chain.insert(number as u64, *kind, Rng::with_seed(number as u64), Instant::ZERO);
    }
    chain
}

/// Advances whenever something is due, `late` after that, until nothing is any more: what came through and when it was
/// due.
fn run(chain: &mut Chain, from: Instant, late: Duration) -> Vec<Piece> {
    let (mut now, mut out) = (from, Vec::new());
    loop {
        let wake = chain.advance(now);
        while let Some(piece) = chain.out.pop() {
            assert!(piece.at <= now, "{:?} at {now:?}", piece.at);
            out.push(piece);
        }
        match wake {
            Some(at) if at < Instant::FAR_FUTURE => now = (at + late).max(now),
            _ => return out,
        }
    }
}

fn joined(pieces: &[Piece]) -> Vec<u8> {
    let parts = pieces.iter().filter_map(|piece| match &piece.content {
        Content::Bytes(bytes) => Some(&bytes[..]),
        Content::End(_) => None,
    });
    parts.collect::<Vec<_>>().concat()
}

fn endings(pieces: &[Piece]) -> Vec<(Ending, u64)> {
    let ends = pieces.iter().filter_map(|piece| match piece.content {
        Content::End(ending) => Some((ending, piece.at.as_nanos() / 1_000_000)),
        Content::Bytes(_) => None,
    });
    ends.collect()
}

/// A toxic that loses nothing.
fn harmless(rng: &mut Rng) -> ToxicKind {
    match rng.u8(0..8) {
        0 => ToxicKind::Latency { latency_ms: rng.u64(0..50), jitter_ms: rng.u64(0..50) },
        1 => ToxicKind::Bandwidth { rate_kb_per_s: rng.u64(0..1000) },
        2 => ToxicKind::SlowClose { delay_ms: rng.u64(0..50) },
        3 => ToxicKind::Timeout { timeout_ms: 0 },
        4 => {
            let average_size = rng.u64(1..3000);
            ToxicKind::Slicer {
                average_size,
                size_variation: rng.u64(0..=average_size),
                delay_us: rng.u64(0..50),
            }
        }
        5 => ToxicKind::Loss { probability: rng.f64() / 10.0, rtt_ms: rng.u64(0..50) },
        6 => ToxicKind::Partition,
        _ => ToxicKind::StopReading,
    }
}

#[test]
fn nothing_is_lost_or_reordered_however_a_chain_is_changed() {
    for seed in 0..thorough(1000, 60) {
        let mut rng = Rng::with_seed(seed);
        let (mut chain, mut now, mut said, mut heard) = (Chain::default(), Instant::ZERO, 0, Vec::new());
        for number in 0..200 {
            now += Duration::from_micros(rng.u64(0..20_000));
            let numbers = chain.numbers();
            match rng.u8(0..10) {
                0 if numbers.len() < 6 => {
                    chain.insert(rng.u64(0..1000) * 1000 + number, harmless(&mut rng), rng.fork(), now)
                }
                1 if !numbers.is_empty() => chain.remove(numbers[rng.usize(0..numbers.len())], now),
                2 if !numbers.is_empty() => {
                    assert!(chain.change(numbers[rng.usize(0..numbers.len())], harmless(&mut rng), now));
                }
                _ => {
                    let n = rng.u64(1..5000);
                    chain.push(Piece::bytes(now, bytes(said, n)));
                    said += n;
                }
            }
            chain.advance(now);
            while let Some(piece) = chain.out.pop() {
                assert!(piece.at <= now, "seed {seed}: {:?} at {now:?}", piece.at);
                heard.push(piece);
            }
        }
        chain.push(Piece::end(now, Ending::Finish));
        for number in chain.numbers() {
            chain.remove(number, now);
        }
        heard.extend(run(&mut chain, now, Duration::ZERO));
        assert!(joined(&heard) == bytes(0, said), "seed {seed}: as it was said");
        assert_eq!(endings(&heard).len(), 1, "seed {seed}");
        assert!(
            matches!(heard.last(), Some(Piece { content: Content::End(Ending::Finish), .. })),
            "seed {seed}"
        );
        assert_eq!((chain.bytes(), chain.cost()), (0, 0), "seed {seed}");
    }
}

/// What is due is reckoned from when it came, not from when somebody looked.
#[test]
fn looking_late_does_not_add_up_over_a_chain() {
    let kinds = [
        ToxicKind::Latency { latency_ms: 20, jitter_ms: 0 },
        ToxicKind::Bandwidth { rate_kb_per_s: 10 },
        ToxicKind::Latency { latency_ms: 30, jitter_ms: 0 },
        ToxicKind::SlowClose { delay_ms: 5 },
    ];
    for late in [0, 300, 900] {
        let mut chain = chain_of(&kinds);
        chain.push(Piece::bytes(at(1), bytes(0, 1000)));
        chain.push(Piece::end(at(1), Ending::Finish));
        let out = run(&mut chain, at(1), Duration::from_micros(late));
        assert_eq!(joined(&out), &bytes(0, 1000)[..]);
        assert_eq!(endings(&out), [(Ending::Finish, 1 + 20 + 100 + 30 + 5)], "{late} us late each time");
    }
}

#[test]
fn limit_data_passes_so_many_bytes_and_closes() {
    let mut chain =
        chain_of(&[ToxicKind::LimitData { bytes: 10 }, ToxicKind::Latency { latency_ms: 5, jitter_ms: 0 }]);
    chain.push(Piece::bytes(at(1), bytes(0, 4)));
    assert_eq!(joined(&run(&mut chain, at(1), Duration::ZERO)), &bytes(0, 4)[..]);
    chain.push(Piece::bytes(at(20), bytes(4, 100)));
    let out = run(&mut chain, at(20), Duration::ZERO);
    assert_eq!((&joined(&out)[..], endings(&out)), (&bytes(4, 6)[..], vec![(Ending::Close, 25)]));
    chain.push(Piece::bytes(at(30), bytes(104, 1)));
    assert!(run(&mut chain, at(40), Duration::ZERO).is_empty(), "what comes after is dropped");

    let mut none = chain_of(&[ToxicKind::LimitData { bytes: 0 }]);
    assert!(run(&mut none, at(1), Duration::ZERO).is_empty(), "nothing came yet");
    none.push(Piece::bytes(at(2), bytes(0, 1)));
    assert_eq!(endings(&run(&mut none, at(2), Duration::ZERO)), [(Ending::Close, 2)]);

    let mut exact = chain_of(&[ToxicKind::LimitData { bytes: 3 }]);
    exact.push(Piece::bytes(at(2), bytes(0, 3)));
    let out = run(&mut exact, at(2), Duration::ZERO);
    assert_eq!(
        (joined(&out).len(), endings(&out)),
        (3, vec![(Ending::Close, 2)]),
        "without waiting for more"
    );
}

#[test]
fn a_timeout_counts_from_when_it_came_or_was_changed() {
    let mut chain = chain_of(&[ToxicKind::Timeout { timeout_ms: 100 }]);
    chain.push(Piece::bytes(at(50), bytes(0, 4)));
    assert_eq!(chain.advance(at(50)), Some(at(100)));
    chain.change(0, ToxicKind::Timeout { timeout_ms: 0 }, at(60));
    assert_eq!(chain.advance(at(200)), None);
    assert_eq!(chain.bytes(), 4, "held");
    chain.change(0, ToxicKind::Timeout { timeout_ms: 30 }, at(300));
    assert_eq!(chain.advance(at(300)), Some(at(330)));
    let out = run(&mut chain, at(330), Duration::ZERO);
    assert_eq!((joined(&out).len(), endings(&out), chain.bytes()), (0, vec![(Ending::Close, 330)], 0));
}

#[test]
fn reset_peer_waits_for_something_to_come() {
    let mut chain = chain_of(&[ToxicKind::ResetPeer { timeout_ms: 20 }]);
    assert_eq!(chain.advance(at(1000)), None);
    chain.push(Piece::end(at(1000), Ending::Finish));
    assert_eq!(endings(&run(&mut chain, at(1000), Duration::ZERO)), [(Ending::Reset, 1020)]);
    assert_eq!(chain.bytes(), 0);
}

#[test]
fn a_lost_segment_holds_all_behind_it() {
    let every = ToxicKind::Loss { probability: 1.0, rtt_ms: 40 };
    let mut chain = chain_of(&[every]);
    chain.push(Piece::bytes(at(0), bytes(0, 10)));
    // 240 ms, doubled fifteen times and never more than 120 s, is what Linux allows before it gives up.
    let first = chain.advance(at(0)).unwrap();
    assert!(first > at(900_000) && first < at(1_200_000), "{first:?}");

    let mut rng = Rng::with_seed(3);
    let mut chain = Chain::default();
    chain.insert(1, ToxicKind::Loss { probability: 0.01, rtt_ms: 40 }, rng.fork(), at(0));
    chain.push(Piece::bytes(at(0), bytes(0, 1_460_000)));
    chain.push(Piece::end(at(0), Ending::Finish));
    let out = run(&mut chain, at(0), Duration::ZERO);
    assert!(joined(&out) == bytes(0, 1_460_000));
    let [(Ending::Finish, took)] = endings(&out)[..] else { panic!("one end") };
    assert!((200..1000).contains(&took), "about ten round trips for ten of a thousand segments: {took} ms");
}

#[test]
fn a_slicer_cuts_within_its_bounds_and_waits_for_room() {
    let slicer = ToxicKind::Slicer { average_size: 10, size_variation: 5, delay_us: 1000 };
    let mut chain = chain_of(&[slicer]);
    chain.push(Piece::bytes(at(0), bytes(0, 1000)));
    let out = run(&mut chain, at(0), Duration::ZERO);
    assert_eq!(joined(&out), &bytes(0, 1000)[..]);
    let (last, pieces) = out.split_last().unwrap();
    assert!(pieces.iter().all(|piece| piece.apart && (5..=15).contains(&piece.len())) && last.len() <= 15);
    assert!(out.windows(2).all(|two| two[1].at.since(two[0].at) == Duration::from_millis(1)));

    let single = ToxicKind::Slicer { average_size: 1, size_variation: 0, delay_us: 0 };
    let mut chain = chain_of(&[single, ToxicKind::Partition]);
    for _ in 0..100 {
        chain.push(Piece::bytes(at(0), bytes(0, 64 * 1024)));
    }
    for _ in 0..1000 {
        chain.advance(at(0));
    }
    let pushed = 100 * (64 * 1024 + 100);
    assert!(chain.cost() <= pushed + PROXY_HELD_BYTES_MAX + 100, "{} bytes", chain.cost());
}

/// A receiver that stood still is not given in a burst what the link could not have carried meanwhile.
#[test]
fn a_link_does_not_make_up_for_time_when_its_end_was_full() {
    let mut chain = chain_of(&[ToxicKind::Bandwidth { rate_kb_per_s: 10_000 }]);
    for _ in 0..200 {
        chain.push(Piece::bytes(at(0), bytes(0, 64 * 1024)));
    }
    let full = |chain: &mut Chain, from: u64| {
        (from..from + 10_000).for_each(|ms| _ = chain.advance(at(ms)));
        std::iter::from_fn(|| chain.out.pop()).map(|piece| piece.len()).sum::<usize>()
    };
    let held = full(&mut chain, 0);
    assert!(held > PROXY_HELD_BYTES_MAX / 2 && held <= PROXY_HELD_BYTES_MAX, "{held}");
    chain.advance(at(10_000));
    chain.advance(at(10_010));
    let burst: usize = std::iter::from_fn(|| chain.out.pop()).map(|piece| piece.len()).sum();
    assert!(burst <= 12 * 10_000, "{burst} bytes within 10 ms at 10 MB/s");
}
