//! Runs made up for tests: seeded, with a stall, so that every plot has something to show.

use crate::load::record::*;
use crate::metrics::HistogramSnapshot;
use std::collections::BTreeMap;

/// What a made-up run is like.
#[derive(Clone, Debug)]
pub(super) struct Fixture {
    pub seed: u64,
    pub intervals: usize,
    pub interval_s: f64,
    /// Samples drawn in each interval; each stands for ten requests.
    pub draws: usize,
    /// The usual response time.
    pub median_ns: f64,
    /// The time at which the target stands still for a second, if it does.
    pub stall_s: Option<f64>,
    pub started_unix_ms: u64,
}

impl Default for Fixture {
    fn default() -> Fixture {
        Fixture {
            seed: 7,
            intervals: 60,
            interval_s: 0.5,
            draws: 1_500,
            median_ns: 62_000.0,
            stall_s: Some(17.0),
            started_unix_ms: 1_795_260_000_000,
        }
    }
}

/// How many requests each drawn sample stands for.
const WEIGHT: u64 = 10;

fn distribution(buckets: &BTreeMap<u64, u64>) -> Distribution {
    let max = buckets.keys().next_back().copied().unwrap_or(0);
    HistogramSnapshot::from_buckets(buckets.iter().map(|(value, count)| (*value, *count)), max).into()
}

/// A time with a long tail: a normal number as exponent, and now and then a pause.
fn latency(random: &mut fastrand::Rng, median_ns: f64) -> f64 {
    let radius = (-2.0 * (1.0 - random.f64()).ln()).sqrt();
    let normal = radius * (std::f64::consts::TAU * random.f64()).cos();
    let pause = if random.f64() < 0.004 { 1.0 + 12.0 * random.f64() } else { 1.0 };
    median_ns * (0.28 * normal).exp() * pause
}

impl Fixture {
    /// The run.
    pub fn run(&self) -> Run {
        let mut random = fastrand::Rng::with_seed(self.seed);
        let (mut responses, mut services) = (BTreeMap::new(), BTreeMap::new());
        let mut intervals = Vec::new();
        for index in 0..self.intervals {
            let start_s = index as f64 * self.interval_s;
            let mut within = BTreeMap::new();
            for draw in 0..self.draws {
                let at_s = start_s + self.interval_s * draw as f64 / self.draws as f64;
                let service = latency(&mut random, self.median_ns);
                let waited = self.stall_s.map_or(0.0, |stall| 1.0 - (at_s - stall));
                let waited = if (0.0..=1.0).contains(&waited) { waited * 1e9 } else { 0.0 };
                *services.entry(service as u64).or_insert(0) += WEIGHT;
                *responses.entry((service + waited) as u64).or_insert(0) += WEIGHT;
                *within.entry((service + waited) as u64).or_insert(0) += WEIGHT;
            }
            intervals.push(self.interval(&mut random, start_s, &within));
        }
        self.record(intervals, distribution(&responses), distribution(&services))
    }

    fn interval(&self, random: &mut fastrand::Rng, start_s: f64, within: &BTreeMap<u64, u64>) -> Interval {
        let asked = self.draws as u64 * WEIGHT;
        let stalled = self.stall_s.is_some_and(|stall| (start_s - stall).abs() < self.interval_s / 2.0);
        let failed = if stalled { asked / 10 } else { 0 };
        Interval {
            start_s,
            length_s: self.interval_s,
            asked: asked as f64,
            sent: asked,
            answered: if stalled { asked / 4 } else { asked },
            failed,
            response: distribution(within),
            send_lag_p99_ns: Some(6_000 + random.u64(0..4_000)),
            busy_fraction: 0.55 + 0.1 * random.f64(),
            connections: 128,
        }
    }

    fn record(&self, intervals: Vec<Interval>, response: Distribution, service: Distribution) -> Run {
        let measured_s = self.intervals as f64 * self.interval_s;
        let total = |of: fn(&Interval) -> u64| intervals.iter().map(of).sum::<u64>();
        let asked = (self.draws * self.intervals) as u64 * WEIGHT;
        let per_s = |count: u64| if measured_s > 0.0 { count as f64 / measured_s } else { 0.0 };
        let totals = Totals {
            asked,
            sent: total(|i| i.sent),
            answered: total(|i| i.answered),
            timed_out: total(|i| i.failed),
            connected: 128,
            sent_bytes: asked * 64,
            received_bytes: asked * 64,
            asked_per_s: per_s(asked),
            sent_per_s: per_s(total(|i| i.sent)),
            answered_per_s: per_s(total(|i| i.answered)),
            ..Totals::default()
        };
        let failures =
            [FailureKind { reason: "not answered within 5 s".to_owned(), count: totals.timed_out }];
        let mut random = fastrand::Rng::with_seed(self.seed ^ 1);
        let mut times = |count: usize, median_ns: f64| {
            let drawn = (0..count).map(|_| (latency(&mut random, median_ns) as u64, 1));
            Distribution::from(HistogramSnapshot::from_buckets(drawn.collect::<Vec<_>>(), u64::MAX))
        };
        Run {
            schema_version: SCHEMA_VERSION,
            windlass_version: "0.1.0".to_owned(),
            started_unix_ms: self.started_unix_ms,
            command:
                "windlass bench 10.0.0.7:7000 --rate 30k --duration 30s --size 64 --slo p99.9=1ms --seed 7"
                    .to_owned(),
            host: host(),
            target: target(),
            workload: workload(self, measured_s),
            outcome: Outcome::Complete,
            failure: None,
            measured_s,
            failures: failures.into_iter().filter(|kind| kind.count > 0).collect(),
            totals,
            response,
            service,
            connect: times(128, 90_000.0),
            handshake: None,
            handshake_resumed: None,
            security: None,
            generator: Generator {
                send_lag: times(5_000, 3_000.0),
                receive_lag: times(5_000, 1_500.0),
                busy_fraction: 0.61,
                verdict: Verdict::Trustworthy,
                reason: "Send lag p99.9 is 8.2 µs, below a tenth of the median response; busy 61 %."
                    .to_owned(),
            },
            slo: Vec::new(),
            intervals,
            search: None,
            comparison: None,
            resources: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// A run for which every part of the report has something to show.
    pub fn full_run(&self) -> Run {
        let mut run = self.run();
        run.slo = vec![slo("p50=100us", 0.5, 100_000, &run), slo("p99=1ms", 0.99, 1_000_000, &run)];
        run.handshake = Some(
            Fixture { seed: self.seed + 1, intervals: 1, draws: 13, median_ns: 900_000.0, ..self.clone() }
                .run()
                .service,
        );
        run.handshake_resumed = run.handshake.clone();
        run.security = Some(security());
        run.search = Some(search());
        run.comparison = Some(comparison());
        run.resources = vec![resources("idle", 0.0), resources("1000", 1_000.0), resources("10000", 9_998.7)];
        run.warnings = vec![
            "Second 17: p99 is 9 600 times that of the median interval. Repeat on a quiet host.".to_owned(),
        ];
        run
    }
}

fn security() -> Security {
    let agreed = Agreed {
        tls_version: Some("TLS 1.3".to_owned()),
        cipher_suite: Some("TLS13_AES_128_GCM_SHA256".to_owned()),
        key_exchange: Some("X25519MLKEM768".to_owned()),
        alpn: Some("http/1.1".to_owned()),
        noise_protocol: Some("Noise_XK_25519_AESGCM_SHA256".to_owned()),
        handshakes: 128,
    };
    Security { full: 96, resumed: 32, agreed: vec![agreed] }
}

fn host() -> Host {
    Host {
        processors: 16,
        processor_model: Some("Imaginary 9000 @ 3.2 GHz".to_owned()),
        kernel: "Linux 6.8.0".to_owned(),
        governor: Some("performance".to_owned()),
        memory_bytes: Some(64 << 30),
        reference_round_trip_ns: vec![8_200, 8_350],
        processor_wait_fraction: Some(0.004),
    }
}

fn target() -> Target {
    Target {
        address: "10.0.0.7:7000".to_owned(),
        named: String::new(),
        transport: "tcp".to_owned(),
        protocol: "echo".to_owned(),
        embedded: false,
    }
}

fn workload(fixture: &Fixture, duration_s: f64) -> Workload {
    Workload {
        arrivals: Arrivals::Constant,
        rate_per_s: Some(fixture.draws as f64 * WEIGHT as f64 / fixture.interval_s),
        connections: 128,
        depth: 1,
        threads: 2,
        size_bytes: "64".to_owned(),
        warm_up_s: 3.0,
        duration_s,
        timeout_s: 5.0,
        seed: fixture.seed,
        waiting: "spin".to_owned(),
        ..Workload::default()
    }
}

fn slo(objective: &str, p: f64, bound_ns: u64, run: &Run) -> SloVerdict {
    let measured_ns = run.response.percentile_ns(p);
    let kept = measured_ns.is_some_and(|measured| measured <= bound_ns);
    let sentence = format!("{objective}: measured {} ns", measured_ns.unwrap_or(0));
    let objective = objective.to_owned();
    SloVerdict {
        objective,
        p: Some(p),
        bound_ns: Some(bound_ns),
        measured_ns,
        bound_fraction: None,
        measured_fraction: None,
        kept,
        sentence,
    }
}

fn search() -> Search {
    let limit = 143_000.0;
    let rates = [10e3, 20e3, 40e3, 80e3, 160e3, 120e3, 140e3, 150e3, 145e3, 140e3, 140e3, 140e3];
    let probe = |(index, rate): (usize, f64)| {
        let load: f64 = rate / limit;
        let wait = if load < 0.98 { 1.0 / (1.0 - load) } else { 60.0 * load * load };
        let kept = rate < limit;
        Probe {
            rate_per_s: rate,
            answered_per_s: rate.min(limit) - if kept { 0.0 } else { (rate - limit) * 0.4 },
            p50_ns: Some((60_000.0 * wait.powf(0.6)) as u64),
            p99_ns: Some((170_000.0 * wait.powf(0.9) * (1.0 + 0.02 * index as f64)) as u64),
            p999_ns: Some((280_000.0 * wait * (1.0 + 0.03 * index as f64)) as u64),
            kept,
            stage: ["doubling", "bisecting", "confirming"][(index / 5).min(2)].to_owned(),
            reason: if kept { String::new() } else { "p99 was above 1 ms".to_owned() },
        }
    };
    Search {
        kept_per_s: Some(140e3),
        missed_per_s: Some(145e3),
        ended: SearchEnd::Found,
        sentence: "The objectives are kept up to 140 000/s and missed at 145 000/s.".to_owned(),
        probes: rates.into_iter().enumerate().map(probe).collect(),
    }
}

fn comparison() -> Comparison {
    let figure = |name: &str, baseline: f64, ratio: f64, reach: f64, verdict| ComparedFigure {
        name: name.to_owned(),
        baseline,
        now: baseline * ratio,
        ratio,
        ratio_low: ratio / reach,
        ratio_high: ratio * reach,
        verdict,
    };
    Comparison {
        baseline: "run-12.json".to_owned(),
        baseline_started_unix_ms: 1_795_000_000_000,
        figures: vec![
            figure("p50", 66_000.0, 0.94, 1.03, Change::Better),
            figure("p90", 98_000.0, 0.99, 1.04, Change::CannotTell),
            figure("p99", 201_000.0, 1.12, 1.06, Change::Worse),
            figure("rate", 29_990.0, 0.98, 1.03, Change::CannotTell),
        ],
        verdict: Change::Worse,
        sentence: "p99 is 1.12 times that of the baseline (1.06 to 1.19): worse.".to_owned(),
    }
}

fn resources(profile: &str, messages_per_s: f64) -> Resources {
    Resources {
        profile: profile.to_owned(),
        messages_per_s,
        memory_bytes: 5_300_000 + messages_per_s as u64,
        processor_fraction: messages_per_s * 4e-6,
        descriptors: 141,
        received_bytes_per_s: messages_per_s * 64.0,
        sent_bytes_per_s: messages_per_s * 64.0,
        wakeups_per_s: messages_per_s * 0.9,
    }
}
