//! `--tls CERT.pem,KEY.pem`: what a server example secures its listener with.

use std::str::FromStr;
use windlass::{Error, Listen};

/// The names of the two files, if any.
#[derive(Default)]
pub struct Files(Option<(String, String)>);

impl FromStr for Files {
    type Err = ();

    fn from_str(word: &str) -> Result<Files, ()> {
        let (cert, key) = word.split_once(',').ok_or(())?;
        Ok(Files(Some((cert.into(), key.into()))))
    }
}

impl Files {
    /// The listener with TLS on it, or as it is where none is wanted.
    #[cfg(feature = "tls")]
    pub fn secure(&self, listen: Listen) -> Result<Listen, Error> {
        let Some((cert, key)) = &self.0 else { return Ok(listen) };
        Ok(listen.tls(&windlass::tls::ServerTls::from_pem_files(cert, key)?))
    }

    #[cfg(not(feature = "tls"))]
    pub fn secure(&self, listen: Listen) -> Result<Listen, Error> {
        match self.0 {
            None => Ok(listen),
            Some(_) => Err(Error::Unsupported("--tls in an example built without the feature `tls`")),
        }
    }
}
