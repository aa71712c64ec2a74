//! The clock on the wall of a simulated host: what certificates and tickets are checked against.

use crate::time::{Instant, set_virtual_wall};
use std::time::Duration;

/// What the wall clocks of all hosts show when a network is made, since 1970: the beginning of 2030. They go on with the
/// host's own clock and jump with it.
pub const WALL_CLOCKS_BEGIN_AT: Duration = Duration::from_secs(1_893_456_000);

/// While it lives, code on this thread sees a host's wall clock.
pub(super) struct Wall {
    /// What was to be seen before: a test may run one network inside another.
    before: Option<Duration>,
}

impl Wall {
    /// The wall clock of a host whose own clock shows `clock`, and stood at `began` when the network was made.
    pub(super) fn of(clock: Instant, began: Instant) -> Wall {
        let before = began.since(clock);
        let shown = (WALL_CLOCKS_BEGIN_AT + clock.since(began)).saturating_sub(before);
        Wall { before: set_virtual_wall(Some(shown)) }
    }
}

impl Drop for Wall {
    fn drop(&mut self) {
        set_virtual_wall(self.before);
    }
}
