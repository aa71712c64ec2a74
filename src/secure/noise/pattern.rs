//! Protocol names, and how long the handshake messages of each protocol are.

use super::keys::KEY_BYTES;
use super::resolver::TAG_BYTES;
use crate::error::Error;
use std::fmt;
use std::str::FromStr;

/// Who knows whose static key beforehand, and when the others are sent (Noise specification, section 7.5).
///
/// The first letter is about the initiator, the second about the responder: `K`nown beforehand, sent `X` in the
/// course of the handshake, sent `I`mmediately, `N`one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Pattern {
    /// The initiator knows the responder's key; its own is sent in the third message, readable by that responder
    /// only. The default.
    XK,
    /// Nobody knows a key beforehand: both are sent, and each side decides whether it accepts the other's.
    XX,
    /// As [`Pattern::XK`] in two messages. Whoever recorded a first message can send it again, and the responder
    /// cannot tell: its `Opened` names a peer that may not be there, though what comes after it must be. A
    /// stolen responder key reveals who the initiators were.
    IK,
    /// Each knows the other's key, and no key is sent. Two messages, the first replayable as with
    /// [`Pattern::IK`].
    KK,
    /// The initiator knows the responder's key and has none of its own.
    NK,
    /// Nobody has a key: safe from those who listen, not from those who interfere.
    NN,
}

/// The cipher of a protocol.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum Cipher {
    /// AES-256-GCM. The default, and on processors with AES instructions several times cheaper.
    #[default]
    AesGcm,
    /// ChaCha20-Poly1305, for peers whose processor has no AES instructions.
    ChaChaPoly,
}

/// The hash of a protocol: it matters for handshakes only.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum Hash {
    /// SHA-256, the default.
    #[default]
    Sha256,
    /// SHA-512.
    Sha512,
    /// BLAKE2s with 32 bytes.
    Blake2s,
    /// BLAKE2b with 64 bytes.
    Blake2b,
}

/// A whole protocol: what both ends must agree on beforehand. Shown and parsed as its full name.
///
/// ```
/// # fn main() -> Result<(), windlass::Error> {
/// use windlass::noise::{Cipher, Pattern, Protocol};
///
/// let protocol: Protocol = "Noise_XKpsk3_25519_ChaChaPoly_BLAKE2s".parse()?;
/// assert_eq!((protocol.pattern, protocol.cipher), (Pattern::XK, Cipher::ChaChaPoly));
/// assert_eq!(protocol.psk_positions().collect::<Vec<_>>(), [3]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub struct Protocol {
    /// The handshake pattern without its modifiers.
    pub pattern: Pattern,
    /// The cipher.
    pub cipher: Cipher,
    /// The hash.
    pub hash: Hash,
    /// Bit n: a pre-shared key is mixed in at position n.
    psks: u8,
}

/// The last position of a pre-shared key in the longest pattern: after its third message.
const PSK_POSITION_MAX: u8 = 3;

impl Protocol {
    /// The protocol of `pattern` without pre-shared keys, with the default cipher and hash.
    #[must_use]
    pub fn new(pattern: Pattern) -> Protocol {
        Protocol { pattern, cipher: Cipher::default(), hash: Hash::default(), psks: 0 }
    }

    /// Where pre-shared keys are mixed in: 0 is before the first message, n at the end of the nth.
    pub fn psk_positions(self) -> impl Iterator<Item = u8> {
        (0..=PSK_POSITION_MAX).filter(move |position| self.psks & 1 << position != 0)
    }

    /// Has a pre-shared key mixed in at `position`, which may turn out not to fit the pattern.
    pub(super) fn add_psk(&mut self, position: u8) {
        if position <= PSK_POSITION_MAX {
            self.psks |= 1 << position;
        }
    }

    /// Whether a pre-shared key is mixed in at `position`, and the pattern has that place.
    pub(super) fn has_psk(self, position: u8) -> bool {
        usize::from(position) <= self.pattern.messages().len()
            && self.psk_positions().any(|named| named == position)
    }

    /// The length of handshake message `index` without a payload, in bytes; `None` if there are not as many.
    ///
    /// It is all that a message of this protocol can have here, because no payload is sent or taken.
    pub(super) fn message_bytes(self, index: usize) -> Option<usize> {
        // As the specification processes tokens: once there is a key, static keys and payloads carry a tag.
        let mut keyed = self.psks & 1 != 0;
        let with_tag = |length: usize, keyed: bool| if keyed { length + TAG_BYTES } else { length };
        let mut length = None;
        for (number, tokens) in self.pattern.messages().iter().take(index + 1).enumerate() {
            let mut bytes = 0;
            for token in *tokens {
                match token {
                    Token::E => {
                        bytes += KEY_BYTES;
                        keyed |= self.psks != 0;
                    }
                    Token::S => bytes += with_tag(KEY_BYTES, keyed),
                    Token::Dh => keyed = true,
                }
            }
            keyed |= self.psks & 1 << (number + 1) != 0;
            length = (number == index).then(|| with_tag(bytes, keyed));
        }
        length
    }
}

/// What a handshake message is made of, as far as its length goes.
#[derive(Clone, Copy)]
enum Token {
    /// An ephemeral key.
    E,
    /// A static key.
    S,
    /// The outcome of a key agreement: ee, es, se or ss.
    Dh,
}

impl Pattern {
    /// Its messages, the initiator's first and then in turn (Noise specification, section 7.5).
    fn messages(self) -> &'static [&'static [Token]] {
        use Token::{Dh, E, S};
        match self {
            Pattern::XK => &[&[E, Dh], &[E, Dh], &[S, Dh]],
            Pattern::XX => &[&[E], &[E, Dh, S, Dh], &[S, Dh]],
            Pattern::IK => &[&[E, Dh, S, Dh], &[E, Dh, Dh]],
            Pattern::KK => &[&[E, Dh, Dh], &[E, Dh, Dh]],
            Pattern::NK => &[&[E, Dh], &[E, Dh]],
            Pattern::NN => &[&[E], &[E, Dh]],
        }
    }

    fn name(self) -> &'static str {
        match self {
            Pattern::XK => "XK",
            Pattern::XX => "XX",
            Pattern::IK => "IK",
            Pattern::KK => "KK",
            Pattern::NK => "NK",
            Pattern::NN => "NN",
        }
    }
}

impl Cipher {
    fn name(self) -> &'static str {
        match self {
            Cipher::AesGcm => "AESGCM",
            Cipher::ChaChaPoly => "ChaChaPoly",
        }
    }
}

impl Hash {
    fn name(self) -> &'static str {
        match self {
            Hash::Sha256 => "SHA256",
            Hash::Sha512 => "SHA512",
            Hash::Blake2s => "BLAKE2s",
            Hash::Blake2b => "BLAKE2b",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Noise_{}", self.pattern.name())?;
        for (nth, position) in self.psk_positions().enumerate() {
            write!(f, "{}psk{position}", if nth > 0 { "+" } else { "" })?;
        }
        write!(f, "_25519_{}_{}", self.cipher.name(), self.hash.name())
    }
}

const PATTERNS: [Pattern; 6] = [Pattern::XK, Pattern::XX, Pattern::IK, Pattern::KK, Pattern::NK, Pattern::NN];
const CIPHERS: [Cipher; 2] = [Cipher::AesGcm, Cipher::ChaChaPoly];
const HASHES: [Hash; 4] = [Hash::Sha256, Hash::Sha512, Hash::Blake2s, Hash::Blake2b];

/// The full name as section 8 of the Noise specification has it, several pre-shared keys in ascending order.
impl FromStr for Protocol {
    type Err = Error;

    fn from_str(name: &str) -> Result<Protocol, Error> {
        parse(name).ok_or_else(|| {
            Error::Config(format!(
                "'{name}' is no Noise protocol that this crate has: write Noise_PATTERN_25519_CIPHER_HASH with \
                 XK, XX, IK, KK, NK or NN (and psk0 to psk3), AESGCM or ChaChaPoly, SHA256, SHA512, BLAKE2s or \
                 BLAKE2b"
            ))
        })
    }
}

fn parse(name: &str) -> Option<Protocol> {
    let (handshake, primitives) = name.strip_prefix("Noise_")?.split_once("_25519_")?;
    let (cipher, hash) = primitives.split_once('_')?;
    let pattern = PATTERNS.into_iter().find(|pattern| handshake.starts_with(pattern.name()))?;
    let mut protocol = Protocol::new(pattern);
    protocol.cipher = CIPHERS.into_iter().find(|each| each.name() == cipher)?;
    protocol.hash = HASHES.into_iter().find(|each| each.name() == hash)?;
    let modifiers = &handshake[pattern.name().len()..];
    for modifier in modifiers.split('+').filter(|_| !modifiers.is_empty()) {
        let position = modifier.strip_prefix("psk")?.parse().ok()?;
        protocol.add_psk(position);
        protocol.has_psk(position).then_some(())?;
    }
    // The name is hashed into the handshake: a spelling that we would write otherwise would never be understood.
    (protocol.to_string() == name).then_some(protocol)
}
