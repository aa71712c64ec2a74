//! Who was connected with whom: nodes on a ring, the two sides of a partition on a ring each, a source in the middle.

use crate::plot::chart::{Axis, Chart, Hit, Unit};
use crate::plot::figure::{Figure, Plot, Table};
use crate::plot::layers::{Layer, Line, Shape, Style};
use crate::plot::scale::Scale;
use crate::plot::units::{count, time};
use crate::scenario::plan::Scenario;
use crate::scenario::record::{Edge, Record};
use std::collections::BTreeSet;
use std::f64::consts::{FRAC_PI_2, TAU};

/// Connections that are drawn; more would be a black disc.
const DRAWN_MAX: usize = 1_500;

/// Nodes that tell their figures when pointed at.
const HITS_MAX: usize = 250;

/// Rows of the table.
const ROWS_MAX: usize = 200;

/// How far a round trip is told from others.
const CLASSES: [(&str, usize); 3] = [("nearest third", 0), ("middle third", 4), ("farthest third", 1)];

type Point = (f64, f64);

/// The drawing.
pub(super) fn figure(record: &Record) -> Figure {
    let topology = &record.topology;
    let places = places(record);
    let stride = topology.edges.len().div_ceil(DRAWN_MAX).max(1);
    let drawn: Vec<&Edge> = topology.edges.iter().step_by(stride).collect();
    let mut layers: Vec<Layer> = classes(record, &drawn)
        .into_iter()
        .filter(|(_, _, edges)| !edges.is_empty())
        .map(|(name, series, edges)| lines(name, series, &edges, &places))
        .collect();
    layers.extend(nodes(record, &places));
    let axis = || Axis::new("", Scale::linear(-1.12, 1.12), Unit::Names(Vec::new()));
    let mut chart = Chart::single(axis(), axis(), layers);
    chart.height = Some(430.0);
    if places.len() <= HITS_MAX {
        chart.hits = places.iter().enumerate().map(|(node, place)| hit(record, node, *place)).collect();
    }
    let mut notes = Vec::new();
    if (drawn.len() as u64) < topology.edges_total {
        let note = format!(
            "{} of {} connections are drawn.",
            count(drawn.len() as u64),
            count(topology.edges_total)
        );
        notes.push(note);
    }
    Figure::Plot(Plot {
        id: "topology".to_owned(),
        title: "Topology".to_owned(),
        read: "Each line is a connection. How near two nodes are in the drawing says nothing of how near they are in the \
               network: that is what the colours tell."
            .to_owned(),
        describe: format!(
            "{} nodes and {} connections between them.",
            count(places.len() as u64),
            count(topology.edges_total)
        ),
        notes,
        views: vec![("", chart)],
        table: table(record),
    })
}

/// The nodes on one side, if there was a partition.
fn side(record: &Record) -> Option<BTreeSet<u32>> {
    let fault = record.faults.iter().find(|fault| fault.kind == "partition")?;
    Some(fault.nodes.iter().copied().collect())
}

/// Where each node stands, within 1 of the middle.
fn places(record: &Record) -> Vec<Point> {
    let all = record.topology.nodes.len();
    let on_ring = |at: usize, of: usize, centre: f64, radius: Point| {
        let angle = FRAC_PI_2 - TAU * at as f64 / of.max(1) as f64;
        (centre + radius.0 * angle.cos(), radius.1 * angle.sin())
    };
    if let Some(side) = side(record) {
        let mut counted = [0, 0];
        return (0..all)
            .map(|node| {
                let right = usize::from(!side.contains(&(node as u32)));
                let of = [side.len(), all - side.len()][right];
                counted[right] += 1;
                on_ring(counted[right] - 1, of, [-0.56, 0.56][right], (0.42, 0.9))
            })
            .collect();
    }
    match record.scenario {
        Scenario::Transfer => vec![(-0.8, 0.0), (0.8, 0.0)],
        Scenario::Broadcast => {
            let sinks = (1..all).map(|node| on_ring(node - 1, all - 1, 0.0, (1.0, 1.0)));
            std::iter::once((0.0, 0.0)).chain(sinks).collect()
        }
        _ => (0..all).map(|node| on_ring(node, all, 0.0, (1.0, 1.0))).collect(),
    }
}

/// Connections by what is worth telling apart: the side of a partition, or else how far they are.
fn classes<'a>(record: &Record, drawn: &[&'a Edge]) -> Vec<(String, usize, Vec<&'a Edge>)> {
    if let Some(side) = side(record) {
        let crosses = |edge: &&Edge| side.contains(&edge.from) != side.contains(&edge.to);
        let (across, within): (Vec<&Edge>, Vec<&Edge>) = drawn.iter().copied().partition(crosses);
        return vec![("across the partition".to_owned(), 1, across), ("within a side".to_owned(), 0, within)];
    }
    let mut sorted = drawn.to_vec();
    sorted.sort_by(|a, b| a.round_trip_s.total_cmp(&b.round_trip_s));
    let (Some(first), Some(last)) = (sorted.first(), sorted.last()) else { return Vec::new() };
    if last.round_trip_s - first.round_trip_s < 1e-9 {
        return vec![(format!("round trip {}", time(first.round_trip_s * 1e9)), 0, sorted)];
    }
    let third = sorted.len().div_ceil(CLASSES.len());
    let named = |((name, series), edges): ((&str, usize), &[&'a Edge])| {
        let farthest = edges.last().map_or(0.0, |edge| edge.round_trip_s);
        (format!("{name}: round trips up to {}", time(farthest * 1e9)), series, edges.to_vec())
    };
    CLASSES.into_iter().zip(sorted.chunks(third)).map(named).collect()
}

fn lines(name: String, series: usize, edges: &[&Edge], places: &[Point]) -> Layer {
    let mut points = Vec::with_capacity(3 * edges.len());
    for edge in edges {
        let (Some(from), Some(to)) = (places.get(edge.from as usize), places.get(edge.to as usize)) else {
            continue;
        };
        points.extend([(from.0, Some(from.1)), (to.0, Some(to.1)), (to.0, None)]);
    }
    // A few lines would be lost as hairlines.
    let style = if edges.len() > 30 { Style::Thin } else { Style::Plain };
    Layer::Line(Line { name, series, points, style })
}

/// Marks for the nodes: those that went down are told from the others.
fn nodes(record: &Record, places: &[Point]) -> Vec<Layer> {
    let went_down: BTreeSet<u32> = record
        .faults
        .iter()
        .filter(|it| it.kind != "partition")
        .flat_map(|it| it.nodes.iter().copied())
        .collect();
    let (down, up): (Vec<_>, Vec<_>) =
        places.iter().enumerate().partition(|(node, _)| went_down.contains(&(*node as u32)));
    let marks = |name: &str, series, shape, points: Vec<(usize, &Point)>| Layer::Marks {
        name: name.to_owned(),
        series,
        shape,
        points: points.into_iter().map(|(_, place)| *place).collect(),
    };
    let mut made = vec![marks("node", 5, Shape::Disc, up)];
    if !down.is_empty() {
        made.push(marks("node that went down", 1, Shape::Ring, down.clone()));
        made.push(marks("", 1, Shape::Disc, down));
    }
    made
}

fn hit(record: &Record, node: usize, place: Point) -> Hit {
    let number = node as u32;
    let ends = record.topology.edges.iter().filter(|edge| edge.from == number || edge.to == number);
    let trips: Vec<f64> = ends.map(|edge| edge.round_trip_s).collect();
    let mean = trips.iter().sum::<f64>() / trips.len().max(1) as f64;
    let name = record.topology.nodes.get(node).cloned().unwrap_or_default();
    Hit {
        x: (place.0 - 0.02, place.0 + 0.02),
        y: Some((place.1 - 0.035, place.1 + 0.035)),
        text: format!("{name}\n{} connections\nmean round trip {}", trips.len(), time(mean * 1e9)),
    }
}

fn table(record: &Record) -> Table {
    let mut table = Table::new(&["connection", "round trip"]);
    let name = |node: u32| record.topology.nodes.get(node as usize).cloned().unwrap_or_default();
    for edge in record.topology.edges.iter().take(ROWS_MAX) {
        let pair = format!("{} to {}", name(edge.from), name(edge.to));
        table.rows.push(vec![pair, time(edge.round_trip_s * 1e9)]);
    }
    if record.topology.edges_total > ROWS_MAX as u64 {
        table.rows.push(vec!["…".to_owned(), String::new()]);
    }
    table
}
