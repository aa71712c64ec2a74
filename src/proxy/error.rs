//! What can be wrong with a wish that concerns a proxy.

use crate::error::Error;
use std::fmt;

/// Why a wish was not fulfilled. Nothing was changed, and no proxied connection was touched.
#[derive(Debug)]
#[non_exhaustive]
pub enum ProxyError {
    /// There is no proxy of this name.
    ProxyNotFound(String),
    /// The proxy has no toxic of this name.
    ToxicNotFound(String),
    /// There is a proxy of this name already.
    ProxyExists(String),
    /// The proxy has a toxic of this name already.
    ToxicExists(String),
    /// There is no such type of toxic.
    UnknownType(String),
    /// Something about it makes no sense; the sentence says what.
    Invalid(String),
    /// The address cannot be listened on.
    Listen(Error),
    /// A bound of the reactor is reached.
    Limit(Error),
    /// The thread that the proxy runs on has ended.
    Ended,
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProxyError::ProxyNotFound(name) => write!(f, "proxy not found: there is none called '{name}'"),
            ProxyError::ToxicNotFound(name) => {
                write!(f, "toxic not found: the proxy has none called '{name}'")
            }
            ProxyError::ProxyExists(name) => write!(f, "proxy already exists: one is called '{name}'"),
            ProxyError::ToxicExists(name) => {
                write!(f, "toxic already exists: one of this proxy is called '{name}'")
            }
            ProxyError::UnknownType(kind) => write!(
                f,
                "invalid toxic type '{kind}'; there are {}",
                super::plan::ToxicKind::TYPES.join(", ")
            ),
            ProxyError::Invalid(sentence) => f.write_str(sentence),
            ProxyError::Listen(error) | ProxyError::Limit(error) => error.fmt(f),
            ProxyError::Ended => f.write_str("the proxy's thread has ended"),
        }
    }
}

impl std::error::Error for ProxyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ProxyError::Listen(error) | ProxyError::Limit(error) => Some(error),
            _ => None,
        }
    }
}
