//! Faults drawn from a seed: which kinds, how often and how long is itself drawn, so that many seeds cover many mixes.

use super::fault::Fault;
use super::network::{Host, Network};
use crate::limits::SIM_CHAOS_FAULTS_MAX;
use crate::net::sim::Link;
use fastrand::Rng;
use std::time::Duration;

/// A kind of fault that [`Chaos`] may draw.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum FaultKind {
    /// [`Fault::Crash`], and a restart.
    Crash,
    /// [`Fault::PowerOff`], and a restart.
    PowerOff,
    /// [`Fault::Pause`].
    Pause,
    /// [`Fault::ClockJump`], some of which are undone.
    ClockJump,
    /// [`Fault::Slow`].
    Slow,
    /// [`Fault::AcceptErrors`].
    AcceptErrors,
    /// [`Fault::Descriptors`].
    Descriptors,
    /// [`Fault::Partition`].
    Partition,
    /// [`Fault::PartitionOneWay`].
    PartitionOneWay,
    /// [`Fault::NoRoute`].
    NoRoute,
    /// [`Fault::Clog`].
    Clog,
    /// [`Fault::LossBurst`].
    LossBurst,
    /// [`Fault::ResetStorm`].
    ResetStorm,
    /// [`Fault::Relink`].
    Relink,
}

impl FaultKind {
    /// All of them.
    pub const ALL: [FaultKind; 14] = [
        FaultKind::Crash,
        FaultKind::PowerOff,
        FaultKind::Pause,
        FaultKind::ClockJump,
        FaultKind::Slow,
        FaultKind::AcceptErrors,
        FaultKind::Descriptors,
        FaultKind::Partition,
        FaultKind::PartitionOneWay,
        FaultKind::NoRoute,
        FaultKind::Clog,
        FaultKind::LossBurst,
        FaultKind::ResetStorm,
        FaultKind::Relink,
    ];

    /// Whether its host does nothing while it lasts.
    const fn takes_down(self) -> bool {
        matches!(self, FaultKind::Crash | FaultKind::PowerOff | FaultKind::Pause)
    }
}

/// Faults drawn from a seed, over a stretch of time that ends in quiet: every fault is undone by then.
///
/// The mix is drawn as well. Each kind of fault is in it or not, like the toss of a coin, because a mix of everything
/// hides what only shows where some kinds are missing (Groce et al., "Swarm Testing", 2012): a host that is always
/// crashing never fills its queues. How often kinds come, how close faults follow each other and how long they last
/// differ from seed to seed by orders of magnitude.
///
/// ```
/// use std::time::Duration;
/// use windlass::sim::{Chaos, FaultKind, Host};
///
/// let hosts = [Host::nth(0), Host::nth(1), Host::nth(2)];
/// let chaos = Chaos::drawn(7)
///     .without([FaultKind::ClockJump])
///     .between(Duration::from_secs(1), Duration::from_secs(20))
///     .down_max(1);
/// let faults = chaos.faults(&hosts);
/// assert_eq!(faults, chaos.faults(&hosts));
/// assert!(faults.iter().all(|(at, _)| (Duration::from_secs(1)..Duration::from_secs(20)).contains(at)));
/// ```
#[derive(Clone, PartialEq, Debug)]
pub struct Chaos {
    seed: u64,
    /// How likely each kind is against the others; never 0.
    mix: Vec<(FaultKind, u32)>,
    begin: Duration,
    end: Duration,
    /// The mean time from one fault to the next, as a share of the whole.
    gap: f64,
    /// The shortest and the longest that a fault lasts, as shares of the whole.
    lasts: [f64; 2],
    faults_max: usize,
    down_max: usize,
}

impl Chaos {
    /// A mix drawn from `seed`, from 1 s to 31 s after the network was made, at most 100 faults, any number of hosts
    /// down at once.
    #[must_use]
    pub fn drawn(seed: u64) -> Chaos {
        let mut rng = Rng::with_seed(seed);
        let mut mix = Vec::new();
        for kind in FaultKind::ALL {
            // Drawn in any case, so that what one kind gets does not depend on the others.
            let (is_in, weight) = (rng.bool(), rng.u32(1..=10));
            if is_in {
                mix.push((kind, weight));
            }
        }
        if mix.is_empty() {
            mix.push((FaultKind::ALL[rng.usize(..FaultKind::ALL.len())], 1));
        }
        let shortest = between(&mut rng, 0.0001, 0.02);
        Chaos {
            seed,
            mix,
            begin: Duration::from_secs(1),
            end: Duration::from_secs(31),
            gap: between(&mut rng, 0.005, 0.2),
            lasts: [shortest, between(&mut rng, shortest, 0.5)],
            faults_max: 100,
            down_max: usize::MAX,
        }
    }

    /// Only these kinds, whatever the mix that was drawn: those in it come as often as they did, the others once in a
    /// while.
    #[must_use]
    pub fn only(mut self, kinds: impl IntoIterator<Item = FaultKind>) -> Chaos {
        let drawn = std::mem::take(&mut self.mix);
        for kind in kinds {
            let weight = drawn.iter().find(|(other, _)| *other == kind).map_or(1, |(_, weight)| *weight);
            self.mix.retain(|(other, _)| *other != kind);
            self.mix.push((kind, weight));
        }
        self
    }

    /// None of these kinds. If that leaves none, there are no faults.
    #[must_use]
    pub fn without(mut self, kinds: impl IntoIterator<Item = FaultKind>) -> Chaos {
        for kind in kinds {
            self.mix.retain(|(other, _)| *other != kind);
        }
        self
    }

    /// The first fault begins no earlier than `begin` after the network was made, and by `end` all are undone.
    #[must_use]
    pub fn between(mut self, begin: Duration, end: Duration) -> Chaos {
        (self.begin, self.end) = (begin, end.max(begin));
        self
    }

    /// At most so many faults, and in any case at most
    /// [`SIM_CHAOS_FAULTS_MAX`](crate::limits::SIM_CHAOS_FAULTS_MAX).
    #[must_use]
    pub fn faults_max(mut self, faults_max: usize) -> Chaos {
        self.faults_max = faults_max.min(SIM_CHAOS_FAULTS_MAX);
        self
    }

    /// At most so many hosts are down or paused at once: what a protocol says it survives.
    #[must_use]
    pub fn down_max(mut self, hosts: usize) -> Chaos {
        self.down_max = hosts;
        self
    }

    /// When the last fault is undone: from then on a test may demand recovery. TCP recovers only when a retransmission
    /// timer fires, which may take as long again as its trouble lasted.
    #[must_use]
    pub const fn quiet_after(&self) -> Duration {
        self.end
    }

    /// The kinds that are in the mix.
    pub fn kinds(&self) -> impl Iterator<Item = FaultKind> + '_ {
        self.mix.iter().map(|(kind, _)| *kind)
    }

    /// The faults, for these hosts: the same for the same seed, settings and hosts. For [`Network::schedule`], and to
    /// be shrunk.
    #[must_use]
    pub fn faults(&self, hosts: &[Host]) -> Vec<(Duration, Fault)> {
        let mut rng = Rng::with_seed(self.seed ^ 0x9e37_79b9_7f4a_7c15);
        let whole = self.end.saturating_sub(self.begin);
        let mut drawn = Vec::new();
        // When each host is down, of those that were taken down.
        let mut down: Vec<(Host, Duration)> = Vec::new();
        let mut at = self.begin;
        while !hosts.is_empty() && !self.mix.is_empty() && drawn.len() < self.faults_max {
            // Exponential gaps: faults that know nothing of each other.
            let gap = millis_of(whole, self.gap * -(1.0 - rng.f64()).ln());
            at = at.saturating_add(gap);
            let lasts = millis_of(whole, between(&mut rng, self.lasts[0], self.lasts[1]));
            let kind = self.kind(&mut rng);
            if at >= self.end {
                break;
            }
            let lasts = lasts.min(self.end - at);
            let host = hosts[rng.usize(..hosts.len())];
            down.retain(|(_, until)| *until > at);
            if kind.takes_down() {
                if down.len() >= self.down_max || down.iter().any(|(other, _)| *other == host) {
                    continue;
                }
                down.push((host, at + lasts));
            }
            if let Some(fault) = draw(kind, host, hosts, lasts, &mut rng) {
                drawn.push((at, fault));
            }
        }
        drawn
    }

    fn kind(&self, rng: &mut Rng) -> FaultKind {
        let mut at = rng.u32(..self.mix.iter().map(|(_, weight)| weight).sum::<u32>());
        for (kind, weight) in &self.mix {
            if at < *weight {
                return *kind;
            }
            at -= weight;
        }
        self.mix[0].0
    }
}

impl Network {
    /// Schedules the faults that `chaos` draws for these hosts. Whoever wants to shrink them draws them with
    /// [`Chaos::faults`].
    pub fn chaos(&mut self, chaos: &Chaos, hosts: &[Host]) {
        self.schedule(&chaos.faults(hosts));
    }
}

/// One fault of a kind, for a host or between two sets; `None` if there are too few hosts for it.
fn draw(kind: FaultKind, host: Host, hosts: &[Host], lasts: Duration, rng: &mut Rng) -> Option<Fault> {
    let sides = sides(hosts, rng);
    let (a, b) = sides.unwrap_or_default();
    let fault = match kind {
        FaultKind::Crash => Fault::Crash(host).lasting(lasts),
        FaultKind::PowerOff => Fault::PowerOff(host).lasting(lasts),
        FaultKind::Pause => Fault::Pause(host, lasts),
        FaultKind::ClockJump => {
            // From a millisecond to a day, and one in three backwards.
            let millis = between(rng, 1.0, 86_400_000.0) as i64;
            let by_nanos = millis * if rng.u8(..3) == 0 { -1_000_000 } else { 1_000_000 };
            let jump = Fault::ClockJump(host, by_nanos);
            if rng.bool() { jump.lasting(lasts) } else { jump }
        }
        FaultKind::Slow => {
            Fault::Slow(host, Duration::from_micros(between(rng, 10.0, 20_000.0) as u64)).lasting(lasts)
        }
        FaultKind::AcceptErrors => {
            let errnos = (0..rng.usize(1..=8)).map(|_| ACCEPT_ERRNOS[rng.usize(..ACCEPT_ERRNOS.len())]);
            Fault::AcceptErrors(host, errnos.map(rustix::io::Errno::raw_os_error).collect()).lasting(lasts)
        }
        FaultKind::Descriptors => Fault::Descriptors(host, rng.usize(..=16)).lasting(lasts),
        _ if a.is_empty() || b.is_empty() => return None,
        FaultKind::Partition => Fault::Partition(a, b).lasting(lasts),
        FaultKind::PartitionOneWay => Fault::PartitionOneWay(a, b).lasting(lasts),
        FaultKind::NoRoute => Fault::NoRoute(a, b).lasting(lasts),
        FaultKind::Clog => Fault::Clog(a, b, lasts),
        FaultKind::LossBurst => Fault::LossBurst(a, b, rounded(between(rng, 0.001, 1.0)), lasts),
        FaultKind::ResetStorm => Fault::ResetStorm(a, b, rounded(between(rng, 0.01, 1.0))),
        FaultKind::Relink => Fault::Relink(a, b, link(rng)).lasting(lasts),
    };
    Some(fault)
}

/// What accept(2) may answer with that has to do with a newcomer or with the system, and passes.
const ACCEPT_ERRNOS: [rustix::io::Errno; 9] = {
    use rustix::io::Errno;
    [
        Errno::CONNABORTED,
        Errno::INTR,
        Errno::MFILE,
        Errno::NFILE,
        Errno::NOBUFS,
        Errno::NOMEM,
        Errno::PROTO,
        Errno::PERM,
        Errno::NETDOWN,
    ]
};

/// Two sets of hosts with nobody in both: one against the rest, one against another, or any cut.
fn sides(hosts: &[Host], rng: &mut Rng) -> Option<(Vec<Host>, Vec<Host>)> {
    let mut shuffled = hosts.to_vec();
    shuffled.sort_unstable();
    shuffled.dedup();
    if shuffled.len() < 2 {
        return None;
    }
    rng.shuffle(&mut shuffled);
    let (first, rest) = match rng.u8(..3) {
        0 => (1, 1),
        1 => (1, shuffled.len() - 1),
        _ => {
            let first = rng.usize(1..shuffled.len());
            (first, shuffled.len() - first)
        }
    };
    let mut a = shuffled[..first].to_vec();
    let mut b = shuffled[first..first + rest].to_vec();
    a.sort_unstable();
    b.sort_unstable();
    // In a one-way fault it matters who is first.
    Some(if rng.bool() { (a, b) } else { (b, a) })
}

/// Somewhere between a good link and a very bad one.
fn link(rng: &mut Rng) -> Link {
    let latency = Duration::from_micros(between(rng, 50.0, 300_000.0) as u64);
    let mut link = Link::new(latency).jitter(micros(latency.mul_f64(rng.f64() / 2.0)));
    if rng.bool() {
        link = link.bandwidth(between(rng, 100e3, 1e9) as u64).queue(between(rng, 10e3, 1e6) as usize);
    }
    if rng.bool() {
        link = link.loss(rounded(between(rng, 0.001, 0.1)));
    }
    link
}

/// A number between two others, of any magnitude as likely as of any other.
fn between(rng: &mut Rng, least: f64, most: f64) -> f64 {
    (least.ln() + (most.ln() - least.ln()) * rng.f64()).exp()
}

/// Three digits: what one can read and write down.
fn rounded(share: f64) -> f64 {
    (share * 1000.0).round() / 1000.0
}

fn micros(duration: Duration) -> Duration {
    Duration::from_micros(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
}

/// A share of a stretch of time in whole milliseconds, at least one.
fn millis_of(whole: Duration, share: f64) -> Duration {
    // What is out of range is farther away than any end.
    Duration::from_millis(((whole.as_secs_f64() * share * 1000.0) as u64).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(count: u32) -> Vec<Host> {
        (0..count).map(Host::nth).collect()
    }

    fn lasts(fault: &Fault) -> Duration {
        match fault {
            Fault::Lasting(_, lasts)
            | Fault::Pause(_, lasts)
            | Fault::Clog(_, _, lasts)
            | Fault::LossBurst(_, _, _, lasts) => *lasts,
            Fault::ResetStorm(..) | Fault::ClockJump(..) => Duration::ZERO,
            endless => panic!("{endless} is never undone"),
        }
    }

    #[test]
    fn every_fault_ends_before_the_quiet() {
        for seed in 0..500 {
            let chaos = Chaos::drawn(seed);
            let faults = chaos.faults(&hosts(5));
            assert!(faults.len() <= 100, "seed {seed}");
            for (at, fault) in faults {
                assert!(at >= Duration::from_secs(1), "seed {seed}: {fault} at {at:?}");
                assert!(at + lasts(&fault) <= chaos.quiet_after(), "seed {seed}: {fault} at {at:?}");
            }
        }
    }

    #[test]
    fn mixes_differ_and_leave_kinds_out_and_have_all_of_them_in_the_end() {
        let mixes: Vec<Vec<_>> = (0..200).map(|seed| Chaos::drawn(seed).kinds().collect()).collect();
        for kind in FaultKind::ALL {
            let with = mixes.iter().filter(|mix| mix.contains(&kind)).count();
            assert!((60..140).contains(&with), "{kind:?} is in {with} of 200 mixes");
        }
    }

    #[test]
    fn no_more_hosts_are_down_than_was_said() {
        for seed in 0..200 {
            let chaos = Chaos::drawn(seed).only(FaultKind::ALL).down_max(2).faults_max(1000);
            let faults = chaos.faults(&hosts(6));
            let down = |fault: &Fault| match fault {
                Fault::Pause(..) => true,
                Fault::Lasting(fault, _) => matches!(**fault, Fault::Crash(_) | Fault::PowerOff(_)),
                _ => false,
            };
            for (at, fault) in faults.iter().filter(|(_, fault)| down(fault)) {
                let end = *at + lasts(fault);
                let others =
                    faults.iter().filter(|(other, o)| down(o) && *other <= *at && *other + lasts(o) > *at);
                assert!(others.count() <= 2, "seed {seed} at {at:?} until {end:?}");
            }
        }
    }

    #[test]
    fn one_host_has_faults_of_its_own_only_and_none_has_none() {
        let chaos = Chaos::drawn(3).only([FaultKind::Partition, FaultKind::Pause]);
        assert!(chaos.faults(&hosts(1)).iter().all(|(_, fault)| matches!(fault, Fault::Pause(..))));
        assert!(chaos.faults(&[]).is_empty());
        assert!(Chaos::drawn(3).without(FaultKind::ALL).faults(&hosts(3)).is_empty());
        let never = Chaos::drawn(3).between(Duration::from_secs(5), Duration::from_secs(2));
        assert!(never.faults(&hosts(3)).is_empty());
        let forever = Chaos::drawn(3).between(Duration::ZERO, Duration::MAX).faults_max(usize::MAX);
        assert!(!forever.faults(&hosts(3)).is_empty());
    }
}
