//! RESP2 on the wire: requests cut out of the bytes that the reactor lends, and replies encoded.

use std::ops::Range;

/// The longest single argument, in bytes.
pub const BULK_BYTES_MAX: usize = 16 << 20;
/// The longest command with all its arguments, in bytes: as much as a connection may keep.
pub const COMMAND_BYTES_MAX: usize = 32 << 20;
/// The most arguments of one command.
pub const ARGS_MAX: usize = 128 * 1024;
/// The longest line without an end: an inline command, or a count.
pub const LINE_BYTES_MAX: usize = 64 * 1024;
/// The least that an argument yet to come takes: `$0\r\n\r\n`.
const ARG_BYTES_MIN: usize = 6;

/// Where an argument stands in the bytes of its request.
pub type Span = Range<u32>;

/// One command with its arguments, none of them copied.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    bytes: &'a [u8],
    spans: &'a [Span],
}

impl<'a> Request<'a> {
    pub fn new(bytes: &'a [u8], spans: &'a [Span]) -> Request<'a> {
        Request { bytes, spans }
    }

    /// The name of the command counts as one.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    #[inline]
    pub fn arg(&self, number: usize) -> &'a [u8] {
        let span = &self.spans[number];
        &self.bytes[span.start as usize..span.end as usize]
    }

    /// The same request with only these of its arguments, which `spans` is scratch for.
    pub fn only<const N: usize>(self, numbers: [usize; N], spans: &'a mut [Span; N]) -> Request<'a> {
        *spans = numbers.map(|number| self.spans[number].clone());
        Request { bytes: self.bytes, spans }
    }

    /// The arguments from that one on.
    pub fn args(self, from: usize) -> impl ExactSizeIterator<Item = &'a [u8]> {
        (from..self.len().max(from)).map(move |number| self.arg(number))
    }
}

/// What stands at the front of the received bytes.
pub enum Parsed<'a> {
    /// A command, and how many bytes it took. No arguments at all: an empty line, which wants no answer.
    Command(Request<'a>, usize),
    /// Not all of it is there yet; nothing can be said before `want` bytes are.
    Incomplete { want: usize },
    /// Not RESP: say so and close.
    Broken(String),
}

/// Why a line or an argument could not be cut out.
enum Halt {
    Incomplete { want: usize },
    Broken(String),
}

fn broken<T>(why: impl Into<String>) -> Result<T, Halt> {
    Err(Halt::Broken(why.into()))
}

/// Cuts requests out of bytes. What it holds is scratch space, so that parsing allocates nothing once warm.
#[derive(Default)]
pub struct Parser {
    spans: Vec<Span>,
    unquoted: Vec<u8>,
}

impl Parser {
    pub fn parse<'a>(&'a mut self, bytes: &'a [u8]) -> Parsed<'a> {
        self.spans.clear();
        let cut = match bytes.first() {
            None => Err(Halt::Incomplete { want: 1 }),
            Some(b'*') => self.cut_array(bytes).map(|len| (bytes, len)),
            Some(_) => self.cut_inline(bytes),
        };
        match cut {
            Ok((source, len)) => {
                // An inline command was unquoted into the scratch space, an array stays where it is.
                let source = if source.is_empty() { &self.unquoted[..] } else { source };
                Parsed::Command(Request { bytes: source, spans: &self.spans }, len)
            }
            Err(Halt::Incomplete { want }) => Parsed::Incomplete { want },
            Err(Halt::Broken(why)) => Parsed::Broken(why),
        }
    }

    /// `*2\r\n$3\r\nGET\r\n$1\r\nk\r\n`
    fn cut_array(&mut self, bytes: &[u8]) -> Result<usize, Halt> {
        let (count, mut at) = number_line(bytes, 1, "too big mbulk count string")?;
        let count = match count {
            Some(count) if count <= 0 => return Ok(at),
            Some(count) if count <= ARGS_MAX as i64 => count as usize,
            _ => return broken("invalid multibulk length"),
        };
        for left in (1..=count).rev() {
            let Some(&first) = bytes.get(at) else {
                return Err(Halt::Incomplete { want: at + left * ARG_BYTES_MIN });
            };
            if first != b'$' {
                return broken(format!("expected '$', got '{}'", first.escape_ascii()));
            }
            let (len, start) = number_line(bytes, at + 1, "too big bulk count string")?;
            let len = match len {
                Some(len) if (0..=BULK_BYTES_MAX as i64).contains(&len) => len as usize,
                _ => return broken("invalid bulk length"),
            };
            at = start + len + 2;
            if at > COMMAND_BYTES_MAX {
                return broken("invalid bulk length");
            }
            if at > bytes.len() {
                return Err(Halt::Incomplete { want: at + (left - 1) * ARG_BYTES_MIN });
            }
            self.spans.push(start as u32..(start + len) as u32);
        }
        Ok(at)
    }

    /// `GET k`, as typed by hand; arguments may be quoted as in a shell.
    fn cut_inline<'a>(&mut self, bytes: &'a [u8]) -> Result<(&'a [u8], usize), Halt> {
        let within = &bytes[..bytes.len().min(LINE_BYTES_MAX)];
        let Some(end) = within.iter().position(|&b| b == b'\n') else {
            return incomplete_line(bytes, 0, "too big inline request");
        };
        let line = bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]);
        self.unquoted.clear();
        let mut rest = line.trim_ascii_start();
        while !rest.is_empty() {
            let start = self.unquoted.len() as u32;
            let Some(after) = unquote(rest, &mut self.unquoted) else {
                return broken("unbalanced quotes in request");
            };
            self.spans.push(start..self.unquoted.len() as u32);
            rest = after.trim_ascii_start();
        }
        Ok((&[], end + 1))
    }
}

/// The number on the line that starts at `at` (`None` if it is none), and where the next line starts.
#[inline]
fn number_line(bytes: &[u8], at: usize, too_long: &str) -> Result<(Option<i64>, usize), Halt> {
    if let [digit @ b'0'..=b'9', b'\r', _, ..] = bytes[at..] {
        // Most lines are that short.
        return Ok((Some(i64::from(digit - b'0')), at + 3));
    }
    let line = &bytes[at..bytes.len().min(at + LINE_BYTES_MAX)];
    match line.iter().position(|&b| b == b'\r') {
        Some(end) if at + end + 1 < bytes.len() => Ok((integer(&line[..end]), at + end + 2)),
        Some(end) => Err(Halt::Incomplete { want: at + end + 2 }),
        None => incomplete_line(bytes, at, too_long),
    }
}

fn incomplete_line<T>(bytes: &[u8], at: usize, too_long: &str) -> Result<T, Halt> {
    if bytes.len() - at >= LINE_BYTES_MAX {
        return broken(too_long);
    }
    Err(Halt::Incomplete { want: bytes.len() + 1 })
}

/// Moves the first word of `line` to `out` without its quotes and escapes, and returns what follows it;
/// `None` if a quote is not closed, or not followed by a space.
fn unquote<'a>(line: &'a [u8], out: &mut Vec<u8>) -> Option<&'a [u8]> {
    let mut at = 0;
    let mut quote = None;
    while let Some(&byte) = line.get(at) {
        at += 1;
        match (quote, byte) {
            (None, b' ' | b'\t' | b'\r' | b'\0') => return Some(&line[at..]),
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), _) if byte == open => {
                let after = &line[at..];
                return (after.is_empty() || after[0].is_ascii_whitespace()).then_some(after);
            }
            (Some(b'\''), b'\\') if line.get(at) == Some(&b'\'') => {
                out.push(b'\'');
                at += 1;
            }
            (Some(b'"'), b'\\') if at < line.len() => {
                let hex = line.get(at + 1..at + 3).and_then(|digits| str::from_utf8(digits).ok());
                let hex =
                    hex.filter(|_| line[at] == b'x').and_then(|digits| u8::from_str_radix(digits, 16).ok());
                out.push(hex.unwrap_or(match line[at] {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'a' => 7,
                    other => other,
                }));
                at += if hex.is_some() { 3 } else { 1 };
            }
            _ => out.push(byte),
        }
    }
    quote.is_none().then_some(&[])
}

/// A number exactly as Redis writes it: no sign but a minus, no leading zeros, nothing around it.
pub fn integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] => {}
        _ => return None,
    }
    // Counted downwards, because there is one more negative number than there are positive ones.
    let mut value = 0i64;
    for digit in digits {
        let digit = i64::from(digit.checked_sub(b'0').filter(|digit| *digit <= 9)?);
        value = value.checked_mul(10)?.checked_sub(digit)?;
    }
    if negative { Some(value) } else { value.checked_neg() }
}

/// The longest decimal of 64 bits, with its sign.
pub const DECIMAL_BYTES_MAX: usize = 20;

/// Writes `value` as a decimal into `room` and returns where it stands there.
#[inline]
pub fn decimal(value: i64, room: &mut [u8; DECIMAL_BYTES_MAX]) -> &[u8] {
    let mut at = room.len();
    let mut rest = value.unsigned_abs();
    loop {
        at -= 1;
        room[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        at -= 1;
        room[at] = b'-';
    }
    &room[at..]
}

/// Replies that may wait for one connection, in bytes: who asks for more without reading is dropped.
pub const REPLIES_BYTES_MAX: usize = 64 << 20;
/// Room that replies keep between commands; what a larger reply took besides is given back.
const REPLIES_BYTES_KEPT: usize = 256 * 1024;

/// Replies on their way out, one behind the other.
#[derive(Default)]
pub struct Replies {
    pub bytes: Vec<u8>,
    /// Something did not fit into [`REPLIES_BYTES_MAX`] and was left out: what is here must not be sent.
    pub overflowed: bool,
}

impl Replies {
    /// Starts afresh.
    #[inline]
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.overflowed = false;
        if self.bytes.capacity() > REPLIES_BYTES_KEPT {
            self.bytes.shrink_to(REPLIES_BYTES_KEPT);
        }
    }

    /// A reply that is encoded already.
    pub fn encoded(&mut self, reply: &[u8]) {
        if self.has_room(reply.len()) {
            self.bytes.extend_from_slice(reply);
        }
    }

    #[inline]
    fn has_room(&mut self, len: usize) -> bool {
        self.overflowed |= self.bytes.len() + len > REPLIES_BYTES_MAX;
        !self.overflowed
    }

    #[inline]
    pub fn ok(&mut self) {
        self.simple("OK");
    }

    #[inline]
    pub fn simple(&mut self, text: &str) {
        self.bytes.push(b'+');
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.extend_from_slice(b"\r\n");
    }

    /// `text` begins with its code. A line break in it would end the reply early and becomes a space.
    pub fn error(&mut self, text: &[u8]) {
        self.bytes.push(b'-');
        self.bytes.extend(text.iter().map(|&b| if b == b'\r' || b == b'\n' { b' ' } else { b }));
        self.bytes.extend_from_slice(b"\r\n");
    }

    #[inline]
    pub fn integer(&mut self, value: i64) {
        self.headed(b':', value);
    }

    #[inline]
    pub fn bulk(&mut self, text: &[u8]) {
        if !self.has_room(text.len()) {
            return;
        }
        self.headed(b'$', text.len() as i64);
        self.bytes.extend_from_slice(text);
        self.bytes.extend_from_slice(b"\r\n");
    }

    #[inline]
    pub fn nil(&mut self) {
        self.bytes.extend_from_slice(b"$-1\r\n");
    }

    pub fn nil_array(&mut self) {
        self.bytes.extend_from_slice(b"*-1\r\n");
    }

    /// Announces `len` replies that make up an array.
    #[inline]
    pub fn array(&mut self, len: usize) {
        self.headed(b'*', len as i64);
    }

    #[inline]
    fn headed(&mut self, head: u8, value: i64) {
        self.bytes.push(head);
        self.bytes.extend_from_slice(decimal(value, &mut [0; DECIMAL_BYTES_MAX]));
        self.bytes.extend_from_slice(b"\r\n");
    }
}
