//! The throughput of lossy links against Padhye, Firoiu, Towsley and Kurose (1998), equation for equation.

use super::*;

/// Q: the probability that a loss in a window of `w` segments ends in a time-out.
pub(super) fn timeout_probability(p: f64, w: f64) -> f64 {
    let keep = 1.0 - p;
    let three = keep.powi(3);
    ((1.0 - three) * (1.0 + three * (1.0 - keep.powf(w - 3.0))) / (1.0 - keep.powf(w))).min(1.0)
}

/// Segments sent per second, segments delivered per second.
pub(super) fn pftk(p: f64, rtt: f64, t0: f64, w_max: f64, b: f64) -> (f64, f64) {
    let w = (2.0 + b) / (3.0 * b)
        + (8.0 * (1.0 - p) / (3.0 * b * p) + ((2.0 + b) / (3.0 * b)).powi(2)).sqrt();
    let f = 1.0 + p + 2.0 * p.powi(2) + 4.0 * p.powi(3) + 8.0 * p.powi(4) + 16.0 * p.powi(5) + 32.0 * p.powi(6);
    let (w, rounds) = if w < w_max {
        (w, b / 2.0 * w + 1.0)
    } else {
        (w_max, b / 8.0 * w_max + (1.0 - p) / (p * w_max) + 2.0)
    };
    let q = timeout_probability(p, w);
    let time = rtt * rounds + q * t0 * f / (1.0 - p);
    (((1.0 - p) / p + w + q / (1.0 - p)) / time, ((1.0 - p) / p + w / 2.0 + q) / time)
}

#[test]
fn lab() {
    let both = std::env::var("BOTH").is_ok();
    for p in [0.001, 0.005, 0.01, 0.02, 0.05] {
        for rtt_ms in [10, 50, 100, 200, 600] {
            let mut link = Link::new(Latency::Fixed(Duration::from_micros(rtt_ms * 500)));
            let clean = link.clone();
            link.loss = p;
            let back = if both { &link } else { &clean };
            let rtt = rtt_ms as f64 / 1e3;
            let (send, deliver) = pftk(p, rtt, rtt + 0.2, 2000.0, 1.0);
            let total: u64 = if p < 0.02 { 100_000_000 } else { 10_000_000 };
            let (mut goods, mut sends, mut tos, mut wire) = (0.0, 0.0, 0, 0.0);
            let seeds = 60;
            for seed in 0..seeds {
                let mut world = World::new(FlowSettings::default(), &link, back, seed * 7919 + 13);
                let took = world.transfer(total).since(Instant::ZERO).as_secs_f64();
                goods += total as f64 / 1460.0 / took;
                sends += world.flow.bytes_sent() as f64 / 1460.0 / took;
                tos += world.flow.timeouts();
                wire += world.flow.retransmissions() as f64 / (total as f64 / 1460.0);
            }
            let n = seeds as f64;
            println!(
                "p {p:5} rtt {rtt_ms:3}: good {:8.1} T {deliver:8.1} ratio {:.3} | to B {:.3} | send {:8.1} B {send:8.1} ratio {:.3} | to/100seg {:.3} rtx/seg {:.3}",
                goods / n, goods / n / deliver, goods / n / send, sends / n, sends / n / send,
                tos as f64 / n / (total as f64 / 1460.0) * 100.0, wire / n
            );
        }
    }
}
