//! Flows between two simulated hosts, driven by a small world of their own.

mod faults;
mod formulas;
mod property;

use super::*;
use crate::net::sim::link::Link;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// What tests ask besides what the world does.
impl Flow {
    /// Bytes that are not acknowledged or not read.
    fn buffered(&self) -> usize {
        (self.written - self.inbound.read().min(self.acked)) as usize
    }

    /// Payload that was sent, repetitions included.
    fn bytes_sent(&self) -> u64 {
        self.next.min(self.written) + self.repair.as_ref().map_or(0, |repair| repair.bytes_resent)
    }

    /// Payload that the writer knows to have arrived.
    fn bytes_acked(&self) -> u64 {
        self.acked.min(self.written)
    }

    /// Payload that has arrived in order.
    fn bytes_delivered(&self) -> u64 {
        self.inbound.arrived().min(self.written)
    }

    /// Segments that were sent again.
    fn retransmissions(&self) -> u64 {
        self.repair.as_ref().map_or(0, |repair| repair.retransmissions)
    }

    /// How often the retransmission timer went off.
    fn timeouts(&self) -> u64 {
        self.repair.as_ref().map_or(0, |repair| repair.timeouts)
    }
}

/// One flow with its two paths and its steps to come.
struct World {
    now: Instant,
    flow: Flow,
    forward: Path,
    back: Path,
    /// Ordered by time, then by when they were put there.
    heap: BinaryHeap<Reverse<(Instant, u64)>>,
    steps: Vec<Step>,
    out: Vec<(Instant, Step)>,
    taken: u64,
    /// The reader's host is gone.
    deaf: bool,
}

impl World {
    fn new(settings: FlowSettings, forward: &Link, back: &Link, seed: u64) -> World {
        let (forward, back) = (Path::new(forward, 2 * seed), Path::new(back, 2 * seed + 1));
        let mut flow = Flow::new(&Arc::new(settings), seed);
        flow.measured(forward.latency() + back.latency());
        World {
            now: Instant::ZERO,
            flow,
            forward,
            back,
            heap: BinaryHeap::new(),
            steps: Vec::new(),
            out: Vec::new(),
            taken: 0,
            deaf: false,
        }
    }

    /// The same link in both directions, and the usual settings.
    fn over(link: &Link, seed: u64) -> World {
        World::new(FlowSettings::default(), link, link, seed)
    }

    fn keep(&mut self) {
        for (at, step) in self.out.drain(..) {
            assert!(at >= self.now, "{step:?} at {at:?}, which is before {:?}", self.now);
            self.heap.push(Reverse((at, self.steps.len() as u64)));
            self.steps.push(step);
        }
    }

    fn pump(&mut self) {
        let mut paths = Paths { forward: &mut self.forward, back: &mut self.back };
        self.flow.pump(self.now, &mut paths, &mut self.out);
        self.keep();
    }

    /// Writes, and has the flow send.
    fn write(&mut self, bytes: &[u8]) -> usize {
        let taken = self.flow.write(self.now, bytes);
        self.pump();
        taken
    }

    fn finish(&mut self) {
        self.flow.finish();
        self.pump();
    }

    /// Reads all that can be read.
    fn read(&mut self) -> Vec<u8> {
        let mut bytes = vec![0; self.flow.readable()];
        let count = self.flow.read(&mut bytes);
        assert_eq!(count, bytes.len());
        self.pump();
        bytes
    }

    fn next_at(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes the next step, if there is one.
    fn step(&mut self) -> Option<Change> {
        let Reverse((at, number)) = self.heap.pop()?;
        let step = self.steps[number as usize];
        if self.heap.is_empty() {
            self.steps.clear();
        }
        (self.now, self.taken) = (at, self.taken + 1);
        if self.deaf && matches!(step, Step::Segment { .. }) {
            self.flow.discard(self.now, step, &mut self.out);
            self.keep();
            return Some(Change::default());
        }
        let mut paths = Paths { forward: &mut self.forward, back: &mut self.back };
        let change = self.flow.step(self.now, step, &mut paths, &mut self.out);
        self.keep();
        Some(change)
    }

    /// Takes all steps up to `until`, and lets time pass until then; the changes together.
    fn run_until(&mut self, until: Instant) -> Change {
        let mut sum = Change::default();
        while self.next_at().is_some_and(|at| at <= until) {
            let change = self.step().expect("there is one");
            sum = Change {
                readable: sum.readable | change.readable,
                writable: sum.writable | change.writable,
                end: sum.end | change.end,
                failed: sum.failed.or(change.failed),
            };
        }
        self.now = until;
        sum
    }

    fn run_for(&mut self, duration: Duration) -> Change {
        self.run_until(self.now + duration)
    }

    /// Sends `total` bytes to a reader that reads at once: how long it took until the last was read.
    fn transfer(&mut self, total: u64) -> Duration {
        let (from, chunk) = (self.now, [7_u8; 65_536]);
        let mut sink = [0; 65_536];
        let (mut written, mut read, mut writable) = (0, 0, true);
        while read < total {
            if writable && written < total {
                while writable && written < total {
                    let want = chunk.len().min((total - written) as usize);
                    let taken = self.flow.write(self.now, &chunk[..want]);
                    written += taken as u64;
                    writable = taken == want;
                }
                self.pump();
            }
            let change = self.step().expect("a transfer goes on until it is over");
            assert_eq!(change.failed, None);
            writable |= change.writable;
            if change.readable {
                while self.flow.readable() > 0 {
                    read += self.flow.read(&mut sink) as u64;
                }
                self.pump();
            }
        }
        self.now.since(from)
    }
}

fn fixed(millis: u64) -> Link {
    Link::new(Duration::from_millis(millis))
}

#[test]
fn a_small_message_is_one_step_and_leaves_nothing_behind() {
    let mut world = World::over(&fixed(10), 1);
    for round in 1..=5 {
        assert_eq!(world.write(b"hello"), 5);
        assert_eq!(world.step(), Some(Change { readable: true, ..Change::default() }));
        assert_eq!(world.read(), b"hello");
        assert_eq!((world.taken, world.heap.len()), (round, 0));
        assert!(!world.flow.stream.owns_memory());
    }
    world.now += Duration::from_millis(10);
    assert_eq!(world.flow.write_room(world.now), 6 << 20);
    assert_eq!((world.flow.bytes_acked(), world.flow.buffered()), (25, 0));
    assert!(world.flow.in_flight.is_empty() && world.flow.repair.is_none());
}

#[test]
fn the_end_comes_behind_the_bytes_and_the_writer_learns_of_it() {
    let mut world = World::over(&fixed(10), 1);
    world.write(b"last words");
    world.finish();
    assert_eq!(world.flow.write_room(world.now), 0);
    let change = world.run_until(Instant::from_millis(10));
    assert!(change.readable && change.end && !world.flow.at_end() && !world.flow.is_done());
    assert_eq!(world.read(), b"last words");
    assert!(world.flow.at_end());
    world.run_until(Instant::from_millis(20));
    assert!(world.flow.is_done() && world.heap.is_empty());
}

#[test]
fn an_end_without_bytes_arrives() {
    let mut world = World::over(&fixed(10), 1);
    world.finish();
    let change = world.step().expect("the end is under way");
    assert!(change.end && !change.readable && world.flow.at_end());
}

#[test]
fn a_refused_writer_hears_of_room_when_a_third_is_free() {
    let settings = FlowSettings { send_buffer_bytes: 30_000, ..FlowSettings::default() };
    let mut world = World::new(settings, &fixed(10), &fixed(10), 1);
    assert_eq!(world.write(&[1; 50_000]), 30_000);
    assert_eq!(world.write(&[1; 1]), 0);
    while !world.step().expect("it goes on").writable {}
    assert!(world.flow.write_room(world.now) >= 10_000, "{}", world.flow.write_room(world.now));
    assert_eq!(world.now, Instant::from_millis(20), "one round trip");
}

#[test]
fn a_reader_that_does_not_read_stops_the_writer() {
    let settings =
        FlowSettings { send_buffer_bytes: 50_000, receive_buffer_bytes: 20_000, ..FlowSettings::default() };
    let mut world = World::new(settings, &fixed(10), &fixed(10), 1);
    assert_eq!(world.write(&[1; 100_000]), 50_000);
    world.run_for(Duration::from_secs(100));
    let room = world.flow.write_room(world.now);
    assert_eq!(world.write(&[1; 100_000]), room);
    world.run_for(Duration::from_secs(1_000));
    assert_eq!(world.flow.readable(), 20_000);
    assert_eq!(world.flow.write_room(world.now), 0);
    assert!(world.taken < 150, "{} steps to wait for 1,100 s", world.taken);
    let mut read = 0;
    while read < 70_000 {
        read += world.read().len();
        assert!(world.step().is_some(), "stuck after {read} bytes");
    }
    assert_eq!(world.flow.timeouts(), 0, "probes are none");
}

#[test]
fn a_flood_of_tiny_messages_shares_segments() {
    let mut world = World::over(&fixed(10), 1);
    world.transfer(500_000);
    for _ in 0..50_000 {
        assert_eq!(world.write(b"tiny"), 4);
    }
    let segments = world.flow.in_flight.len();
    assert!((1_024..2_000).contains(&segments), "{segments} segments under way");
    while world.flow.bytes_delivered() < 700_000 {
        world.step().expect("it goes on");
    }
    assert_eq!(world.read(), b"tiny".repeat(50_000));
}

#[test]
fn a_killed_flow_holds_only_what_has_arrived_and_does_nothing() {
    let mut world = World::over(&fixed(10).loss(0.2), 1);
    world.write(&[1; 100_000]);
    world.run_for(Duration::from_millis(25));
    let arrived = world.flow.readable();
    world.flow.kill();
    assert!(arrived > 0);
    assert_eq!((world.flow.buffered(), world.flow.readable()), (arrived, arrived));
    assert_eq!(world.flow.read(&mut vec![0; 100_000]), arrived);
    assert!(!world.flow.stream.owns_memory());
    while let Some(change) = world.step() {
        assert_eq!(change, Change::default());
    }
    assert_eq!(world.write(b"more"), 0);
    world.finish();
    assert!(world.heap.is_empty() && !world.flow.at_end());
}
