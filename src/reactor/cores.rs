//! One reactor per core: threads, pinning, spreading connections, and a common end.

use super::event::Handler;
use super::handoff::{HandOff, Handed, Load};
use super::listen::{Listen, Place};
use super::mailbox::{Inbox, Sender};
use super::processors::{pin_to, processors};
use super::{Config, Io, Listener, Reactor, Stopper};
use crate::collections::Owner;
use crate::error::{Address, Error, Payload};
use crate::limits::HAND_OFF_MAX;
use crate::metrics::{Metrics, Snapshot};
use crate::net::{Acceptor, Bind, World};
use crate::time::Clock;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// How long the other cores may take to end when one of them has failed.
const END_AFTER_FAILURE: Duration = Duration::from_secs(5);

/// How connections spread over the cores.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Spread {
    /// Each core has a listener of its own on the shared address (`SO_REUSEPORT`), and the kernel picks one
    /// for each connection by a hash. Nothing passes between cores. What waits in the backlog of a listener
    /// that closes is reset by the kernel, so a graceful shutdown takes its backlog in first; only a
    /// connection that the kernel completes in the few microseconds between the last accept and the close is
    /// still lost. Unix sockets and listeners made elsewhere are handed off instead.
    #[default]
    ReusePort,
    /// The first core accepts and passes each socket to the core with the fewest connections. Even, whatever
    /// the addresses, and one listener to close; a connection that was accepted is never lost on the way. What
    /// limits accepting (`connections_max`, accepts per second) is the first core's to check.
    HandOff,
}

/// Told where the cores listen.
type OnListening = Box<dyn FnOnce(&[Address])>;

/// A group of reactors, one per core, before it starts.
pub struct Cores {
    count: usize,
    pin: bool,
    config: Config,
    listen: Vec<Listen>,
    spread: Spread,
    name: String,
    on_listening: Option<OnListening>,
    signals: Option<Duration>,
}

/// What the function that makes a core's handler is told.
#[derive(Debug)]
pub struct Core<'a> {
    group: Group<'a>,
    io: &'a mut Io,
}

/// What a core knows of the group.
#[derive(Clone, Copy, Debug)]
struct Group<'a> {
    number: usize,
    count: usize,
    listeners: &'a [Listener],
    everyone: &'a StopAll,
    metrics: &'a Metrics,
}

impl<'a> Core<'a> {
    /// Which core this is, from 0.
    #[must_use]
    pub const fn number(&self) -> usize {
        self.group.number
    }

    /// How many there are.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.group.count
    }

    /// This core's listeners, in the order in which [`Cores::listen`] was called.
    #[must_use]
    pub const fn listeners(&self) -> &'a [Listener] {
        self.group.listeners
    }

    /// The reactor, to connect, set timers or open mailboxes before the loop starts.
    pub const fn io(&mut self) -> &mut Io {
        self.io
    }

    /// Ends all cores, from any thread or handler.
    #[must_use]
    pub fn stop_all(&self) -> StopAll {
        self.group.everyone.clone()
    }

    /// The metrics of all cores.
    #[must_use]
    pub const fn metrics(&self) -> &'a Metrics {
        self.group.metrics
    }
}

/// The mail between cores, as one of them sees it.
#[derive(Debug)]
pub struct CoreMail<M> {
    /// What the others sent.
    pub inbox: Inbox<M>,
    /// The way to each core by its number, this one included.
    pub cores: Vec<Sender<M>>,
}

/// Ends all cores of a group.
#[derive(Clone, Debug)]
pub struct StopAll {
    stoppers: Arc<[Stopper]>,
}

impl StopAll {
    /// Begins a graceful shutdown on every core: see [`Io::shutdown`].
    pub fn shutdown(&self, within: Duration) {
        for stopper in self.stoppers.iter() {
            stopper.shutdown(within);
        }
    }
}

impl Cores {
    /// One pinned reactor for each processor that this process may use.
    #[must_use]
    pub fn per_cpu() -> Cores {
        let mut cores = Cores::new(processors().len());
        cores.pin = cfg!(target_os = "linux");
        cores
    }

    /// That many reactors, not pinned.
    #[must_use]
    pub fn new(count: usize) -> Cores {
        Cores {
            count,
            pin: false,
            config: Config::default(),
            listen: Vec::new(),
            spread: Spread::default(),
            name: "windlass".into(),
            on_listening: None,
            signals: None,
        }
    }

    /// Whether each thread stays on a processor of its own.
    #[must_use]
    pub fn pin(mut self, pin: bool) -> Cores {
        self.pin = pin;
        self
    }

    /// The configuration of every reactor.
    #[must_use]
    pub fn config(mut self, config: Config) -> Cores {
        self.config = config;
        self
    }

    /// Adds a listener, shared by all cores.
    #[must_use]
    pub fn listen(mut self, listen: Listen) -> Cores {
        self.listen.push(listen);
        self
    }

    /// How connections spread over the cores.
    #[must_use]
    pub fn spread(mut self, spread: Spread) -> Cores {
        self.spread = spread;
        self
    }

    /// What threads are called, with the core's number behind it. Default: `windlass`.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Cores {
        self.name = name.into();
        self
    }

    /// Calls `tell` with the addresses once every listener is bound, in the order of [`Cores::listen`]: with
    /// port 0, which port it became.
    #[must_use]
    pub fn on_listening(mut self, tell: impl FnOnce(&[Address]) + 'static) -> Cores {
        self.on_listening = Some(Box::new(tell));
        self
    }

    /// Begins a graceful shutdown on SIGINT or SIGTERM, and cuts everything off on the second one.
    #[cfg(feature = "signals")]
    #[must_use]
    pub fn stop_on_signals(mut self, within: Duration) -> Cores {
        self.signals = Some(within);
        self
    }

    /// Starts the cores, each on a thread of its own with a handler that `make` builds there.
    ///
    /// # Errors
    /// [`Error`] if a listener or a reactor can not be made; then nothing was started.
    pub fn start<H, F>(self, make: F) -> Result<Running, Error>
    where
        H: Handler,
        F: Fn(&mut Core<'_>) -> H + Send + Sync + 'static,
    {
        let nothing = vec![(); self.count];
        self.prepare()?.spawn(nothing, move |core, ()| make(core))
    }

    /// Starts the cores and waits for their end. One core runs on the calling thread: a second thread in the
    /// process would make every system call dearer.
    ///
    /// # Errors
    /// [`Error`] if a listener or a reactor can not be made, or a core failed.
    pub fn run<H, F>(self, make: F) -> Result<Report, Error>
    where
        H: Handler,
        F: Fn(&mut Core<'_>) -> H + Send + Sync + 'static,
    {
        if self.count == 1 {
            return self.prepare()?.run_here((), |core, ()| make(core));
        }
        self.start(make)?.join()
    }

    /// Like [`Cores::start`], with a mailbox of `capacity` messages on each core and a way to it from all.
    ///
    /// # Errors
    /// As [`Cores::start`].
    pub fn start_with_mail<M, H, F>(self, capacity: usize, make: F) -> Result<Running, Error>
    where
        M: Send + 'static,
        H: Handler,
        F: Fn(&mut Core<'_>, CoreMail<M>) -> H + Send + Sync + 'static,
    {
        let mut ready = self.prepare()?;
        let mail = ready.open_mail(capacity)?;
        ready.spawn(mail, make)
    }

    /// Like [`Cores::run`], with a mailbox of `capacity` messages on each core and a way to it from all.
    ///
    /// # Errors
    /// As [`Cores::run`].
    pub fn run_with_mail<M, H, F>(self, capacity: usize, make: F) -> Result<Report, Error>
    where
        M: Send + 'static,
        H: Handler,
        F: Fn(&mut Core<'_>, CoreMail<M>) -> H + Send + Sync + 'static,
    {
        let mut ready = self.prepare()?;
        let mut mail = ready.open_mail(capacity)?;
        match mail.len() {
            1 => ready.run_here(mail.remove(0), make),
            _ => ready.spawn(mail, make)?.join(),
        }
    }

    /// Makes reactors and listeners on the calling thread, so that what is wrong is said before any starts.
    fn prepare(self) -> Result<Prepared, Error> {
        self.prepare_in(|_| World::Os)
    }

    /// The same, each reactor in the world that is `world`'s for its core.
    fn prepare_in(self, world: impl Fn(usize) -> World) -> Result<Prepared, Error> {
        if self.count == 0 {
            return Err(Error::Config("a group of no cores would serve nobody: ask for at least 1".into()));
        }
        let mut reactors = (0..self.count)
            .map(|core| Reactor::numbered(world(core), self.config.clone(), core))
            .collect::<Result<Vec<_>, _>>()?;
        let everyone = StopAll { stoppers: reactors.iter().map(Reactor::stopper).collect() };
        let mut senders = Vec::new();
        for reactor in &mut reactors[1..] {
            let (sender, inbox) = reactor.io.mailbox::<Handed>(HAND_OFF_MAX, Owner::RUNTIME)?;
            reactor.io.handed = Some(inbox);
            senders.push(sender);
        }
        let mut addresses = Vec::new();
        let mut listeners = vec![Vec::new(); self.count];
        for (number, listen) in self.listen.into_iter().enumerate() {
            let opened = open_everywhere(&mut reactors, listen, self.spread, number, &senders)?;
            addresses.extend(reactors[0].io.listener_address(opened[0]).cloned());
            for (core, listener) in opened.into_iter().enumerate() {
                reactors[core].io.handed_listeners.push(listener.handle);
                listeners[core].push(listener);
            }
        }
        // A core whose inbox nobody writes to must learn it, or it would wait for newcomers when it ends.
        senders.into_iter().for_each(Sender::hang_up);
        if let Some(within) = self.signals {
            super::signals::watch(&mut reactors[0].io, everyone.clone(), within)?;
        }
        if let Some(tell) = self.on_listening {
            tell(&addresses);
        }
        let metrics = Metrics::new(reactors.iter().map(|reactor| reactor.io.metrics()).collect());
        let processors = if self.pin { processors() } else { Vec::new() };
        Ok(Prepared { reactors, listeners, everyone, addresses, metrics, processors, name: self.name })
    }
}

impl fmt::Debug for Cores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cores")
            .field("count", &self.count)
            .field("pin", &self.pin)
            .field("spread", &self.spread)
            .field("listen", &self.listen)
            .finish_non_exhaustive()
    }
}

/// Reactors with their listeners, before any of them runs.
struct Prepared {
    reactors: Vec<Reactor>,
    listeners: Vec<Vec<Listener>>,
    everyone: StopAll,
    addresses: Vec<Address>,
    metrics: Metrics,
    processors: Vec<usize>,
    name: String,
}

impl Prepared {
    fn open_mail<M>(&mut self, capacity: usize) -> Result<Vec<CoreMail<M>>, Error> {
        let mut senders = Vec::new();
        let mut inboxes = Vec::new();
        for reactor in &mut self.reactors {
            let (sender, inbox) = reactor.io.mailbox::<M>(capacity, Owner::APP)?;
            senders.push(sender);
            inboxes.push(inbox);
        }
        Ok(inboxes.into_iter().map(|inbox| CoreMail { inbox, cores: senders.clone() }).collect())
    }

    fn spawn<X, H, F>(self, extras: Vec<X>, make: F) -> Result<Running, Error>
    where
        X: Send + 'static,
        H: Handler,
        F: Fn(&mut Core<'_>, X) -> H + Send + Sync + 'static,
    {
        let Prepared { reactors, listeners, everyone, addresses, metrics, processors, name } = self;
        let make = Arc::new(make);
        let count = reactors.len();
        let mut threads = Vec::new();
        for (core, ((reactor, extra), listeners)) in
            reactors.into_iter().zip(extras).zip(listeners).enumerate()
        {
            let (make, theirs, metrics) = (Arc::clone(&make), everyone.clone(), metrics.clone());
            let processor = processors.get(core).copied();
            let spawned = std::thread::Builder::new().name(format!("{name}-{core}")).spawn(move || {
                let group = Group {
                    number: core,
                    count,
                    listeners: &listeners,
                    everyone: &theirs,
                    metrics: &metrics,
                };
                run_core(reactor, group, processor, |core| make(core, extra))
            });
            match spawned {
                Ok(thread) => threads.push(thread),
                Err(error) => {
                    everyone.shutdown(Duration::ZERO);
                    for thread in threads {
                        let _ = thread.join();
                    }
                    return Err(Error::io(format!("starting the thread of core {core}"), error));
                }
            }
        }
        Ok(Running { addresses, metrics, everyone, threads })
    }

    fn run_here<X, H, F>(self, extra: X, make: F) -> Result<Report, Error>
    where
        H: Handler,
        F: Fn(&mut Core<'_>, X) -> H,
    {
        let Prepared { mut reactors, listeners, everyone, metrics, processors, .. } = self;
        let reactor = reactors.remove(0);
        let processor = processors.first().copied();
        let group =
            Group { number: 0, count: 1, listeners: &listeners[0], everyone: &everyone, metrics: &metrics };
        let cut = run_core(reactor, group, processor, |core| make(core, extra))?;
        Ok(Report { cut, snapshot: metrics.snapshot(Clock::os().now()) })
    }
}

/// A group whose reactors somebody else turns.
#[cfg(feature = "sim")]
pub(crate) struct Hosted<H> {
    /// Each core's reactor with its handler.
    pub(crate) cores: Vec<(Reactor, H)>,
    pub(crate) everyone: StopAll,
    pub(crate) metrics: Metrics,
}

#[cfg(feature = "sim")]
impl Cores {
    /// The same group once more: what a host starts again with.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for listeners that were made elsewhere: a simulated host has only addresses.
    pub(crate) fn again(&self) -> Result<Cores, Error> {
        let mut again = Cores::new(self.count).config(self.config.clone()).spread(self.spread);
        for listen in &self.listen {
            let Place::Address(address) = &listen.place else {
                return Err(Error::Unsupported("listeners other than addresses on a simulated host"));
            };
            again.listen.push(Listen { place: Place::Address(address.clone()), ..listen.like() });
        }
        Ok(again)
    }

    /// Makes reactors, listeners, a mailbox of `capacity` on each core if that is not 0, and handlers.
    pub(crate) fn host<M, H, F>(
        self,
        world: impl Fn(usize) -> World,
        capacity: usize,
        make: &F,
    ) -> Result<Hosted<H>, Error>
    where
        M: 'static,
        F: Fn(&mut Core<'_>, Option<CoreMail<M>>) -> H,
    {
        let mut ready = self.prepare_in(world)?;
        let mut mail: Vec<Option<CoreMail<M>>> = match capacity {
            0 => ready.reactors.iter().map(|_| None).collect(),
            _ => ready.open_mail(capacity)?.into_iter().map(Some).collect(),
        };
        let Prepared { reactors, listeners, everyone, metrics, .. } = ready;
        let count = reactors.len();
        let mut cores = Vec::new();
        for (number, mut reactor) in reactors.into_iter().enumerate() {
            let listeners = &listeners[number];
            let group = Group { number, count, listeners, everyone: &everyone, metrics: &metrics };
            let handler = make(&mut Core { group, io: reactor.io() }, mail[number].take());
            cores.push((reactor, handler));
        }
        Ok(Hosted { cores, everyone, metrics })
    }
}

/// The life of one core. Whatever ends it early ends the others in good order too.
fn run_core<H: Handler>(
    mut reactor: Reactor,
    group: Group<'_>,
    processor: Option<usize>,
    make: impl FnOnce(&mut Core<'_>) -> H,
) -> Result<u64, Error> {
    if let Some(processor) = processor {
        pin_to(processor);
    }
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let mut core = Core { group, io: reactor.io() };
        let mut handler = make(&mut core);
        reactor.run(&mut handler)
    }));
    let failure = match outcome {
        Ok(Ok(())) => return Ok(reactor.cut()),
        Ok(Err(error)) => error,
        Err(payload) => {
            reactor.io.metrics.handler_panics.add(1);
            Error::Panicked { core: group.number, payload: Payload::new(payload) }
        }
    };
    reactor.io.metrics.errors_critical.add(1);
    group.everyone.shutdown(END_AFTER_FAILURE);
    Err(failure)
}

/// A group of cores at work.
#[derive(Debug)]
pub struct Running {
    addresses: Vec<Address>,
    metrics: Metrics,
    everyone: StopAll,
    threads: Vec<JoinHandle<Result<u64, Error>>>,
}

impl Running {
    /// Where the cores listen, in the order in which [`Cores::listen`] was called.
    #[must_use]
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// The metrics of all cores.
    #[must_use]
    pub const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Begins a graceful shutdown: stop accepting, serve what has arrived, close what owes nothing, cut the
    /// rest off after `within`. Returns at once; [`Running::join`] waits.
    pub fn shutdown(&self, within: Duration) {
        self.everyone.shutdown(within);
    }

    /// Ends all cores, from any thread.
    #[must_use]
    pub fn stop_all(&self) -> StopAll {
        self.everyone.clone()
    }

    /// Waits for the end of all cores.
    ///
    /// # Errors
    /// The first failure: [`Error::Panicked`] with the payload if a handler panicked. The other cores have
    /// been shut down gracefully by then.
    pub fn join(self) -> Result<Report, Error> {
        let mut cut = 0;
        let mut failure = None;
        for (core, thread) in self.threads.into_iter().enumerate() {
            let outcome = thread
                .join()
                .unwrap_or_else(|payload| Err(Error::Panicked { core, payload: Payload::new(payload) }));
            match outcome {
                Ok(theirs) => cut += theirs,
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        match failure {
            Some(error) => Err(error),
            None => Ok(Report { cut, snapshot: self.metrics.snapshot(Clock::os().now()) }),
        }
    }
}

/// What a group of cores did.
#[derive(Debug)]
#[non_exhaustive]
pub struct Report {
    /// Connections that the shutdown's deadline cut off.
    pub cut: u64,
    /// The metrics at the end.
    pub snapshot: Snapshot,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.snapshot.fmt(f)?;
        match self.cut {
            0 => Ok(()),
            cut => write!(f, "\n{cut} connections were cut off at the shutdown's deadline"),
        }
    }
}

/// Opens one listener on every core, or on the first with hand-off to the others.
fn open_everywhere(
    reactors: &mut [Reactor],
    listen: Listen,
    spread: Spread,
    number: usize,
    senders: &[Sender<Handed>],
) -> Result<Vec<Listener>, Error> {
    if reactors.len() == 1 {
        return Ok(vec![reactors[0].io.listen(listen)?]);
    }
    match (&listen.place, spread) {
        (Place::Address(Address::Inet(_)), Spread::ReusePort) => open_reuse_port(reactors, listen),
        _ => open_handed_off(reactors, listen, number, senders),
    }
}

fn open_reuse_port(reactors: &mut [Reactor], listen: Listen) -> Result<Vec<Listener>, Error> {
    let mut listen = listen.reuse_port(true);
    let mut opened = Vec::new();
    for reactor in reactors {
        let Place::Address(address) = &listen.place else {
            return Err(Error::Config("only an address can be shared by SO_REUSEPORT".into()));
        };
        let again = Listen { place: Place::Address(address.clone()), ..listen.like() };
        let listener = reactor.io.listen(again)?;
        // Port 0 is whatever the first one got.
        if let Some(address) = reactor.io.listener_address(listener) {
            listen.place = Place::Address(address.clone());
        }
        opened.push(listener);
    }
    Ok(opened)
}

fn open_handed_off(
    reactors: &mut [Reactor],
    listen: Listen,
    number: usize,
    senders: &[Sender<Handed>],
) -> Result<Vec<Listener>, Error> {
    let loads: Vec<Arc<Load>> = reactors.iter().map(|_| Arc::default()).collect();
    let spread = HandOff {
        listener: number,
        own: Arc::clone(&loads[0]),
        others: senders.iter().cloned().zip(loads[1..].iter().cloned()).collect(),
    };
    let like = listen.like();
    let first = Listen { place: bind(&reactors[0], listen, spread)?, ..like.like() };
    let mut opened = vec![reactors[0].io.listen(first)?];
    let address = reactors[0].io.listener_address(opened[0]).cloned();
    for (reactor, load) in reactors[1..].iter_mut().zip(&loads[1..]) {
        let address = address.clone().ok_or(Error::Limit("the first core lost its listener"))?;
        let place = Place::Elsewhere(address, Arc::clone(load));
        opened.push(reactor.io.listen(Listen { place, ..like.like() })?);
    }
    Ok(opened)
}

/// Binds for the accepting core.
fn bind(reactor: &Reactor, listen: Listen, spread: HandOff) -> Result<Place, Error> {
    let options = reactor.io.options_or_default(listen.options.clone())?;
    let acceptor = match listen.place {
        Place::Address(address) => {
            let how = Bind {
                backlog: listen.backlog,
                reuse_port: listen.reuse_port,
                only_v6: listen.only_v6,
                options: &options.socket,
            };
            Acceptor::bind(&reactor.io.world, &address, how)
                .map_err(|e| Error::io(format!("listening on {address}"), e))?
        }
        Place::Tcp(listener) => Acceptor::from_tcp(listener, &options.socket)
            .map_err(|e| Error::io("taking over a listener", e))?,
        Place::Unix(listener) => {
            Acceptor::from_unix(listener).map_err(|e| Error::io("taking over a listener", e))?
        }
        Place::Unresolved(text, error) => return Err(Error::io(format!("resolving {text}"), error)),
        place @ (Place::Bound(..) | Place::Elsewhere(..)) => return Ok(place),
    };
    Ok(Place::Bound(acceptor, Some(spread)))
}
