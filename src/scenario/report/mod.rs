//! The page of one scenario: what was found, then plots for those who would rather look than read, then figures.

mod course;
mod faults;
mod heat;
mod spectrum;
mod topology;

#[cfg(test)]
mod tests;

use super::record::{Figure as Number, Measure, Outcome, Record, Setup};
use crate::plot::figure::{Figure, Table};
use crate::plot::markup::{Markup, json_safe};
use crate::plot::parts::{document, figure, pairs, section, table, verdict};
use crate::plot::units::{bit_rate, bytes, count, number, percent, rate, ratio, time, time_or_dash, utc};
use crate::units::human_size;

/// The record as one HTML file that asks for nothing else.
///
/// Everything that came from outside is escaped, and the page forbids browsers to load anything.
#[must_use]
pub fn page(record: &Record) -> String {
    let what = heading(record);
    document(&what, |out| {
        out.open("header", &[]);
        out.element("h1", &[], &what);
        out.element("p", &[("class", &"lead")], lead(record));
        out.close();
        findings(out, record);
        section(out, "Plots", |out| {
            for plot in plots(record) {
                figure(out, &plot, &record.command);
            }
        });
        section(out, "Figures", |out| summary(out, record));
        section(out, "Repeat it", |out| repeat(out, record));
        out.line();
        out.open("script", &[("type", &"application/json"), ("id", &"run")]);
        out.raw(&json_safe(&record.to_json()));
        out.close();
    })
}

/// All plots that apply, in the order in which they are read.
fn plots(record: &Record) -> Vec<Figure> {
    let mut made = Vec::new();
    made.extend(course::figure(record));
    made.extend(heat::figure(record));
    made.extend(spectrum::figure(record));
    made.push(topology::figure(record));
    made.extend(faults::figure(record));
    made
}

fn heading(record: &Record) -> String {
    let setup = &record.setup;
    let what = match record.scenario.name() {
        "connect" => "Connecting",
        "broadcast" => "One to all",
        "transfer" => "Transfer",
        "churn" => "Churn in a mesh",
        "partition" => "A partition in a mesh",
        _ => "A mesh",
    };
    match record.scenario.name() {
        "transfer" => format!("{what} of {}, simulated", human_size(setup.size_bytes)),
        _ => format!("{what} of {} nodes, simulated", count(setup.nodes)),
    }
}

fn lead(record: &Record) -> String {
    let wall = &record.wall;
    format!(
        "{} · {} of virtual time in {} · seed {} · {} · windlass {}",
        link(&record.setup),
        time(record.virtual_s * 1e9),
        time(wall.wall_s * 1e9),
        record.setup.seed,
        utc(wall.started_unix_ms),
        record.windlass_version
    )
}

/// What lies between nodes, in a few words.
fn link(setup: &Setup) -> String {
    let link = &setup.link;
    let (min, max) = (time(link.latency_min_s * 1e9), time(link.latency_max_s * 1e9));
    let mut words = Vec::new();
    if !link.name.is_empty() {
        words.push(link.name.clone());
    }
    words.push(if min == max { format!("latency {min}") } else { format!("latency {min} to {max}") });
    words.extend((link.jitter_s > 0.0).then(|| format!("jitter {}", time(link.jitter_s * 1e9))));
    words.extend((link.loss > 0.0).then(|| format!("loss {}", percent(link.loss))));
    words.extend(link.bandwidth_bits_per_s.map(|rate| bit_rate(rate as f64)));
    words.join(", ")
}

fn findings(out: &mut Markup, record: &Record) {
    out.open("ul", &[("class", &"verdicts"), ("aria-label", &"Findings")]);
    for finding in &record.findings {
        let (tone, mark) = match finding.good {
            Some(true) => ("good", '✓'),
            Some(false) => ("bad", '✗'),
            None if record.outcome == Outcome::Interrupted && finding.name == "interrupted" => {
                ("caution", '!')
            }
            None => ("plain", '='),
        };
        verdict(out, tone, &format!("{mark} {}", finding.name.to_uppercase()), &finding.sentence);
    }
    out.close();
}

fn summary(out: &mut Markup, record: &Record) {
    out.open(
        "div",
        &[("class", &"scroll whole"), ("tabindex", &"0"), ("role", &"region"), ("aria-label", &"Times")],
    );
    table(out, &times(&record.measures), "Times, and how they compare with their bounds");
    out.close();
    for measure in &record.measures {
        let bound = measure.over_bound.as_ref().map(|over| format!("; its bound is {}", over.bound));
        let note = format!("{}: {}{}.", measure.name, measure.what, bound.unwrap_or_default());
        out.element("p", &[("class", &"remark")], note);
    }
    out.open("div", &[("class", &"summary")]);
    out.open("div", &[]);
    out.element("h3", &[], "Counted");
    let told: Vec<(&str, String)> =
        record.figures.iter().map(|figure| (figure.name.as_str(), told(figure))).collect();
    pairs(out, &told);
    out.element("h3", &[], "On this machine");
    pairs(out, &wall_pairs(record));
    out.close();
    out.open("div", &[]);
    out.element("h3", &[], "What was played");
    pairs(out, &setup_pairs(record));
    out.close();
    out.close();
}

fn told(figure: &Number) -> String {
    match figure.unit.as_str() {
        "s" => time(figure.value * 1e9),
        "bits_per_s" => bit_rate(figure.value),
        _ => count(figure.value as u64),
    }
}

fn times(measures: &[Measure]) -> Table {
    let mut made = Table::new(&["", "samples", "p50", "p99", "max", "over bound: p50", "p99", "max"]);
    for measure in measures {
        let times = &measure.times.histogram;
        let over = |of: fn(&super::record::OverBound) -> Option<f64>| {
            measure.over_bound.as_ref().and_then(of).map_or_else(|| "–".to_owned(), ratio)
        };
        let mut row = vec![measure.name.clone(), count(times.count())];
        row.push(time_or_dash(measure.times.percentile_ns(0.5)));
        row.push(time_or_dash(measure.times.percentile_ns(0.99)));
        row.push(time_or_dash(times.max()));
        row.extend([over(|over| over.p50), over(|over| over.p99), over(|over| over.max)]);
        made.rows.push(row);
    }
    made
}

fn wall_pairs(record: &Record) -> Vec<(&'static str, String)> {
    let wall = &record.wall;
    let mut made = vec![
        ("wall time", time(wall.wall_s * 1e9)),
        ("virtual seconds in a second", number(wall.virtual_per_wall)),
        ("events", count(record.events)),
        ("for each event", time(wall.ns_per_event)),
    ];
    made.extend(wall.peak_memory_bytes.map(|peak| ("memory, at most", bytes(peak as f64))));
    made
}

fn setup_pairs(record: &Record) -> Vec<(&'static str, String)> {
    let (setup, link) = (&record.setup, &record.setup.link);
    let mut made = vec![
        ("scenario", record.scenario.name().to_owned()),
        ("nodes", count(setup.nodes)),
        ("connections", count(setup.connections)),
    ];
    made.extend(setup.rate_per_s.map(|rounds| ("rounds of messages", rate(rounds))));
    made.push(("size", human_size(setup.size_bytes)));
    made.extend(setup.duration_s.map(|duration| ("duration", time(duration * 1e9))));
    made.push(("security", setup.secure.clone().unwrap_or_else(|| "none".to_owned())));
    if !link.name.is_empty() {
        made.push(("preset", link.name.clone()));
    }
    made.extend([
        ("latency, shortest way", time(link.latency_min_s * 1e9)),
        ("latency, longest way", time(link.latency_max_s * 1e9)),
        ("jitter, at most", time(link.jitter_s * 1e9)),
        ("loss", percent(link.loss)),
        (
            "bandwidth",
            link.bandwidth_bits_per_s.map_or_else(|| "unlimited".to_owned(), |it| bit_rate(it as f64)),
        ),
    ]);
    made.extend(link.queue_bytes.map(|queue| ("queue", bytes(queue as f64))));
    made.extend([("seed", setup.seed.to_string()), ("trace", record.trace.clone())]);
    made
}

fn repeat(out: &mut Markup, record: &Record) {
    if record.command.is_empty() {
        let seed = record.setup.seed;
        out.element("p", &[], format!("The scenario was played from code; seed {seed} repeats it."));
        return;
    }
    out.open("pre", &[("tabindex", &"0")]);
    out.element("code", &[], &record.command);
    out.close();
    let note = format!(
        "The same seed plays the same again, event for event: the trace is then {} as well. The whole record is part of this \
         file as JSON.",
        record.trace
    );
    out.element("p", &[("class", &"remark")], note);
}
