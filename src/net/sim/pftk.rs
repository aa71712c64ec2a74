//! How fast TCP is on a link that loses segments, by the formula of the literature: it knows nothing of the model here,
//! which is held against it.

/// Segments per second on a link that loses segments.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rates {
    /// Sent, repetitions included: `B(p)`.
    #[cfg_attr(not(test), expect(dead_code, reason = "the model is held against both"))]
    pub(crate) sent: f64,
    /// Delivered: `T(p)`.
    pub(crate) delivered: f64,
}

/// J. Padhye, V. Firoiu, D. Towsley, J. Kurose, "Modeling TCP Throughput", SIGCOMM 1998, the full formula, with the
/// throughput `T(p)` that the longer version (IEEE/ACM ToN 8(2), 2000) adds. `p` is the probability of loss, above 0 and
/// below 1; times are in seconds, the greatest window is in segments. Each segment is acknowledged: `b` is 1.
pub(crate) fn rates(p: f64, round_trip_s: f64, first_timeout_s: f64, window_max: f64) -> Rates {
    let q = 1.0 - p;
    let window_free = 1.0 + (8.0 * q / (3.0 * p) + 1.0).sqrt();
    let (window, rounds) = if window_free < window_max {
        (window_free, window_free / 2.0 + 1.0)
    } else {
        (window_max, window_max / 8.0 + q / (p * window_max) + 2.0)
    };
    // `Q`: the probability that a loss ends in a time-out.
    let three = q.powi(3);
    let timeout_share = ((1.0 - three) * (1.0 + three * (1.0 - q.powf(window - 3.0)))
        / (1.0 - q.powf(window)))
    .clamp(0.0, 1.0);
    let backoffs = 1.0 + (0..6).map(|k| 2_f64.powi(k) * p.powi(k + 1)).sum::<f64>();
    let seconds = round_trip_s * rounds + timeout_share * first_timeout_s * backoffs / q;
    Rates {
        sent: (q / p + window + timeout_share / q) / seconds,
        delivered: (q / p + window / 2.0 + timeout_share) / seconds,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_formula_is_the_papers() {
        // Without time-outs and for rare losses it is Mathis' square root: 1.22 windows of a segment a round trip.
        let delivered = rates(1e-6, 0.1, 0.0, 1e9).delivered;
        let mathis = (1.5_f64 / 1e-6).sqrt() / 0.1;
        assert!((delivered / mathis - 1.0).abs() < 0.01, "{delivered} against {mathis}");
        // With a small greatest window it is that window a round trip.
        let sent = rates(1e-6, 0.1, 0.3, 10.0).sent;
        assert!((sent / 100.0 - 1.0).abs() < 0.01, "{sent} against 100");
    }
}
