//! `--profile`: what the echo server takes as a process of its own, at rest and at given rates.

use crate::exit::Failure;
use crate::measure::Session;
use crate::spoken::Spoken;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use windlass::load::record::{Outcome, Resources};
use windlass::load::{Pace, Plan, Profile, Progress, Sampler, Traffic};
use windlass::{Address, Error};

/// How long the server of one step may take to end.
const DRAIN_S: &str = "1";

/// How often an idle step looks whether somebody wants it to end.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// `windlass serve` in a process of its own, which ends with this one.
struct Server {
    child: Child,
    address: Address,
}

impl Server {
    fn start(cores: usize) -> Result<Server, Failure> {
        let failed = |error: &dyn std::fmt::Display| {
            Failure::failed(format!("--profile: the server did not start: {error}"))
        };
        let own = std::env::current_exe().map_err(|error| failed(&error))?;
        let mut child = Command::new(own)
            .args(["serve", "--listen", "127.0.0.1:0", "--until-stdin-ends", "--drain", DRAIN_S, "--cores"])
            .arg(cores.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // Ctrl-C is for this process, which then ends the server by closing its stdin.
            .process_group(0)
            .spawn()
            .map_err(|error| failed(&error))?;
        let mut line = String::new();
        if let Some(stdout) = &mut child.stdout {
            BufReader::new(stdout).read_line(&mut line).map_err(|error| failed(&error))?;
        }
        let address = line.trim().strip_prefix("listening on ").unwrap_or_default().parse();
        let address = address.map_err(|error: Error| failed(&error))?;
        Ok(Server { child, address })
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

/// The rows of `profile`, each from a server of its own. An interrupt ends it with the rows there are.
pub fn rows(
    session: &mut Session,
    profile: Profile,
    cores: usize,
    plan: &Plan,
    spoken: &Spoken,
) -> Result<Vec<Resources>, Failure> {
    let mut rows = Vec::new();
    for step in profile.steps() {
        let server = Server::start(cores)?;
        let mut plan = plan.clone();
        plan.target = server.address.clone();
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
    let (mut sampler, mut sampled, mut messages) = (None, None, 0);
    let run = session.measure_and(plan, spoken, &format!("profile {step}/s"), |progress| {
        match progress {
            Progress::WarmingUp { left } if left.is_zero() => sampler = Some(Sampler::start(pid)?),
            Progress::Measuring(interval) => {
                messages += interval.answered;
                let wall = Duration::from_secs_f64(interval.start_s + interval.length_s);
                let traffic = Traffic { wall, messages, received_bytes: 0, sent_bytes: 0 };
                // Not at the very end: the generator hangs up then, and the server's descriptors with it.
                let early = wall + plan.interval() / 2 < plan.duration;
                if let Some(sampler) = &sampler
                    && (early || sampled.is_none())
                {
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
    let failed =
        |error: std::io::Error| Failure::failed(format!("--profile {step}: {}: {error}", server.address));
    let address =
        server.address.as_inet().ok_or_else(|| Failure::failed("the server has no internet address"))?;
    let open = (0..plan.connections).map(|_| TcpStream::connect_timeout(&address, plan.connect_timeout));
    let _held = open.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    wait(session, plan.warm_up);
    let (sampler, began) = (Sampler::start(server.child.id())?, Instant::now());
    wait(session, plan.duration);
    let traffic = Traffic { wall: began.elapsed(), messages: 0, received_bytes: 0, sent_bytes: 0 };
    Ok(Some(sampler.finish(step, &traffic)?))
}

/// Lets time pass, unless somebody wants the command to end.
fn wait(session: &Session, time: Duration) {
    let end = Instant::now() + time;
    while !session.interrupt.is_wanted() {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        std::thread::park_timeout(left.min(LOOK_EVERY));
    }
}
