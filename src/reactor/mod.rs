//! The reactor: one thread, one poller, one loop. This file is the turn; the rooms beside it are its stations.

mod accept;
mod admission;
mod bell;
mod config;
mod cores;
mod deadlines;
mod event;
mod handoff;
mod io;
mod kept;
mod listen;
mod mailbox;
mod memory;
mod notice;
pub(crate) mod processors;
mod receive;
mod run_queue;
mod secured;
mod send;
mod serve;
mod signals;
mod stop;
mod token;

pub use config::{Admission, Budgets, Config, Idle, Turn, Wait};
#[cfg(feature = "sim")]
pub(crate) use cores::Hosted;
pub use cores::{Core, CoreMail, Cores, Report, Running, Spread, StopAll};
pub use event::{Event, Handler, Interest, Listener, Mailbox, Readiness, Source, Timer};
pub use io::{Io, KeepError, ReleaseError, Released};
pub use listen::{Adopt, Connect, Listen};
pub use mailbox::{Inbox, SendMailError, Sender};
pub use send::Sent;
pub use stop::Stopper;

use crate::collections::Owner;
use crate::error::Error;
use crate::metrics::Budget;
use crate::net::{Events, Reported, World};
use crate::time::Instant;
use receive::ReceiveBuffer;
use serve::nanos_since;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;
use token::Subject;

/// A reactor: connections, listeners and timers of one thread, and the loop that serves them.
///
/// Drive it with [`Reactor::run`], or from a loop of your own with [`Reactor::turn`] or
/// [`Reactor::run_until`]. It can be made on one thread and moved to another.
///
/// Dropping it closes everything at once and tells nobody. TCP peers that were still to get queued bytes see a
/// reset, so that nobody takes a stream that was cut off for a whole one.
#[derive(Debug)]
pub struct Reactor {
    io: Io,
    events: Events,
}

/// What a simulated turn came to.
#[cfg(feature = "sim")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turned {
    /// Times that the handler was called.
    pub(crate) handled: usize,
    /// It wants another turn as soon as possible.
    pub(crate) more: bool,
    /// It wants another one then, by its own clock.
    pub(crate) next: Option<Instant>,
    /// It was stopped, or its shutdown has come to its end.
    pub(crate) ended: bool,
}

impl Reactor {
    /// A reactor with nothing to do yet.
    ///
    /// # Errors
    /// [`Error::Config`] for a configuration that makes no sense, [`Error::Io`] if the system has no
    /// descriptor left for the poller.
    pub fn new(config: Config) -> Result<Reactor, Error> {
        Reactor::numbered(World::Os, config, 0)
    }

    pub(super) fn numbered(world: World, config: Config, core: usize) -> Result<Reactor, Error> {
        let (io, events) = Io::new(world, config, core)?;
        Ok(Reactor { io, events })
    }

    /// The handle that handlers get, for use between turns. Its [`now`](Io::now) is the present: the last turn
    /// may have begun long ago, and what is asked for here has its whole time.
    pub fn io(&mut self) -> &mut Io {
        self.io.now = self.io.clock.now();
        &mut self.io
    }

    /// Asks this reactor to shut down, from any thread.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        Stopper::new(&self.io.doorway)
    }

    /// One turn: waits as `wait` says, serves one batch of events and everything that is due, and returns.
    ///
    /// # Errors
    /// [`Error::Io`] if the poller fails, which means that its descriptor was closed by somebody else.
    ///
    /// # Panics
    /// Passes on a panic of the handler; the reactor must not be used after that. With
    /// [`Config::isolate_panics`] it goes on instead.
    pub fn turn<H: Handler + ?Sized>(&mut self, wait: Wait, handler: &mut H) -> Result<Turn, Error> {
        let now = self.io.clock.now();
        self.turn_from(now, wait, handler)
    }

    /// Turns until `deadline`, and returns early only for [`Io::stop`] or the end of a shutdown. Says what
    /// all the turns did together.
    ///
    /// # Errors
    /// As [`Reactor::turn`].
    pub fn run_until<H: Handler + ?Sized>(
        &mut self,
        deadline: Instant,
        handler: &mut H,
    ) -> Result<Turn, Error> {
        let mut all = Turn::default();
        self.io.running = true;
        let mut now = self.io.clock.now();
        while self.io.running && !self.is_finished() {
            let turn = self.turn_from(now, Wait::Until(deadline), handler)?;
            all.events += turn.events;
            all.handled += turn.handled;
            all.backlog = turn.backlog;
            now = self.io.ended_at;
            if now >= deadline {
                break;
            }
        }
        Ok(all)
    }

    /// Turns until [`Io::stop`] is called or a shutdown has come to its end.
    ///
    /// # Errors
    /// As [`Reactor::turn`].
    pub fn run<H: Handler + ?Sized>(&mut self, handler: &mut H) -> Result<(), Error> {
        self.run_until(Instant::FAR_FUTURE, handler).map(drop)
    }

    /// Whether a shutdown has come to its end: everything is closed.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.io.has_finished()
    }

    /// Connections that a shutdown cut off at its deadline.
    #[must_use]
    pub fn cut(&self) -> u64 {
        self.io.cut
    }

    /// The earliest time at which a turn is needed even if no descriptor becomes ready.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.io.next_deadline()
    }

    /// For a foreign loop that watches this reactor's descriptor: how long it may sleep on it. Zero when
    /// something is left over from the last turn; `None` when only the descriptor matters.
    #[must_use]
    pub fn sleep_max(&self) -> Option<Duration> {
        self.timeout(self.io.clock.now(), Instant::FAR_FUTURE)
    }

    /// One turn in a simulation: without waiting, and with what its network must know to give it the next one.
    ///
    /// # Errors
    /// As [`Reactor::turn`].
    #[cfg(feature = "sim")]
    pub(crate) fn turn_simulated<H: Handler + ?Sized>(&mut self, handler: &mut H) -> Result<Turned, Error> {
        self.io.running = true;
        let turn = self.turn(Wait::No, handler)?;
        Ok(Turned {
            handled: turn.handled,
            more: turn.backlog,
            next: self.io.next_deadline(),
            ended: !self.io.running || self.is_finished(),
        })
    }

    /// How long the poll may last.
    fn timeout(&self, now: Instant, until: Instant) -> Option<Duration> {
        if self.io.has_work() {
            return Some(Duration::ZERO);
        }
        let until = self.io.next_deadline().map_or(until, |at| at.min(until));
        (until != Instant::FAR_FUTURE).then(|| until.since(now))
    }

    fn turn_from<H: Handler + ?Sized>(
        &mut self,
        now: Instant,
        wait: Wait,
        handler: &mut H,
    ) -> Result<Turn, Error> {
        self.io.flush_dirty();
        let until = match wait {
            Wait::No => now,
            Wait::For(duration) => now + duration,
            Wait::Until(at) => at,
            Wait::Forever => Instant::FAR_FUTURE,
        };
        self.wait(now, until)?;
        let Reactor { io, events } = self;
        let rung = io.begin_turn();
        let mut buffer = ReceiveBuffer::take(io.config.receive_buffer_bytes);
        let lines = io.run_queue.lengths();
        let mut reported = 0;
        match events {
            Events::Os(events) => {
                for event in events.iter() {
                    reported += 1;
                    io.dispatch(handler, event.token(), Reported::of(event), &mut buffer);
                }
            }
            #[cfg(feature = "sim")]
            Events::Sim(events) => {
                for (token, ready) in events.drain(..) {
                    reported += 1;
                    io.dispatch(handler, token, ready, &mut buffer);
                }
            }
        }
        io.serve_lines(handler, lines, &mut buffer);
        io.accept_waiting(handler);
        io.fire_timers(handler);
        io.expire_deadlines();
        io.deliver_mail(handler, rung);
        io.announce_stop(handler);
        io.shake_hands(handler, &mut buffer);
        io.flush_dirty();
        io.deliver_notices(handler);
        io.flush_dirty();
        io.sweep();
        io.cork.rest();
        buffer.rest();
        Ok(io.end_turn(reported))
    }

    /// Waits for events as the idle strategy says, no longer than until then.
    fn wait(&mut self, now: Instant, until: Instant) -> Result<(), Error> {
        if until <= now || !self.io.poll.is_real() {
            return self.poll(now, Some(Duration::ZERO));
        }
        let timeout = self.timeout(now, until);
        let spin_until = match self.io.config.idle {
            Idle::Block => now,
            Idle::Spin => Instant::FAR_FUTURE,
            Idle::SpinThenBlock(spin) => now + spin,
        };
        if timeout == Some(Duration::ZERO) || spin_until <= now {
            return self.poll(now, timeout);
        }
        let due = timeout.map_or(Instant::FAR_FUTURE, |timeout| now + timeout);
        // Whoever sends mail while we look anyway need not wake us.
        let mut rung = self.io.doorway.bell.awake();
        let mut now = now;
        loop {
            self.poll(now, Some(Duration::ZERO))?;
            now = self.io.clock.now();
            if rung != 0 || !self.events.is_empty() || now >= due {
                return Ok(());
            }
            if now >= spin_until {
                let asleep = self.io.doorway.bell.asleep();
                let timeout = timeout.map(|_| due.since(now));
                return self.poll(now, if asleep == 0 { timeout } else { Some(Duration::ZERO) });
            }
            std::hint::spin_loop();
            rung = self.io.doorway.bell.rung();
        }
    }

    fn poll(&mut self, now: Instant, timeout: Option<Duration>) -> Result<(), Error> {
        let io = &mut self.io;
        let asked_before = std::mem::replace(&mut io.asked_at, now);
        if timeout != Some(Duration::ZERO) {
            // The kernel ends a sleep at once.
            io.unseen_since = Instant::FAR_FUTURE;
        } else if !io.events_waiting || self.events.is_empty() {
            io.unseen_since = asked_before;
        }
        match self.io.poll.poll(&mut self.events, timeout) {
            Ok(()) => Ok(()),
            // A signal came: an empty batch, and the caller's deadline still stands.
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {
                self.events.clear();
                Ok(())
            }
            Err(error) => Err(Error::io("waiting for events", error)),
        }
    }
}

/// So that a reactor can sit inside another loop: readable when a turn has something to do. Each time round
/// that loop, ask [`Reactor::sleep_max`] how long to wait for that at most, and whatever woke it, call
/// [`Reactor::turn`] with [`Wait::No`]. The example `foreign_loop` does.
impl AsFd for Reactor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.poll.as_fd()
    }
}

impl Drop for Reactor {
    fn drop(&mut self) {
        self.io.release_buffers();
    }
}

impl Io {
    fn begin_turn(&mut self) -> u64 {
        let rung = self.doorway.bell.awake();
        self.now = self.clock.now();
        self.unseen_since = self.unseen_since.min(self.now);
        self.turn = self.turn.wrapping_add(1);
        self.doorway.turn.store(u64::from(self.turn), std::sync::atomic::Ordering::Relaxed);
        self.handled = 0;
        self.work = crate::metrics::TurnWork::default();
        self.metrics.idle_nanos.add(nanos_since(self.ended_at, self.now));
        if rung & bell::STOP != 0 {
            self.obey_stopper();
        }
        rung
    }

    #[inline]
    fn dispatch<H: Handler + ?Sized>(
        &mut self,
        handler: &mut H,
        token: mio::Token,
        reported: Reported,
        buffer: &mut ReceiveBuffer,
    ) {
        match token::subject(token) {
            Subject::Conn(handle) => self.serve(handler, handle, reported, buffer),
            Subject::Listener(handle) => self.list_ready(handle),
            Subject::Source(handle) => {
                let Some(&owner) = self.sources.get(handle) else { return };
                if owner == Owner::RUNTIME {
                    return self.take_signals();
                }
                let readiness = Readiness { readable: reported.readable, writable: reported.writable };
                self.call(handler, Event::Ready { source: Source { handle, owner }, readiness });
            }
            Subject::Waker => {}
        }
    }

    /// Serves whoever stood in the run queue when the turn began.
    fn serve_lines<H: Handler + ?Sized>(
        &mut self,
        handler: &mut H,
        lines: [usize; 3],
        buffer: &mut ReceiveBuffer,
    ) {
        for (line, waiting) in lines.into_iter().enumerate() {
            for _ in 0..waiting {
                let Some(handle) = self.run_queue.pop(line) else { break };
                self.serve_again(handler, handle, buffer);
            }
        }
    }

    fn deliver_mail<H: Handler + ?Sized>(&mut self, handler: &mut H, rung: u64) {
        let mut left = rung & !bell::STOP;
        let abandoned = left & self.doorway.abandoned.load(std::sync::atomic::Ordering::Relaxed);
        if abandoned != 0 {
            self.doorway.bell.clear(abandoned);
            left &= !abandoned;
        }
        while left != 0 {
            let number = left.trailing_zeros();
            left &= left - 1;
            let Some(&mailbox) = self.mailboxes.get(number as usize) else { continue };
            self.metrics.mail_events.add(1);
            self.work.mail += 1;
            if self.handed.as_ref().is_some_and(|inbox| inbox.mailbox() == mailbox) {
                self.take_handed(handler);
            } else {
                self.call(handler, Event::Mail { mailbox });
            }
        }
    }

    /// Whether something is left over that no descriptor will tell of.
    fn has_work(&self) -> bool {
        self.mail_waiting
            || self.events_waiting
            || !self.run_queue.is_empty()
            || !self.shake_queue.is_empty()
            || !self.notices.is_empty()
            || !self.dirty.is_empty()
            || !self.ready_listeners.is_empty()
            || self.stop_needs_a_turn()
    }

    fn end_turn(&mut self, reported: usize) -> Turn {
        self.ended_at = self.clock.now();
        self.mail_waiting = self.doorway.bell.asleep() != 0;
        let took = nanos_since(self.now, self.ended_at);
        let m = &self.metrics;
        m.turns.add(1);
        m.events.add(self.handled as u64);
        m.busy_nanos.add(took);
        m.turn_latency_nanos.record(took);
        m.events_per_turn.record(self.handled as u64);
        self.work.events = self.handled as u64;
        m.slowest_turn.offer(self.now, took, self.work);
        if self.mail_waiting && self.work.mail > 0 {
            m.budgets_exhausted[Budget::Mail].add(1);
        }
        self.events_waiting = reported == self.config.budgets.events;
        if self.events_waiting {
            m.budgets_exhausted[Budget::Events].add(1);
        }
        m.pool_bytes_taken.set(self.pool.bytes_taken() as u64);
        m.buffered_bytes.set(self.buffered_bytes() as u64);
        m.timers_armed.set(self.timers.len() as u64);
        m.deadlines_armed.set(self.wheel.len() as u64);
        let due = [self.timers.next_at(), self.wheel.next_deadline()];
        let overdue = due.into_iter().flatten().any(|at| at <= self.now);
        Turn { events: reported, handled: self.handled, backlog: self.has_work() || overdue }
    }

    fn release_buffers(&mut self) {
        let all: Vec<_> = self.conns.iter().map(|(handle, _)| handle).collect();
        for handle in all {
            let corked = self.cork.is_open_for(handle) && self.cork.holds_something();
            if let Some(c) = self.conns.get(handle)
                && (corked || c.queued() > 0)
            {
                // An end in good order would tell the peer that what it got is all.
                c.socket.reset_on_close();
            }
            self.drop_buffers(handle);
        }
        debug_assert!(
            std::thread::panicking() || self.pool.leaks().is_empty(),
            "buffers leaked: {:?}",
            self.pool.leaks()
        );
    }
}
