//! The results of a run as plain data: what `run.json` holds, what the reports draw, what comparisons read.
//!
//! Units are part of the names: `_ns` nanoseconds, `_s` seconds, `_per_s` per second. Absent means that there was
//! nothing to measure, never zero. `run.schema.json` beside this file describes the same for readers in other
//! languages; a test keeps the two together.

use crate::metrics::HistogramSnapshot;
use serde::{Deserialize, Serialize};

/// Version of the layout. A reader refuses versions it does not know.
pub const SCHEMA_VERSION: u32 = 2;

/// The schema of `run.json`, for validators in any language (JSON Schema, draft 2020-12).
pub const SCHEMA: &str = include_str!("run.schema.json");

/// Percentiles that are told, if there are samples enough: ten beyond each.
pub const PERCENTILES: [f64; 6] = [0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999];

/// Everything that is known about one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Version of this crate.
    pub windlass_version: String,
    /// Milliseconds since 1970 at the start of the measurement.
    pub started_unix_ms: u64,
    /// The command that repeats the run; empty if it was started from code.
    pub command: String,
    /// The machine of the generator.
    pub host: Host,
    /// What was measured.
    pub target: Target,
    /// What was asked for.
    pub workload: Workload,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it failed, in a sentence; absent otherwise.
    pub failure: Option<String>,
    /// How long was measured, which an interrupt makes shorter than asked.
    pub measured_s: f64,
    /// Counts over the measured time.
    pub totals: Totals,
    /// Kinds of failures, most frequent first.
    pub failures: Vec<FailureKind>,
    /// From the intended start to the end of the answer: what a user feels. Failed and unsent requests are in it.
    pub response: Distribution,
    /// From the actual send to the end of the answer: what the target took, once asked. Unsent requests are not in it.
    pub service: Distribution,
    /// Until connections were established.
    pub connect: Distribution,
    /// From there until they were secured, where they are: by full handshakes.
    pub handshake: Option<Distribution>,
    /// The same by handshakes that resumed an earlier session.
    pub handshake_resumed: Option<Distribution>,
    /// What the handshakes agreed on; absent where connections are not secured.
    pub security: Option<Security>,
    /// How the generator itself did.
    pub generator: Generator,
    /// Verdicts on the objectives asked for.
    pub slo: Vec<SloVerdict>,
    /// The run over time.
    pub intervals: Vec<Interval>,
    /// What the search for the highest rate tried, if there was one. The rest of the record is then that of the
    /// last confirming run.
    pub search: Option<Search>,
    /// How it compares with an earlier run, if that was asked.
    pub comparison: Option<Comparison>,
    /// What the embedded server took, if that was asked.
    pub resources: Vec<Resources>,
    /// What a reader should know before believing the figures, most important first.
    pub warnings: Vec<String>,
}

/// The machine of the generator.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Host {
    /// Processors that this process may use.
    pub processors: u32,
    /// What the processors call themselves.
    pub processor_model: Option<String>,
    /// Name and release of the kernel.
    pub kernel: String,
    /// How the processors' clock is governed.
    pub governor: Option<String>,
    /// Memory in bytes.
    pub memory_bytes: Option<u64>,
    /// Round trip of one byte between two threads over loopback, measured before and after the run: the machine's
    /// own speed, by which runs on different days can be told apart from servers that changed.
    pub reference_round_trip_ns: Vec<u64>,
    /// Largest share of the run, 0 to 1, that a thread of the generator's process was ready to run and had to wait
    /// for a processor: how much other programs were in its way.
    pub processor_wait_fraction: Option<f64>,
}

/// What was measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// Where: `IP:PORT` or `unix:PATH`.
    pub address: String,
    /// As the user named it: a host name, a URL; empty for the embedded server.
    pub named: String,
    /// What carries the bytes: `tcp` or `unix`; over TCP also `tls`, `noise`, `tls+noise`, and over Unix sockets
    /// `unix+tls` and so on.
    pub transport: String,
    /// What is spoken: `echo`, `redis`, `http`.
    pub protocol: String,
    /// Whether it was the embedded server, in this process.
    pub embedded: bool,
}

/// What the handshakes of a run agreed on. In the mode `handshakes` those count that belong to requests of the measured
/// time, otherwise all.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Security {
    /// Full handshakes.
    pub full: u64,
    /// Handshakes that resumed an earlier session.
    pub resumed: u64,
    /// What was agreed on, most frequent first: more than one thing where several servers share an address.
    pub agreed: Vec<Agreed>,
}

impl Security {
    /// The share of handshakes that resumed an earlier session, 0 to 1.
    #[must_use]
    pub fn resumed_fraction(&self) -> f64 {
        self.resumed as f64 / (self.full + self.resumed).max(1) as f64
    }
}

/// What so many handshakes agreed on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreed {
    /// `TLS 1.3`; absent without TLS, as are the next three.
    pub tls_version: Option<String>,
    /// The cipher suite by its IANA name.
    pub cipher_suite: Option<String>,
    /// The group of the key exchange.
    pub key_exchange: Option<String>,
    /// The application protocol (ALPN), if there was one.
    pub alpn: Option<String>,
    /// The full protocol name of Noise; absent without it.
    pub noise_protocol: Option<String>,
    /// How many handshakes.
    pub handshakes: u64,
}

impl Agreed {
    /// All of it in one line, without the number.
    #[must_use]
    pub fn words(&self) -> String {
        let parts =
            [&self.tls_version, &self.cipher_suite, &self.key_exchange, &self.alpn, &self.noise_protocol];
        let words = parts.into_iter().flatten().map(String::as_str).filter(|word| !word.is_empty());
        words.collect::<Vec<_>>().join(", ")
    }
}

/// What was asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Workload {
    /// `messages`, or `handshakes` where each request has a connection of its own.
    pub mode: Mode,
    /// `constant`, `poisson` or `closed`.
    pub arrivals: Arrivals,
    /// Requests per second at the beginning; absent in a closed loop.
    pub rate_per_s: Option<f64>,
    /// Requests per second at the end, where they differ.
    pub rate_to_per_s: Option<f64>,
    /// Connections.
    pub connections: u64,
    /// Requests in flight per connection at most.
    pub depth: u64,
    /// Generator threads.
    pub threads: u64,
    /// Sizes of messages as the command line writes them: `64`, `64..1024`, `64:9,4096:1`.
    pub size_bytes: String,
    /// Rest after an answer.
    pub think_s: f64,
    /// Answers after which a connection is replaced.
    pub reconnect_every: Option<u64>,
    /// Time not counted at the beginning.
    pub warm_up_s: f64,
    /// Time to be measured.
    pub duration_s: f64,
    /// How long a request may take.
    pub timeout_s: f64,
    /// Seed of everything left to chance.
    pub seed: u64,
    /// `spin` or `block`.
    pub waiting: String,
}

/// What a request was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// A message on a connection that was there already.
    #[default]
    Messages,
    /// A connection of its own, from connecting to the first answer.
    Handshakes,
}

/// When requests start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrivals {
    /// Open loop, evenly spaced.
    #[default]
    Constant,
    /// Open loop, a Poisson process.
    Poisson,
    /// Closed loop.
    Closed,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It went on for as long as it should.
    Complete,
    /// Somebody stopped it; what was measured until then is here.
    Interrupted,
    /// It could not go on or measured something else than asked; `failure` says why.
    Failed,
}

/// Counts over the measured time. Requests count where their intended start lies in it.
///
/// Of a complete run `asked` is `answered` and [`failed`](Totals::failed) together. Of another one, what was in flight at
/// its end is neither.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// Requests that were to be started; in a closed loop those that were.
    pub asked: u64,
    /// Requests that were sent.
    pub sent: u64,
    /// Requests that got a good answer.
    pub answered: u64,
    /// Requests answered with a refusal (`HTTP 503`, `-ERR`).
    pub refused: u64,
    /// Requests not answered in time.
    pub timed_out: u64,
    /// Requests whose connection ended first.
    pub lost: u64,
    /// Requests that were due before the end and never sent, because every connection was busy or gone.
    pub unsent: u64,
    /// Connections established, the first ones included.
    pub connected: u64,
    /// Attempts to connect that failed.
    pub connect_failed: u64,
    /// Bytes sent, as the protocol counts them.
    pub sent_bytes: u64,
    /// Bytes received, as the protocol counts them.
    pub received_bytes: u64,
    /// `asked` over the measured time.
    pub asked_per_s: f64,
    /// `sent` over the measured time.
    pub sent_per_s: f64,
    /// `answered` over the measured time.
    pub answered_per_s: f64,
}

impl Totals {
    /// Requests without a good answer: refused, timed out, lost or unsent.
    #[must_use]
    pub const fn failed(&self) -> u64 {
        self.refused + self.timed_out + self.lost + self.unsent
    }
}

/// How often something failed in one way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureKind {
    /// What happened, for people.
    pub reason: String,
    /// How often.
    pub count: u64,
}

/// A distribution of times: the summary that people read, and the buckets it was computed from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "DistributionFields", into = "DistributionFields")]
pub struct Distribution {
    /// The buckets, in nanoseconds.
    pub histogram: HistogramSnapshot,
}

/// A value that a share of all samples does not exceed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Percentile {
    /// The share, from 0 to 1.
    pub p: f64,
    /// The value.
    pub value_ns: u64,
    /// How many samples lie beyond that share.
    pub samples_beyond: u64,
}

impl Distribution {
    /// The percentiles of [`PERCENTILES`] that have samples enough behind them.
    #[must_use]
    pub fn percentiles(&self) -> Vec<Percentile> {
        let told = PERCENTILES.into_iter().filter(|p| self.histogram.is_supported(*p));
        told.filter_map(|p| {
            let samples_beyond = (self.histogram.count() as f64 * (1.0 - p)).round() as u64;
            Some(Percentile { p, value_ns: self.histogram.percentile(p)?, samples_beyond })
        })
        .collect()
    }

    /// The value at share `p` in nanoseconds; `None` without samples enough behind it.
    #[must_use]
    pub fn percentile_ns(&self, p: f64) -> Option<u64> {
        self.histogram.percentile(p).filter(|_| self.histogram.is_supported(p))
    }
}

impl From<HistogramSnapshot> for Distribution {
    fn from(histogram: HistogramSnapshot) -> Distribution {
        Distribution { histogram }
    }
}

/// What a distribution looks like in JSON. Only `buckets` and `max_ns` are read back; the rest follows from them.
#[derive(Serialize, Deserialize)]
struct DistributionFields {
    count: u64,
    min_ns: Option<u64>,
    mean_ns: Option<f64>,
    max_ns: Option<u64>,
    percentiles: Vec<Percentile>,
    /// Lowest value and count of each bucket in use; no bucket is wider than 1/128 of its values.
    buckets: Vec<(u64, u64)>,
}

impl From<Distribution> for DistributionFields {
    fn from(distribution: Distribution) -> DistributionFields {
        let histogram = &distribution.histogram;
        DistributionFields {
            count: histogram.count(),
            min_ns: histogram.min(),
            mean_ns: histogram.mean(),
            max_ns: histogram.max(),
            percentiles: distribution.percentiles(),
            buckets: histogram.buckets().map(|bucket| (bucket.low, bucket.count)).collect(),
        }
    }
}

/// More samples than this are no measurement, and would overflow the sums that are made of them.
const SAMPLES_MAX: u64 = 1 << 53;

impl TryFrom<DistributionFields> for Distribution {
    type Error = String;

    fn try_from(fields: DistributionFields) -> Result<Distribution, String> {
        let count = fields.buckets.iter().fold(0u64, |sum, (_, count)| sum.saturating_add(*count));
        if count > SAMPLES_MAX {
            return Err(format!("a distribution of {count} samples is no measurement"));
        }
        Ok(HistogramSnapshot::from_buckets(fields.buckets, fields.max_ns.unwrap_or(0)).into())
    }
}

/// How the generator itself did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Generator {
    /// From the moment that a request could have been sent (its intended start, or later when every connection was
    /// busy until then) to the actual send: the generator's own lateness. Whoever queued behind a late start is as
    /// late, for as long as the queue lasts.
    pub send_lag: Distribution,
    /// How long answers that had arrived waited for the generator to look at them, as far as it can see.
    pub receive_lag: Distribution,
    /// Share of the time that the busiest thread spent working rather than waiting, 0 to 1.
    pub busy_fraction: f64,
    /// Whether to believe the figures.
    pub verdict: Verdict,
    /// Why, in a sentence.
    pub reason: String,
}

/// Whether to believe a generator's figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The generator was quick enough to measure what it measured.
    Trustworthy,
    /// A closed loop that the generator itself limited: the rate is a lower bound, and latencies hold its own work.
    Saturated,
    /// The generator was too slow or too late; the figures say more about it than about the target.
    Untrustworthy,
}

/// The verdict on one objective.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SloVerdict {
    /// As asked: `p99.9=1ms`.
    pub objective: String,
    /// The share for a percentile, absent for `max`, `mean` and `errors`.
    pub p: Option<f64>,
    /// The bound of a latency.
    pub bound_ns: Option<u64>,
    /// What was measured; absent if there were too few samples.
    pub measured_ns: Option<u64>,
    /// The bound of a share of failed requests.
    pub bound_fraction: Option<f64>,
    /// The share of failed requests.
    pub measured_fraction: Option<f64>,
    /// Whether it was kept. An objective that cannot be judged was not.
    pub kept: bool,
    /// The verdict in a sentence.
    pub sentence: String,
}

/// What happened in one interval. Requests count where they were sent, answered or failed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Its beginning, from the start of the measurement.
    pub start_s: f64,
    /// Its length.
    pub length_s: f64,
    /// Requests that were to be started in it, of a Poisson process on average; in a closed loop those that were.
    pub asked: f64,
    /// Requests sent.
    pub sent: u64,
    /// Good answers.
    pub answered: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Response times of what was answered or failed in it.
    pub response: Distribution,
    /// The generator's send lag in it: 99th percentile.
    pub send_lag_p99_ns: Option<u64>,
    /// Share of the time that the busiest generator thread worked.
    pub busy_fraction: f64,
    /// Connections that were up at its end.
    pub connections: u64,
}

/// The search for the highest rate that keeps the objectives.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Search {
    /// The highest rate that was confirmed; absent if none was.
    pub kept_per_s: Option<f64>,
    /// The lowest rate that missed; absent if none did. The answer lies between the two.
    pub missed_per_s: Option<f64>,
    /// Every run of the search, in order.
    pub probes: Vec<Probe>,
    /// How it ended.
    pub ended: SearchEnd,
    /// What it found, in a sentence.
    pub sentence: String,
}

/// How a search ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SearchEnd {
    /// Somebody stopped it.
    #[default]
    Interrupted,
    /// `kept_per_s` is the answer, within 3 %.
    Found,
    /// The fastest pace there is was kept.
    NeverMissed,
    /// The slowest rate at which the objectives can be judged missed them.
    NeverKept,
    /// The generator could not go faster; what was kept is a lower bound.
    GeneratorLimited,
    /// The runs contradicted each other until there had been too many; what was kept is a lower bound.
    TooManyProbes,
}

/// One run of a search.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// The rate asked for.
    pub rate_per_s: f64,
    /// The rate of good answers.
    pub answered_per_s: f64,
    /// Response times at p50, where there were samples enough.
    pub p50_ns: Option<u64>,
    /// The same at p99.
    pub p99_ns: Option<u64>,
    /// The same at p99.9.
    pub p999_ns: Option<u64>,
    /// Whether it kept the objectives and the rate.
    pub kept: bool,
    /// What this run was for: `doubling`, `halving`, `bisecting`, `confirming`.
    pub stage: String,
    /// Why it missed; empty if it did not.
    pub reason: String,
}

/// How a run compares with an earlier one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The earlier run's file.
    pub baseline: String,
    /// When the earlier run started, milliseconds since 1970.
    pub baseline_started_unix_ms: u64,
    /// One line for each figure compared.
    pub figures: Vec<ComparedFigure>,
    /// The verdict over all figures.
    pub verdict: Change,
    /// The verdict in a sentence.
    pub sentence: String,
}

/// One figure of two runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ComparedFigure {
    /// Which: `p50`, `p99`, `rate`.
    pub name: String,
    /// The earlier value, in nanoseconds or per second.
    pub baseline: f64,
    /// The value now.
    pub now: f64,
    /// Now over earlier.
    pub ratio: f64,
    /// Lower end of the interval in which the true ratio lies.
    pub ratio_low: f64,
    /// Upper end.
    pub ratio_high: f64,
    /// What that means for this figure.
    pub verdict: Change,
}

/// What a comparison found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Better than before, beyond doubt.
    Better,
    /// Worse than before, beyond doubt.
    Worse,
    /// The difference is within what chance and the machine explain.
    CannotTell,
}

/// What the embedded server took while it was given that many messages.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Resources {
    /// `idle`, or the rate of messages asked for.
    pub profile: String,
    /// Messages per second it really echoed.
    pub messages_per_s: f64,
    /// Resident memory of the server's process.
    pub memory_bytes: u64,
    /// Processor time over wall time; 1 is one processor.
    pub processor_fraction: f64,
    /// Open descriptors.
    pub descriptors: u64,
    /// Bytes received by the server.
    pub received_bytes_per_s: f64,
    /// Bytes sent by the server.
    pub sent_bytes_per_s: f64,
    /// Wake-ups per second of its threads (voluntary context switches).
    pub wakeups_per_s: f64,
}
