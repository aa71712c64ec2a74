//! The plots of a report: what each shows, how to read it, and the figures behind it as a table.

mod columns;
mod comparison;
mod connect;
mod heat;
mod histogram;
mod over_time;
mod search;
mod spectrum;

use super::chart::Chart;
use crate::load::record::Run;

/// One plot, or the reason why there is none.
#[derive(Debug)]
pub(super) enum Figure {
    /// There is something to see.
    Plot(Plot),
    /// There is not, and a reader might wonder why.
    Absent {
        /// What it would have been.
        title: &'static str,
        /// The reason, in a sentence.
        why: String,
    },
}

/// A plot with everything that belongs to it.
#[derive(Debug)]
pub(super) struct Plot {
    /// Unique in the page.
    pub id: String,
    /// What it shows.
    pub title: String,
    /// What can be learnt from it, in a line or two.
    pub read: String,
    /// What it shows in words, for those who cannot see it.
    pub describe: String,
    /// What was merged or left out, in sentences.
    pub notes: Vec<String>,
    /// The same data in different ways, each with a name; readers choose if there are several.
    pub views: Vec<(&'static str, Chart)>,
    /// The figures.
    pub table: Table,
}

/// Rows of figures under a heading.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    /// Names of the columns.
    pub head: Vec<String>,
    /// The rows, each as long as the head.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table with these columns.
    pub fn new(head: &[&str]) -> Table {
        Table { head: head.iter().map(|&name| name.to_owned()).collect(), rows: Vec::new() }
    }
}

/// All plots of a run that apply to it, in the order in which they are read.
pub(super) fn of_run(run: &Run, baseline: Option<&Run>) -> Vec<Figure> {
    let columns = columns::columns(&run.intervals);
    let mut figures = vec![spectrum::figure(run, baseline)];
    figures.extend(comparison::figure(run));
    figures.extend(search::load_curve(run));
    figures.extend(search::goodput(run));
    let mut health = None;
    if columns.merged.len() < 2 {
        let why = match columns.merged.len() {
            0 => "No interval was measured.",
            _ => "The run has a single interval, which has no course.",
        };
        figures.push(Figure::Absent { title: "Course of the run", why: why.to_owned() });
    } else {
        figures.extend([heat::figure(&columns), over_time::percentiles(run, &columns)]);
        figures.push(over_time::rates(run, &columns));
        health = Some(over_time::generator(run, &columns));
    }
    figures.push(histogram::figure(run));
    figures.extend(health);
    figures.extend(connect::figure(run));
    figures
}
