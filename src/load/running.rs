//! A run in progress: its threads, the collector that reads them once an interval, and the record it ends in.

use super::crowding::Crowding;
use super::faults::Faults;
use super::generator::{Generator, reactor};
use super::plan::Plan;
use super::protocol::Protocol;
use super::record::{Interval, Run};
use super::samples::samples;
use super::secured::Handshakes;
use super::series::Series;
use super::summary::{Ending, summarize};
use crate::error::{Error, Payload};
use crate::reactor::Reactor;
use crate::reactor::processors::{pin_to, processors};
use crate::time::{Clock, Instant, wall_now};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Acquire, Ordering::Release};
use std::thread::JoinHandle;
use std::time::{Duration, UNIX_EPOCH};

/// How often a thread looks for overdue requests and for being stopped.
const INSPECT_EVERY: Duration = Duration::from_millis(20);

/// Between the moment that all connections are up and the first request.
const BEGIN_AFTER: Duration = Duration::from_millis(5);

/// How long an interrupted run waits for what is in flight.
const INTERRUPT_GRACE: Duration = Duration::from_millis(250);

/// How often progress is told while there is nothing to measure.
const TELL_EVERY: Duration = Duration::from_millis(100);

/// What all threads of a run see.
#[derive(Debug, Default)]
struct Control {
    /// When the warm-up begins, in nanoseconds of the clock; 0 while that is not decided.
    begin_ns: AtomicU64,
    /// Somebody wants the run to end.
    stop: AtomicBool,
    /// It is pointless to go on.
    abandon: AtomicBool,
}

impl Control {
    fn is_over(&self) -> bool {
        self.stop.load(Acquire) || self.abandon.load(Acquire)
    }
}

/// Ends a run early, from any thread; what was measured is kept.
#[derive(Clone, Debug)]
pub struct StopRun(Arc<Control>);

impl StopRun {
    /// Ends the run: no request starts from now on.
    pub fn stop(&self) {
        self.0.stop.store(true, Release);
    }
}

/// What a thread tells the collector.
enum Told {
    /// Every connection of the thread is up or was given up.
    Settled { up: usize, last_refusal: String },
    /// The thread is done; requests meant for `end` or later were not its business. Being told to stop made it so, if it
    /// was `interrupted`.
    Done { faults: Faults, handshakes: Handshakes, end: Instant, interrupted: bool },
}

/// What a run is doing.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Progress {
    /// Connections are being opened.
    Connecting {
        /// How many are up.
        up: u64,
        /// How many there shall be.
        of: u64,
    },
    /// Requests are sent but not counted yet.
    WarmingUp {
        /// How much longer.
        left: Duration,
    },
    /// An interval was measured.
    Measuring(Interval),
    /// The time is over; answers to what was sent before are awaited.
    Finishing {
        /// Requests in flight.
        outstanding: u64,
    },
}

/// Runs `plan` to its end and says what came of it.
///
/// # Errors
/// As [`start`] and [`Running::finish`].
pub fn run<P: Protocol>(plan: &Plan, protocol: P) -> Result<Run, Error> {
    start(plan, protocol)?.finish()
}

/// Starts a run: its threads begin to connect.
///
/// A target that refuses, vanishes or speaks something else is no error here: the record says so.
///
/// # Errors
/// [`Error::Config`] for a plan that makes no sense or needs more descriptors than the process may have;
/// [`Error::Io`] if a poller or a thread cannot be made.
pub fn start<P: Protocol>(plan: &Plan, protocol: P) -> Result<Running, Error> {
    plan.validate()?;
    super::descriptors::reserve(plan.descriptors_max())?;
    let name = protocol.name();
    let control = Arc::new(Control::default());
    let (tell, told) = unbounded();
    let (mut threads, mut readers, mut views) = (Vec::new(), Vec::new(), Vec::new());
    let (allowed, answered) = (processors(), Arc::default());
    // All of them before the first thread, which would wait for ever if another reactor could not be made.
    let reactors = (0..plan.threads).map(|_| reactor(plan)).collect::<Result<Vec<_>, _>>()?;
    for (thread, (reactor, view)) in reactors.into_iter().enumerate() {
        let (mine, reader) = samples();
        let lines = plan.connections / plan.threads + usize::from(thread < plan.connections % plan.threads);
        let worker = Worker {
            reactor,
            generator: Generator::new(
                plan,
                thread,
                lines,
                protocol.clone(),
                mine,
                Faults::new(Arc::clone(&answered)),
            ),
            plan: plan.clone(),
            thread,
            processor: plan.pin_from.map(|first| allowed[(first + thread) % allowed.len()]),
            control: Arc::clone(&control),
            tell: tell.clone(),
        };
        let builder = std::thread::Builder::new().name(format!("windlass-load-{thread}"));
        let spawned = builder.spawn(move || worker.work());
        threads.push(spawned.map_err(|error| {
            // The threads there are must not wait for a beginning that never comes.
            control.abandon.store(true, Release);
            Error::io("starting a generator thread", error)
        })?);
        readers.push(reader);
        views.push(view);
    }
    Ok(Running {
        plan: plan.clone(),
        protocol: name,
        control,
        threads,
        told,
        series: Series::new(readers, views),
        clock: Clock::os(),
        stage: Stage::Connecting,
        settled: 0,
        ending: Ending::default(),
        measure_from: Instant::FAR_FUTURE,
        warmed_up: false,
        crowding: Crowding::start(),
    })
}

/// Ends the run for everybody when one thread is gone before its time: its share would be missing, and the collector
/// would wait for it.
struct Alarm {
    control: Arc<Control>,
    armed: bool,
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if self.armed {
            self.control.abandon.store(true, Release);
        }
    }
}

/// One generator thread.
struct Worker<P> {
    reactor: Reactor,
    generator: Generator<P>,
    plan: Plan,
    thread: usize,
    processor: Option<usize>,
    control: Arc<Control>,
    tell: Sender<Told>,
}

impl<P: Protocol> Worker<P> {
    fn work(mut self) -> Result<(), Error> {
        let mut alarm = Alarm { control: Arc::clone(&self.control), armed: true };
        if let Some(processor) = self.processor {
            pin_to(processor);
        }
        self.connect()?;
        let begin = Instant::from_nanos(self.control.begin_ns.load(Acquire));
        let mut interrupted = true;
        if begin != Instant::ZERO {
            self.generator.begin(self.reactor.io(), &self.plan, self.thread, begin);
            interrupted = self.measure(begin)?;
        }
        let Generator { engine, faults, handshakes, .. } = self.generator;
        alarm.armed = false;
        // A collector that is gone wants to know nothing.
        let _ = self.tell.send(Told::Done { end: engine.end(), faults, handshakes, interrupted });
        Ok(())
    }

    /// Opens the connections, says how many came up, and waits for the beginning.
    fn connect(&mut self) -> Result<(), Error> {
        self.generator.connect(self.reactor.io());
        let mut told = false;
        while self.control.begin_ns.load(Acquire) == 0
            && !self.control.is_over()
            && self.generator.faults.fatal().is_none()
        {
            let until = self.reactor.io().clock() + Duration::from_millis(1);
            self.reactor.run_until(until, &mut self.generator)?;
            if !told && self.generator.is_settled() {
                told = true;
                let last_refusal = self.generator.last_refusal().to_owned();
                let _ = self.tell.send(Told::Settled { up: self.generator.up(), last_refusal });
            }
        }
        Ok(())
    }

    /// Sends and counts; says whether that was cut short.
    fn measure(&mut self, begin: Instant) -> Result<bool, Error> {
        let mut give_up = begin + self.plan.warm_up + self.plan.duration + self.plan.timeout;
        let mut interrupted = false;
        loop {
            let now = self.reactor.io().clock();
            if self.generator.faults.fatal().is_some() {
                self.generator.engine.interrupt(now);
                break;
            }
            if self.control.is_over() && !interrupted {
                interrupted = true;
                self.generator.engine.interrupt(now);
                give_up = give_up.min(now + INTERRUPT_GRACE);
            }
            let engine = &self.generator.engine;
            if now >= give_up || (engine.all_started(now) && engine.outstanding() == 0) {
                break;
            }
            self.reactor.run_until(now + INSPECT_EVERY, &mut self.generator)?;
            self.generator.inspect(self.reactor.io());
        }
        let now = self.reactor.io().clock();
        if !interrupted {
            self.generator.give_up(now);
        }
        // Those who waited when somebody lost patience with a slow target are the ones to know about.
        self.generator.finish(now);
        Ok(interrupted)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Connecting,
    Running,
    Over,
}

/// A run in progress. Made by [`start`].
///
/// Ask for [`next`](Running::next) until it is over, then [`finish`](Running::finish). Dropping it ends the run.
#[derive(Debug)]
pub struct Running {
    plan: Plan,
    protocol: &'static str,
    control: Arc<Control>,
    threads: Vec<JoinHandle<Result<(), Error>>>,
    told: Receiver<Told>,
    series: Series,
    clock: Clock,
    stage: Stage,
    /// Threads whose connections are up or given up.
    settled: usize,
    ending: Ending,
    measure_from: Instant,
    warmed_up: bool,
    crowding: Crowding,
}

impl Running {
    /// A handle that ends the run early.
    #[must_use]
    pub fn stopper(&self) -> StopRun {
        StopRun(Arc::clone(&self.control))
    }

    /// Waits for the next thing to tell: at most one interval, or a tenth of a second while there is nothing to
    /// measure. `None` when the run is over.
    #[expect(clippy::should_implement_trait, reason = "a run in progress is no collection of things")]
    pub fn next(&mut self) -> Option<Progress> {
        loop {
            if self.stage == Stage::Over {
                return None;
            }
            let now = self.clock.now();
            match self.told.recv_timeout(self.boundary(now).since(now)) {
                Ok(Told::Settled { up, last_refusal }) => self.settle(up, last_refusal),
                Ok(Told::Done { faults, handshakes, end, interrupted }) => {
                    self.ending.interrupted |= interrupted;
                    self.ending.handshakes.push(handshakes);
                    self.done(faults, end);
                }
                Err(RecvTimeoutError::Timeout) => return Some(self.progress()),
                Err(RecvTimeoutError::Disconnected) => {
                    self.stage = Stage::Over;
                    return self
                        .series
                        .close_last(&self.plan, self.ending.measured, self.clock.now())
                        .map(Progress::Measuring);
                }
            }
        }
    }

    /// Waits for the end of the run and says what came of it.
    ///
    /// # Errors
    /// [`Error::Panicked`] if the protocol panicked; [`Error::Io`] if a poller failed.
    pub fn finish(mut self) -> Result<Run, Error> {
        while self.next().is_some() {}
        for (core, thread) in self.threads.drain(..).enumerate() {
            thread.join().map_err(|payload| Error::Panicked { core, payload: Payload::new(payload) })??;
        }
        self.ending.processor_wait_fraction = self.crowding.fraction();
        self.ending.interrupted &= self.control.stop.load(Acquire);
        Ok(summarize(&self.plan, self.protocol, &self.series, &self.ending))
    }

    /// Until when to wait for news.
    fn boundary(&self, now: Instant) -> Instant {
        match self.stage {
            Stage::Running if now < self.measure_from => self.measure_from.min(now + TELL_EVERY),
            Stage::Running if now < self.measure_from + self.plan.duration => {
                self.series.boundary(self.plan.interval()).max(now)
            }
            _ => now + TELL_EVERY,
        }
    }

    fn progress(&mut self) -> Progress {
        let now = self.clock.now();
        let end = self.measure_from + self.plan.duration;
        if self.stage == Stage::Connecting {
            return Progress::Connecting { up: self.series.up(), of: self.plan.connections as u64 };
        }
        if now < self.measure_from {
            return Progress::WarmingUp { left: self.measure_from.since(now) };
        }
        if !self.warmed_up {
            self.warmed_up = true;
            self.series.warmed_up();
            self.crowding = Crowding::start();
        }
        self.crowding.sample();
        if now >= self.series.boundary(self.plan.interval())
            && let Some(interval) = self.series.close(&self.plan, now)
        {
            return Progress::Measuring(interval);
        }
        if now < end {
            return Progress::WarmingUp { left: Duration::ZERO };
        }
        Progress::Finishing { outstanding: self.series.outstanding() }
    }

    fn settle(&mut self, up: usize, last_refusal: String) {
        self.settled += 1;
        self.ending.up_at_first += up;
        if !last_refusal.is_empty() {
            self.ending.last_refusal = last_refusal;
        }
        if self.settled < self.plan.threads {
            return;
        }
        if self.ending.up_at_first == 0 {
            let target = self.plan.target();
            self.ending.failure =
                Some(format!("cannot connect to {target}: {}", self.ending.refusal(target)));
            self.control.abandon.store(true, Release);
            return;
        }
        let begin = self.clock.now() + BEGIN_AFTER;
        self.measure_from = begin + self.plan.warm_up;
        self.ending.started = UNIX_EPOCH + wall_now() + BEGIN_AFTER + self.plan.warm_up;
        self.series.begin(self.measure_from, self.measure_from + self.plan.duration);
        self.control.begin_ns.store(begin.as_nanos().max(1), Release);
        self.stage = Stage::Running;
    }

    fn done(&mut self, faults: Faults, end: Instant) {
        if let Some(fatal) = faults.fatal() {
            self.ending.failure.get_or_insert_with(|| fatal.to_owned());
            self.control.abandon.store(true, Release);
        }
        if self.stage == Stage::Running {
            self.ending.measured = self.ending.measured.max(end.since(self.measure_from));
        }
        self.ending.faults.push(faults);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.control.abandon.store(true, Release);
    }
}
