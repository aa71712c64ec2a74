//! What is true of every connection, known beforehand: who sent how much to whom, and how it may end. Both ends ask
//! here whether what they see may be.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::OnceLock;
use std::time::Duration;
use windlass::Cause;
use windlass::time::Instant;

/// The oracle, as every handler of a swarm holds it.
pub type Shared = Rc<RefCell<Oracle>>;

/// Which end of a connection asked for it.
pub const DIALLER: usize = 0;
/// Which one took it in.
pub const ACCEPTOR: usize = 1;

/// What is lent again comes with the end of a turn, or some turns later.
const RELENT_WITHIN: Duration = Duration::from_millis(50);

/// What everybody does at present.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Random things.
    Busy,
    /// Nothing new; everything that was sent must arrive.
    Even,
    /// Everybody closes.
    Close,
    /// Nothing at all.
    Still,
}

/// What is known of one end of one connection.
#[derive(Clone, Default, Debug)]
pub struct End {
    pub host: usize,
    /// Bytes that a send took.
    pub sent: u64,
    /// Bytes seen, and how many of them were kept to be seen again.
    pub received: u64,
    pub kept: usize,
    /// The next `Data` has at least so many bytes, if more than none.
    pub want: usize,
    /// When it was asked that what it kept comes once more, whether or not there is anything new.
    pub relent_at: Option<Instant>,
    /// Less than it wanted came.
    pub short: bool,
    /// Its reactor knows it.
    pub known: bool,
    pub opened: bool,
    /// It ended its side in good order, by finishing or closing.
    pub finished: bool,
    /// Nobody is there any more, or never was, although no `Closed` told of it.
    pub gone: bool,
    /// What it sent may end in good order and be incomplete nevertheless: its application wanted it so.
    pub lossy: bool,
    /// It saw the other's end of stream.
    pub ended: bool,
    /// On its way from one core to another.
    pub moving: bool,
    /// It closed, with this cause.
    pub over: Option<Cause>,
}

/// A connection.
#[derive(Clone, Debug)]
pub struct Talk {
    pub ends: [End; 2],
}

/// What lately happened to a host that makes its deadlines late.
#[derive(Clone, Copy, Default, Debug)]
pub struct HostTruth {
    /// Counts pauses, clock jumps and changes of its speed.
    pub epoch: u64,
    pub slow: bool,
    /// It stands still until then, by the world's time.
    pub paused_until: Duration,
    /// A graceful shutdown was asked for.
    pub stopping: bool,
    /// One of its cores stopped at once, and left everything as it was.
    pub stopped: bool,
    /// It takes in only so many connections, and lets others wait.
    pub limited: bool,
    /// Connections that its handlers know.
    pub live: usize,
}

/// How much happened: part of what two runs of a seed must agree on.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Tally {
    pub talks: u64,
    pub opened: u64,
    pub bytes: u64,
    pub clean_ends: u64,
    pub timers: u64,
    pub letters: u64,
    pub panics: u64,
    pub moves: u64,
    pub deadlines: u64,
}

#[derive(Debug)]
pub struct Oracle {
    pub phase: Phase,
    pub talks: Vec<Talk>,
    pub hosts: Vec<HostTruth>,
    pub tally: Tally,
    /// Letters between cores of a host: how many were sent, and how many arrived.
    pub letters: BTreeMap<(usize, usize, usize), (u64, u64)>,
    by_address: BTreeMap<SocketAddr, usize>,
    failure: Option<String>,
    wordy: bool,
}

impl Oracle {
    pub fn new(hosts: usize) -> Oracle {
        Oracle {
            phase: Phase::Busy,
            talks: Vec::new(),
            hosts: vec![HostTruth::default(); hosts],
            tally: Tally::default(),
            letters: BTreeMap::new(),
            by_address: BTreeMap::new(),
            failure: None,
            wordy: std::env::var_os("SWARM_WORDY").is_some(),
        }
    }

    /// Notes that something is not as it must be; the first such thing counts.
    pub fn fail(&mut self, what: impl FnOnce() -> String) {
        if self.failure.is_none() {
            self.failure = Some(what());
        }
    }

    pub fn check(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.fail(what);
        }
    }

    pub const fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Prints what happens, for whoever looks into a failure with `SWARM_WORDY=1`.
    pub fn tell(&self, now: Instant, host: usize, what: impl FnOnce() -> String) {
        if self.wordy {
            println!("{:>12} us  host {host}  {}", now.as_nanos() / 1000, what());
        }
    }

    // ---- beginnings

    /// A new connection from `host`, which the other end will know by `from`; `to` is nobody's host if nobody is there.
    pub fn dialled(&mut self, host: usize, to: Option<usize>, from: Option<SocketAddr>) -> usize {
        let number = self.talks.len();
        let mine = End { host, known: true, ..End::default() };
        let theirs = End { host: to.unwrap_or(usize::MAX), gone: to.is_none(), ..End::default() };
        self.talks.push(Talk { ends: [mine, theirs] });
        if let Some(from) = from {
            self.by_address.insert(from, number);
        }
        self.tally.talks += 1;
        number
    }

    /// The connection of the dialler that a listener saw, which nobody may have accepted before.
    pub fn accepted(&mut self, from: SocketAddr) -> Option<usize> {
        let number = self.by_address.get(&from).copied();
        let fresh = number.is_some_and(|number| !self.talks[number].ends[ACCEPTOR].known);
        self.check(fresh, || format!("a connection from {from} was accepted that nobody made: {number:?}"));
        let number = number.filter(|_| fresh)?;
        self.talks[number].ends[ACCEPTOR].known = true;
        Some(number)
    }

    /// Mine first, theirs second.
    pub fn both(&mut self, number: usize, side: usize) -> [&mut End; 2] {
        let [dialler, acceptor] = &mut self.talks[number].ends;
        if side == DIALLER { [dialler, acceptor] } else { [acceptor, dialler] }
    }

    pub fn mine(&mut self, number: usize, side: usize) -> &mut End {
        &mut self.talks[number].ends[side]
    }

    /// A host lost everything: what it had, what was on its way between its cores, and what waited to be accepted.
    pub fn lost(&mut self, host: usize) {
        for end in self.talks.iter_mut().flat_map(|talk| &mut talk.ends) {
            if end.host == host && (!end.known || end.moving) {
                end.gone = true;
                end.moving = false;
            }
        }
        self.letters.retain(|(at, _, _), _| *at != host);
        (self.hosts[host].stopping, self.hosts[host].stopped) = (false, false);
    }

    // ---- what one end sees

    pub fn opened(&mut self, number: usize, side: usize) {
        let mine = self.mine(number, side);
        let first = !std::mem::replace(&mut mine.opened, true);
        self.tally.opened += 1;
        self.check(first, || format!("connection {number} opened twice at end {side}"));
    }

    /// Bytes came; those kept before stand first.
    pub fn data(&mut self, now: Instant, number: usize, side: usize, bytes: &[u8]) {
        let [mine, theirs] = self.both(number, side);
        let from = mine.received - mine.kept as u64;
        let wrong = text_differs(number, 1 - side, from, bytes);
        let relent = mine.relent_at.is_some_and(|at| now.since(at) < RELENT_WITHIN);
        // Less than was wanted is the last that comes.
        let whole = !std::mem::replace(&mut mine.short, bytes.len() < mine.want && !relent);
        let in_place = mine.opened && mine.over.is_none() && !mine.ended;
        mine.received = from + bytes.len() as u64;
        (mine.kept, mine.want) = (0, 0);
        let enough = mine.received <= theirs.sent;
        self.tally.bytes += bytes.len() as u64;
        self.check(in_place, || format!("data out of place on connection {number}, end {side}"));
        self.check(wrong.is_none(), || {
            format!("connection {number}, end {side}: byte {wrong:?} of {} from {from} on", bytes.len())
        });
        self.check(enough, || format!("connection {number}, end {side}: more came than was sent"));
        self.check(whole, || {
            format!("connection {number}, end {side}: more came after less than was wanted")
        });
    }

    /// The other's end of stream was read: everything that it sent has come.
    pub fn ended(&mut self, number: usize, side: usize) {
        let [mine, theirs] = self.both(number, side);
        mine.ended = true;
        let whole = mine.received == theirs.sent || theirs.lossy;
        let text = format!("{mine:?} {theirs:?}");
        self.tally.clean_ends += 1;
        self.check(whole, || {
            format!("connection {number} ended in good order at {side}, incomplete: {text}")
        });
    }

    /// It is over, as its handler was told or knows.
    pub fn closed(&mut self, number: usize, side: usize, cause: Cause) {
        let before = self.mine(number, side).over.replace(cause);
        self.check(before.is_none(), || {
            format!("connection {number} closed twice at end {side}: {before:?}")
        });
        if cause == Cause::PeerClosed && !self.mine(number, side).ended {
            self.ended(number, side);
        }
    }

    // ---- what the whole sees

    /// A connection that is alive at both ends and on which something is still to come.
    pub fn uneven(&self) -> Option<usize> {
        self.talks.iter().position(|talk| {
            let [a, b] = &talk.ends;
            // On its way to a core that has ended, it stays there.
            let strayed = |end: &End| {
                end.moving && self.hosts.get(end.host).is_some_and(|host| host.stopped || host.stopping)
            };
            if [a, b].into_iter().any(|end| end.over.is_some() || end.gone || strayed(end)) {
                return false;
            }
            let waits = |end: &End| !end.known && self.hosts.get(end.host).is_some_and(|host| host.limited);
            if waits(b) {
                return false;
            }
            let owed = |mine: &End, theirs: &End| mine.want == 0 && mine.received != theirs.sent;
            !a.opened || !b.opened || a.moving || b.moving || owed(a, b) || owed(b, a)
        })
    }

    pub fn live(&self) -> usize {
        self.hosts.iter().map(|host| host.live).sum()
    }
}

/// The stream of bytes repeats itself after so many: a prime, so that it meets no buffer's size.
const PERIOD: usize = 65_537;

fn table() -> &'static [u8] {
    static MADE: OnceLock<Vec<u8>> = OnceLock::new();
    MADE.get_or_init(|| {
        let mut random = fastrand::Rng::with_seed(7);
        let once: Vec<u8> = (0..PERIOD).map(|_| random.u8(..)).collect();
        once.repeat(2)
    })
}

fn place(number: usize, side: usize, from: u64) -> usize {
    (from as usize + number * 7919 + side * 31_337) % PERIOD
}

/// `len` bytes, at most 64 KiB, of what `side` of connection `number` sends, from `from` on.
pub fn text(number: usize, side: usize, from: u64, len: usize) -> &'static [u8] {
    let start = place(number, side, from);
    &table()[start..start + len]
}

/// The first place at which `bytes` are not what `side` sends from `from` on.
fn text_differs(number: usize, side: usize, from: u64, bytes: &[u8]) -> Option<usize> {
    let mut done = 0;
    for piece in bytes.chunks(PERIOD) {
        let expected = text(number, side, from + done as u64, piece.len());
        if piece != expected {
            return piece.iter().zip(expected).position(|(a, b)| a != b).map(|at| done + at);
        }
        done += piece.len();
    }
    None
}
