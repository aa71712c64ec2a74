//! What handlers of the swarm do: everything that a handler may, at random.

use crate::node::{Cargo, Habit, Mine, Node, Planned};
use crate::oracle::{Phase, text};
use crate::plan::{about, options, pick};
use bytes::Bytes;
use std::time::Duration;
use windlass::{Adopt, Conn, Io, Options, Priority, ReleaseError, SendError, Sent};

/// The longest that one send takes: what the oracle has text for.
const SEND_BYTES_MAX: u64 = 60_000;

/// Which acts may end a connection.
const ENDING_ACTS: std::ops::RangeInclusive<u32> = 34..=40;

impl Node {
    /// What a handler does when its tick comes.
    pub fn live_a_little(&mut self, io: &mut Io) {
        for _ in 0..self.random.u32(1..4) {
            self.act(io, None);
        }
        let flooding: Vec<Conn> =
            self.live.iter().filter(|(_, m)| m.habit == Habit::Flood).map(|x| *x.0).collect();
        flooding.into_iter().for_each(|conn| self.flood(io, conn));
        match self.random.u32(..40) {
            0 => self.shut_a_door(io),
            1..6 => self.open_doors(io),
            6..16 => self.connect(io),
            17 if self.random.u32(..60) == 0 => {
                let within = Duration::from_millis(about(&mut self.random, 1, 5000));
                self.tell(io, || format!("shuts down within {within:?}"));
                self.truth.borrow_mut().hosts[self.host].stopping = true;
                io.shutdown(within);
            }
            16 if self.random.u32(..60) == 0 => {
                self.tell(io, || "stops".into());
                io.stop();
                self.leave();
            }
            _ => {}
        }
        self.check_queues(io);
    }

    /// Its reactor ends with this turn, and says nothing more of what is open.
    fn leave(&mut self) {
        self.stopped = true;
        let mut truth = self.truth.borrow_mut();
        truth.hosts[self.host].live -= self.live.len();
        truth.hosts[self.host].stopped = true;
        for mine in std::mem::take(&mut self.live).into_values() {
            let end = truth.mine(mine.talk, mine.side);
            (end.gone, end.lossy) = (true, true);
        }
    }

    fn check_queues(&self, io: &Io) {
        for (conn, mine) in &self.live {
            let max = io.options(*conn).map_or(0, |options| options.queue.max_bytes);
            // What waited for the handshake was admitted by how long each send would be sealed by itself.
            let max = if mine.plain { max } else { max + max / 64 };
            let queued = io.queued(*conn);
            if queued > max {
                self.fail(io, || format!("{} has {queued} bytes queued of {max}", mine.talk));
            }
        }
    }

    /// Does something to some connection.
    pub fn act(&mut self, io: &mut Io, about: Option<Conn>) {
        self.try_the_dead(io);
        if self.random.u32(..8) == 0 {
            self.act_on_its_own(io);
        }
        let Some(conn) = self.some(about) else { return };
        let Some(mine) = self.live.get(&conn).cloned() else { return };
        let mut act = self.random.u32(..44);
        if ENDING_ACTS.contains(&act) && self.random.u32(..self.plan.ends_one_in) > 0 {
            act = 0;
        }
        match act {
            0..16 if mine.habit != Habit::Sink => {
                let len = self.length();
                self.send(io, conn, len);
            }
            20..23 => _ = io.pause(conn),
            23..26 => _ = io.resume(conn),
            26 => _ = io.grant_read(conn, Some(self.random.u64(..5000))),
            27 | 28 => _ = io.grant_read(conn, None),
            29 => _ = io.grant_write(conn, Some(self.random.u64(..5000))),
            30 | 31 => _ = io.grant_write(conn, None),
            32 => {
                let all = [Priority::High, Priority::Normal, Priority::Low];
                _ = io.set_priority(conn, pick(&mut self.random, &all));
            }
            33 => _ = io.expect(conn),
            34..37 => self.limit(io, conn),
            37 => self.finish(io, conn),
            38 if self.random.bool() => self.close(io, conn),
            39 if self.random.u32(..3) == 0 => self.abort(io, conn),
            40 if self.random.bool() => self.release(io, conn),
            41 if self.random.bool() => self.change_options(io, conn),
            41 => self.relend(io, conn),
            42 => _ = io.flush_now(conn),
            43 if self.random.bool() => self.connect(io),
            _ => {}
        }
    }

    /// Timers and mail, which are no connection's.
    fn act_on_its_own(&mut self, io: &mut Io) {
        let some = self.timers.keys().copied().nth(self.random.usize(..self.timers.len() + 1));
        let after = Duration::from_nanos(about(&mut self.random, 1, 5_000_000_000));
        match (self.random.u32(..6), some) {
            (0, Some(timer)) => {
                self.timers.remove(&timer);
                if !io.cancel(timer) || io.cancel(timer) {
                    self.fail(io, || format!("{timer:?} could not be cancelled, once"));
                }
            }
            (1, Some(timer)) => {
                let (due, set) = (io.now() + after, self.mark(io));
                let known = io.reschedule(timer, due);
                if let Some(entry) = self.timers.get_mut(&timer).filter(|_| known) {
                    (entry.0, entry.1) = (due, set);
                } else {
                    self.fail(io, || format!("{timer:?} could not be moved"));
                }
            }
            (2 | 3, _) if self.timers.len() < 50 => {
                // Now and then for a time that has passed.
                let at = if self.random.u32(..10) == 0 { io.now() - after } else { io.now() + after };
                let timer = io.timer_at(at, at.as_nanos());
                let set = self.mark(io);
                self.timers.insert(timer, (at, set, at.as_nanos()));
            }
            _ => _ = self.post(None),
        }
    }

    fn try_the_dead(&mut self, io: &mut Io) {
        let Some(&conn) = self.stale.last().filter(|_| self.random.u32(..10) == 0) else { return };
        let dead = io.send(conn, b"to nobody") == Err(SendError::Stale)
            && !io.close(conn)
            && !io.abort(conn)
            && io.resume(conn).is_err()
            && io.deadline(conn, None).is_err()
            && io.peer(conn).is_none();
        if !dead {
            self.fail(io, || format!("{conn:?} is stale and does something"));
        }
    }

    fn some(&mut self, about: Option<Conn>) -> Option<Conn> {
        let about = about.filter(|conn| self.random.bool() && self.live.contains_key(conn));
        if about.is_some() || self.live.is_empty() {
            return about;
        }
        self.live.keys().copied().nth(self.random.usize(..self.live.len()))
    }

    // ---- sending

    fn length(&mut self) -> usize {
        match self.random.u32(..4) {
            0 => self.random.usize(..50),
            1 => 4096,
            _ => about(&mut self.random, 1, SEND_BYTES_MAX) as usize,
        }
    }

    /// Sends in one of the ways there are. Answers whether to go on.
    pub fn send(&mut self, io: &mut Io, conn: Conn, len: usize) -> bool {
        let Some(mine) = self.live.get(&conn) else { return false };
        let (talk, side) = (mine.talk, mine.side);
        let bytes = text(talk, side, self.truth.borrow().talks[talk].ends[side].sent, len);
        let room = io.room(conn);
        let sent = match self.random.u32(..5) {
            0 => io.send_bytes(conn, &Bytes::from_static(bytes)),
            1 => {
                let panics = self.panics_now(300);
                io.send_with(conn, len + self.random.usize(..100), |room| {
                    if panics {
                        std::panic::panic_any(Planned);
                    }
                    room[..len].copy_from_slice(bytes);
                    len
                })
            }
            2 => {
                let size = 1 + self.random.usize(..2000);
                io.send_parts(conn, &bytes.chunks(size).collect::<Vec<_>>())
            }
            _ => io.send(conn, bytes),
        };
        let mut truth = self.truth.borrow_mut();
        let [end, theirs] = truth.both(talk, side);
        match sent {
            Ok(sent) => {
                end.sent += len as u64;
                let may = !end.finished;
                let seen = theirs.ended && !end.ended && !theirs.finished;
                truth.check(!seen, || format!("{talk} sends, and its peer has seen the end of it"));
                truth.check(may, || format!("{talk} was finished and took a send"));
                sent == Sent::Flowing
            }
            Err(error) => {
                // With `send_with` it is the most that counts.
                let lacked = error != SendError::Full || room < len + 100;
                truth.check(lacked, || format!("{talk} had room for {room} and refused {len}"));
                false
            }
        }
    }

    fn flood(&mut self, io: &mut Io, conn: Conn) {
        for _ in 0..8 {
            let len = self.length();
            if !self.send(io, conn, len) {
                return;
            }
        }
    }

    pub fn drained(&mut self, io: &mut Io, conn: Conn) {
        self.tell(io, || format!("{:?} drained", self.live.get(&conn).map(|mine| mine.talk)));
        let Some(mine) = self.live.get(&conn) else { return };
        if !io.is_open(conn) {
            return self.fail(io, || format!("{} drained and is not open", mine.talk));
        }
        if mine.habit == Habit::Flood && self.phase() == Phase::Busy {
            self.flood(io, conn);
        }
    }

    pub fn relend(&self, io: &mut Io, conn: Conn) {
        let Some(mine) = self.live.get(&conn) else { return };
        if io.relend(conn).is_ok() {
            self.truth.borrow_mut().mine(mine.talk, mine.side).relent_at = Some(io.now());
        }
        self.tell(io, || format!("{} lends again", mine.talk));
    }

    // ---- ends

    fn finish(&mut self, io: &mut Io, conn: Conn) {
        let Some(mine) = self.live.get(&conn) else { return };
        if io.finish(conn).is_ok() {
            self.truth.borrow_mut().mine(mine.talk, mine.side).finished = true;
            self.tell(io, || format!("{} finishes", mine.talk));
        }
    }

    pub fn close(&mut self, io: &mut Io, conn: Conn) {
        let now = self.mark(io);
        let Some(mine) = self.live.get_mut(&conn) else { return };
        let accepted = io.close(conn);
        let again = io.close(conn);
        if accepted {
            mine.closing = Some(now);
            let mut truth = self.truth.borrow_mut();
            let end = truth.mine(mine.talk, mine.side);
            (end.kept, end.want) = (0, 0);
            end.finished |= mine.opened;
            end.lossy |= !mine.opened;
        }
        let talk = mine.talk;
        self.tell(io, || format!("{talk} closes: {accepted}"));
        if again {
            self.fail(io, || format!("{talk} could be closed twice"));
        }
    }

    fn abort(&mut self, io: &mut Io, conn: Conn) {
        let Some(mine) = self.live.get_mut(&conn) else { return };
        if io.abort(conn) {
            mine.aborted = true;
            let talk = mine.talk;
            self.tell(io, || format!("{talk} aborts"));
        }
    }

    fn limit(&mut self, io: &mut Io, conn: Conn) {
        let set = self.mark(io);
        let at = (self.random.u32(..3) > 0)
            .then(|| io.now() + Duration::from_millis(about(&mut self.random, 1, 20_000)));
        let Some(mine) = self.live.get_mut(&conn) else { return };
        // Once it is over or closing, a deadline comes no more or has come already.
        let lives = io.local(conn).is_some() && mine.closing.is_none();
        if lives && io.deadline(conn, at).is_ok() {
            mine.total = at.map(|at| (at, set));
        }
    }

    fn change_options(&mut self, io: &mut Io, conn: Conn) {
        let Some(before) = io.options(conn).cloned() else { return };
        let other = options(&mut self.random, before.self_throttle);
        let changed = Options::with(|changed| {
            (changed.timeouts, changed.socket) = (before.timeouts, before.socket);
            (changed.half_close, changed.self_throttle) = (before.half_close, before.self_throttle);
            // Never less: what is queued already may be more.
            changed.queue =
                if other.queue.max_bytes > before.queue.max_bytes { other.queue } else { before.queue };
            changed.kept_bytes_max = other.kept_bytes_max;
        });
        if let Err(error) = io.set_options(conn, changed) {
            self.fail(io, || format!("{conn:?}: {error}"));
        }
    }

    // ---- from core to core

    /// Lets a connection go: away for good, back into this reactor, or to another core.
    fn release(&mut self, io: &mut Io, conn: Conn) {
        let Some(mine) = self.live.get(&conn).cloned() else { return };
        let end = self.truth.borrow().talks[mine.talk].ends[mine.side].clone();
        if !end.opened || end.finished || end.ended {
            return;
        }
        match io.release(conn) {
            Ok(released) => self.released(io, conn, &mine, released),
            Err(ReleaseError::Secured) if !mine.plain => {}
            Err(ReleaseError::Stale) if !io.is_open(conn) => {}
            Err(error) => self.fail(io, || format!("{} was not let go: {error}", mine.talk)),
        }
    }

    fn released(&mut self, io: &mut Io, conn: Conn, mine: &Mine, released: windlass::Released) {
        self.forget(conn);
        self.tell(io, || format!("{} is let go", mine.talk));
        let mut truth = self.truth.borrow_mut();
        let end = truth.mine(mine.talk, mine.side);
        if self.lending == Some(conn) {
            // What is lent counts as consumed.
            (end.kept, end.want) = (0, 0);
        }
        end.relent_at = Some(io.now());
        if !released.unread.is_empty() {
            truth.data(io.now(), mine.talk, mine.side, &released.unread);
        }
        truth.tally.moves += 1;
        let end = truth.mine(mine.talk, mine.side);
        (end.kept, end.want, end.moving) = (0, 0, true);
        drop(truth);
        let cargo = Some(Cargo { talk: mine.talk, side: mine.side, released });
        let back = match self.random.u32(..3) {
            0 => {
                let mut truth = self.truth.borrow_mut();
                let end = truth.mine(mine.talk, mine.side);
                (end.moving, end.gone, end.lossy) = (false, true, true);
                return;
            }
            1 => cargo,
            _ => self.post(cargo),
        };
        if let Some(cargo) = back {
            self.settle(io, cargo);
        }
    }

    /// Takes a connection over.
    pub fn settle(&mut self, io: &mut Io, cargo: Cargo) {
        let Cargo { talk, side, released } = cargo;
        let adopt = Adopt::stream(released.stream).options(options(&mut self.random, true));
        self.truth.borrow_mut().mine(talk, side).moving = false;
        let Ok(conn) = io.adopt(adopt) else {
            let mut truth = self.truth.borrow_mut();
            let end = truth.mine(talk, side);
            (end.gone, end.lossy) = (true, true);
            return;
        };
        self.tell(io, || format!("{conn:?} is {talk}, taken over"));
        self.take_on(io, conn, talk, side, true);
        if !released.unsent.is_empty() && io.send_bytes(conn, &Bytes::from(released.unsent)).is_err() {
            self.truth.borrow_mut().mine(talk, side).lossy = true;
            self.abort(io, conn);
        }
    }

    // ---- the rest

    /// Whether to panic here and now, where that is survived: once in so many times.
    pub fn panics_now(&mut self, one_in: u32) -> bool {
        if !self.plan.panics || self.phase() != Phase::Busy || self.random.u32(..one_in) > 0 {
            return false;
        }
        self.truth.borrow_mut().tally.panics += 1;
        if let Some(mine) = self.about.and_then(|conn| self.live.get_mut(&conn)) {
            mine.panicked = true;
        }
        true
    }

    /// Holds nothing back any more, and in the end closes everything.
    pub fn come_to_rest(&mut self, io: &mut Io) {
        self.open_doors(io);
        let closing = self.phase() == Phase::Close;
        let small = self.plan.small;
        for conn in self.live.keys().copied().collect::<Vec<_>>() {
            let _ = (io.resume(conn), io.grant_read(conn, None), io.grant_write(conn, None));
            self.relend(io, conn);
            let unlimited = io.deadline(conn, None).is_ok();
            let Some(mine) = self.live.get_mut(&conn) else { continue };
            mine.total = mine.total.filter(|_| !unlimited);
            if let Some(mut calm) = io.options(conn).cloned()
                && io.is_open(conn)
            {
                let timeouts = &mut calm.timeouts;
                (timeouts.write, timeouts.keep_alive) = (None, None);
                // Where memory is short, this is what ends a shortage.
                timeouts.read = timeouts.read.filter(|_| small);
                mine.timeouts = timeouts.clone();
                calm.self_throttle = false;
                let _ = io.set_options(conn, calm);
            }
            if closing {
                self.close(io, conn);
            }
        }
    }
}
