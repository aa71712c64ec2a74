//! `windlass proxy`: the fault proxy from the command line, from a file, and controlled over HTTP while it runs.

mod file;
mod spelling;
mod summary;

use crate::exit::{Exit, Failure};
use crate::out::Out;
use clap::Args;
use file::Wanted;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::fmt::Write as _;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use windlass::proxy::{Change, Control, Plan, Proxies, Proxy, Toxic};
use windlass::{Address, Adopt, Config, Event, Handler, Io, Listen, Options, Owner, Reactor};

/// Where Toxiproxy's clients look for the control if they are told nothing.
const CONTROL_DEFAULT: &str = "127.0.0.1:8474";

/// The name of the proxy that the command line describes.
const NAME_DEFAULT: &str = "proxy";

/// The code of a process that the second signal ends.
const ENDED_AT_ONCE: i32 = 130;

/// Forwards connections and injects faults into them: latency, limits, stalls, cuts, resets.
#[derive(Args)]
#[command(after_help = help())]
pub struct ProxyCommand {
    /// Where to forward to: HOST:PORT or unix:PATH.
    #[arg(long, value_name = "ADDR")]
    upstream: Option<String>,
    /// Where to listen: HOST:PORT or unix:PATH. Port 0 takes any free one; the first line printed says which.
    #[arg(long, value_name = "ADDR", requires = "upstream", default_value = "127.0.0.1:0")]
    listen: String,
    /// What the proxy of --upstream is called over HTTP.
    #[arg(long, value_name = "NAME", requires = "upstream", default_value = NAME_DEFAULT)]
    name: String,
    /// A fault to begin with, such as `latency=100ms,jitter=10ms`; see below. Repeat it for more, which bytes then pass in
    /// that order.
    #[arg(long, value_name = "TOXIC", requires = "upstream", value_parser = spelling::parse_toxic)]
    toxic: Vec<Toxic>,
    /// Proxies and their toxics from a TOML file; see below.
    #[arg(long, value_name = "FILE")]
    config: Option<String>,
    /// Serve Toxiproxy's HTTP API there, for its clients and for curl. Whoever reaches it may make this process listen and
    /// connect anywhere. Without an address it is 127.0.0.1:8474.
    #[arg(long, value_name = "ADDR", num_args = 0..=1, default_missing_value = CONTROL_DEFAULT)]
    control: Option<String>,
    /// Seed of everything left to chance. Default: drawn, and printed.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// How long connections may take to end after the signal, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    drain: u64,
}

fn help() -> String {
    let example: String =
        file::EXAMPLE.lines().map(|line| format!("  {line}").trim_end().to_owned() + "\n").collect();
    format!(
        "Examples:
  windlass proxy --upstream 127.0.0.1:6379 --toxic latency=100ms,jitter=10ms
  windlass proxy --listen 127.0.0.1:26379 --upstream localhost:6379 --toxic timeout=0,upstream
  windlass proxy --listen unix:/tmp/slow.sock --upstream unix:/run/db.sock --toxic bandwidth=1MB/s
  windlass proxy --config proxies.toml --seed 7
  windlass proxy --control            an empty one, for Toxiproxy's clients on 127.0.0.1:8474
  curl -d '{{\"type\": \"timeout\"}}' localhost:8474/proxies/NAME/toxics
  curl -X DELETE localhost:8474/proxies/NAME/toxics/timeout_downstream
  curl localhost:8474/metrics         what went through, for people and for Prometheus

{}

A file says the same, with the names of the attributes as fields:
{}",
        spelling::TOXICS,
        example.trim_end()
    )
}

impl ProxyCommand {
    pub fn run(self) -> Result<Exit, Failure> {
        let drain = Duration::from_secs(self.drain);
        let wanted = self.wanted()?;
        let seed = wanted.seed.unwrap_or_else(|| u64::from(fastrand::u32(..)));
        let mut reactor = Reactor::new(Config::default())?;
        let io = reactor.io();
        let mut server = Server::start(io, &wanted, seed, drain)?;
        // A reader that left before the first line does not end a server.
        let _ = Out::default().write(&server.announcement(io, seed));
        reactor.run(&mut server)?;
        Out::default().write(&summary::text(&server.proxies.snapshot()))?;
        Ok(Exit::Good)
    }

    /// What the file says, and the command line in front of it.
    fn wanted(self) -> Result<Wanted, Failure> {
        let mut wanted = match &self.config {
            Some(path) => file::read(path)?,
            None => Wanted::default(),
        };
        wanted.seed = self.seed.or(wanted.seed);
        wanted.control = self.control.or(wanted.control);
        if let Some(upstream) = self.upstream {
            let mut plan = Plan::to(self.name, upstream);
            plan.listen = self.listen;
            wanted.proxies.insert(0, (plan, self.toxic));
        }
        if wanted.proxies.is_empty() && wanted.control.is_none() {
            return Err(Failure::usage(
                "nothing to forward, and nobody who could ask for it: write --upstream ADDR, --config FILE with a \
                 [[proxy]] in it, or --control",
            ));
        }
        Ok(wanted)
    }
}

/// The proxies, their control, and what ends both.
struct Server {
    proxies: Proxies,
    control: Option<Control>,
    /// The address of the first proxy that was asked for.
    first: Option<String>,
    signals: Owner,
    drain: Duration,
}

impl Server {
    fn start(io: &mut Io, wanted: &Wanted, seed: u64, drain: Duration) -> Result<Server, Failure> {
        let mut proxies = Proxies::new(seed);
        let mut first = None;
        for (plan, toxics) in &wanted.proxies {
            let name = plan.name.as_str();
            let failed = |error| {
                let sentence = format!("proxy '{name}': {error}");
                match error {
                    windlass::proxy::ProxyError::Listen(_) => Failure::failed(sentence),
                    _ => Failure::usage(sentence),
                }
            };
            let made = proxies.create(io, plan.clone()).map_err(failed)?;
            first.get_or_insert_with(|| made.plan().listen.clone());
            for toxic in toxics {
                proxies.add_toxic(io, name, toxic.clone()).map_err(failed)?;
            }
        }
        let control = match &wanted.control {
            Some(address) => Some(Control::listen(io, control_at(address)?)?),
            None => None,
        };
        let signals = io.owner()?;
        watch_signals(io, signals)?;
        Ok(Server { proxies, control, first, signals, drain })
    }

    /// Ends in good order: whoever loses nothing by it sees an end, and whoever does a reset.
    fn stop(&mut self, io: &mut Io) {
        let off = Change { enabled: Some(false), ..Change::default() };
        let names: Vec<String> = self.proxies.iter().map(|proxy| proxy.plan().name.clone()).collect();
        for name in names {
            if let Err(error) = self.proxies.update(io, &name, &off) {
                eprintln!("windlass: switching proxy '{name}' off: {error}");
            }
        }
        io.shutdown(self.drain);
    }

    /// What is printed at the start; the first line is `listening on ADDRESS`, as every server here begins.
    fn announcement(&self, io: &Io, seed: u64) -> String {
        let control = self.control.as_ref().and_then(|control| control.address(io)).map(Address::to_string);
        let first = self.first.as_ref().or(control.as_ref()).map_or("nothing", String::as_str);
        let mut text = format!("listening on {first}\nseed {seed}\n");
        if let Some(control) = &control {
            let _ = writeln!(text, "control on {control}");
        }
        for proxy in self.proxies.iter() {
            text += &described(proxy);
        }
        text
    }
}

/// A proxy in one line.
fn described(proxy: &Proxy) -> String {
    let plan = proxy.plan();
    let toxics: Vec<&str> = proxy.toxics().map(|toxic| toxic.name.as_str()).collect();
    let toxics = if toxics.is_empty() { "no toxics".to_owned() } else { toxics.join(", ") };
    let off = if plan.enabled { "" } else { " (switched off)" };
    format!("{}: {} -> {}{off}, {toxics}\n", plan.name, plan.listen, plan.upstream)
}

fn control_at(address: &str) -> Result<Listen, Failure> {
    match address.strip_prefix("unix:") {
        Some(path) if !path.is_empty() => Ok(Listen::unix(path)),
        None if address.contains(':') => Ok(Listen::tcp(address)),
        _ => Err(Failure::usage(format!(
            "--control {address}: write HOST:PORT, such as {CONTROL_DEFAULT}, or unix:PATH"
        ))),
    }
}

/// Makes signals events of the reactor: a byte each on a connection of its own, so that no second thread makes the system
/// calls of this one dearer. The second signal ends the process.
fn watch_signals(io: &mut Io, owner: Owner) -> Result<(), Failure> {
    let failed = |error| Failure::failed(format!("watching for signals: {error}"));
    let (told, teller) = UnixStream::pair().map_err(failed)?;
    let seen = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // In this order: the first signal finds the flag unset, and sets it.
        signal_hook::flag::register_conditional_shutdown(signal, ENDED_AT_ONCE, Arc::clone(&seen))
            .map_err(failed)?;
        signal_hook::flag::register(signal, Arc::clone(&seen)).map_err(failed)?;
        let teller = teller.try_clone().map_err(failed)?;
        signal_hook::low_level::pipe::register(signal, teller).map_err(failed)?;
    }
    let patient = Options::with(|options| options.timeouts.keep_alive = None);
    io.adopt(Adopt::stream(told).options(patient).owner(owner))?;
    Ok(())
}

impl Handler for Server {
    #[inline]
    fn handle(&mut self, io: &mut Io, event: Event<'_>) {
        let Some(event) = self.proxies.handle(io, event) else { return };
        let event = match &mut self.control {
            Some(control) => control.handle(io, &mut self.proxies, event),
            None => Some(event),
        };
        match event {
            Some(Event::Data { conn, .. }) if conn.owner() == self.signals => {
                // The other end of it never closes: it must not be among those that are waited for.
                let _already = io.abort(conn);
                self.stop(io);
            }
            Some(Event::ListenerFailed { error, .. }) => {
                eprintln!("windlass: the control's listener broke: {error}");
            }
            _ => {}
        }
    }
}
