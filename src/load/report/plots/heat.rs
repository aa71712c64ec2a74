//! The heat map of response times over time: what an average over the run would hide.

use super::columns::Columns;
use crate::load::record::Interval;
use crate::plot::chart::{Axis, Chart, Hit, Unit};
use crate::plot::figure::{Figure, Plot, Table};
use crate::plot::layers::{Cells, Layer, shade};
use crate::plot::scale::Scale;
use crate::plot::units::{count, time, time_or_dash};

/// Rows of the map, from the lowest to the highest latency.
const ROWS: usize = 56;

const TITLE: &str = "Response times over time";

/// The heat map of a run.
pub(super) fn figure(columns: &Columns) -> Figure {
    let counted = |i: &Interval| i.response.histogram.count();
    if columns.merged.iter().map(counted).sum::<u64>() == 0 {
        let why = "No interval holds an answered or failed request.".to_owned();
        return Figure::Absent { title: TITLE, why };
    }
    let extremes = columns
        .merged
        .iter()
        .filter_map(|i| Some([i.response.histogram.min()?, i.response.histogram.max()?]));
    let scale = Scale::log(extremes.flatten().map(|value| value.max(1) as f64));
    let grid: Vec<Vec<u64>> = columns.merged.iter().map(|interval| rows(interval, scale)).collect();
    let most = grid.iter().flatten().copied().max().unwrap_or(1).max(1);
    let row_edge = |row: usize| scale.from * (scale.to / scale.from).powf(row as f64 / ROWS as f64);
    let mut cells = Vec::new();
    for ((from, to), rows) in columns.edges().zip(&grid) {
        let shaded = rows.iter().enumerate().filter(|(_, count)| **count > 0);
        cells.extend(
            shaded.map(|(row, count)| (from, to, row_edge(row), row_edge(row + 1), shade(*count, most))),
        );
    }
    let name = "responses per cell, shades at equal ratios".to_owned();
    let layer = Layer::Cells(Cells { name, cells, extremes: (1, most) });
    let mut chart = Chart::single(columns.axis(), Axis::new("response time", scale, Unit::Time), vec![layer]);
    chart.hits = columns
        .edges()
        .zip(&columns.merged)
        .enumerate()
        .map(|(index, (x, interval))| Hit { x, y: None, text: tell(columns, index, interval) })
        .collect();
    Figure::Plot(Plot {
        id: "heat".to_owned(),
        title: TITLE.to_owned(),
        read: "Each column is a moment of the run, each cell a range of response times, and the stronger its colour \
               the more responses fell into it. A steady target draws one even stripe; a stall draws a slope that \
               falls to the right, since those who came later waited less."
            .to_owned(),
        describe: format!(
            "Heat map of response times: {} columns over the run; at most {} responses in one cell.",
            columns.merged.len(),
            count(most)
        ),
        notes: columns.note().into_iter().collect(),
        views: vec![("", chart)],
        table: table(columns),
    })
}

/// How many responses fall into each row.
fn rows(interval: &Interval, scale: Scale) -> Vec<u64> {
    let mut rows = vec![0u64; ROWS];
    let max = interval.response.histogram.max().unwrap_or(u64::MAX);
    for bucket in interval.response.histogram.buckets() {
        let middle = f64::midpoint(bucket.low as f64, bucket.high.min(max) as f64).max(1.0);
        let row = (scale.position(middle) * ROWS as f64) as usize;
        rows[row.min(ROWS - 1)] += bucket.count;
    }
    rows
}

fn tell(columns: &Columns, index: usize, interval: &Interval) -> String {
    let histogram = &interval.response.histogram;
    let when = columns.when(index);
    match (histogram.min(), histogram.percentile(0.5), histogram.max()) {
        (Some(min), Some(median), Some(max)) => format!(
            "{when}\n{} responses\nfastest {}\nmedian {}\nslowest {}",
            count(histogram.count()),
            time(min as f64),
            time(median as f64),
            time(max as f64)
        ),
        _ => format!("{when}\nno responses"),
    }
}

fn table(columns: &Columns) -> Table {
    let mut table = Table::new(&["elapsed", "responses", "fastest", "median", "slowest"]);
    for (index, interval) in columns.merged.iter().enumerate() {
        let histogram = &interval.response.histogram;
        table.rows.push(vec![
            columns.when(index),
            count(histogram.count()),
            time_or_dash(histogram.min()),
            time_or_dash(histogram.percentile(0.5)),
            time_or_dash(histogram.max()),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::HistogramSnapshot;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_response_is_lost_between_rows(values in prop::collection::vec(0u64..10_000_000_000, 1..200)) {
            let max = values.iter().copied().max().unwrap();
            let response = HistogramSnapshot::from_buckets(values.iter().map(|value| (*value, 2)), max);
            let interval = Interval { response: response.into(), ..Interval::default() };
            let scale = Scale::log(values.iter().map(|value| *value as f64));
            prop_assert_eq!(rows(&interval, scale).iter().sum::<u64>(), 2 * values.len() as u64);
        }
    }
}
