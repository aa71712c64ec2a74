//! The plots of a report: what each shows, how to read it, and the figures behind it as a table.

mod columns;
mod comparison;
mod connect;
mod heat;
mod histogram;
mod over_time;
mod search;
mod spectrum;

use crate::load::record::Run;
use crate::plot::figure::Figure;

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
