//! What must not go wrong in the record layer.

mod against_rustls;
mod key_updates;
mod known_answers;
mod rules;
mod speed;
mod stock;
mod streams;
mod wire_damage;

use super::super::keys::Suite;
use super::ends::*;
use super::*;

/// A client and a server that have shaken hands.
pub(super) fn pair(suite: Suite) -> (End, End) {
    (End::new(suite, true), End::new(suite, false))
}

impl End {
    pub(super) fn seal(&mut self, plain: &[u8]) -> Vec<u8> {
        self.try_seal(plain).expect("this end is open")
    }
}

/// Bytes that repeat only after long, so that a shift is noticed.
pub(super) fn pattern(bytes: usize, seed: u8) -> Vec<u8> {
    (0..bytes).map(|i| (i.wrapping_mul(31) >> 3) as u8 ^ (i as u8) ^ seed).collect()
}

pub(super) const CLIENT_AND_SERVER: [bool; 2] = [true, false];
