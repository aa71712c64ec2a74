//! windlass: a synchronous networking core. One hand-rolled reactor per core, no async runtime.
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod buffer;
pub mod collections;
mod conn;
pub mod error;
pub mod limits;
pub mod metrics;
mod net;
mod reactor;
mod secure;
mod sync;
pub mod time;

pub use collections::{Conn, Owner, PerConn};
