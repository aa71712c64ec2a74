//! What may differ between connections, as one value given to `Listen`, `Connect` or `Io::adopt`.

use crate::buffer::Watermarks;
use crate::limits::KEPT_BYTES_MAX;
use crate::net::SocketOptions;
use std::time::Duration;

/// The options of a connection. Give it before the connection exists, or change it later with
/// `Io::set_options`; socket options count only before.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Options {
    /// How long each state may last. A deadline ends the connection without a further event; whoever wants to
    /// say something first sets a timer of its own.
    pub timeouts: Timeouts,
    /// Watermarks and hard bound of the outbound queue. On a secured connection that is what waits to be sealed and what
    /// is sealed; a send is refused by how long it would be sealed.
    pub queue: Watermarks,
    /// Bytes that a handler may keep, at most. Default 64 KiB.
    pub kept_bytes_max: usize,
    /// Deliver `PeerFinished` and go on sending after the peer ended its side. Default: off, the peer's end
    /// flushes and closes; whoever answers later than in the `Data` event itself wants it on, or answers to
    /// a peer that asks and then ends its side are lost.
    pub half_close: bool,
    /// Do not read while the connection's own queue is over high water. Default: on. Proxies, whose directions
    /// are independent, turn it off; so must at least one of two ends that both send in bulk before they read,
    /// or each waits for the other until the write timeout.
    pub self_throttle: bool,
    /// Whose turn it is first when the budget of a turn left work over.
    pub priority: Priority,
    /// Options of the socket itself.
    pub socket: SocketOptions,
}

impl Options {
    /// The default options with what `change` does to them: `Options::with(|o| o.half_close = true)`.
    #[must_use]
    pub fn with(change: impl FnOnce(&mut Options)) -> Options {
        let mut options = Options::default();
        change(&mut options);
        options
    }
}

impl Default for Options {
    fn default() -> Options {
        Options {
            timeouts: Timeouts::default(),
            queue: Watermarks::default(),
            kept_bytes_max: KEPT_BYTES_MAX,
            half_close: false,
            self_throttle: true,
            priority: Priority::Normal,
            socket: SocketOptions::default(),
        }
    }
}

/// How long a connection may take over each thing; `None` is for ever.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Timeouts {
    /// Until TCP is established. Default 30 s.
    pub connect: Option<Duration>,
    /// From there to `Opened`: all security layers together, and any wait for their turn. A plain connection opens at
    /// once. Default 10 s.
    pub handshake: Option<Duration>,
    /// Without progress while input is owed: bytes are kept, a partial record is held, or the handler called
    /// `Io::expect`. Default 60 s.
    pub read: Option<Duration>,
    /// Without the kernel taking a byte while output is queued. Default 30 s.
    pub write: Option<Duration>,
    /// Without a byte either way while nothing is owed; bytes of security layers count. Default 300 s; a server whose clients sit idle for
    /// hours, such as a database, wants `None` here and [`SocketOptions::keep_alive`] instead.
    pub keep_alive: Option<Duration>,
    /// For closing in good order: flush, TLS' `close_notify`, end of stream, the peer's end. Default 5 s.
    pub drain: Option<Duration>,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            connect: Some(Duration::from_secs(30)),
            handshake: Some(Duration::from_secs(10)),
            read: Some(Duration::from_secs(60)),
            write: Some(Duration::from_secs(30)),
            keep_alive: Some(Duration::from_secs(300)),
            drain: Some(Duration::from_secs(5)),
        }
    }
}

/// Who is served first when a turn's budget left work over. Everybody in line is still served once a turn.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Priority {
    /// Before the others.
    High,
    /// What everybody has.
    #[default]
    Normal,
    /// After the others.
    Low,
}

impl Priority {
    pub(crate) const COUNT: usize = 3;
}
