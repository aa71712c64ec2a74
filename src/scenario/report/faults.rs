//! What went wrong, on a time line.

use crate::plot::chart::{Axis, Chart, Hit, Unit};
use crate::plot::figure::{Figure, Plot, Table};
use crate::plot::layers::Layer;
use crate::plot::scale::Scale;
use crate::plot::units::{number, time};
use crate::scenario::record::{FaultSpan, Record};
use std::collections::BTreeSet;

/// Rows with names; beyond that the axis counts nodes.
const ROWS_NAMED_MAX: usize = 60;

/// Height of a row with a name, in SVG units.
const ROW: f64 = 15.0;

/// Kinds of faults, in the order of the legend.
const KINDS: [&str; 3] = ["crash", "power off", "partition"];

/// The time line, if anything went wrong.
pub(super) fn figure(record: &Record) -> Option<Figure> {
    let faults = &record.faults;
    if faults.is_empty() {
        return None;
    }
    let names = names(record);
    let row = |fault: &FaultSpan| match &names {
        // The first name stands on top, and rows count from below.
        Some(names) => {
            let at = names.iter().position(|name| *name == name_of(record, fault)).unwrap_or(0);
            (names.len() - 1 - at) as f64
        }
        None => f64::from(fault.nodes.first().copied().unwrap_or(0)),
    };
    let mut layers = Vec::new();
    for (series, kind) in KINDS.into_iter().enumerate() {
        let of = faults.iter().filter(|fault| fault.kind == kind);
        let spans: Vec<_> =
            of.map(|it| (it.from_s, f64::midpoint(it.from_s, it.to_s), it.to_s, row(it))).collect();
        if !spans.is_empty() {
            layers.push(Layer::Spans { name: kind.to_owned(), series, spans });
        }
    }
    let y = match &names {
        Some(names) => {
            let named = names.iter().rev().cloned().collect();
            Axis::new("", Scale::linear(-0.7, names.len() as f64 - 0.3), Unit::Names(named))
        }
        None => Axis::new("node", Scale::linear(-1.0, record.topology.nodes.len() as f64), Unit::Whole),
    };
    let x = Axis::new("virtual time, s", Scale::linear(0.0, record.virtual_s), Unit::Number);
    let mut chart = Chart::single(x, y, layers);
    chart.height = names.as_ref().map(|names| (ROW * names.len() as f64).max(50.0));
    let hit = |fault: &FaultSpan| Hit {
        x: (fault.from_s, fault.to_s),
        y: Some((row(fault) - 0.5, row(fault) + 0.5)),
        text: cells(record, fault).join("\n"),
    };
    chart.hits = faults.iter().map(hit).collect();
    let mut table = Table::new(&["what", "fault", "from", "to", "for"]);
    table.rows.extend(faults.iter().map(|fault| cells(record, fault)));
    Some(Figure::Plot(Plot {
        id: "faults".to_owned(),
        title: "What went wrong".to_owned(),
        read: read(record).to_owned(),
        describe: format!("Time line of {} faults.", faults.len()),
        notes: Vec::new(),
        views: vec![("", chart)],
        table,
    }))
}

fn read(record: &Record) -> &'static str {
    if record.faults.iter().any(|fault| fault.kind == "partition") {
        "Nothing passes between the two sides from the beginning of the span to its end, and nobody is told. TCP tries again \
         at doubled intervals, so that it may find out only as late again as the partition was long."
    } else {
        "Each span is a fault, from when it began until it was undone. After a crash the neighbours are told at once, by a \
         reset; a node without power just falls silent, and they learn of it when it is back."
    }
}

/// The rows by name, if there are not too many.
fn names(record: &Record) -> Option<Vec<String>> {
    let nodes: BTreeSet<(u32, String)> = record
        .faults
        .iter()
        .map(|fault| (fault.nodes.first().copied().unwrap_or(0), name_of(record, fault)))
        .collect();
    (nodes.len() <= ROWS_NAMED_MAX).then(|| nodes.into_iter().map(|(_, name)| name).collect())
}

/// Whom a fault is about.
fn name_of(record: &Record, fault: &FaultSpan) -> String {
    let all = record.topology.nodes.len();
    match fault.nodes.as_slice() {
        [node] if fault.kind != "partition" => {
            record.topology.nodes.get(*node as usize).cloned().unwrap_or_default()
        }
        side => format!("{} nodes from {}", side.len(), all.saturating_sub(side.len())),
    }
}

fn cells(record: &Record, fault: &FaultSpan) -> Vec<String> {
    vec![
        name_of(record, fault),
        fault.kind.clone(),
        format!("{} s", number(fault.from_s)),
        format!("{} s", number(fault.to_s)),
        time((fault.to_s - fault.from_s) * 1e9),
    ]
}
