//! Where certificates, keys and revocation lists come from: files in PEM, or bytes in PEM.

use crate::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// A source of PEM that can be read again when the configuration is reloaded.
#[derive(Clone)]
pub(super) enum Pem {
    File(PathBuf),
    Bytes(Zeroizing<Vec<u8>>),
}

impl Pem {
    pub(super) fn file(path: impl AsRef<Path>) -> Pem {
        Pem::File(path.as_ref().to_owned())
    }

    pub(super) fn bytes(bytes: impl AsRef<[u8]>) -> Pem {
        Pem::Bytes(Zeroizing::new(bytes.as_ref().to_owned()))
    }

    /// All of it. `what` says in an error what was to be read.
    pub(super) fn read(&self, what: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
        match self {
            Pem::File(path) => std::fs::read(path)
                .map(Zeroizing::new)
                .map_err(|error| Error::io(format!("read {what} from {}", path.display()), error)),
            Pem::Bytes(bytes) => Ok(bytes.clone()),
        }
    }
}

/// How it is called in an error.
impl fmt::Display for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pem::File(path) => path.display().fmt(f),
            Pem::Bytes(_) => f.write_str("the bytes given"),
        }
    }
}

/// Says nothing of the bytes: a key may be among them.
impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pem::File(path) => path.fmt(f),
            Pem::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
        }
    }
}
