//! What faults do to a network, how they are planned, and how those that last for a while are undone.

use super::fault::Fault;
use super::network::{Host, Network};
use crate::limits::SIM_DESCRIPTORS_MAX;
use crate::net::sim::{Hosts, Link};
use crate::time::Instant;
use rustix::io::Errno;
use std::time::Duration;

/// How long whoever looks after a host waits until it tries once more to start what did not start.
const START_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// The greatest error number that Linux may answer a system call with (`MAX_ERRNO`).
const ERRNO_MAX: i32 = 4095;

/// What is to happen at a time of its own.
#[derive(Debug)]
pub(super) enum Planned {
    Fault(Fault),
    Undo(Undo),
    /// The end of a pause.
    Resume(Host),
    /// A start that failed is tried again.
    StartAgain(Host),
}

/// How a fault is put right again.
#[derive(Debug)]
pub(super) enum Undo {
    /// Nothing is left of it.
    Nothing,
    Restart(Host),
    ClockJump(Host, i64),
    Slow(Host),
    AcceptErrors(Host),
    Descriptors(Host),
    /// These blocks of the topology.
    Unblock(std::ops::Range<u64>),
    /// What was said of links under this number.
    Relink(u64),
}

// ---- links and plans

impl Network {
    /// The link between all hosts of which nothing else is said. Default: [`Link::rack`].
    ///
    /// # Panics
    /// If the numbers of the link make no sense: see [`Link::validate`].
    #[track_caller]
    pub fn link(&mut self, link: Link) {
        self.shared.lock().topology().set_default(sensible(link));
    }

    /// The link between each host of one set and each of another, both ways.
    ///
    /// # Panics
    /// As [`Network::link`].
    #[track_caller]
    pub fn link_between(&mut self, a: &[Host], b: &[Host], link: Link) {
        let (a, b, link) = (hosts(a), hosts(b), sensible(link));
        let mut state = self.shared.lock();
        state.topology().set_between(a.clone(), b.clone(), link.clone(), None);
        state.topology().set_between(b, a, link, None);
    }

    /// How long a bit takes from one host to another, as their link has drawn it: without jitter, and without what the
    /// bytes themselves take.
    #[must_use]
    pub fn latency(&self, from: Host, to: Host) -> Duration {
        self.shared.lock().topology().latency(from.0, to.0)
    }

    /// Cuts reads and writes short at places that are drawn: with these probabilities (0 to 1) what a segment brings
    /// becomes readable in two portions, and a write takes less than there is room for, perhaps nothing; with all writes
    /// short, the last byte is never taken. Holds for connections that are made from now on.
    pub fn cut_short(&mut self, reads: f64, writes: f64) {
        self.shared.lock().cut_short(reads, writes);
    }

    /// Has `fault` happen that long after the network was made, or next if that is past.
    pub fn at(&mut self, after: Duration, fault: Fault) {
        self.plan(self.began + after, Planned::Fault(fault));
    }

    /// Has each of `faults` happen that long after the network was made: what [`Chaos::faults`](super::Chaos::faults)
    /// draws, and what a failing run prints.
    pub fn schedule<'a>(&mut self, faults: impl IntoIterator<Item = &'a (Duration, Fault)>) {
        for (after, fault) in faults {
            self.at(*after, fault.clone());
        }
    }

    fn plan(&mut self, at: Instant, what: Planned) {
        self.planned.insert(self.plans, what);
        self.shared.lock().call_at(at, self.plans);
        self.plans += 1;
    }

    pub(super) fn carry_out(&mut self, plan: u64) {
        match self.planned.remove(&plan) {
            Some(Planned::Fault(fault)) => self.inflict(fault),
            Some(Planned::Undo(undo)) => self.undo(undo),
            Some(Planned::Resume(host)) => {
                for core in self.entry(host).cores.clone() {
                    self.shared.lock().free_core(core);
                }
            }
            Some(Planned::StartAgain(host)) if self.entry(host).starting => self.restart(host),
            Some(Planned::StartAgain(_)) | None => {}
        }
    }

    /// What went wrong so far, and how long after the network was made.
    #[must_use]
    pub fn inflicted(&self) -> &[(Duration, Fault)] {
        &self.inflicted
    }
}

// ---- faults

impl Network {
    /// Has `fault` happen now.
    ///
    /// # Panics
    /// If it names a host that there is not, a link whose numbers make no sense, or what is no error number.
    pub fn inflict(&mut self, fault: Fault) {
        for host in fault.hosts() {
            let _exists = self.entry(host);
        }
        self.shared.lock().note_fault(u32::try_from(self.inflicted.len()).unwrap_or(u32::MAX));
        self.inflicted.push((self.age(), fault.clone()));
        self.begin(fault, false);
    }

    /// Has a fault happen, for good or to be undone, and answers how it is undone.
    fn begin(&mut self, fault: Fault, lasts: bool) -> Undo {
        match fault {
            Fault::Crash(host) => {
                self.shared.lock().reset_host(host.0);
                self.end_cores(host);
                return Undo::Restart(host);
            }
            Fault::PowerOff(host) => {
                self.shared.lock().power_off(host.0);
                self.end_cores(host);
                return Undo::Restart(host);
            }
            Fault::Restart(host) => self.restart(host),
            Fault::Pause(host, duration) => self.pause(host, duration),
            Fault::ClockJump(host, by_nanos) => {
                self.jump(host, by_nanos);
                return Undo::ClockJump(host, by_nanos);
            }
            Fault::Slow(host, turn_time) => {
                self.slow(host, Some(turn_time));
                return Undo::Slow(host);
            }
            Fault::AcceptErrors(host, errnos) => {
                let wrong = errnos.iter().find(|errno| !(1..=ERRNO_MAX).contains(*errno));
                assert_eq!(wrong, None, "error numbers are from 1 to {ERRNO_MAX}");
                let errnos = errnos.into_iter().map(Errno::from_raw_os_error);
                self.shared.lock().fail_accepts(host.0, errnos);
                return Undo::AcceptErrors(host);
            }
            Fault::Descriptors(host, max) => {
                self.shared.lock().set_descriptors_max(host.0, max);
                return Undo::Descriptors(host);
            }
            Fault::Calm => self.calm(),
            Fault::Lasting(fault, duration) => {
                let undo = self.begin(*fault, true);
                if !matches!(undo, Undo::Nothing) {
                    self.plan(self.now() + duration, Planned::Undo(undo));
                }
            }
            fault => return self.begin_on_links(fault, lasts),
        }
        Undo::Nothing
    }

    fn begin_on_links(&mut self, fault: Fault, lasts: bool) -> Undo {
        let (now, first) = (self.now(), self.blocks);
        let mut state = self.shared.lock();
        match fault {
            Fault::Partition(a, b) => {
                let (a, b) = (hosts(&a), hosts(&b));
                state.topology().block(first, a.clone(), b.clone(), false);
                state.topology().block(first + 1, b, a, false);
                self.blocks += 2;
            }
            Fault::PartitionOneWay(from, to) => {
                state.topology().block(first, hosts(&from), hosts(&to), false);
                self.blocks += 1;
            }
            Fault::NoRoute(from, to) => {
                state.topology().block(first, hosts(&from), hosts(&to), true);
                self.blocks += 1;
            }
            Fault::Heal => state.topology().unblock_all(),
            Fault::Clog(from, to, duration) => {
                state.topology().clog(now, hosts(&from), hosts(&to), now + duration);
            }
            Fault::LossBurst(from, to, loss, duration) => {
                state.topology().burst(now, hosts(&from), hosts(&to), loss, now + duration);
            }
            Fault::ResetStorm(a, b, share) => state.reset_between(&numbers(&a), &numbers(&b), share),
            Fault::Relink(from, to, link) => {
                let number = lasts.then_some(first);
                state.topology().set_between(hosts(&from), hosts(&to), sensible(link), number);
                self.blocks += 1;
                return Undo::Relink(first);
            }
            // All others concern a host.
            _ => {}
        }
        if self.blocks > first { Undo::Unblock(first..self.blocks) } else { Undo::Nothing }
    }

    fn undo(&mut self, undo: Undo) {
        match undo {
            Undo::Nothing => {}
            Undo::Restart(host) => self.restart(host),
            Undo::ClockJump(host, by_nanos) => self.jump(host, by_nanos.saturating_neg()),
            Undo::Slow(host) => self.slow(host, None),
            Undo::AcceptErrors(host) => self.shared.lock().mend_accepts(host.0),
            Undo::Descriptors(host) => self.shared.lock().set_descriptors_max(host.0, SIM_DESCRIPTORS_MAX),
            Undo::Unblock(blocks) => {
                let mut state = self.shared.lock();
                blocks.for_each(|block| state.topology().unblock(block));
            }
            Undo::Relink(number) => self.shared.lock().topology().take_back(number),
        }
    }

    fn restart(&mut self, host: Host) {
        self.shared.lock().power_on(host.0);
        if self.is_running(host) {
            return;
        }
        // It started once: what keeps it from it now is a fault too, as a rule a want of descriptors.
        let failed = self.boot(host).is_err();
        self.entry_mut(host).starting = failed;
        if failed {
            self.plan(self.now() + START_AGAIN_AFTER, Planned::StartAgain(host));
        }
    }

    fn pause(&mut self, host: Host, duration: Duration) {
        let until = self.now() + duration;
        let entry = self.entry_mut(host);
        entry.paused_until = entry.paused_until.max(until);
        for core in entry.cores.clone() {
            self.shared.lock().hold_core(core, until);
        }
        self.plan(until, Planned::Resume(host));
    }

    fn jump(&mut self, host: Host, by_nanos: i64) {
        let entry = self.entry_mut(host);
        entry.clock_ahead = entry.clock_ahead.saturating_add(by_nanos);
        let (ahead, cores) = (entry.clock_ahead, entry.cores.clone());
        for core in cores {
            self.shared.lock().set_clock_ahead(core, ahead);
        }
    }

    fn slow(&mut self, host: Host, turn_time: Option<Duration>) {
        let entry = self.entry_mut(host);
        entry.turn_time = turn_time;
        let paused_until = entry.paused_until;
        for core in entry.cores.clone() {
            let mut state = self.shared.lock();
            state.set_turn_time(core, turn_time);
            if turn_time.is_none() && paused_until <= state.now() {
                // The turn that was slow is over as well.
                state.release_core(core);
            }
        }
    }

    fn calm(&mut self) {
        self.shared.lock().topology().calm();
        for number in 0..self.hosts.len() {
            let host = Host(u32::try_from(number).expect("fewer hosts than addresses"));
            self.undo(Undo::Slow(host));
            self.undo(Undo::AcceptErrors(host));
            self.undo(Undo::Descriptors(host));
            let now = self.now();
            let entry = self.entry_mut(host);
            if entry.paused_until > now {
                entry.paused_until = now;
                for core in entry.cores.clone() {
                    self.shared.lock().release_core(core);
                }
            }
            if self.entry(host).cores.is_empty() {
                self.restart(host);
            }
        }
    }
}

#[track_caller]
fn sensible(link: Link) -> Link {
    if let Err(error) = link.validate() {
        panic!("{error}");
    }
    link
}

fn numbers(hosts: &[Host]) -> Vec<u32> {
    hosts.iter().map(|host| host.0).collect()
}

fn hosts(all: &[Host]) -> Hosts {
    Hosts::new(numbers(all))
}
