//! The cryptography that snow is given: aws-lc-rs for all but BLAKE2, which RustCrypto has.
//!
//! Static and ephemeral secrets stay in memory that aws-lc wipes when it frees it; so do the cipher keys. What
//! snow itself copies during a handshake, it does not wipe: chaining keys, pre-shared keys, the outcome of each
//! key agreement, and on its stack the keys on their way into a cipher.

use super::keys::{KEY_BYTES, KeyPair, PublicKey, public_of};
use aws_lc_rs::aead::{self, AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{self, Context, SHA256, SHA512};
use blake2::digest::{Digest, FixedOutputReset};
use blake2::{Blake2b512, Blake2s256};
use snow::Error;
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::CryptoResolver;
use snow::types::{Cipher, Dh, Hash, Random};
use zeroize::Zeroizing;

/// Bytes by which a sealed message is longer than its plaintext.
pub(super) const TAG_BYTES: usize = 16;

/// Gives snow what it asks for by name.
pub(super) struct Resolver {
    /// Our static keys: what snow hands to [`Dh::set`], with the public half already known.
    pub(super) keys: Option<KeyPair>,
}

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(SystemRandom))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        match choice {
            DHChoice::Curve25519 => Some(Box::new(Agreement { ours: self.keys.clone(), held: Held::None })),
            DHChoice::Curve448 => None,
        }
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        Some(match choice {
            HashChoice::SHA256 => Box::new(Sha::new("SHA256", &SHA256)),
            HashChoice::SHA512 => Box::new(Sha::new("SHA512", &SHA512)),
            HashChoice::Blake2s => Box::new(Blake::<Blake2s256>::new("BLAKE2s", 64)),
            HashChoice::Blake2b => Box::new(Blake::<Blake2b512>::new("BLAKE2b", 128)),
        })
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        Some(match choice {
            CipherChoice::AESGCM => Box::new(AesGcm { key: None }),
            CipherChoice::ChaChaPoly => Box::new(ChaChaPoly { key: None }),
        })
    }
}

struct SystemRandom;

impl Random for SystemRandom {
    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), Error> {
        aws_lc_rs::rand::fill(dest).map_err(|_| Error::Rng)
    }
}

/// X25519 with one key of ours.
struct Agreement {
    /// The static keys of this side, wherever this one may be told to use them.
    ours: Option<KeyPair>,
    held: Held,
}

enum Held {
    None,
    Static(KeyPair),
    Ephemeral(PrivateKey, PublicKey),
}

impl Dh for Agreement {
    fn name(&self) -> &'static str {
        "25519"
    }

    fn pub_len(&self) -> usize {
        KEY_BYTES
    }

    fn priv_len(&self) -> usize {
        KEY_BYTES
    }

    /// Takes the public half from our static keys if these are they: that saves the multiplication which would
    /// compute it once more.
    fn set(&mut self, secret: &[u8]) {
        self.held = match &self.ours {
            Some(keys) if verify_slices_are_equal(keys.secret(), secret).is_ok() => {
                Held::Static(keys.clone())
            }
            _ => match PrivateKey::from_private_key(&X25519, secret) {
                Ok(private) => {
                    let public = public_of(&private);
                    Held::Ephemeral(private, public)
                }
                Err(_) => Held::None,
            },
        };
    }

    fn generate(&mut self, _: &mut dyn Random) -> Result<(), Error> {
        let private = PrivateKey::generate(&X25519).map_err(|_| Error::Rng)?;
        let public = public_of(&private);
        self.held = Held::Ephemeral(private, public);
        Ok(())
    }

    fn pubkey(&self) -> &[u8] {
        match &self.held {
            Held::None => &[],
            Held::Static(keys) => keys.public_bytes(),
            Held::Ephemeral(_, public) => public.as_bytes(),
        }
    }

    /// Nothing: snow asks only in order to hand out a pair that it made, and pairs are made elsewhere.
    fn privkey(&self) -> &[u8] {
        &[]
    }

    /// Refuses public keys of low order, with which the outcome would be zero whatever our secret is.
    fn dh(&self, public: &[u8], out: &mut [u8]) -> Result<(), Error> {
        let private = match &self.held {
            Held::None => return Err(Error::Dh),
            Held::Static(keys) => keys.private(),
            Held::Ephemeral(private, _) => private,
        };
        let theirs = UnparsedPublicKey::new(&X25519, &public[..KEY_BYTES]);
        agree(private, theirs, Error::Dh, |shared| {
            out[..shared.len()].copy_from_slice(shared);
            Ok(())
        })
    }
}

/// SHA-2 by aws-lc.
struct Sha {
    name: &'static str,
    algorithm: &'static digest::Algorithm,
    context: Context,
}

impl Sha {
    fn new(name: &'static str, algorithm: &'static digest::Algorithm) -> Sha {
        Sha { name, algorithm, context: Context::new(algorithm) }
    }
}

impl Hash for Sha {
    fn name(&self) -> &'static str {
        self.name
    }

    fn block_len(&self) -> usize {
        self.algorithm.block_len()
    }

    fn hash_len(&self) -> usize {
        self.algorithm.output_len()
    }

    fn reset(&mut self) {
        self.context = Context::new(self.algorithm);
    }

    fn input(&mut self, data: &[u8]) {
        self.context.update(data);
    }

    fn result(&mut self, out: &mut [u8]) {
        let context = std::mem::replace(&mut self.context, Context::new(self.algorithm));
        let digest = context.finish();
        out[..self.hash_len()].copy_from_slice(digest.as_ref());
    }
}

/// BLAKE2 by RustCrypto, without a key: Noise puts keys in by HMAC.
struct Blake<D> {
    name: &'static str,
    block_bytes: usize,
    state: D,
}

impl<D: Digest> Blake<D> {
    fn new(name: &'static str, block_bytes: usize) -> Blake<D> {
        Blake { name, block_bytes, state: D::new() }
    }
}

impl<D: Digest + FixedOutputReset + Send + Sync> Hash for Blake<D> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn block_len(&self) -> usize {
        self.block_bytes
    }

    fn hash_len(&self) -> usize {
        <D as Digest>::output_size()
    }

    fn reset(&mut self) {
        self.state = D::new();
    }

    fn input(&mut self, data: &[u8]) {
        Digest::update(&mut self.state, data);
    }

    fn result(&mut self, out: &mut [u8]) {
        out[..self.hash_len()].copy_from_slice(&self.state.finalize_reset());
    }
}

/// AES-256-GCM. The nonce counts in big-endian order (Noise specification, section 12.4).
struct AesGcm {
    key: Option<LessSafeKey>,
}

/// ChaCha20-Poly1305. The nonce counts in little-endian order (Noise specification, section 12.3).
struct ChaChaPoly {
    key: Option<LessSafeKey>,
}

impl AesGcm {
    fn nonce(count: u64) -> Nonce {
        let mut nonce = [0; aead::NONCE_LEN];
        nonce[4..].copy_from_slice(&count.to_be_bytes());
        Nonce::assume_unique_for_key(nonce)
    }
}

impl ChaChaPoly {
    fn nonce(count: u64) -> Nonce {
        let mut nonce = [0; aead::NONCE_LEN];
        nonce[4..].copy_from_slice(&count.to_le_bytes());
        Nonce::assume_unique_for_key(nonce)
    }
}

/// What both ciphers do alike: everything but the order of the nonce's bytes.
macro_rules! cipher {
    ($cipher:ident, $name:literal, $algorithm:expr) => {
        impl Cipher for $cipher {
            fn name(&self) -> &'static str {
                $name
            }

            fn set(&mut self, key: &[u8; KEY_BYTES]) {
                self.key = Some(bind($algorithm, key));
            }

            #[inline]
            fn encrypt(&self, nonce: u64, authtext: &[u8], plaintext: &[u8], out: &mut [u8]) -> usize {
                seal(self.key.as_ref(), Self::nonce(nonce), authtext, plaintext, out)
            }

            #[inline]
            fn decrypt(
                &self,
                nonce: u64,
                authtext: &[u8],
                ciphertext: &[u8],
                out: &mut [u8],
            ) -> Result<usize, Error> {
                open(self.key.as_ref(), Self::nonce(nonce), authtext, ciphertext, out)
            }

            /// As the trait does it (Noise specification, section 4.2), but leaves no key on the stack.
            fn rekey(&mut self) {
                let mut sealed = Zeroizing::new([0; KEY_BYTES + TAG_BYTES]);
                self.encrypt(u64::MAX, &[], &[0; KEY_BYTES], &mut *sealed);
                self.key = Some(bind($algorithm, &sealed[..KEY_BYTES]));
            }
        }
    };
}

cipher!(AesGcm, "AESGCM", &AES_256_GCM);
cipher!(ChaChaPoly, "ChaChaPoly", &CHACHA20_POLY1305);

fn bind(algorithm: &'static aead::Algorithm, key: &[u8]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(algorithm, key).expect("both ciphers take keys of 32 bytes"))
}

/// Snow seals and opens only after it has set a key, and it checks all lengths first.
fn seal(key: Option<&LessSafeKey>, nonce: Nonce, authtext: &[u8], plaintext: &[u8], out: &mut [u8]) -> usize {
    let (ciphertext, tag) = out[..plaintext.len() + TAG_BYTES].split_at_mut(plaintext.len());
    key.expect("snow sets a key before it seals")
        .seal_out_of_place_scatter(nonce, Aad::from(authtext), plaintext, ciphertext, &[], tag)
        .expect("a message of at most 64 KiB can be sealed");
    plaintext.len() + TAG_BYTES
}

fn open(
    key: Option<&LessSafeKey>,
    nonce: Nonce,
    authtext: &[u8],
    sealed: &[u8],
    out: &mut [u8],
) -> Result<usize, Error> {
    let length = sealed.len().checked_sub(TAG_BYTES).ok_or(Error::Decrypt)?;
    let (ciphertext, tag) = sealed.split_at(length);
    key.ok_or(Error::Decrypt)?
        .open_separate_gather(nonce, Aad::from(authtext), ciphertext, tag, &mut out[..length])
        .map_err(|_| Error::Decrypt)?;
    Ok(length)
}
