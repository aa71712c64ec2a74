//! One handler of the swarm: what it is told, compared with what the oracle knows.

use crate::kinds::{ALL, Keys, Kind};
use crate::oracle::{ACCEPTOR, DIALLER, Phase, Shared};
use crate::plan::{HostPlan, about, options, pick};
use fastrand::Rng;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use windlass::time::Instant;
use windlass::{
    Address, Cause, CloseReason, Conn, Connect, Core, CoreMail, Event, Handler, Io, Listen, Listener,
    Options, Released, Timeouts, Timer,
};

/// The wheel's tick, and what serving takes: no deadline is later.
const DEADLINE_LATE_MAX: Duration = Duration::from_millis(16 + 2);
/// The same of timers.
const TIMER_LATE_MAX: Duration = Duration::from_millis(1 + 2);
/// The tag of the timer by which a handler acts out of its own.
pub const TICK: u64 = 0;
/// A port at which nobody listens.
const NOBODY_PORT: u16 = 7999;
/// The listener that all cores of a host share from the start.
pub const SHARED_PORT: u16 = 7100;

/// What panics of the swarm's own handlers carry.
#[derive(Debug)]
pub struct Planned;

/// What cores of a host send to each other.
#[derive(Debug)]
pub struct Letter {
    from: usize,
    number: u64,
    cargo: Option<Cargo>,
}

/// A connection that changes its core.
#[derive(Debug)]
pub struct Cargo {
    pub talk: usize,
    pub side: usize,
    pub released: Released,
}

/// What a connection's application is like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Habit {
    /// Answers as much as it gets.
    Echo,
    /// Only listens.
    Sink,
    /// Sends as much as is taken.
    Flood,
    /// Sends now and then.
    Chatter,
}

/// A time that was set, and what had happened to the host's clock by then.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    pub at: Instant,
    pub epoch: u64,
}

/// A connection as its handler knows it.
#[derive(Clone, Debug)]
pub struct Mine {
    pub talk: usize,
    pub side: usize,
    pub habit: Habit,
    pub plain: bool,
    pub timeouts: Timeouts,
    pub half_close: bool,
    /// In this reactor: one that was taken over opens once more.
    pub opened: bool,
    pub born: Mark,
    /// When something last came.
    pub heard_at: Instant,
    /// Its total deadline, and when that was set.
    pub total: Option<(Instant, Mark)>,
    /// When it was closed in good order.
    pub closing: Option<Mark>,
    pub aborted: bool,
    pub panicked: bool,
    pub too_large: bool,
}

#[derive(Debug)]
struct Door {
    kind: Kind,
    port: u16,
    open: Option<Listener>,
}

/// The handler of one core.
#[derive(Debug)]
pub struct Node {
    pub host: usize,
    pub core: usize,
    pub plan: Rc<HostPlan>,
    pub truth: Shared,
    pub keys: Rc<Keys>,
    /// Where each host can be reached.
    pub addresses: Rc<[std::net::Ipv4Addr]>,
    pub random: Rng,
    pub live: BTreeMap<Conn, Mine>,
    pub stale: Vec<Conn>,
    /// When each is due, when that was set, and its tag.
    pub timers: BTreeMap<Timer, (Instant, Mark, u64)>,
    doors: Vec<Door>,
    mail: CoreMail<Letter>,
    tick: Option<Timer>,
    /// The connection whose bytes are lent at present.
    pub lending: Option<Conn>,
    /// Its shutdown has begun.
    pub stopping: bool,
    /// It asked its reactor to stop at once.
    pub stopped: bool,
}

impl Node {
    pub fn new(
        core: &mut Core<'_>,
        mail: CoreMail<Letter>,
        seed: u64,
        plan: &Rc<HostPlan>,
        truth: &Shared,
        keys: &Rc<Keys>,
        addresses: &Rc<[std::net::Ipv4Addr]>,
    ) -> Node {
        let mut random = Rng::with_seed(seed);
        let number = core.number();
        if number == 0 {
            // Also a host of which all cores had stopped is started again.
            truth.borrow_mut().lost(plan.number);
        }
        let shared = u16::from(random.bool()) * number as u16 * 10;
        let doors = ALL.map(|kind| Door { kind, port: kind.port() + shared, open: None });
        let mut node = Node {
            host: plan.number,
            core: number,
            plan: Rc::clone(plan),
            truth: Rc::clone(truth),
            keys: Rc::clone(keys),
            addresses: Rc::clone(addresses),
            random,
            live: BTreeMap::new(),
            stale: Vec::new(),
            timers: BTreeMap::new(),
            doors: doors.into(),
            mail,
            tick: None,
            lending: None,
            stopping: false,
            stopped: false,
        };
        let io = core.io();
        node.open_doors(io);
        node.tick = Some(io.timer_after(Duration::ZERO, TICK));
        node
    }

    pub fn phase(&self) -> Phase {
        self.truth.borrow().phase
    }

    pub fn mark(&self, io: &Io) -> Mark {
        Mark { at: io.now(), epoch: self.truth.borrow().hosts[self.host].epoch }
    }

    /// Whether nothing happened to the host's clock and speed since.
    fn is_undisturbed(&self, since: Mark) -> bool {
        let host = self.truth.borrow().hosts[self.host];
        host.epoch == since.epoch && !host.slow
    }

    pub fn tell(&self, io: &Io, what: impl FnOnce() -> String) {
        let core = self.core;
        self.truth.borrow().tell(io.now(), self.host, || format!("core {core}: {}", what()));
    }

    pub fn fail(&self, io: &Io, what: impl FnOnce() -> String) {
        let (host, core, now) = (self.host, self.core, io.now());
        self.truth.borrow_mut().fail(|| format!("host {host}, core {core}, {now:?}: {}", what()));
    }

    fn check(&self, io: &Io, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.fail(io, what);
        }
    }

    // ---- listeners and connections

    /// Opens what is shut; what can not be opened is tried again later.
    pub fn open_doors(&mut self, io: &mut Io) {
        for door in self.doors.iter_mut().filter(|door| door.open.is_none()) {
            let listen = Listen::tcp(("0.0.0.0", door.port)).reuse_port(true);
            let listen = listen.options(options(&mut self.random, false)).backlog(self.random.u16(1..200));
            door.open = io.listen(self.keys.listen(door.kind, listen)).ok();
        }
    }

    pub fn shut_a_door(&mut self, io: &mut Io) {
        let which = self.random.usize(..self.doors.len());
        if let Some(listener) = self.doors[which].open.take() {
            let once = io.close_listener(listener) && !io.close_listener(listener);
            self.check(io, once, || "a listener was not ours".into());
        }
    }

    pub fn connect(&mut self, io: &mut Io) {
        if self.live.len() >= self.plan.conns_max || self.stopping || !self.plan.dials {
            return;
        }
        let to = self.random.usize(..self.addresses.len());
        if to == self.host && self.plan.small {
            return;
        }
        let kind = pick(&mut self.random, &ALL);
        let ports = [kind.port(), kind.port(), kind.port(), kind.port() + 10, SHARED_PORT, NOBODY_PORT];
        let port = pick(&mut self.random, &ports);
        let plain = kind == Kind::Plain || port == SHARED_PORT;
        let mut address = SocketAddr::from((self.addresses[to], port));
        let mut there = Some(to);
        if self.random.u32(..60) == 0 {
            (address, there) = (SocketAddr::from(([10, 77, 0, 1], port)), None);
        }
        let connect = Connect::to(address).options(options(&mut self.random, true));
        let connect = if plain { connect } else { self.keys.connect(kind, connect) };
        let Ok(conn) = io.connect(connect) else {
            let limited = self.plan.config.admission.connections_max.is_some();
            return self.check(io, limited, || "connect was refused".into());
        };
        let from = io.local(conn).and_then(|local| local.as_inet());
        let talk = self.truth.borrow_mut().dialled(self.host, there, from);
        self.tell(io, || format!("{conn:?} is {talk}, {kind:?}, to {address}"));
        self.take_on(io, conn, talk, DIALLER, plain);
    }

    pub fn take_on(&mut self, io: &Io, conn: Conn, talk: usize, side: usize, plain: bool) {
        let Some(Options { timeouts, half_close, .. }) = io.options(conn).cloned() else {
            return self.fail(io, || "a new connection has no options".into());
        };
        let habit = [Habit::Echo, Habit::Echo, Habit::Sink, Habit::Flood, Habit::Chatter, Habit::Chatter];
        let mine = Mine {
            talk,
            side,
            habit: pick(&mut self.random, &habit),
            plain,
            timeouts,
            half_close,
            opened: false,
            born: self.mark(io),
            heard_at: io.now(),
            total: None,
            closing: None,
            aborted: false,
            panicked: false,
            too_large: false,
        };
        let known = self.live.insert(conn, mine).is_some();
        self.check(io, !known, || format!("{conn:?} is a connection already"));
        self.truth.borrow_mut().hosts[self.host].live += 1;
    }

    pub fn forget(&mut self, conn: Conn) -> Option<Mine> {
        let mine = self.live.remove(&conn)?;
        self.truth.borrow_mut().hosts[self.host].live -= 1;
        self.stale.push(conn);
        if self.stale.len() > 16 {
            self.stale.remove(0);
        }
        Some(mine)
    }

    // ---- what the reactor tells

    fn accepted(&mut self, io: &mut Io, conn: Conn, listener: Listener, peer: &Address) {
        let Some(from) = peer.as_inet() else { return self.fail(io, || format!("{peer} is no peer")) };
        let kind = self.doors.iter().find(|door| door.open == Some(listener)).map(|door| door.kind);
        let Some(talk) = self.truth.borrow_mut().accepted(from) else { return };
        self.tell(io, || format!("{conn:?} is {talk}, accepted from {from}"));
        self.take_on(io, conn, talk, ACCEPTOR, kind.is_none_or(|kind| kind == Kind::Plain));
    }

    fn opened(&mut self, io: &mut Io, conn: Conn) {
        let Some(mine) = self.live.get_mut(&conn) else { return };
        let (talk, side) = (mine.talk, mine.side);
        let first = !std::mem::replace(&mut mine.opened, true);
        self.check(io, first, || format!("{talk} opened twice"));
        let moved = self.truth.borrow().talks[talk].ends[side].opened;
        if !moved {
            self.truth.borrow_mut().opened(talk, side);
        }
        self.tell(io, || format!("{talk} opened"));
        // If it was finished before, that may have failed meanwhile.
        let may = io.is_open(conn) || self.truth.borrow().talks[talk].ends[side].finished;
        self.check(io, may, || format!("{talk} opened and is not open"));
    }

    fn data(&mut self, io: &mut Io, conn: Conn, bytes: &[u8]) {
        let now = io.now();
        let Some(mine) = self.live.get_mut(&conn) else { return };
        let (talk, side, habit) = (mine.talk, mine.side, mine.habit);
        if bytes.len() > self.truth.borrow().talks[talk].ends[side].kept {
            mine.heard_at = now;
        }
        let silent = mine.closing.is_some() || mine.aborted;
        self.check(io, !silent, || format!("{talk} was closed and got data"));
        self.truth.borrow_mut().data(now, talk, side, bytes);
        self.tell(io, || format!("{talk} got {}", bytes.len()));
        self.lending = Some(conn);
        if self.phase() == Phase::Busy && self.random.u32(..4) == 0 {
            self.keep(io, conn, bytes.len());
        }
        if habit == Habit::Echo && self.phase() == Phase::Busy {
            self.send(io, conn, bytes.len().min(60_000));
        }
    }

    fn keep(&mut self, io: &mut Io, conn: Conn, len: usize) {
        let Some(mine) = self.live.get_mut(&conn) else { return };
        let keep = self.random.usize(..=len.min(3000));
        let want = keep + 1 + if self.random.bool() { self.random.usize(..50) } else { 0 };
        let (talk, side) = (mine.talk, mine.side);
        self.truth.borrow().tell(io.now(), self.host, || format!("{talk} keeps {keep} until {want}, {side}"));
        let mut truth = self.truth.borrow_mut();
        match io.keep_until(conn, keep, want) {
            Ok(()) => {
                let end = truth.mine(mine.talk, mine.side);
                (end.kept, end.want) = if want > 1 { (keep, want) } else { (0, 0) };
            }
            Err(windlass::KeepError::TooLarge) => mine.too_large = true,
            Err(error) => truth.fail(|| format!("{} could not keep: {error}", mine.talk)),
        }
    }

    fn peer_finished(&mut self, io: &mut Io, conn: Conn) {
        let Some(mine) = self.live.get(&conn) else { return };
        let (talk, side, half_close) = (mine.talk, mine.side, mine.half_close);
        self.check(io, half_close, || format!("{talk} heard of a half-close that it did not ask for"));
        let first = !self.truth.borrow().talks[talk].ends[side].ended;
        self.check(io, first, || format!("{talk} heard of its peer's end twice"));
        self.truth.borrow_mut().ended(talk, side);
        self.tell(io, || format!("{talk}: its peer finished"));
    }

    fn closed(&mut self, io: &mut Io, conn: Conn, reason: &CloseReason) {
        let Some(mine) = self.forget(conn) else { return };
        let cause = reason.cause();
        self.tell(io, || format!("{} closed: {reason}", mine.talk));
        let dead = !io.is_open(conn) && !io.close(conn);
        self.check(io, dead, || format!("{conn:?} closed and lives"));
        self.check_cause(io, &mine, reason);
        self.check_earliness(io, &mine, cause, reason.at());
        self.check_lateness(io, &mine, reason.at());
        let mut truth = self.truth.borrow_mut();
        // What waited for it to open is lost.
        truth.mine(mine.talk, mine.side).lossy |= !mine.opened;
        truth.closed(mine.talk, mine.side, cause);
    }

    fn check_cause(&self, io: &Io, mine: &Mine, reason: &CloseReason) {
        let (cause, opened) = (reason.cause(), mine.opened);
        let fits = match cause {
            Cause::Closed => mine.closing.is_some(),
            Cause::Aborted => mine.aborted,
            Cause::Shutdown | Cause::ShutdownCut => self.stopping,
            Cause::HandlerPanicked => mine.panicked,
            Cause::FrameTooLarge => mine.too_large,
            Cause::DeadlineExceeded => mine.total.is_some(),
            Cause::Refused | Cause::ConnectTimeout | Cause::Unreachable => !opened && mine.side == DIALLER,
            Cause::HandshakeTimeout | Cause::HandshakeCut => !opened && !mine.plain,
            Cause::ReadTimeout | Cause::WriteTimeout | Cause::IdleTimeout => opened,
            Cause::PeerClosed => opened,
            Cause::Truncated | Cause::SessionExpired => opened && !mine.plain,
            Cause::Reset | Cause::PeerVanished | Cause::DrainTimeout => true,
            // Without descriptors, or where part of a handshake's message finds no memory.
            Cause::System => !opened && (mine.side == DIALLER || reason.errno() == Some(12)),
            _ => false,
        };
        self.check(io, fits, || format!("{} ended by {reason:?}: {mine:?}", mine.talk));
    }

    /// No deadline comes before its time.
    fn check_earliness(&self, io: &Io, mine: &Mine, cause: Cause, at: Instant) {
        let timeouts = &mine.timeouts;
        let (since, timeout) = match cause {
            Cause::ConnectTimeout => (mine.born.at, timeouts.connect),
            Cause::HandshakeTimeout => (mine.born.at, timeouts.handshake),
            Cause::ReadTimeout => (mine.heard_at, timeouts.read),
            Cause::WriteTimeout => (mine.born.at, timeouts.write),
            Cause::IdleTimeout => (mine.heard_at, timeouts.keep_alive),
            Cause::DrainTimeout => (mine.closing.unwrap_or(mine.born).at, timeouts.drain),
            Cause::DeadlineExceeded => (mine.total.map_or(Instant::ZERO, |(at, _)| at), Some(Duration::ZERO)),
            _ => return,
        };
        let due = timeout.map_or(Instant::FAR_FUTURE, |timeout| since + timeout);
        self.check(io, at >= due, || format!("{} met {cause:?} at {at:?}, early: {mine:?}", mine.talk));
        self.truth.borrow_mut().tally.deadlines += 1;
    }

    /// No connection outlives a deadline that can be told from outside.
    pub fn check_lateness(&self, io: &Io, mine: &Mine, at: Instant) {
        let opened = mine.opened;
        let mut dues = Vec::new();
        if let Some((due, set)) = mine.total {
            dues.push(("its total deadline", due.max(set.at), set));
        }
        if let (Some(closing), Some(drain)) = (mine.closing, mine.timeouts.drain) {
            dues.push(("its drain timeout", closing.at + drain, closing));
        }
        let opening = mine.timeouts.handshake.filter(|_| !mine.plain).unwrap_or(Duration::ZERO);
        let connecting = mine.timeouts.connect.filter(|_| mine.side == DIALLER).unwrap_or(Duration::ZERO);
        if !opened {
            dues.push(("its opening", mine.born.at + opening + connecting, mine.born));
        }
        for (what, due, since) in dues {
            let late = at.since(due) > DEADLINE_LATE_MAX && self.is_undisturbed(since);
            self.check(io, !late, || {
                format!("{} outlived {what} by {:?}: {mine:?}", mine.talk, at.since(due))
            });
        }
    }

    fn timer(&mut self, io: &mut Io, timer: Timer, tag: u64) {
        let now = io.now();
        if self.tick == Some(timer) {
            self.check(io, tag == TICK, || "a tick with another tag".into());
            return self.tick(io);
        }
        let Some((due, set, tag_set)) = self.timers.remove(&timer) else {
            return self.fail(io, || format!("{timer:?} fired and was not set"));
        };
        self.check(io, tag_set == tag, || format!("{timer:?} has another's tag"));
        self.check(io, now >= due, || format!("{timer:?} fired early: it was due at {due:?}"));
        let late = now.since(due.max(set.at)) > TIMER_LATE_MAX && self.is_undisturbed(set);
        self.check(io, !late, || format!("{timer:?} fired late: it was due at {due:?}"));
        let gone = !io.cancel(timer);
        self.check(io, gone, || format!("{timer:?} fired and could be cancelled"));
        self.truth.borrow_mut().tally.timers += 1;
    }

    fn read_mail(&mut self, io: &mut Io) {
        while let Some(Letter { from, number, cargo }) = self.mail.inbox.recv() {
            let mut truth = self.truth.borrow_mut();
            truth.tally.letters += 1;
            let counts = truth.letters.entry((self.host, from, self.core)).or_default();
            counts.1 += 1;
            let (sent, came) = *counts;
            let in_order = came == number && number <= sent;
            truth.check(in_order, || {
                format!("letter {number} from core {from} is the {came}. of {sent} here")
            });
            drop(truth);
            if let Some(cargo) = cargo {
                self.settle(io, cargo);
            }
        }
    }

    /// Sends a letter to another core. What can not be sent comes back.
    pub fn post(&mut self, cargo: Option<Cargo>) -> Option<Cargo> {
        let to = self.random.usize(..self.mail.cores.len());
        let mut truth = self.truth.borrow_mut();
        let counts = truth.letters.entry((self.host, self.core, to)).or_default();
        let letter = Letter { from: self.core, number: counts.0 + 1, cargo };
        match self.mail.cores[to].try_send(letter) {
            Ok(()) => {
                counts.0 += 1;
                None
            }
            Err(error) => error.into_message().cargo,
        }
    }

    fn tick(&mut self, io: &mut Io) {
        for mine in self.live.values() {
            self.check_lateness(io, mine, io.now());
        }
        let next = match self.phase() {
            Phase::Busy => {
                self.live_a_little(io);
                Duration::from_nanos(about(&mut self.random, 1, self.plan.tick.as_nanos() as u64 * 2))
            }
            Phase::Even | Phase::Close => {
                self.come_to_rest(io);
                Duration::from_millis(100)
            }
            Phase::Still => {
                self.tick = None;
                return;
            }
        };
        self.tick = Some(io.timer_after(next, TICK));
    }

    fn listener_failed(&mut self, listener: Listener) {
        for door in &mut self.doors {
            door.open.take_if(|open| *open == listener);
        }
    }
}

impl Handler for Node {
    fn handle(&mut self, io: &mut Io, event: Event<'_>) {
        if self.stopped {
            return;
        }
        let about = event.conn();
        if let Some(conn) = about
            && !matches!(event, Event::Accepted { .. })
            && !self.live.contains_key(&conn)
        {
            return self.fail(io, || format!("{event:?} of nobody's connection"));
        }
        self.lending = None;
        match event {
            Event::Accepted { conn, listener, peer } => self.accepted(io, conn, listener, peer),
            Event::Opened { conn, .. } => self.opened(io, conn),
            Event::Data { conn, bytes } => self.data(io, conn, bytes),
            Event::Drained { conn } => self.drained(io, conn),
            Event::PeerFinished { conn } => self.peer_finished(io, conn),
            Event::Closed { conn, reason } => self.closed(io, conn, reason),
            Event::Timer { timer, tag } => self.timer(io, timer, tag),
            Event::Mail { .. } => self.read_mail(io),
            Event::ListenerFailed { listener, .. } => self.listener_failed(listener),
            Event::Stopping { .. } => {
                let asked = self.truth.borrow().hosts[self.host].stopping;
                self.check(io, asked && !self.stopping, || "nobody asked it to stop".into());
                self.stopping = true;
                self.doors.iter_mut().for_each(|door| door.open = None);
            }
            other => self.fail(io, || format!("{other:?} is nothing that can come")),
        }
        if self.phase() == Phase::Busy {
            for _ in 0..self.random.u32(..self.plan.acts_max) {
                self.act(io, about);
            }
            self.panic_perhaps(about);
        }
    }
}

/// What it still had is lost.
impl Drop for Node {
    fn drop(&mut self) {
        // Not if a test fails with the oracle in hand.
        let Ok(mut truth) = self.truth.try_borrow_mut() else { return };
        truth.hosts[self.host].live -= self.live.len();
        for mine in self.live.values() {
            truth.mine(mine.talk, mine.side).gone = true;
        }
    }
}
