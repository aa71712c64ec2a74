//! `corrupt`: a bit of some bytes is turned over. Which ones depends on where they are in the stream alone, not on the
//! pieces in which it comes.

use super::{Step, gap};
use crate::proxy::chain::{Content, Piece, Queue};
use bytes::{Bytes, BytesMut};
use fastrand::Rng;

#[derive(Debug)]
pub(in crate::proxy) struct Corrupt {
    probability: f64,
    rng: Rng,
    /// Bytes that pass before the next that does not.
    sound: u64,
}

impl Corrupt {
    pub(super) fn new(probability: f64, mut rng: Rng) -> Corrupt {
        let sound = gap(&mut rng, probability);
        Corrupt { probability, rng, sound }
    }

    pub(super) fn change(&mut self, probability: f64) {
        self.probability = probability;
        self.sound = gap(&mut self.rng, probability);
    }

    pub(super) fn step(&mut self, queue: &mut Queue) -> Step {
        let Some(Piece { at, content, apart }) = queue.pop() else { return Step::Rest };
        let content = match content {
            Content::Bytes(bytes) => Content::Bytes(self.corrupt(bytes)),
            end @ Content::End(_) => end,
        };
        Step::Pass(Piece { at, content, apart })
    }

    fn corrupt(&mut self, bytes: Bytes) -> Bytes {
        let whole = bytes.len() as u64;
        if self.sound >= whole {
            self.sound -= whole;
            return bytes;
        }
        let mut bytes = bytes.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
        let mut place = self.sound;
        while let Some(byte) = usize::try_from(place).ok().and_then(|place| bytes.get_mut(place)) {
            *byte ^= 1 << self.rng.u8(0..8);
            place = place.saturating_add(1).saturating_add(gap(&mut self.rng, self.probability));
        }
        self.sound = place - whole;
        bytes.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Instant;

    fn damage(probability: f64, pieces: &[usize]) -> Vec<u8> {
        let mut corrupt = Corrupt::new(probability, Rng::with_seed(11));
        let mut queue = Queue::default();
        for &bytes in pieces {
            queue.push(Piece::bytes(Instant::ZERO, Bytes::from(vec![0; bytes])));
        }
        let mut all = Vec::new();
        while let Step::Pass(Piece { content: Content::Bytes(bytes), .. }) = corrupt.step(&mut queue) {
            all.extend_from_slice(&bytes);
        }
        all
    }

    #[test]
    fn the_same_bytes_are_hit_however_the_stream_is_cut_up() {
        let whole = damage(0.01, &[100_000]);
        assert_eq!(whole, damage(0.01, &[1, 99, 1900, 48_000, 50_000]));
        let hit: Vec<u8> = whole.into_iter().filter(|byte| *byte != 0).collect();
        assert!((800..1200).contains(&hit.len()), "{} of 100,000 at 1 %", hit.len());
        assert!(hit.iter().all(|byte| byte.count_ones() == 1), "one bit of each");
    }

    #[test]
    fn never_and_always_are_just_that() {
        assert!(damage(0.0, &[10_000]).iter().all(|byte| *byte == 0));
        assert!(damage(1.0, &[10_000]).iter().all(|byte| *byte != 0));
    }
}
