//! What a search for the highest rate found: latency and goodput against the rate that was offered.

use crate::load::record::{Probe, Run, Search};
use crate::plot::chart::{Axis, Chart, Hit, Unit};
use crate::plot::figure::{Figure, Plot, Table};
use crate::plot::layers::{Layer, Line, Shape, Style};
use crate::plot::scale::Scale;
use crate::plot::units::{rate, time_or_dash};

/// A percentile's name, and where it is.
type Named = (&'static str, fn(&Probe) -> Option<u64>);

/// The percentiles of a probe, with their names.
const PERCENTILES: [Named; 3] =
    [("p50", |probe| probe.p50_ns), ("p99", |probe| probe.p99_ns), ("p99.9", |probe| probe.p999_ns)];

/// The probes by rising rate, without those that have none.
fn by_rate(search: &Search) -> Vec<&Probe> {
    let usable = |probe: &&Probe| probe.rate_per_s.is_finite() && probe.rate_per_s > 0.0;
    let mut probes: Vec<_> = search.probes.iter().filter(usable).collect();
    probes.sort_by(|a, b| a.rate_per_s.total_cmp(&b.rate_per_s));
    probes
}

/// One point for each rate, the median where several probes had the same.
fn medians(probes: &[&Probe], value: impl Fn(&Probe) -> Option<f64>) -> Vec<(f64, Option<f64>)> {
    let same = probes.chunk_by(|a, b| (a.rate_per_s - b.rate_per_s).abs() <= 1e-6 * a.rate_per_s);
    same.map(|probes| {
        let mut values: Vec<_> = probes.iter().filter_map(|probe| value(probe)).collect();
        values.sort_by(f64::total_cmp);
        (probes[0].rate_per_s, values.get(values.len().saturating_sub(1) / 2).copied())
    })
    .collect()
}

/// Latency against the rate offered.
pub(super) fn load_curve(run: &Run) -> Option<Figure> {
    const TITLE: &str = "Load curve";
    let search = run.search.as_ref()?;
    let probes = by_rate(search);
    let values: Vec<f64> = PERCENTILES
        .iter()
        .flat_map(|(_, of)| probes.iter().filter_map(|probe| of(probe)))
        .map(|ns| ns.max(1) as f64)
        .collect();
    if values.is_empty() {
        return Some(Figure::Absent {
            title: TITLE,
            why: "No run of the search had samples enough.".to_owned(),
        });
    }
    let bounds: Vec<_> = run.slo.iter().filter_map(|slo| Some((slo, slo.bound_ns? as f64))).collect();
    let y = Scale::log(values.iter().copied().chain(bounds.iter().map(|(_, bound)| *bound)));
    let mut layers = Vec::new();
    for (series, (name, of)) in PERCENTILES.into_iter().enumerate() {
        let points = medians(&probes, |probe| of(probe).map(|ns| ns.max(1) as f64));
        layers.push(Layer::Line(Line { name: name.to_owned(), series, points, style: Style::Marked }));
    }
    let missed = probes.iter().filter(|probe| !probe.kept);
    let missed = missed.flat_map(|probe| {
        PERCENTILES.iter().filter_map(|(_, of)| Some((probe.rate_per_s, of(probe)?.max(1) as f64)))
    });
    let points = missed.collect();
    layers.push(Layer::Marks { name: "missed".to_owned(), series: 5, shape: Shape::Ring, points });
    layers.extend(bounds.iter().map(|(slo, bound)| Layer::Level {
        label: format!("SLO {}", slo.objective),
        y: *bound,
        point: None,
    }));
    layers.extend(search.kept_per_s.map(|x| Layer::Upright { label: format!("kept up to {}", rate(x)), x }));
    let chart = |x: Scale| {
        let x = Axis::new("offered requests per second", x, Unit::Number);
        let mut chart = Chart::single(x, Axis::new("response time", y, Unit::Time), layers.clone());
        chart.hits = hits(&probes, x_reach(&probes));
        chart
    };
    let rates = || probes.iter().map(|probe| probe.rate_per_s);
    Some(Figure::Plot(Plot {
        id: "load-curve".to_owned(),
        title: TITLE.to_owned(),
        read: "Where the lines turn upwards, the target begins to queue: the knee. Rates left of it are safe to run \
               at; just right of it a little more load costs a lot of latency. Rings mark runs that missed an \
               objective or the rate."
            .to_owned(),
        describe: format!("Latency against offered rate over {} runs. {}", probes.len(), search.sentence),
        notes: vec![search.sentence.clone()],
        views: vec![("linear rates", chart(Scale::from_zero(rates()))), ("log rates", chart(Scale::log_tight(rates())))],
        table: table(search),
    }))
}

/// Half the ratio between neighbouring rates, for the places that tell values.
fn x_reach(probes: &[&Probe]) -> f64 {
    let ratios = probes.windows(2).map(|pair| pair[1].rate_per_s / pair[0].rate_per_s).filter(|r| *r > 1.001);
    ratios.fold(1.1, f64::min).sqrt()
}

fn hits(probes: &[&Probe], reach: f64) -> Vec<Hit> {
    let text = |probe: &Probe| {
        let told = PERCENTILES.map(|(name, of)| format!("{name}: {}", time_or_dash(of(probe))));
        let verdict = if probe.kept { "kept".to_owned() } else { format!("missed: {}", probe.reason) };
        format!(
            "{} offered ({})\n{} answered\n{}\n{verdict}",
            rate(probe.rate_per_s),
            probe.stage,
            rate(probe.answered_per_s),
            told.join("\n")
        )
    };
    let hit = |probe: &&Probe| Hit {
        x: (probe.rate_per_s / reach, probe.rate_per_s * reach),
        y: None,
        text: text(probe),
    };
    probes.iter().map(hit).collect()
}

fn table(search: &Search) -> Table {
    let mut table = Table::new(&["offered", "answered", "p50", "p99", "p99.9", "stage", "verdict"]);
    for probe in &search.probes {
        let mut row = vec![rate(probe.rate_per_s), rate(probe.answered_per_s)];
        row.extend(PERCENTILES.map(|(_, of)| time_or_dash(of(probe))));
        row.push(probe.stage.clone());
        row.push(if probe.kept { "kept".to_owned() } else { format!("missed: {}", probe.reason) });
        table.rows.push(row);
    }
    table
}

/// The rate of good answers against the rate offered.
pub(super) fn goodput(run: &Run) -> Option<Figure> {
    let search = run.search.as_ref()?;
    let probes = by_rate(search);
    if probes.is_empty() {
        return None;
    }
    let points_of = |kept: bool| -> Vec<_> {
        let of = probes.iter().filter(|probe| probe.kept == kept);
        of.map(|probe| (probe.rate_per_s, probe.answered_per_s)).collect()
    };
    let chart = |x: Scale, y: Scale| {
        let ends = [x.from.max(y.from), x.to.min(y.to)];
        let equal = ends.map(|end| (end, Some(end))).to_vec();
        let line = medians(&probes, |probe| Some(probe.answered_per_s));
        let layers = vec![
            Layer::Line(Line {
                name: "all answered".to_owned(),
                series: 4,
                points: equal,
                style: Style::Broad,
            }),
            Layer::Line(Line { name: "answered".to_owned(), series: 0, points: line, style: Style::Plain }),
            Layer::Marks { name: "kept".to_owned(), series: 0, shape: Shape::Disc, points: points_of(true) },
            Layer::Marks {
                name: "missed".to_owned(),
                series: 1,
                shape: Shape::Cross,
                points: points_of(false),
            },
        ];
        let x = Axis::new("offered requests per second", x, Unit::Number);
        let mut chart = Chart::single(x, Axis::new("answered per second", y, Unit::Number), layers);
        chart.hits = hits(&probes, x_reach(&probes));
        chart
    };
    let offered = || probes.iter().map(|probe| probe.rate_per_s);
    let both = || probes.iter().flat_map(|probe| [probe.rate_per_s, probe.answered_per_s]);
    Some(Figure::Plot(Plot {
        id: "goodput".to_owned(),
        title: "Goodput".to_owned(),
        read: "On the broad line every request got its answer. Where the points leave it, more load brings no more \
               answers; where they fall, the target spends itself on requests that fail."
            .to_owned(),
        describe: format!("Rate of good answers against offered rate over {} runs of a search.", probes.len()),
        notes: Vec::new(),
        views: vec![
            ("linear rates", chart(Scale::from_zero(offered()), Scale::from_zero(both()))),
            ("log rates", chart(Scale::log_tight(offered()), Scale::log_tight(both()))),
        ],
        table: table(search),
    }))
}
