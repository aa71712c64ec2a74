//! The Noise layer of one connection: its handshake, the framing of messages, and the transport after it.

use super::resolver::TAG_BYTES;
use super::{Plan, PublicKey, Role, Wanted};
use crate::error::Cause;
use crate::limits::{NOISE_EMPTY_MESSAGES_MAX, NOISE_HANDSHAKE_MESSAGE_BYTES_MAX};
use crate::secure::{Failure, NoiseSession, Opened, Session, Shaken, Then};
use crate::time::Instant;
use snow::error::StateProblem;
use snow::{HandshakeState, TransportState};
use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;

/// Bytes of the length that stands before each message.
const LENGTH_BYTES: usize = 2;

/// The Noise layer of one connection.
pub(crate) struct NoiseTransformer {
    state: State,
    /// Plaintext that one message may hold when we seal.
    plain_bytes_max: u16,
}

/// Boxed, so that a connection pays for the state that it is in and not for the largest.
enum State {
    /// Nothing has happened. No key is touched before there is a reason to.
    Fresh(Arc<Plan>),
    Shaking(Box<Handshake>),
    Open(Box<Transport>),
    /// The handshake has failed.
    Over,
}

impl fmt::Debug for NoiseTransformer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.state {
            State::Fresh(_) => "Noise(fresh)",
            State::Shaking(_) => "Noise(in its handshake)",
            State::Open(_) => "Noise(open)",
            State::Over => "Noise(failed)",
        })
    }
}

impl NoiseTransformer {
    pub(super) fn new(wanted: Wanted) -> NoiseTransformer {
        NoiseTransformer { state: State::Fresh(wanted.plan), plain_bytes_max: wanted.plain_bytes_max }
    }

    /// An initiator does.
    pub(crate) fn speaks_first(&self) -> bool {
        matches!(&self.state, State::Fresh(plan) if plan.config().role == Role::Initiator)
    }

    pub(crate) fn shake(
        &mut self,
        now: Instant,
        wire: &mut [u8],
        _plain: &mut [u8],
        reply: &mut Vec<u8>,
    ) -> Result<Shaken, Failure> {
        let mut handshake = match std::mem::replace(&mut self.state, State::Over) {
            State::Fresh(plan) => {
                // A responder whose peer never speaks, or speaks something else, has spent nothing on it.
                let waits = plan.config().role == Role::Responder;
                if waits && next_message(&plan, 0, wire)?.is_none() {
                    self.state = State::Fresh(plan);
                    return Ok(Shaken::default());
                }
                Box::new(Handshake::begin(plan)?)
            }
            State::Shaking(handshake) => handshake,
            State::Open(_) | State::Over => return Err(out_of_turn()),
        };
        let consumed = handshake.advance(wire, reply)?;
        let done = handshake.noise.is_handshake_finished();
        self.state = match done {
            true => State::Open(Box::new(handshake.finish(now)?)),
            false => State::Shaking(handshake),
        };
        Ok(Shaken { consumed, early: 0, done })
    }

    pub(crate) fn describe(&mut self, session: &mut Session) {
        if let State::Open(transport) = &mut self.state {
            session.noise = transport.agreed.take().map(|agreed| *agreed);
        }
    }

    pub(crate) fn open(&mut self, wire: &mut [u8], plain: &mut [u8], _reply: &mut Vec<u8>) -> Opened {
        let State::Open(transport) = &mut self.state else {
            return Opened { consumed: 0, produced: 0, then: Then::Failed(out_of_turn()) };
        };
        let (mut consumed, mut produced) = (0, 0);
        let then = loop {
            let Some(length) = announced(&wire[consumed..]) else { break Then::More };
            if length < TAG_BYTES {
                let detail = format!("a Noise message of {length} bytes, which is shorter than its tag");
                break Then::Failed(Failure::because(Cause::ProtocolViolation, detail));
            }
            let begin = consumed + LENGTH_BYTES;
            let Some(message) = wire.get(begin..begin + length) else { break Then::More };
            match transport.open_message(message, &mut plain[produced..]) {
                Ok(length) => produced += length,
                Err(failure) => break Then::Failed(failure),
            }
            consumed = begin + length;
        };
        Opened { consumed, produced, then }
    }

    pub(crate) fn sealed_bytes_max(&self, plain_bytes: usize) -> usize {
        let messages = plain_bytes.div_ceil(usize::from(self.plain_bytes_max));
        plain_bytes + messages * (LENGTH_BYTES + TAG_BYTES)
    }

    pub(crate) fn seal(&mut self, plain: &[u8], sealed: &mut [u8]) -> Result<usize, Failure> {
        let State::Open(transport) = &mut self.state else { return Err(out_of_turn()) };
        let mut written = 0;
        for part in plain.chunks(usize::from(self.plain_bytes_max)) {
            written += transport.seal_message(part, &mut sealed[written..])?;
        }
        Ok(written)
    }

    /// Noise has no mark that ends a stream.
    pub(crate) fn finish(&mut self, _reply: &mut Vec<u8>) {}

    pub(crate) fn end_of_stream(&self, bytes_left: usize) -> Option<Failure> {
        match &self.state {
            State::Fresh(_) => Some(Failure::new(Cause::HandshakeCut)),
            State::Shaking(handshake) => Some(match handshake.plan.config().role {
                Role::Initiator => Failure::because(
                    Cause::HandshakeCut,
                    "the responder has another key, pattern or prologue, or does not allow our key",
                ),
                Role::Responder => Failure::new(Cause::HandshakeCut),
            }),
            State::Open(_) => (bytes_left > 0).then(|| Failure::new(Cause::Truncated)),
            State::Over => None,
        }
    }

    pub(crate) fn expires_at(&self) -> Instant {
        match &self.state {
            State::Open(transport) => transport.expires_at,
            _ => Instant::FAR_FUTURE,
        }
    }
}

#[cfg(test)]
impl NoiseTransformer {
    /// As if the peer had sent so many messages, which nobody can wait for.
    pub(super) fn pretend_received(&mut self, messages: u64) {
        let State::Open(transport) = &mut self.state else { panic!("{self:?}") };
        transport.noise.set_receiving_nonce(messages);
    }
}

/// A handshake that has begun.
struct Handshake {
    noise: HandshakeState,
    plan: Arc<Plan>,
    /// Messages of both sides so far.
    messages: usize,
    /// The peer's static key is known and may come in.
    admitted: bool,
}

impl Handshake {
    fn begin(plan: Arc<Plan>) -> Result<Handshake, Failure> {
        let noise = plan.start().map_err(failed)?;
        Ok(Handshake { noise, plan, messages: 0, admitted: false })
    }

    /// Speaks whenever it is our turn, listens as far as `wire` goes, and says how much of it is used up.
    fn advance(&mut self, wire: &[u8], reply: &mut Vec<u8>) -> Result<usize, Failure> {
        let mut consumed = 0;
        while !self.noise.is_handshake_finished() {
            if self.noise.is_my_turn() {
                self.speak(reply)?;
            } else if let Some(message) = next_message(&self.plan, self.messages, &wire[consumed..])? {
                consumed += LENGTH_BYTES + message.len();
                self.listen(message)?;
            } else {
                break;
            }
        }
        Ok(consumed)
    }

    fn speak(&mut self, reply: &mut Vec<u8>) -> Result<(), Failure> {
        // Snow wants room for a tag, also in messages that have none yet.
        let mut message = [0; NOISE_HANDSHAKE_MESSAGE_BYTES_MAX + TAG_BYTES];
        let length = self.noise.write_message(&[], &mut message).map_err(failed)?;
        reply.extend_from_slice(&prefix(length));
        reply.extend_from_slice(&message[..length]);
        self.messages += 1;
        Ok(())
    }

    fn listen(&mut self, message: &[u8]) -> Result<(), Failure> {
        self.noise.read_message(message, &mut []).map_err(failed)?;
        self.messages += 1;
        let Some(peer) = self.noise.get_remote_static().filter(|_| !self.admitted).and_then(public_key)
        else {
            return Ok(());
        };
        // Before we say more: a responder answers nobody, and an initiator shows its own key to nobody, whom it
        // does not want.
        self.admitted = self.plan.config().admits(&peer);
        if self.admitted {
            Ok(())
        } else {
            Err(Failure::because(Cause::KeyNotAllowed, format!("the peer's public key is {peer}")))
        }
    }

    fn finish(self, now: Instant) -> Result<Transport, Failure> {
        let Handshake { noise, plan, .. } = self;
        let agreed = NoiseSession {
            protocol: plan.config().protocol.to_string(),
            peer: noise.get_remote_static().and_then(public_key).map(|key| *key.as_bytes()),
            handshake_hash: noise.get_handshake_hash().to_vec(),
        };
        Ok(Transport {
            noise: noise.into_transport_mode().map_err(failed)?,
            agreed: Some(Box::new(agreed)),
            expires_at: plan.config().session_max.map_or(Instant::FAR_FUTURE, |age| now + age),
            rekey_after: plan.config().rekey_after.and_then(NonZeroU64::new),
            empty_messages: 0,
        })
    }
}

/// What is left when the handshake is over.
struct Transport {
    noise: TransportState,
    /// What the handshake agreed on, until it is told.
    agreed: Option<Box<NoiseSession>>,
    expires_at: Instant,
    rekey_after: Option<NonZeroU64>,
    /// Messages without content since the last one with some.
    empty_messages: u8,
}

impl Transport {
    /// Opens one message to the front of `plain` and says how long its content is.
    #[inline]
    fn open_message(&mut self, message: &[u8], plain: &mut [u8]) -> Result<usize, Failure> {
        let length = self.noise.read_message(message, plain).map_err(spoilt)?;
        self.empty_messages = if length == 0 { self.empty_messages + 1 } else { 0 };
        if self.empty_messages > NOISE_EMPTY_MESSAGES_MAX {
            return Err(Failure::because(
                Cause::ProtocolViolation,
                "too many Noise messages without content",
            ));
        }
        if self.is_last_under_key(self.noise.receiving_nonce()) {
            self.noise.rekey_incoming();
        }
        Ok(length)
    }

    /// Seals one message to the front of `sealed` and says how long it is with its length before it.
    #[inline]
    fn seal_message(&mut self, plain: &[u8], sealed: &mut [u8]) -> Result<usize, Failure> {
        let (before, message) = sealed.split_at_mut(LENGTH_BYTES);
        let length = self.noise.write_message(plain, message).map_err(spoilt)?;
        before.copy_from_slice(&prefix(length));
        if self.is_last_under_key(self.noise.sending_nonce()) {
            self.noise.rekey_outgoing();
        }
        Ok(LENGTH_BYTES + length)
    }

    /// Whether the direction changes its key after so many messages in it. A new key does not set the nonce back,
    /// so that the nonce counts all messages of the direction.
    #[inline]
    fn is_last_under_key(&self, messages: u64) -> bool {
        self.rekey_after.is_some_and(|every| messages.is_multiple_of(every.get()))
    }
}

/// How long the first message on the wire is, by the length that stands before it.
#[inline]
fn announced(wire: &[u8]) -> Option<usize> {
    wire.first_chunk::<LENGTH_BYTES>().map(|length| usize::from(u16::from_be_bytes(*length)))
}

/// Handshake message `index`, if all of it has come. It is refused by its length, before the rest has come, if it
/// cannot be that message.
fn next_message<'a>(plan: &Plan, index: usize, wire: &'a [u8]) -> Result<Option<&'a [u8]>, Failure> {
    let Some(length) = announced(wire) else { return Ok(None) };
    let protocol = plan.config().protocol;
    // The first that we hear is message 0 on a responder and message 1 on an initiator.
    if length > NOISE_HANDSHAKE_MESSAGE_BYTES_MAX {
        let cause = if index <= 1 { Cause::NotSecured } else { Cause::ProtocolViolation };
        let detail =
            format!("no Noise handshake message has the {length} bytes that its first two bytes say");
        return Err(Failure::because(cause, detail));
    }
    let due = protocol.message_bytes(index).unwrap_or(0);
    if length != due {
        let detail = format!(
            "handshake message {} of {protocol} has {due} bytes and not {length}: another pattern, or a \
             payload, which is not taken",
            index + 1
        );
        return Err(Failure::because(Cause::Tampered, detail));
    }
    Ok(wire.get(LENGTH_BYTES..LENGTH_BYTES + length))
}

/// The length that stands before a message. Messages that we make are shorter than 64 KiB.
#[inline]
fn prefix(length: usize) -> [u8; LENGTH_BYTES] {
    debug_assert!(length <= usize::from(u16::MAX));
    (length as u16).to_be_bytes()
}

fn public_key(bytes: &[u8]) -> Option<PublicKey> {
    <[u8; 32]>::try_from(bytes).ok().map(PublicKey::from)
}

/// What a failed step of a handshake means.
fn failed(error: snow::Error) -> Failure {
    match error {
        snow::Error::Decrypt | snow::Error::Input => Failure::because(
            Cause::Tampered,
            "the handshake could not be authenticated: another key, pre-shared key, pattern or prologue",
        ),
        snow::Error::Dh => Failure::because(
            Cause::ProtocolViolation,
            "a public key of low order, with which nothing is secret",
        ),
        other => Failure::because(Cause::System, format!("the Noise handshake could not go on: {other}")),
    }
}

/// What a message that cannot be sealed or opened means.
#[cold]
fn spoilt(error: snow::Error) -> Failure {
    match error {
        snow::Error::State(StateProblem::Exhausted) => Failure::new(Cause::NonceExhausted),
        _ => Failure::new(Cause::Tampered),
    }
}

/// The layer was used before its handshake ended or after it failed, which is a mistake above and not the peer's.
#[cold]
fn out_of_turn() -> Failure {
    debug_assert!(false, "a Noise layer was used out of turn");
    Failure::because(Cause::ProtocolViolation, "the Noise layer was used out of turn")
}
