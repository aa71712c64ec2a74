//! Odd values and wrong use: what a user may try by mistake or to see what happens.

use crate::rig::{MS, PORT, Pair, Peer, SECOND};
use std::path::Path;
use std::time::Duration;
use windlass::sim::{Fault, Host, Link, Network};
use windlass::{Address, Adopt, Cause, Connect, Cores, Interest, Listen, Options, Owner};

/// A network in which nothing is left to happen stands still: it does not run to the end of time.
#[test]
fn a_step_of_a_network_at_rest_takes_no_time() {
    let mut net = Network::new(1);
    assert!(!net.step());
    assert_eq!(net.elapsed(), Duration::ZERO);
    let mut pair = Pair::new(1);
    pair.connected(Options::with(|o| o.timeouts.keep_alive = None));
    while pair.net.step() {}
    assert!(pair.net.elapsed() < 600 * SECOND, "{:?}", pair.net.elapsed());
    pair.connect();
    pair.net.run_for(SECOND);
    assert_eq!(pair.seen_by_server().accepted, 2);
}

#[test]
fn time_can_be_run_to_its_end() {
    let mut pair = Pair::new(1);
    pair.connected(Options::default());
    pair.net.run_for(Duration::MAX);
    assert_eq!(pair.seen_by_client().closed[0].cause, Cause::IdleTimeout);
    pair.net.run_for(SECOND);
    assert!(!pair.net.run_until(|_| false, SECOND));
}

#[test]
fn faults_may_have_any_numbers() {
    let (server, client) = (Host::nth(0), Host::nth(1));
    let (a, b) = (|| vec![server], || vec![client]);
    let forever = Duration::MAX;
    let odd = [
        Fault::AcceptErrors(server, vec![1, 133, 134, 4095]),
        Fault::AcceptErrors(server, vec![]),
        Fault::Descriptors(server, usize::MAX),
        Fault::LossBurst(a(), b(), f64::NAN, forever),
        Fault::LossBurst(a(), b(), -3.0, forever),
        Fault::LossBurst(a(), b(), 7.0, SECOND),
        Fault::ResetStorm(a(), b(), f64::NAN),
        Fault::ResetStorm(a(), b(), f64::INFINITY),
        Fault::ResetStorm(a(), b(), -1.0),
        Fault::Partition(vec![], vec![]),
        Fault::Partition(a(), a()),
        Fault::Clog(vec![server, server, client], vec![client, server], SECOND),
        Fault::Slow(client, Duration::ZERO),
        Fault::Slow(client, forever).lasting(SECOND),
        Fault::Pause(client, Duration::ZERO),
        Fault::Pause(client, 100 * MS).lasting(forever),
        Fault::Heal.lasting(SECOND),
        Fault::Calm.lasting(SECOND),
        Fault::Crash(server).lasting(SECOND).lasting(forever),
        Fault::Crash(server).lasting(Duration::ZERO),
        Fault::Relink(a(), b(), Link::new(MS).queue(0).bandwidth(1).loss(1.0)).lasting(SECOND),
        Fault::ClockJump(server, 0).lasting(SECOND),
        Fault::Restart(client),
    ];
    for fault in odd {
        let said = fault.to_string();
        let mut pair = Pair::new(1);
        pair.connected(Options::default());
        pair.net.inflict(fault);
        pair.net.run_for(10 * SECOND);
        pair.net.inflict(Fault::Calm);
        let conn = pair.connected(Options::default());
        pair.send(conn, b"works");
        pair.net.run_for(10 * SECOND);
        assert!(pair.seen_by_client().received.ends_with(b"works"), "{said}");
    }
}

#[test]
#[should_panic(expected = "error numbers are from 1 to 4095")]
fn what_is_no_error_number_is_a_mistake() {
    let mut pair = Pair::new(1);
    pair.net.inflict(Fault::AcceptErrors(pair.server, vec![24, 0]));
}

#[test]
fn what_lasts_for_ever_ends_with_calm() {
    let mut pair = Pair::new(1);
    let (server, client) = (pair.server, pair.client);
    pair.net.inflict(Fault::Pause(client, Duration::MAX));
    pair.net.inflict(Fault::Slow(server, Duration::MAX));
    pair.net.inflict(Fault::Partition(vec![client], vec![server]).lasting(Duration::MAX));
    pair.net.at(Duration::MAX, Fault::Crash(server));
    pair.net.run_for(1000 * SECOND);
    pair.net.inflict(Fault::Calm);
    let conn = pair.connected(Options::default());
    pair.send(conn, b"x");
    pair.net.run_for(SECOND);
    assert_eq!(pair.seen_by_client().received, b"x");
}

/// A hundred crashes and power cuts with connections open: every descriptor is given back.
#[test]
fn restarts_leak_no_descriptors() {
    let mut pair = Pair::new(1);
    for round in 0..100 {
        for _ in 0..3 {
            pair.connect();
        }
        pair.net.run_for(Duration::from_millis(5 * (round % 7)));
        let host = if round % 3 == 0 { pair.client } else { pair.server };
        let fault = if round % 2 == 0 { Fault::Crash(host) } else { Fault::PowerOff(host) };
        pair.net.inflict(fault.lasting(100 * MS));
        pair.net.run_for(200 * MS);
    }
    // Whatever the last rounds left open ends.
    pair.net.inflict(Fault::Crash(pair.server));
    pair.net.inflict(Fault::Crash(pair.client));
    // A listener, a reserve and one connection; of the client, the connection alone.
    pair.net.inflict(Fault::Descriptors(pair.server, 3));
    pair.net.inflict(Fault::Descriptors(pair.client, 1));
    pair.net.inflict(Fault::Restart(pair.server));
    pair.net.inflict(Fault::Restart(pair.client));
    pair.connected(Options::default());
    pair.net.run_for(SECOND);
    assert_eq!(pair.seen_by_server().accepted, 1);
}

#[test]
fn a_host_that_could_not_be_started_stays_down() {
    let mut pair = Pair::new(1);
    let host = pair.net.host("wrong");
    let listen = || Listen::tcp(("0.0.0.0", PORT));
    let twice = Cores::new(1).listen(listen()).listen(listen());
    pair.net.start(host, twice, |_| Peer::default()).expect_err("an address is taken by one listener");
    assert!(!pair.net.is_running(host));
    pair.net.inflict(Fault::Calm);
    pair.net.inflict(Fault::Restart(host));
    pair.net.run_for(10 * SECOND);
    assert!(!pair.net.is_running(host));
    // The right program may follow.
    pair.net.start(host, Cores::new(1).listen(listen()), |_| Peer::default()).unwrap();
    pair.net.with(pair.client, |_: &mut Peer, io| io.connect(Connect::to(host.port(PORT))).unwrap());
    pair.net.run_for(SECOND);
    assert_eq!(pair.net.app::<Peer>(host).accepted, 1);
}

#[test]
fn a_host_can_be_started_with_another_program() {
    let mut pair = Pair::new(1);
    pair.connected(Options::default());
    pair.net.start(pair.server, Cores::new(1), |_| Peer::default()).unwrap();
    pair.connect();
    pair.net.run_for(SECOND);
    let causes: Vec<_> = pair.seen_by_client().closed.iter().map(|closed| closed.cause).collect();
    assert_eq!(causes.len(), 2, "the old connection ended with its program");
    assert!(causes.contains(&Cause::Refused), "{causes:?}");
}

#[test]
fn a_host_that_ended_by_itself_is_down_until_a_restart() {
    let mut pair = Pair::new(1);
    pair.net.shutdown(pair.server, SECOND);
    pair.net.run_for(2 * SECOND);
    assert!(!pair.net.is_running(pair.server));
    assert_eq!(pair.seen_by_server().accepted, 0, "it can still be looked into");
    pair.net.inflict(Fault::Calm);
    assert!(!pair.net.is_running(pair.server), "that was no fault");
    pair.net.inflict(Fault::Restart(pair.server));
    pair.connected(Options::default());
}

/// A handler that looks into another network, say a model of its own, has its own wall clock back afterwards.
#[test]
fn one_network_can_run_inside_another() {
    let mut outer = Pair::new(1);
    outer.connected(Options::default());
    let client = outer.client;
    outer.net.with(client, |_: &mut Peer, _| {
        let mut inner = Pair::new(2);
        let conn = inner.connected(Options::default());
        inner.send(conn, b"x");
        inner.net.run_for(SECOND);
        assert_eq!(inner.seen_by_client().received, b"x");
    });
    outer.net.run_for(SECOND);
    assert_eq!(outer.seen_by_server().accepted, 1);
}

#[test]
#[should_panic(expected = "server runs nothing, not a sim::rig::Peer")]
fn looking_into_a_host_that_is_down_is_a_mistake_that_is_named() {
    let mut pair = Pair::new(1);
    pair.net.inflict(Fault::Crash(pair.server));
    let _ = pair.seen_by_server();
}

#[test]
#[should_panic(expected = "the handler of server is no alloc::string::String")]
fn acting_as_a_handler_of_another_type_is_a_mistake_that_is_named() {
    let mut pair = Pair::new(1);
    pair.net.with(pair.server, |_: &mut String, _| ());
}

#[test]
#[should_panic(expected = "client does not run")]
fn acting_as_a_host_that_is_down_is_a_mistake_that_is_named() {
    let mut pair = Pair::new(1);
    pair.net.inflict(Fault::PowerOff(pair.client));
    pair.net.with(pair.client, |_: &mut Peer, _| ());
}

/// What the module's page says a simulation has not: each is an error that says so, and nothing breaks.
#[test]
fn what_is_real_is_refused() {
    let mut pair = Pair::new(1);
    let real = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = std::net::TcpStream::connect(real.local_addr().unwrap()).unwrap();
    let said = pair.net.with(pair.client, |_: &mut Peer, io| {
        let mut said = Vec::new();
        said.push(io.adopt(Adopt::stream(stream)).map(drop).unwrap_err().to_string());
        let (_, mut pipe) = mio::unix::pipe::new().unwrap();
        let registered = io.register_source(&mut pipe, Interest::Readable, Owner::APP);
        said.push(registered.map(drop).unwrap_err().to_string());
        said.push(io.listen(Listen::from_std(real)).map(drop).unwrap_err().to_string());
        said
    });
    for error in &said {
        assert!(error.contains("simulated"), "{said:?}");
    }
    let real = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let cores = Cores::new(1).listen(Listen::from_std(real));
    let error = pair.net.start(pair.server, cores, |_| Peer::default()).unwrap_err();
    assert!(error.to_string().contains("simulated"), "{error}");
    let conn = pair.connected(Options::default());
    pair.send(conn, b"x");
    pair.net.run_for(SECOND);
    assert_eq!(pair.seen_by_client().received, b"x");
}

/// Each host has a loopback and Unix sockets of its own; other addresses than those of hosts lead nowhere.
#[test]
fn addresses_mean_what_they_mean_on_a_host() {
    let mut pair = Pair::new(1);
    let path = "/run/simulated";
    let served = |path| Cores::new(1).listen(Listen::unix(path)).listen(Listen::tcp(("127.0.0.1", PORT)));
    let (there, here) = (pair.net.host("there"), pair.net.host("here"));
    pair.net.start(there, served(path), |_| Peer::default()).unwrap();
    pair.net.start(here, served(path), |_| Peer::default()).unwrap();
    for to in [Address::Unix(Path::new(path).into()), "127.0.0.1:7000".parse().unwrap()] {
        let connect = || Connect::to(to.clone());
        pair.net.with(here, |_: &mut Peer, io| io.connect(connect()).unwrap());
        pair.net.with(pair.client, |_: &mut Peer, io| io.connect(connect()).unwrap());
    }
    // Bound to the loopback alone, it does not listen on the host's address.
    pair.net.with(pair.client, |_: &mut Peer, io| io.connect(Connect::to(here.port(PORT))).unwrap());
    for to in ["[2001:db8::1]:7000", "192.0.2.1:7000"] {
        let to: std::net::SocketAddr = to.parse().unwrap();
        let outcome = pair.net.with(pair.client, |_: &mut Peer, io| io.connect(Connect::to(to)).map(drop));
        if let Err(error) = outcome {
            assert!(error.to_string().contains("unreachable"), "{error}");
        }
    }
    pair.net.run_for(SECOND);
    assert_eq!(pair.net.app::<Peer>(here).accepted, 2);
    assert_eq!(pair.net.app::<Peer>(there).accepted, 0);
    let causes: Vec<_> = pair.seen_by_client().closed.iter().map(|closed| closed.cause).collect();
    let refused = causes.iter().filter(|cause| **cause == Cause::Refused).count();
    assert!(refused >= 2, "the Unix socket is not there, nor is who listens on the loopback: {causes:?}");
}

/// A socket that was taken out of a reactor goes on in another one of its host, and nowhere else.
#[test]
fn a_released_socket_belongs_to_its_host() {
    let mut pair = Pair::new(1);
    let (conn, other) = (pair.connected(Options::default()), pair.net.host("other"));
    pair.net.start(other, Cores::new(1), |_| Peer::default()).unwrap();
    let stream = pair.net.with(pair.client, |_: &mut Peer, io| io.release(conn).unwrap().stream);
    pair.net.run_for(SECOND);
    let conn = pair.net.with(pair.client, |_: &mut Peer, io| io.adopt(stream).unwrap());
    pair.send(conn, b"once more");
    pair.net.run_for(SECOND);
    assert_eq!(pair.seen_by_client().received, b"once more");

    let stream = pair.net.with(pair.client, |_: &mut Peer, io| io.release(conn).unwrap().stream);
    let outcome = pair.net.with(other, |_: &mut Peer, io| io.adopt(stream).map(drop));
    assert!(outcome.is_err(), "a socket does not leave its host");
    pair.net.run_for(SECOND);
    assert_eq!(pair.seen_by_server().closed.len(), 1, "refused, it is closed");
}

/// A socket that outlives its network closes nothing that is there.
#[test]
fn a_socket_may_outlive_its_network() {
    let mut pair = Pair::new(1);
    let conn = pair.connected(Options::default());
    let stream = pair.net.with(pair.client, |_: &mut Peer, io| io.release(conn).unwrap().stream);
    drop(pair);
    drop(stream);
}
