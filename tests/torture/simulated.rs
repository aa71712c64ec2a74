//! What only virtual time proves: hours, years and clocks that jump, and faults whose moment is exact.
//!
//! Every run is repeatable: the seed is in the message of a failure.

use crate::thorough::thorough;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use windlass::metrics::{AcceptFailure, Figures};
use windlass::sim::{Fault, Host, Network};
use windlass::time::Instant;
use windlass::{Cause, Config, Conn, Connect, Cores, Event, Handler, Io, KeepAlive, Listen, Options};

const PORT: u16 = 7000;
const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3600);
const YEAR: Duration = Duration::from_secs(31_557_600);
/// How late a timer may fire, and a deadline of a connection.
const TIMER_LATE_MAX: Duration = Duration::from_millis(1);
const DEADLINE_LATE_MAX: Duration = Duration::from_millis(16);

/// Echoes, keeps count, and ends whoever takes longer than `total`.
#[derive(Default)]
struct Server {
    total: Option<Duration>,
    open: BTreeMap<Conn, Instant>,
    opened: usize,
    closed: BTreeMap<&'static str, usize>,
    /// How long connections that met their deadline had been open.
    ages: Vec<Duration>,
}

impl Handler for Server {
    fn handle(&mut self, io: &mut Io, event: Event<'_>) {
        match event {
            Event::Opened { conn, .. } => {
                self.opened += 1;
                assert!(self.open.insert(conn, io.now()).is_none(), "{conn:?} opened twice");
                let by = self.total.map(|total| io.now() + total);
                io.deadline(conn, by).unwrap();
            }
            Event::Data { conn, bytes } if bytes.ends_with(b"\n") => _ = io.send(conn, bytes),
            Event::Closed { conn, reason } => {
                let opened = self.open.remove(&conn).expect("it was open, and closes once");
                *self.closed.entry(reason.cause().name()).or_default() += 1;
                if reason.cause() == Cause::DeadlineExceeded {
                    self.ages.push(io.now().since(opened));
                }
            }
            _ => {}
        }
    }
}

/// Says what it is told to, and remembers how it went.
#[derive(Default)]
struct Client {
    conns: Vec<Conn>,
    opened: BTreeSet<Conn>,
    answers: usize,
    ends: Vec<(Instant, Conn, Cause)>,
    fired: Vec<(Instant, u64)>,
}

impl Handler for Client {
    fn handle(&mut self, io: &mut Io, event: Event<'_>) {
        match event {
            Event::Opened { conn, .. } => _ = self.opened.insert(conn),
            Event::Data { .. } => self.answers += 1,
            Event::Closed { conn, reason } => self.ends.push((io.now(), conn, reason.cause())),
            Event::Timer { tag, .. } => self.fired.push((io.now(), tag)),
            _ => {}
        }
    }
}

impl Client {
    fn connect(&mut self, io: &mut Io, to: Host, options: &Options) -> Conn {
        let conn = io.connect(Connect::to(to.port(PORT)).options(options.clone())).unwrap();
        self.conns.push(conn);
        conn
    }
}

fn start_server(network: &mut Network, config: Config, total: Option<Duration>) -> Host {
    let host = network.host("server");
    let cores = Cores::new(1).config(config).listen(Listen::tcp(("0.0.0.0", PORT)));
    network.start(host, cores, move |_| Server { total, ..Server::default() }).unwrap();
    host
}

fn start_client(network: &mut Network) -> Host {
    let host = network.host("client");
    network.start(host, Cores::new(1), |_| Client::default()).unwrap();
    host
}

fn figures(network: &Network, host: Host) -> Figures {
    network.metrics(host).expect("it runs").snapshot(Instant::ZERO).total
}

/// Connects `count` clients and waits until they are as open as they can be.
fn connect(network: &mut Network, client: Host, server: Host, count: usize, options: &Options) {
    network.with(client, |c: &mut Client, io| {
        (0..count).for_each(|_| _ = c.connect(io, server, options));
    });
    network.run_for(SECOND / 10);
}

/// Options of connections that nothing but the kernel ends.
fn only_the_kernel(change: impl FnOnce(&mut Options)) -> Options {
    Options::with(|o| {
        o.timeouts.read = None;
        o.timeouts.write = None;
        o.timeouts.keep_alive = None;
        change(o);
    })
}

// ---- shortages

#[test]
fn without_descriptors_turns_are_few_and_a_close_is_used_within_100_ms() {
    const CLIENTS: usize = 200;
    let mut network = Network::new(1);
    let server = start_server(&mut network, Config::default(), None);
    let client = start_client(&mut network);
    network.inflict(Fault::Descriptors(server, 64));
    connect(&mut network, client, server, CLIENTS, &Options::default());
    let opened = network.app::<Server>(server).opened;
    assert!(opened > 30 && opened < 64, "{opened}");

    let before = figures(&network, server).turns;
    network.run_for(SECOND / 2);
    let turns = figures(&network, server).turns - before;
    assert!(turns < 25, "{turns} turns in half a second");

    // One place of the reactor's own, and one that it does not hear of.
    network.with(server, |s: &mut Server, io| io.abort(*s.open.keys().next().expect("somebody is open")));
    let more = |network: &Network, than| network.app::<Server>(server).opened > than;
    assert!(network.run_until(|network| more(network, opened), SECOND / 1000), "the place is taken at once");
    network.inflict(Fault::Descriptors(server, 65));
    assert!(network.run_until(|network| more(network, opened + 1), SECOND / 10), "the place was not found");

    // The shortage ends: nobody is stranded.
    network.inflict(Fault::Descriptors(server, 1000));
    network.run_for(SECOND);
    assert_eq!(network.app::<Server>(server).opened, CLIENTS);
    assert_eq!(figures(&network, server).accept_errors[AcceptFailure::Other], 0, "nobody was turned away");
}

#[test]
fn a_shortage_that_lasts_turns_the_waiting_away_and_does_not_spin() {
    const CLIENTS: usize = 200;
    let mut network = Network::new(2);
    let server = start_server(&mut network, Config::default(), None);
    let client = start_client(&mut network);
    network.inflict(Fault::Descriptors(server, 64));
    connect(&mut network, client, server, CLIENTS, &only_the_kernel(|_| {}));
    let before = figures(&network, server).turns;
    network.run_for(10 * SECOND);
    let turns = figures(&network, server).turns - before;
    assert!(turns < 10 * 50, "{turns} turns in ten seconds");
    let opened = network.app::<Server>(server).opened;
    let ends = &network.app::<Client>(client).ends;
    assert!(ends.iter().all(|(_, _, cause)| *cause == Cause::Reset), "{ends:?}");
    assert_eq!(ends.len(), CLIENTS - opened, "whoever can not be served is told so");
}

#[test]
fn errors_of_accept_in_any_number_and_mix_leave_a_listener_that_accepts() {
    // EBADF, EFAULT, EINVAL and ENOTSOCK say that the listener itself is unusable; EAGAIN that nobody waits.
    let passing: Vec<i32> = (1..=133).filter(|errno| ![9, 11, 14, 22, 88].contains(errno)).collect();
    for seed in 0..thorough(50, 5) {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut network = Network::new(seed);
        let server = start_server(&mut network, Config::default(), None);
        let client = start_client(&mut network);
        for round in 1..=10 {
            let errnos = (0..random.usize(..300)).map(|_| passing[random.usize(..passing.len())]).collect();
            network.inflict(Fault::AcceptErrors(server, errnos));
            network.with(client, |c: &mut Client, io| {
                (0..10).for_each(|_| _ = c.connect(io, server, &Options::default()));
            });
            let all = |network: &Network| network.app::<Server>(server).opened == 10 * round;
            assert!(network.run_until(all, 60 * SECOND), "seed {seed}, round {round}");
        }
    }
}

// ---- ends

#[test]
fn a_dead_peer_has_vanished_within_a_second_after_the_user_timeout() {
    const USER_TIMEOUT: Duration = Duration::from_secs(10);
    let options = only_the_kernel(|o| o.socket.user_timeout = Some(USER_TIMEOUT));
    for seed in 0..thorough(20, 4) {
        let mut network = Network::new(seed);
        let server = start_server(&mut network, Config::default(), None);
        let client = start_client(&mut network);
        connect(&mut network, client, server, 1, &options);
        network.inflict(match seed % 3 {
            0 => Fault::PowerOff(server),
            1 => Fault::Partition(vec![server], vec![client]),
            _ => Fault::PartitionOneWay(vec![server], vec![client]),
        });
        network.run_for(SECOND * seed as u32);
        let sent_at = network.now();
        network.with(client, |c: &mut Client, io| _ = io.send(c.conns[0], b"is anybody there?\n").unwrap());
        network.run_for(USER_TIMEOUT * 3);
        let [(at, _, Cause::PeerVanished)] = network.app::<Client>(client).ends[..] else {
            panic!("seed {seed}: {:?}", network.app::<Client>(client).ends);
        };
        let took = at.since(sent_at);
        assert!(took >= USER_TIMEOUT && took <= USER_TIMEOUT + SECOND, "seed {seed}: {took:?}");
    }
}

#[test]
fn a_dead_peer_of_whom_nothing_is_wanted_is_found_by_probes() {
    let probes = KeepAlive { idle: 5 * SECOND, interval: SECOND, probes: 3 };
    let options = only_the_kernel(|o| o.socket.keep_alive = Some(probes));
    let mut network = Network::new(5);
    let server = start_server(&mut network, Config::with(|c| c.options = only_the_kernel(|_| {})), None);
    let client = start_client(&mut network);
    connect(&mut network, client, server, 1, &options);
    network.run_for(600 * SECOND);
    assert_eq!(network.app::<Client>(client).ends, [], "probes that are answered end nothing");
    network.inflict(Fault::PowerOff(server));
    let dead_at = network.now();
    network.run_for(60 * SECOND);
    let [(at, _, Cause::PeerVanished)] = network.app::<Client>(client).ends[..] else {
        panic!("{:?}", network.app::<Client>(client).ends);
    };
    assert!(at.since(dead_at) <= 9 * SECOND, "{:?}", at.since(dead_at));
}

#[test]
fn a_storm_of_resets_in_mid_write_closes_each_connection_once_and_frees_everything() {
    let clients = thorough(100, 30);
    for seed in 0..thorough(50, 3) {
        let mut network = Network::new(seed);
        let server = start_server(&mut network, Config::default(), None);
        let client = start_client(&mut network);
        connect(&mut network, client, server, clients, &Options::default());
        let mut random = fastrand::Rng::with_seed(seed);
        while network.app::<Client>(client).ends.len() < clients {
            network.with(client, |c: &mut Client, io| {
                for conn in &c.conns {
                    // Those that are gone and those whose queue is full say so.
                    let _ = io.send(*conn, &[b'\n'; 200_000]);
                }
            });
            network.run_for(Duration::from_micros(random.u64(..2_000)));
            network.inflict(Fault::ResetStorm(vec![client], vec![server], 0.2));
            assert!(network.elapsed() < 600 * SECOND, "seed {seed}: they do not end");
        }
        network.run_for(SECOND);
        assert!(network.app::<Client>(client).ends.iter().all(|(_, _, cause)| *cause == Cause::Reset));
        assert_eq!(network.app::<Server>(server).closed, BTreeMap::from([(Cause::Reset.name(), clients)]));
        for host in [server, client] {
            let figures = figures(&network, host);
            let left = [
                figures.connections_active,
                figures.buffered_bytes,
                figures.pool_bytes_taken,
                figures.deadlines_armed,
            ];
            assert_eq!(left, [0; 4], "seed {seed}, {}", network.name(host));
        }
    }
}

// ---- reused slots

/// One end of the churn: whatever a connection says is its own number, over and over.
struct Churn {
    random: fastrand::Rng,
    server: Option<Host>,
    next: u64,
    numbers: BTreeMap<Conn, u64>,
    open: BTreeSet<Conn>,
    /// Some that have closed, in no order.
    gone: Vec<Conn>,
    told_closed: u64,
}

impl Churn {
    fn new(seed: u64, server: Option<Host>) -> Churn {
        Churn {
            random: fastrand::Rng::with_seed(seed),
            server,
            next: 1,
            numbers: BTreeMap::new(),
            open: BTreeSet::new(),
            gone: Vec::new(),
            told_closed: 0,
        }
    }

    /// A client says its number some times; a server has none of its own.
    fn say(&mut self, io: &mut Io, conn: Conn) {
        if self.server.is_some() {
            let word = self.numbers[&conn].to_le_bytes().repeat(self.random.usize(1..60));
            let _ = io.send(conn, &word);
        }
    }

    /// Ends one of all, most likely another than the one whose event this is.
    fn end_somebody(&mut self, io: &mut Io) {
        let Some(&victim) = self.open.iter().nth(self.random.usize(..self.open.len().max(1))) else { return };
        let _ = if self.random.bool() { io.abort(victim) } else { io.close(victim) };
    }

    /// Somebody's place has most likely been given out again: its handle must not reach whoever is there now.
    fn use_a_stale_handle(&mut self, io: &mut Io) {
        let Some(&stale) = self.gone.get(self.random.usize(..self.gone.len().max(1))) else { return };
        assert!(
            io.send(stale, b"for somebody who has gone").is_err() && !io.abort(stale),
            "{stale:?} is somebody"
        );
    }

    fn remember(&mut self, gone: Conn) {
        const REMEMBERED: usize = 64;
        if self.gone.len() == REMEMBERED {
            self.gone.swap_remove(self.random.usize(..REMEMBERED));
        }
        self.gone.push(gone);
    }

    fn connect(&mut self, io: &mut Io) {
        let Some(server) = self.server else { return };
        let conn = io.connect(Connect::to(server.port(PORT))).unwrap();
        self.numbers.insert(conn, self.next);
        self.next += 1;
    }
}

impl Handler for Churn {
    fn handle(&mut self, io: &mut Io, event: Event<'_>) {
        match event {
            Event::Timer { .. } => (0..40).for_each(|_| self.connect(io)),
            Event::Opened { conn, .. } => {
                assert!(self.open.insert(conn), "{conn:?} opened twice");
                self.say(io, conn);
            }
            Event::Data { conn, bytes } => {
                assert!(self.open.contains(&conn), "{conn:?} says something and is not open");
                let whole = bytes.len() / 8 * 8;
                let words = bytes[..whole].chunks(8).map(|word| u64::from_le_bytes(word.try_into().unwrap()));
                for word in words {
                    let known = *self.numbers.entry(conn).or_insert(word);
                    assert_eq!(word, known, "{conn:?} hears what was said to another");
                }
                let _ = io.keep(conn, bytes.len() - whole);
                let _ = if self.server.is_none() { io.send(conn, &bytes[..whole]).err() } else { None };
                match self.random.u8(..4) {
                    0 => self.end_somebody(io),
                    1 => self.use_a_stale_handle(io),
                    _ => {}
                }
                if self.open.contains(&conn) {
                    self.say(io, conn);
                }
            }
            Event::Closed { conn, .. } => {
                self.open.remove(&conn);
                self.told_closed += 1;
                self.numbers.remove(&conn);
                self.remember(conn);
                self.connect(io);
            }
            _ => {}
        }
    }
}

#[test]
fn slots_that_are_reused_all_the_time_never_hear_what_was_meant_for_another() {
    for seed in 0..thorough(20, 2) {
        let mut network = Network::new(seed);
        let (server, client) = (network.host("server"), network.host("client"));
        let listening = Cores::new(1).listen(Listen::tcp(("0.0.0.0", PORT)));
        network.start(server, listening, move |_| Churn::new(seed, None)).unwrap();
        network
            .start(client, Cores::new(1), move |core| {
                core.io().timer_after(Duration::ZERO, 0);
                Churn::new(!seed, Some(server))
            })
            .unwrap();
        let enough = thorough(100_000, 30_000);
        assert!(network.run_until(|network| network.events() > enough, 3600 * SECOND), "seed {seed}");
        for host in [server, client] {
            let churn = network.app::<Churn>(host);
            assert!(churn.told_closed > enough / 100, "seed {seed}: {} closed", churn.told_closed);
            assert!(figures(&network, host).connections_active < 500, "seed {seed}: places are not reused");
        }
    }
}

// ---- time

/// Moments at which a 32-bit count of microseconds, milliseconds or ticks of 8 ms would wrap, and what others met.
fn moments() -> Vec<Duration> {
    let wraps = [1_u64 << 31, 1 << 32]
        .into_iter()
        .flat_map(|count| [count / 1_000_000, count / 1_000, count * 8 / 1_000].map(Duration::from_secs));
    let mut all: Vec<Duration> = wraps.chain([12 * DAY, 195 * DAY, YEAR, 10 * YEAR, 100 * YEAR]).collect();
    all.sort_unstable();
    all
}

#[test]
fn timers_and_deadlines_are_on_time_at_every_wrap_and_after_a_century() {
    let mut network = Network::new(7);
    let patient = || only_the_kernel(|_| {});
    let server = start_server(&mut network, Config::with(|c| c.options = patient()), None);
    let client = start_client(&mut network);
    connect(&mut network, client, server, 1, &patient());
    let began = network.now();
    let moments = moments();
    let around = [Duration::ZERO, Duration::from_nanos(1), Duration::from_millis(1), 32 * SECOND, DAY];
    let due = moments.iter().flat_map(|at| around.map(|off| began + at.saturating_sub(off)));
    let mut due: Vec<Instant> = due.filter(|at| *at > began).collect();
    due.sort_unstable();
    network.with(client, |_: &mut Client, io| {
        due.iter().enumerate().for_each(|(tag, at)| _ = io.timer_at(*at, tag as u64));
    });
    // Connections whose deadline is at each moment or beside it: known long before, and only just before.
    let mut by: BTreeMap<Conn, Instant> = BTreeMap::new();
    for at in &moments {
        for ahead in [2 * DAY, SECOND] {
            let then = began + at.saturating_sub(ahead);
            network.run_for(then.since(network.now()));
            connect(&mut network, client, server, 3, &patient());
            network.with(client, |c: &mut Client, io| {
                let dues = [began + *at - SECOND / 3, began + *at, began + *at + SECOND / 3];
                for (conn, due) in c.conns[c.conns.len() - 3..].iter().zip(dues) {
                    io.deadline(*conn, Some(due)).unwrap();
                    by.insert(*conn, due);
                }
            });
        }
    }
    network.run_for(YEAR);
    let seen = network.app::<Client>(client);
    let order: Vec<u64> = seen.fired.iter().map(|(_, tag)| *tag).collect();
    assert_eq!(order, (0..due.len() as u64).collect::<Vec<_>>(), "each once, in the order of their times");
    for (at, tag) in &seen.fired {
        let due = due[*tag as usize];
        assert!(*at >= due && at.since(due) <= TIMER_LATE_MAX, "due {due:?}, fired {at:?}");
    }
    assert_eq!(seen.ends.len(), by.len(), "everybody else lives on");
    for (at, conn, cause) in &seen.ends {
        let due = by[conn];
        assert!(*cause == Cause::DeadlineExceeded && *at >= due, "{cause:?} at {at:?} instead of {due:?}");
        assert!(at.since(due) <= DEADLINE_LATE_MAX, "due {due:?}, closed {at:?}");
    }
}

#[test]
fn a_clock_that_leaps_or_goes_back_loses_nothing_and_costs_no_turn_per_tick() {
    const CLIENTS: usize = 100;
    for seed in 0..thorough(100, 4) {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut network = Network::new(seed);
        let patient = only_the_kernel(|_| {});
        let server = start_server(&mut network, Config::with(|c| c.options = patient.clone()), None);
        let client = start_client(&mut network);
        connect(&mut network, client, server, CLIENTS, &patient);
        let mut timers = 0;
        for _ in 0..20 {
            network.with(client, |_: &mut Client, io| {
                (0..50).for_each(|_| {
                    let after = Duration::from_millis(random.u64(..100_000));
                    _ = io.timer_after(after, timers);
                    timers += 1;
                });
            });
            let host = if random.bool() { server } else { client };
            let nanos = [1_000_000, 3_600_000_000_000, 157_788_000_000_000_000][random.usize(..3)];
            let before = [server, client].map(|host| figures(&network, host).turns);
            network.inflict(Fault::ClockJump(host, if random.bool() { nanos } else { -nanos }));
            network.run_for(SECOND);
            for (host, before) in [server, client].into_iter().zip(before) {
                let turns = figures(&network, host).turns - before;
                assert!(turns < 200, "seed {seed}: {turns} turns in a second after a jump");
            }
            // Whatever the clock says, messages are answered.
            let answers = network.app::<Client>(client).answers;
            network.with(client, |c: &mut Client, io| {
                c.conns.iter().for_each(|conn| _ = io.send(*conn, b"ping\n").unwrap());
            });
            network.run_for(SECOND);
            assert_eq!(network.app::<Client>(client).answers, answers + CLIENTS, "seed {seed}");
        }
        network.inflict(Fault::ClockJump(client, i64::MAX / 4));
        network.run_for(SECOND);
        let fired = &network.app::<Client>(client).fired;
        let once: BTreeSet<u64> = fired.iter().map(|(_, tag)| *tag).collect();
        assert_eq!((fired.len(), once.len()), (timers as usize, timers as usize), "seed {seed}: each once");
        assert_eq!(network.app::<Client>(client).ends, [], "seed {seed}");
    }
}

// ---- peers that only take up room

/// Attackers that say a byte a second and come back at once when they are closed.
#[derive(Default)]
struct Slow {
    server: Option<Host>,
    open: BTreeSet<Conn>,
    closed: u64,
}

impl Handler for Slow {
    fn handle(&mut self, io: &mut Io, event: Event<'_>) {
        let connect = |io: &mut Io, server: Host| _ = io.connect(Connect::to(server.port(PORT))).unwrap();
        match (event, self.server) {
            (Event::Timer { tag: 0, .. }, _) => {
                for conn in &self.open {
                    let _ = io.send(*conn, b"x");
                }
                io.timer_after(SECOND, 0);
            }
            (Event::Timer { tag: count, .. }, Some(server)) => (0..count).for_each(|_| connect(io, server)),
            (Event::Opened { conn, .. }, _) => _ = self.open.insert(conn),
            (Event::Closed { conn, .. }, Some(server)) => {
                self.open.remove(&conn);
                self.closed += 1;
                connect(io, server);
            }
            _ => {}
        }
    }
}

#[test]
fn a_byte_a_second_in_every_slot_for_hours_ends_at_the_deadline_and_honest_clients_are_served() {
    const TOTAL: Duration = Duration::from_secs(30);
    let slots = thorough(100, 50);
    let minutes = thorough(180, 10);
    let mut network = Network::new(11);
    let server =
        start_server(&mut network, Config::with(|c| c.admission.connections_max = Some(slots)), Some(TOTAL));
    let attacker = network.host("attacker");
    network
        .start(attacker, Cores::new(1), move |core| {
            core.io().timer_after(Duration::ZERO, slots as u64);
            core.io().timer_after(SECOND, 0);
            Slow { server: Some(server), ..Slow::default() }
        })
        .unwrap();
    let client = start_client(&mut network);
    network.run_for(SECOND);
    for minute in 0..minutes {
        connect(&mut network, client, server, 10, &Options::default());
        // What is sent before a connection opens waits for that.
        network.with(client, |c: &mut Client, io| {
            let latest = c.conns.split_off(c.conns.len() - 10);
            latest.iter().for_each(|conn| _ = io.send(*conn, b"an honest request\n").unwrap());
        });
        network.run_for(60 * SECOND);
        assert_eq!(
            network.app::<Client>(client).answers,
            10 * (minute + 1),
            "somebody waits for over a minute"
        );
    }
    let seen = network.app::<Server>(server);
    assert!(network.app::<Slow>(attacker).closed as usize > slots * minutes, "they held the slots");
    let late = seen.ages.iter().filter(|age| **age < TOTAL || **age > TOTAL + DEADLINE_LATE_MAX).count();
    assert_eq!(late, 0, "of {} that met their deadline", seen.ages.len());
}

#[test]
fn at_twice_the_limit_the_excess_is_refused_within_a_millisecond_and_the_others_do_not_feel_it() {
    const LIMIT: usize = 500;
    let mut network = Network::new(13);
    let config = Config::with(|c| c.admission.per_address_max = Some(LIMIT as u32));
    let server = start_server(&mut network, config, None);
    let client = start_client(&mut network);
    let ping = |network: &mut Network| {
        let (before, began) = (network.app::<Client>(client).answers, network.now());
        network.with(client, |c: &mut Client, io| {
            c.conns[..LIMIT].iter().for_each(|conn| _ = io.send(*conn, b"ping\n").unwrap());
        });
        let all = |network: &Network| network.app::<Client>(client).answers == before + LIMIT;
        assert!(network.run_until(all, SECOND));
        network.now().since(began)
    };
    connect(&mut network, client, server, LIMIT, &Options::default());
    let alone = ping(&mut network);
    let came_at = network.now();
    network.with(client, |c: &mut Client, io| {
        (0..LIMIT).for_each(|_| _ = c.connect(io, server, &Options::default()));
    });
    let crowded = ping(&mut network);
    network.run_for(SECOND);
    let ends = &network.app::<Client>(client).ends;
    assert_eq!(ends.len(), LIMIT);
    for (at, conn, cause) in ends {
        assert!(
            *cause == Cause::Reset && at.since(came_at) <= SECOND / 1000,
            "{conn:?}: {cause:?} at {at:?}"
        );
    }
    assert!(crowded <= alone * 2, "{crowded:?} instead of {alone:?}");
}
