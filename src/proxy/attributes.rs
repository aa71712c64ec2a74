//! Toxics as JSON has them: a type and loose attributes, read with a sentence for whatever is wrong with them.

use super::error::ProxyError;
use super::plan::{Toxic, ToxicKind};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The largest whole number that an attribute may be: the API counts in signed 64-bit numbers.
const NUMBER_MAX: u64 = i64::MAX as u64;

/// A toxic as it is written.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct RawToxic {
    pub(super) attributes: Option<Map<String, Value>>,
    pub(super) name: Option<String>,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) stream: Option<String>,
    pub(super) toxicity: Option<f32>,
}

impl RawToxic {
    pub(super) fn from_json(json: &[u8]) -> Result<RawToxic, ProxyError> {
        // An array would be taken for the fields in their order.
        let object: Result<Map<String, Value>, _> = serde_json::from_slice(json);
        let raw = object.and_then(|object| serde_json::from_value(Value::Object(object)));
        raw.map_err(|error| ProxyError::Invalid(format!("this is not a toxic in JSON: {error}")))
    }
}

impl From<Toxic> for RawToxic {
    fn from(toxic: Toxic) -> RawToxic {
        RawToxic {
            attributes: Some(attributes_of(&toxic.kind)),
            kind: toxic.kind.type_name().into(),
            name: Some(toxic.name),
            stream: Some(toxic.direction.name().into()),
            toxicity: Some(toxic.toxicity),
        }
    }
}

/// What the attributes of a kind are called in JSON, and their values.
fn attributes_of(kind: &ToxicKind) -> Map<String, Value> {
    let pairs: Vec<(&str, Value)> = match *kind {
        ToxicKind::Latency { latency_ms, jitter_ms } => {
            vec![("latency", latency_ms.into()), ("jitter", jitter_ms.into())]
        }
        ToxicKind::Bandwidth { rate_kb_per_s } => vec![("rate", rate_kb_per_s.into())],
        ToxicKind::SlowClose { delay_ms } => vec![("delay", delay_ms.into())],
        ToxicKind::Timeout { timeout_ms } | ToxicKind::ResetPeer { timeout_ms } => {
            vec![("timeout", timeout_ms.into())]
        }
        ToxicKind::Slicer { average_size, size_variation, delay_us } => vec![
            ("average_size", average_size.into()),
            ("size_variation", size_variation.into()),
            ("delay", delay_us.into()),
        ],
        ToxicKind::LimitData { bytes } => vec![("bytes", bytes.into())],
        ToxicKind::Corrupt { probability } => vec![("probability", probability.into())],
        ToxicKind::Loss { probability, rtt_ms } => {
            vec![("probability", probability.into()), ("rtt", rtt_ms.into())]
        }
        ToxicKind::Down | ToxicKind::Partition | ToxicKind::StopReading => Vec::new(),
    };
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The kind of this type with these attributes.
pub(super) fn kind_of(kind: &str, attributes: &Map<String, Value>) -> Result<ToxicKind, ProxyError> {
    let read = Attributes { kind, all: attributes };
    let made = match kind {
        "latency" => {
            ToxicKind::Latency { latency_ms: read.number("latency")?, jitter_ms: read.number("jitter")? }
        }
        "bandwidth" => ToxicKind::Bandwidth { rate_kb_per_s: read.number("rate")? },
        "slow_close" => ToxicKind::SlowClose { delay_ms: read.number("delay")? },
        "timeout" => ToxicKind::Timeout { timeout_ms: read.number("timeout")? },
        "reset_peer" => ToxicKind::ResetPeer { timeout_ms: read.number("timeout")? },
        "slicer" => ToxicKind::Slicer {
            average_size: read.number("average_size")?,
            size_variation: read.number("size_variation")?,
            delay_us: read.number("delay")?,
        },
        "limit_data" => ToxicKind::LimitData { bytes: read.number("bytes")? },
        "down" => ToxicKind::Down,
        "corrupt" => ToxicKind::Corrupt { probability: read.share("probability")? },
        "loss" => ToxicKind::Loss { probability: read.share("probability")?, rtt_ms: read.number("rtt")? },
        "partition" => ToxicKind::Partition,
        "stop_reading" => ToxicKind::StopReading,
        _ => return Err(ProxyError::UnknownType(kind.into())),
    };
    read.refuse_unknown(&made)?;
    Ok(made)
}

/// The attributes of one toxic being read.
struct Attributes<'a> {
    kind: &'a str,
    all: &'a Map<String, Value>,
}

impl Attributes<'_> {
    fn number(&self, name: &str) -> Result<u64, ProxyError> {
        let Some(value) = self.all.get(name) else { return Ok(0) };
        value.as_u64().filter(|number| *number <= NUMBER_MAX).ok_or_else(|| {
            let kind = self.kind;
            ProxyError::Invalid(format!("the {name} of {kind} must be a whole number from 0 on, not {value}"))
        })
    }

    fn share(&self, name: &str) -> Result<f64, ProxyError> {
        let Some(value) = self.all.get(name) else { return Ok(0.0) };
        value.as_f64().ok_or_else(|| {
            ProxyError::Invalid(format!(
                "the {name} of {} must be a number from 0 to 1, not {value}",
                self.kind
            ))
        })
    }

    /// A misspelt attribute would otherwise be a toxic that does nothing.
    fn refuse_unknown(&self, made: &ToxicKind) -> Result<(), ProxyError> {
        let known = attributes_of(made);
        let Some(stranger) = self.all.keys().find(|name| !known.contains_key(*name)) else { return Ok(()) };
        let names: Vec<&str> = known.keys().map(String::as_str).collect();
        let has = if names.is_empty() { "none".into() } else { names.join(", ") };
        Err(ProxyError::Invalid(format!("{} has no attribute '{stranger}'; it has {has}", self.kind)))
    }
}
