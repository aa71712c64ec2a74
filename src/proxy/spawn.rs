//! A proxy on a thread of its own, for tests: made in one line, changed from any thread, gone when it is dropped.

use super::error::ProxyError;
use super::metrics::ProxyFigures;
use super::plan::{Change, Plan, Toxic};
use super::proxies::Proxies;
use crate::collections::Owner;
use crate::metrics::Metrics;
use crate::reactor::{Config, Event, Handler, Inbox, Io, Reactor, Sender, Stopper};
use std::fmt;
use std::thread::JoinHandle;
use std::time::Duration;

/// Wishes that may wait at once; whoever wishes waits for the answer, so it takes as many threads to fill it.
const WISHES_MAX: usize = 1024;

/// How long the connections of a proxy that is dropped may take to end in good order.
const DRAIN: Duration = Duration::from_millis(100);

/// Something to be done on the proxy's thread; the answer has a way of its own.
type Wish = Box<dyn FnOnce(&mut Proxies, &mut Io) + Send>;

/// A proxy that runs on a thread of its own until it is dropped. Its methods return when what they ask for is in force.
///
/// ```
/// use std::io::{Read, Write};
/// use std::net::{TcpListener, TcpStream};
/// use windlass::proxy::{self, Toxic};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = TcpListener::bind("127.0.0.1:0")?;
/// let proxy = proxy::spawn(server.local_addr()?)?;
/// proxy.add(Toxic::latency_ms(20).jitter_ms(5))?;
/// let mut client = TcpStream::connect(proxy.address())?;
///
/// let (mut served, _) = server.accept()?;
/// served.write_all(b"late")?;
/// let mut heard = [0; 4];
/// client.read_exact(&mut heard)?;
/// assert_eq!(&heard, b"late");
/// # Ok(())
/// # }
/// ```
pub struct FaultProxy {
    name: String,
    address: String,
    wishes: Sender<Wish>,
    metrics: Metrics,
    stopper: Stopper,
    thread: Option<JoinHandle<()>>,
}

/// Starts a proxy to `upstream` (`host:port` or `unix:/path`) on a free port of the loopback interface, with seed 0.
///
/// # Errors
/// [`ProxyError`] says what is wrong with the address, or what the system would not give.
pub fn spawn(upstream: impl fmt::Display) -> Result<FaultProxy, ProxyError> {
    spawn_with(Plan::to("proxy", upstream), 0)
}

/// Starts a proxy as `plan` says, whose draws follow from `seed`.
///
/// # Errors
/// [`ProxyError`] says what is wrong with the plan, or what the system would not give.
pub fn spawn_with(plan: Plan, seed: u64) -> Result<FaultProxy, ProxyError> {
    let mut reactor = Reactor::new(Config::default()).map_err(ProxyError::Limit)?;
    let mut proxies = Proxies::new(seed);
    // Also one that is to begin switched off learns its port now, so that its address stays what it is.
    let as_planned = Change { enabled: Some(plan.enabled), ..Change::default() };
    let made = proxies.create(reactor.io(), Plan { enabled: true, ..plan })?.plan();
    let (name, address) = (made.name.clone(), made.listen.clone());
    proxies.update(reactor.io(), &name, &as_planned)?;
    let (wishes, inbox) = reactor.io().mailbox(WISHES_MAX, Owner::APP).map_err(ProxyError::Limit)?;
    let metrics = Metrics::new(vec![reactor.io().metrics()]);
    let stopper = reactor.stopper();
    let run = move || {
        // A poller that fails has lost its descriptor: whoever waits for an answer learns that the thread has ended.
        let _ = reactor.run(&mut Runner { proxies, inbox });
    };
    let thread = std::thread::Builder::new().name("fault proxy".into()).spawn(run).map_err(|error| {
        ProxyError::Limit(crate::error::Error::Io {
            what: "starting the proxy's thread".into(),
            source: error,
        })
    })?;
    Ok(FaultProxy { name, address, wishes, metrics, stopper, thread: Some(thread) })
}

impl FaultProxy {
    /// Where to connect to instead of the upstream, as text: `127.0.0.1:` and the port, or what the plan said.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Adds a toxic, also to the connections there are.
    ///
    /// # Errors
    /// [`ProxyError`] says what is wrong with it.
    pub fn add(&self, toxic: Toxic) -> Result<(), ProxyError> {
        self.of_mine(move |proxies, io, name| proxies.add_toxic(io, name, toxic).map(drop))
    }

    /// Gives the toxic of this name other attributes or another toxicity, also on the connections there are.
    ///
    /// # Errors
    /// [`ProxyError`] says what is wrong with it.
    pub fn update(&self, toxic: Toxic) -> Result<(), ProxyError> {
        self.of_mine(move |proxies, io, name| proxies.update_toxic(io, name, toxic).map(drop))
    }

    /// Takes a toxic out; what it held flows on.
    ///
    /// # Errors
    /// [`ProxyError::ToxicNotFound`].
    pub fn remove(&self, toxic: &str) -> Result<(), ProxyError> {
        let toxic = toxic.to_owned();
        self.of_mine(move |proxies, io, name| proxies.remove_toxic(io, name, &toxic))
    }

    /// Takes all toxics out and switches the proxy on.
    ///
    /// # Errors
    /// [`ProxyError::Listen`] if it was off and its address is somebody else's now.
    pub fn reset(&self) -> Result<(), ProxyError> {
        self.of_mine(|proxies, io, _| proxies.reset(io))
    }

    /// Switches the proxy on or off. Off, nobody listens at its address, and the connections it had are closed.
    ///
    /// # Errors
    /// [`ProxyError::Listen`] if its address is somebody else's now.
    pub fn enable(&self, enabled: bool) -> Result<(), ProxyError> {
        let change = Change { enabled: Some(enabled), ..Change::default() };
        self.of_mine(move |proxies, io, name| proxies.update(io, name, &change).map(drop))
    }

    /// What it did until now.
    ///
    /// # Errors
    /// [`ProxyError::Ended`] if its thread has ended.
    pub fn figures(&self) -> Result<ProxyFigures, ProxyError> {
        self.of_mine(|proxies, _, name| {
            let all = proxies.snapshot().proxies;
            all.into_iter().find(|one| one.name == name).ok_or_else(|| ProxyError::ProxyNotFound(name.into()))
        })
    }

    /// The metrics of its reactor: readable at any time, without asking its thread.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Does something on the proxy's thread and waits for the answer.
    fn of_mine<R: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Proxies, &mut Io, &str) -> Result<R, ProxyError> + Send + 'static,
    ) -> Result<R, ProxyError> {
        let (answer, answered) = crossbeam_channel::bounded(1);
        let name = self.name.clone();
        let wish: Wish = Box::new(move |proxies, io| {
            // Whoever asked waits for it.
            let _ = answer.send(act(proxies, io, &name));
        });
        self.wishes.try_send(wish).map_err(|_| ProxyError::Ended)?;
        answered.recv().unwrap_or(Err(ProxyError::Ended))
    }
}

/// The thread is told to stop and waited for: a moment for connections to end in good order, then they are cut off.
impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.stopper.shutdown(DRAIN);
        if let Some(thread) = self.thread.take() {
            // Its panic was printed when it happened; a second one here would hide the test's own.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for FaultProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultProxy")
            .field("name", &self.name)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// What the thread runs.
struct Runner {
    proxies: Proxies,
    inbox: Inbox<Wish>,
}

impl Handler for Runner {
    fn handle(&mut self, io: &mut Io, event: Event<'_>) {
        if matches!(event, Event::Mail { mailbox } if mailbox == self.inbox.mailbox()) {
            while let Some(wish) = self.inbox.recv() {
                wish(&mut self.proxies, io);
            }
            return;
        }
        // Nobody else is on this reactor.
        let _ = self.proxies.handle(io, event);
    }
}
