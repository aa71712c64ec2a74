//! A simulated network under the production reactor: hosts, links and faults in one process, in virtual time,
//! deterministically.
//!
//! A test of a protocol makes a [`Network`], adds hosts, and starts on each what it would start on a machine: [`Cores`]
//! with listeners, and a function that makes the handler. Nothing of it is changed for the test, and nothing below it is
//! a stand-in: the reactor, its timers, queues, budgets and deadlines, TLS and Noise are those that run in production,
//! and only sockets and clocks are simulated. Then the test lets time pass, has things go wrong, and says what must be
//! true. Minutes pass in milliseconds, because time in which nothing happens is skipped.
//!
//! ```
//! use std::time::Duration;
//! use windlass::sim::{Fault, Network};
//! use windlass::{Connect, Cores, Event, Handler, Io, Listen};
//!
//! /// Says hello until it is answered.
//! #[derive(Default)]
//! struct Client {
//!     answered: bool,
//! }
//!
//! impl Handler for Client {
//!     fn handle(&mut self, io: &mut Io, event: Event<'_>) {
//!         match event {
//!             Event::Opened { conn, .. } => drop(io.send(conn, b"hello")),
//!             Event::Data { .. } => self.answered = true,
//!             _ => {}
//!         }
//!     }
//! }
//!
//! # fn main() -> Result<(), windlass::Error> {
//! let mut net = Network::new(7); // the seed: all that is drawn is drawn from it
//! let (server, client) = (net.host("server"), net.host("client"));
//! net.start(server, Cores::new(2).listen(Listen::tcp("0.0.0.0:7000")), |_core| {
//!     |io: &mut Io, event: Event<'_>| {
//!         if let Event::Data { conn, bytes } = event {
//!             let _ = io.send(conn, bytes);
//!         }
//!     }
//! })?;
//! net.start(client, Cores::new(1), move |core| {
//!     core.io().connect(Connect::to(server.port(7000))).expect("an address");
//!     Client::default()
//! })?;
//!
//! net.inflict(Fault::Partition(vec![client], vec![server]).lasting(Duration::from_secs(5)));
//! net.run_for(Duration::from_secs(4));
//! assert!(!net.app::<Client>(client).answered);
//! net.expect_within(Duration::from_secs(10), "the answer comes in the end", |net| {
//!     net.app::<Client>(client).answered
//! });
//! # Ok(())
//! # }
//! ```
//!
//! The example `sim_cluster` is a whole test to start from: a replicated log, a story with a partition and a power cut,
//! and the same demands under drawn faults.
//!
//! # What is simulated
//!
//! - **Hosts** have the addresses 10.0.0.1, 10.0.0.2 and so on, in the order in which they are added, and `127.0.0.1` is
//!   each host's own. Each runs one group of [`Cores`]; every core is a reactor of its own, and mail between cores takes
//!   1 to 20 us. A turn of a reactor takes 2 us, whatever it does ([`Fault::Slow`] changes that). State that is to
//!   survive a restart is made outside of the function that makes the handler, as a disk is outside of a process.
//! - **Time** is virtual, from 1 s on each host's clock when the network is made; `Io::now`, timers, deadlines and
//!   metrics tell it, and so do the dates that certificates and tickets are checked against, from
//!   [`WALL_CLOCKS_BEGIN_AT`] on.
//! - **Links** have latency, jitter, a rate with a queue before it, and loss: see [`Link`]. One applies to all pairs of
//!   hosts until [`Network::link_between`] says otherwise; each pair draws its own place in the distribution, once for
//!   each direction.
//! - **TCP** is a stream of bytes over that: they come late and in order, and are never missing. Connections begin with
//!   a handshake and slow start, are limited by loss, and repeat what is lost after time-outs as Linux does; socket
//!   buffers are bounded, and full ones push back. There are refusals, resets, half-closed connections, connections
//!   whose other end is gone, keep-alive probes, user time-outs, backlogs that overflow, and several listeners on one
//!   address. Unix sockets work within a host.
//! - **Faults** are values: see [`Fault`]. They happen now ([`Network::inflict`]), at a time ([`Network::at`],
//!   [`Network::schedule`]), or as [`Chaos`] draws them.
//!
//! # What is promised
//!
//! The same seed and the same program are the same run, event by event: [`Network::trace`] is a number that says so. That
//! holds for all of the above, with any number of cores and under any faults, in one build. Random bytes of TLS and Noise
//! do differ from run to run, but neither lengths nor times depend on them, given keys whose signatures have a fixed
//! length such as those of `sim::tls`.
//!
//! It is on the handlers to keep this: they take the time from [`Io`](crate::Io), draw from a generator that was seeded
//! with [`Network::seed`], do not let the order of a `HashMap` decide anything, and neither start threads nor wait.
//!
//! # What is not
//!
//! The time that a handler computes is none. There are no files, and no names to look up: connect to addresses. Hosts
//! have no IPv6. What a reactor cannot watch in a simulation it refuses: foreign sources, adopted sockets, listeners made
//! elsewhere. Idle strategies and pinning mean nothing. TCP's model leaves out what only shows in traces of packets
//! (Nagle, delayed acknowledgements, window scaling); it is calibrated for how long things take: see [`model`]. Reads and
//! writes are as long as they can be, unless [`Network::cut_short`] cuts them. A simulation finds what a protocol does
//! when the network fails, not what a kernel does when it does: keep a few tests on real sockets.
//!
//! # When a test fails
//!
//! A network that is dropped by a panic, say of [`Network::expect_within`] or of an assertion in a handler, prints
//! [`Network::report`]: the seed, the commit that git has checked out, and every fault so far as a line of Rust. With
//! [`Network::record`] it also prints the last things that happened.
//!
//! Let tests take their seeds from [`seeds`], and the variable `WINDLASS_SIM_SEED` runs the one that failed alone:
//!
//! ```text
//! $ WINDLASS_SIM_SEED=1234 cargo test survives_chaos
//! ```
//!
//! Let them take their faults from outside and run through [`check`], and a failure ends with a test to paste that has
//! only the faults that matter:
//!
//! ```text
//! seed 1234 fails with 2 of 30 faults, as 57 runs show
//! at commit 7e8d3b537f7bb79b9d667c100fd95965f437bd65
//!
//! #[test]
//! fn seed_1234_still_works() {
//!     // all agree after the last fault: not within 20s of virtual time
//!     use std::time::Duration;
//!     use windlass::sim::{Fault, Host};
//!     let faults = [
//!         (Duration::from_millis(7750), Fault::Partition(vec![Host::nth(1)], vec![Host::nth(0)]).lasting(Duration::from_secs(8))), // 1
//!         (Duration::from_millis(12_750), Fault::Crash(Host::nth(1))), // 2
//!     ];
//!     run(1234, &faults);
//! }
//! ```
//!
//! Such a test stays: a seed is good for one version of the program only, but faults at their times mean the same in the
//! next one. If two runs of one seed differ, record both and look where their lines part.
//!
//! [`Cores`]: crate::Cores

mod chaos;
mod failure;
mod fault;
mod inflict;
#[doc = include_str!("../net/sim/model.md")]
pub mod model {}
mod network;
mod shrink;
#[cfg(feature = "tls")]
pub mod tls;
mod wall;

pub use crate::net::sim::{Latency, Link};
pub use chaos::{Chaos, FaultKind};
pub use failure::{SEED_VARIABLE, seeds};
pub use fault::Fault;
pub use network::{Host, Network};
pub use shrink::{Shrunk, check, shrink};
pub use wall::WALL_CLOCKS_BEGIN_AT;
