//! The sessions that a client keeps to resume them.

use super::backend::{Store, decode, encode, session_store};
use crate::error::Error;
use crate::limits::TLS_SESSIONS_MAX;
use std::sync::Arc;

/// The sessions that clients keep to resume them, by server name. A clone is the same store.
#[derive(Clone, Debug)]
pub struct Sessions {
    store: Arc<Store>,
}

impl Sessions {
    /// Room for the sessions of `servers_max` servers, a few each. The server that was added first is forgotten
    /// first.
    #[must_use]
    pub fn new(servers_max: usize) -> Sessions {
        Sessions { store: session_store(servers_max) }
    }

    /// All sessions as bytes, for [`Sessions::load`] in a later process: "connect with a ticket" survives a restart.
    /// Sessions of TLS 1.2 are not among them.
    ///
    /// **The bytes are secrets**: who has them can pose as the servers to this client, and read what it sends there.
    /// Keep them as you keep private keys. Save when you stop: a ticket that was saved and is then used here as well
    /// lets onlookers see that both are the same client.
    #[must_use]
    pub fn save(&self) -> Vec<u8> {
        encode(&self.store)
    }

    /// Takes the sessions in `saved`, as many as there is room for, and says how many there were.
    ///
    /// They are used by clients that show the same certificate as the one that saved them, or none as it. Before
    /// its first connection to a server such a client verifies the certificates that the server showed back then,
    /// by its own roots, pins and lists and the time of now; it takes about the time of one handshake with oneself.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if they are not sessions, or are cut off; then nothing was taken.
    pub fn load(&self, saved: &[u8]) -> Result<usize, Error> {
        decode(&self.store, saved).ok_or_else(|| {
            Error::Config(
                "these bytes are no saved TLS sessions, or not all of them: start without".to_owned(),
            )
        })
    }

    pub(super) fn store(&self) -> Arc<Store> {
        self.store.clone()
    }
}

/// Room for [`TLS_SESSIONS_MAX`](crate::limits::TLS_SESSIONS_MAX) servers.
impl Default for Sessions {
    fn default() -> Sessions {
        Sessions::new(TLS_SESSIONS_MAX)
    }
}
