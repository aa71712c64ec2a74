//! TCP connections of the simulated world: who dialled whom, how far the handshake is, and what becomes of each end
//! when the other one closes, resets, or is gone.

use super::flow::{Flow, FlowSettings, Paths, Step};
use super::state::{Happening, Ready, State};
use crate::collections::Handle;
use crate::error::Address;
use crate::net::{KeepAlive, SocketOptions};
use crate::time::Instant;
use mio::Token;
use rustix::io::Errno;
use std::io::IoSlice;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// Bytes of a packet that carries nothing: IP and TCP headers with the usual options.
const BARE_PACKET_BYTES: u32 = 52;
/// A connection request is repeated after that long, doubling (Linux `TCP_TIMEOUT_INIT`, RFC 6298).
const SYN_AGAIN: Duration = Duration::from_secs(1);
/// So many repetitions, then it has failed (Linux `tcp_syn_retries`): after 127 s.
const SYN_RETRIES: u8 = 6;
/// The answer to a request is repeated for that long (Linux `tcp_synack_retries`: 1 + 2 + 4 + 8 + 16 + 32 s).
const HALF_OPEN_FOR: Duration = Duration::from_secs(63);
/// Nobody answers for an address at which there is no host (Linux gives up asking for it by then).
const NO_HOST_AFTER: Duration = Duration::from_secs(3);
/// How long an end that was closed waits for the end of its peer (Linux `tcp_fin_timeout`).
const ORPHANED_FOR: Duration = Duration::from_secs(60);

/// A socket that asks for smaller buffers gets these (what Linux's `SOCK_MIN_SNDBUF` and `SOCK_MIN_RCVBUF` leave for
/// data).
const SEND_BUFFER_BYTES_MIN: u32 = 2304;
const RECEIVE_BUFFER_BYTES_MIN: u32 = 1152;

/// Which end of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Side {
    /// The one that asked for it.
    Dialler = 0,
    /// The one that took it in.
    Acceptor = 1,
}

impl Side {
    pub(super) const fn other(self) -> Side {
        match self {
            Side::Dialler => Side::Acceptor,
            Side::Acceptor => Side::Dialler,
        }
    }
}

/// A connection between two hosts, or of a host with itself.
#[derive(Debug)]
pub(crate) struct Channel {
    pub(super) ends: [End; 2],
    /// What each end sends.
    pub(super) flows: [Flow; 2],
    /// The way from each end to the other.
    paths: [u32; 2],
    /// The listener whose queue it goes through.
    listener: Option<Handle>,
    /// When each side last sent its part of the handshake: the first measure of the round trip.
    spoke_at: [Instant; 2],
    /// The other host has taken the request in.
    answered: bool,
    /// It has been in the listener's queue.
    queued: bool,
}

/// One end of it.
#[derive(Debug)]
pub(super) struct End {
    pub(super) host: u32,
    pub(super) address: Address,
    /// A socket of an application stands for it.
    pub(super) held: bool,
    /// The core and token to which its readiness is told.
    pub(super) watched: Option<(u32, Token)>,
    /// Stands among its core's ready.
    pub(super) listed: bool,
    /// Established, as this end sees it.
    pub(super) connected: bool,
    /// What the next operation answers with.
    pub(super) error: Option<Errno>,
    /// Nothing moves any more: reset, refused, given up, or its host lost power.
    pub(super) dead: bool,
    /// Its end of stream is behind what was written.
    finished: bool,
    /// Closing it resets.
    pub(super) resets: bool,
    keep_alive: Option<KeepAlive>,
    /// What its side of the flows is made with.
    buffers: Buffers,
    /// When something last came from the peer.
    heard_at: Instant,
}

/// What a socket's options say of its buffers; `None` is the world's own choice.
#[derive(Clone, Copy, Debug)]
struct Buffers {
    send_bytes: Option<u32>,
    receive_bytes: Option<u32>,
    user_timeout: Option<Duration>,
}

impl Buffers {
    fn new(options: &SocketOptions) -> Buffers {
        let fits = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        Buffers {
            send_bytes: options.send_buffer_bytes.map(fits),
            receive_bytes: options.receive_buffer_bytes.map(fits),
            user_timeout: options.user_timeout,
        }
    }
}

impl End {
    fn new(host: u32, address: Address, options: &SocketOptions, now: Instant) -> End {
        End {
            host,
            address,
            held: false,
            watched: None,
            listed: false,
            connected: false,
            error: None,
            dead: false,
            finished: false,
            resets: options.linger == Some(Duration::ZERO),
            keep_alive: options.keep_alive,
            buffers: Buffers::new(options),
            heard_at: now,
        }
    }
}

/// What the poller says of an end.
pub(super) struct Look {
    pub(super) readable: bool,
    pub(super) writable: bool,
    pub(super) end: bool,
    pub(super) error: bool,
}

impl Channel {
    pub(super) fn look(&mut self, side: Side, now: Instant) -> Look {
        let (ours, theirs) = (side as usize, side.other() as usize);
        let connected = self.ends[ours].connected;
        let room = connected && self.flows[ours].write_room(now) > 0;
        let (end, theirs) = (&self.ends[ours], &self.flows[theirs]);
        let ended = end.dead || (connected && theirs.end_arrived());
        Look {
            readable: ended || theirs.readable() > 0,
            writable: end.dead || room,
            end: ended,
            error: end.error.is_some(),
        }
    }

    /// Nobody holds either end, and nothing is left to be said.
    fn is_over(&self) -> bool {
        self.ends.iter().all(|end| !end.held)
            && (self.ends.iter().all(|end| end.dead)
                || [Side::Dialler, Side::Acceptor].into_iter().all(|side| {
                    self.ends[side as usize].dead || self.flows[side.other() as usize].end_arrived()
                }))
    }
}

// ---- dialling

impl State {
    /// Begins to connect, as connect(2) does on a non-blocking socket.
    pub(super) fn dial(
        &mut self,
        host: u32,
        to: &Address,
        from: Option<&Address>,
        options: &SocketOptions,
    ) -> Result<Handle, Errno> {
        let target = self.host_of(host, to)?;
        let local = self.local_address(host, to, from)?;
        self.take_descriptor(host)?;
        let now = self.now;
        let there = target.unwrap_or(host);
        let paths = [self.topology.path(host, there, false), self.topology.path(there, host, true)];
        let ends = [
            End { held: true, ..End::new(host, local, options, now) },
            End::new(there, to.clone(), &SocketOptions::default(), now),
        ];
        let flows =
            [self.flow(ends[0].buffers, ends[1].buffers), self.flow(ends[1].buffers, ends[0].buffers)];
        let channel = self.channels.insert(Channel {
            ends,
            flows,
            paths,
            listener: None,
            spoke_at: [now; 2],
            answered: false,
            queued: false,
        });
        if target.is_none() {
            self.queue.insert(now + NO_HOST_AFTER, Happening::Refused(channel, Errno::HOSTUNREACH));
            return Ok(channel);
        }
        self.ask(channel);
        self.queue.insert(now + SYN_AGAIN, Happening::SynAgain(channel, 1));
        Ok(channel)
    }

    /// Sends a connection request, which a router answers that knows no way to the other host.
    fn ask(&mut self, channel: Handle) {
        let Some(c) = self.channels.get_mut(channel) else { return };
        c.spoke_at[0] = self.now;
        if self.topology.has_no_route(c.ends[0].host, c.ends[1].host) {
            let told_after = self.topology.paths[c.paths[0] as usize].latency();
            self.queue.insert(self.now + told_after, Happening::Refused(channel, Errno::HOSTUNREACH));
        } else {
            self.send_bare(channel, Side::Dialler, Happening::Syn(channel));
        }
    }

    /// The host that an address belongs to; `None` if nobody has it.
    fn host_of(&self, from: u32, address: &Address) -> Result<Option<u32>, Errno> {
        let ip = match address {
            Address::Unix(_) => return Ok(Some(from)),
            Address::Inet(address) => address.ip(),
        };
        if ip.is_loopback() || ip.is_unspecified() {
            return Ok(Some(from));
        }
        let IpAddr::V4(ip) = ip else { return Err(Errno::NETUNREACH) };
        match host_of_ip(ip) {
            Some(host) => Ok(Some(host).filter(|host| (*host as usize) < self.hosts.len())),
            None => Err(Errno::NETUNREACH),
        }
    }

    fn local_address(&mut self, host: u32, to: &Address, from: Option<&Address>) -> Result<Address, Errno> {
        let ip = match (to, from) {
            (Address::Unix(_), _) => return Ok(Address::Unix(std::path::Path::new("").into())),
            (_, Some(Address::Unix(_))) => return Err(Errno::INVAL),
            (_, Some(Address::Inet(from))) if from.port() != 0 => return Ok(Address::Inet(*from)),
            (_, Some(Address::Inet(from))) => from.ip(),
            (Address::Inet(to), None) if to.ip().is_loopback() => to.ip(),
            (Address::Inet(_), None) => IpAddr::V4(ip_of_host(host)),
        };
        Ok(Address::Inet(SocketAddr::new(ip, self.next_port(host))))
    }

    /// Ephemeral ports come round; two connections with the same one are still two.
    pub(super) fn next_port(&mut self, host: u32) -> u16 {
        let next = &mut self.hosts[host as usize].next_port;
        let port = *next;
        *next = port.checked_add(1).unwrap_or(32_768);
        port
    }

    pub(super) fn take_descriptor(&mut self, host: u32) -> Result<(), Errno> {
        let host = &mut self.hosts[host as usize];
        if host.descriptors >= host.descriptors_max {
            return Err(Errno::MFILE);
        }
        host.descriptors += 1;
        Ok(())
    }

    pub(super) fn give_descriptor_back(&mut self, host: u32) {
        self.hosts[host as usize].descriptors -= 1;
    }

    /// A flow between two ends, made as the sender's and the receiver's options want it.
    fn flow(&mut self, sender: Buffers, receiver: Buffers) -> Flow {
        let seed = self.random.u64(..);
        let usual = &self.settings.flow;
        if (sender.send_bytes, receiver.receive_bytes, sender.user_timeout) == (None, None, None) {
            return Flow::new(usual, seed);
        }
        let mut settings = FlowSettings::clone(usual);
        settings.send_buffer_bytes =
            sender.send_bytes.unwrap_or(settings.send_buffer_bytes).max(SEND_BUFFER_BYTES_MIN);
        settings.receive_buffer_bytes =
            receiver.receive_bytes.unwrap_or(settings.receive_buffer_bytes).max(RECEIVE_BUFFER_BYTES_MIN);
        settings.user_timeout = sender.user_timeout.or(settings.user_timeout);
        Flow::new(&Arc::new(settings), seed)
    }

    /// Puts a packet without data on the way from that end; `then` happens where it arrives. Answers whether it does.
    fn send_bare(&mut self, channel: Handle, from: Side, then: Happening) -> bool {
        let Some(c) = self.channels.get(channel) else { return false };
        if !self.hosts[c.ends[from as usize].host as usize].up {
            return false;
        }
        let path = c.paths[from as usize] as usize;
        let arrives = self.topology.paths[path].transit(self.now, BARE_PACKET_BYTES);
        if let Some(at) = arrives {
            self.queue.insert(at, then);
        }
        arrives.is_some()
    }

    /// The request has arrived.
    pub(super) fn syn(&mut self, channel: Handle) {
        let now = self.now;
        let Some(c) = self.channels.get_mut(channel) else { return };
        let there = c.ends[1].host;
        if !self.hosts[there as usize].up {
            return;
        }
        c.spoke_at[1] = now;
        if c.answered {
            self.send_bare(channel, Side::Acceptor, Happening::SynAck(channel));
            return;
        }
        let Some(listener) = self.listener_at(there, channel) else {
            let refused = Happening::Refused(channel, Errno::CONNREFUSED);
            self.send_bare(channel, Side::Acceptor, refused);
            return;
        };
        if self.listeners.get(listener).is_none_or(|listening| listening.is_full()) {
            // Linux drops the request; it will come again.
            return;
        }
        let (Some(c), Some(listening)) = (self.channels.get(channel), self.listeners.get(listener)) else {
            return;
        };
        let address = c.ends[1].address.clone();
        let acceptor = End::new(there, address, &listening.options, self.now);
        let (a, b) = (c.ends[0].buffers, acceptor.buffers);
        let flows = [self.flow(a, b), self.flow(b, a)];
        let Some(c) = self.channels.get_mut(channel) else { return };
        c.answered = true;
        c.listener = Some(listener);
        c.ends[1] = acceptor;
        c.flows = flows;
        self.queue.insert(self.now + HALF_OPEN_FOR, Happening::HalfOpen(channel));
        self.send_bare(channel, Side::Acceptor, Happening::SynAck(channel));
    }

    /// Whoever asked has not been heard of since the answer: the kernel that gave it forgets the request.
    pub(super) fn half_open(&mut self, channel: Handle) {
        if self.channels.get(channel).is_some_and(|c| !c.queued) {
            self.bury(channel, Side::Acceptor, None);
        }
    }

    pub(super) fn syn_again(&mut self, channel: Handle, attempt: u8) {
        let Some(c) = self.channels.get(channel) else { return };
        if c.ends[0].connected || c.ends[0].dead {
            return;
        }
        if attempt > SYN_RETRIES {
            return self.bury(channel, Side::Dialler, Some(Errno::TIMEDOUT));
        }
        self.ask(channel);
        let wait = SYN_AGAIN * (1 << attempt);
        self.queue.insert(self.now + wait, Happening::SynAgain(channel, attempt + 1));
    }

    /// The request was accepted over there.
    pub(super) fn syn_ack(&mut self, channel: Handle) {
        let now = self.now;
        let Some(c) = self.channels.get_mut(channel) else { return };
        if !self.hosts[c.ends[0].host as usize].up {
            return;
        }
        if c.ends[0].dead {
            self.send_bare(channel, Side::Dialler, Happening::Reset(channel, Side::Acceptor));
            return;
        }
        if !c.ends[0].connected {
            c.ends[0].connected = true;
            c.ends[0].heard_at = now;
            c.flows[0].measured(now.since(c.spoke_at[0]));
            self.tell(channel, Side::Dialler);
            self.begin_probing(channel, Side::Dialler);
        }
        self.establish_again(channel);
    }

    /// Sends the last part of the handshake, again and again until it arrives.
    pub(super) fn establish_again(&mut self, channel: Handle) {
        let Some(c) = self.channels.get(channel).filter(|c| !c.queued && !c.ends[0].dead) else { return };
        debug_assert!(c.answered, "nothing is established that was not answered");
        if !self.send_bare(channel, Side::Dialler, Happening::Established(channel)) {
            self.queue.insert(self.now + SYN_AGAIN, Happening::EstablishAgain(channel));
        }
    }

    /// The handshake is over for the host that was asked: the connection waits to be accepted.
    pub(super) fn established(&mut self, channel: Handle) {
        let now = self.now;
        let Some(c) = self.channels.get_mut(channel) else { return };
        if c.queued || !self.hosts[c.ends[1].host as usize].up {
            return;
        }
        if c.ends[1].dead {
            // It was forgotten meanwhile.
            return self.reset_from(channel, Side::Acceptor);
        }
        c.queued = true;
        c.ends[1].connected = true;
        c.ends[1].heard_at = now;
        c.flows[1].measured(now.since(c.spoke_at[1]));
        let listener = c.listener;
        match listener.filter(|listener| self.listeners.get(*listener).is_some()) {
            Some(listener) => self.enqueue(listener, channel),
            None => self.reset_from(channel, Side::Acceptor),
        }
    }

    pub(super) fn refused(&mut self, channel: Handle, errno: Errno) {
        let Some(c) = self.channels.get(channel) else { return };
        if !c.ends[0].connected && self.hosts[c.ends[0].host as usize].up {
            self.bury(channel, Side::Dialler, Some(errno));
        }
    }
}

// ---- bytes

impl State {
    pub(super) fn write(
        &mut self,
        channel: Handle,
        side: Side,
        from: &[IoSlice<'_>],
    ) -> Result<usize, Errno> {
        let Some(c) = self.channels.get_mut(channel) else { return Err(Errno::BADF) };
        let end = &mut c.ends[side as usize];
        if let Some(errno) = end.error.take() {
            return Err(errno);
        }
        if end.dead || end.finished {
            return Err(Errno::PIPE);
        }
        if !end.connected {
            return Err(Errno::AGAIN);
        }
        let (mut taken, now) = (0, self.now);
        for slice in from {
            let n = c.flows[side as usize].write(now, slice);
            taken += n;
            if n < slice.len() {
                break;
            }
        }
        // Even a write of nothing may have something to wait for: the end of a short one.
        self.pump(channel, side);
        if taken == 0 && from.iter().any(|slice| !slice.is_empty()) {
            return Err(Errno::AGAIN);
        }
        Ok(taken)
    }

    pub(super) fn read(&mut self, channel: Handle, side: Side, into: &mut [u8]) -> Result<usize, Errno> {
        let Some(c) = self.channels.get_mut(channel) else { return Err(Errno::BADF) };
        let theirs = &mut c.flows[side.other() as usize];
        let n = theirs.read(into);
        if n > 0 {
            // What was read makes room, of which the other end must hear.
            self.pump(channel, side.other());
            return Ok(n);
        }
        let end = &mut c.ends[side as usize];
        if let Some(errno) = end.error.take() {
            return Err(errno);
        }
        if end.dead || (end.connected && theirs.at_end()) || into.is_empty() {
            return Ok(0);
        }
        Err(Errno::AGAIN)
    }

    /// Ends what `side` sends, behind what it has written.
    pub(super) fn finish(&mut self, channel: Handle, side: Side) -> Result<(), Errno> {
        let Some(c) = self.channels.get_mut(channel) else { return Err(Errno::BADF) };
        let end = &mut c.ends[side as usize];
        if end.dead || !end.connected {
            return Err(Errno::NOTCONN);
        }
        if !end.finished {
            end.finished = true;
            c.flows[side as usize].finish();
            self.pump(channel, side);
        }
        Ok(())
    }

    /// Sends what may be sent of what `side` wrote.
    fn pump(&mut self, channel: Handle, side: Side) {
        let Some(c) = self.channels.get_mut(channel) else { return };
        let (there, back) = (c.paths[side as usize] as usize, c.paths[side.other() as usize] as usize);
        let Ok([forward, back]) = self.topology.paths.get_disjoint_mut([there, back]) else { return };
        let mut steps = std::mem::take(&mut self.steps);
        c.flows[side as usize].pump(self.now, &mut Paths { forward, back }, &mut steps);
        self.put_in(channel, side, steps);
    }

    fn put_in(&mut self, channel: Handle, side: Side, mut steps: Vec<(Instant, Step)>) {
        for (at, step) in steps.drain(..) {
            self.queue.insert(at, Happening::Flow(channel, side, step));
        }
        self.steps = steps;
    }

    /// Something of what `side` sends arrives, or is due at its own end.
    pub(super) fn step(&mut self, channel: Handle, side: Side, step: Step) {
        let now = self.now;
        let Some(c) = self.channels.get_mut(channel) else { return };
        let receiver = &mut c.ends[side.other() as usize];
        if step.is_arrival() {
            let (is_up, is_dead) = (self.hosts[receiver.host as usize].up, receiver.dead);
            if !is_up || is_dead {
                // Nobody acknowledges it. A reset may get lost: then it is sent again, and so is the reset.
                let mut steps = std::mem::take(&mut self.steps);
                c.flows[side as usize].discard(now, step, &mut steps);
                self.put_in(channel, side, steps);
                if is_up {
                    self.reset_from(channel, side.other());
                }
                return;
            }
            receiver.heard_at = now;
            if !c.queued {
                // Data carries the acknowledgement that was lost.
                self.established(channel);
            }
        } else if c.ends[side as usize].dead {
            return;
        }
        let Some(c) = self.channels.get_mut(channel) else { return };
        let (there, back) = (c.paths[side as usize] as usize, c.paths[side.other() as usize] as usize);
        let Ok([forward, back]) = self.topology.paths.get_disjoint_mut([there, back]) else { return };
        let mut steps = std::mem::take(&mut self.steps);
        let change = c.flows[side as usize].step(now, step, &mut Paths { forward, back }, &mut steps);
        self.put_in(channel, side, steps);
        if let Some(errno) = change.failed {
            return self.bury(channel, side, Some(errno));
        }
        if change.writable {
            self.tell(channel, side);
        }
        if change.readable || change.end {
            self.arrived(channel, side.other(), change.readable);
        }
    }

    /// Data or an end of stream has arrived at that end.
    fn arrived(&mut self, channel: Handle, side: Side, data: bool) {
        let Some(c) = self.channels.get(channel) else { return };
        let end = &c.ends[side as usize];
        match !end.held && end.finished {
            false => self.tell(channel, side),
            // It was closed, and nobody will ever read this.
            true if data => self.reset_from(channel, side),
            true => self.reap(channel),
        }
    }

    /// Puts an end among the ready of the core that watches it.
    pub(super) fn tell(&mut self, channel: Handle, side: Side) {
        let Some(c) = self.channels.get_mut(channel) else { return };
        let end = &mut c.ends[side as usize];
        let Some((core, token)) = end.watched.filter(|_| !end.listed) else { return };
        end.listed = true;
        self.cores[core as usize].ready.push_back(Ready::End(channel, side, token));
        self.rouse(core);
    }
}

// ---- ends

impl State {
    /// The application lets go of its end, as close(2) does.
    pub(super) fn release(&mut self, channel: Handle, side: Side) {
        let Some(c) = self.channels.get_mut(channel) else { return };
        let unread = c.flows[side.other() as usize].readable() > 0;
        let end = &mut c.ends[side as usize];
        end.held = false;
        end.watched = None;
        let host = end.host;
        if end.dead {
            self.give_descriptor_back(host);
            return self.reap(channel);
        }
        let aborts = end.resets || unread || !end.connected;
        self.give_descriptor_back(host);
        if aborts {
            return self.reset_from(channel, side);
        }
        // An end that is closed already stays so.
        let _ = self.finish(channel, side);
        let waits = self.channels.get(channel).is_some_and(|c| !c.flows[side.other() as usize].end_arrived());
        if waits {
            self.queue.insert(self.now + ORPHANED_FOR, Happening::Orphan(channel, side));
        }
        self.reap(channel);
    }

    /// An end that nobody holds has waited for the other's long enough, unless it still has something to send.
    pub(super) fn orphan(&mut self, channel: Handle, side: Side) {
        let Some(c) = self.channels.get(channel) else { return };
        let waits = !c.ends[side as usize].held && !c.ends[side as usize].dead;
        if !waits || c.flows[side.other() as usize].end_arrived() {
            return;
        }
        if c.flows[side as usize].is_done() {
            self.bury(channel, side, None);
        } else {
            self.queue.insert(self.now + ORPHANED_FOR, Happening::Orphan(channel, side));
        }
    }

    /// That end is over at once, and the other one is told, if the packet gets there.
    pub(super) fn reset_from(&mut self, channel: Handle, side: Side) {
        let Some(c) = self.channels.get(channel) else { return };
        let knows = c.ends[side.other() as usize].dead;
        if !knows && (c.answered || side == Side::Acceptor) {
            self.send_bare(channel, side, Happening::Reset(channel, side.other()));
        }
        self.bury(channel, side, None);
    }

    pub(super) fn reset_arrives(&mut self, channel: Handle, side: Side) {
        let Some(c) = self.channels.get(channel) else { return };
        let end = &c.ends[side as usize];
        if end.dead || !self.hosts[end.host as usize].up {
            return;
        }
        let errno =
            if end.connected || side == Side::Acceptor { Errno::CONNRESET } else { Errno::CONNREFUSED };
        self.bury(channel, side, Some(errno));
    }

    /// Nothing moves any more at that end; its application learns why, if there is a reason.
    pub(super) fn bury(&mut self, channel: Handle, side: Side, errno: Option<Errno>) {
        let Some(c) = self.channels.get_mut(channel) else { return };
        let end = &mut c.ends[side as usize];
        if !end.dead {
            end.dead = true;
            end.error = errno;
            c.flows[side as usize].kill();
            self.tell(channel, side);
        }
        // A request that was not answered yet leaves nothing over there.
        if side == Side::Dialler && self.channels.get(channel).is_some_and(|c| !c.answered) {
            return self.bury(channel, Side::Acceptor, None);
        }
        self.reap(channel);
    }

    /// Forgets a connection of which nothing is left.
    pub(super) fn reap(&mut self, channel: Handle) {
        let over = self.channels.get(channel).is_some_and(Channel::is_over);
        // In a listener's queue it is held by the listener.
        if over && !self.is_enqueued(channel) {
            self.channels.remove(channel);
        }
    }

    fn is_enqueued(&self, channel: Handle) -> bool {
        let listener = self.channels.get(channel).and_then(|c| c.listener);
        listener
            .and_then(|listener| self.listeners.get(listener))
            .is_some_and(|listening| listening.has(channel))
    }

    /// A host loses power: its ends fall silent, and nobody is told.
    pub(crate) fn power_off(&mut self, host: u32) {
        self.hosts[host as usize].up = false;
        self.hosts[host as usize].bound.clear();
        for (channel, side) in self.ends_of(host) {
            self.bury(channel, side, None);
        }
    }

    /// The host answers again; what it had before is gone.
    pub(crate) fn power_on(&mut self, host: u32) {
        self.hosts[host as usize].up = true;
    }

    /// Everything that `host` has open is reset, as when its process is killed with data unread.
    pub(crate) fn reset_host(&mut self, host: u32) {
        for (channel, side) in self.ends_of(host) {
            self.reset_from(channel, side);
        }
    }

    /// Resets this share of the connections between two sets of hosts, in both directions, as a firewall that forgets
    /// does.
    pub(crate) fn reset_between(&mut self, a: &[u32], b: &[u32], share: f64) {
        let chosen: Vec<Handle> = self
            .channels
            .iter()
            .filter(|(_, c)| {
                let (x, y) = (c.ends[0].host, c.ends[1].host);
                c.queued && (a.contains(&x) && b.contains(&y) || a.contains(&y) && b.contains(&x))
            })
            .map(|(handle, _)| handle)
            .collect();
        for channel in chosen {
            if self.random.f64() < share {
                self.bury(channel, Side::Dialler, Some(Errno::CONNRESET));
                self.bury(channel, Side::Acceptor, Some(Errno::CONNRESET));
            }
        }
    }

    fn ends_of(&self, host: u32) -> Vec<(Handle, Side)> {
        let sides = [Side::Dialler, Side::Acceptor];
        let all = self.channels.iter().flat_map(|(handle, c)| {
            sides
                .into_iter()
                .filter(|side| c.ends[*side as usize].host == host)
                .map(move |side| (handle, side))
        });
        all.collect()
    }
}

// ---- probes of a silent peer

impl State {
    pub(super) fn begin_probing(&mut self, channel: Handle, side: Side) {
        let Some(c) = self.channels.get(channel) else { return };
        if let Some(probe) = c.ends[side as usize].keep_alive {
            self.queue.insert(self.now + probe.idle, Happening::Probe(channel, side, 0));
        }
    }

    pub(super) fn probe(&mut self, channel: Handle, side: Side, unanswered: u8) {
        let now = self.now;
        let Some(c) = self.channels.get(channel) else { return };
        let (end, peer) = (&c.ends[side as usize], &c.ends[side.other() as usize]);
        let Some(probe) = end.keep_alive.filter(|_| !end.dead) else { return };
        let due = end.heard_at + probe.idle;
        if unanswered == 0 && due > now {
            self.queue.insert(due, Happening::Probe(channel, side, 0));
            return;
        }
        if u32::from(unanswered) >= probe.probes {
            return self.bury(channel, side, Some(Errno::TIMEDOUT));
        }
        let (lives, forgot) = (self.hosts[peer.host as usize].up, peer.dead);
        let [there, back] = [c.paths[side as usize], c.paths[side.other() as usize]];
        let asked = self.topology.paths[there as usize].transit(now, BARE_PACKET_BYTES);
        let answered = asked
            .filter(|_| lives)
            .and_then(|at| self.topology.paths[back as usize].transit(at, BARE_PACKET_BYTES));
        match answered {
            Some(at) if forgot => drop(self.queue.insert(at, Happening::Reset(channel, side))),
            Some(at) => {
                if let Some(c) = self.channels.get_mut(channel) {
                    c.ends[side as usize].heard_at = at;
                }
                self.queue.insert(at + probe.idle, Happening::Probe(channel, side, 0));
            }
            None => {
                self.queue.insert(now + probe.interval, Happening::Probe(channel, side, unanswered + 1));
            }
        }
    }
}

/// Hosts are 10.0.0.1 and so on; `None` for what is outside of that network.
fn host_of_ip(ip: Ipv4Addr) -> Option<u32> {
    let [10, a, b, c] = ip.octets() else { return None };
    u32::from_be_bytes([0, a, b, c]).checked_sub(1)
}

pub(crate) fn ip_of_host(host: u32) -> Ipv4Addr {
    let [_, a, b, c] = (host + 1).to_be_bytes();
    Ipv4Addr::new(10, a, b, c)
}
