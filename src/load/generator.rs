//! One generator thread's connections on a reactor: opens them, sends what the engine says, shows it what came back,
//! and replaces what broke.

use super::engine::{After, Engine, Line};
use super::faults::Faults;
use super::plan::{Pace, Plan, Waiting};
use super::protocol::{Answer, Draw, MESSAGE_BYTES_MAX, Protocol, Step, quote};
use super::samples::Samples;
use crate::collections::{Conn, PerConn};
use crate::conn::Options;
use crate::error::{Address, Cause, CloseReason, Error, SendError};
use crate::limits::{KEPT_BYTES_MAX, OUT_QUEUE_BYTES_MAX};
use crate::metrics::CoreView;
use crate::reactor::{Config, Connect, Event, Handler, Idle, Io, Reactor, Timer};
use crate::time::{Instant, nanos_of};
use std::collections::VecDeque;
use std::time::Duration;

/// Connections being established at a time: more would overflow the listen queues of common servers.
const CONNECTING_MAX: usize = 128;

/// Attempts for each connection before the run begins without it: one that ends before it answered anything is as
/// good as none.
const ATTEMPTS_MAX: u32 = 3;

/// The pause before a first second attempt; it doubles from one to the next.
const BACKOFF_MIN: Duration = Duration::from_millis(20);

/// The longest pause between attempts.
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// Requests sent in one go, to others than the connection being served, before the reactor looks for answers again.
const BURST_MAX: usize = 16;

/// What a protocol may put around a message: the 64 KiB of a request's head in HTTP are the most.
const FRAMING_BYTES_MAX: usize = 128 << 10;

/// Readiness events taken at a time by an open loop: a turn stays short, so that the next start is not late.
const EVENTS_PER_TURN: usize = 8;

/// The tag of the timer for the next start; other tags are the numbers of connections to be opened again.
const START: u64 = u64::MAX;

struct Link<P> {
    conn: Option<Conn>,
    /// The protocol's state on this connection.
    protocol: P,
    connect_started: Instant,
    /// Attempts since the last answer.
    attempts: u32,
}

/// The connections of one thread.
pub(super) struct Generator<P> {
    target: Address,
    options: Options,
    prototype: P,
    pub(super) engine: Engine,
    pub(super) faults: Faults,
    links: Vec<Link<P>>,
    lines: PerConn<Line>,
    draw: Draw,
    out: Vec<u8>,
    /// The timer for the next start, and when it comes.
    armed: Option<(Timer, Instant)>,
    connecting: usize,
    to_connect: VecDeque<Line>,
    up: usize,
    down_since: Instant,
    last_refusal: String,
    timeout: Duration,
    /// The first request has been allowed.
    begun: bool,
}

impl<P: Protocol> Generator<P> {
    pub(super) fn new(
        plan: &Plan,
        thread: usize,
        lines: usize,
        prototype: P,
        samples: Samples,
        faults: Faults,
    ) -> Generator<P> {
        let link =
            |_| Link { conn: None, protocol: prototype.clone(), connect_started: Instant::ZERO, attempts: 0 };
        Generator {
            target: plan.target.clone(),
            options: connection_options(plan),
            engine: Engine::new(plan, lines, samples),
            faults,
            links: (0..lines).map(link).collect(),
            prototype,
            lines: PerConn::new(),
            draw: Draw::branch(plan.seed, 2 * thread as u64 + 1),
            out: Vec::new(),
            armed: None,
            connecting: 0,
            to_connect: (0..lines).collect(),
            up: 0,
            down_since: Instant::ZERO,
            last_refusal: String::new(),
            timeout: plan.timeout,
            begun: false,
        }
    }

    /// Whether every connection is up, or was given up for the time being.
    pub(super) fn is_settled(&self) -> bool {
        self.connecting == 0
            && self.to_connect.is_empty()
            && self.links.iter().all(|link| link.conn.is_some() || link.attempts >= ATTEMPTS_MAX)
    }

    /// Connections that are up.
    pub(super) fn up(&self) -> usize {
        self.up
    }

    /// Why the last attempt to connect failed.
    pub(super) fn last_refusal(&self) -> &str {
        &self.last_refusal
    }

    /// The warm-up begins at `begin`.
    pub(super) fn begin(&mut self, io: &mut Io, plan: &Plan, thread: usize, begin: Instant) {
        self.engine.begin(plan, thread, begin);
        self.begun = true;
        self.down_since = begin;
        self.arm(io, Some(begin));
    }

    /// Opens connections that wait for it, as many as may be under way.
    pub(super) fn connect(&mut self, io: &mut Io) {
        while self.connecting < CONNECTING_MAX {
            let Some(line) = self.to_connect.pop_front() else { break };
            let now = io.clock();
            let link = &mut self.links[line];
            link.attempts = link.attempts.saturating_add(1);
            link.connect_started = now;
            match io.connect(Connect::to(self.target.clone()).options(self.options.clone())) {
                Ok(conn) => {
                    link.conn = Some(conn);
                    link.protocol = self.prototype.clone();
                    self.lines.insert(conn, line);
                    self.connecting += 1;
                }
                Err(error) => self.refused(io, line, error.to_string()),
            }
        }
    }

    /// Looks for requests that are overdue and targets that are gone.
    pub(super) fn inspect(&mut self, io: &mut Io) {
        let now = io.clock();
        for line in 0..self.links.len() {
            if self.engine.is_overdue(line, now) {
                self.faults.timed_out(&self.target, self.timeout, self.engine.measures_oldest(line));
                self.engine.time_out(line, now);
                let reason = format!("connection lost: given up after no answer within {:?}", self.timeout);
                self.leave(io, line, &reason, Io::abort);
            }
        }
        self.engine.samples.counts.outstanding.set(self.engine.outstanding() as u64);
        if self.begun && self.up == 0 && !self.last_refusal.is_empty() {
            self.faults.gone(&self.target, self.down_since, now, &self.last_refusal);
        }
    }

    /// The time for answers is over at `now`: what is in flight still was not answered.
    pub(super) fn give_up(&mut self, now: Instant) {
        for line in 0..self.links.len() {
            while self.engine.in_flight(line) > 0 {
                let measured = self.engine.measures_oldest(line);
                self.faults.count("no answer by the end of the run", u64::from(measured));
                self.engine.time_out(line, now);
            }
        }
    }

    /// The run is over at `now`: what waits still was never sent.
    pub(super) fn finish(&mut self, now: Instant) {
        let unsent = self.engine.finish(now);
        self.faults.count("never sent: no connection became free in time", unsent);
    }

    fn refused(&mut self, io: &mut Io, line: Line, reason: String) {
        self.engine.samples.counts.connect_failed.add(1);
        self.last_refusal = reason;
        self.retry_later(io, line);
    }

    fn retry_later(&mut self, io: &mut Io, line: Line) {
        let attempts = self.links[line].attempts;
        if self.begun || attempts < ATTEMPTS_MAX {
            let backoff = BACKOFF_MIN.saturating_mul(1 << (attempts - 1).min(10)).min(BACKOFF_MAX);
            io.timer_after(backoff, line as u64);
        }
    }

    fn opened(&mut self, io: &mut Io, conn: Conn) {
        let Some(&line) = self.lines.get(conn) else { return };
        let now = io.clock();
        let took = now.since(self.links[line].connect_started);
        self.engine.samples.connect.record(nanos_of(took));
        self.engine.samples.counts.connected.add(1);
        self.connecting -= 1;
        self.up += 1;
        self.engine.line_up(line, now);
        self.connect(io);
        self.start_due(io, now, None);
    }

    fn data(&mut self, io: &mut Io, conn: Conn, bytes: &[u8]) {
        let Some(&line) = self.lines.get(conn) else { return };
        // What one read brought came together, and what is sent in return leaves together.
        let now = io.clock();
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.engine.in_flight(line) == 0 {
                let sentence = format!("the target sent {} without being asked anything", quote(rest));
                return self.malformed(io, line, &sentence);
            }
            match self.links[line].protocol.answer(rest) {
                Ok(Step::Partial { used }) => {
                    rest = &rest[used..];
                    self.engine.received(line, used);
                    break;
                }
                Ok(Step::Answered { used, answer, last }) => {
                    rest = &rest[used..];
                    self.engine.received(line, used);
                    if self.answered(io, line, now, &answer, last) {
                        return;
                    }
                }
                Err(malformed) => return self.malformed(io, line, &malformed.0),
            }
        }
        if !rest.is_empty() {
            let _ = io.keep(conn, rest.len());
        }
        self.start_due(io, now, Some(line));
    }

    /// Takes an answer into account; says whether the connection is being replaced.
    fn answered(&mut self, io: &mut Io, line: Line, now: Instant, answer: &Answer, last: bool) -> bool {
        self.note(line, answer);
        let after = self.engine.answered(line, now, io.unseen_since(), answer);
        let replace = last || after == After::Replace;
        if replace {
            let reason = "connection lost: closed by the target, as its last answer had said";
            self.leave(io, line, reason, Io::close);
        }
        replace
    }

    /// Ends a connection and opens the next. Requests in flight are lost for `reason`. What is still to come of the old
    /// one, its end included, is nobody's business any more, and nothing starts on it.
    fn leave(&mut self, io: &mut Io, line: Line, reason: &str, end: fn(&mut Io, Conn) -> bool) {
        self.faults.count(reason, self.engine.measured_in_flight(line) as u64);
        if let Some(conn) = self.links[line].conn.take() {
            self.lines.remove(conn);
            end(io, conn);
        }
        self.went_down(io, line);
    }

    fn went_down(&mut self, io: &mut Io, line: Line) {
        let now = io.clock();
        self.up -= 1;
        if self.up == 0 {
            self.down_since = now;
        }
        self.engine.line_down(line, now);
        if self.links[line].attempts > 0 {
            return self.retry_later(io, line);
        }
        self.to_connect.push_back(line);
        self.connect(io);
    }

    fn malformed(&mut self, io: &mut Io, line: Line, sentence: &str) {
        let reason = self.faults.malformed(&self.target, sentence, self.engine.in_flight(line) > 0);
        self.leave(io, line, &reason, Io::abort);
    }

    fn closed(&mut self, io: &mut Io, conn: Conn, reason: &CloseReason) {
        let Some(line) = self.lines.remove(conn) else { return };
        self.links[line].conn = None;
        if !self.engine.is_up(line) {
            self.connecting -= 1;
            self.refused(io, line, reason.to_string());
            return self.connect(io);
        }
        if self.engine.in_flight(line) > 0 && reason.cause() == Cause::PeerClosed {
            self.take_answer_by_end(io, line);
        }
        if self.links[line].attempts > 0 {
            self.last_refusal = reason.to_string();
        }
        let (lost, measured) = (self.engine.in_flight(line), self.engine.measured_in_flight(line));
        self.faults.ended(&self.target, reason, lost, measured);
        self.went_down(io, line);
    }

    /// An answer whose length only the end of the connection tells: its orderly end.
    fn take_answer_by_end(&mut self, io: &mut Io, line: Line) {
        let Some(answer) = self.links[line].protocol.ended() else { return };
        let now = io.clock();
        self.note(line, &answer);
        self.engine.answered(line, now, io.unseen_since(), &answer);
    }

    fn note(&mut self, line: Line, answer: &Answer) {
        self.links[line].attempts = 0;
        match answer {
            Answer::Good => self.faults.answered_well(),
            Answer::Refused(reason) => self.faults.refused(reason, self.engine.measures_oldest(line)),
        }
    }

    /// Sends what is due and arms the timer for what comes next. `served` is the connection whose event is being handled:
    /// what goes to it leaves when the handler returns, so it needs no time of its own. To others goes a burst at most.
    fn start_due(&mut self, io: &mut Io, mut now: Instant, served: Option<Line>) {
        if !self.begun {
            return;
        }
        let mut burst = 0;
        while burst < BURST_MAX {
            let Some(ticket) = self.engine.ready(now) else { break };
            let link = &mut self.links[ticket.line];
            self.out.clear();
            link.protocol.request(&mut self.draw, &mut self.out);
            self.engine.sent(ticket, now, self.out.len());
            let Some(conn) = link.conn else { break };
            if let Err(error) = io.send(conn, &self.out) {
                if error == SendError::TooLarge {
                    self.faults.stop(format!(
                        "the protocol made a request of {} bytes, which is too large",
                        self.out.len()
                    ));
                }
                self.leave(io, ticket.line, &format!("connection lost: {error}"), Io::abort);
            }
            if served != Some(ticket.line) {
                // Or it would leave when the turn ends, after all others of the burst were made.
                let _ = io.flush_now(conn);
                now = io.clock();
                burst += 1;
            }
        }
        let due = self.engine.next_due(now);
        self.arm(io, due);
    }

    fn arm(&mut self, io: &mut Io, due: Option<Instant>) {
        let Some(due) = due else { return };
        match self.armed {
            Some((_, at)) if at <= due => {}
            Some((timer, _)) => {
                io.reschedule(timer, due);
                self.armed = Some((timer, due));
            }
            None => self.armed = Some((io.timer_at(due, START), due)),
        }
    }
}

impl<P: Protocol> Handler for Generator<P> {
    fn handle(&mut self, io: &mut Io, event: Event<'_>) {
        match event {
            Event::Opened { conn, .. } => self.opened(io, conn),
            Event::Data { conn, bytes } => self.data(io, conn, bytes),
            Event::Closed { conn, reason } => self.closed(io, conn, reason),
            Event::Timer { tag: START, .. } => {
                self.armed = None;
                let now = io.clock();
                self.start_due(io, now, None);
            }
            Event::Timer { tag, .. } => {
                self.to_connect.push_back(tag as Line);
                self.connect(io);
            }
            _ => {}
        }
        self.engine.samples.settle();
    }
}

/// A reactor for one generator thread, and what it counts.
pub(super) fn reactor(plan: &Plan) -> Result<(Reactor, CoreView), Error> {
    let config = Config::with(|config| {
        config.idle = match plan.waiting {
            Waiting::Spin => Idle::Spin,
            Waiting::Block => Idle::Block,
        };
        if let Pace::Open { .. } = plan.pace {
            config.budgets.events = EVENTS_PER_TURN;
        }
        // Bounded by the plan: connections times depth times the largest message.
        config.buffer_bytes_max = usize::MAX / 2;
        config.admission.connections_max = None;
    });
    let mut reactor = Reactor::new(config)?;
    let view = reactor.io().metrics();
    Ok((reactor, view))
}

fn connection_options(plan: &Plan) -> Options {
    Options::with(|options| {
        options.timeouts.connect = Some(plan.connect_timeout);
        // Requests have their own time-out, told apart from the target's.
        (options.timeouts.read, options.timeouts.write, options.timeouts.keep_alive) = (None, None, None);
        options.kept_bytes_max = KEPT_BYTES_MAX;
        // Both directions are independent: a full queue must not keep answers from being read.
        options.self_throttle = false;
        let in_flight = plan.depth.saturating_mul(MESSAGE_BYTES_MAX + FRAMING_BYTES_MAX);
        options.queue.max_bytes = in_flight.max(OUT_QUEUE_BYTES_MAX);
    })
}
