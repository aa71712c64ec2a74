//! How long transfers take, against formulas that know nothing of the model.

use super::*;
use crate::net::sim::pftk::{Rates, rates};
use crate::thorough::thorough;

const MSS: f64 = 1_460.0;
const FRAME_BITS: f64 = 1_500.0 * 8.0;
const ACK_BITS: f64 = 40.0 * 8.0;

/// Seconds from the first write until the last byte is there, if nothing is lost: slow start from ten segments, which
/// doubles each round trip, until the bottleneck or the window is full, and from there on as fast as that goes.
fn lossless(bytes: f64, forward: f64, back: f64, bits_per_s: f64, window: f64) -> f64 {
    let segments = (bytes / MSS).ceil();
    let frame = FRAME_BITS / bits_per_s;
    let round_trip = forward + back + frame + ACK_BITS / bits_per_s;
    let (mut sent, mut burst, mut rounds) = (0.0, 10.0, 0.0);
    while sent + burst < segments && burst * frame < round_trip && burst < window / MSS {
        (sent, burst, rounds) = (sent + burst, 2.0 * burst, rounds + 1.0);
    }
    let per_segment = frame.max(round_trip / (window / MSS));
    let rest = segments - sent;
    if burst >= window / MSS && per_segment > frame {
        // Whole windows, each a round trip apart, the last of them partly filled.
        let windows = (rest / (window / MSS)).floor();
        let last = rest - windows * (window / MSS);
        return forward + (rounds + windows) * round_trip + last * frame;
    }
    forward + rounds * round_trip + rest * frame
}

#[test]
fn lossless_transfers_take_slow_start_serialization_and_latency() {
    println!("preset     bytes         formula    model      ratio  steps");
    let sizes: &[u64] = thorough(&[1_000_000, 100_000_000], &[1_000_000]);
    for (name, link) in Link::presets().into_iter().filter(|(_, link)| link.loss == 0.0) {
        for &bytes in sizes {
            for seed in 0..4 {
                let mut world = World::over(&link, seed);
                // Jitter adds half of its greatest value on average.
                let seconds = |path: &Path| (path.latency() + link.jitter / 2).as_secs_f64();
                let (forward, back) = (seconds(&world.forward), seconds(&world.back));
                let rate = link.bandwidth_bits_per_s.expect("presets have a rate") as f64;
                let window = f64::from(world.flow.settings.receive_buffer_bytes);
                let formula = lossless(bytes as f64, forward, back, rate, window);
                let model = world.transfer(bytes).as_secs_f64();
                let ratio = model / formula;
                println!("{name:9} {bytes:10} {formula:9.5} s {model:9.5} s {ratio:9.3} {:6}", world.taken);
                assert!((0.95..=1.05).contains(&ratio), "{name}, {bytes} bytes, seed {seed}: {ratio}");
                assert_eq!(world.flow.retransmissions(), 0);
                assert!(bytes as f64 * 8.0 / model <= rate);
            }
        }
    }
}

/// Mean time of `seeds` transfers, and the last round trip and first time-out that the flows measured.
fn mean_transfer(link: &Link, bytes: u64, seeds: u64) -> (f64, f64, f64, f64) {
    let mut sum = [0.0; 4];
    for seed in 0..seeds {
        let mut world = World::over(link, seed);
        let took = world.transfer(bytes).as_secs_f64();
        assert!(bytes as f64 * 8.0 / took <= link.bandwidth_bits_per_s.map_or(f64::MAX, |rate| rate as f64));
        let round_trip = world.flow.round_trip;
        let measured = [
            took,
            world.flow.bytes_sent() as f64,
            round_trip.smoothed().as_secs_f64(),
            round_trip.timeout(0).as_secs_f64(),
        ];
        sum.iter_mut().zip(measured).for_each(|(sum, measured)| *sum += measured / seeds as f64);
    }
    let [took, sent, round_trip, first_timeout] = sum;
    (took, sent, round_trip, first_timeout)
}

#[track_caller]
fn check_lossy(name: &str, link: &Link, bytes: u64, seeds: u64) {
    let (took, sent, round_trip, first_timeout) = mean_transfer(link, bytes, seeds);
    let Rates { sent: b, delivered: t } =
        rates(link.loss, round_trip, first_timeout, f64::from(3 << 20) / MSS);
    let (goodput, rate) = (bytes as f64 / MSS / took, sent / MSS / took);
    let (to_t, to_b) = (goodput / t, rate / b);
    println!(
        "{name:10} {:5.2} % {:7.1} ms {bytes:10} {goodput:9.1} {t:9.1} {to_t:7.3} {rate:9.1} {b:9.1} {to_b:7.3}",
        link.loss * 100.0,
        round_trip * 1e3
    );
    assert!((0.85..=1.15).contains(&to_t), "{name}: {goodput} segments/s delivered, the formula says {t}");
    assert!((0.85..=1.15).contains(&to_b), "{name}: {rate} segments/s sent, the formula says {b}");
}

const HEADINGS: &str =
    "link       loss     round trip      bytes   goodput  T(paper)   ratio send rate  B(paper)   ratio";

#[test]
fn lossy_transfers_are_as_fast_as_the_formula_says() {
    println!("{HEADINGS}");
    let seeds = thorough(100, 12);
    let losses: &[(f64, u64)] = thorough(
        &[(0.005, 30_000_000), (0.01, 20_000_000), (0.02, 10_000_000), (0.05, 10_000_000)],
        &[(0.01, 10_000_000), (0.02, 5_000_000), (0.05, 2_000_000)],
    );
    for &(loss, bytes) in losses {
        for round_trip_ms in [10, 100, 600] {
            check_lossy("fixed", &fixed(round_trip_ms / 2).loss(loss), bytes, seeds);
        }
    }
    if thorough(true, false) {
        check_lossy("fixed", &fixed(25).loss(0.001), 100_000_000, seeds);
    }
}

#[test]
fn lossy_presets_are_as_fast_as_the_formula_says() {
    println!("{HEADINGS}");
    for (name, link) in Link::presets().into_iter().filter(|(_, link)| link.loss > 0.0) {
        let bytes = (100.0 / link.loss * MSS) as u64;
        check_lossy(name, &link, bytes, thorough(100, 10));
    }
}

/// What Reno makes of a bottleneck by its sawtooth: all of it with a queue of one bandwidth-delay product, three
/// quarters with none, and no time-outs.
#[test]
fn a_full_queue_drops_and_keeps_the_link_busy() {
    println!("bandwidth  queue  used  sent again");
    let cases: [(u32, f64, f64); 4] =
        [(1_000_000, 1.0, 0.97), (10_000_000, 0.25, 0.83), (10_000_000, 1.0, 0.97), (10_000_000, 4.0, 0.97)];
    for (bits_per_s, queue_share, used_min) in cases {
        let bandwidth_delay_bytes = f64::from(bits_per_s) / 8.0 * 0.05;
        let link =
            fixed(25).bandwidth(u64::from(bits_per_s)).queue((bandwidth_delay_bytes * queue_share) as usize);
        let mut world = World::over(&link, 1);
        let (payload, total) = (MSS / 1_500.0, 4 * u64::from(bits_per_s));
        let used = total as f64 * 8.0 / payload / world.transfer(total).as_secs_f64() / f64::from(bits_per_s);
        let again = world.flow.retransmissions();
        println!("{bits_per_s:9} {queue_share:6.2} {used:5.3} {again:11}");
        assert!(used >= used_min && used <= 1.0, "{bits_per_s} bits/s, queue {queue_share}: {used}");
        assert!(again > 0 && world.flow.timeouts() == 0);
    }
}
