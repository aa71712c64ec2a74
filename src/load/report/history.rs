//! The page of many runs: trends by the time of the run, and the runs that depart from those before them.

use super::changes::{BEFORE_MIN, Expected, Nature, expected};
use super::page::{heading, pace, share};
use crate::load::record::{Outcome, Run, Verdict, Workload};
use crate::load::secured;
use crate::plot::chart::{Axis, Chart, Hit, Unit};
use crate::plot::figure::{Figure, Plot, Table};
use crate::plot::layers::{Layer, Line, Shape, Style};
use crate::plot::markup::Markup;
use crate::plot::parts::{document, figure, pairs, section, table, verdict};
use crate::plot::scale::Scale;
use crate::plot::units::{bytes, count, percent, rate, time, utc};

/// Points that carry a mark; longer trends are lines.
const EACH_MARKED_MAX: usize = 60;

/// A figure whose trend is drawn.
struct Trend {
    id: &'static str,
    name: &'static str,
    nature: Nature,
    more_is_worse: bool,
    value: fn(&Run) -> Option<f64>,
    tell: fn(f64) -> String,
}

const TRENDS: [Trend; 5] = [
    latency("p50", "Response p50", |run| run.response.percentile_ns(0.5).map(|ns| ns as f64)),
    latency("p99", "Response p99", |run| run.response.percentile_ns(0.99).map(|ns| ns as f64)),
    latency("p999", "Response p99.9", |run| run.response.percentile_ns(0.999).map(|ns| ns as f64)),
    Trend {
        id: "rate",
        name: "Answered per second",
        nature: Nature::Factor,
        more_is_worse: false,
        value: |run| Some(run.totals.answered_per_s).filter(|rate| rate.is_finite() && *rate > 0.0),
        tell: rate,
    },
    Trend {
        id: "failures",
        name: "Failed requests",
        nature: Nature::Share,
        more_is_worse: true,
        value: |run| Some(share(run.totals.failed(), run.totals.asked)),
        tell: percent,
    },
];

const fn latency(id: &'static str, name: &'static str, value: fn(&Run) -> Option<f64>) -> Trend {
    Trend { id, name, nature: Nature::Factor, more_is_worse: true, value, tell: time }
}

/// Runs that can be compared with each other, by time.
struct Group<'a> {
    runs: Vec<&'a (String, Run)>,
}

/// A run that departs from those before it.
struct Departure {
    run: usize,
    value: f64,
    expected: Expected,
    is_worse: bool,
}

/// The trends over many runs, each with its label (the path it came from), as one HTML file that asks for nothing
/// else. Runs are compared with runs of the same target, workload (but for the seed) and machine only; each such
/// group is a section. Runs that failed, were interrupted or cannot be trusted are shown, but nothing is measured
/// against them.
#[must_use]
pub fn history(runs: &[(String, Run)]) -> String {
    let groups = grouped(runs);
    document("Latency over runs", |out| {
        out.open("header", &[]);
        out.element("h1", &[], "Latency over runs");
        let lead = match groups.len() {
            0 => "No runs.".to_owned(),
            1 => format!("{} runs of one workload", count(runs.len() as u64)),
            many => format!("{} runs of {many} workloads", count(runs.len() as u64)),
        };
        out.element("p", &[("class", &"lead")], lead);
        out.element("p", &[("class", &"remark")], rule());
        out.close();
        for (index, group) in groups.iter().enumerate() {
            let first = &group.runs[0].1;
            let connections = count(first.workload.connections);
            let title = format!("{}: {}, {connections} connections", heading(first), pace(&first.workload));
            section(out, &title, |out| draw_group(out, group, index));
        }
    })
}

/// A run that departs from the comparable runs before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flag {
    /// Whether it is slower, or fails more, than they let expect; else it is better.
    pub is_worse: bool,
    /// Which run, what was measured and what was expected.
    pub sentence: String,
}

/// What [`history`] flags, for readers who do not open it.
#[must_use]
pub fn flags(runs: &[(String, Run)]) -> Vec<Flag> {
    grouped(runs).iter().flat_map(Group::flags).collect()
}

fn rule() -> String {
    format!(
        "A run is flagged if a figure lies further from the median of up to 10 comparable runs before it (at least \
         {BEFORE_MIN}) than their median absolute deviation explains: one unchanged run of fifty would. Changes below \
         5 % of a time or a rate, or 0.1 % of all requests, are never flagged. This is Hampel's identifier (1974) with \
         bounds for few runs."
    )
}

/// Same target, same workload but for the seed, same machine.
fn grouped<'a>(runs: &'a [(String, Run)]) -> Vec<Group<'a>> {
    let mut groups: Vec<(String, Group)> = Vec::new();
    for labelled in runs {
        let key = key(&labelled.1);
        match groups.iter_mut().find(|(of, _)| *of == key) {
            Some((_, group)) => group.runs.push(labelled),
            None => groups.push((key, Group { runs: vec![labelled] })),
        }
    }
    let by_time = |(_, mut group): (String, Group<'a>)| {
        group.runs.sort_by_key(|(_, run)| run.started_unix_ms);
        group
    };
    groups.into_iter().map(by_time).collect()
}

fn key(run: &Run) -> String {
    let target = &run.target;
    let place = match (target.embedded, target.named.is_empty()) {
        (true, _) => "",
        (false, true) => &target.address,
        (false, false) => &target.named,
    };
    let mut workload = Workload { seed: 0, ..run.workload.clone() };
    if run.search.is_some() {
        // The rate is what a search finds, not what was asked.
        (workload.rate_per_s, workload.rate_to_per_s) = (None, None);
    }
    let (processors, model) = (run.host.processors, &run.host.processor_model);
    let handshakes = secured::kind(run);
    let kind = (&target.protocol, &target.transport, handshakes, target.embedded, run.search.is_some());
    format!("{kind:?} {place:?} {workload:?} {processors} {model:?}")
}

fn is_comparable(run: &Run) -> bool {
    run.outcome == Outcome::Complete && run.generator.verdict != Verdict::Untrustworthy
}

impl Group<'_> {
    /// What the comparable runs before each run let expect of it.
    fn expectations(&self, trend: &Trend) -> Vec<Option<Expected>> {
        let mut before = Vec::new();
        let expectation = |(_, run): &&(String, Run)| {
            let told = expected(&before, trend.nature);
            if is_comparable(run) {
                before.extend((trend.value)(run));
            }
            told
        };
        self.runs.iter().map(expectation).collect()
    }

    fn departures(&self, trend: &Trend) -> Vec<Departure> {
        let expectations = self.expectations(trend);
        let departed =
            self.runs.iter().zip(expectations).enumerate().filter_map(|(index, ((_, run), expected))| {
                let (value, expected) = ((trend.value)(run)?, expected?);
                let counts = is_comparable(run) && expected.is_departed(value);
                let is_worse = (value > expected.median) == trend.more_is_worse;
                counts.then_some(Departure { run: index, value, expected, is_worse })
            });
        departed.collect()
    }

    fn flags(&self) -> Vec<Flag> {
        // A change that lasts is flagged until the runs after it outnumber those before: one change, one line.
        let lasting = |a: &Departure, b: &Departure| a.run + 1 == b.run && a.is_worse == b.is_worse;
        let mut flags = Vec::new();
        for trend in &TRENDS {
            for departures in self.departures(trend).chunk_by(lasting) {
                let (Some(first), Some(last)) = (departures.first(), departures.last()) else { continue };
                flags.push(Flag { is_worse: first.is_worse, sentence: sentence(self, trend, first, last) });
            }
        }
        flags
    }
}

fn draw_group(out: &mut Markup, group: &Group, number: usize) {
    let first = &group.runs[0].1;
    out.open("ul", &[("class", &"verdicts"), ("aria-label", &"Flagged changes")]);
    let flags = group.flags();
    for flag in &flags {
        let (tone, badge) = if flag.is_worse { ("bad", "✗ WORSE") } else { ("good", "✓ BETTER") };
        verdict(out, tone, badge, &flag.sentence);
    }
    if flags.is_empty() {
        let sentence = if group.runs.len() > BEFORE_MIN {
            "No run departs from those before it.".to_owned()
        } else {
            format!("Changes are flagged from the {}th run on.", BEFORE_MIN + 1)
        };
        verdict(out, "plain", "= NO CHANGE", &sentence);
    }
    out.close();
    for trend in &TRENDS {
        figure(out, &plot(group, trend, number), "");
    }
    out.element("h3", &[], "Runs");
    out.open(
        "div",
        &[("class", &"scroll"), ("tabindex", &"0"), ("role", &"region"), ("aria-label", &"Runs")],
    );
    table(out, &run_table(group), "Runs by time");
    out.close();
    out.element("h3", &[], "Workload and machine");
    circumstances(out, first);
}

fn circumstances(out: &mut Markup, first: &Run) {
    let host = &first.host;
    let model = host.processor_model.clone().unwrap_or_else(|| "unnamed".to_owned());
    pairs(
        out,
        &[
            ("arrivals", pace(&first.workload)),
            ("connections", count(first.workload.connections)),
            ("depth", count(first.workload.depth)),
            ("size", format!("{} bytes", first.workload.size_bytes)),
            ("duration", time(first.workload.duration_s * 1e9)),
            ("threads", count(first.workload.threads)),
            ("processors", format!("{}, {model}", count(u64::from(host.processors)))),
            ("memory", host.memory_bytes.map_or_else(|| "–".to_owned(), |memory| bytes(memory as f64))),
        ],
    );
    if !first.command.is_empty() {
        out.element("p", &[("class", &"remark")], "Repeat the first of these runs with");
        out.open("pre", &[("tabindex", &"0")]);
        out.element("code", &[], &first.command);
        out.close();
    }
}

/// Which run departed, how, and until which one that lasted.
fn sentence(group: &Group, trend: &Trend, departure: &Departure, last: &Departure) -> String {
    let (label, run) = group.runs[departure.run];
    let tell = trend.tell;
    let until = match last.run {
        run if run == departure.run => String::new(),
        run => format!(" The runs up to {} depart likewise.", run + 1),
    };
    format!(
        "Run {} ({label}, {}): {} {}, expected {} to {}, around {}.{until}",
        departure.run + 1,
        utc(run.started_unix_ms),
        trend.name,
        tell(departure.value),
        tell(departure.expected.low),
        tell(departure.expected.high),
        tell(departure.expected.median),
    )
}

/// The trend of one figure with the range expected before each run.
fn plot(group: &Group, trend: &Trend, number: usize) -> Figure {
    let runs = &group.runs;
    let values: Vec<_> = runs.iter().map(|(_, run)| (trend.value)(run)).collect();
    if values.iter().all(Option::is_none) {
        return Figure::Absent { title: trend.name, why: "No run has samples enough.".to_owned() };
    }
    if trend.nature == Nature::Share && values.iter().flatten().all(|share| *share == 0.0) {
        return Figure::Absent { title: trend.name, why: "No request failed in any run.".to_owned() };
    }
    let expectations = group.expectations(trend);
    let departures = group.departures(trend);
    let place = |index: usize| (index + 1) as f64;
    let band: Vec<_> = expectations
        .iter()
        .enumerate()
        .filter_map(|(index, told)| told.map(|told| (place(index), told.low, told.high)))
        .collect();
    let points = values.iter().enumerate().map(|(index, value)| (place(index), *value)).collect();
    let style = if runs.len() <= EACH_MARKED_MAX { Style::Marked } else { Style::Plain };
    let mut layers = Vec::new();
    // A band needs two runs to have a width.
    if band.len() > 1 {
        layers.push(Layer::Band { name: "expected".to_owned(), points: band.clone() });
    }
    layers.push(Layer::Line(Line { name: trend.name.to_owned(), series: 0, points, style }));
    for (is_worse, name, series, shape) in
        [(true, "worse than expected", 1, Shape::Ring), (false, "better than expected", 2, Shape::Ring)]
    {
        let of = departures.iter().filter(|departure| departure.is_worse == is_worse);
        let points: Vec<_> = of.map(|departure| (place(departure.run), departure.value)).collect();
        if !points.is_empty() {
            layers.push(Layer::Marks { name: name.to_owned(), series, shape, points });
        }
    }
    let told = || values.iter().flatten().copied();
    let y = match (trend.nature, trend.more_is_worse) {
        (Nature::Factor, true) => Axis::new("response time", Scale::log(told()), Unit::Time),
        (Nature::Factor, false) => Axis::new("requests per second", Scale::from_zero(told()), Unit::Number),
        (Nature::Share, _) => {
            Axis::new("share of all requests", Scale::from_zero(told().chain([0.001])), Unit::Percent)
        }
    };
    let x = Axis::new("run, by time", Scale::linear(0.5, runs.len() as f64 + 0.5), Unit::Whole);
    let mut chart = Chart::single(x, y, layers);
    chart.hits = hits(group, trend, &expectations);
    Figure::Plot(Plot {
        id: format!("{}-{number}", trend.id),
        title: trend.name.to_owned(),
        read: "Each point is a run, numbered as in the table below. Points inside of the pale band are what the runs \
               before them let expect; those with a ring are not."
            .to_owned(),
        describe: format!("{} over {} runs; {} departed from those before.", trend.name, runs.len(), departures.len()),
        notes: Vec::new(),
        views: vec![("", chart)],
        table: trend_table(group, trend, &expectations),
    })
}

fn hits(group: &Group, trend: &Trend, expectations: &[Option<Expected>]) -> Vec<Hit> {
    let tell = trend.tell;
    let hit = |(index, ((label, run), expected)): (usize, (&&(String, Run), &Option<Expected>))| {
        let value = (trend.value)(run).map_or_else(|| "–".to_owned(), tell);
        let range = expected.map(|it| format!("\nexpected {} to {}", tell(it.low), tell(it.high)));
        let number = index + 1;
        let when = utc(run.started_unix_ms);
        let text = format!("run {number}: {label}\n{when}\n{value}{}", range.unwrap_or_default());
        Hit { x: (index as f64 + 0.5, index as f64 + 1.5), y: None, text }
    };
    group.runs.iter().zip(expectations).enumerate().map(hit).collect()
}

fn trend_table(group: &Group, trend: &Trend, expectations: &[Option<Expected>]) -> Table {
    let tell = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), trend.tell);
    let mut made = Table::new(&["run", "started", "value", "expected from", "to"]);
    for (index, ((_, run), expected)) in group.runs.iter().zip(expectations).enumerate() {
        made.rows.push(vec![
            (index + 1).to_string(),
            utc(run.started_unix_ms),
            tell((trend.value)(run)),
            tell(expected.map(|it| it.low)),
            tell(expected.map(|it| it.high)),
        ]);
    }
    made
}

fn run_table(group: &Group) -> Table {
    let mut made = Table::new(&["run", "started", "from"]);
    made.head.extend(TRENDS.iter().map(|trend| trend.name.to_owned()));
    made.head.push("remarks".to_owned());
    let flagged: Vec<Vec<usize>> =
        TRENDS.iter().map(|trend| group.departures(trend).iter().map(|it| it.run).collect()).collect();
    for (index, (label, run)) in group.runs.iter().enumerate() {
        let mut row = vec![(index + 1).to_string(), utc(run.started_unix_ms), label.clone()];
        for (trend, flagged) in TRENDS.iter().zip(&flagged) {
            let told = (trend.value)(run).map_or_else(|| "–".to_owned(), trend.tell);
            row.push(if flagged.contains(&index) { format!("{told} ◯") } else { told });
        }
        row.push(remarks(run));
        made.rows.push(row);
    }
    made
}

/// Why a run is not compared, and which objectives it missed.
fn remarks(run: &Run) -> String {
    let mut remarks = Vec::new();
    match run.outcome {
        Outcome::Complete => {}
        Outcome::Interrupted => remarks.push("interrupted, not compared".to_owned()),
        Outcome::Failed => remarks.push("failed, not compared".to_owned()),
    }
    if run.generator.verdict == Verdict::Untrustworthy {
        remarks.push("generator not to be trusted, not compared".to_owned());
    }
    remarks.extend(run.slo.iter().filter(|slo| !slo.kept).map(|slo| format!("missed {}", slo.objective)));
    remarks.join("; ")
}
