//! TLS and Noise inside the simulation: handshakes, dates in virtual time, and equal runs although random bytes differ.

use crate::certificates;
use crate::rig::{MS, PORT, SECOND};
use crate::thorough::thorough;
use std::time::Duration;
use windlass::sim::{self, Chaos, Fault, Host, Link, Network, tls};
use windlass::tls::{ClientTls, ServerTls};
use windlass::{Cause, Connect, Cores, Event, Handler, Io, Listen, Session};

const SERVER: Host = Host::nth(0);
const CLIENT: Host = Host::nth(1);
const DAY: u64 = 24 * 3600;

/// Echoes, and connects when it is told to; notes sessions and ends.
#[derive(Default)]
struct Talk {
    echoes: bool,
    sessions: Vec<Session>,
    received: usize,
    closed: Vec<Cause>,
}

impl Handler for Talk {
    fn handle(&mut self, io: &mut Io, event: Event<'_>) {
        match event {
            Event::Opened { conn, session, .. } => {
                self.sessions.push(session.clone());
                if !self.echoes {
                    let _ = io.send(conn, &[7; 5000]);
                }
            }
            Event::Data { conn, bytes } => {
                self.received += bytes.len();
                if self.echoes {
                    let _ = io.send(conn, bytes);
                }
            }
            Event::Closed { reason, .. } => self.closed.push(reason.cause()),
            _ => {}
        }
    }
}

/// A network with a server that listens like this, and a client, 10 ms apart.
fn network(seed: u64, listen: Listen) -> Network {
    let mut net = Network::new(seed);
    net.record(100_000);
    net.link(Link::new(10 * MS));
    let (server, client) = (net.host("server"), net.host("client"));
    net.start(server, Cores::new(1).listen(listen), |_| Talk { echoes: true, ..Talk::default() }).unwrap();
    net.start(client, Cores::new(1), |_| Talk::default()).unwrap();
    net
}

fn listen() -> Listen {
    Listen::tcp(("0.0.0.0", PORT))
}

/// Connects, talks for a while, and closes.
fn talk(net: &mut Network, secure: impl FnOnce(Connect) -> Connect) {
    let connect = secure(Connect::to(SERVER.port(PORT)));
    let conn = net.with(CLIENT, |_: &mut Talk, io| io.connect(connect).unwrap());
    net.run_for(SECOND);
    net.with(CLIENT, |_: &mut Talk, io| io.close(conn));
    net.run_for(SECOND);
}

fn client(net: &Network) -> &Talk {
    net.app(CLIENT)
}

fn tls_sessions(net: &Network) -> Vec<bool> {
    let sessions = client(net).sessions.iter();
    sessions.map(|session| session.tls.as_ref().expect("over TLS").resumed).collect()
}

#[test]
fn tls_full_and_resumed() {
    let mut net = network(1, listen().tls(&tls::server().build().unwrap()));
    let roots = tls::client().build().unwrap();
    for _ in 0..3 {
        talk(&mut net, |connect| connect.tls(&roots, "server.sim.test"));
    }
    assert_eq!(tls_sessions(&net), [false, true, true]);
    assert_eq!(client(&net).received, 15_000);
    let took: Vec<_> = client(&net).sessions.iter().map(|session| session.took.as_millis()).collect();
    assert_eq!(took, [20, 20, 20], "one round trip each, in virtual time");
}

#[test]
fn a_name_outside_of_the_domain_is_not_the_servers() {
    for (name, causes) in
        [("server.sim.test", vec![Cause::Closed]), ("server.example", vec![Cause::CertificateName])]
    {
        let mut net = network(1, listen().tls(&tls::server().build().unwrap()));
        let roots = tls::client().build().unwrap();
        talk(&mut net, |connect| connect.tls(&roots, name));
        assert_eq!(client(&net).closed, causes, "{name}");
    }
}

#[test]
fn mutual_tls_asks_for_the_clients_certificate() {
    let server =
        || tls::server().require_client_certificates().client_roots_pem(tls::AUTHORITY_PEM).build().unwrap();
    let mut net = network(1, listen().tls(&server()));
    let roots = tls::client().build().unwrap();
    talk(&mut net, |connect| connect.tls(&roots, "server.sim.test"));
    assert_eq!(client(&net).received, 5000);
    let theirs = net.app::<Talk>(SERVER).sessions[0].tls.clone().expect("over TLS");
    assert_eq!(theirs.peer_certificates.len(), 1);

    let mut net = network(1, listen().tls(&server()));
    let nameless = ClientTls::builder().roots_pem(tls::AUTHORITY_PEM).build().unwrap();
    talk(&mut net, |connect| connect.tls(&nameless, "server.sim.test"));
    assert_eq!(net.app::<Talk>(SERVER).closed, [Cause::CertificateMissing]);
}

/// A certificate for the years 2029 and 2030, in a network whose time begins with 2030.
#[test]
fn certificates_run_out_in_virtual_time() {
    let made = certificates::make("*.sim.test", 2029..2031);
    let server = ServerTls::from_pem(&made.certificate, &made.key).unwrap();
    let mut net = network(1, listen().tls(&server));
    let roots = ClientTls::builder().roots_pem(&made.authority).sessions(None).build().unwrap();
    let secure = |connect: Connect| connect.tls(&roots, "server.sim.test");
    talk(&mut net, secure);
    net.run_for(Duration::from_secs(364 * DAY));
    talk(&mut net, secure);
    net.run_for(Duration::from_secs(2 * DAY));
    talk(&mut net, secure);
    assert_eq!(client(&net).closed, [Cause::Closed, Cause::Closed, Cause::CertificateExpired]);
}

/// Whose clock is wrong finds certificates out of date that are not.
#[test]
fn a_clock_that_jumps_takes_the_wall_clock_with_it() {
    let made = certificates::make("*.sim.test", 2029..2031);
    let server = ServerTls::from_pem(&made.certificate, &made.key).unwrap();
    let mut net = network(1, listen().tls(&server));
    let roots = ClientTls::builder().roots_pem(&made.authority).sessions(None).build().unwrap();
    let secure = |connect: Connect| connect.tls(&roots, "server.sim.test");
    net.inflict(Fault::ClockJump(CLIENT, 400 * DAY as i64 * 1_000_000_000).lasting(10 * SECOND));
    talk(&mut net, secure);
    net.run_for(10 * SECOND);
    talk(&mut net, secure);
    assert_eq!(client(&net).closed, [Cause::CertificateExpired, Cause::Closed]);
}

#[test]
fn tickets_run_out_in_virtual_time() {
    let server = tls::server().ticket_lifetime(Duration::from_secs(3600)).build().unwrap();
    let mut net = network(1, listen().tls(&server));
    let roots = tls::client().build().unwrap();
    let secure = |connect: Connect| connect.tls(&roots, "server.sim.test");
    for _ in 0..2 {
        talk(&mut net, secure);
    }
    net.run_for(Duration::from_secs(3 * 3600));
    talk(&mut net, secure);
    assert_eq!(tls_sessions(&net), [false, true, false]);
}

/// Keys and random numbers are new in each run; what happens and when is not.
#[track_caller]
fn same_run(secure: impl Fn(u64) -> (Listen, Box<dyn Fn(Connect) -> Connect>)) {
    let run = |seed: u64, chaos: bool| {
        let (listen, connect) = secure(seed);
        let mut net = network(seed, listen);
        net.link(crate::determinism::uncertain());
        if chaos {
            net.chaos(&Chaos::drawn(seed).between(SECOND, 6 * SECOND), &[SERVER, CLIENT]);
        }
        for _ in 0..4 {
            if net.is_running(CLIENT) {
                let connect = connect(Connect::to(SERVER.port(PORT)));
                net.with(CLIENT, |_: &mut Talk, io| drop(io.connect(connect)));
            }
            net.run_for(2 * SECOND);
        }
        net
    };
    for seed in sim::seeds(1..=thorough(10, 2)) {
        for chaos in [false, true] {
            let (first, second, other) = (run(seed, chaos), run(seed, chaos), run(seed + 1, chaos));
            let (a, b) = (first.recorded(), second.recorded());
            let parts = a.iter().zip(&b).position(|(a, b)| a != b);
            assert_eq!(
                parts,
                None,
                "seed {seed}: {:?}",
                parts.map(|at| (&a[at.saturating_sub(3)..at + 1], &b[at]))
            );
            assert_eq!(first.trace(), second.trace(), "seed {seed}");
            assert_ne!(first.trace(), other.trace(), "seeds {seed} and {}", seed + 1);
            assert!(chaos || client(&first).received > 0, "seed {seed}: nothing was said");
        }
    }
}

#[test]
fn the_same_seed_is_the_same_run_over_tls() {
    same_run(|_| {
        let (server, roots) = (tls::server().build().unwrap(), tls::client().build().unwrap());
        (listen().tls(&server), Box::new(move |connect| connect.tls(&roots, "server.sim.test")))
    });
}

#[cfg(feature = "noise")]
mod noise {
    use super::*;
    use windlass::noise::{KeyPair, Noise};

    fn noise() -> (Noise, Noise) {
        let (ours, theirs) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let responder = Noise::responder(&ours).allow([theirs.public()]);
        (responder, Noise::initiator(&theirs, ours.public()))
    }

    #[test]
    fn noise_alone_and_inside_tls() {
        let (responder, initiator) = noise();
        let mut net = network(1, listen().noise(&responder));
        talk(&mut net, |connect| connect.noise(&initiator));
        assert_eq!(client(&net).received, 5000);
        assert!(client(&net).sessions[0].noise.is_some() && client(&net).sessions[0].tls.is_none());

        let (server, roots) = (tls::server().build().unwrap(), tls::client().build().unwrap());
        let mut net = network(1, listen().tls(&server).noise(&responder));
        talk(&mut net, |connect| connect.tls(&roots, "server.sim.test").noise(&initiator));
        assert_eq!(client(&net).received, 5000);
        assert!(client(&net).sessions[0].noise.is_some() && client(&net).sessions[0].tls.is_some());
    }

    #[test]
    fn the_same_seed_is_the_same_run_over_noise() {
        same_run(|_| {
            let (responder, initiator) = noise();
            (listen().noise(&responder), Box::new(move |connect| connect.noise(&initiator)))
        });
    }

    #[test]
    fn the_same_seed_is_the_same_run_over_noise_inside_tls() {
        same_run(|_| {
            let (responder, initiator) = noise();
            let (server, roots) = (tls::server().build().unwrap(), tls::client().build().unwrap());
            let secure = move |connect: Connect| connect.tls(&roots, "server.sim.test").noise(&initiator);
            (listen().tls(&server).noise(&responder), Box::new(secure))
        });
    }
}
