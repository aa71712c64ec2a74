//! cargo run --features sim --example sim_cluster
//!
//! A test of a protocol in a simulated network, to start your own from. The protocol is a log that two replicas pull
//! from a primary: an entry counts once a majority of the three has it on disk. The story: one replica is cut off, then
//! both, then the primary loses power; in the end all have every entry. Then the same under faults that a hundred seeds
//! draw. It takes hours of virtual time and a moment of yours.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use windlass::sim::{self, Chaos, Fault, FaultKind, Host, Link, Network};
use windlass::{Conn, Connect, Cores, Event, Handler, Io, Listen, Options, Timer};

const PRIMARY: Host = Host::nth(0);
const REPLICAS: [Host; 2] = [Host::nth(1), Host::nth(2)];
const SECOND: Duration = Duration::from_secs(1);

// ---- the test

fn cluster(seed: u64) -> Network {
    let mut net = Network::new(seed);
    net.link(Link::continent());
    let _ = (net.host("primary"), net.host("replica 1"), net.host("replica 2"));
    // What is made here outlives its host, as a disk does; what the closure makes begins anew with each start.
    let (disk, listen) = (Disk::default(), Listen::tcp("0.0.0.0:7000").options(patience()));
    net.start(PRIMARY, Cores::new(1).listen(listen), move |_| Primary { disk: disk.clone(), counted: 0 })
        .unwrap();
    for host in REPLICAS {
        let disk = Disk::default();
        net.start(host, Cores::new(1), move |core| Replica::start(disk.clone(), core.io())).unwrap();
    }
    net
}

/// What happens, and what must be true then.
fn story(seed: u64) -> Network {
    let mut net = cluster(seed);
    append(&mut net, 10);
    net.expect_within(SECOND, "the first entry counts", |net| counted(net) == 1);

    net.inflict(Fault::Partition(vec![REPLICAS[1]], vec![PRIMARY]));
    append(&mut net, 20);
    net.expect_within(SECOND, "a majority is enough", |net| counted(net) == 2);

    net.inflict(Fault::Partition(vec![REPLICAS[0]], vec![PRIMARY]));
    append(&mut net, 30);
    net.run_for(60 * SECOND);
    assert_eq!(counted(&net), 2, "nothing counts without a majority");

    net.inflict(Fault::Heal);
    net.expect_within(10 * SECOND, "all catch up when the network heals", |net| agreed(net, &[10, 20, 30]));

    net.inflict(Fault::PowerOff(PRIMARY).lasting(5 * SECOND));
    net.expect_within(20 * SECOND, "all come back after a power cut", |net| agreed(net, &[10, 20, 30]));
    net
}

/// The same under any faults: what was written is never lost, and in the end all agree.
fn any_story(seed: u64, faults: &[(Duration, Fault)]) {
    let mut net = cluster(seed);
    net.schedule(faults);
    let mut written = Vec::new();
    for entry in 0..30 {
        net.run_for(SECOND);
        written.extend(append(&mut net, entry));
    }
    net.run_for(2 * SECOND);
    net.expect_within(20 * SECOND, "all agree after the last fault", |net| agreed(net, &written));
}

fn main() {
    {
        let net = story(1);
        println!("{:?} of virtual time, {} events, and what went wrong:", net.elapsed(), net.events());
        net.inflicted().iter().for_each(|(at, fault)| println!("{:>10.3} s  {fault}", at.as_secs_f64()));
    }
    let (mut stories, mut faults_drawn) = (0, 0);
    for seed in sim::seeds(1..=100) {
        // The log trusts that clocks never go back, and a jump is that.
        let chaos = Chaos::drawn(seed).without([FaultKind::ClockJump]);
        let faults = chaos.faults(&[PRIMARY, REPLICAS[0], REPLICAS[1]]);
        // Should it fail, this panics with a test to paste that has only the faults that matter.
        sim::check(seed, &faults, any_story);
        (stories, faults_drawn) = (stories + 1, faults_drawn + faults.len());
    }
    println!("{stories} drawn stories with {faults_drawn} faults ended well");
}

/// A client's wish, if there is a primary to hear it: the entry that it wrote.
fn append(net: &mut Network, entry: u64) -> Option<u64> {
    net.try_app::<Primary>(PRIMARY)?.disk.borrow_mut().push(entry);
    Some(entry)
}

fn counted(net: &Network) -> usize {
    net.app::<Primary>(PRIMARY).counted
}

fn agreed(net: &Network, entries: &[u64]) -> bool {
    let disks = REPLICAS.map(|host| net.try_app::<Replica>(host).map(|replica| replica.disk.clone()));
    let primary = net.try_app::<Primary>(PRIMARY);
    primary.is_some_and(|primary| primary.counted == entries.len() && *primary.disk.borrow() == entries)
        && disks.into_iter().all(|disk| disk.is_some_and(|disk| *disk.borrow() == entries))
}

// ---- the protocol, as it would run on real machines

/// Entries in one answer, at most.
const ENTRIES_MAX: usize = 100;
/// How often a replica asks when there was nothing new, and tries to connect.
const PAUSE: Duration = Duration::from_millis(200);

type Disk = Rc<RefCell<Vec<u64>>>;

/// How long anybody waits for anybody else.
fn patience() -> Options {
    Options::with(|options| {
        options.timeouts.connect = Some(2 * SECOND);
        options.timeouts.read = Some(2 * SECOND);
        options.timeouts.keep_alive = Some(4 * SECOND);
    })
}

/// Answers whoever says how many entries they have with a number and that many entries more.
struct Primary {
    disk: Disk,
    /// So many entries are on a majority of disks.
    counted: usize,
}

impl Handler for Primary {
    fn handle(&mut self, io: &mut Io, event: Event<'_>) {
        let Event::Data { conn, bytes } = event else { return };
        let disk = self.disk.borrow();
        for asked in bytes.chunks_exact(8) {
            let has = number(asked).min(disk.len());
            // Its disk and ours are two of three.
            self.counted = self.counted.max(has);
            let more = &disk[has..disk.len().min(has + ENTRIES_MAX)];
            let mut answer = (more.len() as u64).to_le_bytes().to_vec();
            answer.extend(more.iter().flat_map(|entry| entry.to_le_bytes()));
            // A replica that does not get its answer asks again.
            let _ = io.send(conn, &answer);
        }
        let _ = io.keep(conn, bytes.len() % 8);
    }
}

/// Asks for what comes after what it has, one question at a time.
struct Replica {
    disk: Disk,
    primary: Option<Conn>,
    /// When it asks or connects again: one time, or there would be two questions at once.
    again: Option<Timer>,
}

impl Replica {
    fn start(disk: Disk, io: &mut Io) -> Replica {
        let mut replica = Replica { disk, primary: None, again: None };
        replica.connect(io);
        replica
    }

    fn connect(&mut self, io: &mut Io) {
        self.primary = io.connect(Connect::to(PRIMARY.port(7000)).options(patience())).ok();
        if self.primary.is_none() {
            self.pause(io);
        }
    }

    fn pause(&mut self, io: &mut Io) {
        if let Some(timer) = self.again.replace(io.timer_after(PAUSE, 0)) {
            io.cancel(timer);
        }
    }

    fn ask(&self, io: &mut Io, primary: Conn) {
        let has = self.disk.borrow().len() as u64;
        let _ = io.send(primary, &has.to_le_bytes());
        // From now on its silence is a failure.
        let _ = io.expect(primary);
    }

    fn learn(&mut self, io: &mut Io, primary: Conn, bytes: &[u8]) {
        let Some((count, entries)) = bytes.split_first_chunk::<8>() else {
            let _ = io.keep_until(primary, bytes.len(), 8);
            return;
        };
        let count = number(count);
        if entries.len() < 8 * count {
            let _ = io.keep_until(primary, bytes.len(), 8 + 8 * count);
            return;
        }
        self.disk.borrow_mut().extend(entries.chunks_exact(8).map(|entry| number(entry) as u64));
        if count > 0 {
            self.ask(io, primary);
        } else {
            self.pause(io);
        }
    }
}

impl Handler for Replica {
    fn handle(&mut self, io: &mut Io, event: Event<'_>) {
        match (event, self.primary) {
            (Event::Opened { conn, .. }, _) => self.ask(io, conn),
            (Event::Data { conn, bytes }, _) => self.learn(io, conn, bytes),
            (Event::Timer { .. }, Some(primary)) => self.ask(io, primary),
            (Event::Timer { .. }, None) => self.connect(io),
            (Event::Closed { .. }, _) => {
                self.primary = None;
                self.pause(io);
            }
            _ => {}
        }
    }
}

fn number(bytes: &[u8]) -> usize {
    u64::from_le_bytes(bytes.try_into().expect("eight bytes")) as usize
}
