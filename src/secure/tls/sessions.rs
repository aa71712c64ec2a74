//! The sessions that a client keeps to resume them.

use super::backend::{Store, session_store};
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
