//! What is asked and how the end of an answer is found: the one trait a protocol implements, and the protocols
//! that come with the crate.

mod draw;
mod echo;
mod http;
#[cfg(test)]
mod pieces;
mod redis;

pub use draw::{Draw, MESSAGE_BYTES_MAX, Sizes};
pub use echo::Echo;
pub use http::{Http, HttpRequest};
pub use redis::{Redis, RedisCommands};

/// One connection's side of a protocol: writes requests, finds the ends of their answers.
///
/// The generator is given one value and clones it for every connection it opens, so what connections share should
/// be cheap to clone (an `Arc`). Answers come in the order of the requests.
///
/// ```
/// use windlass::load::{Answer, Draw, Malformed, Protocol, Step};
///
/// /// Asks with a line, is answered with a line.
/// #[derive(Clone)]
/// struct Lines;
///
/// impl Protocol for Lines {
///     fn name(&self) -> &'static str {
///         "lines"
///     }
///
///     fn request(&mut self, draw: &mut Draw, out: &mut Vec<u8>) {
///         out.extend_from_slice(format!("how about {}?\n", draw.below(100)).as_bytes());
///     }
///
///     fn answer(&mut self, bytes: &[u8]) -> Result<Step, Malformed> {
///         match bytes.iter().position(|byte| *byte == b'\n') {
///             Some(end) => Ok(Step::Answered { used: end + 1, answer: Answer::Good, last: false }),
///             None => Ok(Step::Partial { used: 0 }),
///         }
///     }
/// }
/// ```
pub trait Protocol: Clone + Send + 'static {
    /// A short lower-case name for reports, such as `echo`.
    fn name(&self) -> &'static str;

    /// Appends one request to `out`. Whatever is left to chance comes from `draw`, so that a seed repeats it.
    fn request(&mut self, draw: &mut Draw, out: &mut Vec<u8>);

    /// Looks at what has come for the oldest request not answered yet. Nothing is shown while there is none.
    ///
    /// What a [`Step::Partial`] has not used stands at the front of the next call, with something new behind it: at
    /// most 64 KiB of it, so long bodies must be used as they come.
    ///
    /// # Errors
    /// [`Malformed`] if this cannot be the beginning of an answer. The connection is closed then.
    fn answer(&mut self, bytes: &[u8]) -> Result<Step, Malformed>;

    /// The target ended the connection in good order while an answer was owed: what that means to an answer whose length is known
    /// only by its end. `None`, the default, means that it was cut short.
    fn ended(&mut self) -> Option<Answer> {
        None
    }
}

/// How far [`Protocol::answer`] got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The answer is not complete; its first `used` bytes are done with.
    Partial {
        /// Bytes that need not be shown again.
        used: usize,
    },
    /// The answer ends after `used` bytes.
    Answered {
        /// Bytes that belonged to it.
        used: usize,
        /// What kind of answer it was.
        answer: Answer,
        /// Whether the target closes the connection after it (HTTP's `Connection: close`).
        last: bool,
    },
}

/// What kind of answer it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// As hoped.
    Good,
    /// The target answered that it would not: `HTTP 503`, `-ERR unknown command`. Such a request counts as failed.
    /// The text is counted by, so it should name a kind of failure, not one failure.
    Refused(String),
}

/// These bytes are no answer in this protocol; the sentence says why, for a person who may have named the wrong
/// port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed(pub String);

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Malformed {}

/// The beginning of what a target sent, fit for a sentence: printable, and short.
pub(super) fn quote(bytes: &[u8]) -> String {
    const SHOWN_BYTES_MAX: usize = 24;
    let shown = &bytes[..bytes.len().min(SHOWN_BYTES_MAX)];
    let more = if bytes.len() > SHOWN_BYTES_MAX { "..." } else { "" };
    format!("\"{}{more}\"", shown.escape_ascii())
}

/// Behind the line that `bytes` begin with, or `None` if its end has not come. A line longer than `bytes_max`,
/// its end included, is an error, in however many pieces it comes.
pub(super) fn line_end(bytes: &[u8], bytes_max: usize) -> Result<Option<usize>, LineTooLong> {
    let looked_at = &bytes[..bytes.len().min(bytes_max)];
    match looked_at.iter().position(|byte| *byte == b'\n') {
        Some(at) => Ok(Some(at + 1)),
        None if looked_at.len() == bytes_max => Err(LineTooLong),
        None => Ok(None),
    }
}

/// A line has no end where one must be.
#[derive(Debug)]
pub(super) struct LineTooLong;

/// A number in digits and nothing else; `None` if it is anything else, or too large.
pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |number, byte| match byte {
        b'0'..=b'9' => number.checked_mul(10)?.checked_add(u64::from(byte - b'0')),
        _ => None,
    })
}
