//! The histogram of latencies: how many responses took how long.

use crate::load::record::{Distribution, Run};
use crate::plot::chart::{Axis, Chart, Hit, Unit};
use crate::plot::figure::{Figure, Plot, Table};
use crate::plot::layers::Layer;
use crate::plot::scale::Scale;
use crate::plot::units::{count, time};

/// Bars from one end of the axis to the other.
const BARS: usize = 140;

/// No bar is narrower than this ratio, which is several buckets of the histogram: narrower ones would show the
/// edges of buckets.
const BAR_RATIO_MIN: f64 = 1.02;

const TITLE: &str = "Latency histogram";

/// The histogram of a run, counts on a logarithmic or on a linear axis.
pub(super) fn figure(run: &Run) -> Figure {
    let (response, service) = (&run.response, &run.service);
    let (Some(min), Some(max)) = (response.histogram.min(), response.histogram.max()) else {
        return Figure::Absent { title: TITLE, why: "No request was answered or failed.".to_owned() };
    };
    let service_ends = [service.histogram.min(), service.histogram.max()];
    let ends = [Some(min), Some(max)].into_iter().chain(service_ends).flatten();
    let scale = Scale::log_tight(ends.map(|value| value.max(1) as f64));
    let ratio = (scale.to / scale.from).powf(1.0 / BARS as f64).max(BAR_RATIO_MIN);
    let (responses, services) = (bars(response, scale, ratio), bars(service, scale, ratio));
    let tallest = responses.iter().chain(&services).map(|bar| bar.2).fold(1.0, f64::max);
    let chart = |y: Scale| {
        let x = Axis::new("latency", scale, Unit::Time);
        let mut layers = Vec::new();
        for (name, series, bars) in [("response", 0, &responses), ("service", 1, &services)] {
            if !bars.is_empty() {
                layers.push(Layer::Bars { name: name.to_owned(), series, bars: bars.clone() });
            }
        }
        let mut chart = Chart::single(x, Axis::new("requests", y, Unit::Number), layers);
        let text = |bar: &(f64, f64, f64)| {
            format!("{} – {}\n{} responses", time(bar.0), time(bar.1), count(bar.2 as u64))
        };
        chart.hits =
            responses.iter().map(|bar| Hit { x: (bar.0, bar.1), y: None, text: text(bar) }).collect();
        chart
    };
    let linear = chart(Scale::from_zero([tallest]));
    let log = chart(Scale::log([0.5, tallest]));
    let mut table = Table::new(&["from", "to", "responses"]);
    table.rows.extend(responses.iter().map(|bar| vec![time(bar.0), time(bar.1), count(bar.2 as u64)]));
    Figure::Plot(Plot {
        id: "histogram".to_owned(),
        title: TITLE.to_owned(),
        read: "Each hump is one way in which requests were served: one for the usual case, others for retries, \
               pauses or misses. On the linear axis areas tell how common each is; the logarithmic one shows the \
               rare ones too."
            .to_owned(),
        describe: format!(
            "Histogram of {} response times from {} to {}.",
            count(response.histogram.count()),
            time(min as f64),
            time(max as f64)
        ),
        notes: Vec::new(),
        views: vec![("linear counts", linear), ("log counts", log)],
        table,
    })
}

/// Counts by latency, each bar `ratio` times as wide as the one before; empty bars are left out.
fn bars(distribution: &Distribution, scale: Scale, ratio: f64) -> Vec<(f64, f64, f64)> {
    let last = ((scale.to / scale.from).ln() / ratio.ln()).ceil() as usize;
    let mut counts = vec![0u64; last + 1];
    let max = distribution.histogram.max().unwrap_or(0);
    for bucket in distribution.histogram.buckets() {
        let middle = f64::midpoint(bucket.low as f64, bucket.high.min(max) as f64).max(scale.from);
        let index = ((middle / scale.from).ln() / ratio.ln()) as usize;
        counts[index.min(last)] += bucket.count;
    }
    let edge = |index: usize| scale.from * ratio.powf(index as f64);
    let used = counts.iter().enumerate().filter(|(_, count)| **count > 0);
    used.map(|(index, count)| (edge(index), edge(index + 1).min(scale.to), *count as f64)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::HistogramSnapshot;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_response_is_in_a_bar(values in prop::collection::vec(0u64..100_000_000_000, 1..200)) {
            let max = values.iter().copied().max().unwrap();
            let response = HistogramSnapshot::from_buckets(values.iter().map(|value| (*value, 1)), max).into();
            let scale = Scale::log_tight(values.iter().map(|value| *value as f64));
            let made = bars(&response, scale, BAR_RATIO_MIN);
            prop_assert_eq!(made.iter().map(|bar| bar.2).sum::<f64>(), values.len() as f64);
            prop_assert!(made.windows(2).all(|pair| pair[0].1 <= pair[1].0 * (1.0 + 1e-9)));
        }
    }
}
