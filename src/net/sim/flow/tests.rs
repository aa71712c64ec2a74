//! Flows between two simulated hosts, driven by a small world of their own.

use super::*;
use crate::net::sim::link::{Latency, Link};
#[path = "../flow/pftk.rs"] mod pftk;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// One flow with its two paths and its steps to come.
pub(super) struct World {
    pub(super) now: Instant,
    pub(super) flow: Flow,
    forward: Path,
    back: Path,
    heap: BinaryHeap<Reverse<(Instant, u64, Order)>>,
    serial: u64,
    out: Vec<(Instant, Step)>,
    steps: u64,
}

/// A step that the heap orders only by its time and number.
struct Order(Step);

impl PartialEq for Order {
    fn eq(&self, _: &Order) -> bool {
        true
    }
}
impl Eq for Order {}
impl PartialOrd for Order {
    fn partial_cmp(&self, other: &Order) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Order {
    fn cmp(&self, _: &Order) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }
}

impl World {
    pub(super) fn new(settings: FlowSettings, forward: &Link, back: &Link, seed: u64) -> World {
        World {
            now: Instant::ZERO,
            flow: Flow::new(&Arc::new(settings), seed),
            forward: Path::new(forward, seed),
            back: Path::new(back, seed ^ 0x5555),
            heap: BinaryHeap::new(),
            serial: 0,
            out: Vec::new(),
            steps: 0,
        }
    }

    fn keep(&mut self) {
        for (at, step) in self.out.drain(..) {
            assert!(at >= self.now);
            self.heap.push(Reverse((at, self.serial, Order(step))));
            self.serial += 1;
        }
    }

    fn pump(&mut self) {
        let mut paths = Paths { forward: &mut self.forward, back: &mut self.back };
        self.flow.pump(self.now, &mut paths, &mut self.out);
        self.keep();
    }

    fn step(&mut self) -> Option<Change> {
        let Reverse((at, _, Order(step))) = self.heap.pop()?;
        self.now = at;
        self.steps += 1;
        let mut paths = Paths { forward: &mut self.forward, back: &mut self.back };
        let change = self.flow.step(self.now, step, &mut paths, &mut self.out);
        self.keep();
        Some(change)
    }

    /// Sends `total` bytes with a reader that reads at once; when the last byte is there.
    pub(super) fn transfer(&mut self, total: u64) -> Instant {
        let chunk = [7u8; 65536];
        let mut sink = [0u8; 65536];
        let (mut written, mut read) = (0, 0);
        let mut writable = true;
        while read < total {
            while writable && written < total {
                let want = chunk.len().min((total - written) as usize);
                let taken = self.flow.write(self.now, &chunk[..want]);
                written += taken as u64;
                writable = taken == want;
            }
            self.pump();
            let change = self.step().expect("the transfer goes on");
            writable |= change.writable;
            if change.readable {
                loop {
                    let n = self.flow.read(&mut sink);
                    if n == 0 {
                        break;
                    }
                    read += n as u64;
                }
            }
        }
        self.now
    }
}

#[test]
fn one_small_message_is_one_step() {
    let link = Link::new(Latency::Fixed(Duration::from_millis(10)));
    let mut world = World::new(FlowSettings::default(), &link, &link, 1);
    for round in 1..=5 {
        assert_eq!(world.flow.write(world.now, b"hello"), 5);
        world.pump();
        assert!(world.step().is_some_and(|change| change.readable));
        let mut into = [0; 16];
        assert_eq!(world.flow.read(&mut into), 5);
        assert_eq!(&into[..5], b"hello");
        world.pump();
        assert_eq!((world.steps, world.heap.len()), (round, 0));
    }
}

#[test]
fn a_lossless_transfer_takes_slow_start_and_serialization() {
    let mut link = Link::new(Latency::Fixed(Duration::from_millis(25)));
    link.bandwidth_bits_per_s = Some(100_000_000);
    let mut world = World::new(FlowSettings::default(), &link, &link, 1);
    let took = world.transfer(10_000_000).since(Instant::ZERO);
    println!("{took:?}, {} steps", world.steps);
    assert!(took > Duration::from_millis(800) && took < Duration::from_millis(1150), "{took:?}");
}

#[test]
fn a_lossy_transfer_ends() {
    let mut link = Link::new(Latency::Fixed(Duration::from_millis(25)));
    link.loss = 0.01;
    let back = Link::new(Latency::Fixed(Duration::from_millis(25)));
    let mut world = World::new(FlowSettings::default(), &link, &back, 1);
    let took = world.transfer(10_000_000).since(Instant::ZERO);
    println!("{took:?}, {} steps, {} timeouts", world.steps, world.flow.timeouts());
    assert!(world.flow.retransmissions() > 10);
}
