//! How long connections took to be established and secured, as cumulative shares.

use crate::load::record::{Distribution, Run};
use crate::plot::chart::{Axis, Chart, Hit, Unit};
use crate::plot::figure::{Figure, Plot, Table};
use crate::plot::layers::{Layer, Line, Style};
use crate::plot::scale::Scale;
use crate::plot::units::{count, percent, time, time_or_dash};

/// Points of a curve at most.
const POINTS_MAX: usize = 400;

/// Connect and handshake times of a run.
pub(super) fn figure(run: &Run) -> Option<Figure> {
    let mut curves = vec![("connect", 0, &run.connect)];
    curves.extend(run.handshake.as_ref().map(|handshake| ("handshake", 1, handshake)));
    curves.extend(run.handshake_resumed.as_ref().map(|resumed| ("resumed handshake", 2, resumed)));
    curves.retain(|(_, _, distribution)| !distribution.histogram.is_empty());
    if curves.is_empty() {
        return None;
    }
    let values = curves.iter().flat_map(|(_, _, d)| [d.histogram.min(), d.histogram.max()]).flatten();
    let scale = Scale::log_tight(values.map(|value| value.max(1) as f64));
    let lines = curves.iter().map(|(name, series, d)| {
        Layer::Line(Line {
            name: (*name).to_owned(),
            series: *series,
            points: steps(d, scale),
            style: Style::Plain,
        })
    });
    let x = Axis::new("time", scale, Unit::Time);
    let y = Axis::new("share of connections", Scale::linear(0.0, 1.0), Unit::Percent);
    let mut chart = Chart::single(x, y, lines.collect());
    chart.hits = hits(&curves, scale);
    let mut table = Table::new(&["", "connections", "fastest", "p50", "p90", "p99", "slowest"]);
    let mut told = Vec::new();
    for (name, _, d) in &curves {
        let histogram = &d.histogram;
        let mut row = vec![(*name).to_owned(), count(histogram.count()), time_or_dash(histogram.min())];
        row.extend([0.5, 0.9, 0.99].map(|p| time_or_dash(d.percentile_ns(p))));
        row.push(time_or_dash(histogram.max()));
        told.push(format!("{name}: {} connections, slowest {}", row[1], row[6]));
        table.rows.push(row);
    }
    Some(Figure::Plot(Plot {
        id: "connect".to_owned(),
        title: if curves.len() > 1 { "Connect and handshake" } else { "Connect" }.to_owned(),
        read: "The height at a time is the share of connections that were up by then. A steep line means that all \
               were served alike; a step far to the right, often at 1 s or 3 s, means attempts that were dropped \
               and tried again."
            .to_owned(),
        describe: format!("Cumulative distribution of the time until connections were up. {}.", told.join("; ")),
        notes: Vec::new(),
        views: vec![("", chart)],
        table,
    }))
}

/// A staircase with a step at each bucket.
fn steps(distribution: &Distribution, scale: Scale) -> Vec<(f64, Option<f64>)> {
    let histogram = &distribution.histogram;
    let stride = histogram.buckets().count().div_ceil(POINTS_MAX / 2).max(1);
    let (mut below, mut drawn) = (0u64, 0.0);
    let mut points = vec![(scale.from, Some(0.0))];
    let used = histogram.buckets().count();
    for (index, bucket) in histogram.buckets().enumerate() {
        below += bucket.count;
        if index % stride == 0 || index + 1 == used {
            let share = below as f64 / histogram.count() as f64;
            let value = bucket.low.max(1) as f64;
            points.extend([(value, Some(drawn)), (value, Some(share))]);
            drawn = share;
        }
    }
    points.push((scale.to, Some(1.0)));
    points
}

fn hits(curves: &[(&str, usize, &Distribution)], scale: Scale) -> Vec<Hit> {
    const HITS: usize = 60;
    let edge = |index: usize| scale.from * (scale.to / scale.from).powf(index as f64 / HITS as f64);
    let hit = |index: usize| {
        let told = curves.iter().map(|(name, _, d)| {
            let below = d.histogram.buckets().take_while(|bucket| bucket.low as f64 <= edge(index + 1));
            let share = below.map(|bucket| bucket.count).sum::<u64>() as f64 / d.histogram.count() as f64;
            format!("{name}: {}", percent(share))
        });
        let text = format!("within {}\n{}", time(edge(index + 1)), told.collect::<Vec<_>>().join("\n"));
        Hit { x: (edge(index), edge(index + 1)), y: None, text }
    };
    (0..HITS).map(hit).collect()
}
