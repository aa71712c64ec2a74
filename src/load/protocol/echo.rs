//! The echo protocol: what is sent comes back, byte for byte.

use super::{Answer, Draw, Malformed, Protocol, Sizes, Step};
use std::collections::VecDeque;
use std::sync::Arc;

/// Sends messages of the given sizes and expects each back unchanged.
///
/// Every byte of an answer is compared with what was sent, so a server that mixes up its clients is found out.
#[derive(Clone, Debug)]
pub struct Echo {
    sizes: Sizes,
    /// The longest message; shorter ones are its beginning.
    text: Arc<[u8]>,
    /// Lengths of the messages whose echo is owed, oldest first.
    owed: VecDeque<usize>,
    /// Bytes of the oldest one that came back already.
    returned: usize,
}

impl Echo {
    /// Messages of these sizes.
    #[must_use]
    pub fn new(sizes: Sizes) -> Echo {
        // A prime period, so that a byte out of place is a wrong byte at every power of two.
        let text = (0..sizes.largest()).map(|place| b'!' + (place % 89) as u8).collect();
        Echo { sizes, text, owed: VecDeque::new(), returned: 0 }
    }
}

impl Protocol for Echo {
    fn name(&self) -> &'static str {
        "echo"
    }

    fn request(&mut self, draw: &mut Draw, out: &mut Vec<u8>) {
        let bytes = self.sizes.draw(draw);
        self.owed.push_back(bytes);
        out.extend_from_slice(&self.text[..bytes]);
    }

    fn answer(&mut self, bytes: &[u8]) -> Result<Step, Malformed> {
        let Some(owed) = self.owed.front() else {
            return Err(Malformed("the target sent more than it was sent: it is no echo server".into()));
        };
        let used = bytes.len().min(owed - self.returned);
        let expected = &self.text[self.returned..self.returned + used];
        if bytes[..used] != *expected {
            return Err(Malformed(format!(
                "the target answered {} instead of what it was sent: it is no echo server",
                super::quote(bytes)
            )));
        }
        self.returned += used;
        if self.returned < *owed {
            return Ok(Step::Partial { used });
        }
        self.owed.pop_front();
        self.returned = 0;
        Ok(Step::Answered { used, answer: Answer::Good, last: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn echoes_are_found_however_they_are_cut() {
        for cut in 1..=300 {
            let mut echo = Echo::new("1..100".parse().unwrap());
            let (mut draw, mut sent) = (Draw::seeded(cut as u64), Vec::new());
            (0..50).for_each(|_| echo.request(&mut draw, &mut sent));
            let (mut answered, mut rest) = (0, &sent[..]);
            while !rest.is_empty() {
                match echo.answer(&rest[..cut.min(rest.len())]).unwrap() {
                    Step::Partial { used } => rest = &rest[used..],
                    Step::Answered { used, answer, last } => {
                        assert_eq!((answer, last), (Answer::Good, false));
                        answered += 1;
                        rest = &rest[used..];
                    }
                }
            }
            assert_eq!(answered, 50);
        }
    }

    #[test]
    fn a_wrong_byte_and_an_uncalled_for_one_are_no_echo() {
        let mut echo = Echo::new(Sizes::Fixed(8));
        let mut sent = Vec::new();
        assert!(echo.answer(b"x").unwrap_err().0.contains("no echo server"));
        echo.request(&mut Draw::seeded(1), &mut sent);
        sent[5] ^= 1;
        assert!(echo.answer(&sent).unwrap_err().0.contains("no echo server"));
    }
}
