//! Listeners of the simulated world: where they are bound, who waits in their queues, and what accept says.

use super::channel::Side;
use super::state::{HostState, Ready, State};
use crate::collections::Handle;
use crate::error::Address;
use crate::net::{Bind, SocketOptions};
use mio::Token;
use rustix::io::Errno;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

/// A listener.
#[derive(Debug)]
pub(super) struct Listening {
    pub(super) host: u32,
    pub(super) address: Address,
    /// What connections that it takes in begin with.
    pub(super) options: SocketOptions,
    reuse_port: bool,
    backlog: usize,
    /// Established, and not accepted yet.
    waiting: VecDeque<Handle>,
    watched: Option<(u32, Token)>,
    listed: bool,
}

impl Listening {
    /// As on Linux, one more than its backlog may wait.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() > self.backlog
    }

    pub(super) fn has(&self, channel: Handle) -> bool {
        self.waiting.contains(&channel)
    }

    pub(super) fn watch(&mut self, core: u32, token: Token) {
        self.watched = Some((core, token));
    }

    /// Takes it off the list of the ready, if anybody waits.
    pub(super) fn unlist(&mut self) -> bool {
        self.listed = false;
        !self.waiting.is_empty()
    }
}

impl State {
    pub(super) fn listen(&mut self, host: u32, address: &Address, how: Bind<'_>) -> Result<Handle, Errno> {
        let address = match address {
            Address::Inet(inet) if inet.port() == 0 => {
                Address::Inet(SocketAddr::new(inet.ip(), self.next_port(host)))
            }
            address => address.clone(),
        };
        let taken = self.hosts[host as usize].bound.iter().any(|(other, listener)| {
            let shared = how.reuse_port && self.listeners.get(*listener).is_some_and(|l| l.reuse_port);
            !shared && overlap(other, &address)
        });
        if taken {
            return Err(Errno::ADDRINUSE);
        }
        self.take_descriptor(host)?;
        let listener = self.listeners.insert(Listening {
            host,
            address: address.clone(),
            options: how.options.clone(),
            reuse_port: how.reuse_port,
            backlog: usize::try_from(how.backlog).unwrap_or(0),
            waiting: VecDeque::new(),
            watched: None,
            listed: false,
        });
        self.hosts[host as usize].bound.push((address, listener));
        Ok(listener)
    }

    /// The listener that a connection request is for; of several that share the address, one is drawn.
    pub(super) fn listener_at(&mut self, host: u32, channel: Handle) -> Option<Handle> {
        let to = &self.channels.get(channel)?.ends[1].address;
        let bound = &self.hosts[host as usize].bound;
        let mut all = bound.iter().filter(|(at, _)| reaches(to, at)).map(|(_, listener)| *listener);
        let first = all.next()?;
        let more = all.count();
        if more == 0 {
            return Some(first);
        }
        let chosen = self.random.usize(..=more);
        let bound = &self.hosts[host as usize].bound;
        bound.iter().filter(|(at, _)| reaches(to, at)).map(|(_, listener)| *listener).nth(chosen)
    }

    /// A connection is established and waits for accept.
    pub(super) fn enqueue(&mut self, listener: Handle, channel: Handle) {
        let Some(listening) = self.listeners.get_mut(listener) else { return };
        listening.waiting.push_back(channel);
        self.tell_listener(listener);
    }

    pub(super) fn tell_listener(&mut self, listener: Handle) {
        let Some(listening) = self.listeners.get_mut(listener) else { return };
        let Some((core, token)) = listening.watched.filter(|_| !listening.listed) else { return };
        listening.listed = true;
        self.cores[core as usize].ready.push_back(Ready::Listener(listener, token));
        self.rouse(core);
    }

    pub(super) fn accept(&mut self, listener: Handle) -> Result<(Handle, Address), Errno> {
        let Some(listening) = self.listeners.get_mut(listener) else { return Err(Errno::BADF) };
        let host = listening.host;
        let HostState { accept_faults, descriptors, descriptors_max, .. } = &mut self.hosts[host as usize];
        if let Some(errno) = accept_faults.pop_front() {
            return Err(errno);
        }
        // Linux wants the descriptor before it looks whether anybody is there.
        if descriptors >= descriptors_max {
            return Err(Errno::MFILE);
        }
        let Some(channel) = listening.waiting.pop_front() else { return Err(Errno::AGAIN) };
        let Some(c) = self.channels.get_mut(channel) else { return Err(Errno::CONNABORTED) };
        *descriptors += 1;
        let end = &mut c.ends[Side::Acceptor as usize];
        end.held = true;
        let peer = c.ends[Side::Dialler as usize].address.clone();
        self.begin_probing(channel, Side::Acceptor);
        Ok((channel, peer))
    }

    /// The listener closes; whoever waits in its queue is reset, as Linux does.
    pub(super) fn unlisten(&mut self, listener: Handle) {
        let Some(listening) = self.listeners.remove(listener) else { return };
        let host = &mut self.hosts[listening.host as usize];
        host.bound.retain(|(_, other)| *other != listener);
        self.give_descriptor_back(listening.host);
        for channel in listening.waiting {
            self.reset_from(channel, Side::Acceptor);
        }
    }
}

/// Whether both can not be bound at once.
fn overlap(a: &Address, b: &Address) -> bool {
    match (a, b) {
        (Address::Inet(a), Address::Inet(b)) => {
            a.port() == b.port() && (a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified())
        }
        (a, b) => a == b,
    }
}

/// Whether what is sent to `to` reaches a listener bound at `at` of the host that `to` belongs to.
fn reaches(to: &Address, at: &Address) -> bool {
    match (to, at) {
        (Address::Inet(to), Address::Inet(at)) => {
            let local = |ip: IpAddr| ip.is_loopback() || ip.is_unspecified();
            to.port() == at.port()
                && (at.ip().is_unspecified() || at.ip() == to.ip() || local(at.ip()) && local(to.ip()))
        }
        (to, at) => to == at,
    }
}
