//! One plot with everything that belongs to it, and tables of figures.

use super::chart::Chart;

/// One plot, or the reason why there is none.
#[derive(Debug)]
pub(crate) enum Figure {
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
pub(crate) struct Plot {
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
pub(crate) struct Table {
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
