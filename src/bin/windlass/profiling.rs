//! `--profile`: what the echo server takes as a process of its own, at rest and at given rates.

use crate::args::LoadArgs;
use crate::embedded::socket_file;
use crate::exit::Failure;
use crate::measure::Session;
use crate::security::{self, ClientSide, Identity};
use crate::spoken::Spoken;
use crate::transport::Transport;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use windlass::load::record::{Outcome, Resources};
use windlass::load::{Pace, Plan, Profile, Progress, Sampler, Traffic};
use windlass::noise::{KeyPair, Pattern};
use windlass::{Address, Config, Error, Event, Io, Options, Reactor};

/// How long the server of one step may take to end.
const DRAIN_S: &str = "1";

/// How often an idle step looks whether somebody wants it to end.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// `windlass serve` in a process of its own, which ends with this one.
struct Server {
    child: Child,
    address: Address,
    client: ClientSide,
}

impl Server {
    /// Starts it with the security that `args` ask for. It is known by the same things as one that is `like` this.
    fn start(cores: usize, args: &LoadArgs, like: Identity) -> Result<Server, Failure> {
        let failed = |error: &dyn std::fmt::Display| {
            Failure::failed(format!("--profile: the server did not start: {error}"))
        };
        let own = std::env::current_exe().map_err(|error| failed(&error))?;
        let transport = args.trust.transport.unwrap_or(Transport::Tcp);
        let keys = KeyPair::generate()?;
        let knows_clients = args.security.protocol().pattern == Pattern::KK;
        let listen = match transport {
            Transport::Unix => socket_file().into_os_string(),
            _ => "127.0.0.1:0".into(),
        };
        let mut child = Command::new(own)
            .args(["serve", "--until-stdin-ends", "--drain", DRAIN_S, "--cores"])
            .arg(cores.to_string())
            .args(["--transport", transport.name(), "--listen"])
            .arg(listen)
            .args(args.security.of_server())
            .args(knows_clients.then(|| format!("--noise-peer={}", keys.public())))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // Ctrl-C is for this process, which then ends the server by closing its stdin.
            .process_group(0)
            .spawn()
            .map_err(|error| failed(&error))?;
        let mut stdout = BufReader::new(child.stdout.as_mut().expect("its output is piped"));
        let (mut line, mut identity) = (String::new(), Identity::default());
        stdout.read_line(&mut line).map_err(|error| failed(&error))?;
        let address = line.trim().strip_prefix("listening on ").unwrap_or_default().parse();
        let address = address.map_err(|error: Error| failed(&error))?;
        for _ in like.lines().lines() {
            line.clear();
            stdout.read_line(&mut line).map_err(|error| failed(&error))?;
            identity.read_line(&line);
        }
        let known = security::Server::own(identity);
        let client = ClientSide::new(transport.layers(), &args.security, &args.trust, Some(&keys), known)?;
        Ok(Server { child, address, client })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Its report must have somebody to go to, or it would be said to have failed.
        drop(self.child.stdin.take());
        if let Some(mut stdout) = self.child.stdout.take() {
            let _ = std::io::copy(&mut stdout, &mut std::io::sink());
        }
        let _ = self.child.wait();
    }
}

/// The server to be profiled: as many cores and the security of the one that was measured.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    pub cores: usize,
    pub args: &'a LoadArgs,
    pub identity: Identity,
}

/// The rows of `profile`, each from a server of its own. An interrupt ends it with the rows there are.
pub fn rows(
    session: &mut Session,
    profile: Profile,
    wanted: Wanted<'_>,
    plan: &Plan,
    spoken: &Spoken,
) -> Result<Vec<Resources>, Failure> {
    let mut rows = Vec::new();
    for step in profile.steps() {
        let server = Server::start(wanted.cores, wanted.args, wanted.identity)?;
        let mut plan = plan.clone();
        plan.connect = server.client.connect(server.address.clone());
        let row = match step {
            Profile::Rate(per_s) => {
                plan.pace = Pace::constant(per_s);
                at_rate(session, step, &server, &plan, spoken)?
            }
            _ => at_rest(session, step, &server, &plan)?,
        };
        if session.interrupt.is_wanted() {
            break;
        }
        rows.extend(row);
    }
    Ok(rows)
}

/// Watches the server from the first measured request to the last interval but one.
fn at_rate(
    session: &mut Session,
    step: Profile,
    server: &Server,
    plan: &Plan,
    spoken: &Spoken,
) -> Result<Option<Resources>, Failure> {
    let pid = server.child.id();
    let (mut began, mut sampled, mut messages) = (None, None, 0);
    let run = session.measure_and(plan, spoken, &format!("profile {step}/s"), |progress| {
        match progress {
            Progress::WarmingUp { left } if left.is_zero() => {
                began = Some((Sampler::start(pid)?, Duration::ZERO));
            }
            Progress::Measuring(interval) => {
                let now = Duration::from_secs_f64(interval.start_s + interval.length_s);
                // On a busy machine the beginning may have been missed.
                let Some((sampler, since)) = &began else {
                    began = Some((Sampler::start(pid)?, now));
                    return Ok(());
                };
                messages += interval.answered;
                let wall = now.saturating_sub(*since);
                let traffic = Traffic { wall, messages, received_bytes: 0, sent_bytes: 0 };
                // Not at the very end: the generator hangs up then, and the server's descriptors with it.
                let early = now + plan.interval() / 2 < plan.duration;
                if early || sampled.is_none() {
                    sampled = Some(sampler.clone().finish(step, &traffic)?);
                }
            }
            _ => {}
        }
        Ok(())
    })?;
    if run.outcome == Outcome::Failed {
        let why = run.failure.as_deref().unwrap_or("no reason was given");
        return Err(Failure::failed(format!("--profile {step}: {why}")));
    }
    let per_s = |bytes: u64| if run.measured_s > 0.0 { bytes as f64 / run.measured_s } else { 0.0 };
    Ok(sampled.map(|row| Resources {
        received_bytes_per_s: per_s(run.totals.sent_bytes),
        sent_bytes_per_s: per_s(run.totals.received_bytes),
        ..row
    }))
}

/// Opens the connections and watches the server do nothing about them.
fn at_rest(
    session: &mut Session,
    step: Profile,
    server: &Server,
    plan: &Plan,
) -> Result<Option<Resources>, Failure> {
    let mut held = Held::open(server, plan)?;
    held.wait(session, plan.connect_timeout, |held| held.open == plan.connections)?;
    if held.open < plan.connections && !session.interrupt.is_wanted() {
        let sentence = format!("--profile {step}: {} took only {} connections", server.address, held.open);
        return Err(Failure::failed(sentence));
    }
    held.wait(session, plan.warm_up, |_| false)?;
    let (sampler, began) = (Sampler::start(server.child.id())?, Instant::now());
    held.wait(session, plan.duration, |_| false)?;
    let traffic = Traffic { wall: began.elapsed(), messages: 0, received_bytes: 0, sent_bytes: 0 };
    Ok(Some(sampler.finish(step, &traffic)?))
}

/// Connections that are held open and say nothing.
struct Held {
    reactor: Reactor,
    open: usize,
}

impl Held {
    fn open(server: &Server, plan: &Plan) -> Result<Held, Failure> {
        let options = Options::with(|options| options.timeouts.keep_alive = None);
        let mut reactor = Reactor::new(Config::default())?;
        for _ in 0..plan.connections {
            let connect = server.client.connect(server.address.clone());
            reactor.io().connect(connect.options(options.clone()))?;
        }
        Ok(Held { reactor, open: 0 })
    }

    /// Lets time pass, unless it is `enough` or somebody wants the command to end. Fails with the reason of a connection
    /// that was lost.
    fn wait(
        &mut self,
        session: &Session,
        time: Duration,
        enough: impl Fn(&Held) -> bool,
    ) -> Result<(), Failure> {
        let end = Instant::now() + time;
        while !session.interrupt.is_wanted() && !enough(self) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let (open, mut lost) = (&mut self.open, None);
            let until = self.reactor.io().clock() + left.min(LOOK_EVERY);
            self.reactor.run_until(until, &mut |_: &mut Io, event: Event<'_>| match event {
                Event::Opened { .. } => *open += 1,
                Event::Closed { reason, .. } => lost = Some(reason.to_string()),
                _ => {}
            })?;
            if let Some(reason) = lost {
                return Err(Failure::failed(format!("--profile: a connection was lost: {reason}")));
            }
        }
        Ok(())
    }
}
