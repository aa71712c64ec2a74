//! Redis (RESP2): GETs and SETs of keys drawn at random, or a command of one's own.

use super::{Answer, Draw, Malformed, Protocol, Sizes, Step, line_end, quote};
use crate::error::Error;
use std::sync::Arc;

/// The most keys to draw from: their numbers have 12 digits.
pub const KEYS_MAX: u64 = 1_000_000_000_000;

/// The longest prefix of a key, in bytes.
pub const KEY_PREFIX_BYTES_MAX: usize = 4096;

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
            let bytes: usize = words.iter().map(Vec::len).sum();
            if words.is_empty() || words[0].is_empty() {
                return refuse("a Redis command has at least one word, its name".into());
            }
            if words.len() > COMMAND_WORDS_MAX || bytes > super::draw::MESSAGE_BYTES_MAX {
                return refuse(format!(
                    "a Redis command has at most {COMMAND_WORDS_MAX} words and {} bytes",
                    super::draw::MESSAGE_BYTES_MAX
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
    /// Requests without an answer.
    owed: u64,
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
        Ok(Redis { mix: Arc::new(mix), owed: 0, elements: 1, at: At::Line, refusal: None })
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
        self.owed += 1;
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
        if self.owed == 0 {
            return Err(Malformed(format!(
                "the target sent {} without having been asked anything: it is no Redis server",
                quote(bytes)
            )));
        }
        let mut used = 0;
        while used < bytes.len() {
            match self.take(&bytes[used..])? {
                0 => break,
                taken => used += taken,
            }
            if self.elements == 0 {
                self.elements = 1;
                self.owed -= 1;
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

#[cfg(test)]
mod tests {
    use super::super::pieces::{self, Found};
    use super::*;
    use proptest::prelude::*;

    fn redis(change: impl FnOnce(&mut RedisCommands)) -> Result<Redis, Error> {
        let mut commands = RedisCommands::default();
        change(&mut commands);
        Redis::new(&commands)
    }

    fn custom(words: &[&str]) -> Redis {
        let words = words.iter().map(|word| word.as_bytes().to_vec()).collect();
        redis(|commands| (commands.command, commands.key_count) = (Some(words), 1)).unwrap()
    }

    /// What becomes of `bytes` as the answers to `requests`.
    fn answers(requests: usize, bytes: &[u8]) -> Found {
        pieces::feed(redis(|_| ()).unwrap(), requests, bytes, &[])
    }

    fn good(bytes: &[u8]) {
        assert_eq!(answers(1, bytes), Found::answers([Answer::Good]), "{}", bytes.escape_ascii());
    }

    fn refused(bytes: &[u8]) -> String {
        match &answers(1, bytes).answers[..] {
            [(Answer::Refused(kind), false)] => kind.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn requests_are_what_redis_benchmark_sends() {
        let (mut draw, mut out) = (Draw::seeded(1), Vec::new());
        let mut sets = redis(|c| {
            (c.get_fraction, c.key_count, c.values) = (0.0, 1, Sizes::Fixed(3));
        });
        sets.as_mut().unwrap().request(&mut draw, &mut out);
        assert_eq!(out, b"*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000000\r\n$3\r\nabc\r\n");
        out.clear();
        let mut gets = redis(|c| (c.get_fraction, c.key_count) = (1.0, KEYS_MAX)).unwrap();
        gets.request(&mut draw, &mut out);
        let key = out.strip_prefix(b"*2\r\n$3\r\nGET\r\n$16\r\nkey:").unwrap().strip_suffix(b"\r\n").unwrap();
        assert!(key.len() == KEY_DIGITS && key.iter().all(u8::is_ascii_digit) && key[0] != b'0');
        out.clear();
        custom(&["HSET", "h:__key__", "f__key____key__", ""]).request(&mut draw, &mut out);
        let key = "key:000000000000";
        let expected = format!("*4\r\n$4\r\nHSET\r\n$18\r\nh:{key}\r\n$33\r\nf{key}{key}\r\n$0\r\n\r\n");
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn keys_and_commands_are_drawn_evenly() {
        let mut redis = redis(|c| (c.get_fraction, c.key_count) = (0.25, 4)).unwrap();
        let (mut draw, mut out) = (Draw::seeded(9), Vec::new());
        let (mut gets, mut keys) = (0, [0; 4]);
        for _ in 0..40_000 {
            out.clear();
            redis.request(&mut draw, &mut out);
            gets += u64::from(out.starts_with(b"*2"));
            let digit = out.windows(4).position(|part| part == b"key:").unwrap() + 4 + KEY_DIGITS - 1;
            keys[usize::from(out[digit] - b'0')] += 1;
        }
        assert!((9_500..10_500).contains(&gets), "{gets} GETs in 40,000");
        assert!(keys.iter().all(|times| (9_500..10_500).contains(times)), "{keys:?}");
    }

    #[test]
    fn absurd_numbers_are_refused_with_a_sentence() {
        let refused = [
            redis(|c| c.get_fraction = f64::NAN),
            redis(|c| c.get_fraction = 1.01),
            redis(|c| c.get_fraction = -0.01),
            redis(|c| c.key_count = 0),
            redis(|c| c.key_count = KEYS_MAX + 1),
            redis(|c| c.key_prefix = "k".repeat(KEY_PREFIX_BYTES_MAX + 1)),
            redis(|c| c.values = Sizes::Fixed(0)),
            redis(|c| c.command = Some(vec![])),
            redis(|c| c.command = Some(vec![vec![]])),
            redis(|c| c.command = Some(vec![b"x".to_vec(); COMMAND_WORDS_MAX + 1])),
        ];
        for (place, refusal) in refused.into_iter().enumerate() {
            assert!(matches!(refusal, Err(Error::Config(_))), "case {place}");
        }
    }

    #[test]
    fn every_kind_of_reply_is_an_answer() {
        good(b"+OK\r\n");
        good(b"+\r\n");
        good(b":1000\r\n");
        good(b":-1\r\n");
        good(b"$-1\r\n");
        good(b"$0\r\n\r\n");
        good(b"$2\r\n\r\n\r\n");
        good(b"*0\r\n");
        good(b"*-1\r\n");
        good(b"*3\r\n$1\r\na\r\n*2\r\n:1\r\n*-1\r\n+b\r\n");
        good(&b"*1\r\n".repeat(100_000).into_iter().chain(*b":1\r\n").collect::<Vec<u8>>());
    }

    #[test]
    fn errors_are_counted_by_kind() {
        assert_eq!(
            refused(b"-ERR unknown command 'FOO', with args beginning with: 'a'\r\n"),
            "ERR unknown command"
        );
        assert_eq!(refused(b"-MOVED 3999 127.0.0.1:6381\r\n"), "MOVED");
        assert_eq!(refused(b"-NOAUTH Authentication required.\r\n"), "NOAUTH Authentication required");
        assert_eq!(
            refused(b"-OOM command not allowed when used memory > 'maxmemory'.\r\n"),
            "OOM command not allowed when used memory"
        );
        assert_eq!(refused(b"*2\r\n:1\r\n-ERR no\r\n"), "ERR no");
        assert_eq!(refused(b"-\r\n"), "an error");
        assert_eq!(refused(b"-\xff\xfe\r\n"), "an error");
        let long = [&b"-"[..], &b"word ".repeat(1000), b"\r\n"].concat();
        assert_eq!(refused(&long).len(), 49);
    }

    #[test]
    fn what_no_redis_says_is_malformed() {
        for bytes in [
            &b"HTTP/1.1 400 Bad Request\r\n"[..],
            b"\x15\x03\x01",
            b"OK\r\n",
            b"+OK\n",
            b":12x\r\n",
            b":\r\n",
            b"$-2\r\n",
            b"$x\r\n",
            b"$+1\r\n",
            b"$99999999999999999999\r\n",
            b"$99999999999\r\n",
            b"$3\r\nabcd\r\n",
            b"$3\r\nabc\rx",
            b"*4294967295\r\n*4294967295\r\n",
            b"$000000000000000000000000000000000000000000",
        ] {
            let sentence = answers(1, bytes).malformed.expect("malformed").0;
            assert!(sentence.contains("no Redis server") && sentence.contains('"'), "{sentence}");
        }
        assert!(answers(0, b"-ERR max number of clients reached\r\n").malformed.is_some());
        assert!(answers(1, &b"+".repeat(LINE_BYTES_MAX)).malformed.is_some());
    }

    #[test]
    fn long_strings_are_used_as_they_come() {
        let mut redis = redis(|_| ()).unwrap();
        redis.request(&mut Draw::seeded(1), &mut Vec::new());
        assert_eq!(redis.answer(b"$4294967296\r\n"), Ok(Step::Partial { used: 13 }));
        let piece = vec![b'x'; 1 << 20];
        for _ in 0..4096 {
            assert_eq!(redis.answer(&piece), Ok(Step::Partial { used: 1 << 20 }));
        }
        assert_eq!(redis.answer(b"\r"), Ok(Step::Partial { used: 0 }));
        assert_eq!(redis.answer(b"\r\n"), Ok(Step::Answered { used: 2, answer: Answer::Good, last: false }));
    }

    /// Valid replies, nested up to four deep.
    fn reply() -> impl Strategy<Value = Vec<u8>> {
        let leaf = prop_oneof![
            "[ -~]{0,20}".prop_map(|text| format!("+{text}\r\n").into_bytes()),
            "[A-Z]{1,9}( [a-z0-9']{1,9}){0,5}".prop_map(|text| format!("-{text}\r\n").into_bytes()),
            any::<i64>().prop_map(|number| format!(":{number}\r\n").into_bytes()),
            Just(b"$-1\r\n".to_vec()),
            Just(b"*-1\r\n".to_vec()),
            prop::collection::vec(any::<u8>(), 0..200).prop_map(|body| [
                format!("${}\r\n", body.len()).as_bytes(),
                &body,
                b"\r\n"
            ]
            .concat()),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop::collection::vec(inner, 0..6)
                .prop_map(|items| [format!("*{}\r\n", items.len()).as_bytes(), &items.concat()].concat())
        })
    }

    proptest! {
        #[test]
        fn cuts_change_nothing(
            replies in prop::collection::vec(reply(), 1..20), cuts in prop::collection::vec(1..40usize, 0..99),
        ) {
            let bytes = replies.concat();
            let whole = answers(replies.len(), &bytes);
            prop_assert_eq!(whole.answers.len(), replies.len());
            prop_assert!(whole.malformed.is_none());
            prop_assert_eq!(pieces::feed(redis(|_| ()).unwrap(), replies.len(), &bytes, &cuts), whole);
        }

        #[test]
        fn mutations_neither_panic_nor_depend_on_cuts(
            replies in prop::collection::vec(reply(), 1..8),
            mutations in pieces::mutations(),
            cuts in prop::collection::vec(1..40usize, 1..99),
        ) {
            let bytes = pieces::mutate(replies.concat(), &mutations);
            let whole = answers(replies.len(), &bytes);
            let pieces = pieces::feed(redis(|_| ()).unwrap(), replies.len(), &bytes, &cuts);
            prop_assert_eq!(pieces.without_sentence(), whole.without_sentence());
        }

        #[test]
        fn noise_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..2000), cut in 1..99usize) {
            pieces::feed(redis(|_| ()).unwrap(), 3, &bytes, &[cut]);
        }
    }
}
