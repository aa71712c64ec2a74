//! The network: hosts that run production reactors, and the loop that gives each its turn when it is due.

use super::fault::Fault;
use crate::error::Error;
use crate::metrics::Metrics;
use crate::net::World;
use crate::net::sim::{Hosts, Link, Next, Port, Settings, Shared, ip_of_host};
use crate::reactor::{Core, CoreMail, Cores, Handler, Hosted, Io, Reactor, StopAll};
use crate::time::Instant;
use rustix::io::Errno;
use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

/// Hosts, links and faults in one process, in virtual time.
pub struct Network {
    shared: Shared,
    seed: u64,
    began: Instant,
    hosts: Vec<HostEntry>,
    /// By the number of the core in the world.
    cores: Vec<Option<Running>>,
    /// What is to happen at times of its own.
    planned: BTreeMap<u64, Planned>,
    plans: u64,
    /// What went wrong so far, in this order.
    inflicted: Vec<(Instant, Fault)>,
    blocks: u64,
}

/// A host of a [`Network`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Host(pub(super) u32);

impl Host {
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

struct HostEntry {
    name: String,
    program: Option<Program>,
    cores: Vec<u32>,
    everyone: Option<StopAll>,
    metrics: Option<Metrics>,
    clock_ahead: i64,
    turn_time: Option<Duration>,
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

enum Planned {
    Fault(Fault),
    /// The end of a pause.
    Resume(Host),
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
        });
        Host(number)
    }

    /// What the host is called.
    #[must_use]
    pub fn name(&self, host: Host) -> &str {
        &self.hosts[host.0 as usize].name
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
        self.hosts[host.0 as usize].program =
            Some(Rc::new(move |world| cores.again()?.host(world, capacity, &make)));
        self.boot(host)
    }

    /// Runs the host's program from its beginning.
    fn boot(&mut self, host: Host) -> Result<(), Error> {
        self.end_cores(host);
        let entry = &mut self.hosts[host.0 as usize];
        let Some(program) = entry.program.clone() else { return Ok(()) };
        let (shared, ahead) = (self.shared.clone(), entry.clock_ahead);
        let first = self.cores.len();
        let hosted = program(&|_| World::Sim(Port::new(&shared, host.0, ahead)))?;
        entry.everyone = Some(hosted.everyone);
        entry.metrics = Some(hosted.metrics);
        for (number, (reactor, app)) in hosted.cores.into_iter().enumerate() {
            let core = u32::try_from(first + number).expect("fewer cores than tokens");
            entry.cores.push(core);
            self.cores.push(Some(Running { reactor: Some(reactor), app }));
            let mut state = self.shared.lock();
            if let Some(turn_time) = entry.turn_time {
                state.set_turn_time(core, turn_time);
            }
            // What the handler asked for when it was made is due now.
            state.free_core(core);
        }
        Ok(())
    }

    /// Takes the host's reactors away, and with them all that they have open.
    fn end_cores(&mut self, host: Host) {
        let entry = &mut self.hosts[host.0 as usize];
        entry.everyone = None;
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
        self.now().since(self.began)
    }

    /// Lets that much virtual time pass.
    ///
    /// # Panics
    /// Passes on a panic of a handler, after saying how to repeat it.
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

    /// Does what is next: one turn of one reactor, or one fault. Answers whether there was anything to do, ever.
    ///
    /// # Panics
    /// As [`Network::run_for`].
    pub fn step(&mut self) -> bool {
        self.advance(Instant::FAR_FUTURE - Duration::from_nanos(1))
    }

    fn advance(&mut self, until: Instant) -> bool {
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
    pub fn app<H: 'static>(&self, host: Host) -> &H {
        self.try_app(host).expect("the host runs a handler of this type")
    }

    /// The same, or `None`.
    #[must_use]
    pub fn try_app<H: 'static>(&self, host: Host) -> Option<&H> {
        let core = *self.hosts[host.0 as usize].cores.first()?;
        self.cores[core as usize].as_ref()?.app.as_any().downcast_ref()
    }

    /// Lets the test act as the handler of the host's first core would: with its [`Io`] and its state. What it causes
    /// happens in the turn that follows.
    ///
    /// # Panics
    /// If the host is not running, or its handler is not an `H`.
    pub fn with<H: 'static, T>(&mut self, host: Host, act: impl FnOnce(&mut H, &mut Io) -> T) -> T {
        let core = *self.hosts[host.0 as usize].cores.first().expect("the host runs");
        let running = self.cores[core as usize].as_mut().expect("its core runs");
        let reactor = running.reactor.as_mut().expect("its reactor was not stopped");
        let app = running.app.as_any_mut().downcast_mut().expect("its handler is of this type");
        self.shared.lock().set_clock(core);
        let answer = act(app, reactor.io());
        self.shared.lock().rouse_core(core);
        answer
    }

    /// The metrics of the host's cores; `None` if it never ran.
    #[must_use]
    pub fn metrics(&self, host: Host) -> Option<&Metrics> {
        self.hosts[host.0 as usize].metrics.as_ref()
    }

    /// Begins a graceful shutdown of the host's cores, as [`StopAll::shutdown`] does.
    pub fn shutdown(&mut self, host: Host, within: Duration) {
        if let Some(everyone) = &self.hosts[host.0 as usize].everyone {
            everyone.shutdown(within);
        }
    }
}

// ---- links and faults

impl Network {
    /// The link between all hosts of which nothing else is said. Default: [`Link::rack`].
    pub fn link(&mut self, link: Link) {
        self.shared.lock().topology().set_default(link);
    }

    /// The link between each host of one set and each of another, both ways.
    pub fn link_between(&mut self, a: &[Host], b: &[Host], link: Link) {
        let (a, b) = (hosts(a), hosts(b));
        let mut state = self.shared.lock();
        state.topology().set_between(a.clone(), b.clone(), link.clone());
        state.topology().set_between(b, a, link);
    }

    /// Has `fault` happen that long after the network was made, or now if that is past.
    pub fn at(&mut self, after: Duration, fault: Fault) {
        self.plan(self.began + after, Planned::Fault(fault));
    }

    fn plan(&mut self, at: Instant, what: Planned) {
        self.planned.insert(self.plans, what);
        self.shared.lock().call_at(at, self.plans);
        self.plans += 1;
    }

    fn carry_out(&mut self, plan: u64) {
        match self.planned.remove(&plan) {
            Some(Planned::Fault(fault)) => self.inflict(fault),
            Some(Planned::Resume(host)) => {
                for core in self.hosts[host.0 as usize].cores.clone() {
                    self.shared.lock().free_core(core);
                }
            }
            None => {}
        }
    }

    /// What went wrong so far, and when.
    #[must_use]
    pub fn inflicted(&self) -> &[(Instant, Fault)] {
        &self.inflicted
    }

    /// Has `fault` happen now.
    pub fn inflict(&mut self, fault: Fault) {
        let now = self.now();
        self.inflicted.push((now, fault.clone()));
        match fault {
            Fault::Crash(host) => {
                self.shared.lock().reset_host(host.0);
                self.end_cores(host);
            }
            Fault::PowerOff(host) => {
                self.shared.lock().power_off(host.0);
                self.end_cores(host);
            }
            Fault::Restart(host) => {
                self.shared.lock().power_on(host.0);
                if self.hosts[host.0 as usize].cores.is_empty()
                    && let Err(error) = self.boot(host)
                {
                    panic!("{} does not start again: {error}", self.name(host));
                }
            }
            Fault::Pause(host, duration) => {
                for &core in &self.hosts[host.0 as usize].cores {
                    self.shared.lock().hold_core(core, now + duration);
                }
                self.plan(now + duration, Planned::Resume(host));
            }
            Fault::ClockJump(host, by_nanos) => self.jump(host, by_nanos),
            Fault::Slow(host, turn_time) => {
                let entry = &mut self.hosts[host.0 as usize];
                entry.turn_time = Some(turn_time);
                for &core in &entry.cores {
                    self.shared.lock().set_turn_time(core, turn_time);
                }
            }
            Fault::AcceptErrors(host, errnos) => {
                self.shared.lock().fail_accepts(host.0, errnos.into_iter().map(Errno::from_raw_os_error));
            }
            Fault::Descriptors(host, max) => self.shared.lock().set_descriptors_max(host.0, max),
            fault => self.inflict_on_links(now, fault),
        }
    }

    fn jump(&mut self, host: Host, by_nanos: i64) {
        let entry = &mut self.hosts[host.0 as usize];
        entry.clock_ahead = entry.clock_ahead.saturating_add(by_nanos);
        for &core in &entry.cores {
            self.shared.lock().set_clock_ahead(core, entry.clock_ahead);
        }
    }

    fn inflict_on_links(&mut self, now: Instant, fault: Fault) {
        let mut state = self.shared.lock();
        match fault {
            Fault::Partition(a, b) => {
                let (a, b) = (hosts(&a), hosts(&b));
                state.topology().block(self.blocks, a.clone(), b.clone());
                state.topology().block(self.blocks + 1, b, a);
                self.blocks += 2;
            }
            Fault::PartitionOneWay(from, to) => {
                state.topology().block(self.blocks, hosts(&from), hosts(&to));
                self.blocks += 1;
            }
            Fault::Heal => state.topology().unblock_all(),
            Fault::Clog(from, to, duration) => {
                state.topology().clog(&hosts(&from), &hosts(&to), now + duration);
            }
            Fault::LossBurst(from, to, loss, duration) => {
                state.topology().burst(&hosts(&from), &hosts(&to), loss, now + duration);
            }
            Fault::ResetStorm(a, b, share) => state.reset_between(&numbers(&a), &numbers(&b), share),
            Fault::Relink(from, to, link) => state.topology().set_between(hosts(&from), hosts(&to), link),
            _ => {}
        }
    }
}

fn numbers(hosts: &[Host]) -> Vec<u32> {
    hosts.iter().map(|host| host.0).collect()
}

fn hosts(all: &[Host]) -> Hosts {
    Hosts::new(numbers(all))
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network")
            .field("seed", &self.seed)
            .field("elapsed", &self.elapsed())
            .field("hosts", &self.hosts.len())
            .field("faults", &self.inflicted.len())
            .finish_non_exhaustive()
    }
}
