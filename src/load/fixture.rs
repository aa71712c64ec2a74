//! Runs for tests: the least that a run can hold, and one with every field filled.

use super::record::*;
use super::slo::Slo;
use crate::metrics::HistogramSnapshot;

/// A distribution with these values (in nanoseconds) and counts.
pub(super) fn distribution(values: &[(u64, u64)]) -> Distribution {
    let max = values.iter().map(|(ns, _)| *ns).max().unwrap_or(0);
    HistogramSnapshot::from_buckets(values.iter().copied(), max).into()
}

/// A run in which nothing happened: whatever may be absent is.
pub(super) fn empty_run() -> Run {
    Run {
        schema_version: SCHEMA_VERSION,
        windlass_version: "0.1.0".into(),
        started_unix_ms: 0,
        command: String::new(),
        host: Host::default(),
        target: Target::default(),
        workload: Workload::default(),
        outcome: Outcome::Complete,
        failure: None,
        measured_s: 0.0,
        totals: Totals::default(),
        failures: Vec::new(),
        response: Distribution::default(),
        service: Distribution::default(),
        connect: Distribution::default(),
        handshake: None,
        handshake_resumed: None,
        security: None,
        generator: Generator {
            send_lag: Distribution::default(),
            receive_lag: Distribution::default(),
            busy_fraction: 0.0,
            verdict: Verdict::Trustworthy,
            reason: String::new(),
        },
        slo: Vec::new(),
        intervals: Vec::new(),
        search: None,
        comparison: None,
        resources: Vec::new(),
        warnings: Vec::new(),
    }
}

/// A run that was answered in these times (values and counts), all of it within `measured_s`.
pub(super) fn run_with(values: &[(u64, u64)], measured_s: f64) -> Run {
    let count = values.iter().map(|(_, count)| count).sum();
    let per_s = count as f64 / measured_s;
    let totals = Totals {
        asked: count,
        sent: count,
        answered: count,
        asked_per_s: per_s,
        sent_per_s: per_s,
        answered_per_s: per_s,
        ..Totals::default()
    };
    Run { measured_s, totals, response: distribution(values), service: distribution(values), ..empty_run() }
}

/// A run with every field filled, as no real run is.
pub(super) fn full_run() -> Run {
    let values = [(100_000, 9_000), (250_000, 900), (5_000_000, 100)];
    let mut run = run_with(&values, 10.0);
    run.command = "windlass bench --rate 1000 --slo p99=1ms".into();
    (run.host, run.target) = (full_host(), full_target());
    run.workload = Workload {
        rate_per_s: Some(1_000.0),
        rate_to_per_s: Some(2_000.0),
        connections: 64,
        depth: 1,
        threads: 1,
        size_bytes: "64".into(),
        think_s: 0.5,
        reconnect_every: Some(100),
        warm_up_s: 1.0,
        duration_s: 10.0,
        timeout_s: 5.0,
        seed: 7,
        waiting: "spin".into(),
        ..Workload::default()
    };
    (run.outcome, run.failure) = (Outcome::Failed, Some("the target vanished".into()));
    run.failures = vec![FailureKind { reason: "timed out".into(), count: 3 }];
    (run.connect, run.handshake) = (distribution(&values), Some(distribution(&values)));
    run.handshake_resumed = Some(distribution(&values));
    run.security = Some(full_security());
    run.slo =
        ["p99=1ms", "errors=0.1%"].map(|slo| slo.parse::<Slo>().expect("an objective").judge(&run)).into();
    run.slo[0].measured_fraction = Some(0.5);
    run.intervals = vec![Interval {
        length_s: 0.25,
        asked: 250.5,
        response: distribution(&values),
        send_lag_p99_ns: Some(900),
        ..Interval::default()
    }];
    run.search = Some(Search {
        kept_per_s: Some(900.0),
        missed_per_s: Some(920.0),
        probes: vec![Probe { p50_ns: Some(1), p99_ns: Some(2), p999_ns: Some(3), ..doubling() }],
        ..Search::default()
    });
    run.comparison = Some(Comparison {
        baseline: "run-1/run.json".into(),
        baseline_started_unix_ms: 1_700_000_000_000,
        figures: vec![ComparedFigure {
            name: "p50".into(),
            baseline: 1e5,
            now: 1.1e5,
            ratio: 1.1,
            ratio_low: 1.05,
            ratio_high: 1.15,
            verdict: Change::Worse,
        }],
        verdict: Change::CannotTell,
        sentence: "cannot tell".into(),
    });
    run.resources = vec![Resources { profile: "idle".into(), ..Resources::default() }];
    run.warnings = vec!["one interval stands out".into()];
    run
}

fn full_security() -> Security {
    let agreed = Agreed {
        tls_version: Some("TLS 1.3".into()),
        cipher_suite: Some("TLS13_AES_128_GCM_SHA256".into()),
        key_exchange: Some("X25519MLKEM768".into()),
        alpn: Some("http/1.1".into()),
        noise_protocol: Some("Noise_XK_25519_AESGCM_SHA256".into()),
        handshakes: 70,
    };
    Security { full: 64, resumed: 6, agreed: vec![agreed] }
}

fn full_host() -> Host {
    Host {
        processors: 2,
        processor_model: Some("A processor".into()),
        kernel: "Linux 6.1".into(),
        governor: Some("performance".into()),
        memory_bytes: Some(8 << 30),
        reference_round_trip_ns: vec![12_345, 12_400],
        processor_wait_fraction: Some(0.01),
    }
}

fn full_target() -> Target {
    Target {
        address: "127.0.0.1:7000".into(),
        named: "localhost:7000".into(),
        transport: "tcp".into(),
        protocol: "echo".into(),
        embedded: true,
    }
}

fn doubling() -> Probe {
    Probe { stage: "doubling".into(), ..Probe::default() }
}
