//! One run of the swarm: makes what a seed stands for, lets it happen, mends everything, and sees that nothing is left.

use crate::kinds::Keys;
use crate::node::{Node, Planned, SHARED_PORT};
use crate::oracle::{HostTruth, Oracle, Phase, Shared, Tally};
use crate::plan::{HostPlan, Plan, pick};
use fastrand::Rng;
use std::cell::{Cell, RefCell};
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::sync::Once;
use std::time::Duration;
use windlass::sim::{Fault, Host, Latency, Link, Network};
use windlass::{Cores, Listen};

/// Letters that a core's mailbox holds.
const MAILBOX: usize = 16;
/// Events after which a run that is still busy comes to rest.
const BUSY_EVENTS_MAX: u64 = 150_000;
/// Bytes in transit always arrive within this time once everything is mended: TCP waits at most two minutes between
/// two attempts, and more than one attempt may fail.
const EVEN_WITHIN: Duration = Duration::from_secs(900);
/// The longest drain timeout, and the tick of resting handlers.
const CLOSED_WITHIN: Duration = Duration::from_secs(8);
/// Timers of handlers end within this time.
const STILL_WITHIN: Duration = Duration::from_secs(30);
/// The kernel's ends give up their last peers, which may have lost power, after sixteen minutes.
const FORGOTTEN_WITHIN: Duration = Duration::from_secs(3600);

/// What is asked for is compared with the bound, but chunks are taken whole: the last one may be of 1 MiB, and a
/// handshake's answer may need one of 64 KiB in the same turn.
const OVERSHOOT_BYTES_MAX: u64 = (1 << 20) + (64 << 10);

/// How long sessions of Noise may live.
const SESSIONS_MAX: [Option<Duration>; 4] =
    [None, None, Some(Duration::from_millis(700)), Some(Duration::from_secs(6))];

/// What a run came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    pub events: u64,
    pub trace: u64,
    pub tally: Tally,
    pub failure: Option<String>,
}

thread_local! {
    /// Somebody else than a handler of the swarm panicked, perhaps where panics are survived.
    static PANICKED: Cell<bool> = const { Cell::new(false) };
}

/// Panics that are planned say nothing.
fn mute_planned_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !info.payload().is::<Planned>() {
                PANICKED.set(true);
                before(info);
            }
        }));
    });
}

struct Run {
    net: Network,
    hosts: Vec<Host>,
    plan: Plan,
    plans: Vec<Rc<HostPlan>>,
    truth: Shared,
    /// Faults that the oracle knows of.
    noted: usize,
    checks: u64,
}

/// Runs a seed under these faults, of which [`faults`] knows the usual ones.
pub fn run(seed: u64, faults: &[(Duration, Fault)]) -> Outcome {
    mute_planned_panics();
    PANICKED.set(false);
    let mut run = Run::new(seed, faults);
    run.go();
    let truth = run.truth.borrow();
    Outcome {
        events: run.net.events(),
        trace: run.net.trace(),
        tally: truth.tally,
        failure: truth.failure().map(str::to_owned),
    }
}

/// The faults that a seed draws, by the virtual time at which they happen.
pub fn faults(seed: u64) -> Vec<(Duration, Fault)> {
    draw(seed).2.faults
}

fn draw(seed: u64) -> (Network, Vec<Host>, Plan) {
    let mut random = Rng::with_seed(seed);
    let mut net = Network::new(random.u64(..));
    let hosts: Vec<Host> = (0..random.usize(2..6)).map(|n| net.host(format!("host {n}"))).collect();
    let plan = Plan::draw(&mut random, &hosts);
    (net, hosts, plan)
}

impl Run {
    fn new(seed: u64, faults: &[(Duration, Fault)]) -> Run {
        let (mut net, hosts, mut plan) = draw(seed);
        let mut random = Rng::with_seed(!seed);
        let truth: Shared = Rc::new(RefCell::new(Oracle::new(hosts.len())));
        for (a, b, link) in &plan.links {
            net.inflict(Fault::Relink(vec![hosts[*a]], vec![hosts[*b]], link.clone()));
        }
        net.schedule(faults);
        let keys = Rc::new(Keys::new(
            pick(&mut random, &[None, Some(3), Some(50)]),
            pick(&mut random, &SESSIONS_MAX),
        ));
        let addresses: Rc<[Ipv4Addr]> = hosts.iter().map(|host| host.ip()).collect();
        let plans: Vec<Rc<HostPlan>> = plan.hosts.drain(..).map(Rc::new).collect();
        for plan in &plans {
            truth.borrow_mut().hosts[plan.number].limited = plan.config.admission.connections_max.is_some();
        }
        let noted = net.inflicted().len();
        let mut run = Run { net, hosts, plan, plans, truth, noted, checks: 0 };
        for number in 0..run.hosts.len() {
            run.start(number, random.u64(..), &keys, &addresses);
        }
        run
    }

    fn start(&mut self, number: usize, seed: u64, keys: &Rc<Keys>, addresses: &Rc<[Ipv4Addr]>) {
        let plan = Rc::clone(&self.plans[number]);
        let mut cores = Cores::new(plan.cores).config(plan.config.clone());
        if let Some(spread) = plan.shared {
            cores = cores.listen(Listen::tcp(("0.0.0.0", SHARED_PORT))).spread(spread);
        }
        let (truth, keys, addresses) = (Rc::clone(&self.truth), Rc::clone(keys), Rc::clone(addresses));
        // Each start is another one.
        let starts = Cell::new(seed);
        let made = self.net.start_with_mail(self.hosts[number], cores, MAILBOX, move |core, mail| {
            starts.set(starts.get().wrapping_add(1));
            Node::new(core, mail, starts.get(), &plan, &truth, &keys, &addresses)
        });
        if let Err(error) = made {
            self.truth.borrow_mut().fail(|| format!("host {number} does not start: {error}"));
        }
    }

    fn go(&mut self) {
        self.be_busy();
        self.mend();
        let stages: [(Phase, Duration, &str); 2] = [
            (Phase::Even, EVEN_WITHIN, "bytes are stuck"),
            (Phase::Close, CLOSED_WITHIN, "connections do not end"),
        ];
        for (phase, within, otherwise) in stages {
            self.truth.borrow_mut().phase = phase;
            let done = self.until(within, |truth| match phase {
                Phase::Even => truth.uneven().is_none(),
                _ => truth.live() == 0,
            });
            if !done {
                let stuck = self.stuck();
                self.truth.borrow_mut().fail(|| format!("{otherwise}: {stuck}"));
            }
        }
        self.truth.borrow_mut().phase = Phase::Still;
        self.until(STILL_WITHIN, |_| false);
        self.check_nothing_is_held();
        self.until(FORGOTTEN_WITHIN, |_| false);
        self.check_world();
    }

    fn be_busy(&mut self) {
        let duration = self.plan.duration;
        if let Some((host, at, within)) = self.plan.shutdown {
            self.busy_until(at);
            self.shut_down(host, within);
        }
        // Whatever is drawn is mended by then, and what had to wait for its end has happened.
        self.busy_until(duration + Duration::from_secs(12));
    }

    fn busy_until(&mut self, at: Duration) {
        let left = at.saturating_sub(self.net.elapsed());
        self.until(left, |_| false);
    }

    fn shut_down(&mut self, host: usize, within: Duration) {
        self.truth.borrow_mut().hosts[host].stopping = true;
        let before = self.truth.borrow().hosts[host];
        let disturbed = before.slow || before.stopped || before.paused_until >= self.net.elapsed();
        self.net.shutdown(self.hosts[host], within);
        self.until(within + Duration::from_millis(40), |_| false);
        let truth = Rc::clone(&self.truth);
        let now = truth.borrow().hosts[host];
        let ended = now.live == 0 || now.epoch != before.epoch || disturbed || !now.stopping;
        truth.borrow_mut().check(ended, || format!("host {host} did not shut down: {now:?}"));
        self.net.inflict(Fault::Crash(self.hosts[host]));
        self.note_faults();
        self.net.inflict(Fault::Restart(self.hosts[host]));
        self.note_faults();
    }

    /// Puts everything right that may still be wrong.
    fn mend(&mut self) {
        let all = self.hosts.clone();
        let near = Link::new(Latency::Fixed(Duration::from_millis(1)));
        self.net.inflict(Fault::Heal);
        self.net.inflict(Fault::Relink(all.clone(), all.clone(), near));
        for host in all {
            self.net.inflict(Fault::Slow(host, Duration::from_micros(2)));
            self.net.inflict(Fault::Descriptors(host, 1 << 20));
            self.net.inflict(Fault::Restart(host));
        }
        self.note_faults();
    }

    /// Runs until something holds or has failed. Answers whether it holds.
    fn until(&mut self, within: Duration, holds: impl Fn(&Oracle) -> bool) -> bool {
        let end = self.net.elapsed() + within;
        loop {
            let (truth, noted) = (Rc::clone(&self.truth), self.noted);
            let events = self.net.events();
            self.net.run_until(
                |net| {
                    truth.borrow().has_failed()
                        || net.inflicted().len() > noted
                        || net.events() > events + 200
                        || PANICKED.get()
                },
                end.saturating_sub(self.net.elapsed()),
            );
            self.note_faults();
            self.look_around();
            let truth = self.truth.borrow();
            if truth.has_failed() {
                return true;
            }
            if holds(&truth) {
                return true;
            }
            if self.net.elapsed() >= end {
                return false;
            }
        }
    }

    fn note_faults(&mut self) {
        let mut truth = self.truth.borrow_mut();
        for (at, fault) in &self.net.inflicted()[self.noted..] {
            truth.tell(self.net.now(), 99, || format!("{fault:?}"));
            let number = |host: &Host| self.hosts.iter().position(|known| known == host).expect("ours");
            match fault {
                Fault::Crash(host) | Fault::PowerOff(host) => truth.lost(number(host)),
                Fault::Pause(host, length) => {
                    let host = &mut truth.hosts[number(host)];
                    host.epoch += 1;
                    host.paused_until = host.paused_until.max(*at + *length);
                }
                Fault::ClockJump(host, _) => truth.hosts[number(host)].epoch += 1,
                Fault::Slow(host, turn_time) => {
                    let host = &mut truth.hosts[number(host)];
                    host.epoch += 1;
                    host.slow = *turn_time > Duration::from_micros(5);
                }
                _ => {}
            }
        }
        self.noted = self.net.inflicted().len();
    }

    /// What must hold at any time.
    fn look_around(&mut self) {
        let mut truth = self.truth.borrow_mut();
        truth.check(!PANICKED.get(), || "something panicked".into());
        if truth.phase == Phase::Busy && self.net.events() > BUSY_EVENTS_MAX {
            truth.phase = Phase::Even;
        }
        self.checks += 1;
        if !self.checks.is_multiple_of(16) {
            return;
        }
        let number = (self.checks / 16) as usize % self.hosts.len();
        let max = self.plans[number].config.buffer_bytes_max as u64 + OVERSHOOT_BYTES_MAX;
        let Some(metrics) = self.net.metrics(self.hosts[number]) else { return };
        for core in metrics.snapshot(self.net.now()).cores {
            let held = core.figures.buffered_bytes;
            truth.check(held <= max, || format!("core {} of host {number} holds {held} of {max}", core.core));
        }
    }

    /// Everything is closed: what each host held for it was given back.
    fn check_nothing_is_held(&mut self) {
        for (number, host) in self.hosts.iter().enumerate() {
            let HostTruth { stopping, stopped, .. } = self.truth.borrow().hosts[number];
            let stopped = stopping || stopped;
            let Some(metrics) = self.net.metrics(*host).filter(|_| !stopped) else { continue };
            for core in metrics.snapshot(self.net.now()).cores {
                let f = &core.figures;
                let held = [
                    f.connections_active,
                    f.handshakes_pending,
                    f.pool_bytes_taken,
                    f.pool_bytes_free,
                    f.buffered_bytes,
                    f.timers_armed,
                    f.deadlines_armed,
                ];
                let nothing = held.iter().all(|held| *held == 0);
                self.truth.borrow_mut().check(nothing, || {
                    format!("core {} of host {number} still holds something: {held:?}", core.core)
                });
            }
        }
        let mut truth = self.truth.borrow_mut();
        let ended = |host: usize| truth.hosts[host].stopping || truth.hosts[host].stopped;
        let mut letters = truth.letters.iter().filter(|((host, _, _), _)| !ended(*host));
        let lost = letters.find(|(_, (sent, came))| sent != came).map(|found| format!("{found:?}"));
        truth.check(lost.is_none(), || format!("a letter was lost: {lost:?}"));
    }

    /// The kernels have forgotten everything as well, and with their programs the last descriptors go.
    fn check_world(&mut self) {
        let mut truth = self.truth.borrow_mut();
        // A core that has ended has left connections lying about, or on their way to it.
        if truth.hosts.iter().all(|host| !host.stopped && !host.stopping) {
            let left = self.net.open_connections();
            truth.check(left == 0, || format!("the world still knows {left} connections"));
        }
        drop(truth);
        for host in self.hosts.clone() {
            self.net.inflict(Fault::Crash(host));
            let left = self.net.descriptors(host);
            self.truth.borrow_mut().check(left == 0, || format!("{left} descriptors of {host:?} are left"));
        }
        self.until(FORGOTTEN_WITHIN, |_| false);
        let left = self.net.open_connections();
        self.truth
            .borrow_mut()
            .check(left == 0, || format!("the world without programs knows {left} connections"));
    }

    fn stuck(&self) -> String {
        let truth = self.truth.borrow();
        let mut text = format!("{:?}", truth.uneven().map(|number| (number, &truth.talks[number])));
        for (number, talk) in truth.talks.iter().enumerate() {
            let over = |side: usize| talk.ends[side].over.is_some() || talk.ends[side].gone;
            if !over(0) && !over(1) {
                text += &format!("\n{number}: {talk:?}");
            }
        }
        text
    }
}
