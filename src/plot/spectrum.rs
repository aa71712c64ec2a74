//! The curve of a percentile spectrum: a whole distribution with its tail stretched.
//!
//! The axis is that of HdrHistogram's plots: 1 / (1 - p) on a logarithmic scale, so that each nine takes as much room as
//! the one before.

use super::layers::{Line, Style};
use crate::metrics::HistogramSnapshot;

/// Points along a curve.
const POINTS: usize = 220;

/// Samples that have to lie beyond a point for it to mean something.
pub(crate) const BEYOND_MIN: f64 = 10.0;

/// The curve, solid as far as samples support it and weak from there on to the maximum. What the histogram holds are so
/// many `parts` of what the y axis tells.
pub(crate) fn curve(name: &str, series: usize, histogram: &HistogramSnapshot, parts: f64) -> [Line; 2] {
    let samples = histogram.count() as f64;
    let told = |value: u64| value.max(1) as f64 / parts;
    let at = |one_in: f64| {
        let value = histogram.percentile(1.0 - 1.0 / one_in).or(histogram.min());
        (one_in, value.map(told))
    };
    let step = samples.max(2.0).ln() / (POINTS - 1) as f64;
    let all = || (0..POINTS).map(|index| (step * index as f64).exp()).filter(|one_in| *one_in < samples);
    let strong_to = samples / BEYOND_MIN;
    let mut strong: Vec<_> = all().filter(|one_in| *one_in < strong_to).map(at).collect();
    let mut weak: Vec<_> = all().filter(|one_in| *one_in > strong_to).map(at).collect();
    if strong_to >= 1.0 {
        strong.push(at(strong_to));
        weak.insert(0, at(strong_to));
    }
    weak.push((samples, histogram.max().map(told)));
    let line = |points, style| Line { name: name.to_owned(), series, points, style };
    [line(strong, Style::Marked), line(weak, Style::Weak)]
}
