//! Static keys of Noise peers: made, kept in files, shown.

use crate::error::Error;
use crate::limits::NOISE_KEY_FILE_BYTES_MAX;
use aws_lc_rs::agreement::{PrivateKey, X25519};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Bytes of a secret, public or pre-shared key.
pub(super) const KEY_BYTES: usize = 32;

/// The static key pair by which a Noise peer is known: X25519 (RFC 7748).
///
/// Cheap to clone, as clones share one key; the secret is overwritten when the last one is dropped, and never
/// printed by `Debug`. A connection that uses the key computes no public key again.
///
/// ```
/// # fn main() -> Result<(), windlass::Error> {
/// use windlass::noise::KeyPair;
///
/// let path = std::env::temp_dir().join(format!("windlass-doc-{}.key", std::process::id()));
/// let keys = KeyPair::generate()?;
/// keys.store(&path)?; // readable by its owner only; refuses to overwrite
/// println!("public key {}", keys.public());
/// assert_eq!(KeyPair::load(&path)?.public(), keys.public());
/// # std::fs::remove_file(path).ok();
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct KeyPair(Arc<Inner>);

struct Inner {
    secret: Secret,
    private: PrivateKey,
    public: PublicKey,
}

impl KeyPair {
    /// A new key pair from the system's randomness.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the system gives no random bytes.
    pub fn generate() -> Result<KeyPair, Error> {
        let mut secret = Zeroizing::new([0; KEY_BYTES]);
        aws_lc_rs::rand::fill(&mut *secret)
            .map_err(|_| Error::Unsupported("a Noise key needs random bytes and the system gave none"))?;
        Ok(KeyPair::from_secret(&secret))
    }

    /// The key pair of a secret key: 32 bytes, every value of which is one. Wiping the caller's copy is the
    /// caller's part.
    #[must_use]
    pub fn from_secret(secret: &[u8; KEY_BYTES]) -> KeyPair {
        let private =
            PrivateKey::from_private_key(&X25519, secret).expect("X25519 takes every secret of 32 bytes");
        let public = public_of(&private);
        KeyPair(Arc::new(Inner { secret: Secret::new(secret), private, public }))
    }

    /// The key pair of a secret key in hex: 64 digits, of either case.
    ///
    /// # Errors
    /// [`Error::Config`] if it is anything else. The message does not repeat it.
    pub fn from_secret_hex(hex: &str) -> Result<KeyPair, Error> {
        let mut secret = Zeroizing::new([0; KEY_BYTES]);
        decode_hex(hex.as_bytes(), &mut secret)
            .ok_or_else(|| Error::Config("a secret Noise key is 64 hex digits".into()))?;
        Ok(KeyPair::from_secret(&secret))
    }

    /// The secret key in hex, in the caller's hands: this copy is not wiped.
    #[must_use]
    pub fn secret_hex(&self) -> String {
        encode_hex(self.secret()).to_string()
    }

    /// Reads a file that holds a secret key as 64 hex digits, with or without a line end.
    ///
    /// Who else may read the file is not looked at: a secret that an orchestrator mounts is often readable by
    /// more than its owner.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, [`Error::Config`] if it holds anything else.
    pub fn load(path: impl AsRef<Path>) -> Result<KeyPair, Error> {
        let path = path.as_ref();
        // One read into memory that is wiped and does not grow, so that no copy stays behind.
        let mut text = Zeroizing::new([0; NOISE_KEY_FILE_BYTES_MAX]);
        let length = File::open(path)
            .and_then(|file| read_up_to(file, &mut *text))
            .map_err(|source| Error::io(format!("read the Noise key in {}", path.display()), source))?;
        let mut secret = Zeroizing::new([0; KEY_BYTES]);
        decode_hex(text[..length].trim_ascii(), &mut secret).ok_or_else(|| {
            Error::Config(format!(
                "{} holds no Noise key: that is 64 hex digits and nothing else",
                path.display()
            ))
        })?;
        Ok(KeyPair::from_secret(&secret))
    }

    /// Writes the secret key to a new file, as 64 hex digits and a line end, that only its owner may read or
    /// write. When this returns, the file will survive a crash of the system.
    ///
    /// # Errors
    /// [`Error::Io`] if the file exists, as a key that is overwritten is gone, or cannot be written; then
    /// nothing is left of it.
    pub fn store(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        let path = path.as_ref();
        let failed = |source| Error::io(format!("store a Noise key in {}", path.display()), source);
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
        let hex = encode_hex(self.secret());
        let written = file
            .write_all(hex.as_bytes())
            .and_then(|()| file.write_all(b"\n"))
            .and_then(|()| file.sync_all())
            .and_then(|()| sync_directory_of(path));
        written.map_err(|source| {
            // Half a key would be in the way of the next attempt. The first error is the one to tell.
            drop(std::fs::remove_file(path));
            failed(source)
        })
    }

    /// The public key: what peers know this one by.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        self.0.public
    }

    pub(super) fn secret(&self) -> &[u8; KEY_BYTES] {
        self.0.secret.bytes()
    }

    pub(super) fn public_bytes(&self) -> &[u8; KEY_BYTES] {
        self.0.public.as_bytes()
    }

    pub(super) fn private(&self) -> &PrivateKey {
        &self.0.private
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPair").field("public", &self.0.public).finish_non_exhaustive()
    }
}

/// The public half of a [`KeyPair`]. Shown and parsed as 64 hex digits.
///
/// ```
/// # fn main() -> Result<(), windlass::Error> {
/// use windlass::noise::PublicKey;
///
/// let key: PublicKey = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a".parse()?;
/// assert_eq!(key, PublicKey::from(*key.as_bytes()));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; KEY_BYTES]);

impl PublicKey {
    /// The key as it goes over the wire.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }
}

/// As they came from [`NoiseSession::peer`](crate::NoiseSession::peer), for instance. That they are a key that a
/// peer has is for the handshake to find out.
impl From<[u8; KEY_BYTES]> for PublicKey {
    fn from(bytes: [u8; KEY_BYTES]) -> PublicKey {
        PublicKey(bytes)
    }
}

/// 64 hex digits of either case.
impl FromStr for PublicKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<PublicKey, Error> {
        let mut bytes = [0; KEY_BYTES];
        match decode_hex(text.as_bytes(), &mut bytes) {
            Some(()) => Ok(PublicKey(bytes)),
            None => Err(Error::Config(format!("'{text}' is no public Noise key: that is 64 hex digits"))),
        }
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

/// 32 secret bytes that stay where they are until the last clone is dropped, and are overwritten then. As they
/// never move, no copy of them stays behind.
#[derive(Clone)]
pub(super) struct Secret(Arc<Zeroizing<[u8; KEY_BYTES]>>);

impl Secret {
    pub(super) fn new(bytes: &[u8; KEY_BYTES]) -> Secret {
        let mut secret = Arc::new(Zeroizing::new([0; KEY_BYTES]));
        Arc::get_mut(&mut secret).expect("nobody shares it yet").copy_from_slice(bytes);
        Secret(secret)
    }

    pub(super) fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }
}

/// The public key that belongs to a private one.
pub(super) fn public_of(private: &PrivateKey) -> PublicKey {
    let public = private.compute_public_key().expect("every X25519 key has a public half");
    PublicKey(public.as_ref().try_into().expect("X25519 public keys have 32 bytes"))
}

/// A new file is found again after a crash only if the directory it stands in was written as well. Some directories
/// may not be read, and some file systems have no such call: that is no reason to do without the key.
fn sync_directory_of(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    match File::open(parent.unwrap_or(Path::new("."))).and_then(|directory| directory.sync_all()) {
        Err(error) if is_not_offered(error.kind()) => Ok(()),
        synchronised => synchronised,
    }
}

fn is_not_offered(error: io::ErrorKind) -> bool {
    use io::ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
    matches!(error, InvalidInput | PermissionDenied | Unsupported)
}

/// Fills `buffer` as far as there is something to read, and says how far that was.
fn read_up_to(mut from: impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match from.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(n) => length += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

fn encode_hex(bytes: &[u8; KEY_BYTES]) -> Zeroizing<String> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut hex = Zeroizing::new(String::with_capacity(2 * KEY_BYTES));
    for byte in bytes {
        hex.push(DIGITS[usize::from(byte >> 4)].into());
        hex.push(DIGITS[usize::from(byte & 15)].into());
    }
    hex
}

/// Writes into the caller's memory, which the caller may want to wipe.
fn decode_hex(hex: &[u8], bytes: &mut [u8; KEY_BYTES]) -> Option<()> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    if hex.len() != 2 * KEY_BYTES {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
        *byte = u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).ok()?;
    }
    Some(())
}
