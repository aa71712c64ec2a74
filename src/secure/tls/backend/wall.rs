//! The wall clock as rustls takes it: that of src/time.rs, which a simulation sets.

use crate::time::wall_now;
use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;
use std::sync::Arc;

/// Now, for certificates and tickets.
pub(super) fn now() -> UnixTime {
    UnixTime::since_unix_epoch(wall_now())
}

/// What our own configurations ask for the time.
pub(super) fn clock() -> Arc<dyn TimeProvider> {
    Arc::new(Wall)
}

#[derive(Debug)]
struct Wall;

impl TimeProvider for Wall {
    fn current_time(&self) -> Option<UnixTime> {
        Some(now())
    }
}

/// What a configuration that was made elsewhere asks: the clock it brought, unless time is virtual.
#[cfg(feature = "sim")]
pub(super) fn unless_virtual(brought: Arc<dyn TimeProvider>) -> Arc<dyn TimeProvider> {
    Arc::new(UnlessVirtual(brought))
}

#[cfg(feature = "sim")]
#[derive(Debug)]
struct UnlessVirtual(Arc<dyn TimeProvider>);

#[cfg(feature = "sim")]
impl TimeProvider for UnlessVirtual {
    fn current_time(&self) -> Option<UnixTime> {
        match crate::time::virtual_wall() {
            Some(since_1970) => Some(UnixTime::since_unix_epoch(since_1970)),
            None => self.0.current_time(),
        }
    }
}
