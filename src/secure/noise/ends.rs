//! Two ends of a Noise session without sockets, for tests and the fuzz target: each a transformer, the wire that comes
//! to it, and what it has to say.

use super::{KeyPair, Noise, NoiseTransformer, Pattern, Wanted};
use crate::secure::{Failure, NoiseSession, Opened, Session, Then};
use crate::time::Instant;

/// The moment at which everything happens, unless a test is about time.
pub(super) const NOW: Instant = Instant::from_millis(1_000);

/// A transformer, what has come for it and is not used up, and what it has to say.
pub(super) struct Side {
    pub(super) layer: NoiseTransformer,
    pub(super) wire: Vec<u8>,
    pub(super) reply: Vec<u8>,
    pub(super) done: bool,
}

impl Side {
    pub(super) fn accepting(noise: &Noise) -> Side {
        Side::new(Wanted::accepting(noise).expect("a responder's configuration").begin())
    }

    pub(super) fn connecting(noise: &Noise) -> Side {
        Side::new(Wanted::connecting(noise).expect("an initiator's configuration").begin())
    }

    pub(super) fn new(layer: NoiseTransformer) -> Side {
        Side { layer, wire: Vec::new(), reply: Vec::new(), done: false }
    }

    /// Takes `bytes` from the wire during the handshake.
    pub(super) fn hear(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.wire.extend_from_slice(bytes);
        let mut plain = vec![0; self.wire.len()];
        let shaken = self.layer.shake(NOW, &mut self.wire, &mut plain, &mut self.reply)?;
        self.wire.drain(..shaken.consumed);
        self.done = shaken.done;
        Ok(())
    }

    /// Begins if it must speak first.
    pub(super) fn begin(&mut self) -> Result<(), Failure> {
        if self.layer.speaks_first() { self.hear(&[]) } else { Ok(()) }
    }

    pub(super) fn said(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.reply)
    }

    pub(super) fn session(&mut self) -> NoiseSession {
        let mut session = Session::default();
        self.layer.describe(&mut session);
        session.noise.expect("described once, after the handshake")
    }

    pub(super) fn seal(&mut self, plain: &[u8]) -> Vec<u8> {
        let mut sealed = vec![0; self.layer.sealed_bytes_max(plain.len())];
        let length = self.layer.seal(plain, &mut sealed).expect("an open layer seals");
        assert!(length <= sealed.len());
        sealed.truncate(length);
        sealed
    }

    /// Takes `bytes` from the wire after the handshake; what was opened before a failure comes with it.
    pub(super) fn open(&mut self, bytes: &[u8]) -> (Vec<u8>, Option<Failure>) {
        self.wire.extend_from_slice(bytes);
        let mut plain = vec![0; self.wire.len()];
        let unsaid = self.reply.len();
        let Opened { consumed, produced, then } =
            self.layer.open(&mut self.wire, &mut plain, &mut self.reply);
        assert_eq!(self.reply.len(), unsaid, "Noise answers nothing after the handshake");
        self.wire.drain(..consumed);
        plain.truncate(produced);
        match then {
            Then::More => (plain, None),
            Then::Failed(failure) => (plain, Some(failure)),
            Then::Finished => panic!("Noise has no end mark"),
        }
    }

    pub(super) fn opened(&mut self, bytes: &[u8]) -> Vec<u8> {
        let (plain, failure) = self.open(bytes);
        assert_eq!(failure, None);
        plain
    }
}

/// Lets both speak until neither has anything left to say.
pub(super) fn converse(initiator: &mut Side, responder: &mut Side) -> Result<(), Failure> {
    initiator.begin()?;
    responder.begin()?;
    loop {
        let (there, back) = (initiator.said(), responder.said());
        if there.is_empty() && back.is_empty() {
            return Ok(());
        }
        if !there.is_empty() {
            responder.hear(&there)?;
        }
        if !back.is_empty() {
            initiator.hear(&back)?;
        }
    }
}

/// Two layers that have shaken hands.
pub(super) fn open_pair(initiator: &Noise, responder: &Noise) -> (Side, Side) {
    let (mut a, mut b) = (Side::connecting(initiator), Side::accepting(responder));
    converse(&mut a, &mut b).expect("they agree");
    assert!(a.done && b.done);
    (a, b)
}

/// Keys that are the same in every run.
pub(super) fn keys(of: u8) -> KeyPair {
    KeyPair::from_secret(&[of; 32])
}

/// Both sides of the default pattern.
pub(super) fn defaults() -> (Noise, Noise) {
    (Noise::initiator(&keys(1), keys(2).public()), Noise::responder(&keys(2)).allow([keys(1).public()]))
}

/// Both sides of every pattern that we have, with and without pre-shared keys.
pub(super) fn all_patterns() -> Vec<(Noise, Noise)> {
    let mut all = Vec::new();
    for pattern in [Pattern::XK, Pattern::XX, Pattern::IK, Pattern::KK] {
        let (initiator, responder) = defaults();
        all.push((initiator.pattern(pattern), responder.pattern(pattern)));
    }
    let key = keys(2);
    all.push((Noise::unauthenticated_nk_initiator(key.public()), Noise::unauthenticated_nk_responder(&key)));
    all.push((Noise::unauthenticated_nn_initiator(), Noise::unauthenticated_nn_responder()));
    for (initiator, responder) in all.clone() {
        let messages = if initiator.protocol_name().contains('X') { 3 } else { 2 };
        for position in 0..=messages {
            all.push((initiator.clone().psk(position, &[9; 32]), responder.clone().psk(position, &[9; 32])));
        }
        let several = |noise: Noise| noise.psk(0, &[8; 32]).psk(2, &[9; 32]);
        all.push((several(initiator), several(responder)));
    }
    all
}
