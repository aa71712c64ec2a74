//! When an outbound queue counts as backlogged, as drained, and as full.

use crate::limits::{
    KEPT_BYTES_MAX, OUT_QUEUE_BYTES_MAX, OUT_QUEUE_HIGH_BYTES, OUT_QUEUE_LOW_BYTES, RECEIVE_BUFFER_BYTES,
};

/// The three marks of an outbound queue, all in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Watermarks {
    /// A backlogged queue that has fallen to this or below counts as drained. May be 0: drained when empty.
    pub low_bytes: usize,
    /// A queue above this counts as backlogged, and by default its connection is not read until it drains.
    pub high_bytes: usize,
    /// The hard bound: what would take the queue above this is refused whole.
    pub max_bytes: usize,
}

impl Watermarks {
    /// 64 KiB low, 256 KiB high, at most 1 MiB.
    pub const DEFAULT: Watermarks = Watermarks {
        low_bytes: OUT_QUEUE_LOW_BYTES,
        high_bytes: OUT_QUEUE_HIGH_BYTES,
        max_bytes: OUT_QUEUE_BYTES_MAX,
    };

    /// Checks that the marks make sense together.
    ///
    /// A queue just at its high mark is still read, and that read can deliver a whole receive buffer behind
    /// the bytes kept from before. A handler that echoes all of it must not find the queue full.
    ///
    /// # Errors
    /// A sentence that says what is wrong, if `low_bytes` is not below `high_bytes`, or if `max_bytes` is less
    /// than `high_bytes` + [`RECEIVE_BUFFER_BYTES`] + [`KEPT_BYTES_MAX`].
    pub const fn validate(&self) -> Result<(), &'static str> {
        if self.low_bytes >= self.high_bytes {
            return Err("low_bytes must be below high_bytes, or the connection would flap between the two");
        }
        match self.high_bytes.checked_add(RECEIVE_BUFFER_BYTES + KEPT_BYTES_MAX) {
            Some(needed) if needed <= self.max_bytes => Ok(()),
            _ => {
                Err("max_bytes must exceed high_bytes by 320 KiB: one receive buffer (256 KiB) and the kept \
                      bytes before it (64 KiB)")
            }
        }
    }
}

impl Default for Watermarks {
    fn default() -> Self {
        Watermarks::DEFAULT
    }
}

const _: () = assert!(Watermarks::DEFAULT.validate().is_ok());
/// The message of `validate` spells the sum out.
const _: () = assert!(RECEIVE_BUFFER_BYTES + KEPT_BYTES_MAX == 320 * 1024);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_that_would_flap_or_lose_an_echo_are_refused() {
        let good = Watermarks::default();
        assert!(good.validate().is_ok());
        assert!(Watermarks { low_bytes: 0, ..good }.validate().is_ok());
        assert!(Watermarks { low_bytes: good.high_bytes, ..good }.validate().is_err());

        let just_enough = good.high_bytes + RECEIVE_BUFFER_BYTES + KEPT_BYTES_MAX;
        assert!(Watermarks { max_bytes: just_enough, ..good }.validate().is_ok());
        assert!(Watermarks { max_bytes: just_enough - 1, ..good }.validate().is_err());
        assert!(Watermarks { high_bytes: usize::MAX, max_bytes: usize::MAX, ..good }.validate().is_err());
    }
}
