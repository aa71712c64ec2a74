//! The graceful end: what is in the backlogs is still taken in, what has arrived is still served, every
//! connection is closed as soon as it owes nothing, and what is left at the deadline is cut off and counted.

use super::Io;
use super::bell::STOP;
use super::event::{Event, Handler};
use super::mailbox::Doorway;
use crate::collections::Handle;
use crate::conn::State;
use crate::error::Cause;
use crate::time::{Instant, nanos_of};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Backlogged connections that a closing listener still takes in, at most.
const LAST_ACCEPTS_MAX: usize = 65_536;

/// How far a graceful shutdown is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum StopPhase {
    Not,
    /// Announced in the turn of this number; connections get one more look at what has arrived.
    Announced(u32),
    /// Connections are closed as they fall quiet.
    Sweeping,
}

/// Asks one reactor to shut down, from any thread.
#[derive(Clone, Debug)]
pub struct Stopper {
    doorway: Arc<Doorway>,
}

impl Stopper {
    pub(super) fn new(doorway: &Arc<Doorway>) -> Stopper {
        Stopper { doorway: Arc::clone(doorway) }
    }

    /// Begins a graceful shutdown, as `Io::shutdown` does.
    pub fn shutdown(&self, within: Duration) {
        self.doorway.stop_within.fetch_min(nanos_of(within), Ordering::AcqRel);
        self.doorway.bell.ring(STOP);
    }
}

impl Io {
    /// Takes up what a [`Stopper`] asked for.
    pub(super) fn obey_stopper(&mut self) {
        self.doorway.bell.clear(STOP);
        let within = self.doorway.stop_within.swap(u64::MAX, Ordering::AcqRel);
        if within != u64::MAX {
            self.shutdown(Duration::from_nanos(within));
        }
    }

    pub(super) fn announce_stop<H: Handler + ?Sized>(&mut self, handler: &mut H) {
        let Some(by) = self.stopping_by.filter(|_| self.stop_phase == StopPhase::Not) else { return };
        self.stop_phase = StopPhase::Announced(self.turn);
        let listeners: Vec<Handle> = self.listeners.iter().map(|(handle, _)| handle).collect();
        for &handle in &listeners {
            self.accept_from(handler, handle, LAST_ACCEPTS_MAX);
        }
        for handle in listeners {
            // Those that only stand for another core's stay: it may still hand something over.
            if self.listeners.get(handle).is_some_and(|state| state.acceptor.is_some()) {
                self.close_acceptor(handle);
            }
        }
        self.call(handler, Event::Stopping { by });
        let all: Vec<Handle> = self.conns.iter().map(|(handle, _)| handle).collect();
        all.into_iter().for_each(|handle| self.look_once_more(handle));
    }

    /// Reads the connection before it may count as quiet: what has arrived may not have had its event yet,
    /// since one turn takes only so many of them.
    pub(super) fn look_once_more(&mut self, handle: Handle) {
        let Some(c) = self.conns.get_mut(handle) else { return };
        if c.state == State::Securing {
            c.readable = true;
            self.queue_to_shake(handle);
        } else if c.state == State::Open && c.read_stops == 0 {
            c.readable = true;
            self.run_queue.push(handle, c);
        }
    }

    /// Keeps the listener's entry, for connections of it that are open still, but ends the listening.
    fn close_acceptor(&mut self, handle: Handle) {
        if let Some(state) = self.listeners.get_mut(handle) {
            state.stop_listening();
            self.metrics.listeners.sub(1);
        }
    }

    /// Closes what has fallen quiet, and at the deadline everything.
    pub(super) fn sweep(&mut self) {
        let Some(by) = self.stopping_by else { return };
        match self.stop_phase {
            StopPhase::Not => return,
            StopPhase::Announced(turn) if turn == self.turn => return,
            StopPhase::Announced(_) => self.stop_phase = StopPhase::Sweeping,
            StopPhase::Sweeping => {}
        }
        let turn = self.turn;
        let overdue = self.now >= by;
        let leaving: Vec<Handle> = self
            .conns
            .iter()
            .filter(|(_, c)| match c.state {
                State::Closed => false,
                State::Draining => overdue,
                // Who was let in and shakes hands has asked for something, as one whose request was read.
                State::Securing => overdue || c.listener.is_none() || !c.layer.is_shaking(),
                State::Connecting => true,
                State::Open => overdue || !(c.is_busy() || c.served_turn == turn),
            })
            .map(|(handle, _)| handle)
            .collect();
        for handle in leaving {
            if overdue {
                if let Some(c) = self.conns.get(handle) {
                    c.socket.reset_on_close();
                }
                self.cut += 1;
                self.close_now(handle, Cause::ShutdownCut, None);
            } else {
                self.begin_close(handle, Cause::Shutdown);
            }
        }
    }

    /// Whether a shutdown has come to its end.
    pub(super) fn has_finished(&self) -> bool {
        let Some(by) = self.stopping_by.filter(|_| self.stop_phase == StopPhase::Sweeping) else {
            return false;
        };
        let nobody_comes = self.handed.as_ref().is_none_or(|inbox| inbox.is_abandoned());
        self.conns.is_empty() && self.notices.is_empty() && (nobody_comes || self.now >= by)
    }

    /// Whether the next turn of a shutdown must not wait.
    pub(super) fn stop_needs_a_turn(&self) -> bool {
        match self.stop_phase {
            StopPhase::Not => self.stopping_by.is_some(),
            StopPhase::Announced(_) => true,
            StopPhase::Sweeping => self.conns.iter().any(|(_, c)| c.state == State::Open && !c.is_busy()),
        }
    }

    /// The moment by which a shutdown must be looked at.
    pub(super) fn stop_deadline(&self) -> Option<Instant> {
        self.stopping_by
    }
}
