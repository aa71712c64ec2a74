//! `--tls CERT.pem,KEY.pem`: what a server example secures its listener with; and what a proxy secures its upstream
//! with.
#![allow(dead_code, reason = "each example uses the part that it needs")]

use std::str::FromStr;
use windlass::{Connect, Error, Listen};

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
            Some(_) => Err(WITHOUT_TLS),
        }
    }
}

/// The name that the upstream's certificate must be for, and whose certificates count; empty: no TLS, the system's.
#[derive(Default)]
pub struct Upstream {
    pub name: String,
    pub ca: String,
}

impl Upstream {
    /// The connection with TLS on it, or as it is where none is wanted.
    #[cfg(feature = "tls")]
    pub fn secure(&self, connect: Connect) -> Result<Connect, Error> {
        use windlass::tls::ClientTls;
        let tls = match (self.name.is_empty(), self.ca.is_empty()) {
            (true, _) => return Ok(connect),
            (false, true) => ClientTls::platform()?,
            (false, false) => ClientTls::builder().roots_file(&self.ca).build()?,
        };
        Ok(connect.tls(&tls, &self.name))
    }

    #[cfg(not(feature = "tls"))]
    pub fn secure(&self, connect: Connect) -> Result<Connect, Error> {
        if self.name.is_empty() { Ok(connect) } else { Err(WITHOUT_TLS) }
    }
}

#[cfg(not(feature = "tls"))]
const WITHOUT_TLS: Error = Error::Unsupported("TLS in an example built without the feature `tls`");
