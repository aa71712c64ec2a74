//! What a reactor holds of the simulated world: its core, and sockets, listeners and descriptors that close when they
//! are dropped.

use super::channel::{Look, Side};
use super::state::{Happening, Ready, Shared, State};
use crate::collections::Handle;
use crate::error::Address;
use crate::net::{Bind, Reported, SocketOptions};
use mio::Token;
use rustix::io::Errno;
use std::io::IoSlice;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// One core of a simulated host, as the reactor on it sees it.
#[derive(Clone, Debug)]
pub(crate) struct Port {
    shared: Shared,
    host: u32,
    core: u32,
    clock: Arc<AtomicU64>,
}

/// One end of a simulated connection.
#[derive(Debug)]
pub struct Socket {
    shared: Shared,
    channel: Handle,
    side: Side,
}

/// A simulated listener.
#[derive(Debug)]
pub(crate) struct Listener {
    shared: Shared,
    listener: Handle,
}

/// A descriptor of a simulated host that stands for nothing.
#[derive(Debug)]
pub(crate) struct Descriptor {
    shared: Shared,
    host: u32,
}

impl Port {
    /// A new core of `host`, with its clock that far ahead of the world's time.
    pub(crate) fn new(shared: &Shared, host: u32, clock_ahead: i64) -> Port {
        let (core, clock) = shared.lock().add_core(host, clock_ahead);
        Port { shared: shared.clone(), host, core, clock }
    }

    /// The core's number in the world.
    pub(crate) fn core(&self) -> u32 {
        self.core
    }

    /// What the core's reactor reads as the time.
    pub(crate) const fn nanos(&self) -> &Arc<AtomicU64> {
        &self.clock
    }

    pub(in crate::net) fn reserve_descriptor(&self) -> Option<Descriptor> {
        self.shared.lock().take_descriptor(self.host).ok()?;
        Some(Descriptor { shared: self.shared.clone(), host: self.host })
    }

    pub(in crate::net) fn dial(
        &self,
        to: &Address,
        from: Option<&Address>,
        options: &SocketOptions,
    ) -> Result<Socket, Errno> {
        let channel = self.shared.lock().dial(self.host, to, from, options)?;
        Ok(Socket { shared: self.shared.clone(), channel, side: Side::Dialler })
    }

    pub(in crate::net) fn listen(&self, address: &Address, how: Bind<'_>) -> Result<Listener, Errno> {
        let listener = self.shared.lock().listen(self.host, address, how)?;
        Ok(Listener { shared: self.shared.clone(), listener })
    }

    /// Whether a socket belongs to this host.
    pub(in crate::net) fn may_adopt(&self, socket: &Socket) -> bool {
        socket.with(|state| {
            let end = state.channels.get(socket.channel).map(|c| &c.ends[socket.side as usize]);
            end.is_some_and(|end| end.host == self.host)
        })
    }

    /// Tells this core what happens to a socket from now on, and at once what has happened before.
    pub(in crate::net) fn watch(&self, socket: &Socket, token: Token) {
        let mut state = self.shared.lock();
        let now = state.now;
        let Some(c) = state.channels.get_mut(socket.channel) else { return };
        c.ends[socket.side as usize].watched = Some((self.core, token));
        let Look { readable, writable, end, error } = c.look(socket.side, now);
        if readable || writable || end || error {
            state.tell(socket.channel, socket.side);
        }
    }

    pub(in crate::net) fn watch_listener(&self, listener: &Listener, token: Token) {
        let mut state = self.shared.lock();
        let Some(listening) = state.listeners.get_mut(listener.listener) else { return };
        listening.watch(self.core, token);
        if listening.unlist() {
            state.tell_listener(listener.listener);
        }
    }

    /// Moves what happened since the last turn into `events`, at most `max` of it.
    pub(in crate::net) fn take_ready(&self, events: &mut Vec<(Token, Reported)>, max: usize) {
        let state = &mut *self.shared.lock();
        let State { cores, channels, listeners, now, .. } = state;
        let ready = &mut cores[self.core as usize].ready;
        while events.len() < max
            && let Some(next) = ready.pop_front()
        {
            match next {
                Ready::End(channel, side, token) => {
                    let Some(c) = channels.get_mut(channel) else { continue };
                    let end = &mut c.ends[side as usize];
                    end.listed = false;
                    if end.watched != Some((self.core, token)) {
                        continue;
                    }
                    let Look { readable, writable, end, error } = c.look(side, *now);
                    events.push((token, Reported { readable: readable || error, writable, end, error }));
                }
                Ready::Listener(listener, token) => {
                    if listeners.get_mut(listener).is_some_and(|listening| listening.unlist()) {
                        let reported = Reported { readable: true, writable: false, end: false, error: false };
                        events.push((token, reported));
                    }
                }
            }
        }
    }

    /// The bell of this core's reactor rang: it is due after a delay.
    pub(in crate::net) fn ring(&self) {
        let mut state = self.shared.lock();
        let [min, max] = state.settings.mail_delay;
        let delay = min + (max.saturating_sub(min)).mul_f64(state.random.f64());
        let at = state.now + delay;
        state.queue.insert(at, Happening::Bell(self.core));
    }
}

impl Socket {
    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.shared.lock())
    }

    pub(in crate::net) fn read(&self, into: &mut [u8]) -> Result<usize, Errno> {
        self.with(|state| state.read(self.channel, self.side, into))
    }

    pub(in crate::net) fn write(&self, from: &[IoSlice<'_>]) -> Result<usize, Errno> {
        self.with(|state| state.write(self.channel, self.side, from))
    }

    pub(in crate::net) fn finish(&self) -> Result<(), Errno> {
        self.with(|state| state.finish(self.channel, self.side))
    }

    pub(in crate::net) fn take_error(&self) -> Option<Errno> {
        self.with(|state| state.channels.get_mut(self.channel)?.ends[self.side as usize].error.take())
    }

    pub(in crate::net) fn is_connected(&self) -> bool {
        self.with(|state| {
            state.channels.get(self.channel).is_some_and(|c| c.ends[self.side as usize].connected)
        })
    }

    fn address_of(&self, side: Side) -> Address {
        let address =
            self.with(|state| Some(state.channels.get(self.channel)?.ends[side as usize].address.clone()));
        address.unwrap_or_else(|| Address::Unix(std::path::Path::new("").into()))
    }

    pub(in crate::net) fn peer(&self) -> Address {
        self.address_of(self.side.other())
    }

    pub(in crate::net) fn local(&self) -> Address {
        self.address_of(self.side)
    }

    pub(in crate::net) fn reset_on_close(&self) {
        self.with(|state| {
            if let Some(c) = state.channels.get_mut(self.channel) {
                c.ends[self.side as usize].resets = true;
            }
        });
    }

    pub(in crate::net) fn unwatch(&self) {
        self.with(|state| {
            if let Some(c) = state.channels.get_mut(self.channel) {
                c.ends[self.side as usize].watched = None;
            }
        });
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.with(|state| state.release(self.channel, self.side));
    }
}

impl Listener {
    pub(in crate::net) fn accept(&self) -> Result<(Socket, Address), Errno> {
        let (channel, peer) = self.shared.lock().accept(self.listener)?;
        Ok((Socket { shared: self.shared.clone(), channel, side: Side::Acceptor }, peer))
    }

    pub(in crate::net) fn local(&self) -> Address {
        let state = self.shared.lock();
        let address = state.listeners.get(self.listener).map(|listening| listening.address.clone());
        address.unwrap_or_else(|| Address::Unix(std::path::Path::new("").into()))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.shared.lock().unlisten(self.listener);
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        self.shared.lock().give_descriptor_back(self.host);
    }
}
