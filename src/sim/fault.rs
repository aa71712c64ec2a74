//! What can go wrong in a simulated network, as values: they are scheduled, drawn, numbered, printed as the Rust that
//! makes them again, and shrunk.

use super::network::Host;
use crate::net::sim::{Latency, Link};
use std::fmt;
use std::time::Duration;

/// Something that goes wrong, or is put right again: for [`Network::inflict`](super::Network::inflict) and
/// [`Network::at`](super::Network::at).
///
/// What a fault does stays done until another one undoes it. [`Fault::lasting`] makes one that undoes itself, and
/// [`Fault::Calm`] undoes all. It prints as the Rust that makes it:
///
/// ```
/// use std::time::Duration;
/// use windlass::sim::{Fault, Host};
///
/// let fault = Fault::Crash(Host::nth(2)).lasting(Duration::from_secs(3));
/// assert_eq!(fault.to_string(), "Fault::Crash(Host::nth(2)).lasting(Duration::from_secs(3))");
/// ```
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum Fault {
    /// The host's processes die. Its kernel lives: it resets the connections that they had open, and refuses new ones
    /// until [`Fault::Restart`].
    Crash(Host),
    /// The host loses power: nothing comes from it any more, not even a refusal. Connections to it are half-open: a peer
    /// learns of it from a time-out of its own, from unanswered keep-alive probes, from TCP's user time-out when what it
    /// sent stays unacknowledged, or from the reset that the host answers with once it is back.
    PowerOff(Host),
    /// The host runs its program from the beginning, its state gone. Does nothing to a host that runs. What can not
    /// start, for want of descriptors, is tried again every second.
    Restart(Host),
    /// The host's processes stand still for that long, as under a debugger, in a virtual machine that is moved, or on a
    /// machine that swaps. Its clock runs on, and its kernel goes on to take in what it has buffers for. A longer pause
    /// that has begun already is not cut short, and a restart ends it.
    Pause(Host, Duration),
    /// The host's clock jumps by so many nanoseconds, forwards or backwards. It stops at the beginning and the end of
    /// what can be told, which is 584 years.
    ClockJump(Host, i64),
    /// Each turn of the host's reactors takes that long; 2 us is usual, and the least.
    Slow(Host, Duration),
    /// The host's next accepts answer with these error numbers, one each, in this order: see accept(2).
    AcceptErrors(Host, Vec<i32>),
    /// The host has only so many descriptors: what it has open beyond that stays open, but connecting and accepting fail
    /// with `EMFILE`.
    Descriptors(Host, usize),
    /// Nothing passes between two sets of hosts, either way, and nobody is told.
    Partition(Vec<Host>, Vec<Host>),
    /// Nothing passes from the first set of hosts to the second.
    PartitionOneWay(Vec<Host>, Vec<Host>),
    /// Nothing passes from the first set of hosts to the second, and a router says so: connecting fails at once with
    /// `EHOSTUNREACH`. Established connections are as in a partition, for TCP takes the router's word for a passing
    /// trouble.
    NoRoute(Vec<Host>, Vec<Host>),
    /// All partitions end, and there is a route from everywhere to everywhere.
    Heal,
    /// What passes from the first set to the second is held for that long, and then arrives in order.
    Clog(Vec<Host>, Vec<Host>, Duration),
    /// For that long, this share (0 to 1) of the segments from the first set to the second is lost, on top of what their
    /// links lose anyway.
    LossBurst(Vec<Host>, Vec<Host>, f64, Duration),
    /// This share (0 to 1) of the connections between two sets of hosts is reset, as by a firewall that forgets them:
    /// both ends are told.
    ResetStorm(Vec<Host>, Vec<Host>, f64),
    /// The link from each host of the first set to each of the second is another one from now on. What is under way
    /// arrives when it was going to.
    Relink(Vec<Host>, Vec<Host>, Link),
    /// Everything is put right: partitions, clogs, loss bursts and pauses end, hosts that are down start again, are as
    /// fast as they were and have their descriptors. Clocks stay where they are, and links what they became.
    Calm,
    /// A fault that is undone after a while: what [`Fault::lasting`] makes.
    Lasting(Box<Fault>, Duration),
}

impl Fault {
    /// The same fault, undone that long after it began: a host that went down starts again, a partition heals (this one,
    /// not others), a clock jumps back, a link is what it was before, and so on.
    ///
    /// Partitions and links that overlap are undone one by one. Of two faults of a host that overlap and are of one kind,
    /// the end of the first is the end of both.
    ///
    /// What takes its time anyway, such as [`Fault::Pause`], or leaves nothing to undo, such as
    /// [`Fault::ResetStorm`], stays as it is.
    #[must_use]
    pub fn lasting(self, duration: Duration) -> Fault {
        Fault::Lasting(Box::new(self), duration)
    }

    /// The sets of hosts that it names.
    fn sets(&self) -> (Option<Host>, [&[Host]; 2]) {
        match self {
            Fault::Crash(host)
            | Fault::PowerOff(host)
            | Fault::Restart(host)
            | Fault::Pause(host, _)
            | Fault::ClockJump(host, _)
            | Fault::Slow(host, _)
            | Fault::AcceptErrors(host, _)
            | Fault::Descriptors(host, _) => (Some(*host), [&[], &[]]),
            Fault::Partition(a, b)
            | Fault::PartitionOneWay(a, b)
            | Fault::NoRoute(a, b)
            | Fault::Clog(a, b, _)
            | Fault::LossBurst(a, b, ..)
            | Fault::ResetStorm(a, b, _)
            | Fault::Relink(a, b, _) => (None, [a, b]),
            Fault::Heal | Fault::Calm => (None, [&[], &[]]),
            Fault::Lasting(fault, _) => fault.sets(),
        }
    }

    /// The hosts that it names, each as often as it is named.
    pub(super) fn hosts(&self) -> impl Iterator<Item = Host> {
        let (one, [a, b]) = self.sets();
        one.into_iter().chain(a.iter().copied()).chain(b.iter().copied())
    }

    /// The same fault with a host less in one of its sets: all ways to do that which leave nobody alone.
    pub(super) fn smaller(&self) -> Vec<Fault> {
        let (_, [a, b]) = self.sets();
        let lengths = [a.len(), b.len()];
        let ways = (0..2).flat_map(|set| (0..lengths[set]).map(move |at| (set, at)));
        ways.filter(|(set, _)| lengths[*set] > 1)
            .map(|(set, at)| {
                let mut fault = self.clone();
                fault.set_mut(set).expect("it has sets").remove(at);
                fault
            })
            .collect()
    }

    fn set_mut(&mut self, set: usize) -> Option<&mut Vec<Host>> {
        match self {
            Fault::Partition(a, b)
            | Fault::PartitionOneWay(a, b)
            | Fault::NoRoute(a, b)
            | Fault::Clog(a, b, _)
            | Fault::LossBurst(a, b, ..)
            | Fault::ResetStorm(a, b, _)
            | Fault::Relink(a, b, _) => Some(if set == 0 { a } else { b }),
            Fault::Lasting(fault, _) => fault.set_mut(set),
            _ => None,
        }
    }
}

// ---- as Rust

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Crash(host) => write!(f, "Fault::Crash({host})"),
            Fault::PowerOff(host) => write!(f, "Fault::PowerOff({host})"),
            Fault::Restart(host) => write!(f, "Fault::Restart({host})"),
            Fault::Pause(host, duration) => write!(f, "Fault::Pause({host}, {})", Rust(duration)),
            Fault::ClockJump(host, nanos) => {
                write!(f, "Fault::ClockJump({host}, {})", grouped_signed(*nanos))
            }
            Fault::Slow(host, turn) => write!(f, "Fault::Slow({host}, {})", Rust(turn)),
            Fault::AcceptErrors(host, errnos) => write!(f, "Fault::AcceptErrors({host}, vec!{errnos:?})"),
            Fault::Descriptors(host, max) => write!(f, "Fault::Descriptors({host}, {max})"),
            Fault::Partition(a, b) => write!(f, "Fault::Partition({}, {})", Rust(a), Rust(b)),
            Fault::PartitionOneWay(a, b) => write!(f, "Fault::PartitionOneWay({}, {})", Rust(a), Rust(b)),
            Fault::NoRoute(a, b) => write!(f, "Fault::NoRoute({}, {})", Rust(a), Rust(b)),
            Fault::Heal => f.write_str("Fault::Heal"),
            Fault::Clog(a, b, held) => write!(f, "Fault::Clog({}, {}, {})", Rust(a), Rust(b), Rust(held)),
            Fault::LossBurst(a, b, share, lasts) => {
                write!(f, "Fault::LossBurst({}, {}, {share:?}, {})", Rust(a), Rust(b), Rust(lasts))
            }
            Fault::ResetStorm(a, b, share) => {
                write!(f, "Fault::ResetStorm({}, {}, {share:?})", Rust(a), Rust(b))
            }
            Fault::Relink(a, b, link) => write!(f, "Fault::Relink({}, {}, {})", Rust(a), Rust(b), Rust(link)),
            Fault::Calm => f.write_str("Fault::Calm"),
            Fault::Lasting(fault, duration) => write!(f, "{fault}.lasting({})", Rust(duration)),
        }
    }
}

/// Writes a value as the Rust that makes it.
pub(super) struct Rust<'a, T>(pub(super) &'a T);

impl fmt::Display for Rust<'_, Duration> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(nanos) = u64::try_from(self.0.as_nanos()) else {
            return write!(f, "Duration::new({}, {})", grouped(self.0.as_secs()), self.0.subsec_nanos());
        };
        let (unit, count) = match nanos {
            _ if nanos % 1_000_000_000 == 0 => ("secs", nanos / 1_000_000_000),
            _ if nanos % 1_000_000 == 0 => ("millis", nanos / 1_000_000),
            _ if nanos % 1_000 == 0 => ("micros", nanos / 1_000),
            _ => ("nanos", nanos),
        };
        write!(f, "Duration::from_{unit}({})", grouped(count))
    }
}

impl fmt::Display for Rust<'_, Vec<Host>> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<_> = self.0.iter().map(Host::to_string).collect();
        write!(f, "vec![{}]", hosts.join(", "))
    }
}

impl fmt::Display for Rust<'_, Latency> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Latency::Fixed(latency) => write!(f, "Latency::Fixed({})", Rust(latency)),
            Latency::Uniform { min, max } => {
                write!(f, "Latency::Uniform {{ min: {}, max: {} }}", Rust(min), Rust(max))
            }
            Latency::LogNormal { median, sigma } => {
                write!(f, "Latency::LogNormal {{ median: {}, sigma: {sigma:?} }}", Rust(median))
            }
            Latency::Table(samples) => {
                let samples: Vec<_> = samples.iter().map(|sample| Rust(sample).to_string()).collect();
                write!(f, "Latency::Table(vec![{}].into())", samples.join(", "))
            }
        }
    }
}

/// A preset by its name, others by what differs from the plainest link.
impl fmt::Display for Rust<'_, Link> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (link, plain) = (self.0, Link::new(self.0.latency.clone()));
        if let Some((preset, _)) = Link::presets().into_iter().find(|(_, preset)| preset == link) {
            return write!(f, "Link::{preset}()");
        }
        write!(f, "Link::new({})", Rust(&link.latency))?;
        if link.jitter != plain.jitter {
            write!(f, ".jitter({})", Rust(&link.jitter))?;
        }
        if let Some(rate) = link.bandwidth_bits_per_s {
            write!(f, ".bandwidth({})", grouped(rate))?;
        }
        if link.queue_bytes != plain.queue_bytes {
            write!(f, ".queue({})", grouped(link.queue_bytes as u64))?;
        }
        if link.loss != plain.loss {
            write!(f, ".loss({:?})", link.loss)?;
        }
        Ok(())
    }
}

/// A number as one writes it in Rust: 12_345.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    if digits.len() < 5 {
        return digits;
    }
    let mut written = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            written.push('_');
        }
        written.push(digit);
    }
    written
}

fn grouped_signed(number: i64) -> String {
    let sign = if number < 0 { "-" } else { "" };
    format!("{sign}{}", grouped(number.unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_numbers_print_in_the_unit_that_fits() {
        let print = |nanos| Rust(&Duration::from_nanos(nanos)).to_string();
        assert_eq!(print(0), "Duration::from_secs(0)");
        assert_eq!(print(1_500_000_000), "Duration::from_millis(1500)");
        assert_eq!(print(12_345_678_000), "Duration::from_micros(12_345_678)");
        assert_eq!(print(1), "Duration::from_nanos(1)");
        assert_eq!(Rust(&Duration::MAX).to_string(), "Duration::new(18_446_744_073_709_551_615, 999999999)");
        assert_eq!(grouped_signed(i64::MIN), "-9_223_372_036_854_775_808");
    }

    #[test]
    fn links_print_as_what_makes_them() {
        let print = |link: &Link| Rust(link).to_string();
        assert_eq!(print(&Link::bad_wifi()), "Link::bad_wifi()");
        let latency = Latency::Table([Duration::from_millis(1), Duration::from_millis(2)].into());
        let link = Link::new(latency).jitter(Duration::from_micros(7)).queue(100_000).loss(0.5);
        assert_eq!(
            print(&link.bandwidth(1_000_000)),
            "Link::new(Latency::Table(vec![Duration::from_millis(1), Duration::from_millis(2)].into()))\
             .jitter(Duration::from_micros(7)).bandwidth(1_000_000).queue(100_000).loss(0.5)"
        );
        let latency = Latency::LogNormal { median: Duration::from_millis(1), sigma: 1.0 };
        let lognormal = "Link::new(Latency::LogNormal { median: Duration::from_millis(1), sigma: 1.0 })";
        assert_eq!(print(&Link::new(latency)), lognormal);
    }

    #[test]
    fn a_fault_with_sets_loses_one_host_at_a_time_and_keeps_one_in_each() {
        let [a, b, c] = [Host::nth(0), Host::nth(1), Host::nth(2)];
        let fault = Fault::Partition(vec![a, b], vec![c]).lasting(Duration::from_secs(1));
        let smaller: Vec<_> = fault.smaller().iter().map(Fault::to_string).collect();
        assert_eq!(
            smaller,
            [
                "Fault::Partition(vec![Host::nth(1)], vec![Host::nth(2)]).lasting(Duration::from_secs(1))",
                "Fault::Partition(vec![Host::nth(0)], vec![Host::nth(2)]).lasting(Duration::from_secs(1))",
            ]
        );
        assert!(Fault::Crash(a).smaller().is_empty());
        assert_eq!(fault.hosts().collect::<Vec<_>>(), [a, b, c]);
    }
}
