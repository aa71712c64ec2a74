//! The network that a scenario plays on: how far it is, what it costs in wall time and memory, and whether somebody
//! wants it to end.

use crate::sim::Network;
use crate::time::{Clock, Instant};
use std::time::Duration;

/// Progress is told about that often in wall time.
const TELL_EVERY: Duration = Duration::from_millis(50);

/// How far a scenario is.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Progress {
    /// Virtual time so far.
    pub elapsed: Duration,
    /// Virtual time in all.
    pub of: Duration,
    /// Wall time so far.
    pub wall: Duration,
    /// Events of the simulation so far.
    pub events: u64,
}

/// Hears of progress, and answers whether to go on.
pub type Watch<'a> = dyn FnMut(&Progress) -> bool + 'a;

/// A network, and those who watch it.
pub(super) struct Stage<'a, 'b> {
    pub net: Network,
    clock: Clock,
    began: Instant,
    of: Duration,
    slice: Duration,
    watch: &'a mut Watch<'b>,
    interrupted: bool,
}

/// What a scenario cost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cost {
    pub wall: Duration,
    pub events: u64,
    pub peak_memory_bytes: Option<u64>,
}

impl<'a, 'b> Stage<'a, 'b> {
    /// A stage for `net`, on which the play takes `of` virtual time.
    pub fn new(net: Network, of: Duration, watch: &'a mut Watch<'b>) -> Stage<'a, 'b> {
        let clock = Clock::os();
        let began = clock.now();
        Stage { net, clock, began, of, slice: Duration::from_millis(1), watch, interrupted: false }
    }

    /// Lets the play go on until `at` after its beginning, or until somebody interrupts it.
    pub fn run_to(&mut self, at: Duration) {
        self.run_until(at, |_| false);
    }

    /// The same, or until `condition` is true between two slices of virtual time.
    pub fn run_until(&mut self, at: Duration, condition: impl Fn(&Network) -> bool) {
        while self.net.elapsed() < at && !self.interrupted && !condition(&self.net) {
            let before = self.clock.now();
            self.net.run_for(self.slice.min(at.saturating_sub(self.net.elapsed())));
            let took = self.clock.now().since(before);
            // What a slice holds changes nothing of what happens, so it may depend on the speed of this machine.
            if took < TELL_EVERY / 2 {
                self.slice = (self.slice * 2).min(Duration::from_secs(60));
            } else if took > TELL_EVERY * 2 {
                self.slice = (self.slice / 2).max(Duration::from_micros(100));
            }
            self.tell();
        }
    }

    fn tell(&mut self) {
        let progress = Progress {
            elapsed: self.net.elapsed().min(self.of),
            of: self.of,
            wall: self.clock.now().since(self.began),
            events: self.net.events(),
        };
        self.interrupted |= !(self.watch)(&progress);
    }

    /// Whether somebody ended it early.
    pub const fn is_interrupted(&self) -> bool {
        self.interrupted
    }

    /// What it has cost so far.
    pub fn cost(&self) -> Cost {
        Cost {
            wall: self.clock.now().since(self.began),
            events: self.net.events(),
            peak_memory_bytes: peak_memory_bytes(),
        }
    }
}

/// The most memory that this process ever held, where the system says it.
fn peak_memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}
