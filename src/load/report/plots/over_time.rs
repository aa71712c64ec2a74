//! Lines over the time of the run: percentiles, rates, and the generator's own health.

use super::columns::{Columns, max_ns};
use crate::load::record::{Arrivals, Interval, Run, Verdict};
use crate::plot::chart::{Axis, Chart, Hit, Panel, Unit};
use crate::plot::figure::{Figure, Plot, Table};
use crate::plot::layers::{Layer, Line, Style};
use crate::plot::scale::Scale;
use crate::plot::units::{count, number, percent, percentile_name, rate, time_or_dash};

/// Percentiles drawn over time.
const OVER_TIME: [f64; 3] = [0.5, 0.99, 0.999];

/// Percentiles of each interval, where it has samples enough.
pub(super) fn percentiles(run: &Run, columns: &Columns) -> Figure {
    const TITLE: &str = "Percentiles over time";
    let mut lines = Vec::new();
    let mut notes: Vec<String> = columns.note().into_iter().collect();
    for (series, p) in OVER_TIME.into_iter().enumerate() {
        let points: Vec<_> =
            columns.points(move |i| i.response.percentile_ns(p).map(|ns| ns.max(1) as f64)).collect();
        if points.iter().any(|(_, value)| value.is_some()) {
            lines.push(Line { name: percentile_name(p), series, points, style: Style::Marked });
        } else {
            let needed = count((10.0 / (1.0 - p)).round() as u64);
            notes.push(format!(
                "{} is left out: it takes {needed} responses in a column.",
                percentile_name(p)
            ));
        }
    }
    let points: Vec<_> = columns.points(|i| max_ns(&i.response).map(|ns| ns.max(1.0))).collect();
    if points.iter().all(|(_, value)| value.is_none()) {
        return Figure::Absent { title: TITLE, why: "No interval holds a response.".to_owned() };
    }
    lines.push(Line { name: "maximum".to_owned(), series: 3, points, style: Style::Marked });

    let bounds: Vec<_> = run.slo.iter().filter_map(|slo| Some((slo, slo.bound_ns? as f64))).collect();
    let told = lines.iter().flat_map(|line| line.points.iter().filter_map(|(_, value)| *value));
    let y = Axis::new(
        "response time",
        Scale::log(told.chain(bounds.iter().map(|(_, bound)| *bound))),
        Unit::Time,
    );
    let mut layers: Vec<_> = lines.into_iter().map(Layer::Line).collect();
    layers.extend(bounds.iter().map(|(slo, bound)| Layer::Level {
        label: format!("SLO {}", slo.objective),
        y: *bound,
        point: None,
    }));
    let table = percentile_table(columns);
    let mut chart = Chart::single(columns.axis(), y, layers);
    chart.hits = hits(columns, &table);
    Figure::Plot(Plot {
        id: "percentiles".to_owned(),
        title: TITLE.to_owned(),
        read: "Even lines mean that the whole run was like any part of it. A maximum that jumps while the median \
               stays is a short stall; a median that climbs is a queue that grows."
            .to_owned(),
        describe: format!(
            "Percentiles of the response time in {} columns over the run; the slowest response of all took {}.",
            columns.merged.len(),
            time_or_dash(run.response.histogram.max())
        ),
        notes,
        views: vec![("", chart)],
        table,
    })
}

fn percentile_table(columns: &Columns) -> Table {
    let mut table = Table::new(&["elapsed", "responses", "p50", "p99", "p99.9", "maximum"]);
    for (index, interval) in columns.merged.iter().enumerate() {
        let mut row = vec![columns.when(index), count(interval.response.histogram.count())];
        row.extend(OVER_TIME.map(|p| time_or_dash(interval.response.percentile_ns(p))));
        row.push(time_or_dash(interval.response.histogram.max()));
        table.rows.push(row);
    }
    table
}

/// Each column tells its row of the table.
fn hits(columns: &Columns, table: &Table) -> Vec<Hit> {
    let told = table.rows.iter().map(|row| {
        let figures = table.head.iter().zip(row).skip(1).map(|(name, value)| format!("{name}: {value}"));
        std::iter::once(row[0].clone()).chain(figures).collect::<Vec<_>>().join("\n")
    });
    columns.edges().zip(told).map(|(x, text)| Hit { x, y: None, text }).collect()
}

/// Requests per second: asked for, sent, answered, failed.
pub(super) fn rates(run: &Run, columns: &Columns) -> Figure {
    let line = |name: &str, series, style, value: fn(&Interval) -> f64| {
        let points = columns.points(move |i| Some(value(i) / i.length_s)).collect();
        Line { name: name.to_owned(), series, points, style }
    };
    let mut lines = Vec::new();
    if run.workload.arrivals != Arrivals::Closed {
        lines.push(line("asked", 4, Style::Broad, |i| i.asked));
    }
    lines.push(line("sent", 0, Style::Marked, |i| i.sent as f64));
    lines.push(line("answered", 2, Style::Marked, |i| i.answered as f64));
    lines.push(line("failed", 1, Style::Marked, |i| i.failed as f64));
    let told = lines.iter().flat_map(|line| line.points.iter().filter_map(|(_, value)| *value));
    let y = Axis::new("requests per second", Scale::from_zero(told), Unit::Number);
    let mut table = Table::new(&["elapsed", "asked", "sent", "answered", "failed", "connections"]);
    for (index, i) in columns.merged.iter().enumerate() {
        let mut row = vec![columns.when(index)];
        row.extend(
            [i.asked, i.sent as f64, i.answered as f64, i.failed as f64].map(|n| rate(n / i.length_s)),
        );
        row.push(count(i.connections));
        table.rows.push(row);
    }
    let mut chart = Chart::single(columns.axis(), y, lines.into_iter().map(Layer::Line).collect());
    chart.hits = hits(columns, &table);
    let totals = &run.totals;
    Figure::Plot(Plot {
        id: "rates".to_owned(),
        title: "Rates".to_owned(),
        read: "All on one line, and failed at the bottom: the target kept up. Answered below sent: requests pile up \
               or fail. Sent below asked: every connection was busy, or the generator was late."
            .to_owned(),
        describe: format!(
            "Requests per second over the run. On the whole {} asked, {} sent, {} answered; {} requests failed.",
            rate(totals.asked_per_s),
            rate(totals.sent_per_s),
            rate(totals.answered_per_s),
            count(totals.failed())
        ),
        notes: columns.note().into_iter().collect(),
        views: vec![("", chart)],
        table,
    })
}

/// How late and how busy the generator itself was.
pub(super) fn generator(run: &Run, columns: &Columns) -> Figure {
    let lag: Vec<_> = columns.points(|i| i.send_lag_p99_ns.map(|ns| ns.max(1) as f64)).collect();
    let median: Vec<_> =
        columns.points(|i| i.response.percentile_ns(0.5).map(|ns| ns.max(1) as f64)).collect();
    let busy: Vec<_> = columns.points(|i| Some(i.busy_fraction)).collect();
    let receive = run.generator.receive_lag.percentile_ns(0.99).map(|ns| ns.max(1) as f64);
    let told = lag.iter().chain(&median).filter_map(|(_, value)| *value).chain(receive);
    let lag_axis = Axis::new("lag", Scale::log(told), Unit::Time);
    let line = |name: &str, series, points| {
        Layer::Line(Line { name: name.to_owned(), series, points, style: Style::Marked })
    };
    let mut layers = vec![line("median response", 4, median), line("send lag p99", 0, lag)];
    if receive.is_some() {
        let points = columns.points(|_| receive).collect();
        layers.push(line("receive lag p99 of the whole run", 1, points));
    }
    let busy_axis = Axis::new("busy", Scale::linear(0.0, 1.0), Unit::Percent);
    let panels = vec![
        Panel { y: lag_axis, share: 2.0, layers },
        Panel { y: busy_axis, share: 1.0, layers: vec![line("busiest thread", 2, busy)] },
    ];
    let mut table = Table::new(&["elapsed", "send lag p99", "busy"]);
    for (index, i) in columns.merged.iter().enumerate() {
        table.rows.push(vec![columns.when(index), time_or_dash(i.send_lag_p99_ns), percent(i.busy_fraction)]);
    }
    let hits = hits(columns, &table);
    let spins = run.workload.waiting == "spin";
    let verdict = match run.generator.verdict {
        Verdict::Trustworthy => "trustworthy",
        Verdict::Saturated => "saturated",
        Verdict::Untrustworthy => "not to be trusted",
    };
    let mut notes: Vec<String> = columns.note().into_iter().collect();
    if spins {
        notes.push(
            "The threads spin while they wait; busy counts only the time in which they had work.".to_owned(),
        );
    }
    Figure::Plot(Plot {
        id: "generator".to_owned(),
        title: "The generator's own health".to_owned(),
        read: "Lag is lateness that the generator caused itself, and it is part of every latency in this report. It \
               should lie well below the median response; lag that climbs towards it, or a thread that is always \
               busy, means that the figures tell of the generator."
            .to_owned(),
        describe: format!(
            "Send lag and share of busy time over the run. Send lag p99 of the run {}; busiest thread busy {} of the \
             time; verdict: {verdict}. {}",
            time_or_dash(run.generator.send_lag.percentile_ns(0.99)),
            percent(run.generator.busy_fraction),
            number(columns.merged.len() as f64) + " columns.",
        ),
        notes,
        views: vec![("", Chart { x: columns.axis(), panels, hits, height: None })],
        table,
    })
}
