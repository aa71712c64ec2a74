//! What a proxy is and what its toxics do: plain values, checked before anything is changed, with the JSON names of
//! Toxiproxy.

use super::attributes::{RawToxic, kind_of};
use super::error::ProxyError;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A proxy: where it listens and where it forwards to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// What it is called; unique, and not empty.
    pub name: String,
    /// Where it listens: `host:port`, `:port` for every interface, or `unix:/path`. With port 0 the system chooses; the
    /// plan of the proxy that was made names the port.
    #[serde(default)]
    pub listen: String,
    /// Where it forwards to: `host:port` or `unix:/path`. Of a name with several addresses the first that answers is
    /// taken.
    pub upstream: String,
    /// Whether it listens. A proxy that is switched off closes the connections it had.
    #[serde(default = "yes")]
    pub enabled: bool,
}

impl Plan {
    /// A proxy called `name` to `upstream` that listens on a port of the loopback interface that the system chooses.
    #[must_use]
    pub fn to(name: impl Into<String>, upstream: impl fmt::Display) -> Plan {
        Plan {
            name: name.into(),
            listen: "127.0.0.1:0".into(),
            upstream: upstream.to_string(),
            enabled: true,
        }
    }
}

fn yes() -> bool {
    true
}

/// What is to be different about a proxy; what is `None` stays.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Change {
    /// Where it shall listen. A new address closes the connections there are, once it is bound; one that cannot be bound
    /// changes nothing.
    #[serde(default)]
    pub listen: Option<String>,
    /// Where it shall forward to. A new address closes the connections there are.
    #[serde(default)]
    pub upstream: Option<String>,
    /// Whether it shall listen.
    #[serde(default)]
    pub enabled: Option<bool>,
}

/// Which way bytes flow.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From the client to the upstream.
    Upstream,
    /// From the upstream to the client; what a toxic acts on that does not say.
    #[default]
    Downstream,
}

impl Direction {
    /// Both, as their numbers have it.
    pub const ALL: [Direction; 2] = [Direction::Upstream, Direction::Downstream];

    /// Its name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Direction::Upstream => "upstream",
            Direction::Downstream => "downstream",
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A fault in one direction of a proxy.
///
/// In JSON: `{"name": "slow", "type": "latency", "stream": "downstream", "toxicity": 1.0, "attributes": {"latency":
/// 100, "jitter": 10}}`. Only the type must be there: the stream is downstream, the toxicity 1, the name made of type
/// and stream, an attribute 0 (the slicer's size excepted, which 0 makes no sense of).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(try_from = "RawToxic", into = "RawToxic")]
pub struct Toxic {
    /// What it is called; unique among the toxics of its proxy.
    pub name: String,
    /// What it does.
    pub kind: ToxicKind,
    /// Which way the bytes flow that it does it to.
    pub direction: Direction,
    /// The share of connections that it is applied to, 0 to 1. Drawn once for each connection and toxic.
    pub toxicity: f32,
}

/// What a toxic does to a connection. Times are in the units that their names end with.
#[derive(Clone, Copy, PartialEq, Debug)]
#[non_exhaustive]
pub enum ToxicKind {
    /// `latency`: bytes, and the end behind them, come later; never in another order.
    Latency {
        /// By how much.
        latency_ms: u64,
        /// Give or take at most as much, evenly distributed.
        jitter_ms: u64,
    },
    /// `bandwidth`: bytes flow no faster than this.
    Bandwidth {
        /// In units of 1,000 bytes per second; 0 lets nothing through.
        rate_kb_per_s: u64,
    },
    /// `slow_close`: the end of the stream comes later than the last byte.
    SlowClose {
        /// By how much.
        delay_ms: u64,
    },
    /// `timeout`: nothing gets through, and after a while the connection is closed. What was held is lost then; it flows
    /// on if the toxic is removed before.
    Timeout {
        /// From when the toxic came to the connection; 0 never closes it: a black hole.
        timeout_ms: u64,
    },
    /// `reset_peer`: once something comes, nothing gets through, and both ends see a reset.
    ResetPeer {
        /// From the first byte (or end of stream) that came.
        timeout_ms: u64,
    },
    /// `slicer`: bytes are written in many small pieces.
    Slicer {
        /// Bytes of a piece on average; at least 1.
        average_size: u64,
        /// Give or take at most as many, evenly distributed.
        size_variation: u64,
        /// The pause before the next piece.
        delay_us: u64,
    },
    /// `limit_data`: the connection is closed once so many bytes went through; none beyond them does.
    LimitData {
        /// Bytes of one connection in this direction, those before the toxic came not counted.
        bytes: u64,
    },
    /// `down`: the connection is reset, a new one as soon as it is accepted. Of the whole proxy,
    /// [`Plan::enabled`] is the switch; this is for a share of its connections.
    Down,
    /// `corrupt`: a bit of some bytes is turned over.
    Corrupt {
        /// The share of bytes, 0 to 1.
        probability: f64,
    },
    /// `loss`: what TCP makes of lost segments: everything behind one waits until it was sent again. That takes a round
    /// trip where more bytes followed that tell the sender of it, otherwise a round trip and 200 ms (Linux' smallest
    /// retransmission time-out), doubled each time that it is lost again.
    Loss {
        /// The share of segments of 1,460 bytes, 0 to 1.
        probability: f64,
        /// The round trip.
        rtt_ms: u64,
    },
    /// `partition`: this direction falls silent, its end of stream included, and the other goes on. What was held flows
    /// on when the toxic is removed.
    Partition,
    /// `stop_reading`: the sender is not read any more, as if the program at the other end hung: its send buffer fills
    /// up. Bytes that were read before go on.
    StopReading,
}

impl ToxicKind {
    /// The types of all kinds, in the order of [`ToxicKind::number`].
    pub const TYPES: [&'static str; 12] = [
        "latency",
        "bandwidth",
        "slow_close",
        "timeout",
        "reset_peer",
        "slicer",
        "limit_data",
        "down",
        "corrupt",
        "loss",
        "partition",
        "stop_reading",
    ];

    /// Its place in [`ToxicKind::TYPES`].
    #[must_use]
    pub const fn number(&self) -> usize {
        match self {
            ToxicKind::Latency { .. } => 0,
            ToxicKind::Bandwidth { .. } => 1,
            ToxicKind::SlowClose { .. } => 2,
            ToxicKind::Timeout { .. } => 3,
            ToxicKind::ResetPeer { .. } => 4,
            ToxicKind::Slicer { .. } => 5,
            ToxicKind::LimitData { .. } => 6,
            ToxicKind::Down => 7,
            ToxicKind::Corrupt { .. } => 8,
            ToxicKind::Loss { .. } => 9,
            ToxicKind::Partition => 10,
            ToxicKind::StopReading => 11,
        }
    }

    /// Its type as JSON names it.
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        ToxicKind::TYPES[self.number()]
    }

    fn check(&self) -> Result<(), ProxyError> {
        let share = |probability: f64| {
            if (0.0..=1.0).contains(&probability) {
                return Ok(());
            }
            let kind = self.type_name();
            Err(ProxyError::Invalid(format!(
                "the probability of {kind} must be from 0 to 1, not {probability}"
            )))
        };
        match *self {
            ToxicKind::Slicer { average_size: 0, .. } => {
                Err(ProxyError::Invalid("the average_size of a slicer must be at least 1 byte".into()))
            }
            ToxicKind::Slicer { average_size, size_variation, .. } if size_variation > average_size => {
                Err(ProxyError::Invalid(format!(
                    "the size_variation of a slicer must not be more than its average_size: {size_variation} is more than \
                     {average_size}"
                )))
            }
            ToxicKind::Corrupt { probability } | ToxicKind::Loss { probability, .. } => share(probability),
            _ => Ok(()),
        }
    }
}

impl Toxic {
    /// A toxic that does `kind` to every connection, downstream.
    #[must_use]
    pub fn new(kind: ToxicKind) -> Toxic {
        let direction = Direction::default();
        Toxic { name: default_name(kind.type_name(), direction), kind, direction, toxicity: 1.0 }
    }

    /// Makes bytes come later by so much.
    #[must_use]
    pub fn latency_ms(latency_ms: u64) -> Toxic {
        Toxic::new(ToxicKind::Latency { latency_ms, jitter_ms: 0 })
    }

    /// Lets no more than so many times 1,000 bytes through in a second.
    #[must_use]
    pub fn bandwidth_kb_per_s(rate_kb_per_s: u64) -> Toxic {
        Toxic::new(ToxicKind::Bandwidth { rate_kb_per_s })
    }

    /// Lets nothing through and never closes the connection.
    #[must_use]
    pub fn black_hole() -> Toxic {
        Toxic::new(ToxicKind::Timeout { timeout_ms: 0 })
    }

    /// The same toxic with a latency that varies by so much; has no effect on other kinds.
    #[must_use]
    pub fn jitter_ms(mut self, jitter: u64) -> Toxic {
        if let ToxicKind::Latency { jitter_ms, .. } = &mut self.kind {
            *jitter_ms = jitter;
        }
        self
    }

    /// The same toxic acting on what clients send. A name that was not chosen follows.
    #[must_use]
    pub fn upstream(mut self) -> Toxic {
        let followed = self.name == default_name(self.kind.type_name(), self.direction);
        self.direction = Direction::Upstream;
        if followed {
            self.name = default_name(self.kind.type_name(), self.direction);
        }
        self
    }

    /// The same toxic on a share of the connections, 0 to 1.
    #[must_use]
    pub fn toxicity(mut self, toxicity: f32) -> Toxic {
        self.toxicity = toxicity;
        self
    }

    /// The same toxic with a name of your own.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Toxic {
        self.name = name.into();
        self
    }

    /// Reads a toxic from JSON.
    ///
    /// # Errors
    /// [`ProxyError::Invalid`] with a sentence about what is wrong with it.
    pub fn from_json(json: &[u8]) -> Result<Toxic, ProxyError> {
        Toxic::from_raw(RawToxic::from_json(json)?)
    }

    /// This toxic with what `json` says of its `toxicity` and `attributes`; what is not mentioned stays, and so do name,
    /// type and stream.
    ///
    /// # Errors
    /// [`ProxyError::Invalid`] with a sentence about what is wrong with it.
    pub fn merged(&self, json: &[u8]) -> Result<Toxic, ProxyError> {
        let change = RawToxic::from_json(json)?;
        let mut raw = RawToxic::from(self.clone());
        if change.toxicity.is_some() {
            raw.toxicity = change.toxicity;
        }
        raw.attributes.get_or_insert_default().extend(change.attributes.unwrap_or_default());
        Toxic::from_raw(raw)
    }

    /// Whether it makes sense.
    ///
    /// # Errors
    /// [`ProxyError::Invalid`] with a sentence about what is wrong with it.
    pub fn check(&self) -> Result<(), ProxyError> {
        if !(0.0..=1.0).contains(&self.toxicity) {
            return Err(ProxyError::Invalid(format!("toxicity must be from 0 to 1, not {}", self.toxicity)));
        }
        if self.name.is_empty() {
            return Err(ProxyError::Invalid("a toxic must have a name".into()));
        }
        self.kind.check()
    }

    fn from_raw(raw: RawToxic) -> Result<Toxic, ProxyError> {
        let kind = kind_of(&raw.kind, &raw.attributes.unwrap_or_default())?;
        let direction = match raw.stream.as_deref() {
            None | Some("") | Some("downstream") => Direction::Downstream,
            Some("upstream") => Direction::Upstream,
            Some(other) => {
                return Err(ProxyError::Invalid(format!(
                    "stream was invalid, can be either upstream or downstream, not '{other}'"
                )));
            }
        };
        let name = raw.name.filter(|name| !name.is_empty());
        let name = name.unwrap_or_else(|| default_name(kind.type_name(), direction));
        let toxic = Toxic { name, kind, direction, toxicity: raw.toxicity.unwrap_or(1.0) };
        toxic.check()?;
        Ok(toxic)
    }
}

impl TryFrom<RawToxic> for Toxic {
    type Error = ProxyError;

    fn try_from(raw: RawToxic) -> Result<Toxic, ProxyError> {
        Toxic::from_raw(raw)
    }
}

fn default_name(kind: &str, direction: Direction) -> String {
    format!("{kind}_{direction}")
}
