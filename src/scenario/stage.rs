//! The network that a scenario plays on: how far it is, what it costs in wall time and memory, and whether somebody
//! wants it to end.

use crate::sim::Network;
use crate::time::{Clock, Instant, wall_now};
use std::time::Duration;

/// Progress is told about that often in wall time.
const TELL_EVERY: Duration = Duration::from_millis(50);

/// Events between two looks at the clock: fewer would cost time, more would make interrupts late.
const STEPS_PER_LOOK: u64 = 1024;

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
    /// Since 1970.
    started: Duration,
    of: Duration,
    watch: &'a mut Watch<'b>,
    interrupted: bool,
}

/// What a scenario cost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cost {
    pub started_unix_ms: u64,
    pub wall: Duration,
    pub events: u64,
    pub peak_memory_bytes: Option<u64>,
}

impl<'a, 'b> Stage<'a, 'b> {
    /// A stage for `net`, on which the play takes `of` virtual time.
    pub fn new(net: Network, of: Duration, watch: &'a mut Watch<'b>) -> Stage<'a, 'b> {
        let clock = Clock::os();
        let began = clock.now();
        Stage { net, clock, began, started: wall_now(), of, watch, interrupted: false }
    }

    /// Lets the play go on until `at` after its beginning, or until somebody interrupts it.
    pub fn run_to(&mut self, at: Duration) {
        self.run_until(at, || false);
    }

    /// The same, or until `condition` is true after an event. Answers whether it became so.
    pub fn run_until(&mut self, at: Duration, condition: impl Fn() -> bool) -> bool {
        let (clock, began, of) = (&self.clock, self.began, self.of);
        let (watch, interrupted) = (&mut self.watch, &mut self.interrupted);
        let (mut steps, mut told_at) = (0u64, clock.now());
        let left = at.saturating_sub(self.net.elapsed());
        let ended = |net: &Network| {
            steps += 1;
            if steps.is_multiple_of(STEPS_PER_LOOK) {
                let now = clock.now();
                if now.since(told_at) >= TELL_EVERY {
                    told_at = now;
                    let elapsed = net.elapsed().min(of);
                    let progress = Progress { elapsed, of, wall: now.since(began), events: net.events() };
                    *interrupted |= !watch(&progress);
                }
            }
            *interrupted || condition()
        };
        self.net.run_until(ended, left) && !self.interrupted
    }

    /// Whether somebody ended it early.
    pub const fn is_interrupted(&self) -> bool {
        self.interrupted
    }

    /// What it has cost so far.
    pub fn cost(&self) -> Cost {
        Cost {
            started_unix_ms: self.started.as_millis() as u64,
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
