//! The toxics: each looks at the queue before it and says what passes, and when. What one of them draws by chance comes
//! from a generator of its own.

mod bandwidth;
mod closing;
mod corrupt;
mod latency;
mod limit_data;
mod loss;
mod slicer;

use super::chain::{Piece, Queue};
use super::plan::ToxicKind;
use crate::time::Instant;
use bandwidth::Bandwidth;
use closing::{ResetPeer, Silence, SlowClose};
use corrupt::Corrupt;
use fastrand::Rng;
use latency::Latency;
use limit_data::LimitData;
use loss::Loss;
use slicer::Slicer;

/// What a toxic makes of the front of its queue.
#[derive(Debug)]
pub(super) enum Step {
    /// This has come through; ask again.
    Pass(Piece),
    /// Nothing before then.
    Wait(Instant),
    /// Nothing until more comes, or the toxic changes.
    Rest,
}

/// A toxic at work on one direction of one connection.
#[derive(Debug)]
pub(super) enum Toxin {
    Latency(Latency),
    Bandwidth(Bandwidth),
    SlowClose(SlowClose),
    /// A timeout or a partition.
    Silence(Silence),
    ResetPeer(ResetPeer),
    Slicer(Slicer),
    LimitData(LimitData),
    Corrupt(Corrupt),
    Loss(Loss),
    /// Lets everything through; the sender is not read.
    StopReading,
    /// Lets everything through; the connection is reset when it comes.
    Down,
}

impl Toxin {
    /// A toxic of this kind that comes to a connection now.
    pub(super) fn new(kind: &ToxicKind, rng: Rng, now: Instant) -> Toxin {
        match *kind {
            ToxicKind::Latency { latency_ms, jitter_ms } => {
                Toxin::Latency(Latency::new(latency_ms, jitter_ms, rng))
            }
            ToxicKind::Bandwidth { rate_kb_per_s } => Toxin::Bandwidth(Bandwidth::new(rate_kb_per_s)),
            ToxicKind::SlowClose { delay_ms } => Toxin::SlowClose(SlowClose { delay_ms }),
            ToxicKind::Timeout { timeout_ms } => Toxin::Silence(Silence::new(timeout_ms, now)),
            ToxicKind::Partition => Toxin::Silence(Silence::new(0, now)),
            ToxicKind::ResetPeer { timeout_ms } => Toxin::ResetPeer(ResetPeer::new(timeout_ms)),
            ToxicKind::Slicer { average_size, size_variation, delay_us } => {
                Toxin::Slicer(Slicer::new(average_size, size_variation, delay_us, rng))
            }
            ToxicKind::LimitData { bytes } => Toxin::LimitData(LimitData::new(bytes)),
            ToxicKind::Corrupt { probability } => Toxin::Corrupt(Corrupt::new(probability, rng)),
            ToxicKind::Loss { probability, rtt_ms } => Toxin::Loss(Loss::new(probability, rtt_ms, rng)),
            ToxicKind::StopReading => Toxin::StopReading,
            ToxicKind::Down => Toxin::Down,
        }
    }

    /// Takes new attributes; of another kind of toxic they are not its business.
    pub(super) fn change(&mut self, kind: &ToxicKind, now: Instant) {
        match (self, *kind) {
            (Toxin::Latency(toxin), ToxicKind::Latency { latency_ms, jitter_ms }) => {
                toxin.change(latency_ms, jitter_ms);
            }
            (Toxin::Bandwidth(toxin), ToxicKind::Bandwidth { rate_kb_per_s }) => {
                toxin.change(rate_kb_per_s, now);
            }
            (Toxin::SlowClose(toxin), ToxicKind::SlowClose { delay_ms }) => toxin.delay_ms = delay_ms,
            (Toxin::Silence(toxin), ToxicKind::Timeout { timeout_ms }) => toxin.change(timeout_ms, now),
            (Toxin::ResetPeer(toxin), ToxicKind::ResetPeer { timeout_ms }) => toxin.change(timeout_ms),
            (Toxin::Slicer(toxin), ToxicKind::Slicer { average_size, size_variation, delay_us }) => {
                toxin.change(average_size, size_variation, delay_us);
            }
            (Toxin::LimitData(toxin), ToxicKind::LimitData { bytes }) => toxin.change(bytes),
            (Toxin::Corrupt(toxin), ToxicKind::Corrupt { probability }) => toxin.change(probability),
            (Toxin::Loss(toxin), ToxicKind::Loss { probability, rtt_ms }) => {
                toxin.change(probability, rtt_ms);
            }
            _ => {}
        }
    }

    /// Nothing could leave until now, because what is behind it holds as much as it may.
    pub(super) fn held_up(&mut self, now: Instant) {
        if let Toxin::Bandwidth(toxin) = self {
            toxin.held_up(now);
        }
    }

    /// What becomes of the front of `queue` at `now`.
    pub(super) fn step(&mut self, queue: &mut Queue, now: Instant) -> Step {
        match self {
            Toxin::Latency(toxin) => toxin.step(queue, now),
            Toxin::Bandwidth(toxin) => toxin.step(queue, now),
            Toxin::SlowClose(toxin) => toxin.step(queue, now),
            Toxin::Silence(toxin) => toxin.step(queue, now),
            Toxin::ResetPeer(toxin) => toxin.step(queue, now),
            Toxin::Slicer(toxin) => toxin.step(queue, now),
            Toxin::LimitData(toxin) => toxin.step(queue),
            Toxin::Corrupt(toxin) => toxin.step(queue),
            Toxin::Loss(toxin) => toxin.step(queue, now),
            Toxin::StopReading | Toxin::Down => queue.pop().map_or(Step::Rest, Step::Pass),
        }
    }
}

/// How many that are not meant come before one that is, if each is meant with this probability: a geometric draw. What
/// is never meant is as far off as can be.
fn gap(rng: &mut Rng, probability: f64) -> u64 {
    if probability >= 1.0 {
        return 0;
    }
    if probability <= 0.0 {
        return u64::MAX;
    }
    // The float saturates where it is cast.
    ((1.0 - rng.f64()).ln() / (-probability).ln_1p()) as u64
}
