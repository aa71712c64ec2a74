//! windlass is a synchronous networking core: one single-threaded reactor per core, written by hand on mio, that
//! drives non-blocking sockets through explicit states. No futures, no executor, no hidden threads.
//!
//! # A server
//!
//! ```no_run
//! use windlass::{Cores, Event, Io, Listen};
//!
//! # fn main() -> Result<(), windlass::Error> {
//! Cores::per_cpu().listen(Listen::tcp("127.0.0.1:7000")).run(|_core| {
//!     |io: &mut Io, event: Event<'_>| {
//!         if let Event::Data { conn, bytes } = event {
//!             let _ = io.send(conn, bytes);
//!         }
//!     }
//! })?;
//! # Ok(())
//! # }
//! ```
//!
//! [`Cores`] starts one [`Reactor`] per core and spreads connections over them. A handler is a closure
//! `FnMut(&mut Io, Event<'_>)` or a type that implements [`Handler`]. [`Io`] is its handle on the reactor:
//! connect, listen, send, keep, pause, close, timers, mail. Nothing called on it calls the handler again; what
//! a call causes is delivered after the handler has returned.
//!
//! # Your own loop
//!
//! [`Reactor::turn`] serves one batch and returns, [`Reactor::run_until`] goes on until a deadline. A reactor can
//! also sit inside another event loop: it is [`AsFd`](std::os::fd::AsFd), and [`Reactor::sleep_max`] says how long
//! that loop may sleep on it.
//!
//! # The order of events
//!
//! For each connection: [`Event::Accepted`] if a listener took it in, [`Event::EarlyData`] if its TLS was told to take
//! any, [`Event::Opened`] once data may flow, then any number of [`Event::Data`], [`Event::Drained`] and at most one
//! [`Event::PeerFinished`], and last, exactly once, [`Event::Closed`]. A connect that fails is `Closed` without
//! `Opened`. A connection taken out with [`Io::release`] ends without `Closed`.
//!
//! # Where bytes are
//!
//! There is one receive buffer per thread. [`Event::Data`] lends from it, and what is not [kept](Io::keep) is
//! consumed. Small sends of the connection being served gather in one buffer and are written once when the
//! handler returns; sends of 4 KiB or more are written at once from the caller's slice; only what the kernel
//! refuses is copied into the connection's queue, in pooled chunks. Shared [`Bytes`](bytes::Bytes) are never
//! copied unless they are small.
//!
//! # Secured connections
//!
//! A connection is secured by naming it: `Listen::tls`, `Listen::noise`, or both for Noise inside TLS, and likewise on
//! [`Connect`] and [`Adopt`]. The handler sees no difference but what [`Event::Opened`] says: lent bytes, kept tails,
//! deadlines, budgets, credits and watermarks hold as on plain connections. Opened bytes are contiguous, whatever
//! records they came in; small sends of one call share a record; backpressure is asked before anything is sealed.
//! Defaults, limits and what is not promised: [`security`].
//!
//! # When things end
//!
//! Every state is under a deadline ([`Timeouts`]), every queue under a bound ([`limits`], [`Options`],
//! [`Config`]), and every connection ends with a [`CloseReason`] that names cause, peer and remedy and says
//! whether to retry.
//!
//! # Features
//!
//! - `cli`: the `windlass` command.
//! - `load`: the benchmark behind `windlass bench`, as a library: see `load`.
//! - `noise`: connections secured with the Noise protocol: see `noise`.
//! - `proxy`: a proxy that injects faults between real programs: see `proxy`.
//! - `scenario`: what is behind `windlass sim`, as a library: see `scenario`.
//! - `signals`: [`Cores`] end gracefully on SIGINT and SIGTERM.
//! - `sim`: a simulated network under the same reactor, to test protocols in: see `sim`.
//! - `tls`: connections secured with TLS 1.3: see `tls`.
//! - `tls12`: TLS 1.2 as well, for whoever asks for it.
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod buffer;
pub mod collections;
mod conn;
pub mod error;
pub mod limits;
#[cfg(feature = "load")]
pub mod load;
pub mod metrics;
mod net;
#[cfg(feature = "load")]
mod plot;
#[cfg(feature = "proxy")]
pub mod proxy;
mod reactor;
#[cfg(feature = "scenario")]
pub mod scenario;
mod secure;
#[cfg_attr(all(feature = "noise", feature = "tls"), doc = include_str!("security.md"))]
#[cfg_attr(
    not(all(feature = "noise", feature = "tls")),
    doc = "Defaults, limits and promises of secured connections: this page is written where both `noise` and `tls` are on."
)]
pub mod security {}
#[cfg(feature = "sim")]
pub mod sim;
mod sync;
#[cfg(test)]
mod thorough;
pub mod time;
#[cfg(feature = "load")]
mod units;

pub use collections::{Conn, Owner, PerConn};
pub use conn::{Options, Priority, Timeouts};
pub use error::{Address, Cause, CloseReason, Error, SendError, Stale};
pub use net::{KeepAlive, SocketOptions, Stream};
pub use reactor::{
    Admission, Adopt, Budgets, Config, Connect, Core, CoreMail, Cores, Event, Handler, Idle, Inbox, Interest,
    Io, KeepError, Listen, Listener, Mailbox, Reactor, Readiness, ReleaseError, Released, Report, Running,
    SendMailError, Sender, Sent, Source, Spread, StopAll, Stopper, Timer, Turn, Wait,
};
#[cfg(feature = "noise")]
pub use secure::noise;
#[cfg(feature = "tls")]
pub use secure::tls;
pub use secure::{NoiseSession, Session, TlsSession};

/// The README's programs compile, given the features that they are about.
#[cfg(all(doctest, feature = "noise", feature = "proxy", feature = "sim", feature = "tls"))]
#[doc = include_str!("../README.md")]
struct Readme;
