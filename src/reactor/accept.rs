//! The way in for connections: listeners, accepting within a budget, and surviving every error of accept(2).
//!
//! Out of descriptors or memory, a listener pauses: it tries again when a connection of this reactor closes,
//! and on a timer (10 ms, doubling to 100 ms) for those of others. Edge-triggered readiness does not repeat,
//! so this timer is also what keeps anybody from being stranded in the backlog. If the shortage of descriptors
//! lasts, whoever waits longest is turned away by means of a descriptor held in reserve, a few at a time:
//! a client that is refused can go elsewhere, one that hears nothing can not.

use super::Io;
use super::event::{Event, Handler, Listener};
use super::handoff::{HandOff, Load};
use super::io::Alarm;
use super::listen::{Listen, Place};
use super::notice::Notice;
use super::token;
use crate::collections::{Handle, Owner};
use crate::conn::{Connection, Options};
use crate::error::{Address, Error};
use crate::limits::{ACCEPTS_WHILE_SHAKING, LISTENERS_MAX, SHED_AT_ONCE_MAX};
use crate::metrics::{AcceptFailure, Budget, Refusal};
use crate::net::{AcceptFault, Acceptor, Bind, Socket, World};
use crate::secure::Security;
use crate::time::Instant;
use rustix::io::Errno;
use std::sync::Arc;
use std::time::Duration;

const BACKOFF_MIN: Duration = Duration::from_millis(10);
const BACKOFF_MAX: Duration = Duration::from_millis(100);
/// A shortage of descriptors that lasts longer than this turns the waiting away.
const SHED_AFTER: Duration = Duration::from_secs(1);

/// A listener of this reactor.
#[derive(Debug)]
pub(super) struct ListenerState {
    /// Absent where another core accepts for this one.
    pub(super) acceptor: Option<Acceptor>,
    pub(super) address: Address,
    pub(super) options: Arc<Options>,
    security: Security,
    owner: Owner,
    spread: Option<HandOff>,
    load: Option<Arc<Load>>,
    backoff: Duration,
    /// When a shortage began.
    short_since: Option<Instant>,
    /// Stands in the list of the ready or of the waiting.
    listed: bool,
    retry_armed: bool,
    /// The turn in which it last accepted, so that an event and the list do not give it two budgets in one.
    served_turn: u32,
}

impl ListenerState {
    /// Closes the listening socket; connections that it let in are not touched.
    pub(super) fn stop_listening(&mut self) {
        self.acceptor = None;
        self.spread = None;
    }

    /// One of the connections it let in has gone.
    pub(super) fn one_less(&self) {
        if let Some(load) = &self.load {
            load.one_less();
        }
    }
}

impl Io {
    pub(super) fn open_listener(&mut self, listen: Listen) -> Result<Listener, Error> {
        if self.listeners.len() >= LISTENERS_MAX {
            return Err(Error::Limit("1,024 listeners of one reactor"));
        }
        let options = self.options_or_default(listen.options.clone())?;
        listen.security.check()?;
        let (owner, security) = (listen.owner, listen.security.clone());
        let (acceptor, spread, load, address) = acquire(&self.world, listen, &options)?;
        if self.reserve.is_none() {
            // Without it a lasting shortage only waits instead of turning anybody away.
            self.reserve = self.world.reserve_descriptor();
        }
        let handle = self.listeners.insert(ListenerState {
            acceptor,
            address,
            options,
            security,
            owner,
            spread,
            load,
            backoff: BACKOFF_MIN,
            short_since: None,
            listed: false,
            retry_armed: false,
            served_turn: 0,
        });
        let listener = Listener { handle, owner };
        if let Some(acceptor) = self.listeners.get_mut(handle).and_then(|state| state.acceptor.as_mut())
            && let Err(error) = acceptor.register(&self.poll, token::of_listener(handle))
        {
            self.listeners.remove(handle);
            return Err(Error::io("watching a listener", error));
        }
        self.metrics.listeners.set(self.listeners.len() as u64);
        Ok(listener)
    }

    pub(super) fn drop_listener(&mut self, handle: Handle) -> bool {
        let known = self.listeners.remove(handle).is_some();
        self.metrics.listeners.set(self.listeners.len() as u64);
        known
    }

    /// Accepts from one listener, at most a budget of connections.
    pub(super) fn accept_from<H: Handler + ?Sized>(
        &mut self,
        handler: &mut H,
        handle: Handle,
        budget: usize,
    ) {
        if let Some(state) = self.listeners.get_mut(handle) {
            state.served_turn = self.turn;
        }
        let mut accepted = false;
        for _ in 0..budget {
            if !self.admission.has_room(self.conns.len()) {
                self.metrics.admissions_refused[Refusal::ConnectionsMax].add(1);
                return self.wait_for_room(handle);
            }
            let Some(state) = self.listeners.get_mut(handle) else { return };
            let Some(acceptor) = state.acceptor.as_mut() else { return };
            match acceptor.accept() {
                Ok((socket, peer)) => {
                    state.backoff = BACKOFF_MIN;
                    state.short_since = None;
                    accepted = true;
                    self.take_in_or_pass(handler, handle, socket, peer);
                }
                Err(errno) => match AcceptFault::of(errno) {
                    AcceptFault::Empty => {
                        // The shortage is over: the next one starts afresh.
                        state.backoff = BACKOFF_MIN;
                        state.short_since = None;
                        return;
                    }
                    AcceptFault::Aborted => {
                        self.metrics.errors_recoverable.add(1);
                        self.metrics.accept_errors[AcceptFailure::Aborted].add(1);
                    }
                    AcceptFault::Descriptors => {
                        return self.pause_accepting(handle, AcceptFailure::Descriptors);
                    }
                    AcceptFault::Memory => return self.pause_accepting(handle, AcceptFailure::Memory),
                    AcceptFault::Fatal => return self.listener_failed(handle, errno),
                },
            }
        }
        self.metrics.budgets_exhausted[Budget::Accepts].add(1);
        if !accepted {
            // An error without an end (a firewall, a sandbox) must not keep the loop awake.
            return self.pause_accepting(handle, AcceptFailure::Aborted);
        }
        self.list_ready(handle);
    }

    fn take_in_or_pass<H: Handler + ?Sized>(
        &mut self,
        handler: &mut H,
        handle: Handle,
        socket: Socket,
        peer: Address,
    ) {
        let spread = self.listeners.get(handle).and_then(|state| state.spread.as_ref());
        match spread {
            None => self.take_in(handler, handle, socket, peer),
            Some(spread) => {
                if let Some((socket, peer)) = spread.pass(socket, peer) {
                    spread.own.one_more();
                    self.take_in(handler, handle, socket, peer);
                }
            }
        }
    }

    /// Makes an accepted socket a connection, unless admission has something against it.
    fn take_in<H: Handler + ?Sized>(
        &mut self,
        handler: &mut H,
        listener: Handle,
        socket: Socket,
        peer: Address,
    ) {
        let now = self.now;
        let Some(state) = self.listeners.get(listener) else { return };
        let admitted = if state.security.is_none() || self.admission.may_shake(self.securing) {
            self.admission.admit(&peer, now)
        } else {
            Err(Refusal::HandshakesMax)
        };
        if let Err(refusal) = admitted {
            self.metrics.admissions_refused[refusal].add(1);
            state.one_less();
            return socket.reset_on_close();
        }
        let layer = state.security.begin();
        let (owner, options) = (state.owner, Arc::clone(&state.options));
        let Ok(socket) = Acceptor::prepare(&self.world, socket, &options.socket) else {
            state.one_less();
            return self.admission.left(Some(&peer));
        };
        self.metrics.connections_accepted.add(1);
        self.work.accepts += 1;
        let mut connection = Connection::new(socket, layer, options, owner, now);
        connection.peer = Some(peer.clone());
        connection.listener = Some(listener);
        connection.enter(crate::conn::State::Securing, now);
        let handle = self.insert(connection);
        let conn = crate::collections::Conn::new(handle, owner);
        if self.register(handle).is_err() {
            // The kernel has no room to watch it. The handler has not heard of it and never will.
            self.metrics.errors_recoverable.add(1);
            self.metrics.accept_errors[AcceptFailure::Memory].add(1);
            return self.forget(handle);
        }
        let listener = Listener { handle: listener, owner };
        self.call(handler, Event::Accepted { conn, listener, peer: &peer });
        self.open(handler, handle);
        if self.is_stopping() {
            self.look_once_more(handle);
        }
    }

    /// Takes in what another core accepted for this one.
    pub(super) fn take_handed<H: Handler + ?Sized>(&mut self, handler: &mut H) {
        let Some(mut inbox) = self.handed.take() else { return };
        while let Some(handed) = inbox.recv() {
            match self.handed_listeners.get(handed.listener) {
                Some(&listener) => self.take_in(handler, listener, handed.socket, handed.peer),
                None => handed.socket.reset_on_close(),
            }
        }
        self.handed = Some(inbox);
    }

    // ---- pausing and trying again

    /// All slots are taken: go on when one becomes free.
    fn wait_for_room(&mut self, handle: Handle) {
        let Some(state) = self.listeners.get_mut(handle).filter(|state| !state.listed) else { return };
        state.listed = true;
        self.waiting_listeners.push(handle);
    }

    fn pause_accepting(&mut self, handle: Handle, why: AcceptFailure) {
        let now = self.now;
        self.metrics.errors_recoverable.add(1);
        self.metrics.accept_errors[why].add(1);
        let Some(state) = self.listeners.get_mut(handle) else { return };
        let since = *state.short_since.get_or_insert(now);
        let backoff = state.backoff;
        state.backoff = (backoff * 2).min(BACKOFF_MAX);
        if !state.retry_armed {
            state.retry_armed = true;
            self.timers.insert(now + backoff, Alarm::AcceptRetry(handle));
        }
        if why == AcceptFailure::Descriptors && now.since(since) >= SHED_AFTER {
            self.shed(handle);
        }
        self.wait_for_room(handle);
    }

    /// Turns the longest waiting away by means of the reserve descriptor.
    fn shed(&mut self, handle: Handle) {
        for _ in 0..SHED_AT_ONCE_MAX {
            drop(self.reserve.take());
            let accepted = self
                .listeners
                .get_mut(handle)
                .and_then(|state| state.acceptor.as_mut())
                .and_then(|acceptor| acceptor.accept().ok());
            let Some((socket, _)) = accepted else { break };
            socket.reset_on_close();
            drop(socket);
            self.metrics.accept_errors[AcceptFailure::Other].add(1);
            self.reserve = self.world.reserve_descriptor();
        }
        if self.reserve.is_none() {
            self.reserve = self.world.reserve_descriptor();
        }
    }

    pub(super) fn retry_accepting(&mut self, handle: Handle) {
        if let Some(state) = self.listeners.get_mut(handle) {
            state.retry_armed = false;
        }
        self.retry_waiting_listeners();
    }

    /// Something was freed: whoever waited for it tries again at the end of this turn or in the next one.
    pub(super) fn retry_waiting_listeners(&mut self) {
        for handle in self.waiting_listeners.drain(..) {
            self.ready_listeners.push(handle);
        }
    }

    pub(super) fn list_ready(&mut self, handle: Handle) {
        if let Some(state) = self.listeners.get_mut(handle).filter(|state| !state.listed) {
            state.listed = true;
            self.ready_listeners.push(handle);
        }
    }

    /// Accepts from listeners that were reported, had more in their backlog than their budget, or may try again.
    pub(super) fn accept_waiting<H: Handler + ?Sized>(&mut self, handler: &mut H) {
        let budget = self.config.budgets.accepts;
        for handle in std::mem::take(&mut self.ready_listeners) {
            let Some(state) = self.listeners.get_mut(handle) else { continue };
            if state.served_turn == self.turn {
                self.ready_listeners.push(handle);
                continue;
            }
            state.listed = false;
            // Whoever is let in now would only stand in line for a handshake; open connections need not wait for it.
            let crowded = !state.security.is_none() && !self.shake_queue.is_empty();
            self.accept_from(
                handler,
                handle,
                if crowded { budget.min(ACCEPTS_WHILE_SHAKING) } else { budget },
            );
        }
    }

    fn listener_failed(&mut self, handle: Handle, errno: Errno) {
        self.metrics.errors_critical.add(1);
        self.metrics.accept_errors[AcceptFailure::Other].add(1);
        if let Some(state) = self.listeners.remove(handle) {
            let listener = Listener { handle, owner: state.owner };
            self.notices.push_back(Notice::ListenerFailed(listener, errno));
        }
        self.metrics.listeners.set(self.listeners.len() as u64);
    }
}

type Acquired = (Option<Acceptor>, Option<HandOff>, Option<Arc<Load>>, Address);

fn acquire(world: &World, listen: Listen, options: &Options) -> Result<Acquired, Error> {
    let Listen { place, backlog, reuse_port, only_v6, .. } = listen;
    let taken_over = |e| Error::io("taking over a listener", e);
    let (acceptor, spread) = match place {
        Place::Address(address) => {
            let how = Bind { backlog, reuse_port, only_v6, options: &options.socket };
            let bound = Acceptor::bind(world, &address, how);
            (bound.map_err(|e| Error::io(format!("listening on {address}"), e))?, None)
        }
        Place::Tcp(listener) => (Acceptor::from_tcp(listener, &options.socket).map_err(taken_over)?, None),
        Place::Unix(listener) => (Acceptor::from_unix(listener).map_err(taken_over)?, None),
        Place::Bound(acceptor, spread) => (acceptor, spread),
        Place::Elsewhere(address, load) => return Ok((None, None, Some(load), address)),
        Place::Unresolved(text, error) => return Err(Error::io(format!("resolving {text}"), error)),
    };
    let address = acceptor.local().map_err(|e| Error::io("asking a listener for its address", e))?;
    let load = spread.as_ref().map(|spread: &HandOff| Arc::clone(&spread.own));
    Ok((Some(acceptor), spread, load, address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reactor::{Config, Reactor, Wait};
    use std::io::Write;
    use std::net::TcpStream;

    /// A reactor whose listener's next accepts answer with `errnos`, and the listener's address.
    fn reactor_with(errnos: impl IntoIterator<Item = Errno>) -> (Reactor, Handle, std::net::SocketAddr) {
        let mut reactor = Reactor::new(Config::default()).unwrap();
        let listener = reactor.io().listen(Listen::tcp("127.0.0.1:0")).unwrap();
        let address = reactor.io().listener_address(listener).unwrap().as_inet().unwrap();
        let state = reactor.io.listeners.get_mut(listener.handle).unwrap();
        state.acceptor.as_mut().unwrap().injected.extend(errnos);
        (reactor, listener.handle, address)
    }

    /// Turns until somebody's bytes have come; answers how many turns that took.
    fn turns_until_served(reactor: &mut Reactor) -> usize {
        let mut served = false;
        for turns in 0..2_000 {
            if served {
                return turns;
            }
            let mut handler = |_: &mut Io, event: Event<'_>| served |= matches!(event, Event::Data { .. });
            reactor.turn(Wait::For(Duration::from_millis(100)), &mut handler).unwrap();
        }
        panic!("nobody was served");
    }

    /// What accept(2) answers when it is the listener that cannot be used.
    const UNUSABLE: [Errno; 4] = [Errno::BADF, Errno::INVAL, Errno::NOTSOCK, Errno::FAULT];
    /// The highest error number of Linux: `EHWPOISON`.
    const ERRNO_MAX: i32 = 133;

    #[test]
    fn accepting_goes_on_after_errors_of_every_kind() {
        let every = (1..=ERRNO_MAX).map(Errno::from_raw_os_error);
        let passing: Vec<Errno> =
            every.filter(|errno| *errno != Errno::AGAIN && !UNUSABLE.contains(errno)).collect();
        for &errno in &passing {
            let (mut reactor, _, address) = reactor_with([errno; 3]);
            let mut peer = TcpStream::connect(address).unwrap();
            peer.write_all(b"x").unwrap();
            let turns = turns_until_served(&mut reactor);
            assert!(turns <= 20, "{turns} turns for three of {errno:?}");
            assert_eq!(reactor.io().metrics().figures().accept_errors.total(), 3, "{errno:?}");
        }
        let (mut reactor, _, address) = reactor_with(passing);
        TcpStream::connect(address).unwrap().write_all(b"x").unwrap();
        turns_until_served(&mut reactor);
    }

    /// accept(2) passes on what happened to the connection before it was accepted, this error too: the manual page
    /// asks to treat it as such. On a listener of streams it has no other meaning.
    #[test]
    fn an_error_of_one_newcomer_does_not_close_the_listener() {
        let (mut reactor, listener, address) = reactor_with([Errno::OPNOTSUPP]);
        TcpStream::connect(address).unwrap().write_all(b"x").unwrap();
        turns_until_served(&mut reactor);
        assert!(reactor.io.listeners.get(listener).is_some());
    }

    #[test]
    fn an_unusable_listener_fails_once_and_the_others_go_on() {
        for errno in UNUSABLE {
            let (mut reactor, _, address) = reactor_with([errno]);
            let other = reactor.io().listen(Listen::tcp("127.0.0.1:0")).unwrap();
            let other = reactor.io().listener_address(other).unwrap().as_inet().unwrap();
            let _peer = TcpStream::connect(address).unwrap();
            let mut failures = 0;
            let mut handler = |_: &mut Io, event: Event<'_>| {
                if let Event::ListenerFailed { error, .. } = event {
                    assert_eq!(error.raw_os_error(), Some(errno.raw_os_error()));
                    failures += 1;
                }
            };
            for _ in 0..5 {
                reactor.turn(Wait::For(Duration::from_millis(10)), &mut handler).unwrap();
            }
            assert_eq!(failures, 1, "{errno:?}");
            TcpStream::connect(other).unwrap().write_all(b"x").unwrap();
            turns_until_served(&mut reactor);
        }
    }

    #[test]
    fn an_error_that_never_ends_does_not_make_the_loop_spin() {
        for errno in [Errno::PERM, Errno::MFILE, Errno::NOMEM] {
            let (mut reactor, listener, address) = reactor_with([errno; 100_000]);
            let _peer = TcpStream::connect(address).unwrap();
            let mut handler = |_: &mut Io, _: Event<'_>| {};
            let until = reactor.io().now() + Duration::from_millis(300);
            reactor.run_until(until, &mut handler).unwrap();
            let left = reactor.io.listeners.get(listener).unwrap().acceptor.as_ref().unwrap().injected.len();
            let tried = 100_000 - left;
            // With pauses of 10, 20, 40, 80 and 100 ms: one budget each.
            assert!(tried <= 8 * 64, "{tried} accepts failed with {errno:?}");
        }
    }
}
