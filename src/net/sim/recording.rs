//! The last of what happened, for people to read: where two runs part, and what led to a failure.

use crate::limits::SIM_RECORDED_LINES_MAX;
use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

/// A ring of lines.
#[derive(Debug)]
pub(crate) struct Recording {
    lines: VecDeque<Line>,
    lines_max: usize,
}

/// One thing that happened, as the trace knows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    /// Nanoseconds of the world's time.
    pub(crate) at: u64,
    who: u32,
    what: u32,
    /// Who dialled whom, or the host of a core.
    hosts: Option<[u32; 2]>,
}

impl Recording {
    pub(super) fn new(lines_max: usize) -> Recording {
        Recording { lines: VecDeque::new(), lines_max: lines_max.min(SIM_RECORDED_LINES_MAX) }
    }

    pub(super) fn push(&mut self, at: u64, who: u32, what: u32, hosts: Option<[u32; 2]>) {
        if self.lines.len() == self.lines_max {
            self.lines.pop_front();
        }
        self.lines.push_back(Line { at, who, what, hosts });
    }

    pub(crate) fn lines(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter()
    }
}

impl Line {
    /// The line, with its time counted from `began`, and hosts by the names that `name` has for them.
    pub(crate) fn print<'a>(&self, began: u64, name: impl Fn(u32) -> &'a str) -> String {
        let at = Seconds(self.at.saturating_sub(began));
        let Line { who, what, hosts, .. } = *self;
        let (first, second) = hosts.map_or(("?", "?"), |[a, b]| (name(a), name(b)));
        match what {
            1 => format!("{at} {first} -> {second}, connection {who}: a step of what the first sends"),
            2 => format!("{at} {first} -> {second}, connection {who}: a step of what the second sends"),
            3 => format!("{at} {first} -> {second}, connection {who}: request arrives"),
            4 => format!("{at} {first} -> {second}, connection {who}: acceptance arrives"),
            5 => format!("{at} {first} -> {second}, connection {who}: reset arrives"),
            6 => format!("{at} {first}, core {who}: its bell rings"),
            7 => format!("{at} fault {}", who + 1),
            _ => format!("{at} {first}, core {who}: turn with {} events handled", what - 16),
        }
    }
}

struct Seconds(u64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = Duration::from_nanos(self.0);
        write!(f, "{:>6}.{:09}", since.as_secs(), since.subsec_nanos())
    }
}
