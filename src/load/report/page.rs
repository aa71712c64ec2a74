//! The page of one run.

use super::plots;
use super::verdicts::verdicts;
use crate::load::record::{Arrivals, Mode, PERCENTILES, Run, Security, Workload};
use crate::plot::figure::Table;
use crate::plot::markup::{Markup, json_safe};
use crate::plot::parts::{document, figure, pairs, section, table};
use crate::plot::units::{bytes, count, number, percent, percentile_name, rate, time, time_or_dash, utc};

/// The report of a run as one HTML file that asks for nothing else. `baseline` is an earlier run to be drawn beside
/// it; the verdict on the two is in [`Run::comparison`].
///
/// Everything that came from outside (addresses, reasons, the command) is escaped, and the page forbids browsers to
/// load anything.
#[must_use]
pub fn page(run: &Run, baseline: Option<&Run>) -> String {
    let what = heading(run);
    document(&what, |out| {
        out.open("header", &[]);
        out.element("h1", &[], &what);
        out.element("p", &[("class", &"lead")], lead(run));
        out.close();
        verdicts(out, run);
        section(out, "Summary", |out| summary(out, run, baseline));
        section(out, "Plots", |out| {
            for plot in plots::of_run(run, baseline) {
                figure(out, &plot, &run.command);
            }
        });
        if !run.resources.is_empty() {
            section(out, "Resources of the server", |out| resources(out, run));
        }
        section(out, "What was run", |out| circumstances(out, run));
        section(out, "Repeat it", |out| repeat(out, run));
        // A record of plain numbers and strings cannot fail to become JSON.
        let json = serde_json::to_string(run).unwrap_or_else(|_| "null".to_owned());
        out.line();
        out.open("script", &[("type", &"application/json"), ("id", &"run")]);
        out.raw(&json_safe(&json));
        out.close();
    })
}

/// What was measured, in a few words.
pub(super) fn heading(run: &Run) -> String {
    let target = &run.target;
    let place = match (target.embedded, target.named.is_empty()) {
        (true, _) => "embedded server",
        (false, true) => &target.address,
        (false, false) => &target.named,
    };
    let how = match run.workload.mode {
        Mode::Messages => "",
        Mode::Handshakes => " on new connections",
    };
    format!("Latency of {}{how} over {}, {place}", target.protocol, target.transport)
}

fn lead(run: &Run) -> String {
    // The heading has the address already where there is no better name.
    let is_told = run.target.address.is_empty() || (run.target.named.is_empty() && !run.target.embedded);
    let address = if is_told { String::new() } else { format!("{} · ", run.target.address) };
    let measured = match run.measured_s > 0.0 {
        true => format!("measured for {}", time(run.measured_s * 1e9)),
        false => "nothing measured".to_owned(),
    };
    format!(
        "{address}{} · {} · {measured} · windlass {}",
        pace(&run.workload),
        utc(run.started_unix_ms),
        run.windlass_version
    )
}

/// How requests were to start, in a few words.
pub(super) fn pace(workload: &Workload) -> String {
    let spacing = match workload.arrivals {
        Arrivals::Closed => return "closed loop".to_owned(),
        Arrivals::Constant => "even spacing",
        Arrivals::Poisson => "Poisson arrivals",
    };
    let from = workload.rate_per_s.map_or_else(|| "rate unknown".to_owned(), rate);
    let to = workload.rate_to_per_s.map_or_else(String::new, |to| format!(" to {}", rate(to)));
    format!("open loop, {spacing}, {from}{to}")
}

fn summary(out: &mut Markup, run: &Run, baseline: Option<&Run>) {
    let totals = &run.totals;
    let lag = |p: f64| run.generator.send_lag.percentile_ns(p).map(|ns| (p, ns));
    let lag = lag(0.999).or_else(|| lag(0.99)).or_else(|| lag(0.5));
    let lag =
        lag.map_or_else(|| "–".to_owned(), |(p, ns)| format!("{} {}", percentile_name(p), time(ns as f64)));
    let receive = run.generator.receive_lag.percentile_ns(0.99);
    out.open("div", &[("class", &"summary")]);
    out.open("div", &[]);
    out.element("h3", &[], "Load");
    pairs(
        out,
        &[
            ("asked", rate(totals.asked_per_s)),
            ("sent", rate(totals.sent_per_s)),
            ("answered", rate(totals.answered_per_s)),
            ("requests", count(totals.asked)),
            (
                "failed",
                format!("{} ({})", count(totals.failed()), percent(share(totals.failed(), totals.asked))),
            ),
            (
                "sent, received",
                format!("{}, {}", bytes(totals.sent_bytes as f64), bytes(totals.received_bytes as f64)),
            ),
            ("generator send lag", lag),
            (
                "generator receive lag",
                receive.map_or_else(|| "–".to_owned(), |ns| format!("p99 {}", time(ns as f64))),
            ),
            ("generator busy", percent(run.generator.busy_fraction)),
        ],
    );
    out.close();
    out.open("div", &[]);
    out.element("h3", &[], "Latency");
    table(out, &latencies(run, baseline), "Latency by percentile");
    let note = "Response counts from the intended start, service from the actual send. Percentiles with fewer than \
                ten samples beyond them are left out.";
    out.element("p", &[("class", &"remark")], note);
    if run.workload.arrivals == Arrivals::Closed {
        let note = "In a closed loop a slow answer also delays the next request, so the waiting that independent \
                    users would have felt meanwhile is not in these figures.";
        out.element("p", &[("class", &"remark")], note);
    }
    out.close();
    out.close();
}

fn latencies(run: &Run, baseline: Option<&Run>) -> Table {
    let mut made = Table::new(&["", "response", "service"]);
    made.head.extend(baseline.map(|_| "baseline response".to_owned()));
    made.head.push("samples beyond".to_owned());
    for p in PERCENTILES.into_iter().filter(|p| run.response.histogram.is_supported(*p)) {
        let mut row = vec![percentile_name(p)];
        row.extend([&run.response, &run.service].map(|d| time_or_dash(d.percentile_ns(p))));
        row.extend(baseline.map(|run| time_or_dash(run.response.percentile_ns(p))));
        row.push(count((run.response.histogram.count() as f64 * (1.0 - p)).round() as u64));
        made.rows.push(row);
    }
    let mut last = vec!["max".to_owned()];
    last.extend([&run.response, &run.service].map(|d| time_or_dash(d.histogram.max())));
    last.extend(baseline.map(|run| time_or_dash(run.response.histogram.max())));
    last.push(if run.response.histogram.is_empty() { "–" } else { "0" }.to_owned());
    made.rows.push(last);
    made
}

fn resources(out: &mut Markup, run: &Run) {
    let mut made = Table::new(&[
        "profile",
        "messages",
        "memory",
        "processors",
        "descriptors",
        "received",
        "sent",
        "wake-ups",
    ]);
    for row in &run.resources {
        made.rows.push(vec![
            row.profile.clone(),
            rate(row.messages_per_s),
            bytes(row.memory_bytes as f64),
            percent(row.processor_fraction),
            count(row.descriptors),
            format!("{}/s", bytes(row.received_bytes_per_s)),
            format!("{}/s", bytes(row.sent_bytes_per_s)),
            rate(row.wakeups_per_s),
        ]);
    }
    out.open(
        "div",
        &[("class", &"scroll"), ("tabindex", &"0"), ("role", &"region"), ("aria-label", &"Resources")],
    );
    table(out, &made, "What the server took at each rate of messages; 100 % is one processor");
    out.close();
}

fn circumstances(out: &mut Markup, run: &Run) {
    out.open("div", &[("class", &"summary")]);
    out.open("div", &[]);
    out.element("h3", &[], "Workload");
    pairs(out, &workload_pairs(&run.workload));
    if let Some(security) = &run.security {
        out.element("h3", &[], "Security");
        pairs(out, &security_pairs(security));
    }
    out.close();
    out.open("div", &[]);
    out.element("h3", &[], "Machine of the generator");
    pairs(out, &host_pairs(run));
    out.element("h3", &[], "Failures by kind");
    if run.failures.is_empty() {
        out.element("p", &[], "None.");
    } else {
        let mut made = Table::new(&["what happened", "how often"]);
        made.rows.extend(run.failures.iter().map(|kind| vec![kind.reason.clone(), count(kind.count)]));
        out.open("div", &[("class", &"texts")]);
        table(out, &made, "Failures, most frequent first");
        out.close();
    }
    out.close();
    out.close();
}

fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Messages => "messages on open connections",
        Mode::Handshakes => "handshakes: a connection for each request",
    }
}

fn workload_pairs(workload: &Workload) -> Vec<(&'static str, String)> {
    let seconds = |s: f64| time(s * 1e9);
    let mut made = vec![
        ("mode", mode(workload.mode).to_owned()),
        ("arrivals", pace(workload)),
        ("connections", count(workload.connections)),
        ("depth", count(workload.depth)),
        ("size", format!("{} bytes", workload.size_bytes)),
    ];
    if workload.think_s > 0.0 {
        made.push(("think time", seconds(workload.think_s)));
    }
    made.extend(
        workload.reconnect_every.map(|every| ("reconnect", format!("every {} answers", count(every)))),
    );
    made.extend([
        ("warm-up", seconds(workload.warm_up_s)),
        ("duration", seconds(workload.duration_s)),
        ("time-out", seconds(workload.timeout_s)),
        ("threads", count(workload.threads)),
        ("waiting", workload.waiting.clone()),
        ("seed", workload.seed.to_string()),
    ]);
    made
}

/// What was agreed on, most frequent first.
fn security_pairs(security: &Security) -> Vec<(&'static str, String)> {
    let mut made =
        vec![("handshakes", format!("{} full, {} resumed", count(security.full), count(security.resumed)))];
    made.extend(security.agreed.iter().map(|agreed| ("agreed", agreed.words())));
    made
}

fn host_pairs(run: &Run) -> Vec<(&'static str, String)> {
    let host = &run.host;
    let mut made = vec![("processors", count(u64::from(host.processors)))];
    made.extend(host.processor_model.clone().map(|model| ("model", model)));
    made.push(("kernel", host.kernel.clone()));
    made.extend(host.governor.clone().map(|governor| ("governor", governor)));
    made.extend(host.memory_bytes.map(|memory| ("memory", bytes(memory as f64))));
    if !host.reference_round_trip_ns.is_empty() {
        let told: Vec<_> = host.reference_round_trip_ns.iter().map(|ns| time(*ns as f64)).collect();
        made.push(("own round trip", told.join(", ")));
    }
    made.extend(host.processor_wait_fraction.map(|wait| ("waited for a processor", percent(wait))));
    made.push((
        "connections",
        format!("{} made, {} failed", count(run.totals.connected), count(run.totals.connect_failed)),
    ));
    made
}

fn repeat(out: &mut Markup, run: &Run) {
    if run.command.is_empty() {
        let seed = run.workload.seed;
        out.element("p", &[], format!("The run was started from code; seed {seed} repeats its choices."));
        return;
    }
    out.open("pre", &[("tabindex", &"0")]);
    out.element("code", &[], &run.command);
    out.close();
    let intervals = number(run.intervals.len() as f64);
    let note =
        format!("The whole record of the run, {intervals} intervals included, is part of this file as JSON.");
    out.element("p", &[("class", &"remark")], note);
}

/// A part of a whole; nothing of nothing is 0.
pub(super) fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
