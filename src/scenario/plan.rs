//! What a scenario is to be played with: how many nodes, what lies between them, for how long. Plain values, checked
//! before anything is started.

use super::node::HEADER_BYTES;
use crate::error::Error;
use crate::sim::{Latency, Link};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The most nodes of a scenario.
pub const NODES_MAX: usize = 10_000;

/// The most connections of a scenario. Each takes about 2 KiB at its two ends and between them.
pub const CONNECTIONS_MAX: usize = 1_000_000;

/// The longest virtual time.
pub const DURATION_MAX: Duration = Duration::from_secs(24 * 3600);

/// The longest message.
pub const MESSAGE_BYTES_MAX: u64 = 1 << 20;

/// The largest transfer.
pub const TRANSFER_BYTES_MAX: u64 = 10_000_000_000;

/// The most rounds of messages per virtual second.
pub const RATE_MAX: f64 = 10_000.0;

/// What can be played.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
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

/// How connections are secured.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Secure {
    /// With TLS 1.3.
    Tls,
    /// With Noise IK: nodes know each other's keys.
    Noise,
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
    /// Virtual time for which nodes talk.
    pub duration: Duration,
    /// Rounds of messages per virtual second.
    pub rate_per_s: f64,
    /// Length of a message, or of a transfer.
    pub bytes: u64,
    /// How connections are secured; `None` is not at all.
    pub secure: Option<Secure>,
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
            duration: Duration::from_secs(60),
            rate_per_s: 10.0,
            bytes: match scenario {
                Scenario::Transfer => 100_000_000,
                Scenario::Broadcast => 1_000,
                _ => 64,
            },
            secure: None,
        }
    }

    /// Between two rounds of messages.
    #[must_use]
    pub fn interval(&self) -> Duration {
        Duration::from_secs_f64(1.0 / self.rate_per_s)
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
        if !(self.rate_per_s > 0.0 && self.rate_per_s <= RATE_MAX) {
            return refuse(format!(
                "{} rounds per second: must be above 0 and at most {RATE_MAX}",
                self.rate_per_s
            ));
        }
        let (least, most) = match self.scenario {
            Scenario::Transfer => (1, TRANSFER_BYTES_MAX),
            _ => (HEADER_BYTES as u64, MESSAGE_BYTES_MAX),
        };
        if !(least..=most).contains(&self.bytes) {
            return refuse(format!("{} bytes: must be between {least} and {most}", self.bytes));
        }
        self.link.validate()
    }
}
