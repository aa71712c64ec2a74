//! Throughput over virtual time, with what went wrong meanwhile.

use crate::plot::chart::{Axis, Chart, Hit, Panel, Unit};
use crate::plot::figure::{Figure, Plot, Table};
use crate::plot::layers::{Layer, Line, Style};
use crate::plot::scale::Scale;
use crate::plot::units::{bit_rate, count, number, rate};
use crate::scenario::record::{Course, Record};
use crate::units::bit_rate_unit;

/// What the y axis of a course is divided by, so that its labels are short, and what they are then.
fn unit(course: &Course) -> (f64, String) {
    let most = course.values.iter().copied().fold(0.0, f64::max);
    match course.unit.as_str() {
        "bits_per_s" => {
            let (by, name) = bit_rate_unit(most);
            (by, format!("{}, {name}", course.name))
        }
        unit => (
            1.0,
            match unit.strip_suffix("_per_s") {
                Some(_) => format!("{}/s", course.name),
                None => course.name.clone(),
            },
        ),
    }
}

/// All courses, one above the other.
pub(super) fn figure(record: &Record) -> Option<Figure> {
    let courses: Vec<&Course> = record.courses.iter().filter(|course| course.values.len() > 1).collect();
    let first = *courses.first()?;
    let end = record.virtual_s.max(first.column_s);
    let panels = courses.iter().enumerate().map(|(series, course)| panel(record, course, series)).collect();
    let x = Axis::new("virtual time, s", Scale::linear(0.0, end), Unit::Number);
    let mut chart = Chart { x, panels, hits: Vec::new(), height: None };
    chart.height = Some(150.0 * courses.len() as f64 + 90.0);
    chart.hits = hits(first, &courses);
    Some(Figure::Plot(Plot {
        id: "throughput".to_owned(),
        title: "Throughput over virtual time".to_owned(),
        read: "What arrived in each stretch of virtual time, per second. A gap is a time in which nothing got through; a \
               peak after it is what had piled up."
            .to_owned(),
        describe: describe(&courses),
        notes: Vec::new(),
        views: vec![("", chart)],
        table: table(first, &courses),
    }))
}

fn panel(record: &Record, course: &Course, series: usize) -> Panel {
    let (by, title) = unit(course);
    let values: Vec<f64> = course.values.iter().map(|value| value / by).collect();
    let y = Axis::new(title, Scale::from_zero(values.iter().copied()), Unit::Number);
    let at = |index: usize| index as f64 * course.column_s;
    let mut layers = Vec::new();
    if course.unit.ends_with("_per_s") {
        let bars = values.iter().enumerate().map(|(index, value)| (at(index), at(index + 1), *value));
        layers.push(Layer::Bars {
            name: String::new(),
            series,
            bars: bars.filter(|bar| bar.2 > 0.0).collect(),
        });
    } else {
        let points = values.iter().enumerate().map(|(index, value)| (at(index), Some(*value))).collect();
        layers.push(Layer::Line(Line { name: String::new(), series, points, style: Style::Plain }));
    }
    for fault in record.faults.iter().filter(|fault| fault.kind == "partition") {
        for (x, label) in [(fault.from_s, "falls apart"), (fault.to_s, "heals")] {
            let label = if series == 0 { label.to_owned() } else { String::new() };
            layers.push(Layer::Upright { label, x });
        }
    }
    Panel { y, share: 1.0, layers }
}

fn told(course: &Course, value: f64) -> String {
    match course.unit.as_str() {
        "bits_per_s" => bit_rate(value),
        unit if unit.ends_with("_per_s") => rate(value),
        _ => count(value as u64),
    }
}

/// The value of a course in the column of another.
fn at(course: &Course, from_s: f64) -> f64 {
    let column = (from_s / course.column_s.max(f64::MIN_POSITIVE) + 1e-6) as usize;
    course.values.get(column).copied().unwrap_or(0.0)
}

fn hits(first: &Course, courses: &[&Course]) -> Vec<Hit> {
    let hit = |column: usize| {
        let (from, to) = (column as f64 * first.column_s, (column + 1) as f64 * first.column_s);
        let lines =
            courses.iter().map(|course| format!("{}: {}", course.name, told(course, at(course, from))));
        let lines: Vec<_> = lines.collect();
        Hit { x: (from, to), y: None, text: format!("{} s\n{}", number(from), lines.join("\n")) }
    };
    (0..first.values.len()).map(hit).collect()
}

fn describe(courses: &[&Course]) -> String {
    let words = courses.iter().map(|course| {
        let most = course.values.iter().copied().fold(0.0, f64::max);
        format!("{}: at most {}", course.name, told(course, most))
    });
    format!("What arrived over virtual time. {}.", words.collect::<Vec<_>>().join("; "))
}

fn table(first: &Course, courses: &[&Course]) -> Table {
    let mut table = Table::new(&["from, s"]);
    table.head.extend(courses.iter().map(|course| course.name.clone()));
    for column in 0..first.values.len() {
        let from = column as f64 * first.column_s;
        let mut row = vec![format!("{from:.3}")];
        row.extend(courses.iter().map(|course| told(course, at(course, from))));
        table.rows.push(row);
    }
    table
}
