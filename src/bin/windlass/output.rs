//! The result of a run as text: verdicts first, then what was asked, how long it took, and what to do next.

use crate::out::{Style, Tone};
use crate::spoken::Spoken;
use std::fmt::Write as _;
use windlass::load::record::{
    self, Arrivals, Change, Comparison, Distribution, Host, Outcome, Percentile, Resources, Run, Search,
    SearchEnd, Security, Verdict,
};
use windlass::load::units::{human_count, human_duration, human_rate};
use windlass::load::{Mode, Plan};

/// Kinds of failures that are listed; the record has all.
const FAILURES_SHOWN: usize = 5;

/// Columns of the labels at the left.
const LABEL_COLUMNS: usize = 12;

/// The same in the first lines.
const HEADING_COLUMNS: usize = 17;

/// Columns of a latency.
const VALUE_COLUMNS: usize = 21;

/// What is known before the run: what will be measured, and on which machine.
#[derive(Clone, Copy, Debug)]
pub struct Heading<'a> {
    pub plan: &'a Plan,
    pub spoken: &'a Spoken,
    pub target: &'a str,
    pub host: &'a Host,
}

/// The first lines, printed before the run.
pub fn header(heading: &Heading<'_>, style: Style) -> String {
    let Heading { plan, spoken, target, host } = *heading;
    let mut work = vec![spoken.name().to_owned(), plan.transport()];
    work.extend((spoken.name() != "http").then(|| format!("{} B", spoken.sizes)));
    work.push(match plan.mode {
        Mode::Messages => plural(plan.connections as u64, "connection"),
        Mode::Handshakes => format!("{} at a time", plural(plan.connections as u64, "handshake")),
    });
    work.push(plural(plan.threads as u64, "thread"));
    let (warm_up, duration) = (time(plan.warm_up.as_secs_f64()), time(plan.duration.as_secs_f64()));
    work.push(format!("{duration} after {warm_up} of warm-up"));
    let mut machine = vec![plural(u64::from(host.processors), "processor"), host.kernel.clone()];
    machine.extend(host.governor.as_ref().map(|governor| format!("governor {governor}")));
    machine.extend(host.memory_bytes.map(human_bytes));
    let name = concat!("windlass ", env!("CARGO_PKG_VERSION"));
    [(name, work.join(", ")), ("target", target.to_owned()), ("host", machine.join(", "))]
        .map(|(name, what)| format!("{}{what}\n", label(name, HEADING_COLUMNS, style)))
        .concat()
}

/// The result: everything but the header, where it was saved, and what to do next.
pub fn result(run: &Run, style: Style) -> String {
    let mut text = String::from("\n");
    text += &verdicts(run, style);
    if !run.response.histogram.is_empty() {
        text.push('\n');
        text += &load(run, style);
        text.push('\n');
        text += &latency(run, style);
        text += &run.security.as_ref().map_or_else(String::new, |security| secured(security, style));
    }
    text += &failures(run, style);
    text += &run.search.as_ref().map_or_else(String::new, |search| searched(search, style));
    text += &resources(&run.resources, style);
    text.push('\n');
    for warning in &run.warnings {
        let _ = writeln!(text, "{}{warning}", badge(Tone::Doubtful, "Warning", style));
    }
    text += &run.comparison.as_ref().map_or_else(String::new, |comparison| baseline(comparison, style));
    text
}

/// A last line: what was saved, what to do next.
pub fn line(name: &str, what: &str, style: Style) -> String {
    format!("{}{what}\n", label(name, LABEL_COLUMNS, style))
}

fn verdicts(run: &Run, style: Style) -> String {
    let mut text = String::new();
    let mut say = |tone, word: &str, sentence: &str| {
        let _ = writeln!(text, "{}{sentence}", badge(tone, word, style));
    };
    if let Some(failure) = &run.failure {
        say(Tone::Bad, "FAIL", failure);
    }
    if run.outcome == Outcome::Interrupted {
        let sentence = format!(
            "after {} of {}; the figures are for that time",
            time(run.measured_s),
            time(run.workload.duration_s)
        );
        say(Tone::Doubtful, "INTERRUPTED", &sentence);
    }
    let measured = !run.response.histogram.is_empty();
    match run.generator.verdict {
        Verdict::Untrustworthy if measured => say(Tone::Doubtful, "UNTRUSTED", &run.generator.reason),
        Verdict::Saturated => say(Tone::Doubtful, "SATURATED", &run.generator.reason),
        Verdict::Untrustworthy | Verdict::Trustworthy => {}
    }
    if let Some(search) = &run.search {
        let (tone, word) =
            if search.kept_per_s.is_some() { (Tone::Good, "PASS") } else { (Tone::Bad, "MISS") };
        say(tone, word, &answer(search));
    }
    for verdict in &run.slo {
        let (tone, word) = if verdict.kept { (Tone::Good, "PASS") } else { (Tone::Bad, "MISS") };
        say(tone, word, &verdict.sentence);
    }
    if text.is_empty() {
        let errors = run.totals.failed();
        let (tone, word) = if errors == 0 { (Tone::Good, "DONE") } else { (Tone::Doubtful, "DONE") };
        let sentence = match run.response.percentile_ns(0.99).or(run.response.histogram.max()) {
            Some(_) if errors > 0 => {
                format!("{} of {} requests failed", human_count(errors), human_count(run.totals.asked))
            }
            Some(ns) => {
                let rate = human_rate(run.totals.answered_per_s);
                let what = if run.workload.mode == record::Mode::Handshakes { "handshakes at " } else { "" };
                format!("{what}{rate}, p99 {}", human_duration(ns))
            }
            None => "nothing was measured".into(),
        };
        let _ = writeln!(text, "{}{sentence}", badge(tone, word, style));
    }
    text
}

fn load(run: &Run, style: Style) -> String {
    let (work, totals, generator) = (&run.workload, &run.totals, &run.generator);
    let pace = match (work.arrivals, work.rate_to_per_s) {
        (Arrivals::Closed, _) => "closed loop: the next request waits for an answer".to_owned(),
        (arrivals, to) => {
            let spacing = if arrivals == Arrivals::Poisson { "Poisson arrivals" } else { "even spacing" };
            let from = work.rate_per_s.unwrap_or(0.0);
            match to {
                Some(to) => format!("open loop, {spacing}, from {} to {}", human_rate(from), human_rate(to)),
                None => format!("open loop, {spacing}"),
            }
        }
    };
    let mut text = format!("{}{pace}, seed {}\n", label("Load", LABEL_COLUMNS, style), work.seed);
    let mut row = |name: &str, cells: [String; 3]| {
        let [first, second, third] = cells;
        let line = format!("  {name:<10}{first:<17}{second:<20}{third}");
        let _ = writeln!(text, "{}", line.trim_end());
    };
    row(
        "asked",
        [
            human_rate(totals.asked_per_s),
            format!("sent {}", human_rate(totals.sent_per_s)),
            format!("answered {}", human_rate(totals.answered_per_s)),
        ],
    );
    row(
        "requests",
        [
            human_count(totals.asked),
            format!("errors {}", human_count(totals.failed())),
            format!("time-outs {}", human_count(totals.timed_out)),
        ],
    );
    let trusted = match generator.verdict {
        Verdict::Trustworthy => "trustworthy",
        Verdict::Saturated => "saturated",
        Verdict::Untrustworthy => "not to be trusted",
    };
    let busy = format!("busy {:.0} %", generator.busy_fraction * 100.0);
    let lag = match generator.send_lag.percentile_ns(0.99) {
        // It asks when it was answered, so there is nothing to be late for.
        _ if work.arrivals == Arrivals::Closed => "no schedule".into(),
        Some(ns) => format!("lag p99 {}", human_duration(ns)),
        None => "lag unknown".into(),
    };
    row("generator", [lag, busy, trusted.into()]);
    text
}

fn latency(run: &Run, style: Style) -> String {
    let mut text = format!(
        "{}{:<VALUE_COLUMNS$}{}\n{:LABEL_COLUMNS$}{:<VALUE_COLUMNS$}{}\n",
        label("Latency", LABEL_COLUMNS, style),
        "response",
        "service",
        "",
        "from intended start",
        "from actual send"
    );
    let service = |p: f64| run.service.percentile_ns(p).map_or_else(|| "-".into(), human_duration);
    let told = run.response.percentiles();
    let mut row = |name: &str, response: u64, service: &str, note: &str| {
        let line = format!(
            "  {name:<10}{:<VALUE_COLUMNS$}{service:<VALUE_COLUMNS$}{note}",
            human_duration(response)
        );
        let _ = writeln!(text, "{}", line.trim_end());
    };
    for (place, Percentile { p, value_ns, samples_beyond }) in told.iter().copied().enumerate() {
        let last = place + 1 == told.len();
        let note =
            if last { format!("{} samples beyond", human_count(samples_beyond)) } else { String::new() };
        row(&percentile_name(p), value_ns, &service(p), &note);
    }
    let max = |histogram: Option<u64>| histogram.map_or_else(|| "-".into(), human_duration);
    if let Some(response) = run.response.histogram.max() {
        row("max", response, &max(run.service.histogram.max()), "");
    }
    if run.totals.failed() > 0 {
        let timeout = time(run.workload.timeout_s);
        let _ = writeln!(text, "  failed requests stand there with no less than the time-out of {timeout}");
    }
    text += &once_each("connect", &run.connect);
    text += &run.handshake.as_ref().map_or_else(String::new, |full| once_each("handshake", full));
    text += &run.handshake_resumed.as_ref().map_or_else(String::new, |resumed| once_each("resumed", resumed));
    text
}

/// A line on what connections went through once each.
fn once_each(name: &str, times: &Distribution) -> String {
    let Some(max) = times.histogram.max() else { return String::new() };
    let median = times.histogram.percentile(0.5).unwrap_or(max);
    let p99 =
        times.percentile_ns(0.99).map_or_else(String::new, |ns| format!("p99 {}, ", human_duration(ns)));
    format!("  {name:<10}p50 {}, {p99}max {}\n", human_duration(median), human_duration(max))
}

/// What the handshakes agreed on.
fn secured(security: &Security, style: Style) -> String {
    let mut text = String::new();
    let mut name = "\nSecurity";
    for agreed in &security.agreed {
        let columns = LABEL_COLUMNS + usize::from(!name.is_empty());
        let _ = writeln!(text, "{}{}", label(name, columns, style), agreed.words());
        name = "";
    }
    let (full, resumed) = (human_count(security.full), human_count(security.resumed));
    let _ = writeln!(text, "  {:<10}{full} new, {resumed} resumed", "sessions");
    text
}

fn failures(run: &Run, style: Style) -> String {
    let mut text = String::new();
    for (place, kind) in run.failures.iter().take(FAILURES_SHOWN).enumerate() {
        let name = if place == 0 { "\nFailures" } else { "" };
        let columns = LABEL_COLUMNS + usize::from(place == 0);
        let _ =
            writeln!(text, "{}{:<9} {}", label(name, columns, style), human_count(kind.count), kind.reason);
    }
    if let Some(more) = run.failures.len().checked_sub(FAILURES_SHOWN).filter(|more| *more > 0) {
        let _ = writeln!(text, "{:LABEL_COLUMNS$}and {more} kinds more, all in run.json", "");
    }
    text
}

/// What a search found, in few words.
fn answer(search: &Search) -> String {
    let Some(kept) = search.kept_per_s else { return "no rate was confirmed".into() };
    match (search.ended, search.missed_per_s) {
        (SearchEnd::Found, Some(missed)) => {
            format!("highest rate {}; {} is too fast", human_rate(kept), human_rate(missed))
        }
        _ => format!("highest rate at least {}", human_rate(kept)),
    }
}

fn searched(search: &Search, style: Style) -> String {
    let mut text = format!("\n{}{}\n", label("Search", LABEL_COLUMNS, style), search.sentence);
    let _ = writeln!(text, "  {:<14}{:<14}{:<10}{:<10}p99.9", "rate", "answered", "p50", "p99");
    for probe in &search.probes {
        let ns = |ns: Option<u64>| ns.map_or_else(|| "-".into(), human_duration);
        // The first words: the whole sentence is in the line above, or in run.json.
        let reason = probe.reason.split(':').next().unwrap_or_default();
        let verdict = if probe.kept { "kept".to_owned() } else { format!("missed: {reason}") };
        let _ = writeln!(
            text,
            "  {:<14}{:<14}{:<10}{:<10}{:<10}{:<11} {verdict}",
            human_rate(probe.rate_per_s),
            human_rate(probe.answered_per_s),
            ns(probe.p50_ns),
            ns(probe.p99_ns),
            ns(probe.p999_ns),
            probe.stage,
        );
    }
    text
}

fn resources(rows: &[Resources], style: Style) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut text = format!(
        "\n{}what the server took, as a process of its own\n",
        label("Resources", LABEL_COLUMNS, style)
    );
    let columns = ["profile", "messages", "memory", "processor", "descriptors", "in", "out", "wake-ups"];
    let line = |cells: [String; 8]| {
        let cells: Vec<String> = cells.iter().map(|cell| format!("{cell:<13}")).collect();
        format!("  {}\n", cells.concat().trim_end())
    };
    text += &line(columns.map(str::to_owned));
    for row in rows {
        let bytes_per_s = |bytes: f64| format!("{}/s", human_bytes(bytes.max(0.0) as u64));
        text += &line([
            row.profile.clone(),
            human_rate(row.messages_per_s),
            human_bytes(row.memory_bytes),
            format!("{:.1} %", row.processor_fraction * 100.0),
            human_count(row.descriptors),
            bytes_per_s(row.received_bytes_per_s),
            bytes_per_s(row.sent_bytes_per_s),
            human_rate(row.wakeups_per_s),
        ]);
    }
    text
}

fn baseline(comparison: &Comparison, style: Style) -> String {
    let mut text = String::new();
    for (place, figure) in comparison.figures.iter().enumerate() {
        let name = if place == 0 { "Baseline" } else { "" };
        let against =
            if place == 0 { format!("     against {}", comparison.baseline) } else { String::new() };
        let told = format!(
            "{} {:.2}x ({:.2}-{:.2}), {}{against}",
            figure.name,
            figure.ratio,
            figure.ratio_low,
            figure.ratio_high,
            change(figure.verdict)
        );
        text += &line(name, &told, style);
    }
    text + &line("", &comparison.sentence, style)
}

/// A change as people say it.
pub fn change(change: Change) -> &'static str {
    match change {
        Change::Better => "better",
        Change::Worse => "worse",
        Change::CannotTell => "cannot tell",
    }
}

/// `p99.9` for 0.999.
fn percentile_name(p: f64) -> String {
    let percent = format!("{:.4}", p * 100.0);
    format!("p{}", percent.trim_end_matches('0').trim_end_matches('.'))
}

/// So many things.
pub fn plural(n: u64, thing: &str) -> String {
    format!("{} {thing}{}", human_count(n), if n == 1 { "" } else { "s" })
}

/// A number of bytes in binary units, with as many decimals as matter.
pub fn human_bytes(bytes: u64) -> String {
    let (mut value, mut units) = (bytes as f64, ["B", "KiB", "MiB", "GiB"].iter());
    let mut unit = units.next().unwrap_or(&"");
    while value >= 1024.0
        && let Some(larger) = units.next()
    {
        (value, unit) = (value / 1024.0, larger);
    }
    if value < 10.0 && *unit != "B" { format!("{value:.1} {unit}") } else { format!("{value:.0} {unit}") }
}

fn time(seconds: f64) -> String {
    human_duration((seconds * 1e9) as u64)
}

/// The name in front, padded before it is coloured: escapes take no columns.
pub fn label(name: &str, columns: usize, style: Style) -> String {
    paint_padded(Tone::Label, name, columns, style)
}

/// A verdict in front of its sentence.
pub fn badge(tone: Tone, word: &str, style: Style) -> String {
    paint_padded(tone, word, LABEL_COLUMNS, style)
}

fn paint_padded(tone: Tone, word: &str, columns: usize, style: Style) -> String {
    let missing = columns.saturating_sub(word.chars().count());
    let painted = if word.is_empty() { String::new() } else { style.paint(tone, word) };
    format!("{painted}{:missing$}", "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_take_no_columns() {
        let coloured = badge(Tone::Good, "PASS", Style::COLOURED);
        assert_eq!(badge(Tone::Good, "PASS", Style::PLAIN), "PASS        ");
        assert_eq!(coloured, "\x1b[1;32mPASS\x1b[0m        ");
        assert_eq!(
            badge(Tone::Label, "", Style::COLOURED),
            " ".repeat(LABEL_COLUMNS),
            "nothing is not coloured"
        );
    }

    #[test]
    fn figures_are_told_as_people_write_them() {
        assert_eq!([0.5, 0.99, 0.999, 0.99999].map(percentile_name), ["p50", "p99", "p99.9", "p99.999"]);
        assert_eq!([0, 999, 1_536, 24 << 30].map(human_bytes), ["0 B", "999 B", "1.5 KiB", "24 GiB"]);
        assert_eq!(
            (plural(1, "thread"), plural(2_000, "thread")),
            ("1 thread".into(), "2 000 threads".into())
        );
    }
}
