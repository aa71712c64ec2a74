//! One generator thread's connections on a reactor: opens them, sends what the engine says, shows it what came back,
//! and replaces what broke.

use super::engine::{After, Engine, Line};
use super::faults::Faults;
use super::plan::{Mode, Pace, Plan, Waiting};
use super::protocol::{Answer, Draw, MESSAGE_BYTES_MAX, Protocol, Step, quote};
use super::samples::Samples;
use super::secured::{Handshakes, is_resumed};
use crate::collections::{Conn, PerConn};
use crate::conn::Options;
use crate::error::{Cause, CloseReason, Error, SendError};
use crate::limits::{KEPT_BYTES_MAX, OUT_QUEUE_BYTES_MAX};
use crate::metrics::CoreView;
use crate::reactor::{Config, Connect, Event, Handler, Idle, Io, Reactor, Timer};
use crate::secure::Session;
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
    /// The connection was opened.
    opened: bool,
    /// The protocol's state on this connection.
    protocol: P,
    connect_started: Instant,
    /// Attempts since the last answer.
    attempts: u32,
}

/// The connections of one thread.
pub(super) struct Generator<P> {
    connect: Connect,
    /// Each request opens a connection of its own. A line is then a place for one request: it is up while the target
    /// takes connections, and has a connection only while a request is under way.
    fresh: bool,
    prototype: P,
    pub(super) engine: Engine,
    pub(super) faults: Faults,
    pub(super) handshakes: Handshakes,
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
        let link = |_| Link {
            conn: None,
            opened: false,
            protocol: prototype.clone(),
            connect_started: Instant::ZERO,
            attempts: 0,
        };
        Generator {
            connect: plan.connect.clone().options(connection_options(plan)),
            fresh: plan.mode == Mode::Handshakes,
            engine: Engine::new(plan, lines, samples),
            faults,
            handshakes: Handshakes::default(),
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
            && self
                .links
                .iter()
                .enumerate()
                .all(|(line, link)| self.engine.is_up(line) || link.attempts >= ATTEMPTS_MAX)
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
            let attempts = &mut self.links[line].attempts;
            *attempts = attempts.saturating_add(1);
            let now = io.clock();
            match self.dial(io, line, now) {
                Ok(()) => self.connecting += 1,
                Err(error) => self.refused(io, line, error.to_string()),
            }
        }
    }

    /// Begins to open a connection at `now`.
    fn dial(&mut self, io: &mut Io, line: Line, now: Instant) -> Result<(), Error> {
        let conn = io.connect(self.connect.clone())?;
        let link = &mut self.links[line];
        (link.conn, link.opened, link.connect_started) = (Some(conn), false, now);
        link.protocol = self.prototype.clone();
        self.lines.insert(conn, line);
        Ok(())
    }

    /// Looks for requests that are overdue and targets that are gone.
    pub(super) fn inspect(&mut self, io: &mut Io) {
        let now = io.clock();
        for line in 0..self.links.len() {
            if self.engine.is_overdue(line, now) {
                self.faults.timed_out(&self.connect.to, self.timeout, self.engine.measures_oldest(line));
                self.engine.time_out(line, now);
                let reason = format!("connection lost: given up after no answer within {:?}", self.timeout);
                self.leave(io, line, &reason, Io::abort);
            }
        }
        self.engine.samples.counts.outstanding.set(self.engine.outstanding() as u64);
        if self.begun && self.up == 0 && !self.last_refusal.is_empty() {
            self.faults.gone(&self.connect.to, self.down_since, now, &self.last_refusal);
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

    fn opened(&mut self, io: &mut Io, conn: Conn, session: &Session) {
        let Some(&line) = self.lines.get(conn) else { return };
        let now = io.clock();
        self.links[line].opened = true;
        self.note_opened(line, now, session);
        if self.engine.is_up(line) {
            // The request that this connection was made for is queued on it.
            return;
        }
        if self.fresh {
            // It was to show that the target is there.
            self.hang_up(io, line, Io::close);
        }
        self.connecting -= 1;
        self.up += 1;
        self.engine.line_up(line, now);
        self.connect(io);
        self.start_due(io, now, None);
    }

    /// Notes how long a connection took and what it agreed on. Where requests have their own, only those count that
    /// were asked in the measured time.
    fn note_opened(&mut self, line: Line, now: Instant, session: &Session) {
        self.engine.samples.counts.connected.add(1);
        if self.fresh && !self.engine.measures_oldest(line) {
            return;
        }
        let samples = &self.engine.samples;
        let took = now.since(self.links[line].connect_started);
        samples.connect.record(nanos_of(took.saturating_sub(session.took)));
        if session.tls.is_none() && session.noise.is_none() {
            return;
        }
        let recorder = if is_resumed(session) { &samples.handshake_resumed } else { &samples.handshake };
        recorder.record(nanos_of(session.took));
        self.handshakes.count(session);
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
        if replace && self.fresh {
            self.renew(io, line);
        } else if replace {
            let reason = "connection lost: closed by the target, as its last answer had said";
            self.leave(io, line, reason, Io::close);
        }
        replace
    }

    /// Ends a connection and opens the next. Requests in flight are lost for `reason`. What is still to come of the old
    /// one, its end included, is nobody's business any more, and nothing starts on it.
    fn leave(&mut self, io: &mut Io, line: Line, reason: &str, end: fn(&mut Io, Conn) -> bool) {
        self.faults.count(reason, self.engine.measured_in_flight(line) as u64);
        self.hang_up(io, line, end);
        self.went_down(io, line);
    }

    fn hang_up(&mut self, io: &mut Io, line: Line, end: fn(&mut Io, Conn) -> bool) {
        if let Some(conn) = self.links[line].conn.take() {
            self.lines.remove(conn);
            end(io, conn);
        }
    }

    /// The request that had a connection of its own is done, and the next may have one.
    fn renew(&mut self, io: &mut Io, line: Line) {
        self.hang_up(io, line, Io::close);
        let now = io.clock();
        self.engine.line_down(line, now);
        self.engine.line_up(line, now);
        self.start_due(io, now, None);
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
        let reason = self.faults.malformed(&self.connect.to, sentence, self.engine.in_flight(line) > 0);
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
        let opened = self.links[line].opened;
        if opened && self.engine.in_flight(line) > 0 && reason.cause() == Cause::PeerClosed {
            self.take_answer_by_end(io, line);
            if self.fresh && self.engine.in_flight(line) == 0 {
                return self.renew(io, line);
            }
        }
        if !opened {
            self.engine.samples.counts.connect_failed.add(1);
        }
        if !opened || self.links[line].attempts > 0 {
            self.last_refusal = reason.to_string();
        }
        let (lost, measured) = (self.engine.in_flight(line), self.engine.measured_in_flight(line));
        self.faults.ended(&self.connect.to, reason, lost, measured);
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
            let refusal = if self.fresh { self.dial(io, ticket.line, now).err() } else { None };
            let link = &mut self.links[ticket.line];
            self.out.clear();
            link.protocol.request(&mut self.draw, &mut self.out);
            self.engine.sent(ticket, now, self.out.len());
            if let Some(error) = refusal {
                self.engine.samples.counts.connect_failed.add(1);
                self.last_refusal = error.to_string();
                self.leave(io, ticket.line, &format!("no connection: {error}"), Io::abort);
                burst += 1;
                continue;
            }
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
            Event::Opened { conn, session, .. } => self.opened(io, conn, session),
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
        options.timeouts.handshake = Some(plan.connect_timeout);
        // Requests have their own time-out, told apart from the target's.
        (options.timeouts.read, options.timeouts.write, options.timeouts.keep_alive) = (None, None, None);
        options.kept_bytes_max = KEPT_BYTES_MAX;
        // Both directions are independent: a full queue must not keep answers from being read.
        options.self_throttle = false;
        let in_flight = plan.depth.saturating_mul(MESSAGE_BYTES_MAX + FRAMING_BYTES_MAX);
        options.queue.max_bytes = in_flight.max(OUT_QUEUE_BYTES_MAX);
    })
}
