//! The handle on a reactor that a handler is given: everything it may ask for. Nothing here calls the handler;
//! what a call causes is delivered after the handler has returned.

use super::accept::ListenerState;
use super::admission::AdmissionControl;
use super::bell::Bell;
use super::config::{Config, check_options};
use super::event::{Interest, Listener, Mailbox, Source, Timer};
use super::handoff::Handed;
use super::listen::{Adopt, Connect, Listen};
use super::mailbox::{Doorway, Inbox, Sender, mailbox};
use super::notice::Notice;
use super::run_queue::RunQueue;
use super::send::Cork;
use super::signals::Signals;
use super::stop::StopPhase;
use super::token;
use crate::buffer::{OutQueue, Pool};
use crate::collections::{Conn, DeadlineWheel, Handle, Owner, Slots, TimerHeap};
use crate::conn::{Connection, Options, Priority, State, read_stop};
use crate::error::{Address, Cause, Error, Stale};
use crate::limits;
use crate::metrics::{CoreMetrics, CoreView, Refusal, TurnWork};
use crate::net::{Dialled, Events, Poller, Reserve, Socket, Stream, World};
use crate::secure::Workspace;
use crate::time::{Clock, Instant};
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The reactor as its handler sees it.
pub struct Io {
    pub(super) world: World,
    pub(super) poll: Poller,
    pub(super) clock: Clock,
    pub(super) now: Instant,
    pub(super) turn: u32,
    pub(super) config: Config,
    pub(super) options: Arc<Options>,
    pub(super) conns: Slots<Connection>,
    pub(super) listeners: Slots<ListenerState>,
    pub(super) sources: Slots<Owner>,
    pub(super) wheel: DeadlineWheel,
    pub(super) timers: TimerHeap<Alarm>,
    pub(super) pool: Pool,
    /// Emptied queues for reuse, in the boxes that connections hold them by.
    #[allow(clippy::vec_box)]
    pub(super) spare_queues: Vec<Box<OutQueue>>,
    pub(super) cork: Cork,
    pub(super) lent: Lent,
    pub(super) notices: VecDeque<Notice>,
    pub(super) dirty: Vec<Handle>,
    pub(super) run_queue: RunQueue,
    /// Connections not read because memory is short.
    pub(super) starved: Vec<Handle>,
    /// Bytes of shared buffers (`Bytes`) in all queues; the rest of the queues is the pool's to count.
    pub(super) shared_bytes: usize,
    /// Buffers hold more than 80 % of what they may: nothing is read until they hold less than 70 %.
    pub(super) memory_short: bool,
    pub(super) handled: usize,
    pub(super) admission: AdmissionControl,
    /// Listeners with somebody left in the backlog.
    pub(super) ready_listeners: Vec<Handle>,
    /// Listeners that wait for a slot, a descriptor or memory.
    pub(super) waiting_listeners: Vec<Handle>,
    /// A descriptor held back, so that somebody can be turned away when there are no others.
    pub(super) reserve: Option<Reserve>,
    /// Connections that another core accepted for this one, and which listener each stands for.
    pub(super) handed: Option<Inbox<Handed>>,
    pub(super) handed_listeners: Vec<Handle>,
    pub(super) signals: Option<Signals>,
    /// Scratch of the deadline wheel.
    pub(super) expired: Vec<(Handle, Cause)>,
    pub(super) trim_armed: bool,
    pub(super) owners: u16,
    pub(super) mailboxes: Vec<Mailbox>,
    pub(super) doorway: Arc<Doorway>,
    pub(super) mail_waiting: bool,
    /// The last turn took all the readiness events that it may: the kernel holds perhaps more.
    pub(super) events_waiting: bool,
    pub(super) stopping_by: Option<Instant>,
    pub(super) stop_phase: StopPhase,
    pub(super) running: bool,
    /// Connections that a shutdown's deadline cut off.
    pub(super) cut: u64,
    /// When the last turn ended.
    pub(super) ended_at: Instant,
    /// The time before the kernel was last asked.
    pub(super) asked_at: Instant,
    /// See [`Io::unseen_since`].
    pub(super) unseen_since: Instant,
    /// Connections in line for a step of their handshake; the newest stands last.
    pub(super) shake_queue: Vec<Handle>,
    /// Accepted connections that are shaking hands.
    pub(super) securing: usize,
    pub(super) sealing: Workspace,
    pub(super) work: TurnWork,
    pub(super) metrics: CoreMetrics,
}

/// What the timer heap holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Alarm {
    /// The application's.
    User { owner: Owner, tag: u64 },
    /// A listener paused by a shortage tries again.
    AcceptRetry(Handle),
    /// Spare buffers go back to the system.
    TrimPool,
}

/// What is lent to the handler right now, and what it wants to keep of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lent {
    pub(super) to: Option<Handle>,
    pub(super) bytes: usize,
    pub(super) keep: usize,
    pub(super) want: usize,
}

impl Lent {
    pub(super) const NOTHING: Lent = Lent { to: None, bytes: 0, keep: 0, want: 0 };
}

/// Why bytes were not kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum KeepError {
    /// `keep` was called outside this connection's `Data` event, after closing it, or for more than was lent.
    NotLent,
    /// More than the connection's `kept_bytes_max`: it is closed with
    /// [`Cause::FrameTooLarge`](crate::error::Cause::FrameTooLarge).
    TooLarge,
}

impl fmt::Display for KeepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            KeepError::NotLent => "only bytes lent by this connection's Data event can be kept",
            KeepError::TooLarge => "more than kept_bytes_max; the connection is closed",
        })
    }
}

impl std::error::Error for KeepError {}

/// Why a connection was not let go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ReleaseError {
    /// It is gone or closing.
    Stale,
    /// It is secured: nobody could go on with it who does not have its keys.
    Secured,
}

impl fmt::Display for ReleaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ReleaseError::Stale => "stale handle: the connection is gone or closing",
            ReleaseError::Secured => "a secured connection cannot leave its reactor: its keys stay here",
        })
    }
}

impl std::error::Error for ReleaseError {}

/// A connection that left the reactor, with what had not been moved yet.
#[derive(Debug)]
pub struct Released {
    /// The socket, still non-blocking.
    pub stream: Stream,
    /// Received bytes that the handler had kept.
    pub unread: Vec<u8>,
    /// Sent bytes that the kernel had not taken.
    pub unsent: Vec<u8>,
}

impl Io {
    pub(super) fn new(world: World, config: Config, core: usize) -> Result<(Io, Events), Error> {
        config.validate()?;
        let (poll, events, waker) = world
            .poller(config.budgets.events, token::WAKER)
            .map_err(|e| Error::io("creating the reactor's poller", e))?;
        let doorway = Arc::new(Doorway {
            bell: Bell::new(waker),
            turn: 0.into(),
            stop_within: u64::MAX.into(),
            abandoned: 0.into(),
        });
        #[cfg(feature = "sim")]
        let clock = world.virtual_nanos().map_or_else(Clock::os, Clock::simulated);
        #[cfg(not(feature = "sim"))]
        let clock = Clock::os();
        let now = clock.now();
        let io = Io {
            world,
            poll,
            clock,
            now,
            turn: 0,
            options: Arc::new(config.options.clone()),
            conns: Slots::new(),
            listeners: Slots::new(),
            sources: Slots::new(),
            wheel: DeadlineWheel::new(),
            timers: TimerHeap::new(),
            pool: Pool::new(),
            spare_queues: Vec::new(),
            cork: Cork::new(),
            lent: Lent::NOTHING,
            notices: VecDeque::new(),
            dirty: Vec::new(),
            run_queue: RunQueue::new(),
            starved: Vec::new(),
            shared_bytes: 0,
            memory_short: false,
            handled: 0,
            admission: AdmissionControl::new(config.admission.clone()),
            ready_listeners: Vec::new(),
            waiting_listeners: Vec::new(),
            reserve: None,
            handed: None,
            signals: None,
            handed_listeners: Vec::new(),
            expired: Vec::new(),
            trim_armed: false,
            owners: 0,
            mailboxes: Vec::new(),
            doorway,
            mail_waiting: false,
            events_waiting: false,
            stopping_by: None,
            stop_phase: StopPhase::Not,
            running: false,
            cut: 0,
            ended_at: now,
            asked_at: now,
            unseen_since: now,
            shake_queue: Vec::new(),
            securing: 0,
            sealing: Workspace::default(),
            work: TurnWork::default(),
            metrics: CoreMetrics::new(core, now),
            config,
        };
        Ok((io, events))
    }

    /// The time as of this turn's start: what every deadline of this turn counts from. Costs nothing.
    #[inline]
    #[must_use]
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// The time, read afresh: for those who must stamp inside a turn.
    #[must_use]
    pub fn clock(&self) -> Instant {
        self.clock.now()
    }

    /// Since when what this turn serves may have been waiting: when the kernel was last asked and had nothing more. A
    /// thread that was stopped, or turns that were long, show here and in no other time that a turn knows.
    #[must_use]
    pub const fn unseen_since(&self) -> Instant {
        self.unseen_since
    }

    /// A fresh owner for a component, so that it can tell its events from others'.
    ///
    /// # Errors
    /// [`Error::Limit`] after 65,535 owners.
    pub fn owner(&mut self) -> Result<Owner, Error> {
        self.owners = self
            .owners
            .checked_add(1)
            .filter(|number| *number < limits::OWNERS_MAX)
            .ok_or(Error::Limit("65,535 owners of one reactor"))?;
        Ok(Owner::new(self.owners))
    }

    /// A reader of this reactor's metrics, for any thread.
    #[must_use]
    pub fn metrics(&self) -> CoreView {
        self.metrics.view()
    }

    // ---- connections

    /// Starts a connection. `Opened` or `Closed` follows, never from inside this call.
    ///
    /// # Errors
    /// [`Error::Limit`] at `connections_max`, [`Error::Config`] for options that make no sense. What the
    /// network or the system has against it comes as `Closed`.
    pub fn connect(&mut self, connect: Connect) -> Result<Conn, Error> {
        let options = self.options_or_default(connect.options)?;
        connect.security.check()?;
        self.check_room_for_one_more()?;
        let dialled = Socket::dial(&self.world, &connect.to, connect.from.as_ref(), &options.socket);
        self.metrics.connections_attempted.add(1);
        let (socket, refused) = match dialled {
            Dialled::Pending(socket) => (socket, None),
            Dialled::Failed(error) => (Socket::Gone, Some(error)),
        };
        let mut connection =
            Connection::new(socket, connect.security.begin(), options, connect.owner, self.now);
        connection.peer = Some(connect.to);
        let handle = self.insert(connection);
        if let Some(error) = refused {
            self.fail(handle, &error);
        } else if let Err(error) = self.register(handle) {
            self.fail(handle, &error);
        }
        Ok(Conn::new(handle, connect.owner))
    }

    /// Takes over a stream made elsewhere. `Opened` follows. Keep no clone of it: closing a descriptor does not
    /// end what another one still holds open. A bare stream is taken with the reactor's options; [`Adopt`] says
    /// more, such as how to secure it.
    ///
    /// # Errors
    /// [`Error::Limit`] at `connections_max`, [`Error::Config`] for options or security that make no sense,
    /// [`Error::Io`] if the system refuses to make it non-blocking or to watch it.
    pub fn adopt(&mut self, stream: impl Into<Adopt>) -> Result<Conn, Error> {
        let Adopt { stream, options, owner, security } = stream.into();
        let options = self.options_or_default(options)?;
        security.check()?;
        self.check_room_for_one_more()?;
        let socket = Socket::adopt(&self.world, stream, &options.socket)
            .map_err(|e| Error::io("taking over a stream", e))?;
        let mut connection = Connection::new(socket, security.begin(), options, owner, self.now);
        connection.peer = connection.socket.peer();
        let handle = self.insert(connection);
        if let Err(error) = self.register(handle) {
            self.forget(handle);
            return Err(Error::io("watching an adopted stream", error));
        }
        self.notices.push_back(Notice::Opened(handle));
        Ok(Conn::new(handle, owner))
    }

    /// Lets a connection go, with what is unread and unsent. It leaves without `Closed`: whatever happens to
    /// it next is not this reactor's to tell. Inside its own `Data` event the bytes that are lent count as
    /// consumed, also those just kept: copy what is to go along.
    ///
    /// # Errors
    /// [`ReleaseError`]: it is gone or closing already, or it is secured, and what its keys know cannot leave with
    /// it.
    pub fn release(&mut self, conn: Conn) -> Result<Released, ReleaseError> {
        self.uncork_if(conn.handle());
        if self.cork.is_open_for(conn.handle()) {
            self.cork.shut();
        }
        let c = self.conns.get_mut(conn.handle()).ok_or(ReleaseError::Stale)?;
        if matches!(c.state, State::Draining | State::Closed) {
            return Err(ReleaseError::Stale);
        }
        if !c.layer.is_plain() {
            return Err(ReleaseError::Secured);
        }
        // Best effort: a socket that epoll no longer knows leaves nothing behind here.
        let _ = c.socket.deregister(&self.poll);
        let socket = std::mem::replace(&mut c.socket, Socket::Gone);
        let unread = c.kept.as_ref().map_or_else(Vec::new, |kept| kept.chunk.filled().to_vec());
        let unsent = match c.out.as_mut() {
            Some(queue) => {
                self.shared_bytes -= queue.shared_bytes();
                queue.take_all(&mut self.pool)
            }
            None => Vec::new(),
        };
        self.forget(conn.handle());
        let stream = socket.into_stream().ok_or(ReleaseError::Stale)?;
        Ok(Released { stream, unread, unsent })
    }

    /// Whether data may flow on it now.
    #[must_use]
    pub fn is_open(&self, conn: Conn) -> bool {
        self.conns.get(conn.handle()).is_some_and(|c| c.state == State::Open)
    }

    /// The other end, as long as the connection lives.
    #[must_use]
    pub fn peer(&self, conn: Conn) -> Option<&Address> {
        self.conns.get(conn.handle())?.peer.as_ref()
    }

    /// This end, as long as the connection lives.
    #[must_use]
    pub fn local(&self, conn: Conn) -> Option<Address> {
        self.conns.get(conn.handle())?.socket.local()
    }

    /// Live connections, those being closed included.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.conns.len()
    }

    /// Keeps the last `n` bytes of the `Data` being handled: they stand at the front of the next one, which
    /// comes when something new has arrived.
    ///
    /// # Errors
    /// [`KeepError`] says what was wrong with the call; with [`KeepError::TooLarge`] the connection closes.
    pub fn keep(&mut self, conn: Conn, n: usize) -> Result<(), KeepError> {
        self.keep_until(conn, n, n.saturating_add(1))
    }

    /// Like [`Io::keep`], and the next `Data` comes only when `want` bytes are there in all, or the peer
    /// finished: for a frame whose length is known. Want no more than is certain to come, or the connection
    /// waits for it until its read timeout.
    ///
    /// # Errors
    /// [`KeepError`] says what was wrong with the call; with [`KeepError::TooLarge`] the connection closes.
    pub fn keep_until(&mut self, conn: Conn, n: usize, want: usize) -> Result<(), KeepError> {
        if self.lent.to != Some(conn.handle()) || n > self.lent.bytes {
            return Err(KeepError::NotLent);
        }
        let open = self.conns.get(conn.handle()).filter(|c| c.state == State::Open);
        let c = open.ok_or(KeepError::NotLent)?;
        let want = want.max(n + 1);
        if want - 1 > c.options.kept_bytes_max {
            self.close_now(conn.handle(), Cause::FrameTooLarge, None);
            return Err(KeepError::TooLarge);
        }
        self.lent.keep = n;
        self.lent.want = want;
        Ok(())
    }

    /// Lends what is kept once more, as a `Data` event without new bytes, at the end of this turn: for a handler
    /// that stopped in the midst of what it was lent (its queue was full, an answer had to be awaited) and can
    /// go on now. Nothing happens if nothing is kept or the connection is paused.
    ///
    /// A handler that keeps something until it has room or an answer must [`pause`](Self::pause) the connection
    /// meanwhile: a peer that ends its side has what is kept lent once more at once, and dropped after that.
    ///
    /// # Errors
    /// [`Stale`] if the connection is gone.
    pub fn relend(&mut self, conn: Conn) -> Result<(), Stale> {
        let c = self.conns.get_mut(conn.handle()).ok_or(Stale)?;
        if !c.relend {
            c.relend = true;
            self.notices.push_back(Notice::Relend(conn.handle()));
        }
        Ok(())
    }

    /// Stops reading the connection, also within the event being handled, until [`Io::resume`]; the peer is held back by the kernel's buffers.
    ///
    /// # Errors
    /// [`Stale`] if the connection is gone.
    pub fn pause(&mut self, conn: Conn) -> Result<(), Stale> {
        self.conns.get_mut(conn.handle()).ok_or(Stale)?.read_stops |= read_stop::PAUSED;
        Ok(())
    }

    /// Reads the connection again.
    ///
    /// # Errors
    /// [`Stale`] if the connection is gone.
    pub fn resume(&mut self, conn: Conn) -> Result<(), Stale> {
        self.allow_reading(conn.handle(), read_stop::PAUSED)
    }

    /// Gives the connection `bytes` more of read credit; without a call credit is unlimited. `None` makes it
    /// unlimited again. Without credit the connection is not read.
    ///
    /// On a secured connection it is spent on bytes as the wire has them, from `Opened` on, and a record is handed on
    /// when all of it was read: credit for less than a record is credit for nothing yet.
    ///
    /// # Errors
    /// [`Stale`] if the connection is gone.
    pub fn grant_read(&mut self, conn: Conn, bytes: Option<u64>) -> Result<(), Stale> {
        let c = self.conns.get_mut(conn.handle()).ok_or(Stale)?;
        c.read_credit = add_credit(c.read_credit, bytes);
        if c.read_credit > 0 {
            return self.allow_reading(conn.handle(), read_stop::CREDIT);
        }
        c.read_stops |= read_stop::CREDIT;
        Ok(())
    }

    /// Gives the connection `bytes` more of write credit; without a call credit is unlimited. `None` makes it
    /// unlimited again. Without credit what is sent stays queued. On a secured connection it is spent on sealed bytes.
    ///
    /// # Errors
    /// [`Stale`] if the connection is gone.
    pub fn grant_write(&mut self, conn: Conn, bytes: Option<u64>) -> Result<(), Stale> {
        self.uncork_if(conn.handle());
        let c = self.conns.get_mut(conn.handle()).ok_or(Stale)?;
        let had_none = c.write_credit == 0;
        c.write_credit = add_credit(c.write_credit, bytes);
        if had_none && c.out.is_some() {
            // The write timeout counts from when there was credit to write with.
            c.queued_since = self.now;
        }
        if self.cork.is_open_for(conn.handle()) {
            self.cork.shut();
        }
        self.mark_dirty(conn.handle());
        self.watch(conn.handle());
        Ok(())
    }

    /// Changes who is served first when a turn's budget left work over.
    ///
    /// # Errors
    /// [`Stale`] if the connection is gone.
    pub fn set_priority(&mut self, conn: Conn, priority: Priority) -> Result<(), Stale> {
        let c = self.conns.get_mut(conn.handle()).ok_or(Stale)?;
        if c.options.priority != priority {
            Arc::make_mut(&mut c.options).priority = priority;
        }
        Ok(())
    }

    /// The options of the connection.
    #[must_use]
    pub fn options(&self, conn: Conn) -> Option<&Options> {
        Some(&*self.conns.get(conn.handle())?.options)
    }

    /// Replaces the options of one connection; timeouts count from where they already ran. Socket options
    /// count only before a connection exists.
    ///
    /// # Errors
    /// [`Error::Config`] for options that make no sense or a connection that is gone.
    pub fn set_options(&mut self, conn: Conn, options: Options) -> Result<(), Error> {
        check_options(&options, self.config.receive_buffer_bytes)?;
        let c = self.conns.get_mut(conn.handle()).ok_or(Error::Config(Stale.to_string()))?;
        c.options = Arc::new(options);
        self.watch(conn.handle());
        Ok(())
    }

    /// Replaces the reactor's default options, for new connections and for all that use them now.
    ///
    /// # Errors
    /// [`Error::Config`] for options that make no sense.
    pub fn set_default_options(&mut self, options: Options) -> Result<(), Error> {
        check_options(&options, self.config.receive_buffer_bytes)?;
        let before = std::mem::replace(&mut self.options, Arc::new(options));
        let theirs: Vec<Handle> = self
            .conns
            .iter()
            .filter(|(_, c)| Arc::ptr_eq(&c.options, &before))
            .map(|(handle, _)| handle)
            .collect();
        for handle in theirs {
            if let Some(c) = self.conns.get_mut(handle) {
                c.options = Arc::clone(&self.options);
            }
            self.watch(handle);
        }
        for listener in self.listeners.iter_mut() {
            if Arc::ptr_eq(&listener.options, &before) {
                listener.options = Arc::clone(&self.options);
            }
        }
        Ok(())
    }

    /// Says that an answer is awaited: from now on the read timeout runs, until bytes come.
    ///
    /// # Errors
    /// [`Stale`] if the connection is gone.
    pub fn expect(&mut self, conn: Conn) -> Result<(), Stale> {
        let now = self.now;
        let c = self.conns.get_mut(conn.handle()).ok_or(Stale)?;
        c.expecting = true;
        c.note_owed(now);
        self.watch(conn.handle());
        Ok(())
    }

    /// Sets a total deadline that traffic never extends, against peers that send a byte at a time. `None`
    /// takes it away.
    ///
    /// # Errors
    /// [`Stale`] if the connection is gone.
    pub fn deadline(&mut self, conn: Conn, at: Option<Instant>) -> Result<(), Stale> {
        let c = self.conns.get_mut(conn.handle()).ok_or(Stale)?;
        c.total_by = at.unwrap_or(Instant::FAR_FUTURE);
        self.watch(conn.handle());
        Ok(())
    }

    // ---- listeners, timers, mail, foreign sources

    /// Starts to listen.
    ///
    /// # Errors
    /// [`Error::Io`] if the system refuses (with what to do about it), [`Error::Config`] for an address that
    /// does not resolve or options that make no sense, [`Error::Limit`] beyond 1,024 listeners.
    pub fn listen(&mut self, listen: Listen) -> Result<Listener, Error> {
        self.open_listener(listen)
    }

    /// Where the listener listens: with port 0, which port it got.
    #[must_use]
    pub fn listener_address(&self, listener: Listener) -> Option<&Address> {
        Some(&self.listeners.get(listener.handle)?.address)
    }

    /// Stops listening. Whoever waits in its backlog is reset.
    pub fn close_listener(&mut self, listener: Listener) -> bool {
        self.drop_listener(listener.handle)
    }

    /// Fires `Event::Timer` with `tag` at `at`: at most 1 ms plus one turn late when the reactor blocks, one
    /// turn when it spins.
    pub fn timer_at(&mut self, at: Instant, tag: u64) -> Timer {
        self.timer_for(Owner::APP, at, tag)
    }

    /// Like [`Io::timer_at`], counted from this turn's start.
    pub fn timer_after(&mut self, after: Duration, tag: u64) -> Timer {
        self.timer_for(Owner::APP, self.now + after, tag)
    }

    /// Like [`Io::timer_at`], for a component.
    pub fn timer_for(&mut self, owner: Owner, at: Instant, tag: u64) -> Timer {
        let at = self.not_this_turn(at);
        Timer { handle: self.timers.insert(at, Alarm::User { owner, tag }), owner }
    }

    /// A timer set for now or earlier fires in the next turn: in this one, a handler that sets it again and
    /// again would not let the turn end before its budget.
    fn not_this_turn(&self, at: Instant) -> Instant {
        at.max(self.now + Duration::from_nanos(1))
    }

    /// Takes a timer back; `false` if it fired already.
    pub fn cancel(&mut self, timer: Timer) -> bool {
        self.timers.cancel(timer.handle).is_some()
    }

    /// Moves a timer; `false` if it fired already.
    pub fn reschedule(&mut self, timer: Timer, at: Instant) -> bool {
        let at = self.not_this_turn(at);
        self.timers.reschedule(timer.handle, at)
    }

    /// A mailbox that holds at most `capacity` messages. The sender goes to other threads, the inbox stays
    /// with the handler.
    ///
    /// # Errors
    /// [`Error::Limit`] beyond 60 mailboxes, [`Error::Config`] for a capacity of 0.
    pub fn mailbox<M>(&mut self, capacity: usize, owner: Owner) -> Result<(Sender<M>, Inbox<M>), Error> {
        if capacity == 0 {
            return Err(Error::Config("a mailbox that holds nothing could never take a message".into()));
        }
        if self.mailboxes.len() == limits::MAILBOXES_MAX {
            return Err(Error::Limit("60 mailboxes of one reactor"));
        }
        let own = Mailbox { number: self.mailboxes.len() as u8, owner };
        self.mailboxes.push(own);
        Ok(mailbox(&self.doorway, own, capacity, self.config.budgets.mail))
    }

    /// Watches a foreign mio source; `Event::Ready` tells. Keep the source, and deregister it before it is
    /// dropped.
    ///
    /// # Errors
    /// [`Error::Io`] if the system refuses to watch it.
    pub fn register_source(
        &mut self,
        source: &mut impl mio::event::Source,
        interest: Interest,
        owner: Owner,
    ) -> Result<Source, Error> {
        let failed = |e| Error::io("watching a foreign source", e);
        let registry = self.poll.registry().map_err(failed)?;
        let handle = self.sources.insert(owner);
        if let Err(error) = registry.register(source, token::of_source(handle), interest.to_mio()) {
            self.sources.remove(handle);
            return Err(failed(error));
        }
        Ok(Source { handle, owner })
    }

    /// Changes what to be told about a foreign source. Whatever it is ready for is told again, so this is also
    /// how to come back to a source that was not read until it would block.
    ///
    /// # Errors
    /// [`Error::Io`] if the system does not know it, [`Error::Config`] if the handle is stale.
    pub fn reregister_source(
        &mut self,
        source: &mut impl mio::event::Source,
        registered: Source,
        interest: Interest,
    ) -> Result<(), Error> {
        self.sources.get(registered.handle).ok_or(Error::Config(Stale.to_string()))?;
        self.poll
            .registry()
            .and_then(|all| all.reregister(source, token::of_source(registered.handle), interest.to_mio()))
            .map_err(|e| Error::io("watching a foreign source", e))
    }

    /// Stops watching a foreign source.
    ///
    /// # Errors
    /// [`Error::Io`] if the system does not know it, [`Error::Config`] if the handle is stale.
    pub fn deregister_source(
        &mut self,
        source: &mut impl mio::event::Source,
        registered: Source,
    ) -> Result<(), Error> {
        self.sources.remove(registered.handle).ok_or(Error::Config(Stale.to_string()))?;
        self.poll
            .registry()
            .and_then(|all| all.deregister(source))
            .map_err(|e| Error::io("forgetting a foreign source", e))
    }

    // ---- the end

    /// Makes `Reactor::run` return after this turn, leaving everything as it is.
    pub fn stop(&mut self) {
        self.running = false;
    }

    /// Begins a graceful shutdown: serves what is already in the listeners' backlogs, closes them, announces
    /// `Event::Stopping`, closes each connection as soon as it owes nothing, and cuts off the rest after
    /// `within`. A handshake that its client has begun is finished before. Calling it again can only shorten the time.
    pub fn shutdown(&mut self, within: Duration) {
        let by = self.now + within;
        self.stopping_by = Some(self.stopping_by.map_or(by, |earlier| earlier.min(by)));
    }

    /// Whether a graceful shutdown is under way.
    #[must_use]
    pub const fn is_stopping(&self) -> bool {
        self.stopping_by.is_some()
    }

    // ---- shared by the rest of the room

    pub(super) fn options_or_default(&self, options: Option<Options>) -> Result<Arc<Options>, Error> {
        match options {
            None => Ok(Arc::clone(&self.options)),
            Some(options) => {
                check_options(&options, self.config.receive_buffer_bytes)?;
                Ok(Arc::new(options))
            }
        }
    }

    fn check_room_for_one_more(&self) -> Result<(), Error> {
        if self.admission.has_room(self.conns.len()) {
            return Ok(());
        }
        self.metrics.admissions_refused[Refusal::ConnectionsMax].add(1);
        Err(Error::Limit("connections_max of this reactor"))
    }

    pub(super) fn insert(&mut self, connection: Connection) -> Handle {
        let handle = self.conns.insert(connection);
        self.metrics.connections_active.set(self.conns.len() as u64);
        self.watch(handle);
        handle
    }

    pub(super) fn register(&mut self, handle: Handle) -> std::io::Result<()> {
        match self.conns.get_mut(handle) {
            Some(c) => c.socket.register(&self.poll, token::of_conn(handle)),
            None => Ok(()),
        }
    }

    /// Takes a reason not to read away, and serves what came meanwhile.
    pub(super) fn allow_reading(&mut self, handle: Handle, stop: u8) -> Result<(), Stale> {
        let now = self.now;
        let c = self.conns.get_mut(handle).ok_or(Stale)?;
        if c.readable && c.read_stops & stop != 0 {
            // The time that we held its bytes back does not count as its silence.
            c.active_at = now;
            c.note_owed(now);
        }
        c.read_stops &= !stop;
        if c.may_read() {
            self.run_queue.push(handle, c);
        }
        self.watch(handle);
        Ok(())
    }
}

fn add_credit(credit: u64, bytes: Option<u64>) -> u64 {
    match bytes {
        None => u64::MAX,
        Some(bytes) if credit == u64::MAX => bytes,
        Some(bytes) => credit.saturating_add(bytes).min(u64::MAX - 1),
    }
}

impl fmt::Debug for Io {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Io")
            .field("now", &self.now)
            .field("connections", &self.conns.len())
            .field("listeners", &self.listeners.len())
            .field("timers", &self.timers.len())
            .finish_non_exhaustive()
    }
}
