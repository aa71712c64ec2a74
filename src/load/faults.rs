//! What went wrong on one thread, by kind, and whether that makes it pointless to go on.

use super::record::FailureKind;
use crate::error::{Address, CloseReason};
use crate::time::Instant;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

/// Kinds that are told apart; more count as "other".
const KINDS_MAX: usize = 64;

/// A target that is gone for so long is not expected back.
pub(super) const GONE_MAX: Duration = Duration::from_secs(2);

/// A target that ends so many connections without ever answering anything well speaks something else.
const ENDED_UNANSWERED_MAX: u64 = 8;

/// Whether the target has answered any thread of the run, in the warm-up too: a target that answers one and leaves
/// another waiting speaks the protocol.
#[derive(Debug, Default)]
pub(super) struct Answered {
    well: AtomicBool,
    at_all: AtomicBool,
}

/// Sets a flag that is nearly always set already, without taking its cache line from the other threads for it.
fn set(flag: &AtomicBool) {
    if !flag.load(Relaxed) {
        flag.store(true, Relaxed);
    }
}

/// Failures so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults {
    kinds: BTreeMap<String, u64>,
    answered: Arc<Answered>,
    ended_unanswered: u64,
    /// Why to stop, once it is clear.
    fatal: Option<String>,
}

impl Faults {
    /// No failures yet; `answered` is shared by the threads of a run.
    pub(super) fn new(answered: Arc<Answered>) -> Faults {
        Faults { answered, ..Faults::default() }
    }

    pub(super) fn count(&mut self, reason: &str, n: u64) {
        if n == 0 {
            return;
        }
        let known = self.kinds.contains_key(reason) || self.kinds.len() < KINDS_MAX;
        *self.kinds.entry(if known { reason } else { "other" }.to_owned()).or_default() += n;
    }

    pub(super) fn answered_well(&self) {
        set(&self.answered.well);
        set(&self.answered.at_all);
    }

    pub(super) fn refused(&mut self, reason: &str, counted: bool) {
        set(&self.answered.at_all);
        self.count(reason, u64::from(counted));
    }

    /// What came is no answer. Before anything went well that means a wrong target. The requests that are lost by it
    /// are to be counted by the reason returned; if nothing was `asked`, what came is counted here.
    pub(super) fn malformed(&mut self, target: &Address, sentence: &str, asked: bool) -> String {
        let reason = format!("malformed answer: {sentence}");
        self.count(&reason, u64::from(!asked));
        if !self.answered.well.load(Relaxed) {
            self.stop(format!("{target}: {sentence}"));
        }
        reason
    }

    /// A connection ended with `lost` requests in flight, of which `measured` count.
    pub(super) fn ended(&mut self, target: &Address, reason: &CloseReason, lost: usize, measured: usize) {
        if lost == 0 {
            return;
        }
        self.count(&format!("connection lost: {}", reason.cause().name()), measured as u64);
        self.ended_unanswered += 1;
        if !self.answered.at_all.load(Relaxed) && self.ended_unanswered >= ENDED_UNANSWERED_MAX {
            self.stop(format!(
                "{target} ended {ENDED_UNANSWERED_MAX} connections without answering a single request: does it \
                 speak this protocol?"
            ));
        }
    }

    /// A request was not answered within `timeout`.
    pub(super) fn timed_out(&mut self, target: &Address, timeout: Duration, counted: bool) {
        self.count(&format!("no answer within {timeout:?}"), u64::from(counted));
        if !self.answered.at_all.load(Relaxed) {
            self.stop(format!(
                "{target} accepts connections but did not answer a single request within {timeout:?}: does it speak \
                 this protocol?"
            ));
        }
    }

    /// No connection is up since then, and the last attempt ended for this reason.
    pub(super) fn gone(&mut self, target: &Address, since: Instant, now: Instant, last: &str) {
        if now.since(since) >= GONE_MAX {
            self.stop(format!(
                "{target} is gone: no connection for {GONE_MAX:?}; the last attempt ended: {last}"
            ));
        }
    }

    pub(super) fn stop(&mut self, sentence: String) {
        self.fatal.get_or_insert(sentence);
    }

    pub(super) fn fatal(&self) -> Option<&str> {
        self.fatal.as_deref()
    }

    /// The kinds of all threads, most frequent first.
    pub(super) fn merged<'a>(all: impl Iterator<Item = &'a Faults>) -> Vec<FailureKind> {
        let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
        for (reason, count) in all.flat_map(|faults| &faults.kinds) {
            *kinds.entry(reason).or_default() += count;
        }
        let mut kinds: Vec<_> = kinds
            .into_iter()
            .map(|(reason, count)| FailureKind { reason: reason.to_owned(), count })
            .collect();
        kinds.sort_by_key(|kind| std::cmp::Reverse(kind.count));
        kinds
    }
}
