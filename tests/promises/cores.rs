//! One reactor per core: starting, spreading connections, panics, and a common end.

use crate::net::{SocketPath, config, options};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;
use windlass::time::Instant;
use windlass::{Cause, Core, Cores, Error, Event, Io, Listen, Running, Sender, Spread};

const WITHIN: Duration = Duration::from_secs(20);
const LOCAL: &str = "127.0.0.1:0";

fn inet(running: &Running) -> SocketAddr {
    running.addresses()[0].as_inet().expect("TCP")
}

/// Answers with the number of its core.
fn tell_core(core: &mut Core<'_>) -> impl FnMut(&mut Io, Event<'_>) + use<> {
    let number = core.number() as u8;
    move |io, event| {
        if let Event::Opened { conn, .. } = event {
            let _ = io.send(conn, &[number]);
        }
    }
}

/// A blocking client and the number of the core that serves it.
fn client(address: SocketAddr) -> (TcpStream, u8) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(WITHIN)).unwrap();
    let mut number = [0];
    stream.read_exact(&mut number).unwrap();
    (stream, number[0])
}

#[test]
fn a_group_starts_tells_addresses_and_metrics_and_ends_with_a_report() {
    let running = Cores::new(2)
        .listen(Listen::tcp(LOCAL))
        .listen(Listen::tcp(LOCAL))
        .start(|_| |io: &mut Io, event: Event<'_>| crate::net::echo(io, event))
        .unwrap();
    assert_eq!(running.addresses().len(), 2);
    assert!(running.addresses().iter().all(|address| address.as_inet().is_some_and(|a| a.port() != 0)));
    for address in running.addresses().to_vec() {
        let mut stream = TcpStream::connect(address.as_inet().unwrap()).unwrap();
        stream.write_all(b"hello").unwrap();
        let mut got = [0; 5];
        stream.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"hello");
    }
    assert_eq!(running.metrics().snapshot(Instant::ZERO).cores.len(), 2);
    running.shutdown(WITHIN);
    let report = running.join().unwrap();
    assert_eq!(report.cut, 0);
    let total = &report.snapshot.total;
    assert_eq!((total.connections_accepted, total.bytes_in, total.bytes_out), (2, 10, 10));
}

#[test]
fn one_core_runs_on_the_calling_thread() {
    let (caller, (tell, told)) = (thread::current().id(), mpsc::channel());
    let report = Cores::new(1)
        .run(move |core| {
            tell.send(thread::current().id()).unwrap();
            core.io().timer_after(Duration::ZERO, 1);
            let tell = tell.clone();
            move |io: &mut Io, _: Event<'_>| {
                tell.send(thread::current().id()).unwrap();
                io.stop();
            }
        })
        .unwrap();
    assert_eq!(told.iter().collect::<Vec<_>>(), [caller, caller]);
    assert_eq!(report.snapshot.total.timers_fired, 1);
}

#[test]
fn several_cores_run_on_threads_of_their_own_that_bear_the_groups_name() {
    let (tell, told) = mpsc::channel();
    let running = Cores::new(2).name("windy").start(move |core| {
        let name = thread::current().name().map(str::to_owned);
        tell.send((core.number(), core.count(), name)).unwrap();
        |_: &mut Io, _: Event<'_>| ()
    });
    running.as_ref().unwrap().shutdown(Duration::ZERO);
    running.unwrap().join().unwrap();
    let mut all: Vec<_> = told.iter().collect();
    all.sort();
    assert_eq!(all, [(0, 2, Some("windy-0".into())), (1, 2, Some("windy-1".into()))]);
}

#[test]
fn on_listening_tells_the_addresses_before_any_core_runs() {
    let (tell, told) = mpsc::channel();
    Cores::new(1)
        .listen(Listen::tcp(LOCAL))
        .on_listening(move |addresses| tell.send(addresses.to_vec()).unwrap())
        .run(|core| {
            let listener = core.listeners()[0];
            let own = core.io().listener_address(listener).cloned();
            core.io().timer_after(Duration::ZERO, 1);
            move |io: &mut Io, _: Event<'_>| {
                assert!(own.is_some());
                io.stop();
            }
        })
        .unwrap();
    let addresses: Vec<_> = told.iter().collect();
    assert_eq!((addresses.len(), addresses[0].len()), (1, 1));
}

#[test]
fn both_ways_of_spreading_serve_everybody() {
    for spread in [Spread::ReusePort, Spread::HandOff] {
        let running = Cores::new(2).listen(Listen::tcp(LOCAL)).spread(spread).start(tell_core).unwrap();
        let clients: Vec<_> = (0..40).map(|_| client(inet(&running))).collect();
        assert!(clients.iter().all(|(_, core)| *core < 2), "{spread:?}");
        drop(clients);
        running.shutdown(WITHIN);
        assert_eq!(running.join().unwrap().snapshot.total.connections_accepted, 40, "{spread:?}");
    }
}

#[test]
fn hand_off_passes_each_connection_to_the_core_with_the_fewest() {
    let running = Cores::new(3).listen(Listen::tcp(LOCAL)).spread(Spread::HandOff).start(tell_core).unwrap();
    let mut clients: Vec<_> = (0..30).map(|_| client(inet(&running))).collect();
    let count = |clients: &[(TcpStream, u8)], core| clients.iter().filter(|(_, c)| *c == core).count();
    assert_eq!([0, 1, 2].map(|core| count(&clients, core)), [10, 10, 10]);
    // Those of core 1 leave; when it has noticed, the newcomers are all its.
    clients.retain(|(_, core)| *core != 1);
    let active = || running.metrics().snapshot(Instant::ZERO).cores[1].figures.connections_active;
    for _ in 0..1_000_000 {
        if active() == 0 {
            break;
        }
        thread::yield_now();
    }
    assert_eq!(active(), 0);
    let newcomers: Vec<_> = (0..10).map(|_| client(inet(&running))).collect();
    assert_eq!(count(&newcomers, 1), 10);
    running.shutdown(Duration::ZERO);
    running.join().unwrap();
}

#[test]
fn unix_sockets_are_shared_by_all_cores() {
    let path = SocketPath::new("cores");
    let running = Cores::new(2).listen(Listen::unix(path.path())).start(tell_core).unwrap();
    let mut served = [0; 2];
    let mut clients = Vec::new();
    for _ in 0..8 {
        let mut stream = UnixStream::connect(path.path()).unwrap();
        let mut number = [0];
        stream.read_exact(&mut number).unwrap();
        served[usize::from(number[0])] += 1;
        clients.push(stream);
    }
    assert_eq!((running.addresses(), served), (&[path.address()][..], [4, 4]));
    drop(clients);
    running.shutdown(WITHIN);
    running.join().unwrap();
    assert!(!path.path().exists());
}

/// Every core but the first waited for sockets that nobody was going to hand it, up to the deadline.
#[test]
fn a_shutdown_ends_when_all_is_closed_and_not_only_at_its_deadline() {
    for spread in [Spread::ReusePort, Spread::HandOff] {
        let running = Cores::new(2).listen(Listen::tcp(LOCAL)).spread(spread).start(tell_core).unwrap();
        drop(client(inet(&running)));
        running.shutdown(WITHIN);
        assert!(running.join().unwrap().snapshot.uptime < WITHIN, "{spread:?}");
    }
    let alone = Cores::new(3).start(|_| |_: &mut Io, _: Event<'_>| ()).unwrap();
    alone.shutdown(WITHIN);
    assert!(alone.join().unwrap().snapshot.uptime < WITHIN);
}

/// Panics about "boom", echoes everything else.
fn explosive(_: &mut Core<'_>) -> impl FnMut(&mut Io, Event<'_>) + use<> {
    |io, event| {
        if let Event::Data { bytes: b"boom", .. } = event {
            std::panic::panic_any("it went off");
        }
        if let Event::Opened { conn, .. } = event {
            let _ = io.send(conn, b"?");
        }
        crate::net::echo(io, event);
    }
}

#[test]
fn a_panic_reaches_join_with_its_payload_while_the_other_cores_end_in_good_order() {
    let running = Cores::new(2).listen(Listen::tcp(LOCAL)).spread(Spread::HandOff).start(explosive).unwrap();
    let (mut one, _) = client(inet(&running));
    let (mut two, _) = client(inet(&running));
    one.write_all(b"boom").unwrap();
    // The other core flushes and closes: its client sees an end in good order, not a reset.
    let mut rest = Vec::new();
    assert_eq!(two.read_to_end(&mut rest).unwrap(), 0);
    drop(two);
    match running.join() {
        Err(Error::Panicked { payload, .. }) => {
            assert_eq!(payload.to_string(), "it went off");
            assert_eq!(payload.into_inner().downcast_ref::<&str>(), Some(&"it went off"));
        }
        other => panic!("the panic was lost: {other:?}"),
    }
}

#[test]
fn a_panic_on_the_calling_thread_is_an_error_of_run_too() {
    let outcome = Cores::new(1).run(|core| {
        core.io().timer_after(Duration::ZERO, 1);
        |_: &mut Io, _: Event<'_>| panic!("here")
    });
    assert!(matches!(outcome, Err(Error::Panicked { core: 0, payload }) if payload.to_string() == "here"));
}

#[test]
fn isolated_panics_close_only_the_connection_being_served() {
    let running = Cores::new(1)
        .config(config(|c| c.isolate_panics = true))
        .listen(Listen::tcp(LOCAL))
        .start(explosive)
        .unwrap();
    let (mut one, _) = client(inet(&running));
    let (mut two, _) = client(inet(&running));
    one.write_all(b"boom").unwrap();
    assert!(one.read(&mut [0]).is_err(), "the one that went off is reset");
    two.write_all(b"fine").unwrap();
    let mut got = [0; 4];
    two.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"fine");
    drop(two);
    running.shutdown(WITHIN);
    let total = running.join().unwrap().snapshot.total;
    assert_eq!((total.handler_panics, total.connections_closed[Cause::HandlerPanicked]), (1, 1));
}

#[test]
fn a_shutdown_flushes_closes_what_owes_nothing_and_cuts_the_rest_off() {
    let running = Cores::new(1)
        .listen(Listen::tcp(LOCAL).options(options(|o| o.timeouts.write = None)))
        .start(|_| {
            |io: &mut Io, event: Event<'_>| match event {
                Event::Opened { conn, .. } => assert!(io.send(conn, b"?").is_ok()),
                // Fills the kernel's buffers and its own queue: this peer does not read.
                Event::Data { conn, .. } => while io.send(conn, &[0; 100_000]).is_ok() {},
                _ => {}
            }
        })
        .unwrap();
    let (mut quiet, _) = client(inet(&running));
    let (mut busy, _) = client(inet(&running));
    busy.write_all(b"flood").unwrap();
    // Its answer fills the queue to the last; then the shutdown has something to cut.
    while running.metrics().snapshot(Instant::ZERO).total.sends_refused_full == 0 {
        thread::yield_now();
    }
    running.shutdown(Duration::from_millis(400));
    assert_eq!(quiet.read(&mut [0]).unwrap(), 0, "an end in good order");
    drop(quiet);
    let report = running.join().unwrap();
    assert_eq!(report.cut, 1);
    assert_eq!(report.snapshot.total.connections_closed[Cause::ShutdownCut], 1);
    assert_eq!(report.snapshot.total.connections_closed[Cause::Shutdown], 1);
}

#[test]
fn a_shutdown_serves_what_has_arrived_before_it_closes() {
    let running = Cores::new(1)
        .listen(Listen::tcp(LOCAL))
        .start(|core| {
            let everyone = core.stop_all();
            move |io: &mut Io, event: Event<'_>| {
                if let Event::Data { bytes: b"stop", .. } = event {
                    everyone.shutdown(WITHIN);
                } else if let Event::Opened { conn, .. } = event {
                    let _ = io.send(conn, b"?");
                }
                crate::net::echo(io, event);
            }
        })
        .unwrap();
    let (mut stopping, _) = client(inet(&running));
    let (mut other, _) = client(inet(&running));
    other.write_all(b"last request").unwrap();
    stopping.write_all(b"stop").unwrap();
    let mut answers = (Vec::new(), Vec::new());
    other.read_to_end(&mut answers.0).unwrap();
    stopping.read_to_end(&mut answers.1).unwrap();
    drop((other, stopping));
    assert_eq!(answers, (b"last request".to_vec(), b"stop".to_vec()));
    assert_eq!(running.join().unwrap().cut, 0);
}

#[test]
fn cores_write_to_each_other() {
    let passed = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&passed);
    let running = Cores::new(3)
        .start_with_mail::<usize, _, _>(16, move |core, mut mail| {
            let (number, everyone, passed) = (core.number(), core.stop_all(), Arc::clone(&counter));
            if number == 0 {
                mail.cores[1].try_send(0).unwrap();
            }
            move |_: &mut Io, event: Event<'_>| {
                if !matches!(event, Event::Mail { .. }) {
                    return;
                }
                while let Some(hops) = mail.inbox.recv() {
                    passed.fetch_add(1, Ordering::Relaxed);
                    match hops {
                        3000 => everyone.shutdown(WITHIN),
                        _ => send_on(&mail.cores[(number + 1) % 3], hops + 1),
                    }
                }
            }
        })
        .unwrap();
    running.join().unwrap();
    assert_eq!(passed.load(Ordering::Relaxed), 3001);
}

fn send_on(to: &Sender<usize>, hops: usize) {
    to.try_send(hops).expect("one message never fills a mailbox of sixteen");
}

#[test]
fn what_can_not_be_made_is_said_before_anything_starts() {
    let taken = std::net::TcpListener::bind(LOCAL).unwrap();
    let address = taken.local_addr().unwrap();
    let never = |_: &mut Core<'_>| -> fn(&mut Io, Event<'_>) { unreachable!("nothing may start") };
    assert!(matches!(Cores::new(0).run(never), Err(Error::Config(_))));
    let outcome = Cores::new(2).listen(Listen::tcp(address)).start(never);
    let said = outcome.expect_err("the port is taken").to_string();
    assert!(said.contains(&address.to_string()) && said.contains("choose another port"), "{said}");
    assert!(Cores::new(1).listen(Listen::tcp("no such host.invalid:1")).run(never).is_err());
}
