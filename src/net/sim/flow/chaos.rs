//! Short reads and writes at seeded places.
//!
//! Edge-triggered programs take a short read to mean that the socket is empty, and a short write that it is full. So a
//! short read is an arrival in two portions, and a short write a buffer that has no room for a moment.

use super::FlowSettings;
use crate::time::Instant;
use fastrand::Rng;
use std::time::Duration;

/// The second portion, or the room, comes within this time.
const DELAY_MAX: Duration = Duration::from_millis(1);

/// What makes reads and writes short.
#[derive(Debug)]
pub(super) struct Chaos {
    rng: Rng,
    /// First byte that cannot be seen for now.
    hidden_from: u64,
    /// A write was short: there is no room until the world has been told and has answered.
    shut: bool,
    room_owed: bool,
}

impl Chaos {
    /// `None` where nothing is to be short.
    pub(super) fn new(settings: &FlowSettings, seed: u64) -> Option<Box<Chaos>> {
        (settings.short_read > 0.0 || settings.short_write > 0.0).then(|| {
            let rng = Rng::with_seed(seed);
            Box::new(Chaos { rng, hidden_from: u64::MAX, shut: false, room_owed: false })
        })
    }

    /// How much of `len` bytes a write takes, given `room`.
    pub(super) fn write(&mut self, settings: &FlowSettings, len: usize, room: usize) -> usize {
        let taken = len.min(room);
        if taken == 0 || self.rng.f64() >= settings.short_write {
            return taken;
        }
        (self.shut, self.room_owed) = (true, true);
        self.rng.usize(..taken)
    }

    /// When a short write that nobody has been told of is over.
    pub(super) fn room_due(&mut self, now: Instant) -> Option<Instant> {
        std::mem::take(&mut self.room_owed).then(|| now + self.delay())
    }

    /// Whether there is no room because a write was short.
    pub(super) fn is_shut(&self) -> bool {
        self.shut
    }

    /// The short write is over.
    pub(super) fn open(&mut self) {
        self.shut = false;
    }

    /// First byte that cannot be seen for now.
    pub(super) fn hidden_from(&self) -> u64 {
        self.hidden_from
    }

    /// The bytes from `from` to `to` have arrived. Perhaps only some of them are seen before the time returned.
    pub(super) fn arrive(
        &mut self,
        settings: &FlowSettings,
        now: Instant,
        from: u64,
        to: u64,
    ) -> Option<Instant> {
        let divisible = to - from >= 2 && self.hidden_from == u64::MAX;
        if !divisible || self.rng.f64() >= settings.short_read {
            return None;
        }
        self.hidden_from = self.rng.u64(from + 1..to);
        Some(now + self.delay())
    }

    /// Everything that has arrived is seen.
    pub(super) fn reveal(&mut self) {
        self.hidden_from = u64::MAX;
    }

    fn delay(&mut self) -> Duration {
        DELAY_MAX.mul_f64(self.rng.f64())
    }
}
