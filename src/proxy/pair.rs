//! The proxied connections: two ends each, and what flows between them.

use super::chain::Ending;
use super::flow::Flow;
use super::metrics::ProxyFigures;
use super::plan::{Direction, ToxicKind};
use super::proxies::Proxy;
use crate::collections::{Conn, Handle, Owner, PerConn, Slots};
use crate::conn::Options;
use crate::error::{Address, Cause, CloseReason, SendError};
use crate::reactor::{Connect, Event, Io, Sent, Timer};
use crate::time::Instant;
use fastrand::Rng;
use std::collections::BTreeMap;
use std::sync::Arc;

/// All proxied connections of a reactor.
#[derive(Debug)]
pub(super) struct Pairs {
    seed: u64,
    links: PerConn<Link>,
    pairs: Slots<Pair>,
    /// What all flows hold, as [`Flow::charge`] counts it.
    held: usize,
    /// Connections accepted so far: each has its number, from which its draws are made.
    accepted: u64,
}

/// One end of a proxied connection.
#[derive(Debug)]
struct Link {
    pair: Handle,
    /// The direction of what comes from this end.
    way: Direction,
    /// The other end.
    other: Conn,
    /// Nothing is on the way and no toxic on the direction: bytes are handed over at once.
    direct: bool,
    received_bytes: u64,
    /// Of these, handed over at once; the flow counts the others.
    direct_bytes: u64,
}

/// A proxied connection.
#[derive(Debug)]
struct Pair {
    number: u64,
    proxy: Arc<str>,
    proxy_number: u64,
    owner: Owner,
    /// Where the upstream may be, and how many of these were tried.
    addresses: Arc<[Address]>,
    tried: usize,
    /// Who sends in each direction: the client, and the upstream.
    senders: [Option<Conn>; 2],
    flows: [Flow; 2],
    /// The upstream is connected.
    open: bool,
    /// It was ended from here.
    ended: bool,
    unreachable: bool,
    received_bytes: [u64; 2],
    direct_bytes: [u64; 2],
}

/// A proxied connection that is over.
#[derive(Debug)]
pub(super) struct Over {
    pub(super) proxy: Arc<str>,
    pub(super) proxy_number: u64,
    unreachable: bool,
    received_bytes: [u64; 2],
    sent_bytes: [u64; 2],
}

impl Over {
    pub(super) fn count_into(&self, figures: &mut ProxyFigures) {
        figures.unreachable += u64::from(self.unreachable);
        for place in 0..2 {
            figures.received_bytes[place] += self.received_bytes[place];
            figures.sent_bytes[place] += self.sent_bytes[place];
        }
    }
}

/// Options of proxied connections: the two directions have nothing to do with each other, and how long to wait for
/// somebody is the business of the programs at the ends.
pub(super) fn options() -> Options {
    Options::with(|options| {
        options.half_close = true;
        options.self_throttle = false;
        options.timeouts.read = None;
        options.timeouts.write = None;
        options.timeouts.keep_alive = None;
    })
}

const fn opposite(way: Direction) -> Direction {
    match way {
        Direction::Upstream => Direction::Downstream,
        Direction::Downstream => Direction::Upstream,
    }
}

impl Pair {
    fn flow(&mut self, way: Direction) -> &mut Flow {
        &mut self.flows[way as usize]
    }

    fn sender(&self, way: Direction) -> Option<Conn> {
        self.senders[way as usize]
    }

    fn receiver(&self, way: Direction) -> Option<Conn> {
        self.sender(opposite(way))
    }

    /// Puts the toxics of `proxy` on that were drawn for this connection, takes those off that are not, and gives the
    /// others their present attributes. Says whether the connection is to be down.
    fn apply_toxics(&mut self, seed: u64, proxy: &mut Proxy, now: Instant) -> bool {
        let mut drawn = Vec::new();
        for installed in proxy.installed() {
            let mut rng = draws(seed, self.number, installed.number);
            if rng.f32() < installed.toxic.toxicity {
                drawn.push((installed.number, installed.toxic.direction, installed.toxic.kind, rng));
            }
        }
        for way in Direction::ALL {
            let chain = &mut self.flow(way).chain;
            for number in chain.numbers() {
                if !drawn.iter().any(|(known, ..)| *known == number) {
                    chain.remove(number, now);
                }
            }
        }
        let mut down = false;
        for (number, way, kind, rng) in drawn {
            let chain = &mut self.flow(way).chain;
            if !chain.change(number, kind, now) {
                chain.insert(number, kind, rng, now);
                proxy.figures.applied[kind.number()] += 1;
            }
            down |= kind == ToxicKind::Down;
        }
        down
    }
}

impl Pairs {
    pub(super) fn new(seed: u64) -> Pairs {
        Pairs { seed, links: PerConn::new(), pairs: Slots::new(), held: 0, accepted: 0 }
    }

    pub(super) const fn seed(&self) -> u64 {
        self.seed
    }

    /// Takes in a client and connects to its upstream. It is not read before that has succeeded, so that what it says is
    /// not lost with an address that does not answer.
    pub(super) fn join(&mut self, io: &mut Io, client: Conn, proxy: &mut Proxy) {
        self.accepted += 1;
        proxy.figures.accepted += 1;
        let mut pair = Pair {
            number: self.accepted,
            proxy: Arc::clone(&proxy.name),
            proxy_number: proxy.number,
            owner: client.owner(),
            addresses: Arc::clone(&proxy.upstream),
            tried: 0,
            senders: [Some(client), None],
            flows: Default::default(),
            open: false,
            ended: false,
            unreachable: false,
            received_bytes: [0; 2],
            direct_bytes: [0; 2],
        };
        let down = pair.apply_toxics(self.seed, proxy, io.now());
        let handle = self.pairs.insert(pair);
        self.settle(io, handle, Direction::Upstream);
        self.links.insert(client, Link::new(handle, Direction::Upstream, client));
        if down {
            self.end(io, handle, Ending::Reset);
        } else if !self.dial(io, handle) {
            self.give_up(io, handle);
        } else {
            // Toxics that close after a while count from now.
            self.pump(io, handle, Direction::Upstream);
            self.pump(io, handle, Direction::Downstream);
        }
    }

    /// Connects to the next address of the upstream; false if there is none left, or no room for a connection.
    fn dial(&mut self, io: &mut Io, handle: Handle) -> bool {
        let Some(pair) = self.pairs.get_mut(handle) else { return false };
        let Some(address) = pair.addresses.get(pair.tried) else { return false };
        pair.tried += 1;
        let connect = Connect::to(address.clone()).owner(pair.owner).options(options());
        let Ok(upstream) = io.connect(connect) else { return false };
        let Some(client) = pair.sender(Direction::Upstream) else { return false };
        pair.senders[Direction::Downstream as usize] = Some(upstream);
        self.links.insert(upstream, Link::new(handle, Direction::Downstream, client));
        if let Some(link) = self.links.get_mut(client) {
            link.other = upstream;
        }
        true
    }

    /// Nobody is there for the client: it sees the end of the stream.
    fn give_up(&mut self, io: &mut Io, handle: Handle) {
        if let Some(pair) = self.pairs.get_mut(handle) {
            pair.unreachable = true;
        }
        self.end(io, handle, Ending::Close);
    }

    /// Takes an event of a proxied connection; says what one was when it is over.
    #[inline]
    pub(super) fn handle(&mut self, io: &mut Io, event: Event<'_>) -> Option<Over> {
        match event {
            Event::Data { conn, bytes } => self.forward(io, conn, bytes),
            Event::Opened { conn, .. } => self.opened(io, conn),
            Event::Drained { conn } => self.drained(io, conn),
            Event::PeerFinished { conn } => self.finished(io, conn),
            Event::Closed { conn, reason } => return self.closed(io, conn, reason),
            Event::Timer { timer, tag } => self.timer_fired(io, timer, tag),
            _ => {}
        }
        None
    }

    #[inline]
    fn forward(&mut self, io: &mut Io, from: Conn, bytes: &[u8]) {
        let Some(link) = self.links.get_mut(from) else { return };
        link.received_bytes += bytes.len() as u64;
        let (pair, way) = (link.pair, link.way);
        if link.direct {
            let sent = io.send(link.other, bytes);
            link.direct_bytes += if sent.is_ok() { bytes.len() as u64 } else { 0 };
            match sent {
                Ok(Sent::Flowing) => {}
                Ok(Sent::Backlogged) => self.block(io, pair, way),
                Err(SendError::Full | SendError::TooLarge) => self.hold(io, pair, way, bytes),
                // Whoever it was for is on its way out, and tells of itself.
                Err(_) => {}
            }
        } else {
            self.hold(io, pair, way, bytes);
        }
    }

    #[cold]
    fn block(&mut self, io: &mut Io, handle: Handle, way: Direction) {
        if let Some(pair) = self.pairs.get_mut(handle) {
            pair.flow(way).blocked = true;
        }
        self.settle(io, handle, way);
    }

    fn hold(&mut self, io: &mut Io, handle: Handle, way: Direction, bytes: &[u8]) {
        if let Some(pair) = self.pairs.get_mut(handle) {
            pair.flow(way).take(io.now(), bytes);
            self.pump(io, handle, way);
        }
    }

    fn opened(&mut self, io: &mut Io, conn: Conn) {
        let Some((handle, Direction::Downstream)) = self.whose(conn) else { return };
        if let Some(pair) = self.pairs.get_mut(handle) {
            pair.open = true;
            self.settle(io, handle, Direction::Upstream);
            self.settle(io, handle, Direction::Downstream);
        }
    }

    fn drained(&mut self, io: &mut Io, conn: Conn) {
        let Some((handle, way)) = self.whose(conn) else { return };
        if let Some(pair) = self.pairs.get_mut(handle) {
            pair.flow(opposite(way)).blocked = false;
            self.pump(io, handle, opposite(way));
        }
    }

    fn finished(&mut self, io: &mut Io, conn: Conn) {
        let Some((handle, way)) = self.whose(conn) else { return };
        if let Some(pair) = self.pairs.get_mut(handle) {
            pair.flow(way).take_end(io.now(), Ending::Finish);
            self.pump(io, handle, way);
        }
    }

    fn timer_fired(&mut self, io: &mut Io, timer: Timer, tag: u64) {
        let way = Direction::ALL[(tag & 1) as usize];
        let Some((handle, pair)) = self.pairs.at_index_mut((tag >> 1) as u32) else { return };
        if pair.flow(way).timer_fired(timer) {
            self.pump(io, handle, way);
        }
    }

    /// One end is gone. What it had sent, and how it went, reaches the other end through the toxics.
    fn closed(&mut self, io: &mut Io, conn: Conn, reason: &CloseReason) -> Option<Over> {
        let link = self.links.remove(conn)?;
        let (handle, way) = (link.pair, link.way);
        let pair = self.pairs.get_mut(handle)?;
        pair.received_bytes[way as usize] += link.received_bytes;
        pair.direct_bytes[way as usize] += link.direct_bytes;
        pair.senders[way as usize] = None;
        let unreached = way == Direction::Downstream && !pair.open;
        let ended = pair.ended;
        if pair.receiver(way).is_none() {
            return self.forget(io, handle);
        }
        if ended {
            return None;
        }
        if unreached {
            if reason.cause() == Cause::Reset {
                // Somebody was there, and gone again before this end had heard of it.
                self.end(io, handle, Ending::Reset);
            } else if !self.dial(io, handle) {
                self.give_up(io, handle);
            }
            return None;
        }
        let in_good_order = matches!(
            reason.cause(),
            Cause::PeerClosed | Cause::Closed | Cause::Shutdown | Cause::ShutdownCut
        );
        let ending = if in_good_order { Ending::Finish } else { Ending::Reset };
        let back = pair.flow(opposite(way));
        back.stop(io);
        back.charge(&mut self.held);
        pair.flow(way).take_end(io.now(), ending);
        self.pump(io, handle, way);
        self.settle(io, handle, opposite(way));
        None
    }

    fn forget(&mut self, io: &mut Io, handle: Handle) -> Option<Over> {
        let mut pair = self.pairs.remove(handle)?;
        for flow in &mut pair.flows {
            flow.stop(io);
            flow.charge(&mut self.held);
        }
        let Pair { proxy, proxy_number, unreachable, received_bytes, direct_bytes, flows, .. } = pair;
        let sent_bytes = [0, 1].map(|place| direct_bytes[place] + flows[place].delivered_bytes);
        Some(Over { proxy, proxy_number, unreachable, received_bytes, sent_bytes })
    }

    /// Ends both ends, and what is on the way between them. Whoever loses bytes by that sees a reset: it must not look as
    /// if all had been said.
    fn end(&mut self, io: &mut Io, handle: Handle, ending: Ending) {
        let Some(pair) = self.pairs.get_mut(handle) else { return };
        pair.ended = true;
        for way in Direction::ALL {
            let receiver = pair.receiver(way);
            let flow = pair.flow(way);
            // While the receiver has more than it takes, the sender is not read: what it said since is lost as well.
            let loses = flow.chain.bytes() > 0 || flow.blocked;
            flow.stop(io);
            flow.charge(&mut self.held);
            if let Some(conn) = receiver {
                let _already = if loses || ending == Ending::Reset { io.abort(conn) } else { io.close(conn) };
            }
        }
        self.settle(io, handle, Direction::Upstream);
        self.settle(io, handle, Direction::Downstream);
    }

    /// Ends every connection of a proxy.
    pub(super) fn close_all(&mut self, io: &mut Io, proxy_number: u64) {
        for handle in self.of_proxy(proxy_number) {
            self.end(io, handle, Ending::Close);
        }
    }

    /// Brings the toxics of a proxy's connections in line with what they are now.
    pub(super) fn toxics_changed(&mut self, io: &mut Io, proxy: &mut Proxy) {
        for handle in self.of_proxy(proxy.number) {
            let Some(pair) = self.pairs.get_mut(handle).filter(|pair| !pair.ended) else { continue };
            if pair.apply_toxics(self.seed, proxy, io.now()) {
                self.end(io, handle, Ending::Reset);
            } else {
                self.pump(io, handle, Direction::Upstream);
                self.pump(io, handle, Direction::Downstream);
            }
        }
    }

    /// Adds what is going on now to the figures of the proxies, by their numbers.
    pub(super) fn add_live(&self, proxies: &mut BTreeMap<u64, ProxyFigures>) {
        for (_, pair) in self.pairs.iter() {
            let Some(figures) = proxies.get_mut(&pair.proxy_number) else { continue };
            figures.active += 1;
            for way in Direction::ALL {
                let place = way as usize;
                let link = pair.senders[place].and_then(|sender| self.links.get(sender));
                figures.received_bytes[place] += pair.received_bytes[place];
                figures.received_bytes[place] += link.map_or(0, |link| link.received_bytes);
                figures.sent_bytes[place] += pair.direct_bytes[place] + pair.flows[place].delivered_bytes;
                figures.sent_bytes[place] += link.map_or(0, |link| link.direct_bytes);
                figures.held_bytes += pair.flows[place].chain.bytes() as u64;
            }
        }
    }

    /// Moves on what flows one way, and draws from it who is read and when to look again.
    fn pump(&mut self, io: &mut Io, handle: Handle, way: Direction) {
        let Some(pair) = self.pairs.get_mut(handle) else { return };
        let (receiver, owner) = (pair.receiver(way), pair.owner);
        let flow = pair.flow(way);
        let tag = u64::from(handle.index()) << 1 | way as u64;
        let ending = flow.pump(io, receiver, owner, tag);
        flow.charge(&mut self.held);
        match ending {
            Some(ending) => self.end(io, handle, ending),
            None => self.settle(io, handle, way),
        }
    }

    fn settle(&mut self, io: &mut Io, handle: Handle, way: Direction) {
        let held = self.held;
        let Some(pair) = self.pairs.get_mut(handle) else { return };
        let (open, sender) = (pair.open || pair.ended, pair.sender(way));
        let Some(sender) = sender else { return };
        let direct = pair.flow(way).settle(io, sender, open, held);
        if let Some(link) = self.links.get_mut(sender) {
            link.direct = direct;
        }
    }

    fn whose(&self, conn: Conn) -> Option<(Handle, Direction)> {
        self.links.get(conn).map(|link| (link.pair, link.way))
    }

    fn of_proxy(&self, proxy_number: u64) -> Vec<Handle> {
        let all = self.pairs.iter().filter(|(_, pair)| pair.proxy_number == proxy_number);
        all.map(|(handle, _)| handle).collect()
    }
}

impl Link {
    fn new(pair: Handle, way: Direction, other: Conn) -> Link {
        Link { pair, way, other, direct: false, received_bytes: 0, direct_bytes: 0 }
    }
}

/// The generator of what chance decides about one toxic of one connection. Depends on nothing else that happens.
fn draws(seed: u64, connection: u64, toxic: u64) -> Rng {
    // Two rounds of SplitMix64's mixing: neighbouring numbers must not draw alike.
    let mut mixed = seed;
    for number in [connection, toxic] {
        mixed = mixed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
    }
    Rng::with_seed(mixed)
}
