//! The transfer over real sockets: from one reactor to another on this machine, through the fault proxy, which does to it
//! what the simulated link did.

use super::plan::Plan;
use super::record::Real;
use super::stage::{Progress, Watch};
use super::transfer::Supply;
use crate::error::{Address, Error};
use crate::proxy::{ProxyError, Toxic, ToxicKind, spawn_with};
use crate::reactor::{Config, Connect, Cores, Event, Handler, Io, Listen, Reactor};
use crate::time::{Clock, Instant};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Between two looks at whether it is done.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How many times the simulated time it may take, and how much more than that.
const PATIENCE: u32 = 4;
const PATIENCE_MORE: Duration = Duration::from_secs(30);

/// How long the receiver may take to end.
const DRAIN: Duration = Duration::from_millis(100);

/// The sender.
struct Giver {
    supply: Supply,
    closed: Option<String>,
}

impl Handler for Giver {
    fn handle(&mut self, io: &mut Io, event: Event<'_>) {
        match event {
            Event::Opened { conn, .. } | Event::Drained { conn } => self.supply.give(io, conn),
            Event::Closed { reason, .. } => self.closed = Some(reason.to_string()),
            _ => {}
        }
    }
}

/// What the receiver tells the others: how many bytes came, and when the last one did.
#[derive(Debug, Default)]
struct Got {
    bytes: AtomicU64,
    done_at: AtomicU64,
}

/// Plays it; `None` if somebody ended it early. `simulated` is how long it took in the simulation, on a link with these
/// latencies.
pub(super) fn transfer(
    plan: &Plan,
    (there, back): (Duration, Duration),
    simulated: Duration,
    watch: &mut Watch<'_>,
) -> Result<Option<Real>, Error> {
    let (got, wanted) = (Arc::new(Got::default()), plan.bytes);
    let theirs = Arc::clone(&got);
    let receiver = Cores::new(1).listen(Listen::tcp("127.0.0.1:0")).start(move |_core| {
        let got = Arc::clone(&theirs);
        move |io: &mut Io, event: Event<'_>| {
            if let Event::Data { bytes, .. } = event {
                let all = got.bytes.load(Ordering::Relaxed) + bytes.len() as u64;
                got.bytes.store(all, Ordering::Relaxed);
                if all >= wanted {
                    got.done_at.store(io.clock().as_nanos(), Ordering::Release);
                }
            }
        }
    })?;
    let refused = |error: ProxyError| match error {
        ProxyError::Listen(error) | ProxyError::Limit(error) => error,
        other => Error::Config(format!("the fault proxy: {other}")),
    };
    let upstream = Address::to_string(&receiver.addresses()[0]);
    let proxy = spawn_with(crate::proxy::Plan::to("transfer", upstream), plan.seed).map_err(refused)?;
    let (toxics, conditions) = toxics(plan, there, back);
    for toxic in toxics {
        proxy.add(toxic).map_err(refused)?;
    }
    let mut reactor = Reactor::new(Config::default())?;
    let clock = Clock::os();
    let began = clock.now();
    reactor.io().connect(Connect::to(proxy.address().parse::<Address>()?))?;
    let mut giver = Giver { supply: Supply::new(wanted), closed: None };
    let taken = wait(&mut reactor, &mut giver, &got, (began, simulated), watch);
    receiver.shutdown(DRAIN);
    drop(proxy);
    receiver.join()?;
    Ok(taken?.map(|taken| {
        let time_s = taken.as_secs_f64().max(1e-9);
        Real {
            time_s,
            goodput_bits_per_s: wanted as f64 * 8.0 / time_s,
            over_simulated: time_s / simulated.as_secs_f64().max(1e-9),
            conditions,
        }
    }))
}

/// Sends until all has arrived.
fn wait(
    reactor: &mut Reactor,
    giver: &mut Giver,
    got: &Got,
    (began, simulated): (Instant, Duration),
    watch: &mut Watch<'_>,
) -> Result<Option<Duration>, Error> {
    let deadline = began + simulated * PATIENCE + PATIENCE_MORE;
    loop {
        let next = reactor.io().clock() + LOOK_EVERY;
        reactor.run_until(next, giver)?;
        let done_at = got.done_at.load(Ordering::Acquire);
        if done_at > 0 {
            return Ok(Some(Instant::from_nanos(done_at).since(began)));
        }
        if let Some(why) = &giver.closed {
            return Err(failed(format!("it ended early: {why}")));
        }
        let now = reactor.io().clock();
        if now > deadline {
            let came = got.bytes.load(Ordering::Relaxed);
            return Err(failed(format!("it is too slow: {came} bytes came in time")));
        }
        let wall = now.since(began);
        let progress = Progress { elapsed: wall.min(simulated), of: simulated, wall, events: 0 };
        if !watch(&progress) {
            return Ok(None);
        }
    }
}

/// What went wrong was not asked for: it is no mistake in the plan.
fn failed(why: String) -> Error {
    Error::io("the transfer over real sockets", io::Error::other(why))
}

/// What does to real bytes what the link does to simulated ones, and the same in words.
fn toxics(plan: &Plan, there: Duration, back: Duration) -> (Vec<Toxic>, String) {
    let (link, ms) = (&plan.link, |time: Duration| time.as_secs_f64() * 1e3);
    let mut made = Vec::new();
    let mut words = Vec::new();
    // Here jitter is only ever added, there it goes both ways.
    let half = link.jitter / 2;
    let (latency_ms, jitter_ms) = (ms(there + half).round() as u64, ms(half).round() as u64);
    if latency_ms > 0 {
        made.push(Toxic::new(ToxicKind::Latency { latency_ms, jitter_ms }).upstream());
        words.push(format!("latency {latency_ms} ms"));
    }
    if jitter_ms > 0 {
        words.push(format!("jitter {jitter_ms} ms either way"));
    }
    if let Some(rate) = link.bandwidth_bits_per_s {
        let rate_kb_per_s = (rate / 8_000).max(1);
        made.push(Toxic::new(ToxicKind::Bandwidth { rate_kb_per_s }).upstream());
        words.push(format!("{rate_kb_per_s} kB/s"));
    }
    if link.loss > 0.0 {
        let rtt_ms = ms(there + back).round().max(1.0) as u64;
        made.push(Toxic::new(ToxicKind::Loss { probability: link.loss, rtt_ms }).upstream());
        words.push(format!("losses as stalls of {rtt_ms} ms and more"));
    }
    let words = if words.is_empty() { "nothing".to_owned() } else { words.join(", ") };
    (made, words)
}
