//! The comparison with an earlier run: ratios with the intervals in which the true ones lie.

use crate::load::record::{Change, ComparedFigure, Run};
use crate::plot::chart::{Axis, Chart, Hit, Unit};
use crate::plot::figure::{Figure, Plot, Table};
use crate::plot::layers::Layer;
use crate::plot::scale::Scale;
use crate::plot::units::{rate, ratio, time, utc};

/// Height of a row, in SVG units.
const ROW: f64 = 42.0;

/// The comparison of a run, if one was asked for.
pub(super) fn figure(run: &Run) -> Option<Figure> {
    const TITLE: &str = "Comparison with the baseline";
    let comparison = run.comparison.as_ref()?;
    let usable = |figure: &&ComparedFigure| {
        [figure.ratio_low, figure.ratio, figure.ratio_high].iter().all(|it| *it > 0.0 && it.is_finite())
    };
    let figures: Vec<_> = comparison.figures.iter().filter(usable).collect();
    if figures.is_empty() {
        return Some(Figure::Absent { title: TITLE, why: comparison.sentence.clone() });
    }
    // The first figure stands on top, and rows count from below.
    let row = |index: usize| (figures.len() - 1 - index) as f64;
    let names = figures.iter().rev().map(|figure| figure.name.clone()).collect();
    let scale = Scale::ratios(figures.iter().flat_map(|figure| [figure.ratio_low, figure.ratio_high]));
    let mut layers = vec![Layer::Upright { label: String::new(), x: 1.0 }];
    let kinds = [(Change::CannotTell, 4), (Change::Better, 0), (Change::Worse, 1)];
    for (change, series) in kinds {
        let of = figures.iter().enumerate().filter(|(_, figure)| figure.verdict == change);
        let spans: Vec<_> =
            of.map(|(index, it)| (it.ratio_low, it.ratio, it.ratio_high, row(index))).collect();
        if !spans.is_empty() {
            layers.push(Layer::Spans { name: word(change).to_owned(), series, spans });
        }
    }
    let end = figures.len() as f64 - 0.5;
    let x = Axis::new("ratio to the baseline: left of 1 is less, right of 1 is more", scale, Unit::Ratio);
    let y = Axis::new("", Scale::linear(-0.5, end), Unit::Names(names));
    let mut chart = Chart::single(x, y, layers);
    chart.height = Some(ROW * figures.len() as f64);
    let hit = |(index, figure): (usize, &&ComparedFigure)| Hit {
        x: (scale.from, scale.to),
        y: Some((row(index) - 0.5, row(index) + 0.5)),
        text: format!("{}\n{}", figure.name, cells(figure)[1..].join("\n")),
    };
    chart.hits = figures.iter().enumerate().map(hit).collect();
    let mut table = Table::new(&["", "baseline", "now", "ratio", "from", "to", "verdict"]);
    table.rows.extend(figures.iter().map(|figure| cells(figure)));
    Some(Figure::Plot(Plot {
        id: "comparison".to_owned(),
        title: TITLE.to_owned(),
        read: "Each bar is the range in which the true ratio lies. A bar that crosses 1 says that there may be no \
               difference at all; for latencies left is better, for rates right is."
            .to_owned(),
        describe: format!("{} Baseline: {}.", comparison.sentence, comparison.baseline),
        notes: vec![format!("Baseline: {}, {}.", comparison.baseline, utc(comparison.baseline_started_unix_ms))],
        views: vec![("", chart)],
        table,
    }))
}

fn cells(figure: &ComparedFigure) -> Vec<String> {
    let value = |value| if figure.name.starts_with("rate") { rate(value) } else { time(value) };
    let mut row = vec![figure.name.clone(), value(figure.baseline), value(figure.now)];
    row.extend([figure.ratio, figure.ratio_low, figure.ratio_high].map(ratio));
    row.push(word(figure.verdict).to_owned());
    row
}

/// A verdict in words.
const fn word(change: Change) -> &'static str {
    match change {
        Change::Better => "better",
        Change::Worse => "worse",
        Change::CannotTell => "cannot tell",
    }
}
