//! A scenario as text: what is played, what was found, the times, and what it cost.

use crate::out::{Style, Tone};
use crate::output::{badge, human_bytes, line, plural};
use std::fmt::Write as _;
use std::time::Duration;
use windlass::load::units::{
    human_bit_rate, human_count, human_duration, human_percent, human_rate, human_size,
};
use windlass::scenario::record::{Figure, Measure, Outcome, Record};
use windlass::scenario::{Plan, Scenario};
use windlass::sim::Latency;

/// Columns of the labels in the first lines, as in those of `bench`.
const HEADING_COLUMNS: usize = 17;

/// Columns of a time, and of a ratio.
const VALUE_COLUMNS: usize = 12;

/// All scenarios with a line each.
pub fn list(style: Style) -> String {
    let mut text = String::from("Scenarios, each played with `windlass sim SCENARIO`:\n\n");
    for scenario in Scenario::ALL {
        text += &format!("  {:<11}{}\n", scenario.name(), scenario.sentence());
    }
    text.push('\n');
    text + &line(
        "Next",
        "windlass sim mesh   a hundred nodes that talk for a minute; --help has the rest",
        style,
    )
}

/// A time for people.
pub fn told(time: Duration) -> String {
    human_duration(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}

/// The first lines, printed before it is played.
pub fn header(plan: &Plan, style: Style) -> String {
    let mut what = vec![format!("{} of {}", plan.scenario.name(), plural(plan.nodes as u64, "node"))];
    what.push(plural(plan.connections() as u64, "connection"));
    if plan.scenario != Scenario::Connect {
        what.push(human_size(plan.bytes));
    }
    if !matches!(plan.scenario, Scenario::Connect | Scenario::Transfer) {
        what.push(format!("rounds at {} for {}", human_rate(plan.rate_per_s), told(plan.duration)));
    }
    what.push(format!("seed {}", plan.seed));
    let name = concat!("windlass ", env!("CARGO_PKG_VERSION"));
    [(name, what.join(", ")), ("link", link(plan))]
        .map(|(name, what)| format!("{}{what}\n", crate::output::label(name, HEADING_COLUMNS, style)))
        .concat()
}

fn link(plan: &Plan) -> String {
    let link = &plan.link;
    let mut words = Vec::new();
    if !plan.link_name.is_empty() {
        words.push(plan.link_name.clone());
    }
    words.push(match &link.latency {
        Latency::Fixed(latency) => format!("latency {}", told(*latency)),
        Latency::Uniform { min, max } => format!("latency {} to {}", told(*min), told(*max)),
        Latency::LogNormal { median, .. } => format!("latency log-normal around {}", told(*median)),
        _ => "latency from a table".to_owned(),
    });
    words.push(match link.jitter.is_zero() {
        true => "no jitter".to_owned(),
        false => format!("jitter {}", told(link.jitter)),
    });
    words.push(match link.loss > 0.0 {
        true => format!("loss {}", human_percent(link.loss)),
        false => "no loss".to_owned(),
    });
    words.push(match link.bandwidth_bits_per_s {
        Some(rate) => human_bit_rate(rate as f64),
        None => "any bandwidth".to_owned(),
    });
    words.join(", ")
}

/// The result: everything but the first lines.
pub fn result(record: &Record, saved: Option<&str>, quiet: bool, style: Style) -> String {
    let mut text = String::from("\n");
    for finding in &record.findings {
        let tone = match finding.good {
            Some(true) => Tone::Good,
            Some(false) => Tone::Bad,
            None if record.outcome == Outcome::Interrupted && finding.name == "interrupted" => Tone::Doubtful,
            None => Tone::Label,
        };
        // What is a time stands in the table below, with its bound.
        if !matches!(finding.name.as_str(), "over bound" | "times") {
            let _ =
                writeln!(text, "{}{}", badge(tone, &finding.name.to_uppercase(), style), finding.sentence);
        }
    }
    if text.len() > 1 {
        text.push('\n');
    }
    text += &times(&record.measures, style);
    text += &counted(&record.figures, style);
    let wall = &record.wall;
    let memory =
        wall.peak_memory_bytes.map_or_else(String::new, |peak| format!(", {} of memory", human_bytes(peak)));
    text += &line(
        "Cost",
        &format!(
            "{} of virtual time in {}, {} events at {} each{memory}",
            human_duration((record.virtual_s * 1e9) as u64),
            human_duration((wall.wall_s * 1e9) as u64),
            human_count(record.events),
            human_duration(wall.ns_per_event as u64)
        ),
        style,
    );
    text += &line("Trace", &format!("{}, the same for the same seed", record.trace), style);
    if let Some(names) = saved {
        text += &line("Saved", names, style);
    } else if !quiet && record.outcome == Outcome::Complete && !record.command.is_empty() {
        text += &line("Next", &format!("{} --out sim-1   draws it", record.command), style);
    }
    text
}

fn times(measures: &[Measure], style: Style) -> String {
    let column = |text: &str| format!("{text:<VALUE_COLUMNS$}");
    let heads = ["p50", "p99", "max"].map(column).concat();
    let mut text = format!("{}{heads}{}\n", crate::output::label("Times", 14, style), "over its bound");
    let _ = writeln!(text, "{:50}{}", "", heads.trim_end());
    for measure in measures {
        let times = &measure.times.histogram;
        let time = |ns: Option<u64>| column(&ns.map_or_else(|| "-".to_owned(), human_duration));
        let mut row = format!("  {:<12}", measure.name);
        row += &time(measure.times.percentile_ns(0.5));
        row += &time(measure.times.percentile_ns(0.99));
        row += &time(times.max());
        let ratio =
            |ratio: Option<f64>| column(&ratio.map_or_else(|| "-".to_owned(), |it| format!("{it:.2}x")));
        if let Some(over) = &measure.over_bound {
            row += &[over.p50, over.p99, over.max].map(ratio).concat();
        }
        let _ = writeln!(text, "{}", row.trim_end());
    }
    for measure in measures {
        if let Some(over) = &measure.over_bound {
            let _ = writeln!(text, "  {:<12}bound: {}", measure.name, over.bound);
        }
    }
    text.push('\n');
    text
}

fn counted(figures: &[Figure], style: Style) -> String {
    let told: Vec<String> = figures
        .iter()
        .filter(|figure| figure.value > 0.0)
        .map(|figure| {
            let value = match figure.unit.as_str() {
                "s" => human_duration((figure.value * 1e9) as u64),
                "bits_per_s" => human_bit_rate(figure.value),
                _ => human_count(figure.value as u64),
            };
            format!("{} {value}", figure.name)
        })
        .collect();
    let mut text = String::new();
    for (index, pair) in told.chunks(3).enumerate() {
        text += &line(if index == 0 { "Counted" } else { "" }, &pair.join(", "), style);
    }
    text
}
