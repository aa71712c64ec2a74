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
pub use conn::{Options, Priority, Timeouts};
pub use error::{Address, Cause, CloseReason, Error, SendError, Stale};
pub use net::{KeepAlive, SocketOptions, Stream};
pub use reactor::{
    Admission, Budgets, Config, Connect, Core, CoreMail, Cores, Event, Handler, Idle, Inbox, Interest, Io,
    KeepError, Listen, Listener, Mailbox, Reactor, Readiness, Released, Report, Running, SendMailError,
    Sender, Sent, Source, Spread, StopAll, Stopper, Timer, Turn, Wait,
};
