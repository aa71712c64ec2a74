//! Delivery times over virtual time: how a fault looks to those who wait for messages.

use crate::plot::chart::{Axis, Chart, Hit, Unit};
use crate::plot::figure::{Figure, Plot, Table};
use crate::plot::layers::{Cells, Layer, shade};
use crate::plot::scale::Scale;
use crate::plot::units::{count, number, time};
use crate::scenario::record::{HeatCell, Record};

/// The map of all deliveries.
pub(super) fn figure(record: &Record) -> Option<Figure> {
    let most = record.heat.iter().map(|cell| cell.count).max()?;
    // A single column is no course.
    if record.heat.windows(2).all(|pair| pair[0].from_s == pair[1].from_s) {
        return None;
    }
    let scale = Scale::log_tight(record.heat.iter().flat_map(|cell| [cell.low_ns, cell.high_ns]));
    let cell = |it: &HeatCell| (it.from_s, it.to_s, it.low_ns, it.high_ns, shade(it.count, most));
    let cells = record.heat.iter().map(cell).collect();
    let name = "arrivals per cell, shades at equal ratios".to_owned();
    let mut layers = vec![Layer::Cells(Cells { name, cells, extremes: (1, most) })];
    for fault in record.faults.iter().filter(|fault| fault.kind == "partition") {
        layers.push(Layer::Upright { label: "falls apart".to_owned(), x: fault.from_s });
        layers.push(Layer::Upright { label: "heals".to_owned(), x: fault.to_s });
    }
    let end = record.heat.iter().map(|cell| cell.to_s).fold(record.virtual_s, f64::max);
    let x = Axis::new("virtual time of arrival, s", Scale::linear(0.0, end), Unit::Number);
    let mut chart = Chart::single(x, Axis::new("time it took", scale, Unit::Time), layers);
    let columns = columns(&record.heat);
    chart.hits = columns.iter().map(|(x, cells)| Hit { x: *x, y: None, text: tell(*x, cells) }).collect();
    Some(Figure::Plot(Plot {
        id: "heat".to_owned(),
        title: "Delivery times over virtual time".to_owned(),
        read: "Each column is a stretch of virtual time, each cell a range of delivery times; the stronger its colour, the \
               more messages arrived then that had taken so long. Distance draws even stripes. What a \
               fault held back arrives high above them, once it is over."
            .to_owned(),
        describe: format!(
            "Heat map of delivery times: {} columns over virtual time; at most {} arrivals in one cell.",
            columns.len(),
            count(most)
        ),
        notes: Vec::new(),
        views: vec![("", chart)],
        table: table(&columns),
    }))
}

type Column<'a> = ((f64, f64), &'a [HeatCell]);

fn columns(cells: &[HeatCell]) -> Vec<Column<'_>> {
    let chunks = cells.chunk_by(|a, b| a.from_s == b.from_s);
    chunks.filter_map(|chunk| Some(((chunk.first()?.from_s, chunk.first()?.to_s), chunk))).collect()
}

/// Arrivals of a column, the shortest and the longest time.
fn figures(cells: &[HeatCell]) -> [String; 3] {
    let arrivals = cells.iter().map(|cell| cell.count).sum();
    let low = cells.first().map_or(f64::NAN, |cell| cell.low_ns);
    let high = cells.last().map_or(f64::NAN, |cell| cell.high_ns);
    [count(arrivals), time(low), time(high)]
}

fn tell(x: (f64, f64), cells: &[HeatCell]) -> String {
    let [arrivals, low, high] = figures(cells);
    format!("{} s\n{arrivals} arrivals\n{low} to {high}", number(x.0))
}

fn table(columns: &[Column<'_>]) -> Table {
    let mut table = Table::new(&["from, s", "arrivals", "shortest, at least", "longest, at most"]);
    for ((from, _), cells) in columns {
        let mut row = vec![format!("{from:.3}")];
        row.extend(figures(cells));
        table.rows.push(row);
    }
    table
}
