//! The same seed is the same run, event by event, whatever runs in it; another seed is another.

use crate::rig::{MS, PORT, Peer, SECOND, serve};
use crate::thorough::thorough;
use std::time::Duration;
use windlass::sim::{self, Chaos, Host, Latency, Link, Network};
use windlass::{Connect, CoreMail, Cores, Event, Handler, Io, Listen, Options, Spread};

/// Runs twice with a seed and once with the next, for a few seeds, or with `WINDLASS_THOROUGH` for many.
#[track_caller]
fn same_seed_same_run(run: impl Fn(u64) -> Network) {
    for seed in sim::seeds(1..=thorough(30, 3)) {
        let (first, second, other) = (run(seed), run(seed), run(seed + 1));
        if first.trace() != second.trace() {
            let (a, b) = (first.recorded(), second.recorded());
            let parts = a.iter().zip(&b).position(|(a, b)| a != b);
            panic!("seed {seed} parts at {:?}", parts.map(|at| (&a[at.saturating_sub(3)..at + 1], &b[at])));
        }
        assert_eq!(first.events(), second.events(), "seed {seed}");
        assert_eq!(first.recorded(), second.recorded(), "seed {seed}");
        assert!(first.events() > 100, "seed {seed}: {} events are too few to differ in", first.events());
        assert_ne!(first.trace(), other.trace(), "seeds {seed} and {}", seed + 1);
    }
}

/// A link on which everything is drawn.
pub fn uncertain() -> Link {
    let link = Link::new(Latency::LogNormal { median: 20 * MS, sigma: 0.5 }).jitter(5 * MS).loss(0.02);
    link.bandwidth(20_000_000).queue(100_000)
}

/// Talks to everybody, for ever: one question at a time on each connection, each a byte longer than the one before.
struct Talker {
    to: Vec<Host>,
    asked: usize,
}

impl Talker {
    fn new(io: &mut Io, to: &[Host]) -> Talker {
        for host in to {
            let _ = io.connect(Connect::to(host.port(PORT)));
        }
        Talker { to: to.to_vec(), asked: 0 }
    }
}

impl Handler for Talker {
    fn handle(&mut self, io: &mut Io, event: Event<'_>) {
        match event {
            Event::Opened { conn, .. } => drop(io.send(conn, b"first")),
            Event::Data { conn, .. } => {
                self.asked += 1;
                let _ = io.send(conn, &vec![7; self.asked]);
            }
            Event::Closed { .. } => drop(io.timer_after(50 * MS, 0)),
            Event::Timer { .. } => {
                let to = self.to[self.asked % self.to.len()];
                let _ = io.connect(Connect::to(to.port(PORT)));
            }
            _ => {}
        }
    }
}

/// Five servers, and five clients that talk to all of them.
fn town(seed: u64) -> Network {
    let mut net = Network::new(seed);
    net.record(100_000);
    net.link(uncertain());
    let servers: Vec<_> = (0..5).map(|number| net.host(format!("server {number}"))).collect();
    for &server in &servers {
        serve(&mut net, server, Options::default());
    }
    for number in 0..5 {
        let (client, servers) = (net.host(format!("client {number}")), servers.clone());
        net.start(client, Cores::new(1), move |core| Talker::new(core.io(), &servers)).unwrap();
    }
    net
}

#[test]
fn plain_connections() {
    same_seed_same_run(|seed| {
        let mut net = town(seed);
        net.run_for(3 * SECOND);
        net
    });
}

#[test]
fn under_chaos() {
    same_seed_same_run(|seed| {
        let mut net = town(seed);
        let hosts: Vec<_> = (0..10).map(Host::nth).collect();
        net.chaos(&Chaos::drawn(seed).between(SECOND, 5 * SECOND), &hosts);
        net.run_for(6 * SECOND);
        net
    });
}

/// However the test cuts the time, the run is the same.
#[test]
fn in_steps_of_any_size() {
    let run = |slice: Duration| {
        let mut net = town(5);
        while net.elapsed() < 2 * SECOND {
            net.run_for(slice.min(2 * SECOND - net.elapsed()));
        }
        (net.trace(), net.events())
    };
    let whole = run(2 * SECOND);
    assert_eq!(run(Duration::from_nanos(1_234_567)), whole);
    assert_eq!(run(333 * MS), whole);
}

/// Passes everything on to the next core, which answers.
struct Relay {
    core: usize,
    mail: CoreMail<(usize, u64)>,
    passed: u64,
}

impl Handler for Relay {
    fn handle(&mut self, io: &mut Io, event: Event<'_>) {
        match event {
            Event::Data { conn, bytes } => {
                self.passed += 1;
                let next = (self.core + 1) % self.mail.cores.len();
                let _ = self.mail.cores[next].try_send((self.core, self.passed));
                let _ = io.send(conn, bytes);
            }
            Event::Mail { .. } => {
                while let Some((from, number)) = self.mail.inbox.recv() {
                    self.passed += 1;
                    if from != self.core && number % 3 != 0 {
                        let _ = self.mail.cores[from].try_send((self.core, number / 2));
                    }
                }
            }
            _ => {}
        }
    }
}

fn several_cores(seed: u64, spread: Spread, chaos: Option<&Chaos>) -> Network {
    let mut net = Network::new(seed);
    net.record(100_000);
    net.link(uncertain());
    let server = net.host("server");
    let cores = Cores::new(4).listen(Listen::tcp(("0.0.0.0", PORT))).spread(spread);
    let make = |core: &mut windlass::Core<'_>, mail| Relay { core: core.number(), mail, passed: 0 };
    net.start_with_mail(server, cores, 64, make).unwrap();
    for number in 0..8 {
        let client = net.host(format!("client {number}"));
        net.start(client, Cores::new(1), move |core| Talker::new(core.io(), &[server; 4])).unwrap();
    }
    if let Some(chaos) = chaos {
        let hosts: Vec<_> = (0..9).map(Host::nth).collect();
        net.chaos(chaos, &hosts);
    }
    net.run_for(2 * SECOND);
    net
}

/// Every core has had something to do.
fn all_worked(net: Network) -> Network {
    for core in 0..4 {
        let relay = net.try_app_on::<Relay>(Host::nth(0), core).expect("it runs");
        assert!(relay.passed > 0, "core {core} has had nothing to do");
    }
    net
}

#[test]
fn several_cores_with_mail_and_a_listener_each() {
    same_seed_same_run(|seed| all_worked(several_cores(seed, Spread::ReusePort, None)));
}

#[test]
fn several_cores_with_mail_and_hand_off() {
    same_seed_same_run(|seed| all_worked(several_cores(seed, Spread::HandOff, None)));
}

#[test]
fn several_cores_under_chaos() {
    for spread in [Spread::ReusePort, Spread::HandOff] {
        same_seed_same_run(|seed| {
            let chaos = Chaos::drawn(seed).between(100 * MS, 2 * SECOND);
            several_cores(seed, spread, Some(&chaos))
        });
    }
}

/// Nothing is counted for a whole process.
#[test]
fn networks_do_not_know_of_each_other() {
    let alone = {
        let mut net = town(9);
        net.run_for(3 * SECOND);
        net.trace()
    };
    let (mut one, mut two) = (town(9), town(10));
    for _ in 0..30 {
        one.run_for(100 * MS);
        two.run_for(100 * MS);
    }
    assert_eq!(one.trace(), alone);
}

/// What a test asks in between changes nothing.
#[test]
fn looking_in_leaves_no_trace() {
    let run = |look: bool| {
        let mut net = town(4);
        net.run_until(
            |net| {
                if look {
                    let _ = (
                        net.app::<Peer>(Host::nth(0)).received.len(),
                        net.report(),
                        net.metrics(Host::nth(1)),
                    );
                }
                net.elapsed() > SECOND
            },
            10 * SECOND,
        );
        net.trace()
    };
    assert_eq!(run(true), run(false));
}
