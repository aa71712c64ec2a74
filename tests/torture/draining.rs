//! Graceful ends at every moment of a busy server's life, in virtual time.

use crate::thorough::thorough;
use std::collections::BTreeMap;
use std::time::Duration;
use windlass::sim::{Host, Latency, Link, Network};
use windlass::{Cause, Config, Conn, Connect, Cores, Event, Handler, Io, Listen, Spread};

const PORT: u16 = 7000;
const CLIENTS: usize = 40;
/// By when a server must have ended whose clients owe it nothing and leave when it asks them to.
const ENDED_WITHIN: Duration = Duration::from_secs(1);
const DEADLINE: Duration = Duration::from_secs(60);

/// Echoes, and knows whom it let in.
#[derive(Default)]
struct Server {
    ends: BTreeMap<&'static str, usize>,
}

impl Handler for Server {
    fn handle(&mut self, io: &mut Io, event: Event<'_>) {
        match event {
            Event::Data { conn, bytes } => _ = io.send(conn, bytes),
            Event::Closed { reason, .. } => *self.ends.entry(reason.cause().name()).or_default() += 1,
            _ => {}
        }
    }
}

/// Asks without a pause over many connections; a fifth of the answers makes it leave and come back.
struct Clients {
    server: Host,
    random: fastrand::Rng,
    /// Questions and answers of each connection.
    talks: BTreeMap<Conn, (usize, usize)>,
    /// How connections ended, and what had been said on them.
    ends: Vec<(Cause, usize, usize)>,
}

impl Clients {
    fn ask(&mut self, io: &mut Io, conn: Conn) {
        self.talks.entry(conn).or_default().0 += 1;
        let _ = io.send(conn, b"question");
    }

    fn connect(&mut self, io: &mut Io) {
        let _ = io.connect(Connect::to(self.server.port(PORT))).unwrap();
    }
}

impl Handler for Clients {
    fn handle(&mut self, io: &mut Io, event: Event<'_>) {
        match event {
            Event::Timer { .. } => (0..CLIENTS).for_each(|_| self.connect(io)),
            Event::Opened { conn, .. } => self.ask(io, conn),
            Event::Data { conn, bytes } => {
                let talk = self.talks.entry(conn).or_default();
                talk.1 += bytes.len() / b"question".len();
                if self.random.u8(..5) == 0 {
                    io.close(conn);
                } else {
                    self.ask(io, conn);
                }
            }
            Event::Closed { conn, reason } => {
                let (questions, answers) = self.talks.remove(&conn).unwrap_or_default();
                self.ends.push((reason.cause(), questions, answers));
                if reason.cause() == Cause::Closed {
                    self.connect(io);
                }
            }
            _ => {}
        }
    }
}

/// One life of a server with clients all over the world, ended at a random moment. Answers how many resets there were
/// of connections on which something had been answered, and how many ends in all.
fn live(seed: u64, spread: Spread) -> (usize, usize) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut network = Network::new(seed);
    let far = Duration::from_micros(random.u64(50..20_000));
    let mut link = Link::new(Latency::Uniform { min: far / 4, max: far });
    link.jitter = far / 4;
    network.link(link);
    let (server, clients) = (network.host("server"), network.host("clients"));
    let listening = Cores::new(2).spread(spread).listen(Listen::tcp(("0.0.0.0", PORT)));
    // Few events a turn, so that the end finds work that is left over.
    let busy = Config::with(|c| c.budgets.events = 8);
    network.start(server, listening.config(busy), |_| Server::default()).unwrap();
    network
        .start(clients, Cores::new(1), move |core| {
            core.io().timer_after(Duration::ZERO, 0);
            let random = fastrand::Rng::with_seed(!seed);
            Clients { server, random, talks: BTreeMap::new(), ends: Vec::new() }
        })
        .unwrap();
    network.run_for(Duration::from_micros(random.u64(1..500_000)));
    network.shutdown(server, DEADLINE);
    let ended = network.run_until(|network| !network.is_running(server), ENDED_WITHIN);
    assert!(ended, "seed {seed}, {spread:?}: the server waits although nothing is left");
    network.run_for(ENDED_WITHIN);
    for core in 0..2 {
        let ends = &network.try_app_on::<Server>(server, core).expect("it ran").ends;
        let orderly = [Cause::Closed, Cause::PeerClosed, Cause::Shutdown].map(Cause::name);
        assert!(ends.keys().all(|cause| orderly.contains(cause)), "seed {seed}, {spread:?}: {ends:?}");
    }
    let ends = &network.app::<Clients>(clients).ends;
    let cut = ends.iter().filter(|(cause, _, answers)| *cause == Cause::Reset && *answers > 0);
    (cut.count(), ends.len())
}

#[test]
fn an_end_at_any_moment_resets_nobody_who_was_let_in_and_comes_as_soon_as_it_can() {
    for spread in [Spread::ReusePort, Spread::HandOff] {
        let mut all = 0;
        for seed in 0..thorough(100, 8) {
            let (cut, ends) = live(seed, spread);
            assert_eq!(cut, 0, "seed {seed}, {spread:?}: connections that had been answered were reset");
            all += ends;
        }
        assert!(all > 10 * CLIENTS, "{all} connections");
    }
}
