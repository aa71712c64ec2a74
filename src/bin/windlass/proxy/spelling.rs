//! Toxics as people write them: `latency=100ms,jitter=10ms,upstream` on a command line, field by field in a file.

use serde_json::{Map, Value};
use windlass::load::units::parse_duration;
use windlass::proxy::{Toxic, ToxicKind};

/// What `--help` says about toxics, and what a file may say in the same words.
pub const TOXICS: &str = "Toxics (TYPE=VALUE, then more attributes, in any order):
  latency=100ms,jitter=10ms    bytes come later
  bandwidth=1MB/s              bytes flow no faster; or 512 (KB/s), 10Mbit/s
  slow_close=500ms             the end comes later than the last byte
  timeout=5s                   nothing gets through, then the connection closes; 0: a black hole
  reset_peer=0                 a reset, so long after the first byte
  slicer=64,variation=32,delay=1ms   small pieces, with pauses
  limit_data=10kB              closes after so many bytes
  corrupt=0.1%                 turns a bit over in that share of the bytes
  loss=1%,rtt=50ms             what TCP makes of lost segments: stalls
  partition                    this direction falls silent, the other goes on
  stop_reading                 the sender is not read any more
  down                         connections are reset as soon as they are accepted
Each of them takes also:
  upstream, downstream         which way the bytes flow; downstream, to the client, if not said
  toxicity=50%                 the share of connections that it is applied to
  name=NAME                    what it is called over HTTP, if not TYPE_STREAM";

/// What a number is counted in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Unit {
    Milliseconds,
    Microseconds,
    KilobytesPerSecond,
    Bytes,
    Share,
}

/// Attributes of a type: how people may call them, what the API calls them, and their unit. The first one is what
/// `TYPE=VALUE` sets.
type Attributes = &'static [(&'static str, &'static str, Unit)];

fn attributes_of(type_name: &str) -> Attributes {
    match type_name {
        "latency" => &[("latency", "latency", Unit::Milliseconds), ("jitter", "jitter", Unit::Milliseconds)],
        "bandwidth" => &[("rate", "rate", Unit::KilobytesPerSecond)],
        "slow_close" => &[("delay", "delay", Unit::Milliseconds)],
        "timeout" | "reset_peer" => &[("timeout", "timeout", Unit::Milliseconds)],
        "slicer" => &[
            ("size", "average_size", Unit::Bytes),
            ("average_size", "average_size", Unit::Bytes),
            ("variation", "size_variation", Unit::Bytes),
            ("size_variation", "size_variation", Unit::Bytes),
            ("delay", "delay", Unit::Microseconds),
        ],
        "limit_data" => &[("bytes", "bytes", Unit::Bytes)],
        "corrupt" => &[("probability", "probability", Unit::Share)],
        "loss" => &[("probability", "probability", Unit::Share), ("rtt", "rtt", Unit::Milliseconds)],
        _ => &[],
    }
}

/// A toxic that is being described.
#[derive(Debug)]
pub struct Wish {
    type_name: &'static str,
    fields: Map<String, Value>,
    attributes: Map<String, Value>,
}

impl Wish {
    /// A toxic of this type; hyphens do for underscores.
    pub fn of(type_name: &str) -> Result<Wish, String> {
        let wanted = type_name.replace('-', "_");
        let known = ToxicKind::TYPES.into_iter().find(|known| *known == wanted);
        let type_name = known.ok_or_else(|| {
            format!("there is no toxic '{type_name}': there are {}", ToxicKind::TYPES.join(", "))
        })?;
        let fields = Map::from_iter([("type".to_owned(), type_name.into())]);
        Ok(Wish { type_name, fields, attributes: Map::new() })
    }

    /// Sets what `TYPE=VALUE` sets.
    fn set_first(&mut self, text: &str) -> Result<(), String> {
        match attributes_of(self.type_name).first() {
            Some((name, ..)) => self.set(name, text),
            None => Err(format!("{} takes no value: leave '={text}' out", self.type_name)),
        }
    }

    /// Sets a field or an attribute.
    pub fn set(&mut self, name: &str, text: &str) -> Result<(), String> {
        let attribute = name.replace('-', "_");
        let known = attributes_of(self.type_name);
        let twice = |before: Option<Value>| match before {
            None => Ok(()),
            Some(_) => Err(format!("'{name}' is said twice")),
        };
        if let Some((_, api_name, unit)) = known.iter().find(|(called, ..)| *called == attribute) {
            let value = value_of(text, *unit)?;
            return twice(self.attributes.insert((*api_name).to_owned(), value));
        }
        let value = match name {
            "name" => text.into(),
            "toxicity" => value_of(text, Unit::Share)?,
            "stream" => match text {
                "upstream" | "up" => "upstream".into(),
                "downstream" | "down" => "downstream".into(),
                _ => return Err(format!("'{text}' is no stream: write upstream or downstream")),
            },
            _ => {
                let names = known.iter().map(|(called, ..)| *called).chain(["name", "stream", "toxicity"]);
                let names = names.collect::<Vec<_>>().join(", ");
                return Err(format!("{} has no '{name}': it has {names}", self.type_name));
            }
        };
        twice(self.fields.insert(name.to_owned(), value))
    }

    /// The toxic, if it makes sense.
    pub fn toxic(mut self) -> Result<Toxic, String> {
        self.fields.insert("attributes".to_owned(), self.attributes.into());
        serde_json::from_value(self.fields.into()).map_err(|error| error.to_string())
    }
}

/// Reads `TYPE[=VALUE][,NAME=VALUE|,upstream|,downstream]...`.
pub fn parse_toxic(text: &str) -> Result<Toxic, String> {
    let mut parts = text.split(',').map(str::trim);
    let first = parts.next().unwrap_or_default();
    let (type_name, value) = first.split_once('=').map_or((first, None), |(name, value)| (name, Some(value)));
    let mut wish = Wish::of(type_name)?;
    if let Some(value) = value {
        wish.set_first(value)?;
    }
    for part in parts {
        match part.split_once('=') {
            Some((name, value)) => wish.set(name, value)?,
            None if matches!(part, "upstream" | "downstream") => wish.set("stream", part)?,
            None => return Err(format!("'{part}' says nothing: write NAME=VALUE, upstream or downstream")),
        }
    }
    wish.toxic()
}

/// A text as the number that the API takes. A bare number is in the API's unit.
fn value_of(text: &str, unit: Unit) -> Result<Value, String> {
    let text = text.trim();
    let (digits, suffix) =
        text.split_at(text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len()));
    let number = digits.parse::<f64>().ok().filter(|number| number.is_finite());
    let suffix = suffix.trim();
    let bare = suffix.is_empty();
    let exact = |value: Option<f64>, advice: &str| match value {
        // Below 2^53 every whole number has an exact double.
        Some(value) if value.fract() == 0.0 && value < 9e15 => Ok((value as u64).into()),
        _ => Err(format!("'{text}' is no {advice}")),
    };
    match unit {
        Unit::Share => {
            let value = match suffix {
                "" => number,
                "%" => number.map(|number| number / 100.0),
                _ => None,
            };
            value.map(Value::from).ok_or_else(|| format!("'{text}' is no share: write 0.01 or 1%"))
        }
        Unit::Milliseconds if bare => {
            exact(number, "time: write 100ms, 1.5s or a whole number of milliseconds")
        }
        Unit::Microseconds if bare => {
            exact(number, "time: write 100us, 1ms or a whole number of microseconds")
        }
        Unit::Milliseconds => exact(
            Some(parse_duration(text).map_err(|error| error.to_string())?.as_nanos() as f64 / 1e6),
            "whole number of milliseconds",
        ),
        Unit::Microseconds => exact(
            Some(parse_duration(text).map_err(|error| error.to_string())?.as_nanos() as f64 / 1e3),
            "whole number of microseconds",
        ),
        Unit::Bytes => {
            let factor = bytes_in(suffix);
            let value = number.zip(factor).map(|(number, factor)| number * factor);
            exact(value, "number of bytes: write 512, 10kB, 64KiB or 1MB")
        }
        Unit::KilobytesPerSecond => {
            let rate = suffix.strip_suffix("/s").unwrap_or(suffix);
            let factor = match rate.strip_suffix("bit") {
                Some(prefix) => bytes_in(prefix).map(|factor| factor / 8e3),
                None if bare => Some(1.0),
                None => bytes_in(rate).map(|factor| factor / 1e3),
            };
            let value = number.zip(factor).map(|(number, factor)| number * factor);
            exact(value, "rate: write 512kB/s, 1MB/s, 10Mbit/s or a whole number of KB/s")
        }
    }
}

/// How many bytes a `k`, a `MB` or a `GiB` are.
fn bytes_in(unit: &str) -> Option<f64> {
    Some(match unit.strip_suffix('B').unwrap_or(unit) {
        "" => 1.0,
        "k" | "K" => 1e3,
        "M" | "m" => 1e6,
        "G" | "g" => 1e9,
        "Ki" => 1024.0,
        "Mi" => 1024.0 * 1024.0,
        "Gi" => 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass::proxy::Direction;

    #[track_caller]
    fn reads(text: &str, kind: ToxicKind) -> Toxic {
        let toxic = parse_toxic(text).expect(text);
        assert_eq!(toxic.kind, kind, "{text}");
        toxic
    }

    #[track_caller]
    fn refuses(text: &str, words: &str) {
        let sentence = parse_toxic(text).expect_err(text);
        assert!(sentence.contains(words), "{text}: {sentence}");
    }

    #[test]
    fn every_type_has_a_short_spelling() {
        let latency_ms = 100;
        reads("latency=100ms", ToxicKind::Latency { latency_ms, jitter_ms: 0 });
        reads("latency=100,jitter=10", ToxicKind::Latency { latency_ms, jitter_ms: 10 });
        reads("latency=0.1s, jitter=1ms", ToxicKind::Latency { latency_ms, jitter_ms: 1 });
        for text in [
            "bandwidth=1250",
            "bandwidth=1.25MB/s",
            "bandwidth=1250kB",
            "bandwidth=10Mbit/s",
            "bandwidth,rate=1250",
        ] {
            reads(text, ToxicKind::Bandwidth { rate_kb_per_s: 1250 });
        }
        reads("slow-close=1s", ToxicKind::SlowClose { delay_ms: 1000 });
        reads("timeout", ToxicKind::Timeout { timeout_ms: 0 });
        reads("timeout=2m", ToxicKind::Timeout { timeout_ms: 120_000 });
        reads("reset_peer=5", ToxicKind::ResetPeer { timeout_ms: 5 });
        let slicer = ToxicKind::Slicer { average_size: 64, size_variation: 32, delay_us: 1000 };
        reads("slicer=64,variation=32,delay=1ms", slicer);
        reads("slicer,average_size=64,size-variation=32,delay=1000", slicer);
        reads("limit_data=64KiB", ToxicKind::LimitData { bytes: 65_536 });
        reads("corrupt=0.1%", ToxicKind::Corrupt { probability: 0.001 });
        reads("loss=0.5,rtt=50ms", ToxicKind::Loss { probability: 0.5, rtt_ms: 50 });
        reads("partition", ToxicKind::Partition);
        reads("stop-reading", ToxicKind::StopReading);
        reads("down", ToxicKind::Down);
    }

    #[test]
    fn what_the_help_text_shows_can_be_written() {
        let types = TOXICS.lines().skip(1).take_while(|line| line.starts_with("  "));
        let seen: Vec<&str> = types
            .map(|line| {
                let spelled = line.split_whitespace().next().expect("a toxic");
                parse_toxic(spelled).expect(spelled).kind.type_name()
            })
            .collect();
        assert!(ToxicKind::TYPES.iter().all(|known| seen.contains(known)), "{seen:?}");
    }

    #[test]
    fn stream_toxicity_and_name_go_with_every_type() {
        let toxic = reads("partition,upstream,toxicity=50%,name=cut", ToxicKind::Partition);
        assert_eq!((toxic.direction, toxic.toxicity), (Direction::Upstream, 0.5));
        assert_eq!(toxic.name, "cut");
        let toxic = reads("down,stream=down", ToxicKind::Down);
        assert_eq!((toxic.direction, toxic.name.as_str()), (Direction::Downstream, "down_downstream"));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_what_to_write_instead() {
        refuses("", "there are latency");
        refuses("lag=1", "there is no toxic 'lag'");
        refuses("latency=fast", "250us");
        refuses("latency=1.5", "100ms");
        refuses("latency=100us", "whole number of milliseconds");
        refuses("latency=-1", "'-1'");
        refuses("latency=1ms,latency=2ms", "twice");
        refuses("latency=1ms,upstream,stream=up", "twice");
        refuses("slicer=1,size=2", "twice");
        refuses("latency=1ms,rate=5", "latency has no 'rate': it has latency, jitter, name");
        refuses("latency=1ms,sideways", "says nothing");
        refuses("latency=1ms,stream=sideways", "write upstream or downstream");
        refuses("partition=1", "takes no value");
        refuses("bandwidth=1parsec", "10Mbit/s");
        refuses("bandwidth=1bit/s", "10Mbit/s");
        refuses("limit_data=1.5", "10kB");
        refuses("limit_data=99999999999999999999", "10kB");
        refuses("corrupt=lots", "0.01 or 1%");
        refuses("corrupt=101%", "from 0 to 1");
        refuses("latency=1,toxicity=2", "from 0 to 1");
        refuses("slicer=0", "at least 1");
    }
}
