//! What a scenario is to be played with: how many nodes, what lies between them, for how long. Plain values, checked
//! before anything is started.

use super::node::HEADER_BYTES;
use crate::error::Error;
use crate::reactor::{Connect, Listen};
use crate::sim::{Latency, Link};
use serde::Serialize;
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

/// The most nodes of a scenario.
pub const NODES_MAX: usize = 10_000;

/// The most connections of a scenario. Each takes about 7 KB at its two ends and between them, once
/// something was sent on it.
pub const CONNECTIONS_MAX: usize = 600_000;

/// The longest virtual time.
pub const DURATION_MAX: Duration = Duration::from_secs(24 * 3600);

/// The longest message: what a connection keeps of an unfinished one by default.
pub const MESSAGE_BYTES_MAX: u64 = 64 << 10;

/// The largest transfer.
pub const TRANSFER_BYTES_MAX: u64 = 10_000_000_000;

/// The most faults of a scenario.
pub const FAULTS_MAX: f64 = 100_000.0;

/// The most rounds of messages per virtual second.
pub const RATE_MAX: f64 = 10_000.0;

/// Rounds of messages of one play, at most: each is held against its own time.
pub const ROUNDS_MAX: f64 = 10_000_000.0;

/// The fewest.
pub const RATE_MIN: f64 = 0.001;

/// What can be played.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scenario {
    /// Every node connects to every other, or to a number of them.
    Connect,
    /// One node sends messages to all others.
    Broadcast,
    /// One node sends many bytes to another.
    Transfer,
    /// Every node talks to a few others all the time.
    Mesh,
    /// The same, while nodes crash and come back.
    Churn,
    /// The same, while the network falls apart in two and heals.
    Partition,
}

impl Scenario {
    /// All of them.
    pub const ALL: [Scenario; 6] = [
        Scenario::Connect,
        Scenario::Broadcast,
        Scenario::Transfer,
        Scenario::Mesh,
        Scenario::Churn,
        Scenario::Partition,
    ];

    /// Its name, as the command line and the record write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Scenario::Connect => "connect",
            Scenario::Broadcast => "broadcast",
            Scenario::Transfer => "transfer",
            Scenario::Mesh => "mesh",
            Scenario::Churn => "churn",
            Scenario::Partition => "partition",
        }
    }

    /// What happens in it and what is measured, in a line.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Scenario::Connect => {
                "every node connects to every other: how long until open, over the round trips it takes"
            }
            Scenario::Broadcast => {
                "one node sends to all others: delivery times over latency and serialization"
            }
            Scenario::Transfer => {
                "many bytes from one node to another: time over what TCP can do on that link"
            }
            Scenario::Mesh => {
                "every node talks to a few others all the time: delivery times, and the simulator's own speed"
            }
            Scenario::Churn => {
                "a mesh whose nodes crash and come back: reconnecting, time without a quorum, what is lost"
            }
            Scenario::Partition => {
                "a mesh that falls apart in two and heals: delivery meanwhile, recovery over the time-outs of TCP"
            }
        }
    }
}

/// How connections are secured. Made by those who have the keys.
#[derive(Clone)]
pub struct Secured {
    name: String,
    round_trips: u32,
    listen: Rc<dyn Fn(Listen) -> Listen>,
    connect: Rc<dyn Fn(SocketAddr) -> Connect>,
}

impl Secured {
    /// `name` is what reports say, such as `tls`; `round_trips` is how many a handshake takes until whoever connected may
    /// send.
    #[must_use]
    pub fn new(
        name: impl Into<String>,
        round_trips: u32,
        listen: impl Fn(Listen) -> Listen + 'static,
        connect: impl Fn(SocketAddr) -> Connect + 'static,
    ) -> Secured {
        Secured { name: name.into(), round_trips, listen: Rc::new(listen), connect: Rc::new(connect) }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn listen(&self, listen: Listen) -> Listen {
        (self.listen)(listen)
    }

    pub(super) fn connect(&self, address: SocketAddr) -> Connect {
        (self.connect)(address)
    }
}

impl fmt::Debug for Secured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secured").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A scenario to be played. Start from [`Plan::new`] and change fields.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Plan {
    /// Which.
    pub scenario: Scenario,
    /// How many nodes. Default 100; a transfer has 2.
    pub nodes: usize,
    /// With how many others each node has to do; `None` is with all.
    pub peers: Option<usize>,
    /// What lies between any two nodes.
    pub link: Link,
    /// What that link is called; empty if it has no name.
    pub link_name: String,
    /// What everything random is drawn from.
    pub seed: u64,
    /// Virtual time for which nodes talk; connects and transfers end by themselves, and are given up after it.
    pub duration: Duration,
    /// Rounds of messages per virtual second.
    pub rate_per_s: f64,
    /// Length of a message, or of a transfer.
    pub bytes: u64,
    /// How connections are secured; `None` is not at all.
    pub secured: Option<Secured>,
    /// How long each fault lasts: a node that is down, a partition.
    pub fault_lasts: Duration,
    /// Virtual time from one fault to the next, over all nodes.
    pub fault_every: Duration,
    /// Play a transfer over real sockets as well, through the fault proxy.
    pub real: bool,
    /// The command that repeats it, for reports; empty if there is none.
    pub command: String,
}

impl Plan {
    /// A scenario as it is played unless something else is said.
    #[must_use]
    pub fn new(scenario: Scenario) -> Plan {
        let talks = matches!(scenario, Scenario::Mesh | Scenario::Churn | Scenario::Partition);
        Plan {
            scenario,
            nodes: if scenario == Scenario::Transfer { 2 } else { 100 },
            peers: talks.then_some(8),
            link: Link::new(Latency::Uniform {
                min: Duration::from_millis(10),
                max: Duration::from_millis(200),
            }),
            link_name: String::new(),
            seed: 1,
            duration: match scenario {
                Scenario::Broadcast => Duration::from_secs(10),
                Scenario::Connect | Scenario::Transfer => DURATION_MAX,
                _ => Duration::from_secs(60),
            },
            rate_per_s: 10.0,
            bytes: match scenario {
                Scenario::Transfer => 100_000_000,
                Scenario::Broadcast => 1_000,
                _ => 64,
            },
            secured: None,
            fault_lasts: match scenario {
                Scenario::Partition => Duration::from_secs(15),
                _ => Duration::from_secs(3),
            },
            fault_every: Duration::from_secs(1),
            real: false,
            command: String::new(),
        }
    }

    /// Round trips from asking for a connection to its being open.
    pub(super) fn connect_round_trips(&self) -> u32 {
        1 + self.secured.as_ref().map_or(0, |secured| secured.round_trips)
    }

    /// Between two rounds of messages.
    pub(super) fn interval(&self) -> Duration {
        Duration::from_secs_f64(1.0 / self.rate_per_s)
    }

    /// Connections that it opens.
    #[must_use]
    pub fn connections(&self) -> usize {
        let others = self.nodes.saturating_sub(1);
        let peers = self.peers.map_or(others, |peers| peers.min(others).next_multiple_of(2).min(others));
        match self.scenario {
            Scenario::Transfer => 1,
            Scenario::Broadcast => others,
            _ => self.nodes * peers / 2,
        }
    }

    /// Whether the plan makes sense.
    ///
    /// # Errors
    /// [`Error::Config`] with a sentence that says what to write instead.
    pub fn validate(&self) -> Result<(), Error> {
        let refuse = |sentence: String| Err(Error::Config(sentence));
        if !(2..=NODES_MAX).contains(&self.nodes) {
            return refuse(format!("{} nodes: must be between 2 and {NODES_MAX}", self.nodes));
        }
        if self.peers == Some(0) {
            return refuse("0 peers: a node must have to do with at least one other".into());
        }
        if self.duration.is_zero() || self.duration > DURATION_MAX {
            return refuse(format!(
                "{:?} of virtual time: must be above 0 and no more than a day",
                self.duration
            ));
        }
        if self.connections() > CONNECTIONS_MAX {
            return refuse(format!(
                "{} connections between {} nodes: at most {CONNECTIONS_MAX} fit into memory; say with fewer --peers that each \
                 has to do with fewer others",
                self.connections(),
                self.nodes
            ));
        }
        if !(RATE_MIN..=RATE_MAX).contains(&self.rate_per_s) {
            return refuse(format!(
                "{} rounds per second: must be between {RATE_MIN} and {RATE_MAX}",
                self.rate_per_s
            ));
        }
        let rounds = self.rate_per_s * self.duration.as_secs_f64();
        if !matches!(self.scenario, Scenario::Connect | Scenario::Transfer) && rounds > ROUNDS_MAX {
            return refuse(format!(
                "{rounds:.0} rounds of messages: at most {ROUNDS_MAX:.0}; talk for a shorter time, or less often"
            ));
        }
        let (least, most) = match self.scenario {
            Scenario::Transfer => (1, TRANSFER_BYTES_MAX),
            _ => (HEADER_BYTES as u64, MESSAGE_BYTES_MAX),
        };
        if !(least..=most).contains(&self.bytes) {
            return refuse(format!("{} bytes: must be between {least} and {most}", self.bytes));
        }
        self.validate_faults()?;
        self.link.validate()
    }

    fn validate_faults(&self) -> Result<(), Error> {
        let refuse = |sentence: String| Err(Error::Config(sentence));
        if self.fault_lasts.is_zero() || self.fault_every.is_zero() {
            return refuse("faults must last longer than 0, and come one after the other".into());
        }
        let faults = self.duration.as_secs_f64() / self.fault_every.as_secs_f64();
        if self.scenario == Scenario::Churn && faults > FAULTS_MAX {
            return refuse(format!(
                "{faults:.0} faults: at most {FAULTS_MAX}; put more time between two of them"
            ));
        }
        if self.scenario == Scenario::Churn && self.duration.mul_f64(0.8) <= self.fault_lasts {
            return refuse(format!(
                "nodes that are down for {:?} of {:?}: the first and the last tenth are quiet, so make it longer",
                self.fault_lasts, self.duration
            ));
        }
        if self.scenario == Scenario::Partition && self.duration < self.fault_lasts * 3 {
            return refuse(format!(
                "a partition of {:?} in {:?}: a third lies before it and a third after, so give it {:?} at least",
                self.fault_lasts,
                self.duration,
                self.fault_lasts * 3
            ));
        }
        Ok(())
    }
}
