//! The spectrum of delivery times, and of how they compare with their bounds.

use crate::plot::chart::{Axis, Chart, Hit, Unit};
use crate::plot::figure::{Figure, Plot, Table};
use crate::plot::layers::Layer;
use crate::plot::scale::Scale;
use crate::plot::spectrum::{BEYOND_MIN, curve};
use crate::plot::units::{nines, ratio, time, time_or_dash};
use crate::scenario::record::{Measure, Record};

/// Fewer samples than this are no spectrum.
const SAMPLES_MIN: u64 = 10;

/// Curves that one chart tells apart.
const CURVES_MAX: usize = 4;

/// Millionths.
const PARTS: f64 = 1e6;

/// The spectrum of all that was measured often enough.
pub(super) fn figure(record: &Record) -> Option<Figure> {
    let often = |measure: &&Measure| measure.times.histogram.count() >= SAMPLES_MIN;
    let measures: Vec<&Measure> = record.measures.iter().filter(often).take(CURVES_MAX).collect();
    if measures.is_empty() {
        return None;
    }
    let mut views = vec![("times", times(&measures))];
    views.extend(ratios(&measures).map(|chart| ("over the bound", chart)));
    Some(Figure::Plot(Plot {
        id: "spectrum".to_owned(),
        title: "How long it took".to_owned(),
        read: "Each step to the right is a rarer case: at 99 % one in a hundred took longer than the curve. The second view \
               divides each time by the least that its own link allows: at 1× nothing but distance and the wire was waited \
               for, and what lies above is retransmission, queueing, or a fault."
            .to_owned(),
        describe: describe(&measures),
        notes: Vec::new(),
        views,
        table: table(&measures),
    }))
}

fn times(measures: &[&Measure]) -> Chart {
    let lines: Vec<_> = measures
        .iter()
        .enumerate()
        .flat_map(|(series, it)| curve(&it.name, series, &it.times.histogram, 1.0))
        .collect();
    let told = lines.iter().flat_map(|line| line.points.iter().filter_map(|(_, y)| *y));
    let y = Axis::new("time", Scale::log_tight(told), Unit::Time);
    let most = measures.iter().map(|it| it.times.histogram.count()).max().unwrap_or(1);
    let mut chart = Chart::single(share(most), y, lines.into_iter().map(Layer::Line).collect());
    chart.hits = hits(most, |one_in| {
        let told = measures.iter().filter(|it| one_in <= it.times.histogram.count() as f64);
        told.map(|it| {
            format!("{}: {}", it.name, time_or_dash(it.times.histogram.percentile(1.0 - 1.0 / one_in)))
        })
        .collect()
    });
    chart
}

fn ratios(measures: &[&Measure]) -> Option<Chart> {
    let bounded: Vec<_> = measures
        .iter()
        .enumerate()
        .filter_map(|(series, it)| Some((series, &it.name, &it.over_bound.as_ref()?.ratios)))
        .collect();
    let most = bounded.iter().map(|(_, _, ratios)| ratios.count()).max()?;
    let lines: Vec<_> =
        bounded.iter().flat_map(|(series, name, ratios)| curve(name, *series, ratios, PARTS)).collect();
    let told = lines.iter().flat_map(|line| line.points.iter().filter_map(|(_, y)| *y));
    let y = Axis::new("time over its bound", Scale::log_tight(told.chain([1.0])), Unit::Ratio);
    let mut layers: Vec<_> = lines.into_iter().map(Layer::Line).collect();
    layers.push(Layer::Level { label: "the bound".to_owned(), y: 1.0, point: None });
    let mut chart = Chart::single(share(most), y, layers);
    chart.hits = hits(most, |one_in| {
        let told = bounded.iter().filter(|(_, _, ratios)| one_in <= ratios.count() as f64);
        told.map(|(_, name, ratios)| {
            let value = ratios.percentile(1.0 - 1.0 / one_in).map(|it| ratio(it as f64 / PARTS));
            format!("{name}: {}", value.unwrap_or_default())
        })
        .collect()
    });
    Some(chart)
}

fn share(most: u64) -> Axis {
    Axis::new("share that took no longer (percentile)", Scale::nines(most), Unit::Nines)
}

/// Places that tell what `told` says of one in so many.
fn hits(most: u64, told: impl Fn(f64) -> Vec<String>) -> Vec<Hit> {
    let steps = (10.0 * (most.max(10) as f64).log10()).floor() as usize;
    let hit = |index: usize| {
        let one_in = 10f64.powf(index as f64 / 10.0);
        let weak = most as f64 / one_in < BEYOND_MIN;
        let words = if weak { "\n(few samples)" } else { "" };
        let text = format!("{:.3} %\n{}{words}", 100.0 * (1.0 - 1.0 / one_in), told(one_in).join("\n"));
        Hit { x: (one_in / 1.122, one_in * 1.122), y: None, text }
    };
    (0..=steps).map(hit).collect()
}

fn describe(measures: &[&Measure]) -> String {
    let told = measures.iter().map(|it| {
        let times = &it.times.histogram;
        let [median, max] = [times.percentile(0.5), times.max()].map(time_or_dash);
        let over = it.over_bound.as_ref().map(|over| format!(", over the bound {}", over.words()));
        format!("{}: median {median}, maximum {max}{}", it.name, over.unwrap_or_default())
    });
    format!("Times by percentile. {}.", told.collect::<Vec<_>>().join("; "))
}

fn table(measures: &[&Measure]) -> Table {
    let mut table = Table::new(&["share"]);
    for measure in measures {
        table.head.push(measure.name.clone());
        table.head.extend(measure.over_bound.as_ref().map(|_| "over bound".to_owned()));
    }
    let most = measures.iter().map(|it| it.times.histogram.count()).max().unwrap_or(0);
    let mut one_in = 1.0;
    while one_in <= most as f64 {
        let mut row = vec![nines(one_in)];
        for measure in measures {
            let reaches = one_in <= measure.times.histogram.count() as f64;
            let at = |histogram: &crate::metrics::HistogramSnapshot| {
                histogram.percentile(1.0 - 1.0 / one_in).filter(|_| reaches)
            };
            row.push(at(&measure.times.histogram).map_or_else(|| "–".to_owned(), |ns| time(ns as f64)));
            row.extend(
                measure.over_bound.as_ref().map(|over| {
                    at(&over.ratios).map_or_else(|| "–".to_owned(), |it| ratio(it as f64 / PARTS))
                }),
            );
        }
        table.rows.push(row);
        one_in *= if one_in < 2.0 {
            2.0
        } else if (one_in.log10().fract()).abs() < 1e-9 {
            10.0
        } else {
            5.0
        };
    }
    table
}
