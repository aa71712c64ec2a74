//! `windlass serve`: the echo server, with a live line of what goes through it.

use crate::exit::{Exit, Failure};
use crate::out::Out;
use crate::security::ServerSide;
use crate::transport::{SecurityArgs, Transport};
use clap::Args;
use signal_hook::consts::SIGHUP;
use std::io::{self, IsTerminal, Read};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;
use windlass::metrics::{Metrics, Snapshot};
use windlass::time::Instant;
use windlass::tls::ServerTls;
use windlass::{Address, Core, Cores, Error, Event, Io, Listen, StopAll};

/// Sends back whatever clients send, until SIGINT or SIGTERM; then prints a report.
#[derive(Args)]
#[command(after_help = "Examples:
  windlass serve --listen 127.0.0.1:7000       talk to it with `nc 127.0.0.1 7000`
  windlass serve --listen 0.0.0.0:7000         and `windlass load HOST:7000` on another machine
  windlass serve --listen /tmp/echo.sock --transport unix --cores 2
  windlass serve --transport tls                 prints a pin, for `windlass load HOST:PORT --transport tls --server-pin HEX`
  windlass serve --transport tls --cert cert.pem --key key.pem      reads both again on SIGHUP
  windlass serve --transport noise               prints a public key, for `windlass load ... --noise-peer HEX`")]
pub struct Serve {
    /// Where to listen: IP:PORT, [IPV6]:PORT, unix:PATH, or a path with `--transport unix`. Port 0 takes any
    /// free one. The first line printed says which; a second one is the server's public Noise key, and the last one the
    /// pin of its certificate, where it has them.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: String,
    /// Reactors, each on a thread of its own.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    cores: u16,
    /// What carries the bytes.
    #[arg(long, value_enum, default_value_t = Transport::Tcp)]
    transport: Transport,
    #[command(flatten)]
    security: SecurityArgs,
    /// End when standard input does: a program that starts a server this way never leaves it behind.
    #[arg(long)]
    until_stdin_ends: bool,
    /// How long open connections may take to end after the signal, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    drain: u64,
}

impl Serve {
    pub fn run(self) -> Result<Exit, Failure> {
        let drain = Duration::from_secs(self.drain);
        let layers = self.transport.layers();
        self.security.refuse_strays(layers)?;
        let side = ServerSide::new(layers, &self.security, &self.security.noise_peer)?;
        if let (Some(tls), Some(_)) = (side.tls(), &self.security.cert) {
            reload_on_hangup(tls.clone())?;
        }
        let identity = side.identity;
        let report = Cores::new(usize::from(self.cores))
            .listen(side.secure(Listen::at(self.address()?)))
            .stop_on_signals(drain)
            .on_listening(move |addresses| {
                // A reader that left before the first line does not end a server.
                let _ = Out::default().write(&format!("listening on {}\n{}", addresses[0], identity.lines()));
            })
            .run(move |core| {
                if self.until_stdin_ends && core.number() == 0 {
                    end_with_stdin(core.stop_all(), drain);
                }
                Echo::new(core)
            })?;
        Out::default().write(&format!("\n{report}\n"))?;
        Ok(Exit::Good)
    }

    fn address(&self) -> Result<Address, Error> {
        match (self.transport, self.listen.parse()) {
            (Transport::Unix, Err(_)) => Ok(PathBuf::from(&self.listen).into()),
            (Transport::Unix, Ok(Address::Inet(_))) => {
                Err(Error::Config("--transport unix wants a path: --listen /tmp/echo.sock".into()))
            }
            (_, address) => address,
        }
    }
}

/// Reads certificate and key again when SIGHUP comes, on a thread that does nothing else, and says how that went. Files
/// that do not fit each other change nothing.
fn reload_on_hangup(tls: ServerTls) -> Result<(), Failure> {
    let failed = |error| Failure::failed(format!("watching for SIGHUP: {error}"));
    let (mut told, teller) = UnixStream::pair().map_err(failed)?;
    signal_hook::low_level::pipe::register(SIGHUP, teller).map_err(failed)?;
    let reload = move || {
        let mut byte = [0];
        while told.read_exact(&mut byte).is_ok() {
            match tls.reload() {
                Ok(()) => eprintln!("windlass: read the certificate again, for new connections"),
                Err(error) => eprintln!("windlass: the certificate stays as it was: {error}"),
            }
        }
    };
    std::thread::Builder::new().name("windlass-reload".into()).spawn(reload).map_err(failed)?;
    Ok(())
}

/// Ends the server once there is nothing more to read from standard input.
fn end_with_stdin(server: StopAll, drain: Duration) {
    std::thread::spawn(move || {
        // Whatever is said there, and whatever it ends with, the end is what counts.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        server.shutdown(drain);
    });
}

/// Echoes; on the first core it also keeps the live line.
struct Echo {
    live: Option<Live>,
}

impl Echo {
    fn new(core: &mut Core<'_>) -> Echo {
        let first = core.number() == 0;
        let wanted = first && std::io::stderr().is_terminal();
        let live = wanted.then(|| Live::start(core));
        Echo { live }
    }
}

impl windlass::Handler for Echo {
    fn handle(&mut self, io: &mut Io, event: Event<'_>) {
        match event {
            Event::Data { conn, bytes } => {
                let _ = io.send(conn, bytes);
            }
            Event::Timer { .. } => {
                if let Some(live) = &mut self.live {
                    live.show(io);
                }
            }
            Event::Stopping { .. } if self.live.take().is_some() => eprintln!(),
            _ => {}
        }
    }
}

/// One line on the terminal, rewritten once a second.
struct Live {
    metrics: Metrics,
    before: Snapshot,
    next: Instant,
}

const EVERY: Duration = Duration::from_secs(1);

impl Live {
    fn start(core: &mut Core<'_>) -> Live {
        let metrics = core.metrics().clone();
        let io = core.io();
        let next = io.now() + EVERY;
        io.timer_at(next, 0);
        Live { before: metrics.snapshot(io.now()), metrics, next }
    }

    fn show(&mut self, io: &mut Io) {
        let now = self.metrics.snapshot(io.now());
        let interval = now.since(&self.before);
        let seconds = interval.interval.as_secs_f64().max(1e-9);
        let (figures, rate) = (&interval.total, |n: u64| n as f64 / seconds);
        eprint!(
            "\r\x1b[2K{} connections   {:.0} messages/s   {:.1} MB/s in   {:.1} MB/s out   {:.0} % busy",
            figures.connections_active,
            rate(figures.messages_in),
            rate(figures.bytes_in) / 1e6,
            rate(figures.bytes_out) / 1e6,
            figures.busy_fraction().unwrap_or(0.0) * 100.0,
        );
        self.before = now;
        self.next += EVERY;
        io.timer_at(self.next, 0);
    }
}
