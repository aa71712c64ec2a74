//! Keys as the handshake hands them to the record layer.

use super::super::Failure;
use std::fmt;
use zeroize::Zeroizing;

/// What a record is sealed with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Suite {
    Aes128Gcm,
    Aes256Gcm,
    ChaCha20Poly1305,
}

impl Suite {
    /// Length of the suite's key.
    pub(super) const fn key_bytes(self) -> usize {
        match self {
            Suite::Aes128Gcm => 16,
            Suite::Aes256Gcm | Suite::ChaCha20Poly1305 => 32,
        }
    }
}

/// What one direction of a connection is sealed with from now on.
pub(super) struct TrafficKey {
    pub(super) suite: Suite,
    key: Zeroizing<[u8; 32]>,
    /// What the sequence number is mixed into to give a record's nonce (RFC 8446, section 5.3).
    pub(super) iv: [u8; 12],
    /// The number of the next record.
    pub(super) sequence: u64,
}

impl TrafficKey {
    /// `None` if `key` is not as long as the suite wants it.
    pub(super) fn new(suite: Suite, key: &[u8], iv: [u8; 12], sequence: u64) -> Option<TrafficKey> {
        let mut held = Zeroizing::new([0; 32]);
        if key.len() != suite.key_bytes() {
            return None;
        }
        held[..key.len()].copy_from_slice(key);
        Some(TrafficKey { suite, key: held, iv, sequence })
    }

    /// The key itself, as long as the suite wants it.
    pub(super) fn key(&self) -> &[u8] {
        &self.key[..self.suite.key_bytes()]
    }
}

/// Says nothing of the key.
impl fmt::Debug for TrafficKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TrafficKey({:?}, record {})", self.suite, self.sequence)
    }
}

/// The handshake's key schedule, kept for key updates and tickets.
pub(super) trait KeySchedule {
    /// The key that follows the one we seal with.
    fn next_sending(&mut self) -> Result<TrafficKey, Failure>;

    /// The key that follows the one the peer seals with.
    fn next_receiving(&mut self) -> Result<TrafficKey, Failure>;

    /// A client keeps the ticket for a later handshake. `payload` is the message NewSessionTicket without its
    /// header of type and length. A server refuses it: only servers send tickets.
    fn ticket(&mut self, payload: &[u8]) -> Result<(), Failure>;
}
