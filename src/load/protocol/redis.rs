//! Redis (RESP2): GETs and SETs of keys drawn at random, or a command of one's own.

#[cfg(test)]
mod tests;

use super::{Answer, Draw, MESSAGE_BYTES_MAX, Malformed, Protocol, Sizes, Step, line_end, quote};
use crate::error::Error;
use std::sync::Arc;

/// The most keys to draw from: their numbers have 12 digits.
const KEYS_MAX: u64 = 1_000_000_000_000;

/// The longest prefix of a key, in bytes.
const KEY_PREFIX_BYTES_MAX: usize = 4096;

/// Every key's number has as many digits, as those of `redis-benchmark`, so that all keys are equally long.
const KEY_DIGITS: usize = 12;

/// What stands for a key in a custom command.
const KEY_MARK: &[u8] = b"__key__";

/// Redis takes a million arguments; this many are enough for any one key.
const COMMAND_WORDS_MAX: usize = 1024;

/// The longest line of a string or an error; nothing longer is ever kept.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// A line with a number: type, sign, 19 digits, CR and LF, and some to spare.
const NUMBER_LINE_BYTES_MAX: usize = 32;

/// Redis's own limit for strings (`proto-max-bulk-len`) is 512 MB, and can be raised.
const BULK_BYTES_MAX: u64 = 1 << 32;

/// The most elements an answer may announce, nested ones included. None are kept, so this only tells an array from
/// noise.
const ELEMENTS_MAX: u64 = 1 << 32;

/// What to ask of Redis. Start from [`RedisCommands::default`] and change fields.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RedisCommands {
    /// Share of GETs, from 0 to 1; the others are SETs. Default 0.9.
    pub get_fraction: f64,
    /// How many keys there are to draw from, all equally likely. Default 10,000.
    pub key_count: u64,
    /// What keys begin with; 12 digits follow. Default `key:`, which makes `key:000000012345`.
    pub key_prefix: String,
    /// How long the values are that SETs write. Default 64 bytes.
    pub values: Sizes,
    /// The words of a command to send instead of GETs and SETs. Each `__key__` in them becomes a key of its own.
    pub command: Option<Vec<Vec<u8>>>,
}

impl Default for RedisCommands {
    fn default() -> RedisCommands {
        RedisCommands {
            get_fraction: 0.9,
            key_count: 10_000,
            key_prefix: "key:".into(),
            values: Sizes::Fixed(64),
            command: None,
        }
    }
}

impl RedisCommands {
    fn validate(&self) -> Result<(), Error> {
        let refuse = |sentence: String| Err(Error::Config(sentence));
        // Written so that a NaN is refused too.
        if !(0.0..=1.0).contains(&self.get_fraction) {
            return refuse(format!("a share of {} GETs is not between 0 and 1", self.get_fraction));
        }
        if !(1..=KEYS_MAX).contains(&self.key_count) {
            return refuse(format!("{} keys: must be between 1 and {KEYS_MAX}", self.key_count));
        }
        if self.key_prefix.len() > KEY_PREFIX_BYTES_MAX {
            return refuse(format!("a key prefix has at most {KEY_PREFIX_BYTES_MAX} bytes"));
        }
        if let Some(words) = &self.command {
            let marks =
                words.iter().flat_map(|word| word.windows(KEY_MARK.len())).filter(|part| *part == KEY_MARK);
            let key_bytes = marks.count() * (self.key_prefix.len() + KEY_DIGITS);
            let bytes = words.iter().map(Vec::len).sum::<usize>() + key_bytes;
            if words.first().is_none_or(Vec::is_empty) {
                return refuse("a Redis command has at least one word, its name".into());
            }
            if words.len() > COMMAND_WORDS_MAX || bytes > MESSAGE_BYTES_MAX {
                return refuse(format!(
                    "a Redis command has at most {COMMAND_WORDS_MAX} words and {MESSAGE_BYTES_MAX} bytes"
                ));
            }
        }
        self.values.validate()
    }
}

/// A command with holes where the digits of keys go.
#[derive(Debug)]
struct Template {
    bytes: Vec<u8>,
    /// Where the digits begin; zeros stand there.
    holes: Vec<usize>,
}

impl Template {
    /// Encodes `words`, keys in place of their marks; `more` words will follow.
    fn new(words: &[&[u8]], more: usize, key_prefix: &[u8]) -> Template {
        let mut template = Template { bytes: Vec::new(), holes: Vec::new() };
        push_count(&mut template.bytes, b'*', words.len() + more);
        for word in words {
            let (mut text, mut holes, mut rest) = (Vec::new(), Vec::new(), *word);
            while let Some(at) = rest.windows(KEY_MARK.len()).position(|part| part == KEY_MARK) {
                text.extend_from_slice(&rest[..at]);
                text.extend_from_slice(key_prefix);
                holes.push(text.len());
                text.extend_from_slice(&[b'0'; KEY_DIGITS]);
                rest = &rest[at + KEY_MARK.len()..];
            }
            text.extend_from_slice(rest);
            push_count(&mut template.bytes, b'$', text.len());
            template.holes.extend(holes.into_iter().map(|hole| template.bytes.len() + hole));
            template.bytes.extend_from_slice(&text);
            template.bytes.extend_from_slice(b"\r\n");
        }
        template
    }

    #[inline]
    fn write(&self, key_count: u64, draw: &mut Draw, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        for hole in &self.holes {
            let digits = &mut out[start + hole..start + hole + KEY_DIGITS];
            write_digits(draw.below(key_count), digits);
        }
    }
}

/// Writes `number` to the end of `digits`, which hold zeros and are enough.
#[inline]
fn write_digits(mut number: u64, digits: &mut [u8]) {
    for digit in digits.iter_mut().rev() {
        if number == 0 {
            break;
        }
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// `$64\r\n`: by hand, because the formatting machinery would take longer than all the rest of a request.
#[inline]
fn push_count(out: &mut Vec<u8>, kind: u8, count: usize) {
    let mut digits = [b'0'; 20];
    write_digits(count as u64, &mut digits);
    let first = digits.iter().position(|digit| *digit != b'0').unwrap_or(digits.len() - 1);
    out.push(kind);
    out.extend_from_slice(&digits[first..]);
    out.extend_from_slice(b"\r\n");
}

/// What all connections share.
#[derive(Debug)]
struct Mix {
    get_fraction: f64,
    key_count: u64,
    get: Template,
    /// Without its value.
    set: Template,
    values: Sizes,
    /// The longest value; shorter ones are its beginning.
    text: Vec<u8>,
    custom: Option<Template>,
}

/// GETs and SETs of keys drawn at random, as `redis-benchmark` sends them.
///
/// A GET of a key that does not exist is answered well: whether keys exist is a matter of the data. An error reply
/// is a refusal, counted by its first words: `ERR unknown command`, `LOADING Redis is loading the dataset in memory`.
///
/// ```
/// use windlass::load::{Redis, RedisCommands};
///
/// let mut commands = RedisCommands::default();
/// commands.get_fraction = 0.5;
/// commands.key_count = 1_000_000;
/// let protocol = Redis::new(&commands)?;
/// # Ok::<(), windlass::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Redis {
    mix: Arc<Mix>,
    /// Elements of the oldest answer that are still to come, itself included. Whatever is nested adds to it: no
    /// depth of nesting needs a stack, in memory or in calls.
    elements: u64,
    at: At,
    /// The first error in the answer.
    refusal: Option<String>,
}

/// What comes next in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// A line with a type in front.
    Line,
    /// So many bytes of a string.
    Bulk(u64),
    /// CR and LF behind a string.
    BulkEnd,
}

impl Redis {
    /// Asks these commands.
    ///
    /// # Errors
    /// [`Error::Config`] with a sentence if a number makes no sense.
    pub fn new(commands: &RedisCommands) -> Result<Redis, Error> {
        commands.validate()?;
        let prefix = commands.key_prefix.as_bytes();
        let custom = commands.command.as_ref().map(|words| {
            let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            Template::new(&words, 0, prefix)
        });
        let text = (0..commands.values.largest()).map(|place| b'a' + (place % 26) as u8).collect();
        let mix = Mix {
            get_fraction: commands.get_fraction,
            key_count: commands.key_count,
            get: Template::new(&[b"GET", KEY_MARK], 0, prefix),
            set: Template::new(&[b"SET", KEY_MARK], 1, prefix),
            values: commands.values.clone(),
            text,
            custom,
        };
        Ok(Redis { mix: Arc::new(mix), elements: 1, at: At::Line, refusal: None })
    }

    /// Takes what is complete of `bytes`, which is not empty; 0 if nothing is.
    #[inline]
    fn take(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        match self.at {
            At::Line => self.line(bytes),
            At::Bulk(left) => {
                let used = left.min(bytes.len() as u64);
                self.at = if used == left { At::BulkEnd } else { At::Bulk(left - used) };
                Ok(used as usize)
            }
            At::BulkEnd if bytes.starts_with(b"\r\n") => {
                self.at = At::Line;
                self.elements -= 1;
                Ok(2)
            }
            At::BulkEnd if bytes == b"\r" => Ok(0),
            At::BulkEnd => Err(Malformed(format!(
                "the target sent a string that goes on ({}) beyond the length it announced: it is no Redis server, \
                 or one that miscounts",
                quote(bytes)
            ))),
        }
    }

    fn line(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        let no_redis =
            || Malformed(format!("the target answered {}, which no Redis server would say", quote(bytes)));
        let bytes_max = match bytes[0] {
            b'$' | b'*' | b':' => NUMBER_LINE_BYTES_MAX,
            b'+' | b'-' => LINE_BYTES_MAX,
            _ => return Err(no_redis()),
        };
        let Some(end) = line_end(bytes, bytes_max).map_err(|_| no_redis())? else { return Ok(0) };
        let text = bytes[1..end].strip_suffix(b"\r\n").ok_or_else(no_redis)?;
        match bytes[0] {
            b'$' => match length(text, BULK_BYTES_MAX).ok_or_else(no_redis)? {
                Some(0) => self.at = At::BulkEnd,
                Some(length) => self.at = At::Bulk(length),
                None => self.elements -= 1,
            },
            b'*' => {
                let count = length(text, ELEMENTS_MAX).ok_or_else(no_redis)?.unwrap_or(0);
                self.elements = self.elements - 1 + count;
                if self.elements > ELEMENTS_MAX {
                    return Err(no_redis());
                }
            }
            kind => {
                match kind {
                    b':' if !is_integer(text) => return Err(no_redis()),
                    b'-' if self.refusal.is_none() => self.refusal = Some(kind_of_error(text)),
                    _ => {}
                }
                self.elements -= 1;
            }
        }
        Ok(end)
    }
}

impl Protocol for Redis {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn request(&mut self, draw: &mut Draw, out: &mut Vec<u8>) {
        let mix = &*self.mix;
        if let Some(custom) = &mix.custom {
            custom.write(mix.key_count, draw, out);
        } else if draw.unit() < mix.get_fraction {
            mix.get.write(mix.key_count, draw, out);
        } else {
            mix.set.write(mix.key_count, draw, out);
            let bytes = mix.values.draw(draw);
            push_count(out, b'$', bytes);
            out.extend_from_slice(&mix.text[..bytes]);
            out.extend_from_slice(b"\r\n");
        }
    }

    fn answer(&mut self, bytes: &[u8]) -> Result<Step, Malformed> {
        let mut used = 0;
        while used < bytes.len() {
            match self.take(&bytes[used..])? {
                0 => break,
                taken => used += taken,
            }
            if self.elements == 0 {
                self.elements = 1;
                let answer = self.refusal.take().map_or(Answer::Good, Answer::Refused);
                return Ok(Step::Answered { used, answer, last: false });
            }
        }
        Ok(Step::Partial { used })
    }
}

/// The length of a string or an array: `Some(None)` is nil (-1), `None` is no length.
fn length(text: &[u8], max: u64) -> Option<Option<u64>> {
    if text == b"-1" {
        return Some(None);
    }
    super::decimal(text).filter(|length| *length <= max).map(Some)
}

fn is_integer(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").or(text.strip_prefix(b"+")).unwrap_or(text);
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}

/// What an error is counted by: its first words, as far as they are plain ones. Names, keys and numbers differ from
/// one request to the next, and all that follows them is left out.
fn kind_of_error(text: &[u8]) -> String {
    const WORDS_MAX: usize = 10;
    const BYTES_MAX: usize = 64;
    let mut kind = String::new();
    for word in text.split(|byte| *byte == b' ').take(WORDS_MAX) {
        let plain = word.strip_suffix(b".").or(word.strip_suffix(b",")).unwrap_or(word);
        if plain.is_empty()
            || !plain.iter().all(u8::is_ascii_alphabetic)
            || kind.len() + plain.len() > BYTES_MAX
        {
            break;
        }
        if !kind.is_empty() {
            kind.push(' ');
        }
        kind.extend(plain.iter().map(|byte| char::from(*byte)));
        if plain.len() < word.len() {
            break;
        }
    }
    if kind.is_empty() { "an error".into() } else { kind }
}
