//! Where secured connections come from and how their reactors end: adoption, other options, many cores, panics,
//! shutdown.

use crate::peers::{Raw, TlsPeer};
use crate::rig::{ALL, Host, Kind, Pair, SECURED, Side, echo, ignore, pattern};
use crate::security::{client_tls, keys, server_tls};
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;
use windlass::noise::{self, Noise};
use windlass::{
    Address, Adopt, Cause, Config, Connect, Cores, Event, Io, Listen, Options, Reactor, Spread, Stream, Wait,
};

const WITHIN: Duration = Duration::from_secs(20);

fn accepting(kind: Kind, adopt: Adopt) -> Adopt {
    let noise = Noise::responder(&keys().0);
    match kind {
        Kind::Plain => adopt,
        Kind::Tls => adopt.accept_tls(&server_tls()),
        Kind::Noise => adopt.accept_noise(&noise),
        Kind::TlsNoise => adopt.accept_tls(&server_tls()).accept_noise(&noise),
    }
}

fn connecting(kind: Kind, adopt: Adopt) -> Adopt {
    let noise = Noise::initiator(&keys().1, keys().0.public());
    match kind {
        Kind::Plain => adopt,
        Kind::Tls => adopt.connect_tls(&client_tls(), "localhost"),
        Kind::Noise => adopt.connect_noise(&noise),
        Kind::TlsNoise => adopt.connect_tls(&client_tls(), "localhost").connect_noise(&noise),
    }
}

fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (near, listener.accept().unwrap().0)
}

#[test]
fn adopted_streams_of_both_kinds_are_secured_by_naming_it() {
    for kind in ALL {
        for unix in [false, true] {
            let (near, far): (Stream, Stream) = if unix {
                let (near, far) = UnixStream::pair().unwrap();
                (near.into(), far.into())
            } else {
                let (near, far) = tcp_pair();
                (near.into(), far.into())
            };
            let mut reactor = Reactor::new(Config::default()).unwrap();
            let accepting = reactor.io().adopt(accepting(kind, Adopt::stream(near))).unwrap();
            let connecting = reactor.io().adopt(connecting(kind, Adopt::stream(far))).unwrap();
            // Before it has opened.
            reactor.io().send(connecting, b"early").unwrap();
            let (mut side, mut echoed) = (Side::default(), Vec::new());
            for _ in 0..4000 {
                let mut handler = |io: &mut Io, event: Event<'_>| {
                    side.note(&event);
                    match event {
                        Event::Data { conn, bytes } if conn == accepting => _ = io.send(conn, bytes).unwrap(),
                        Event::Data { bytes, .. } => echoed.extend_from_slice(bytes),
                        _ => {}
                    }
                };
                reactor.turn(Wait::For(Duration::from_micros(500)), &mut handler).unwrap();
                if echoed == b"early" {
                    break;
                }
            }
            assert_eq!((&echoed[..], side.opened.len()), (&b"early"[..], 2), "{kind:?} unix: {unix}");
        }
    }
}

#[test]
fn what_makes_no_sense_is_said_before_anything_happens() {
    let address: Address = "127.0.0.1:1".parse::<std::net::SocketAddr>().unwrap().into();
    let mut reactor = Reactor::new(Config::default()).unwrap();
    let io = reactor.io();
    let bad_name = Connect::to(address.clone()).tls(&client_tls(), "no name at all");
    let wrong_role = Connect::to(address).noise(&Noise::responder(&keys().0));
    assert!(io.connect(bad_name).is_err() && io.connect(wrong_role).is_err());
    let wrong_role = Noise::initiator(&keys().1, keys().0.public());
    assert!(io.listen(Listen::tcp("127.0.0.1:0").noise(&wrong_role)).is_err());
    let (near, _far) = tcp_pair();
    assert!(io.adopt(Adopt::stream(near).accept_noise(&wrong_role)).is_err());
    assert_eq!(io.connections(), 0);
}

#[test]
fn options_changed_during_the_handshake_hold_at_once() {
    let mut host = Host::new(Kind::TlsNoise, Config::default());
    let raw = Raw::connect(host.address);
    host.until("accepted", ignore, |host| !host.seen.words.is_empty());
    let short = Options::with(|options| options.timeouts.handshake = Some(Duration::from_millis(1)));
    host.reactor.io().set_default_options(short).unwrap();
    host.until("timed out", ignore, |host| host.seen.cause() == Some(Cause::HandshakeTimeout));
    host.assert_nothing_left();
    drop(raw);
}

#[test]
fn our_own_connects_take_no_place_of_those_who_are_let_in() {
    let mut config = Config::default();
    config.admission.handshakes_max = Some(1);
    let mut reactor = Reactor::new(config).unwrap();
    let listener = reactor.io().listen(Kind::Tls.listen(Listen::tcp("127.0.0.1:0"))).unwrap();
    let address = reactor.io().listener_address(listener).unwrap().clone();
    // Nobody answers these.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    for _ in 0..5 {
        reactor.io().connect(Kind::Tls.connect(Connect::to(silent.local_addr().unwrap()))).unwrap();
    }
    let mut side = Side::default();
    let own = reactor.io().connect(Kind::Tls.connect(Connect::to(address))).unwrap();
    for _ in 0..4000 {
        let mut handler = |_: &mut Io, event: Event<'_>| side.note(&event);
        reactor.turn(Wait::For(Duration::from_micros(500)), &mut handler).unwrap();
        if side.opened.len() == 2 {
            break;
        }
    }
    assert!(side.opened.contains(&own) && side.opened.len() == 2, "{:?}", side.words);
}

#[test]
fn cores_share_a_listener_of_any_kind_over_tcp_and_unix() {
    let folder = std::env::temp_dir();
    for kind in SECURED {
        for unix in [false, true] {
            let path = folder.join(format!("windlass-secured-{}-{kind:?}", std::process::id()));
            let listen = if unix { Listen::unix(&path) } else { Listen::tcp("127.0.0.1:0") };
            let running = Cores::new(2)
                .listen(kind.listen(listen))
                .spread(Spread::HandOff)
                .start(|core| {
                    let number = core.number() as u8;
                    move |io: &mut Io, event: Event<'_>| {
                        if let Event::Data { conn, bytes } = event {
                            assert!(!bytes.is_empty());
                            io.send(conn, &[number]).unwrap();
                        }
                    }
                })
                .unwrap();
            let address = running.addresses()[0].clone();
            let mut client = Reactor::new(Config::default()).unwrap();
            let mut answers = Vec::new();
            for _ in 0..8 {
                client.io().connect(kind.connect(Connect::to(address.clone()))).unwrap();
                let before = answers.len();
                for _ in 0..20_000 {
                    let mut asking = |io: &mut Io, event: Event<'_>| match event {
                        Event::Opened { conn, .. } => _ = io.send(conn, b"which core?").unwrap(),
                        Event::Data { bytes, .. } => answers.extend_from_slice(bytes),
                        Event::Closed { reason, .. } => panic!("{reason}"),
                        _ => {}
                    };
                    client.turn(Wait::For(Duration::from_millis(1)), &mut asking).unwrap();
                    if answers.len() > before {
                        break;
                    }
                }
            }
            let of = |core| answers.iter().filter(|answer| **answer == core).count();
            assert_eq!((of(0), of(1)), (4, 4), "{kind:?} unix: {unix}");
            running.shutdown(Duration::ZERO);
            running.join().unwrap();
        }
    }
}

#[test]
fn an_isolated_panic_in_any_event_closes_that_connection_and_nothing_else() {
    for kind in ALL {
        for at in ["accepted", "opened", "data", "finished"] {
            let config = Config::with(|config| {
                config.isolate_panics = true;
                config.options.half_close = true;
            });
            let mut pair = Pair::listening(|listen| kind.listen(listen), config);
            let good = pair.connect(kind);
            pair.until("the good one opens", ignore, ignore, |pair| {
                pair.s.opened.len() + pair.c.opened.len() == 2
            });
            let good_there = pair.s.opened[0];
            let bad = pair.connect(kind);
            pair.client.io().send(bad, b"x").unwrap();
            pair.client.io().finish(bad).unwrap();
            let panicking = |io: &mut Io, event: Event<'_>| {
                let name = match &event {
                    Event::Accepted { .. } => "accepted",
                    Event::Opened { .. } => "opened",
                    Event::Data { .. } => "data",
                    Event::PeerFinished { .. } => "finished",
                    _ => return,
                };
                let conn = event.conn().unwrap();
                if name == at && conn != good_there {
                    let _ = io.send(conn, b"corked when it happens");
                    std::panic::resume_unwind(Box::new("on purpose"));
                }
            };
            pair.until(&format!("{kind:?} {at}"), panicking, ignore, |pair| {
                !pair.s.closed.is_empty() && !pair.c.closed.is_empty()
            });
            assert_eq!(pair.s.cause(), Some(Cause::HandlerPanicked), "{kind:?} {at}");
            assert!(pair.s.closed[0].0 != good_there && pair.c.closed[0].0 == bad, "{kind:?} {at}");
            let before = pair.c.received.len();
            pair.client.io().send(good, &pattern(70_000)).unwrap();
            pair.until("the good one echoes", echo, ignore, |pair| pair.c.received.len() == before + 70_000);
        }
    }
}

#[test]
fn a_graceful_shutdown_says_close_notify_and_delivers_what_is_queued() {
    let mut host = Host::new(Kind::Tls, Config::default());
    let mut peers: Vec<TlsPeer> = (0..5).map(|_| TlsPeer::connect(host.address)).collect();
    let mut shaking = Raw::connect(host.address);
    shaking.send(&[22, 3, 1]);
    host.until("open", ignore, |host| {
        peers.iter_mut().for_each(TlsPeer::pump);
        host.seen.opened.len() == 5
    });
    for conn in host.seen.opened.clone() {
        host.reactor.io().send(conn, &pattern(300_000)).unwrap();
    }
    host.reactor.io().shutdown(WITHIN);
    host.until("finished", ignore, |host| {
        shaking.pump();
        for peer in &mut peers {
            peer.pump();
            if peer.finished && peer.raw.end.is_some() {
                peer.raw.finish();
            }
        }
        host.reactor.is_finished()
    });
    assert_eq!(host.reactor.cut(), 0);
    for peer in &mut peers {
        peer.pump();
        assert!(peer.finished && peer.plain == pattern(300_000), "{} bytes", peer.plain.len());
    }
    assert_eq!(host.seen.closed.iter().filter(|closed| closed.1 == Cause::Shutdown).count(), 6);
    host.assert_nothing_left();
}

#[test]
fn an_isolated_panic_over_a_peers_key_closes_that_connection_and_nothing_else() {
    let stranger = noise::KeyPair::generate().unwrap();
    for kind in [Kind::Noise, Kind::TlsNoise] {
        let bad = stranger.public();
        let checking = Noise::responder(&keys().0).check(move |key| {
            if *key == bad {
                std::panic::resume_unwind(Box::new("on purpose"));
            }
            true
        });
        let config = Config::with(|config| config.isolate_panics = true);
        let mut pair = Pair::listening(|listen| kind.listen_with(listen, &checking), config);
        let good = pair.connect(kind);
        pair.until("the good one opens", ignore, ignore, |pair| pair.s.opened.len() == 1);
        let theirs = Noise::initiator(&stranger, keys().0.public());
        let connect = kind.connect_with(Connect::to(pair.address), &theirs);
        pair.client.io().connect(connect).unwrap();
        pair.until("the bad one closes", ignore, ignore, |pair| {
            !pair.s.closed.is_empty() && !pair.c.closed.is_empty()
        });
        assert_eq!((pair.s.cause(), pair.s.opened.len()), (Some(Cause::HandlerPanicked), 1), "{kind:?}");
        assert_eq!(pair.server.io().metrics().figures().handler_panics, 1);
        pair.client.io().send(good, b"still there").unwrap();
        pair.until("the good one echoes", echo, ignore, |pair| pair.c.received == b"still there");
    }
}

#[test]
fn an_encoder_that_panics_leaves_the_connection_it_was_for_as_it_was() {
    for kind in ALL {
        let config = Config::with(|config| {
            config.isolate_panics = true;
            config.options.half_close = true;
        });
        let mut pair = Pair::listening(|listen| kind.listen(listen), config);
        let other = pair.connect(kind);
        pair.until("open", ignore, ignore, |pair| pair.s.opened.len() + pair.c.opened.len() == 2);
        let other_there = pair.s.opened[0];
        let bad = pair.connect(kind);
        pair.client.io().send(bad, b"x").unwrap();
        let panicking = |io: &mut Io, event: Event<'_>| {
            if let Event::Data { .. } = event {
                let _ = io.send_with(other_there, 100, |_| std::panic::resume_unwind(Box::new("on purpose")));
            }
        };
        pair.until("the panic", panicking, ignore, |pair| !pair.s.closed.is_empty());
        assert_eq!(pair.server.io().queued(other_there), 0);
        pair.server.io().finish(other_there).unwrap();
        pair.until(&format!("{kind:?}: the end"), ignore, ignore, |pair| pair.c.finished == 1);
        assert!(pair.client.io().is_open(other), "{kind:?}");
    }
}

/// As plain ones are. Who has said nothing that could be answered is not waited for.
#[test]
fn a_graceful_shutdown_serves_whoever_shakes_hands_already() {
    for turns_before in 0..4 {
        let mut host = Host::new(Kind::Tls, Config::default());
        let silent = Raw::connect(host.address);
        let mut peers: Vec<TlsPeer> = (0..5).map(|_| TlsPeer::connect(host.address)).collect();
        peers.iter_mut().for_each(|peer| {
            peer.tls.writer().write_all(b"hello").unwrap();
            peer.pump();
        });
        (0..turns_before).for_each(|_| host.turn(&mut echo));
        host.reactor.io().shutdown(WITHIN);
        host.until("finished", echo, |host| {
            for peer in &mut peers {
                peer.pump();
                if peer.raw.end.is_some() {
                    peer.raw.finish();
                }
            }
            host.reactor.is_finished()
        });
        assert_eq!(host.reactor.cut(), 0);
        for peer in &mut peers {
            peer.pump();
            assert!(peer.finished && peer.plain == b"hello", "{turns_before}: {:?}", host.seen.words);
        }
        assert_eq!(host.seen.closed.iter().filter(|closed| closed.1 == Cause::Shutdown).count(), 6);
        drop(silent);
        host.assert_nothing_left();
    }
}
