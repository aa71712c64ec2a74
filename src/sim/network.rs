//! The network: hosts that run production reactors, and the loop that gives each its turn when it is due.

use super::failure;
use super::fault::Fault;
use super::inflict::Planned;
use super::wall::Wall;
use crate::error::Error;
use crate::metrics::Metrics;
use crate::net::World;
use crate::net::sim::{Next, Port, Settings, Shared, ip_of_host};
use crate::reactor::{Core, CoreMail, Cores, Handler, Hosted, Io, Reactor, StopAll};
use crate::time::Instant;
use std::any::{Any, type_name};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

/// Hosts, links and faults in one process, in virtual time.
///
/// Dropped by a panic, it says on standard error how to have the same again: seed, commit, and the faults so far.
pub struct Network {
    pub(super) shared: Shared,
    pub(super) seed: u64,
    pub(super) began: Instant,
    pub(super) hosts: Vec<HostEntry>,
    /// By the number of the core in the world.
    cores: Vec<Option<Running>>,
    /// What is to happen at times of its own.
    pub(super) planned: BTreeMap<u64, Planned>,
    pub(super) plans: u64,
    /// What went wrong so far, in this order, counted from the beginning of the network.
    pub(super) inflicted: Vec<(Duration, Fault)>,
    /// Blocks of the topology and links said for a while, so far: what they are numbered by.
    pub(super) blocks: u64,
}

/// A host of a [`Network`]: its number, in the order in which they were added.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Host(pub(super) u32);

impl Host {
    /// The host that was added as the `number`th, counted from 0: for faults that are written down before there is a
    /// network.
    #[must_use]
    pub const fn nth(number: u32) -> Host {
        Host(number)
    }

    /// Its address: 10.0.0.1 for the first host, and so on.
    #[must_use]
    pub fn ip(self) -> Ipv4Addr {
        ip_of_host(self.0)
    }

    /// That port of it.
    #[must_use]
    pub fn port(self, port: u16) -> SocketAddr {
        SocketAddr::from((self.ip(), port))
    }
}

/// As Rust: `Host::nth(2)`.
impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Host::nth({})", self.0)
    }
}

pub(super) struct HostEntry {
    pub(super) name: String,
    program: Option<Program>,
    pub(super) cores: Vec<u32>,
    everyone: Option<StopAll>,
    metrics: Option<Metrics>,
    pub(super) clock_ahead: i64,
    /// Slower than usual.
    pub(super) turn_time: Option<Duration>,
    /// It could not start, and is to try again.
    pub(super) starting: bool,
    /// It stands still until then.
    pub(super) paused_until: Instant,
}

type Program = Rc<dyn Fn(&dyn Fn(usize) -> World) -> Result<Hosted<Box<dyn App>>, Error>>;

/// A handler that can be looked into.
trait App: Handler {
    fn as_any(&self) -> &dyn Any;
    fn as_any_mut(&mut self) -> &mut dyn Any;
}

impl<H: Handler + 'static> App for H {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

struct Running {
    /// Gone when it was stopped; its handler can still be looked into.
    reactor: Option<Reactor>,
    app: Box<dyn App>,
}

impl Network {
    /// A network without hosts. Everything random in it is drawn from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Network {
        let shared = Shared::new(Settings::new(seed));
        let began = shared.lock().now();
        Network {
            shared,
            seed,
            began,
            hosts: Vec::new(),
            cores: Vec::new(),
            planned: BTreeMap::new(),
            plans: 0,
            inflicted: Vec::new(),
            blocks: 0,
        }
    }

    /// What it was made with.
    #[must_use]
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// A host more, up and connected, running nothing.
    pub fn host(&mut self, name: impl Into<String>) -> Host {
        let number = self.shared.lock().add_host();
        self.hosts.push(HostEntry {
            name: name.into(),
            program: None,
            cores: Vec::new(),
            everyone: None,
            metrics: None,
            clock_ahead: 0,
            turn_time: None,
            starting: false,
            paused_until: Instant::ZERO,
        });
        Host(number)
    }

    /// What the host is called.
    ///
    /// # Panics
    /// If there is no such host; so does whatever else is given a host.
    #[must_use]
    pub fn name(&self, host: Host) -> &str {
        &self.entry(host).name
    }

    /// Whether any of the host's reactors runs: it was started, has not ended by itself, and is not down.
    #[must_use]
    pub fn is_running(&self, host: Host) -> bool {
        let mut cores = self.entry(host).cores.iter().filter_map(|core| self.cores[*core as usize].as_ref());
        cores.any(|running| running.reactor.is_some())
    }

    #[track_caller]
    pub(super) fn entry(&self, host: Host) -> &HostEntry {
        let count = self.hosts.len();
        self.hosts.get(host.0 as usize).unwrap_or_else(|| panic!("there is no {host} among {count} hosts"))
    }

    #[track_caller]
    pub(super) fn entry_mut(&mut self, host: Host) -> &mut HostEntry {
        let count = self.hosts.len();
        self.hosts
            .get_mut(host.0 as usize)
            .unwrap_or_else(|| panic!("there is no {host} among {count} hosts"))
    }

    /// Starts `cores` on the host, as [`Cores::start`] does on a machine: `make` builds the handler of each core, now
    /// and after every [`Fault::Restart`].
    ///
    /// # Errors
    /// As [`Cores::start`].
    pub fn start<H, F>(&mut self, host: Host, cores: Cores, make: F) -> Result<(), Error>
    where
        H: Handler + 'static,
        F: Fn(&mut Core<'_>) -> H + 'static,
    {
        self.start_program(host, cores, 0, move |core, _: Option<CoreMail<()>>| make(core))
    }

    /// Like [`Network::start`], with a mailbox of `capacity` messages on each core and a way to it from all. Mail from
    /// one core to another takes some virtual time.
    ///
    /// # Errors
    /// As [`Cores::start`], and [`Error::Config`] for a capacity of 0.
    pub fn start_with_mail<M, H, F>(
        &mut self,
        host: Host,
        cores: Cores,
        capacity: usize,
        make: F,
    ) -> Result<(), Error>
    where
        M: Send + 'static,
        H: Handler + 'static,
        F: Fn(&mut Core<'_>, CoreMail<M>) -> H + 'static,
    {
        if capacity == 0 {
            return Err(Error::Config("a mailbox for no messages: ask for at least 1".into()));
        }
        self.start_program(host, cores, capacity, move |core, mail| {
            make(core, mail.expect("a mailbox was asked for"))
        })
    }

    fn start_program<M, H, F>(
        &mut self,
        host: Host,
        cores: Cores,
        capacity: usize,
        make: F,
    ) -> Result<(), Error>
    where
        M: 'static,
        H: Handler + 'static,
        F: Fn(&mut Core<'_>, Option<CoreMail<M>>) -> H + 'static,
    {
        cores.again()?;
        let make = move |core: &mut Core<'_>, mail: Option<CoreMail<M>>| -> Box<dyn App> {
            Box::new(make(core, mail))
        };
        self.entry_mut(host).program =
            Some(Rc::new(move |world| cores.again()?.host(world, capacity, &make)));
        let started = self.boot(host);
        if started.is_err() {
            self.entry_mut(host).program = None;
        }
        started
    }

    /// Runs the host's program from its beginning.
    pub(super) fn boot(&mut self, host: Host) -> Result<(), Error> {
        self.end_cores(host);
        self.shared.lock().power_on(host.0);
        let entry = self.entry(host);
        let Some(program) = entry.program.clone() else { return Ok(()) };
        let (shared, ahead, turn_time) = (self.shared.clone(), entry.clock_ahead, entry.turn_time);
        let numbers = RefCell::new(Vec::new());
        let _wall = Wall::of(clock_of(shared.lock().now(), ahead), self.began);
        let hosted = program(&|_| {
            let port = Port::new(&shared, host.0, ahead);
            numbers.borrow_mut().push(port.core());
            World::Sim(port)
        });
        let numbers = numbers.into_inner();
        let hosted =
            hosted.inspect_err(|_| numbers.iter().for_each(|core| shared.lock().retire_core(*core)))?;
        for (core, (reactor, app)) in numbers.into_iter().zip(hosted.cores) {
            // Numbers of cores that failed to start stay empty.
            self.cores.resize_with(core as usize + 1, || None);
            self.cores[core as usize] = Some(Running { reactor: Some(reactor), app });
            let mut state = shared.lock();
            state.set_turn_time(core, turn_time);
            // What the handler asked for when it was made is due now.
            state.free_core(core);
            drop(state);
            self.entry_mut(host).cores.push(core);
        }
        let entry = self.entry_mut(host);
        entry.everyone = Some(hosted.everyone);
        entry.metrics = Some(hosted.metrics);
        Ok(())
    }

    /// Takes the host's reactors away, and with them all that they have open.
    pub(super) fn end_cores(&mut self, host: Host) {
        let entry = self.entry_mut(host);
        (entry.everyone, entry.starting) = (None, false);
        entry.paused_until = Instant::ZERO;
        for core in std::mem::take(&mut entry.cores) {
            self.cores[core as usize] = None;
            self.shared.lock().retire_core(core);
        }
    }
}

// ---- time

impl Network {
    /// The network's time.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.shared.lock().now()
    }

    /// Virtual time since the network was made.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.age()
    }

    pub(super) fn age(&self) -> Duration {
        self.now().since(self.began)
    }

    /// Lets that much virtual time pass.
    ///
    /// # Panics
    /// Passes on a panic of a handler.
    pub fn run_for(&mut self, duration: Duration) {
        let until = self.now() + duration;
        while self.advance(until) {}
    }

    /// Runs until `condition` is true, and answers whether it became so within `limit` of virtual time.
    ///
    /// # Panics
    /// As [`Network::run_for`].
    pub fn run_until(&mut self, mut condition: impl FnMut(&Network) -> bool, limit: Duration) -> bool {
        let until = self.now() + limit;
        loop {
            if condition(self) {
                return true;
            }
            if !self.advance(until) {
                return condition(self);
            }
        }
    }

    /// Runs until `condition` is true, and panics if it has not become so within `limit` of virtual time. `what` is the
    /// sentence that the panic begins with: "the replicas agree".
    ///
    /// # Panics
    /// As said, and as [`Network::run_for`].
    #[track_caller]
    pub fn expect_within(&mut self, limit: Duration, what: &str, condition: impl FnMut(&Network) -> bool) {
        assert!(self.run_until(condition, limit), "{what}: not within {limit:?} of virtual time");
    }

    /// Does what is next: one turn of one reactor, or one fault. Answers whether there was anything to do, ever.
    ///
    /// # Panics
    /// As [`Network::run_for`].
    pub fn step(&mut self) -> bool {
        self.act(Instant::FAR_FUTURE - Duration::from_nanos(1))
    }

    /// Does what is next by `until`; if there is nothing, that is the time, and the answer is no.
    fn advance(&mut self, until: Instant) -> bool {
        let acted = self.act(until);
        if !acted {
            self.shared.lock().rest_until(until);
        }
        acted
    }

    fn act(&mut self, until: Instant) -> bool {
        let next = self.shared.lock().next(until);
        match next {
            Next::Turn(core) => self.turn(core),
            Next::Call(plan) => self.carry_out(plan),
            Next::Quiet => return false,
        }
        true
    }

    fn turn(&mut self, core: u32) {
        let Some(Running { reactor: Some(reactor), app }) = &mut self.cores[core as usize] else { return };
        let _wall = Wall::of(reactor.io().now(), self.began);
        // A simulated poller has nothing to fail with.
        let Ok(turned) = reactor.turn_simulated(&mut **app) else { return };
        let mut state = self.shared.lock();
        state.turned(core, turned.handled, turned.next, turned.more);
        if turned.ended {
            state.retire_core(core);
            drop(state);
            if let Some(running) = &mut self.cores[core as usize] {
                running.reactor = None;
            }
        }
    }

    /// A number that two runs share if, and as good as only if, the same happened at the same times in both.
    #[must_use]
    pub fn trace(&self) -> u64 {
        self.shared.lock().trace()
    }

    /// Keeps the last `lines_max` lines of what happens from now on, at most
    /// [`SIM_RECORDED_LINES_MAX`](crate::limits::SIM_RECORDED_LINES_MAX); 0 keeps none. A failing run prints the last of
    /// them; two runs of one seed whose traces differ part where their lines do.
    pub fn record(&mut self, lines_max: usize) {
        self.shared.lock().set_recording(lines_max);
    }

    /// What was kept, one line for each thing that happened: seconds since the network was made, who, and what. Cores
    /// and connections have numbers, the latter used again.
    #[must_use]
    pub fn recorded(&self) -> Vec<String> {
        let state = self.shared.lock();
        let lines = state.recording().into_iter().flat_map(|recording| recording.lines());
        let name = |host: u32| self.hosts[host as usize].name.as_str();
        lines.map(|line| line.print(self.began.as_nanos(), name)).collect()
    }

    /// What a failing run prints: seed, commit, how far it came, its hosts, the faults so far as Rust to paste, and the
    /// last of what was recorded.
    #[must_use]
    pub fn report(&self) -> String {
        failure::report(self)
    }

    /// Events of the simulation so far: packets that arrived, timers, turns.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.shared.lock().happened()
    }
}

// ---- looking in

impl Network {
    /// TCP connections that exist: those of which some application holds an end, and those that kernels still see to
    /// after both were closed.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        self.shared.lock().open_connections()
    }

    /// Descriptors that the host's programs hold.
    ///
    /// # Panics
    /// If the host is another network's.
    #[must_use]
    pub fn descriptors(&self, host: Host) -> usize {
        self.shared.lock().descriptors(host.0)
    }

    /// The handler of the host's first core.
    ///
    /// # Panics
    /// If the host is not running, or its handler is not an `H`.
    #[must_use]
    #[track_caller]
    pub fn app<H: 'static>(&self, host: Host) -> &H {
        let Some(app) = self.try_app(host) else {
            let runs = if self.entry(host).cores.is_empty() { "nothing" } else { "another handler" };
            panic!("{} runs {runs}, not a {}", self.name(host), type_name::<H>());
        };
        app
    }

    /// The same, or `None`.
    #[must_use]
    pub fn try_app<H: 'static>(&self, host: Host) -> Option<&H> {
        self.try_app_on(host, 0)
    }

    /// The handler of the host's core of that number, from 0; `None` if the host is not running, has no such core, or
    /// its handler is not an `H`.
    #[must_use]
    pub fn try_app_on<H: 'static>(&self, host: Host, core: usize) -> Option<&H> {
        let core = *self.entry(host).cores.get(core)?;
        self.cores[core as usize].as_ref()?.app.as_any().downcast_ref()
    }

    /// Lets the test act as the handler of the host's first core would: with its [`Io`] and its state. What it causes
    /// happens in the turn that follows.
    ///
    /// # Panics
    /// If the host is not running, or its handler is not an `H`.
    #[track_caller]
    pub fn with<H: 'static, T>(&mut self, host: Host, act: impl FnOnce(&mut H, &mut Io) -> T) -> T {
        let name = self.entry(host).name.clone();
        let core = self.entry(host).cores.first().copied();
        let running = core.and_then(|core| self.cores[core as usize].as_mut());
        let (Some(core), Some(Running { reactor: Some(reactor), app })) = (core, running) else {
            panic!("{name} does not run");
        };
        let Some(app) = app.as_any_mut().downcast_mut() else {
            panic!("the handler of {name} is no {}", type_name::<H>());
        };
        self.shared.lock().set_clock(core);
        let _wall = Wall::of(reactor.io().now(), self.began);
        let answer = act(app, reactor.io());
        self.shared.lock().rouse_core(core);
        answer
    }

    /// The metrics of the host's cores; `None` if it never ran.
    #[must_use]
    pub fn metrics(&self, host: Host) -> Option<&Metrics> {
        self.entry(host).metrics.as_ref()
    }

    /// Begins a graceful shutdown of the host's cores, as [`StopAll::shutdown`] does.
    pub fn shutdown(&mut self, host: Host, within: Duration) {
        if let Some(everyone) = &self.entry(host).everyone {
            everyone.shutdown(within);
        }
    }
}

/// What a clock shows that is so many nanoseconds ahead.
fn clock_of(now: Instant, ahead: i64) -> Instant {
    Instant::from_nanos(now.as_nanos().saturating_add_signed(ahead))
}

impl Drop for Network {
    fn drop(&mut self) {
        if std::thread::panicking() {
            failure::tell(self);
        }
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network")
            .field("seed", &self.seed)
            .field("elapsed", &self.age())
            .field("hosts", &self.hosts.len())
            .field("faults", &self.inflicted.len())
            .finish_non_exhaustive()
    }
}
