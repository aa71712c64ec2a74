//! Bodies of answers, skipped as they come.

use super::super::{Malformed, line_end, quote};
use super::BODY_BYTES_MAX;

/// The longest line that announces a chunk (extensions included) and the longest trailer.
const LINE_BYTES_MAX: usize = 8 * 1024;

/// What is still to come of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// So many bytes.
    Length(u64),
    /// Chunks, each with its length in front.
    Chunks(Chunk),
    /// Everything up to the end of the connection.
    UntilEnd,
}

/// What comes next in a chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chunk {
    /// The line that announces one.
    Size,
    /// So many bytes.
    Data(u64),
    /// The line end behind it.
    DataEnd,
    /// Trailers and the empty line behind them.
    Trailers,
    /// Nothing.
    Done,
}

impl Body {
    pub(super) const fn chunked() -> Body {
        Body::Chunks(Chunk::Size)
    }

    pub(super) const fn is_complete(&self) -> bool {
        matches!(self, Body::Length(0) | Body::Chunks(Chunk::Done))
    }

    pub(super) const fn ends_with_the_connection(&self) -> bool {
        matches!(self, Body::UntilEnd)
    }

    /// Takes as much of `bytes` as belongs to the body and is complete; says how much.
    pub(super) fn skip(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        match self {
            Body::Length(left) => {
                let taken = (*left).min(bytes.len() as u64);
                *left -= taken;
                Ok(taken as usize)
            }
            Body::UntilEnd => Ok(bytes.len()),
            Body::Chunks(chunk) => {
                let mut used = 0;
                while used < bytes.len() && *chunk != Chunk::Done {
                    match chunk.skip(&bytes[used..])? {
                        0 => break,
                        taken => used += taken,
                    }
                }
                Ok(used)
            }
        }
    }
}

impl Chunk {
    /// One step; 0 if it cannot be made before more has come.
    fn skip(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        if let Chunk::Data(left) = *self {
            let taken = left.min(bytes.len() as u64);
            *self = if taken == left { Chunk::DataEnd } else { Chunk::Data(left - taken) };
            return Ok(taken as usize);
        }
        let broken =
            |what: &str| Malformed(format!("the target sent a chunked body with {what}: {}", quote(bytes)));
        let end = line_end(bytes, LINE_BYTES_MAX).map_err(|_| broken("a line that does not end"))?;
        let Some(end) = end else {
            // The end of a chunk is the one line whose beginning can already be wrong.
            let wrong = *self == Chunk::DataEnd && bytes != b"\r";
            return if wrong { Err(broken("a chunk longer than announced")) } else { Ok(0) };
        };
        let line = bytes[..end - 1].strip_suffix(b"\r").unwrap_or(&bytes[..end - 1]);
        *self = match self {
            Chunk::Size => match chunk_size(line).ok_or_else(|| broken("a chunk without a length"))? {
                0 => Chunk::Trailers,
                size => Chunk::Data(size),
            },
            Chunk::DataEnd if !line.is_empty() => return Err(broken("a chunk longer than announced")),
            Chunk::DataEnd => Chunk::Size,
            Chunk::Trailers if line.is_empty() => Chunk::Done,
            Chunk::Trailers => Chunk::Trailers,
            Chunk::Data(_) | Chunk::Done => unreachable!("neither is a line"),
        };
        Ok(end)
    }
}

/// The size in the line that announces a chunk: `1a`, `1A ; name=value`.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.split(|byte| *byte == b';').next()?.trim_ascii_end();
    if digits.is_empty() {
        return None;
    }
    let size = digits.iter().try_fold(0u64, |size, byte| {
        let digit = char::from(*byte).to_digit(16)?;
        size.checked_mul(16)?.checked_add(u64::from(digit))
    })?;
    Some(size).filter(|size| *size <= BODY_BYTES_MAX)
}
