//! The Noise protocol on connections: what users configure it with.
//!
//! [`Noise`] says who one is, whom one talks to and how; a [`KeyPair`] is who one is. Both ends must agree on the
//! [`Protocol`], the prologue and the pre-shared keys beforehand: nothing is negotiated, and who differs in any
//! of it fails in the handshake with [`Cause::Tampered`](crate::Cause::Tampered).
//!
//! ```
//! # fn main() -> Result<(), windlass::Error> {
//! use windlass::noise::{KeyPair, Noise};
//!
//! let (server, client) = (KeyPair::generate()?, KeyPair::generate()?);
//! let accepting = Noise::responder(&server).allow([client.public()]);
//! let connecting = Noise::initiator(&client, server.public());
//! # let _ = (accepting, connecting);
//! # Ok(())
//! # }
//! ```
//!
//! # On the wire
//!
//! Every message, of the handshake and after it, is its length as two bytes, most significant first, and the
//! message (Noise specification, section 13). Handshake messages carry no payload; one that does is refused by
//! its length. Of what is sent after the handshake a message holds 16 KiB at most, or as much as fills one TLS
//! record inside TLS; any length up to 65,535 bytes is taken. Messages without content are ignored, up to 32 in
//! a row.
//!
//! # What it does not promise
//!
//! - Noise has no mark for the end of a stream. Whoever can cut the connection between two messages can make a
//!   stream look finished; an application that must know says so in its own messages.
//! - Inside TLS, Noise has its own handshake and is not bound to the TLS channel.
//! - An initiator is open as soon as its last handshake message is sent. A responder that does not accept it
//!   then closes, and the first thing heard is the end of the stream.
//! - With [`Pattern::IK`] and [`Pattern::KK`] a responder opens after the first message, which may be a
//!   recorded one.
//! - Static secrets, pre-shared keys and ciphers' keys that this crate or aws-lc holds are overwritten when they
//!   are freed. What snow copies during a handshake is not: its chaining keys, the pre-shared keys and the
//!   outcomes of key agreements.

#[cfg(any(test, fuzzing))]
#[cfg_attr(not(test), allow(dead_code, reason = "the fuzz target needs only some of it"))]
mod ends;
#[cfg(any(test, fuzzing))]
mod fuzz;
mod keys;
mod pattern;
mod resolver;
#[cfg(test)]
mod tests;
mod transformer;

pub use keys::{KeyPair, PublicKey};
pub use pattern::{Cipher, Hash, Pattern, Protocol};
pub(crate) use transformer::NoiseTransformer;

use crate::error::Error;
use crate::limits::{NOISE_PLAINTEXT_BYTES_MAX, NOISE_REKEY_MESSAGES};
use keys::{KEY_BYTES, Secret};
use resolver::Resolver;
use snow::params::NoiseParams;
use snow::{Builder, HandshakeState};
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What is hashed into the handshake unless [`Noise::prologue`] says otherwise.
const PROLOGUE: &[u8] = b"windlass/1";

/// How old a session may get by default.
const SESSION_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Decides about the peer's static key.
type Check = dyn Fn(&PublicKey) -> bool + Send + Sync;

/// One side of Noise connections, as a value to give to `Listen` and `Connect`. Cheap to clone: clones share all
/// of it until one is changed.
///
/// The default is `Noise_XK_25519_AESGCM_SHA256` with the prologue `windlass/1`, a new key for each direction
/// after 2^20 messages, and an end after 24 hours. What contradicts itself is told by the listen or connect call
/// that it is given to.
///
/// ```
/// # fn main() -> Result<(), windlass::Error> {
/// use windlass::noise::{Cipher, Hash, KeyPair, Noise, Pattern};
///
/// // As an existing service wants it, of which we know only the key.
/// let keys = KeyPair::generate()?;
/// let service = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a".parse()?;
/// let noise = Noise::initiator(&keys, service)
///     .pattern(Pattern::XX)
///     .cipher(Cipher::ChaChaPoly)
///     .hash(Hash::Blake2s)
///     .psk(3, &[7; 32])
///     .prologue(b"service v3")
///     .rekey_after(None);
/// assert_eq!(noise.protocol_name(), "Noise_XXpsk3_25519_ChaChaPoly_BLAKE2s");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Noise(Arc<Config>);

#[derive(Clone)]
struct Config {
    role: Role,
    trust: Trust,
    protocol: Protocol,
    keys: Option<KeyPair>,
    /// The peer's key is one of these.
    allowed: Option<HashSet<PublicKey>>,
    /// And this says yes to it.
    check: Option<Arc<Check>>,
    /// Pre-shared keys and their positions.
    psks: Vec<(u8, Secret)>,
    prologue: Vec<u8>,
    rekey_after: Option<u64>,
    session_max: Option<Duration>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Role {
    Initiator,
    Responder,
}

/// Who is authenticated. It is chosen with the constructor, so that no later option weakens it unseen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Trust {
    Both,
    ResponderOnly,
    Nobody,
}

impl Noise {
    fn new(role: Role, trust: Trust, pattern: Pattern) -> Noise {
        Noise(Arc::new(Config {
            role,
            trust,
            protocol: Protocol::new(pattern),
            keys: None,
            allowed: None,
            check: None,
            psks: Vec::new(),
            prologue: PROLOGUE.to_vec(),
            rekey_after: Some(NOISE_REKEY_MESSAGES),
            session_max: Some(SESSION_MAX),
        }))
    }

    fn with(mut self, change: impl FnOnce(&mut Config)) -> Noise {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// The side that accepts connections, known by `keys`.
    ///
    /// Initiators are authenticated, and all are welcome unless [`Noise::allow`] or [`Noise::check`] choose among
    /// them: `Opened` says who came.
    #[must_use]
    pub fn responder(keys: &KeyPair) -> Noise {
        Noise::new(Role::Responder, Trust::Both, Pattern::XK).with(|config| config.keys = Some(keys.clone()))
    }

    /// The side that connects, known by `keys`, to the responder whose public key is `responder` and to no other.
    #[must_use]
    pub fn initiator(keys: &KeyPair, responder: PublicKey) -> Noise {
        Noise::new(Role::Initiator, Trust::Both, Pattern::XK).with(|config| {
            config.keys = Some(keys.clone());
            config.allowed = Some(HashSet::from([responder]));
        })
    }

    /// The side that connects, known by `keys`, to a responder whose key it does not know beforehand: `check`
    /// decides about the key that the responder shows, before ours is sent. The pattern is [`Pattern::XX`].
    ///
    /// With a check that accepts everything one talks to whoever is in between.
    #[must_use]
    pub fn xx_initiator(keys: &KeyPair, check: impl Fn(&PublicKey) -> bool + Send + Sync + 'static) -> Noise {
        let noise = Noise::new(Role::Initiator, Trust::Both, Pattern::XX).check(check);
        noise.with(|config| config.keys = Some(keys.clone()))
    }

    /// The side that accepts connections from initiators that stay unknown: [`Pattern::NK`]. `Opened` names no
    /// peer.
    #[must_use]
    pub fn unauthenticated_nk_responder(keys: &KeyPair) -> Noise {
        Noise::new(Role::Responder, Trust::ResponderOnly, Pattern::NK)
            .with(|config| config.keys = Some(keys.clone()))
    }

    /// The side that connects without a key of its own, to the responder whose public key is `responder`:
    /// [`Pattern::NK`].
    #[must_use]
    pub fn unauthenticated_nk_initiator(responder: PublicKey) -> Noise {
        Noise::new(Role::Initiator, Trust::ResponderOnly, Pattern::NK)
            .with(|config| config.allowed = Some(HashSet::from([responder])))
    }

    /// The side that accepts connections where nobody is authenticated: [`Pattern::NN`]. Safe from those who only
    /// listen; with a [`Noise::psk`], whoever has it may come in.
    #[must_use]
    pub fn unauthenticated_nn_responder() -> Noise {
        Noise::new(Role::Responder, Trust::Nobody, Pattern::NN)
    }

    /// The side that connects where nobody is authenticated: [`Pattern::NN`].
    #[must_use]
    pub fn unauthenticated_nn_initiator() -> Noise {
        Noise::new(Role::Initiator, Trust::Nobody, Pattern::NN)
    }

    /// Takes another handshake pattern. Default [`Pattern::XK`].
    ///
    /// With [`Pattern::KK`] a responder must [`Noise::allow`] exactly one key, which is the initiator's.
    #[must_use]
    pub fn pattern(self, pattern: Pattern) -> Noise {
        self.with(|config| config.protocol.pattern = pattern)
    }

    /// Takes another cipher. Default [`Cipher::AesGcm`].
    #[must_use]
    pub fn cipher(self, cipher: Cipher) -> Noise {
        self.with(|config| config.protocol.cipher = cipher)
    }

    /// Takes another hash. Default [`Hash::Sha256`].
    #[must_use]
    pub fn hash(self, hash: Hash) -> Noise {
        self.with(|config| config.protocol.hash = hash)
    }

    /// Takes a whole protocol, as parsed from its full name. Each pre-shared key that it names is then to be given
    /// with [`Noise::psk`].
    #[must_use]
    pub fn protocol(self, protocol: Protocol) -> Noise {
        self.with(|config| config.protocol = protocol)
    }

    /// Mixes a secret that both ends share into the handshake: at `position` 0 before the first message, at
    /// position n at the end of the nth. The name of the protocol becomes `XKpsk3`, for instance.
    ///
    /// Commonly used are `psk3` with XK and XX and `psk2` with IK, KK, NK and NN. A key of which anyone may guess
    /// the words is no secret: use 32 random bytes.
    #[must_use]
    pub fn psk(self, position: u8, key: &[u8; KEY_BYTES]) -> Noise {
        self.with(|config| {
            config.protocol.add_psk(position);
            config.psks.retain(|(other, _)| *other != position);
            config.psks.push((position, Secret::new(key)));
        })
    }

    /// Hashes `prologue` into the handshake, which fails unless both ends have the same: the name and version of
    /// the application's protocol, for instance. Default `windlass/1`.
    #[must_use]
    pub fn prologue(self, prologue: &[u8]) -> Noise {
        self.with(|config| config.prologue = prologue.to_vec())
    }

    /// Accepts these peer keys, besides those given before, and no others: anything else is
    /// [`Cause::KeyNotAllowed`](crate::Cause::KeyNotAllowed) before `Opened`. An empty list lets nobody in.
    ///
    /// For an initiator they stand beside the key given to [`Noise::initiator`]: for the time in which a responder
    /// changes its key, or for one of several. That needs [`Pattern::XX`], where the responder shows its key.
    #[must_use]
    pub fn allow(self, keys: impl IntoIterator<Item = PublicKey>) -> Noise {
        self.with(|config| config.allowed.get_or_insert_default().extend(keys))
    }

    /// Has `check` decide about the peer's key before `Opened`, after [`Noise::allow`] if both are there. It is
    /// called in the middle of a handshake, on the reactor's thread, and must not block. A later one replaces an
    /// earlier one.
    #[must_use]
    pub fn check(self, check: impl Fn(&PublicKey) -> bool + Send + Sync + 'static) -> Noise {
        self.with(|config| config.check = Some(Arc::new(check)))
    }

    /// Changes the key of each direction after every `messages` messages in it; `None` never does. Default 2^20.
    ///
    /// The rule, for peers that want to follow: messages after the handshake are counted in each direction, from
    /// 1, empty ones included. After message `messages`, and after every further multiple of it, the sender and the
    /// receiver of that direction apply `REKEY` (Noise specification, sections 4.2 and 11.3); that message is
    /// the last under the old key. The nonce goes on counting.
    ///
    /// Peers made with other software do not rekey on their own: give them `None`. The specification then allows
    /// 2^64 messages, but the margin of AES-GCM shrinks after about 2^24 messages of 16 KiB under one key
    /// (RFC 8446, section 5.5), so end such sessions in time.
    ///
    /// A new key comes from the old one: who has stolen the current key can compute all that follow. Only a new
    /// session ends that, hence [`Noise::session_max`].
    #[must_use]
    pub fn rekey_after(self, messages: Option<u64>) -> Noise {
        self.with(|config| config.rekey_after = messages)
    }

    /// Ends a session with [`Cause::SessionExpired`](crate::Cause::SessionExpired) when it is as old as that;
    /// `None` lets it live. Default 24 hours. The end of the handshake is when it is born.
    #[must_use]
    pub fn session_max(self, age: Option<Duration>) -> Noise {
        self.with(|config| config.session_max = age)
    }

    /// The full name of the protocol, as it is hashed into the handshake.
    #[must_use]
    pub fn protocol_name(&self) -> String {
        self.0.protocol.to_string()
    }
}

impl fmt::Debug for Noise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let config = &*self.0;
        f.debug_struct("Noise")
            .field("role", &config.role)
            .field("protocol", &format_args!("{}", config.protocol))
            .field("keys", &config.keys)
            .field("allowed", &config.allowed)
            .field("rekey_after", &config.rekey_after)
            .field("session_max", &config.session_max)
            .finish_non_exhaustive()
    }
}

impl Config {
    /// The one key that the peer must have where the pattern presumes that it is known.
    fn known_peer(&self) -> Option<PublicKey> {
        let presumed = match (self.protocol.pattern, self.role) {
            (Pattern::XX | Pattern::NN, _) => false,
            (Pattern::KK, _) | (_, Role::Initiator) => true,
            (_, Role::Responder) => false,
        };
        self.allowed.iter().flatten().next().copied().filter(|_| presumed)
    }

    fn admits(&self, peer: &PublicKey) -> bool {
        self.allowed.as_ref().is_none_or(|allowed| allowed.contains(peer))
            && self.check.as_ref().is_none_or(|check| check(peer))
    }

    /// Says what contradicts itself.
    fn validate(&self, role: Role) -> Result<(), Error> {
        let refuse = |why: String| Err(Error::Config(format!("Noise ({}): {why}", self.protocol)));
        let pattern = self.protocol.pattern;
        let trust = match pattern {
            Pattern::NK => Trust::ResponderOnly,
            Pattern::NN => Trust::Nobody,
            _ => Trust::Both,
        };
        if role != self.role {
            return refuse(match role {
                Role::Responder => {
                    "who accepts connections is a responder; this value is an initiator's".into()
                }
                Role::Initiator => "who connects is an initiator; this value is a responder's".into(),
            });
        }
        if trust != self.trust {
            return refuse(
                "NK and NN authenticate less: they are chosen with Noise::unauthenticated_* only".into(),
            );
        }
        let peer_shows_no_key =
            trust == Trust::Nobody || trust == Trust::ResponderOnly && role == Role::Responder;
        if peer_shows_no_key && (self.allowed.is_some() || self.check.is_some()) {
            return refuse("the peer shows no key that could be allowed or checked".into());
        }
        let allowed = self.allowed.as_ref().map_or(0, HashSet::len);
        let wants_one = pattern == Pattern::KK
            || role == Role::Initiator && !matches!(pattern, Pattern::XX | Pattern::NN);
        if wants_one && allowed != 1 {
            return refuse(format!("the pattern presumes exactly one key of the peer; {allowed} are given"));
        }
        if let Some(missing) =
            self.protocol.psk_positions().find(|named| self.psks.iter().all(|(given, _)| given != named))
        {
            return refuse(format!("the key of psk{missing} is missing: give it with Noise::psk"));
        }
        if let Some((stray, _)) = self.psks.iter().find(|(given, _)| !self.protocol.has_psk(*given)) {
            return refuse(format!("a key for psk{stray} is given, and the pattern has no such place"));
        }
        if self.rekey_after == Some(0) || self.session_max == Some(Duration::ZERO) {
            return refuse("never to rekey or to expire is None, not zero".into());
        }
        Ok(())
    }
}

/// What the Noise layer of a listener's or a connect's connections is to be, checked.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    plan: Arc<Plan>,
    plain_bytes_max: u16,
}

/// A configuration and what is derived from it once for all connections.
struct Plan {
    config: Noise,
    params: NoiseParams,
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.config.fmt(f)
    }
}

impl Wanted {
    /// For connections that are accepted; an initiator's configuration is refused.
    pub(crate) fn accepting(noise: &Noise) -> Result<Wanted, Error> {
        Wanted::new(noise, Role::Responder)
    }

    /// For connections that are made; a responder's configuration is refused.
    pub(crate) fn connecting(noise: &Noise) -> Result<Wanted, Error> {
        Wanted::new(noise, Role::Initiator)
    }

    fn new(noise: &Noise, role: Role) -> Result<Wanted, Error> {
        noise.0.validate(role)?;
        let unknown = |problem| Error::Config(format!("Noise ({}): {problem}", noise.0.protocol));
        let params = noise.protocol_name().parse().map_err(unknown)?;
        let plan = Plan { config: noise.clone(), params };
        // What the checks above let through, snow refuses here and not in the middle of a handshake.
        plan.start().map_err(unknown)?;
        Ok(Wanted { plan: Arc::new(plan), plain_bytes_max: bound(NOISE_PLAINTEXT_BYTES_MAX) })
    }

    /// The same inside TLS, where messages are made to fit a record.
    #[cfg(feature = "tls")]
    pub(crate) fn inside_tls(self) -> Wanted {
        Wanted { plain_bytes_max: bound(crate::limits::NOISE_PLAINTEXT_INSIDE_TLS_BYTES_MAX), ..self }
    }

    /// The layer of a new connection.
    pub(crate) fn begin(&self) -> NoiseTransformer {
        NoiseTransformer::new(self.clone())
    }
}

/// A named bound as a length on the wire.
const fn bound(bytes: usize) -> u16 {
    assert!(bytes <= u16::MAX as usize);
    bytes as u16
}

impl Plan {
    fn config(&self) -> &Config {
        &self.config.0
    }

    /// The state of a new handshake.
    fn start(&self) -> Result<HandshakeState, snow::Error> {
        let config = self.config();
        let resolver = Box::new(Resolver { keys: config.keys.clone() });
        let mut builder = Builder::with_resolver(self.params.clone(), resolver).prologue(&config.prologue)?;
        if let Some(keys) = &config.keys {
            builder = builder.local_private_key(keys.secret())?;
        }
        let peer = config.known_peer();
        if let Some(peer) = &peer {
            builder = builder.remote_public_key(peer.as_bytes())?;
        }
        for (position, psk) in &config.psks {
            builder = builder.psk(*position, psk.bytes())?;
        }
        match config.role {
            Role::Initiator => builder.build_initiator(),
            Role::Responder => builder.build_responder(),
        }
    }
}

/// The fuzz target of the Noise layer: `fuzz_target!(|data: &[u8]| windlass::noise::fuzz_sessions(data))`. It exists only
/// in builds with `--cfg fuzzing`, which fuzzers set; as a randomised test it runs with the others.
#[cfg(fuzzing)]
pub fn fuzz_sessions(data: &[u8]) {
    fuzz::fuzz(data);
}
