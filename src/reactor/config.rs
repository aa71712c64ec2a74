//! What a reactor is made with: bounds, budgets and how it waits.

use crate::conn::Options;
use crate::error::Error;
use crate::limits::{self, KEPT_BYTES_MAX};
use std::time::Duration;

/// The configuration of a reactor. Start from [`Config::default`] and change fields.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Options of connections that do not bring their own.
    pub options: Options,
    /// What one turn may do at most; what is left over makes the next wait zero.
    pub budgets: Budgets,
    /// Who is let in.
    pub admission: Admission,
    /// How to wait when there is nothing to do.
    pub idle: Idle,
    /// Bytes over all outbound queues, kept tails and unfinished records together: at 80 % reading stops, at 100 %
    /// `send` answers `Full` and a handshake that holds part of a message ends. Default 256 MiB.
    ///
    /// A send is let in by its bytes and then counted in whole chunks of 4 KiB, 64 KiB or 1 MiB, so the one that comes
    /// closest may pass the bound by a last chunk of up to 1 MiB. What is not a send of its own comes on top, and ends
    /// soon: 16 KiB of small sends of a handler that is still running, a record that has begun to arrive, a handshake's
    /// answer.
    pub buffer_bytes_max: usize,
    /// Size of the receive buffer, and so of the largest read. Shared by the reactors of a thread. Default
    /// 256 KiB.
    pub receive_buffer_bytes: usize,
    /// Close just the connection being served when the handler panics, or a check of a peer's key that its handshake
    /// asks, instead of ending the reactor.
    /// Default: off. Has no effect where panics abort.
    pub isolate_panics: bool,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            options: Options::default(),
            budgets: Budgets::default(),
            admission: Admission::default(),
            idle: Idle::Block,
            buffer_bytes_max: limits::BUFFER_BYTES_MAX,
            receive_buffer_bytes: limits::RECEIVE_BUFFER_BYTES,
            isolate_panics: false,
        }
    }
}

impl Config {
    /// The default configuration with what `change` does to it: `Config::with(|c| c.idle = Idle::Spin)`.
    #[must_use]
    pub fn with(change: impl FnOnce(&mut Config)) -> Config {
        let mut config = Config::default();
        change(&mut config);
        config
    }

    pub(crate) fn validate(&self) -> Result<(), Error> {
        let budgets = &self.budgets;
        let all = [
            budgets.events,
            budgets.accepts,
            budgets.receive_bytes,
            budgets.handshakes,
            budgets.timers,
            budgets.deadlines,
            budgets.mail,
            budgets.notices,
        ];
        if all.contains(&0) {
            return Err(Error::Config("every budget must be at least 1, or the loop cannot move".into()));
        }
        if self.receive_buffer_bytes < 4096 {
            return Err(Error::Config("receive_buffer_bytes must be at least 4096".into()));
        }
        check_options(&self.options, self.receive_buffer_bytes)
    }
}

/// Checks options for a reactor whose reads take up to `read_bytes`.
pub(crate) fn check_options(options: &Options, read_bytes: usize) -> Result<(), Error> {
    let kept_bytes = options.kept_bytes_max.min(KEPT_BYTES_MAX);
    let echo_bytes = if options.self_throttle { read_bytes + kept_bytes } else { 0 };
    options.queue.validate(echo_bytes).map_err(Error::Config)
}

/// What one turn may do at most.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Budgets {
    /// Readiness events taken from the kernel. Default 1,024.
    pub events: usize,
    /// Connections accepted per listener. Default 64.
    pub accepts: usize,
    /// Bytes read per connection. Default: one full receive buffer.
    pub receive_bytes: usize,
    /// Steps of TLS and Noise handshakes. One takes 50 to 200 us, so this bounds how long a storm of new
    /// connections keeps an open one waiting; the newest are served first. Default 1.
    pub handshakes: usize,
    /// Timers fired. Default 256.
    pub timers: usize,
    /// Entries of the deadline wheel visited. Default 512.
    pub deadlines: usize,
    /// Messages given out per mailbox. Default 1,024.
    pub mail: usize,
    /// `Closed`, `Opened` and `Drained` events that the handler itself caused. Default 1,024.
    pub notices: usize,
}

impl Default for Budgets {
    fn default() -> Budgets {
        Budgets {
            events: limits::EVENTS_MAX,
            accepts: 64,
            receive_bytes: limits::RECEIVE_BUFFER_BYTES,
            handshakes: 1,
            timers: 256,
            deadlines: 512,
            mail: 1024,
            notices: 1024,
        }
    }
}

/// Who is let in. `None` is unlimited.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Admission {
    /// Connections of this reactor, both ways. At the limit listeners pause and `connect` answers
    /// [`Error::Limit`]. Default 1,048,576.
    pub connections_max: Option<usize>,
    /// Accepted connections from one address; more are reset. Default: none.
    pub per_address_max: Option<u32>,
    /// Accepted connections whose TLS or Noise handshake is not over; more are reset. Default 16,384.
    pub handshakes_max: Option<usize>,
    /// Accepts per second from one address, with bursts of one second's worth; more are reset. Default: none.
    pub accepts_per_second_per_address: Option<u32>,
}

impl Default for Admission {
    fn default() -> Admission {
        Admission {
            connections_max: Some(1 << 20),
            per_address_max: None,
            handshakes_max: Some(limits::HANDSHAKES_MAX),
            accepts_per_second_per_address: None,
        }
    }
}

/// How a reactor waits when there is nothing to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Idle {
    /// Sleep in the kernel until something happens. Costs nothing, wakes in tens of microseconds.
    #[default]
    Block,
    /// Poll for that long first. Wakes at once under load; the idle cost is bounded.
    SpinThenBlock(Duration),
    /// Never sleep: one core per reactor burns, every wake-up is immediate and timers are exact to a turn.
    Spin,
}

/// How long a turn may wait for something to happen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wait {
    /// Not at all: do what is there and return.
    No,
    /// At most that long.
    For(Duration),
    /// At most until then.
    Until(crate::time::Instant),
    /// Until something happens.
    Forever,
}

/// What one turn did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Turn {
    /// Readiness events that the kernel reported.
    pub events: usize,
    /// Times that the handler was called.
    pub handled: usize,
    /// A budget was used up: the next turn will not wait.
    pub backlog: bool,
}
