//! What the simulated world holds, whose turn it is, and the queue of what happens next.

use super::channel::{Channel, Side};
use super::flow::{FlowSettings, Step};
use super::listening::Listening;
use super::recording::Recording;
use super::topology::Topology;
use crate::collections::{Handle, Slots, TimerHeap};
use crate::error::Address;
use crate::limits::SIM_DESCRIPTORS_MAX;
use crate::time::Instant;
use mio::Token;
use rustix::io::Errno;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The world, as everything in it holds it.
#[derive(Clone, Debug)]
pub(crate) struct Shared(Arc<Mutex<State>>);

/// What holds for a whole simulation.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// What everything random in the world is drawn from.
    pub(crate) seed: u64,
    /// Virtual time that one turn of a reactor takes: what keeps a busy loop from standing still in time.
    pub(crate) turn_time: Duration,
    /// Mail between cores arrives that much later, drawn uniformly.
    pub(crate) mail_delay: [Duration; 2],
    /// What connections begin with.
    pub(crate) flow: Arc<FlowSettings>,
}

impl Settings {
    pub(crate) fn new(seed: u64) -> Settings {
        Settings {
            seed,
            turn_time: Duration::from_micros(2),
            mail_delay: [Duration::from_micros(1), Duration::from_micros(20)],
            flow: Arc::new(FlowSettings::default()),
        }
    }
}

#[derive(Debug)]
pub(crate) struct State {
    pub(super) now: Instant,
    pub(super) settings: Settings,
    pub(super) queue: TimerHeap<Happening>,
    pub(super) hosts: Vec<HostState>,
    pub(super) cores: Vec<CoreState>,
    pub(super) channels: Slots<Channel>,
    pub(super) listeners: Slots<Listening>,
    pub(super) topology: Topology,
    /// Cores that are due now, in the order in which they became so.
    runnable: VecDeque<u32>,
    /// Draws mail delays and which of several listeners gets a connection.
    pub(super) random: fastrand::Rng,
    /// Scratch of a flow's steps.
    pub(super) steps: Vec<(Instant, Step)>,
    trace: u64,
    happened: u64,
    recording: Option<Box<Recording>>,
}

/// A machine.
#[derive(Debug)]
pub(super) struct HostState {
    pub(super) up: bool,
    pub(super) descriptors: usize,
    pub(super) descriptors_max: usize,
    /// Where it listens.
    pub(super) bound: Vec<(Address, Handle)>,
    pub(super) next_port: u16,
    /// What the next accepts answer with.
    pub(super) accept_faults: VecDeque<Errno>,
}

/// One core of a host: the place of one reactor.
#[derive(Debug)]
pub(super) struct CoreState {
    /// Whose it is.
    host: u32,
    /// What its reactor reads as the time.
    clock: Arc<AtomicU64>,
    /// How far that is ahead of the world's time, in nanoseconds.
    clock_ahead: i64,
    /// Sockets and listeners that something happened to since the last turn.
    pub(super) ready: VecDeque<Ready>,
    /// It stands in `runnable` or has a turn in the queue because something happened to it.
    roused: bool,
    /// The earliest turn of it in the queue.
    due_at: Option<Instant>,
    /// No turn before then: the last one takes that long, or the host stands still.
    free_at: Instant,
    /// Virtual time that its turns take.
    turn_time: Duration,
    /// Its reactor exists.
    alive: bool,
}

/// What an event of the poller will be about.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ready {
    End(Handle, Side, Token),
    Listener(Handle, Token),
}

/// What happens at some time.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Happening {
    /// The next step of one direction of a connection.
    Flow(Handle, Side, Step),
    /// A connection request reaches the other host.
    Syn(Handle),
    /// It has not been answered: once more, for the n-th time.
    SynAgain(Handle, u8),
    /// Its acceptance reaches the host that asked.
    SynAck(Handle),
    /// The last part of the handshake reaches the host that accepted.
    Established(Handle),
    /// That part was lost and is sent again.
    EstablishAgain(Handle),
    /// A host that answered a request has waited long enough for the last part of the handshake.
    HalfOpen(Handle),
    /// The request is refused.
    Refused(Handle, Errno),
    /// A reset reaches that end.
    Reset(Handle, Side),
    /// Time to look whether the peer of that end still lives; so many probes are unanswered.
    Probe(Handle, Side, u8),
    /// An end that nobody holds has waited long enough for its peer's.
    Orphan(Handle, Side),
    /// A core's reactor is due.
    Turn(u32),
    /// The bell of a core's reactor rang.
    Bell(u32),
    /// Something that the network above asked to be told at this time.
    Call(u64),
}

/// What the network above has to do next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Next {
    /// Let the reactor of this core take a turn.
    Turn(u32),
    /// Do what was asked for with [`State::call_at`].
    Call(u64),
    /// Nothing happens any more by the given time.
    Quiet,
}

impl Shared {
    pub(crate) fn new(settings: Settings) -> Shared {
        Shared(Arc::new(Mutex::new(State {
            // Not zero, so that what is one second ago can be told from "never".
            now: Instant::from_millis(1000),
            topology: Topology::new(settings.seed),
            random: fastrand::Rng::with_seed(settings.seed),
            settings,
            queue: TimerHeap::new(),
            hosts: Vec::new(),
            cores: Vec::new(),
            channels: Slots::new(),
            listeners: Slots::new(),
            runnable: VecDeque::new(),
            steps: Vec::new(),
            trace: 0,
            happened: 0,
            recording: None,
        })))
    }

    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // Whoever panicked while holding it has ended its test; what is dropped after that only closes things.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// ---- hosts and cores

impl State {
    pub(crate) fn now(&self) -> Instant {
        self.now
    }

    pub(crate) fn add_host(&mut self) -> u32 {
        let host = u32::try_from(self.hosts.len()).expect("fewer hosts than addresses");
        self.hosts.push(HostState {
            up: true,
            descriptors: 0,
            descriptors_max: SIM_DESCRIPTORS_MAX,
            bound: Vec::new(),
            next_port: 32_768,
            accept_faults: VecDeque::new(),
        });
        host
    }

    /// A core more, with a clock of its own.
    pub(crate) fn add_core(&mut self, host: u32, clock_ahead: i64) -> (u32, Arc<AtomicU64>) {
        let core = u32::try_from(self.cores.len()).expect("fewer cores than tokens");
        let clock = Arc::new(AtomicU64::new(shifted(self.now, clock_ahead)));
        self.cores.push(CoreState {
            host,
            clock: Arc::clone(&clock),
            clock_ahead,
            ready: VecDeque::new(),
            roused: false,
            due_at: None,
            free_at: Instant::ZERO,
            turn_time: self.settings.turn_time,
            alive: true,
        });
        (core, clock)
    }

    /// The core's reactor is gone for good; its number is not used again.
    pub(crate) fn retire_core(&mut self, core: u32) {
        let core = &mut self.cores[core as usize];
        core.alive = false;
        core.ready = VecDeque::new();
    }

    /// How long turns of this core take, if that is longer than usual.
    pub(crate) fn set_turn_time(&mut self, core: u32, turn_time: Option<Duration>) {
        let usual = self.settings.turn_time;
        self.cores[core as usize].turn_time = turn_time.unwrap_or(usual).max(usual);
    }

    /// Sets the clock of a core that far ahead of the world's time, and has it look at what is due by its new time.
    pub(crate) fn set_clock_ahead(&mut self, core: u32, ahead: i64) {
        self.cores[core as usize].clock_ahead = ahead;
        self.rouse(core);
    }

    /// No turn of this core before `until`; its clock goes on.
    pub(crate) fn hold_core(&mut self, core: u32, until: Instant) {
        let state = &mut self.cores[core as usize];
        state.free_at = state.free_at.max(until);
        let until = state.free_at;
        if state.roused || state.due_at.is_some() {
            self.schedule(core, until);
        }
    }

    /// Lets a core go on whose time of standing still is over.
    pub(crate) fn free_core(&mut self, core: u32) {
        if self.cores[core as usize].free_at <= self.now {
            self.rouse(core);
        }
    }

    /// Ends a core's time of standing still before it is over.
    pub(crate) fn release_core(&mut self, core: u32) {
        let state = &mut self.cores[core as usize];
        state.free_at = state.free_at.min(self.now);
        state.roused = false;
        self.rouse(core);
    }

    /// Has the core look at what was done to its reactor from outside.
    pub(crate) fn rouse_core(&mut self, core: u32) {
        self.rouse(core);
    }

    /// Sets what the core's reactor reads as the time to now.
    pub(crate) fn set_clock(&mut self, core: u32) {
        let core = &self.cores[core as usize];
        core.clock.store(shifted(self.now, core.clock_ahead), Ordering::Relaxed);
    }

    pub(crate) fn topology(&mut self) -> &mut Topology {
        &mut self.topology
    }

    pub(crate) fn open_connections(&self) -> usize {
        self.channels.len()
    }

    pub(crate) fn descriptors(&self, host: u32) -> usize {
        self.hosts[host as usize].descriptors
    }

    /// How likely reads and writes of new connections are cut short.
    pub(crate) fn cut_short(&mut self, short_read: f64, short_write: f64) {
        let flow = Arc::make_mut(&mut self.settings.flow);
        (flow.short_read, flow.short_write) = (short_read, short_write);
    }

    pub(crate) fn set_descriptors_max(&mut self, host: u32, max: usize) {
        self.hosts[host as usize].descriptors_max = max;
    }

    /// Every accept is as it should be again.
    pub(crate) fn mend_accepts(&mut self, host: u32) {
        self.hosts[host as usize].accept_faults.clear();
    }

    /// Stirs something that the network above did into the trace.
    pub(crate) fn note_fault(&mut self, number: u32) {
        self.note(self.now.as_nanos(), number, 7);
    }

    pub(crate) fn fail_accepts(&mut self, host: u32, errnos: impl IntoIterator<Item = Errno>) {
        self.hosts[host as usize].accept_faults.extend(errnos);
    }

    /// Something happened that the core's reactor must look at.
    #[inline]
    pub(super) fn rouse(&mut self, core: u32) {
        let state = &mut self.cores[core as usize];
        if state.roused || !state.alive {
            return;
        }
        state.roused = true;
        if state.free_at <= self.now {
            self.runnable.push_back(core);
        } else {
            let at = state.free_at;
            self.schedule(core, at);
        }
    }

    fn schedule(&mut self, core: u32, at: Instant) {
        let state = &mut self.cores[core as usize];
        if at < Instant::FAR_FUTURE && state.due_at.is_none_or(|due| at < due) {
            state.due_at = Some(at);
            self.queue.insert(at, Happening::Turn(core));
        }
    }
}

// ---- what happens next

impl State {
    /// Has [`Next::Call`] say `what` at that time.
    pub(crate) fn call_at(&mut self, at: Instant, what: u64) {
        self.queue.insert(at.max(self.now), Happening::Call(what));
    }

    /// Lets things happen until somebody above has to act, or as long as anything happens by `until`.
    pub(crate) fn next(&mut self, until: Instant) -> Next {
        loop {
            if let Some(core) = self.runnable.pop_front() {
                // A turn taken since may have seen to it already.
                if self.cores[core as usize].roused && self.begin_turn(core) {
                    return Next::Turn(core);
                }
                continue;
            }
            match self.queue.pop_due(until) {
                None => return Next::Quiet,
                Some((_, at, happening)) => {
                    // What was put in for a time gone by happens now.
                    self.now = self.now.max(at);
                    self.happened += 1;
                    if let Some(next) = self.happen(happening, at) {
                        return next;
                    }
                }
            }
        }
    }

    /// Lets the time pass until then in which nothing happens.
    pub(crate) fn rest_until(&mut self, until: Instant) {
        self.now = self.now.max(until);
    }

    fn happen(&mut self, happening: Happening, at: Instant) -> Option<Next> {
        let now = self.now.as_nanos();
        match happening {
            Happening::Turn(core) => {
                let state = &mut self.cores[core as usize];
                if state.due_at != Some(at) || !state.alive {
                    return None;
                }
                state.due_at = None;
                if state.free_at > self.now {
                    let at = state.free_at;
                    self.schedule(core, at);
                    return None;
                }
                return self.begin_turn(core).then_some(Next::Turn(core));
            }
            Happening::Bell(core) => {
                self.note(now, core, 6);
                self.rouse(core);
            }
            Happening::Call(what) => return Some(Next::Call(what)),
            Happening::Flow(channel, side, step) => {
                self.note(now, channel.index(), 1 + side as u32);
                self.step(channel, side, step);
            }
            Happening::Syn(channel) => {
                self.note(now, channel.index(), 3);
                self.syn(channel);
            }
            Happening::SynAgain(channel, attempt) => self.syn_again(channel, attempt),
            Happening::SynAck(channel) => {
                self.note(now, channel.index(), 4);
                self.syn_ack(channel);
            }
            Happening::Established(channel) => self.established(channel),
            Happening::EstablishAgain(channel) => self.establish_again(channel),
            Happening::HalfOpen(channel) => self.half_open(channel),
            Happening::Refused(channel, errno) => self.refused(channel, errno),
            Happening::Reset(channel, side) => {
                self.note(now, channel.index(), 5);
                self.reset_arrives(channel, side);
            }
            Happening::Probe(channel, side, unanswered) => self.probe(channel, side, unanswered),
            Happening::Orphan(channel, side) => self.orphan(channel, side),
        }
        None
    }

    /// Sets the clock of the core for its turn. Answers whether there is a reactor to turn.
    fn begin_turn(&mut self, core: u32) -> bool {
        let state = &mut self.cores[core as usize];
        state.roused = false;
        if !state.alive {
            return false;
        }
        if state.free_at > self.now {
            // Held since it was roused.
            self.rouse(core);
            return false;
        }
        self.set_clock(core);
        true
    }

    /// The reactor of `core` has taken its turn, in which the handler was called `handled` times; it wants the next one
    /// at `next` by its own clock, or as soon as possible if it has `more` to do.
    pub(crate) fn turned(&mut self, core: u32, handled: usize, next: Option<Instant>, more: bool) {
        let now = self.now;
        self.happened += 1;
        self.note(now.as_nanos(), core, 16 + handled as u32);
        let state = &mut self.cores[core as usize];
        let free_at = state.free_at.max(now + state.turn_time);
        state.free_at = free_at;
        if more || state.roused || !state.ready.is_empty() {
            state.roused = true;
            self.schedule(core, free_at);
        } else if let Some(next) = next {
            let at = shifted(next, state.clock_ahead.saturating_neg());
            self.schedule(core, Instant::from_nanos(at).max(free_at));
        }
    }

    /// Stirs what happened into the trace.
    #[inline]
    pub(super) fn note(&mut self, at: u64, who: u32, what: u32) {
        if self.recording.is_some() {
            self.record(at, who, what);
        }
        // The finalizer of splitmix64 (Steele, Lea, Flood 2014): every bit of what came before reaches every bit.
        let mut z =
            self.trace ^ at.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (u64::from(who) << 32 | u64::from(what));
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        self.trace = z ^ z >> 31;
    }

    #[cold]
    fn record(&mut self, at: u64, who: u32, what: u32) {
        let hosts = match what {
            // Of a connection.
            1..=5 => self.channels.at_index_mut(who).map(|(_, c)| [c.ends[0].host, c.ends[1].host]),
            7 => None,
            _ => Some([self.cores[who as usize].host; 2]),
        };
        if let Some(recording) = &mut self.recording {
            recording.push(at, who, what, hosts);
        }
    }

    /// Keeps the last so many lines of what happens, or none.
    pub(crate) fn set_recording(&mut self, lines_max: usize) {
        self.recording = (lines_max > 0).then(|| Box::new(Recording::new(lines_max)));
    }

    pub(crate) fn recording(&self) -> Option<&Recording> {
        self.recording.as_deref()
    }

    /// A number that two runs share if, and as good as only if, the same happened in both.
    pub(crate) fn trace(&self) -> u64 {
        self.trace
    }

    /// Things that happened and turns that were taken.
    pub(crate) fn happened(&self) -> u64 {
        self.happened
    }
}

/// `at`, moved by so many nanoseconds; stays within what can be told.
fn shifted(at: Instant, by: i64) -> u64 {
    at.as_nanos().saturating_add_signed(by)
}
