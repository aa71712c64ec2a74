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

    /// Checks that the marks make sense together, with room for `read_bytes` above the high one.
    ///
    /// A queue just at its high mark is still read where a connection throttles itself, and that read can
    /// deliver a whole receive buffer behind the bytes kept from before. A handler that echoes all of it must
    /// not find the queue full.
    ///
    /// # Errors
    /// A sentence that says what is wrong, if `low_bytes` is not below `high_bytes`, or if `max_bytes` is less
    /// than `high_bytes` + `read_bytes`.
    pub fn validate(&self, read_bytes: usize) -> Result<(), String> {
        if self.low_bytes >= self.high_bytes {
            return Err(
                "low_bytes must be below high_bytes, or the connection would flap between them".into()
            );
        }
        match self.high_bytes.checked_add(read_bytes) {
            Some(needed) if needed <= self.max_bytes => Ok(()),
            _ if read_bytes == 0 => Err("max_bytes must not be below high_bytes".into()),
            _ => Err(format!(
                "max_bytes must exceed high_bytes by {read_bytes}: one receive buffer and the kept bytes before \
                 it, so that an echo fits; without self_throttle it need not"
            )),
        }
    }
}

impl Default for Watermarks {
    fn default() -> Self {
        Watermarks::DEFAULT
    }
}

const _: () = assert!(OUT_QUEUE_LOW_BYTES < OUT_QUEUE_HIGH_BYTES);
const _: () = assert!(OUT_QUEUE_HIGH_BYTES + RECEIVE_BUFFER_BYTES + KEPT_BYTES_MAX <= OUT_QUEUE_BYTES_MAX);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_that_would_flap_or_lose_an_echo_are_refused() {
        let good = Watermarks::default();
        let read = RECEIVE_BUFFER_BYTES + KEPT_BYTES_MAX;
        assert_eq!(good.validate(read), Ok(()));
        assert!(Watermarks { low_bytes: 0, ..good }.validate(read).is_ok());
        assert!(Watermarks { low_bytes: good.high_bytes, ..good }.validate(0).is_err());

        let just_enough = good.high_bytes + read;
        assert!(Watermarks { max_bytes: just_enough, ..good }.validate(read).is_ok());
        assert!(Watermarks { max_bytes: just_enough - 1, ..good }.validate(read).is_err());
        assert!(Watermarks { max_bytes: good.high_bytes, ..good }.validate(0).is_ok());
        assert!(Watermarks { high_bytes: usize::MAX, max_bytes: usize::MAX, ..good }.validate(read).is_err());
    }
}
