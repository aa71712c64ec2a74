//! What can go wrong in a simulated network, as values: they are scheduled, drawn, logged and shrunk.

use super::network::Host;
use crate::net::sim::Link;
use std::time::Duration;

/// Something that goes wrong, or is put right again.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum Fault {
    /// The host's processes die; its kernel resets what they had open. [`Fault::Restart`] brings them back.
    Crash(Host),
    /// The host loses power: it falls silent, and its peers are not told.
    PowerOff(Host),
    /// The host starts again with what it was started with, its state gone.
    Restart(Host),
    /// The host stands still for that long; its clock runs on.
    Pause(Host, Duration),
    /// The host's clock jumps by so many nanoseconds, either way.
    ClockJump(Host, i64),
    /// Each turn of the host's reactors takes that long.
    Slow(Host, Duration),
    /// The next accepts of the host answer with these error numbers.
    AcceptErrors(Host, Vec<i32>),
    /// The host has only so many descriptors.
    Descriptors(Host, usize),
    /// Nothing passes between two sets of hosts, either way.
    Partition(Vec<Host>, Vec<Host>),
    /// Nothing passes from the first set of hosts to the second.
    PartitionOneWay(Vec<Host>, Vec<Host>),
    /// All partitions end.
    Heal,
    /// What passes from the first set to the second is held for that long.
    Clog(Vec<Host>, Vec<Host>, Duration),
    /// For that long, this share of the packets from the first set to the second is lost.
    LossBurst(Vec<Host>, Vec<Host>, f64, Duration),
    /// This share of the connections between two sets of hosts is reset.
    ResetStorm(Vec<Host>, Vec<Host>, f64),
    /// The link from each host of the first set to each of the second is another one from now on.
    Relink(Vec<Host>, Vec<Host>, Link),
}
