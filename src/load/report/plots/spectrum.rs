//! The percentile spectrum: the whole distribution with its tail stretched, response beside service.
//!
//! The axis is that of HdrHistogram's plots: 1 / (1 - p) on a logarithmic scale, so that each nine takes as much
//! room as the one before.

use crate::load::record::{Distribution, Run};
use crate::plot::chart::{Axis, Chart, Hit, Unit};
use crate::plot::figure::{Figure, Plot, Table};
use crate::plot::layers::Layer;
use crate::plot::scale::Scale;
use crate::plot::spectrum::{BEYOND_MIN, curve};
use crate::plot::units::{nines, percentile_name, time, time_or_dash, utc};

const TITLE: &str = "Percentile spectrum";

/// The spectrum of a run.
pub(super) fn figure(run: &Run, baseline: Option<&Run>) -> Figure {
    let samples = run.response.histogram.count();
    if samples == 0 {
        return Figure::Absent { title: TITLE, why: "No request was answered or failed.".to_owned() };
    }
    let earlier =
        baseline.map(|run| (format!("response of the baseline, {}", utc(run.started_unix_ms)), run));
    let mut curves = vec![("response".to_owned(), 0, &run.response), ("service".to_owned(), 1, &run.service)];
    curves.extend(earlier.iter().map(|(name, run)| (name.clone(), 3, &run.response)));
    curves.retain(|(_, _, distribution)| !distribution.histogram.is_empty());

    let most = curves.iter().map(|(_, _, d)| d.histogram.count()).max().unwrap_or(1);
    let x = Axis::new("share of requests that took no longer (percentile)", Scale::nines(most), Unit::Nines);
    let lines: Vec<_> =
        curves.iter().flat_map(|(name, series, d)| curve(name, *series, &d.histogram, 1.0)).collect();
    let told = lines.iter().flat_map(|line| line.points.iter().filter_map(|(_, y)| *y));
    let bounds = run.slo.iter().filter_map(|slo| slo.bound_ns).map(|bound| bound as f64);
    let y = Axis::new("latency", Scale::log(told.chain(bounds)), Unit::Time);

    let weak_from = (samples as f64 / BEYOND_MIN).max(1.0);
    let mut layers = vec![Layer::Shade { label: "fewer than 10 samples beyond".to_owned(), from: weak_from }];
    layers.extend(lines.into_iter().map(Layer::Line));
    layers.extend(run.slo.iter().filter_map(|slo| {
        let label = format!("SLO {} {}", slo.objective, if slo.kept { '✓' } else { '✗' });
        let point = slo.p.filter(|p| *p < 1.0).map(|p| 1.0 / (1.0 - p));
        Some(Layer::Level { label, y: slo.bound_ns? as f64, point })
    }));
    let mut chart = Chart::single(x, y, layers);
    chart.hits = hits(&curves, most);
    Figure::Plot(Plot {
        id: "spectrum".to_owned(),
        title: TITLE.to_owned(),
        read: "Each step to the right is a rarer request: at 99.9 % one in 1 000 took longer than the curve. \
               Response counts from the intended start, service from the actual send; where they part, requests \
               waited before they were sent. Flat is good; read nothing into dotted ends."
            .to_owned(),
        describe: describe(&curves),
        notes: Vec::new(),
        views: vec![("", chart)],
        table: table(&curves, most),
    })
}

fn hits(curves: &[(String, usize, &Distribution)], most: u64) -> Vec<Hit> {
    let steps = (10.0 * (most.max(10) as f64).log10()).floor() as usize;
    let edge = |index: usize| 10f64.powf(index as f64 / 10.0);
    let hit = |index: usize| {
        let one_in = edge(index);
        let told =
            curves.iter().filter(|(_, _, d)| one_in <= d.histogram.count() as f64).map(|(name, _, d)| {
                let value = d.histogram.percentile(1.0 - 1.0 / one_in);
                let weak = d.histogram.count() as f64 / one_in < BEYOND_MIN;
                format!("{name}: {}{}", time_or_dash(value), if weak { " (few samples)" } else { "" })
            });
        let share = 100.0 * (1.0 - 1.0 / one_in);
        let digits = (one_in.log10().floor() as usize).max(1);
        let text = format!("{share:.digits$} %\n{}", told.collect::<Vec<_>>().join("\n"));
        Hit { x: (edge(index) / 1.122, edge(index) * 1.122), y: None, text }
    };
    (0..=steps).map(hit).collect()
}

fn describe(curves: &[(String, usize, &Distribution)]) -> String {
    let told = curves.iter().map(|(name, _, distribution)| {
        let percentiles = distribution.percentiles();
        let figures =
            percentiles.iter().map(|it| format!("{} {}", percentile_name(it.p), time(it.value_ns as f64)));
        let max = distribution.histogram.max().map(|max| format!("maximum {}", time(max as f64)));
        format!("{name}: {}", figures.chain(max).collect::<Vec<_>>().join(", "))
    });
    format!("Latency by percentile. {}.", told.collect::<Vec<_>>().join("; "))
}

fn table(curves: &[(String, usize, &Distribution)], most: u64) -> Table {
    let mut table = Table::new(&["share"]);
    table.head.extend(curves.iter().map(|(name, _, _)| name.clone()));
    table.head.push("samples beyond".to_owned());
    let mut one_in = 1.0;
    while one_in <= most as f64 {
        for part in [1.0, 2.0, 4.0].map(|part| part * one_in).into_iter().filter(|part| *part <= most as f64)
        {
            let value = |d: &Distribution| {
                let told =
                    if part == 1.0 { d.histogram.min() } else { d.histogram.percentile(1.0 - 1.0 / part) };
                time_or_dash(told.filter(|_| part <= d.histogram.count() as f64))
            };
            let mut row = vec![nines(part)];
            row.extend(curves.iter().map(|(_, _, d)| value(d)));
            row.push(crate::plot::units::count((curves[0].2.histogram.count() as f64 / part) as u64));
            table.rows.push(row);
        }
        one_in *= 10.0;
    }
    let mut last = vec!["maximum".to_owned()];
    last.extend(curves.iter().map(|(_, _, d)| time_or_dash(d.histogram.max())));
    last.push("0".to_owned());
    table.rows.push(last);
    table
}
