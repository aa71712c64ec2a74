//! What a scenario came to, as plain data: what `sim.json` holds and the report draws.
//!
//! Units are part of the names: `_ns` nanoseconds, `_s` seconds, `_per_s` per second. Absent means that there was nothing
//! to measure, never zero. All times are virtual but those in [`Wall`]: without it two records of the same plan are equal
//! to the byte. `sim.schema.json` beside this file describes the same for readers in other languages.

use super::meter::{Meter, PARTS};
use super::plan::Scenario;
use crate::load::record::Distribution;
use crate::metrics::HistogramSnapshot;
use serde::Serialize;

/// Version of the layout.
pub const SCHEMA_VERSION: u32 = 1;

/// The schema of `sim.json`, for validators in any language (JSON Schema, draft 2020-12).
pub const SCHEMA: &str = include_str!("sim.schema.json");

/// Everything that is known about one scenario that was played.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Record {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Version of this crate.
    pub windlass_version: String,
    /// The command that repeats it; empty if it was started from code.
    pub command: String,
    /// Which scenario.
    pub scenario: Scenario,
    /// How it ended.
    pub outcome: Outcome,
    /// What it was played with.
    pub setup: Setup,
    /// Virtual time that passed.
    pub virtual_s: f64,
    /// Events of the simulation: arrivals, timers, turns of reactors.
    pub events: u64,
    /// What happened in which order, as a number: the same for two runs if, and as good as only if, the same happened at
    /// the same times.
    pub trace: String,
    /// What was found, most important first.
    pub findings: Vec<Finding>,
    /// Times that were measured.
    pub measures: Vec<Measure>,
    /// Plain numbers that were measured.
    pub figures: Vec<Figure>,
    /// Rates over virtual time.
    pub courses: Vec<Course>,
    /// Delivery times by virtual time of arrival.
    pub heat: Vec<HeatCell>,
    /// Who was connected with whom.
    pub topology: Topology,
    /// What went wrong, and when.
    pub faults: Vec<FaultSpan>,
    /// The same over real sockets, if that was asked for.
    pub real: Option<Real>,
    /// What it took on this machine, the only part that differs between two runs of the same plan.
    pub wall: Wall,
}

/// How it ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// As planned.
    Complete,
    /// Somebody ended it early; the figures are for the time until then.
    Interrupted,
    /// It did not come to its end within its time.
    Incomplete,
}

/// What it was played with.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Setup {
    /// How many nodes.
    pub nodes: u64,
    /// Connections that were asked for when it began.
    pub connections: u64,
    /// Virtual time for which nodes talk; absent if it ends by itself.
    pub duration_s: Option<f64>,
    /// Rounds of messages per second; absent if there are none.
    pub rate_per_s: Option<f64>,
    /// Length of a message, or of a transfer.
    pub size_bytes: u64,
    /// How connections were secured: `tls`, `noise`; absent if they were not.
    pub secure: Option<String>,
    /// What everything random was drawn from.
    pub seed: u64,
    /// What lay between any two nodes.
    pub link: LinkSetup,
}

/// A link.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LinkSetup {
    /// What it is called; empty if it has no name.
    pub name: String,
    /// The shortest latency of a connected pair, in one direction.
    pub latency_min_s: f64,
    /// The longest.
    pub latency_max_s: f64,
    /// The most that a segment is delayed on top of that.
    pub jitter_s: f64,
    /// Probability that a segment is lost.
    pub loss: f64,
    /// Rate of the bottleneck; absent if there is none.
    pub bandwidth_bits_per_s: Option<u64>,
    /// Bytes that may wait for it; absent if it is any number.
    pub queue_bytes: Option<u64>,
}

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// Whether it is what one would want; absent if that depends on what one wants.
    pub good: Option<bool>,
    /// What is found, in a word or two.
    pub name: String,
    /// The same in a sentence.
    pub sentence: String,
}

/// Times of one kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measure {
    /// Its name, unique in the record.
    pub name: String,
    /// From what to what.
    pub what: String,
    /// The times.
    pub times: Distribution,
    /// How they compare with the least that they could be, where something sets a bound.
    pub over_bound: Option<OverBound>,
}

/// Measured times over their bounds, each over its own.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OverBound {
    /// What sets the bound.
    pub bound: String,
    /// Samples.
    pub count: u64,
    /// Half of the samples are no more than this many times their bound.
    pub p50: Option<f64>,
    /// The same for 99 of 100.
    pub p99: Option<f64>,
    /// The largest.
    pub max: Option<f64>,
    /// Ratios in millionths, and how often each came; no bucket is wider than 1/128 of its values.
    pub buckets: Vec<(u64, u64)>,
    /// The same as a histogram.
    #[serde(skip)]
    pub ratios: HistogramSnapshot,
}

/// A number.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figure {
    /// Its name, unique in the record.
    pub name: String,
    /// What it is counted in: `s`, `bits_per_s`, `messages`, `connections`, `nodes`.
    pub unit: String,
    /// The number.
    pub value: f64,
}

/// A rate over virtual time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Course {
    /// What is counted, unique in the record.
    pub name: String,
    /// What it is counted in, per second where it is a rate.
    pub unit: String,
    /// Length of a column.
    pub column_s: f64,
    /// A value for each column, the first of which begins at 0.
    pub values: Vec<f64>,
}

/// How many deliveries took how long, among those that arrived at some time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct HeatCell {
    /// Begin of the arrivals.
    pub from_s: f64,
    /// Their end.
    pub to_s: f64,
    /// They took at least this.
    pub low_ns: f64,
    /// And less than this.
    pub high_ns: f64,
    /// How many.
    pub count: u64,
}

/// Who was connected with whom.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Topology {
    /// Names of the nodes, by number.
    pub nodes: Vec<String>,
    /// Connections; of many only some.
    pub edges: Vec<Edge>,
    /// How many there are in all.
    pub edges_total: u64,
}

/// A connection.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Edge {
    /// Who connected.
    pub from: u32,
    /// To whom.
    pub to: u32,
    /// Latency there and back together.
    pub round_trip_s: f64,
}

/// Something that went wrong.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FaultSpan {
    /// `crash`, `power off` or `partition`.
    pub kind: String,
    /// When it began.
    pub from_s: f64,
    /// When it was undone.
    pub to_s: f64,
    /// Numbers of the nodes that it was about; of a partition, those on one side.
    pub nodes: Vec<u32>,
}

/// The same transfer over real sockets on this machine, through the fault proxy with the same conditions.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Real {
    /// From asking for the connection to the last byte.
    pub time_s: f64,
    /// Payload in bits per second.
    pub goodput_bits_per_s: f64,
    /// That time over the simulated one.
    pub over_simulated: f64,
    /// What the proxy did to it.
    pub conditions: String,
}

/// What it took on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Wall {
    /// Milliseconds since 1970 at the start.
    pub started_unix_ms: u64,
    /// How long it took.
    pub wall_s: f64,
    /// Nanoseconds for each event.
    pub ns_per_event: f64,
    /// Virtual seconds in a second.
    pub virtual_per_wall: f64,
    /// The most memory that the process ever held.
    pub peak_memory_bytes: Option<u64>,
}

impl Record {
    /// The record as one line of JSON, as [`SCHEMA`] describes it.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a record has only names for keys")
    }

    /// The measure of that name.
    #[must_use]
    pub fn measure(&self, name: &str) -> Option<&Measure> {
        self.measures.iter().find(|measure| measure.name == name)
    }
}

impl Measure {
    /// What was metered, if anything was.
    pub(super) fn of(name: &str, what: &str, bound: &str, meter: &Meter) -> Option<Measure> {
        let times = meter.times();
        if times.is_empty() {
            return None;
        }
        let ratios = meter.ratios();
        let over_bound = (!ratios.is_empty()).then(|| OverBound::of(bound, ratios));
        Some(Measure { name: name.to_owned(), what: what.to_owned(), times: times.into(), over_bound })
    }
}

impl OverBound {
    fn of(bound: &str, ratios: HistogramSnapshot) -> OverBound {
        let told =
            |p: f64| ratios.percentile(p).filter(|_| ratios.is_supported(p)).map(|it| middle(&ratios, it));
        OverBound {
            bound: bound.to_owned(),
            count: ratios.count(),
            p50: told(0.5),
            p99: told(0.99),
            max: ratios.max().map(|it| it as f64 / PARTS),
            buckets: ratios.buckets().map(|bucket| (bucket.low, bucket.count)).collect(),
            ratios,
        }
    }

    /// Median, 99th percentile and maximum, as far as there are samples enough: `p50 1.00×, p99 1.04×, max 2.30×`.
    #[must_use]
    pub fn words(&self) -> String {
        let told = [("p50", self.p50), ("p99", self.p99), ("max", self.max)];
        let told = told.into_iter().filter_map(|(name, ratio)| Some(format!("{name} {:.2}×", ratio?)));
        match self.max {
            Some(only) if self.count == 1 => format!("{only:.2}×"),
            _ => told.collect::<Vec<_>>().join(", "),
        }
    }
}

/// A percentile is told by its bucket's upper edge, which would make 1.008 of a ratio of exactly 1.
fn middle(ratios: &HistogramSnapshot, edge: u64) -> f64 {
    let bucket = ratios.buckets().find(|bucket| bucket.low <= edge && edge <= bucket.high);
    bucket.map_or(edge as f64, |bucket| f64::midpoint(bucket.low as f64, edge as f64)) / PARTS
}
