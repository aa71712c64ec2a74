//! Two reactors do random things to each other. Every byte is checked where it arrives, every connection must
//! close once, and in the end nothing may be left.
//!
//! The seed of a failure is in its message: `SWARM_SEED=n cargo test --test hostile swarm` replays it (up to the
//! kernel's timing), `SWARM_ROUNDS=n` runs more seeds.

#[cfg(all(feature = "noise", feature = "tls"))]
use crate::security::{ALL, Kind};
use crate::thorough::thorough;
use bytes::Bytes;
use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;
use windlass::buffer::Watermarks;
use windlass::{
    Cause, Config, Conn, Connect, Event, Handler, Io, Listen, Options, Priority, Reactor, SendError, Wait,
};

/// Without the features that secure connections they are plain.
#[cfg(not(all(feature = "noise", feature = "tls")))]
#[derive(Clone, Copy)]
enum Kind {
    Plain,
}

#[cfg(not(all(feature = "noise", feature = "tls")))]
const ALL: [Kind; 1] = [Kind::Plain];

#[cfg(not(all(feature = "noise", feature = "tls")))]
impl Kind {
    fn listen(self, listen: Listen) -> Listen {
        listen
    }

    fn connect(self, connect: Connect) -> Connect {
        connect
    }
}

/// Steps of each seed before everything is wound down.
const STEPS: usize = 400;
const CONNECTIONS_MAX: usize = 30;
/// Turns without which nothing may take to come to its end.
const TURNS_MAX: usize = 20_000;
const CLIENT: usize = 0;
const SERVER: usize = 1;

/// SplitMix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (OOPSLA 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

/// The byte at `offset` of what `side` of connection `number` sends.
fn byte(number: usize, side: usize, offset: usize) -> u8 {
    (offset ^ (offset >> 8)).wrapping_mul(167).wrapping_add(number * 31 + side * 101) as u8
}

/// One end of one connection, as the test knows it.
#[derive(Default, Debug)]
struct End {
    sent: usize,
    received: usize,
    /// Bytes kept, and how many the next `Data` must have at least.
    kept: usize,
    want: usize,
    opened: bool,
    /// It finished or closed its side; `gone` if it also lost what was queued, or stopped reading.
    finished: bool,
    gone: bool,
    /// It saw the other's end of stream.
    ended: bool,
    over: bool,
}

struct World {
    random: Random,
    /// Both ends of each connection, by number.
    ends: Vec<[End; 2]>,
    server: SocketAddr,
    kind: Kind,
    quiet: bool,
}

/// One of the two reactors' handlers.
struct Node {
    side: usize,
    world: Rc<RefCell<World>>,
    live: Vec<Conn>,
    numbers: HashMap<Conn, usize>,
    stale: Vec<Conn>,
}

/// Client connections are told apart by their loopback address.
fn address_of(number: usize) -> SocketAddr {
    (Ipv4Addr::new(127, 1 + (number >> 16) as u8, (number >> 8) as u8, number as u8), 0).into()
}

fn number_of(address: SocketAddr) -> usize {
    let IpAddr::V4(ip) = address.ip() else { panic!("{address} is not ours") };
    let [_, a, b, c] = ip.octets().map(usize::from);
    ((a - 1) << 16) | (b << 8) | c
}

impl Node {
    fn new(side: usize, world: &Rc<RefCell<World>>) -> Node {
        Node { side, world: Rc::clone(world), live: Vec::new(), numbers: HashMap::new(), stale: Vec::new() }
    }

    fn connect(&mut self, io: &mut Io) {
        let world = &mut *self.world.borrow_mut();
        if self.live.len() >= CONNECTIONS_MAX || world.quiet {
            return;
        }
        let number = world.ends.len();
        let connect = world.kind.connect(Connect::to(world.server).from(address_of(number)));
        let conn = io.connect(connect).expect("there is room for it");
        world.ends.push(Default::default());
        self.live.push(conn);
        self.numbers.insert(conn, number);
    }

    /// Does something to some connection.
    fn act(&mut self, io: &mut Io, about: Option<Conn>) {
        if let Some(conn) = self.stale.last().copied()
            && self.world.borrow_mut().random.one_in(10)
        {
            assert_eq!(io.send(conn, b"to nobody"), Err(SendError::Stale));
            assert!(!io.close(conn) && !io.abort(conn) && io.resume(conn).is_err());
        }
        if self.side == CLIENT && self.world.borrow_mut().random.one_in(6) {
            self.connect(io);
        }
        let world = Rc::clone(&self.world);
        let world = &mut *world.borrow_mut();
        if world.quiet || self.live.is_empty() {
            return;
        }
        let some = world.random.pick(&self.live);
        let conn = about.filter(|_| world.random.one_in(2)).unwrap_or(some);
        let Some(&number) = self.numbers.get(&conn) else { return };
        let random = &mut world.random;
        let end = &mut world.ends[number][self.side];
        match random.below(40) {
            0..20 => self.send(io, conn, number, end, random),
            20..23 => _ = io.pause(conn),
            23..26 => _ = io.resume(conn),
            26 => _ = io.grant_read(conn, Some(random.below(5000) as u64)),
            27 | 28 => _ = io.grant_read(conn, None),
            29 => _ = io.grant_write(conn, Some(random.below(5000) as u64)),
            30 | 31 => _ = io.grant_write(conn, None),
            32 => _ = io.set_priority(conn, random.pick(&[Priority::High, Priority::Normal, Priority::Low])),
            33 => _ = io.expect(conn),
            34 => _ = io.deadline(conn, Some(io.now() + Duration::from_secs(3600))),
            35 => {
                let timer = io.timer_after(Duration::from_micros(random.below(3000) as u64), 0);
                if random.one_in(2) {
                    assert!(io.cancel(timer) && !io.cancel(timer));
                }
            }
            36 => end.finished |= io.finish(conn).is_ok(),
            37 if random.one_in(2) => {
                let accepted = io.close(conn);
                // Before it opened, and kept bytes with it, closing loses what was queued.
                end.gone |= accepted;
                end.finished |= accepted && end.opened;
                assert!(!io.close(conn));
            }
            38 if random.one_in(3) => {
                end.gone |= io.abort(conn);
                end.finished = false;
            }
            39 if random.one_in(3) => {
                if let Ok(released) = io.release(conn) {
                    drop(released);
                    end.gone = true;
                    end.finished = false;
                    end.over = true;
                    self.forget(conn);
                }
            }
            _ => {}
        }
    }

    fn send(&mut self, io: &mut Io, conn: Conn, number: usize, end: &mut End, random: &mut Random) {
        let len = match random.below(4) {
            0 => random.below(50),
            1 => random.below(5_000),
            2 => 4096,
            _ => random.below(60_000),
        };
        let bytes: Vec<u8> = (end.sent..end.sent + len).map(|i| byte(number, self.side, i)).collect();
        let sent = match random.below(5) {
            0 => io.send_bytes(conn, &Bytes::from(bytes)),
            1 => io.send_with(conn, len + random.below(100), |room| {
                room[..len].copy_from_slice(&bytes);
                len
            }),
            2 => {
                let size = 1 + random.below(2000);
                io.send_parts(conn, &bytes.chunks(size).collect::<Vec<_>>())
            }
            _ => io.send(conn, &bytes),
        };
        if sent.is_ok() {
            assert!(!end.finished && !end.gone, "connection {number} was finished and took a send");
            end.sent += len;
        }
    }

    fn forget(&mut self, conn: Conn) {
        self.numbers.remove(&conn);
        self.live.retain(|live| *live != conn);
        self.stale.push(conn);
    }

    fn data(&mut self, io: &mut Io, conn: Conn, bytes: &[u8]) {
        let world = &mut *self.world.borrow_mut();
        let number = self.numbers[&conn];
        let other = 1 - self.side;
        let [mine, theirs] = both(&mut world.ends[number], self.side);
        assert!(mine.opened && !mine.over && !mine.ended, "data out of place: {mine:?}");
        let from = mine.received - mine.kept;
        for (i, found) in bytes.iter().enumerate() {
            let expected = byte(number, other, from + i);
            assert_eq!(
                *found,
                expected,
                "connection {number}, byte {i} of {}: {mine:?} {theirs:?}",
                bytes.len()
            );
        }
        mine.received = from + bytes.len();
        assert!(mine.received <= theirs.sent, "more than was sent");
        // Less than was wanted comes only at the end of the stream.
        assert!(
            bytes.len() >= mine.want || theirs.finished || theirs.gone || mine.finished,
            "less than wanted: {mine:?}"
        );
        (mine.kept, mine.want) = (0, 0);
        if world.random.one_in(4) && !world.quiet {
            let keep = world.random.below(bytes.len().min(3000) + 1);
            let want = keep + 1 + if world.random.one_in(2) { world.random.below(50) } else { 0 };
            // Also a wish for more without a tail holds back what is less.
            if io.keep_until(conn, keep, want).is_ok() && want > 1 {
                (mine.kept, mine.want) = (keep, want);
            }
        }
    }

    fn closed(&mut self, conn: Conn, cause: Cause) {
        let world = Rc::clone(&self.world);
        let world = &mut *world.borrow_mut();
        let number = self.numbers[&conn];
        let [mine, theirs] = both(&mut world.ends[number], self.side);
        assert!(!std::mem::replace(&mut mine.over, true), "closed twice");
        let expected = match cause {
            Cause::Closed | Cause::Aborted | Cause::PeerClosed | Cause::Reset | Cause::Refused => true,
            // Whoever leaves during its handshake says nothing; the other may have opened already.
            Cause::HandshakeCut => !mine.opened && theirs.gone,
            Cause::Truncated => mine.opened && !theirs.opened && theirs.gone,
            _ => false,
        };
        assert!(expected, "connection {number} ended by {cause:?}: {mine:?} {theirs:?}");
        if cause == Cause::PeerClosed {
            if !mine.gone {
                assert_ended_well(mine, theirs);
            }
            // It read everything and then flushed everything.
            mine.finished = true;
        }
        mine.gone = true;
        self.forget(conn);
    }

    /// Whether everything that was sent to live connections has arrived.
    fn is_even(&self) -> bool {
        let world = self.world.borrow();
        self.numbers.values().all(|&number| {
            let [mine, theirs] = [&world.ends[number][self.side], &world.ends[number][1 - self.side]];
            mine.gone || theirs.gone || mine.want > 0 || mine.received == theirs.sent
        })
    }

    fn free_all(&self, io: &mut Io) {
        for conn in &self.live {
            let _ = (io.resume(*conn), io.grant_read(*conn, None), io.grant_write(*conn, None));
        }
    }
}

/// What holds when we have read the end of their stream.
fn assert_ended_well(mine: &End, theirs: &End) {
    // Without half-close, our own end makes their reactor end their side.
    assert!(theirs.finished || theirs.gone || mine.finished, "an end that nobody sent: {mine:?} {theirs:?}");
    let whole = mine.received == theirs.sent;
    assert!(whole || theirs.gone && !theirs.finished, "lost: {mine:?} {theirs:?}");
}

/// Mine first, theirs second.
fn both(ends: &mut [End; 2], side: usize) -> [&mut End; 2] {
    let [client, server] = ends;
    if side == CLIENT { [client, server] } else { [server, client] }
}

impl Handler for Node {
    fn handle(&mut self, io: &mut Io, event: Event<'_>) {
        let about = event.conn();
        match &event {
            Event::Accepted { conn, peer, .. } => {
                let number = number_of(peer.as_inet().expect("it is TCP"));
                assert!(self.numbers.insert(*conn, number).is_none());
                self.live.push(*conn);
            }
            Event::Opened { conn, .. } => {
                let end = &mut self.world.borrow_mut().ends[self.numbers[conn]][self.side];
                assert!(!std::mem::replace(&mut end.opened, true), "opened twice");
            }
            Event::Data { conn, bytes } => self.data(io, *conn, bytes),
            Event::Drained { conn } => assert!(self.numbers.contains_key(conn)),
            Event::PeerFinished { conn } => {
                let world = &mut *self.world.borrow_mut();
                let [mine, theirs] = both(&mut world.ends[self.numbers[conn]], self.side);
                assert!(!std::mem::replace(&mut mine.ended, true), "finished twice");
                assert_ended_well(mine, theirs);
            }
            Event::Closed { conn, reason } => self.closed(*conn, reason.cause()),
            _ => {}
        }
        let acts = self.world.borrow_mut().random.below(3);
        (0..acts).for_each(|_| self.act(io, about));
    }
}

/// Only the server stops reading when its queues or its memory are full: if both ends did, each would wait for
/// the other to read.
fn random_config(random: &mut Random, side: usize) -> Config {
    let mut options = Options::default();
    let high_bytes = random.pick(&[2_000, 30_000, 256 * 1024]);
    options.queue = Watermarks { low_bytes: high_bytes / 4, high_bytes, max_bytes: high_bytes + 320 * 1024 };
    options.half_close = random.one_in(2);
    options.self_throttle = side == SERVER && random.one_in(2);
    options.kept_bytes_max = random.pick(&[3100, 64 * 1024]);
    options.timeouts.drain = Some(Duration::from_secs(600));
    options.socket.send_buffer_bytes = random.pick(&[None, Some(16 * 1024)]);
    options.socket.receive_buffer_bytes = random.pick(&[None, Some(32 * 1024)]);
    let mut config = Config::default();
    config.options = options;
    config.budgets.events = random.pick(&[1, 7, 1024]);
    config.budgets.accepts = random.pick(&[1, 64]);
    config.budgets.receive_bytes = random.pick(&[100, 5_000, 256 * 1024]);
    config.budgets.notices = random.pick(&[1, 1024]);
    config.budgets.handshakes = random.pick(&[1, 5]);
    config.budgets.deadlines = random.pick(&[1, 512]);
    if side == SERVER {
        config.buffer_bytes_max = random.pick(&[2 << 20, 256 << 20]);
    }
    config.receive_buffer_bytes = random.pick(&[4096, 256 * 1024]);
    config
}

/// Both reactors with their handlers.
struct Swarm {
    world: Rc<RefCell<World>>,
    reactors: [Reactor; 2],
    nodes: [Node; 2],
}

impl Swarm {
    fn new(seed: u64) -> Swarm {
        let mut random = Random(seed);
        let mut reactors =
            [CLIENT, SERVER].map(|side| Reactor::new(random_config(&mut random, side)).unwrap());
        let kind = ALL[seed as usize % ALL.len()];
        let listener = reactors[SERVER].io().listen(kind.listen(Listen::tcp("127.0.0.1:0"))).unwrap();
        let server = reactors[SERVER].io().listener_address(listener).unwrap().as_inet().unwrap();
        let world = Rc::new(RefCell::new(World { random, ends: Vec::new(), server, kind, quiet: false }));
        let nodes = [CLIENT, SERVER].map(|side| Node::new(side, &world));
        Swarm { world, reactors, nodes }
    }

    fn turn(&mut self, wait: Wait) {
        for (reactor, node) in self.reactors.iter_mut().zip(&mut self.nodes) {
            reactor.turn(wait, node).unwrap();
        }
    }

    fn between_turns(&mut self, what: impl Fn(&mut Node, &mut Io)) {
        for (reactor, node) in self.reactors.iter_mut().zip(&mut self.nodes) {
            what(node, reactor.io());
        }
    }

    fn run(mut self) {
        for _ in 0..STEPS {
            if self.world.borrow_mut().random.one_in(3) {
                self.between_turns(|node, io| node.act(io, None));
            }
            self.turn(Wait::No);
        }
        // With all brakes off, everything that was sent must arrive: no connection may be forgotten.
        self.world.borrow_mut().quiet = true;
        let mut turns = 0;
        while turns < 5 || !self.nodes.iter().all(Node::is_even) {
            self.between_turns(|node, io| {
                if turns < 5 {
                    node.free_all(io)
                }
            });
            self.turn(Wait::For(Duration::from_millis(1)));
            turns += 1;
            assert!(turns < TURNS_MAX, "bytes are stuck: {:#?}", self.stuck());
        }
        turns = 0;
        while self.nodes.iter().any(|node| !node.live.is_empty()) {
            self.between_turns(|node, io| {
                node.free_all(io);
                node.live.iter().for_each(|conn| {
                    let number = node.numbers[conn];
                    let end = &mut node.world.borrow_mut().ends[number][node.side];
                    let accepted = io.close(*conn);
                    end.gone |= accepted;
                    end.finished |= accepted && end.opened;
                });
            });
            self.turn(Wait::For(Duration::from_millis(1)));
            turns += 1;
            assert!(turns < TURNS_MAX, "connections do not end: {:#?}", self.stuck());
        }
        self.turn(Wait::No);
        self.assert_nothing_left();
    }

    /// Connections that are not even, with what their reactors say of them, and of their memory.
    fn stuck(&mut self) -> Vec<String> {
        let world = self.world.borrow();
        let mut all = Vec::new();
        for (reactor, node) in self.reactors.iter_mut().zip(&self.nodes) {
            let (io, side) = (reactor.io(), node.side);
            for (&conn, &number) in &node.numbers {
                let [mine, theirs] = [&world.ends[number][side], &world.ends[number][1 - side]];
                if !(mine.gone || theirs.gone) && mine.received == theirs.sent && mine.sent == theirs.received
                {
                    continue;
                }
                let (open, queued, room) = (io.is_open(conn), io.queued(conn), io.room(conn));
                all.push(format!("{side} {number} open: {open} queued: {queued} room: {room} {mine:?}"));
            }
            let figures = io.metrics().figures();
            let (buffered, stopped) = (figures.buffered_bytes, figures.reads_stopped_by_memory);
            all.push(format!("{side} buffered: {buffered}, reads stopped: {stopped}"));
        }
        all
    }

    fn assert_nothing_left(&mut self) {
        for reactor in &mut self.reactors {
            assert_eq!(reactor.io().connections(), 0);
            // The last acts may have set timers, of at most three milliseconds.
            let mut ignore = |_: &mut Io, _: Event<'_>| {};
            for _ in 0..10 {
                reactor.turn(Wait::For(Duration::from_millis(1)), &mut ignore).expect("a turn");
            }
            let figures = reactor.io().metrics().figures();
            assert_eq!(figures.connections_active, 0);
            assert_eq!((figures.pool_bytes_taken, figures.buffered_bytes), (0, 0));
            assert_eq!(figures.deadlines_armed, 0);
            // The pool may still be trimming.
            assert!(figures.timers_armed <= 1, "{} timers", figures.timers_armed);
        }
    }
}

#[test]
fn swarm() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let first = number("SWARM_SEED");
    let rounds =
        number("SWARM_ROUNDS").unwrap_or(if first.is_some() { 1 } else { thorough(2 + ALL.len() as u64, 1) });
    let first = first.unwrap_or_else(|| {
        let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        clock.map_or(1, |since| since.as_nanos() as u64)
    });
    for seed in (0..rounds).map(|round| first.wrapping_add(round)) {
        let ran = std::panic::catch_unwind(|| Swarm::new(seed).run());
        assert!(ran.is_ok(), "replay with SWARM_SEED={seed}");
    }
}
