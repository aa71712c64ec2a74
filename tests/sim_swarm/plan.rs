//! What a seed stands for: hosts, their configurations, links, and what goes wrong when. Everything is drawn before
//! anything runs, so that a fault can be left out without moving the others.

use fastrand::Rng;
use std::time::Duration;
use windlass::buffer::Watermarks;
use windlass::sim::{Fault, Host, Latency, Link};
use windlass::{Config, KeepAlive, Options, Spread};

/// Virtual time that mending takes at most; see `Plan::faults`.
const REPAIR_MS_MAX: u64 = 5000;

/// A host of the swarm.
#[derive(Debug)]
pub struct HostPlan {
    pub number: usize,
    pub cores: usize,
    pub config: Config,
    /// Connections that one of its handlers has at most.
    pub conns_max: usize,
    /// Connects, and does not only listen.
    pub dials: bool,
    /// Has little buffer memory: then it does not read what others cannot take from it.
    pub small: bool,
    /// Its handlers panic now and then.
    pub panics: bool,
    /// Has a listener shared by its cores from the start, spread like that.
    pub shared: Option<Spread>,
    /// Of acts that end connections one in so many is done: where all are, hardly any timeout ever comes.
    pub ends_one_in: u32,
    /// Acts after each event are fewer than this.
    pub acts_max: u32,
    /// Virtual time between two acts of a handler out of its own.
    pub tick: Duration,
}

/// What a seed stands for.
#[derive(Debug)]
pub struct Plan {
    pub hosts: Vec<HostPlan>,
    pub links: Vec<(usize, usize, Link)>,
    pub duration: Duration,
    /// When what goes wrong, by the virtual time since the start. All of it is put right again by then.
    pub faults: Vec<(Duration, Fault)>,
    /// A host that is shut down in good order, when, and within what time.
    pub shutdown: Option<(usize, Duration, Duration)>,
}

fn one_in(random: &mut Rng, n: u32) -> bool {
    random.u32(..n) == 0
}

pub fn pick<T: Clone>(random: &mut Rng, all: &[T]) -> T {
    all[random.usize(..all.len())].clone()
}

/// Uniform in its logarithm.
pub fn about(random: &mut Rng, min: u64, max: u64) -> u64 {
    let (low, high) = ((min as f64).ln(), (max as f64).ln());
    ((low + random.f64() * (high - low)).exp() as u64).clamp(min, max)
}

impl Plan {
    /// Draws a plan for `hosts`, which are made already.
    pub fn draw(random: &mut Rng, hosts: &[Host]) -> Plan {
        let count = hosts.len();
        let small = one_in(random, 2).then(|| random.usize(..count));
        let all = (0..count).map(|number| host(random, number, small == Some(number))).collect();
        let mut links = Vec::new();
        for a in 0..count {
            links.extend((0..count).filter(|b| *b != a).map(|b| (a, b, link(random))));
        }
        let duration = Duration::from_millis(about(random, 1000, 40_000));
        let mut plan = Plan { hosts: all, links, duration, faults: Vec::new(), shutdown: None };
        for _ in 0..about(random, 1, 24) - 1 {
            plan.draw_fault(random, hosts);
        }
        plan.faults.sort_by_key(|(at, _)| *at);
        if one_in(random, 4) {
            let at = duration.mul_f64(random.f64());
            plan.shutdown =
                Some((random.usize(..count), at, Duration::from_millis(about(random, 1, 10_000))));
        }
        plan
    }

    fn draw_fault(&mut self, random: &mut Rng, hosts: &[Host]) {
        let at = self.duration.mul_f64(random.f64());
        let repaired = at + Duration::from_millis(about(random, 1, REPAIR_MS_MAX));
        let length = Duration::from_millis(about(random, 1, REPAIR_MS_MAX));
        let number = random.usize(..hosts.len());
        let host = hosts[number];
        let (a, b) = two_sets(random, hosts);
        let pair = match random.u32(..17) {
            0 => (Fault::Crash(host), Some(Fault::Restart(host))),
            1 => (Fault::PowerOff(host), Some(Fault::Restart(host))),
            2 | 3 => (Fault::Pause(host, length), None),
            4 => (Fault::ClockJump(host, jump(random)), None),
            5 => {
                let turn_time = Duration::from_micros(about(random, 10, 5000));
                (Fault::Slow(host, turn_time), Some(Fault::Slow(host, Duration::from_micros(2))))
            }
            6 => (Fault::AcceptErrors(host, accept_errors(random)), None),
            // A program that listens from the start would not start again without descriptors.
            7 if self.hosts[number].shared.is_none() => {
                let max = random.usize(..30);
                (Fault::Descriptors(host, max), Some(Fault::Descriptors(host, 1 << 20)))
            }
            7 | 8 => (Fault::Partition(a, b), Some(Fault::Heal)),
            9 => (Fault::PartitionOneWay(a, b), Some(Fault::Heal)),
            10 => (Fault::Clog(a, b, length), None),
            11 => (Fault::LossBurst(a, b, random.f64(), length), None),
            12 | 13 => (Fault::ResetStorm(a, b, random.f64()), None),
            14 => (Fault::NoRoute(a, b).lasting(length), None),
            15 => (Fault::Relink(a, b, link(random)).lasting(length), None),
            _ => (Fault::Relink(a, b, link(random)), None),
        };
        self.faults.push((at, pair.0));
        self.faults.extend(pair.1.map(|fault| (repaired, fault)));
    }
}

fn jump(random: &mut Rng) -> i64 {
    let far = about(random, 1_000, 20_000_000_000) as i64;
    if one_in(random, 3) { -far } else { far }
}

/// Errors of accept(2): of one newcomer, of shortages, and now and then of a listener that is broken.
fn accept_errors(random: &mut Rng) -> Vec<i32> {
    let passing = [103, 71, 1, 24, 23, 105, 12, 113, 101];
    let fatal = [22, 9];
    (0..random.usize(1..6))
        .map(|_| if one_in(random, 12) { pick(random, &fatal) } else { pick(random, &passing) })
        .collect()
}

/// Each host is in one of both or in neither.
fn two_sets(random: &mut Rng, hosts: &[Host]) -> (Vec<Host>, Vec<Host>) {
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for &host in hosts {
        match random.u32(..5) {
            0 | 1 => a.push(host),
            2 | 3 => b.push(host),
            _ => {}
        }
    }
    (a, b)
}

fn link(random: &mut Rng) -> Link {
    let mut link = Link::new(Latency::Fixed(Duration::from_micros(about(random, 20, 200_000))));
    if one_in(random, 2) {
        link.jitter = Duration::from_micros(about(random, 1, 50_000));
    }
    if one_in(random, 2) {
        link.bandwidth_bits_per_s = Some(about(random, 1_000_000, 1_000_000_000));
        link.queue_bytes = about(random, 20_000, 1_000_000) as usize;
    }
    if one_in(random, 2) {
        link.loss = about(random, 1, 1000) as f64 / 10_000.0;
    }
    link
}

fn host(random: &mut Rng, number: usize, small: bool) -> HostPlan {
    let panics = one_in(random, 4);
    HostPlan {
        number,
        cores: pick(random, &[1, 1, 2, 3]),
        config: config(random, small, panics),
        conns_max: about(random, 2, 40) as usize,
        dials: number == 0 || !one_in(random, 4),
        small,
        panics,
        shared: pick(random, &[None, None, Some(Spread::ReusePort), Some(Spread::HandOff)]),
        ends_one_in: pick(random, &[1, 1, 10, 200]),
        acts_max: pick(random, &[1, 2, 3]),
        tick: Duration::from_micros(about(random, 500, 1_000_000)),
    }
}

fn config(random: &mut Rng, small: bool, panics: bool) -> Config {
    let mut config = Config::default();
    config.options = options(random, false);
    let budgets = &mut config.budgets;
    budgets.events = pick(random, &[1, 7, 1024]);
    budgets.accepts = pick(random, &[1, 64]);
    budgets.receive_bytes = pick(random, &[100, 5_000, 256 * 1024]);
    budgets.notices = pick(random, &[1, 1024]);
    budgets.handshakes = pick(random, &[1, 5]);
    budgets.deadlines = pick(random, &[1, 512]);
    budgets.timers = pick(random, &[1, 256]);
    budgets.mail = pick(random, &[1, 1024]);
    if small {
        config.buffer_bytes_max = pick(random, &[128 << 10, 512 << 10, 2 << 20]);
    }
    config.receive_buffer_bytes = pick(random, &[4096, 256 * 1024]);
    config.isolate_panics = panics;
    let admission = &mut config.admission;
    if one_in(random, 8) {
        admission.connections_max = Some(random.usize(2..30));
    }
    if one_in(random, 8) {
        admission.per_address_max = Some(random.u32(1..20));
    }
    if one_in(random, 8) {
        admission.handshakes_max = Some(random.usize(1..10));
    }
    if one_in(random, 8) {
        admission.accepts_per_second_per_address = Some(random.u32(1..50));
    }
    config
}

/// Whoever dials reads whatever happens: if both ends stopped while their queues are full, each would wait for the
/// other to read.
pub fn options(random: &mut Rng, dialler: bool) -> Options {
    let mut options = Options::default();
    let high_bytes = pick(random, &[2_000, 30_000, 256 * 1024]);
    options.queue = Watermarks { low_bytes: high_bytes / 4, high_bytes, max_bytes: high_bytes + 320 * 1024 };
    options.half_close = one_in(random, 2);
    options.self_throttle = !dialler && one_in(random, 2);
    options.kept_bytes_max = pick(random, &[1000, 3100, 64 * 1024]);
    let mut some = |all: &[u64]| Some(Duration::from_millis(pick(random, all)));
    let timeouts = &mut options.timeouts;
    timeouts.connect = some(&[200, 3_000, 30_000]);
    timeouts.handshake = some(&[500, 10_000]);
    timeouts.read = some(&[300, 5_000, 60_000]);
    timeouts.write = some(&[500, 5_000, 30_000]);
    timeouts.keep_alive = some(&[1_000, 10_000, 300_000]);
    timeouts.drain = some(&[100, 1_000, 5_000]);
    let socket = &mut options.socket;
    socket.send_buffer_bytes = pick(random, &[None, None, Some(2_000), Some(16 * 1024)]);
    socket.receive_buffer_bytes = pick(random, &[None, None, Some(2_000), Some(32 * 1024)]);
    if one_in(random, 4) {
        let (idle, interval) =
            (Duration::from_secs(random.u64(1..10)), Duration::from_secs(random.u64(1..3)));
        socket.keep_alive = Some(KeepAlive { idle, interval, probes: random.u32(1..5) });
    }
    if one_in(random, 10) {
        socket.linger = Some(Duration::ZERO);
    }
    if one_in(random, 4) {
        socket.user_timeout = Some(Duration::from_millis(about(random, 1000, 60_000)));
    }
    options
}
