//! The graceful end under load: nobody who was let in is reset, and nothing that has arrived goes unanswered.

use crate::rig::{Rig, Script, config, echo, in_a_child, silent};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc;
use std::time::Duration;
use windlass::{Cause, Config, Cores, Event, Io, Listen, Report, Running, Spread};

const LONG: Duration = Duration::from_secs(3600);
/// No measure of anything: what hangs shall fail instead.
const HUNG: Duration = Duration::from_secs(60);

fn start(config: Config, spread: Spread) -> (Running, SocketAddr) {
    start_cores(Cores::new(2).config(config).spread(spread))
}

fn start_cores(cores: Cores) -> (Running, SocketAddr) {
    crate::rig::raise_descriptor_limit();
    let running = cores
        .listen(Listen::tcp("127.0.0.1:0"))
        .start(|_| {
            |io: &mut Io, event: Event<'_>| {
                if let Event::Data { conn, bytes } = event {
                    let _ = io.send(conn, bytes);
                }
            }
        })
        .unwrap();
    let address = running.addresses()[0].as_inet().unwrap();
    (running, address)
}

fn join(running: Running) -> Report {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || _ = tell.send(running.join()));
    told.recv_timeout(HUNG).expect("the cores do not end although nothing is left").unwrap()
}

/// How a client's connection ended, and after how many answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Ended {
    answers: usize,
    how: Option<ErrorKind>,
}

/// Asks until the server ends the connection, at most `questions` times.
fn converse(address: SocketAddr, questions: usize) -> Result<Ended, ErrorKind> {
    let mut peer = TcpStream::connect(address).map_err(|error| error.kind())?;
    peer.set_read_timeout(Some(HUNG)).unwrap();
    let mut answer = [0; 64];
    for answers in 0..questions {
        let asked = peer.write_all(&[9; 64]).and_then(|()| peer.read_exact(&mut answer));
        if let Err(error) = asked {
            return Ok(Ended { answers, how: Some(error.kind()) });
        }
    }
    Ok(Ended { answers: questions, how: None })
}

/// Clients ask without a pause when `stop` begins the end, which nothing but the clients' leaving should bring about.
fn end_under_load(spread: Spread, cores: Cores, stop: impl FnOnce(&Running)) {
    let (running, address) = start_cores(cores.spread(spread));
    let (tell, told) = mpsc::channel();
    let clients: Vec<_> = (0..8)
        .map(|number| {
            let tell = tell.clone();
            std::thread::spawn(move || {
                let questions = if number % 2 == 0 { usize::MAX } else { 3 };
                let mut all = Vec::new();
                while let Ok(ended) = converse(address, questions) {
                    all.push(ended);
                    // Enough of them are under way when the first two hundred are done.
                    let _ = tell.send(());
                    if ended.how.is_some() {
                        break;
                    }
                }
                all
            })
        })
        .collect();
    (0..200).for_each(|_| told.recv().unwrap());
    stop(&running);
    let report = join(running);
    assert_eq!(report.cut, 0, "{spread:?}");
    for client in clients {
        for Ended { answers, how } in client.join().unwrap() {
            let harmless = matches!(how, None | Some(ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe));
            // One that was never answered may have been completed by the kernel while the listener closed.
            assert!(harmless || answers == 0, "{spread:?}: {how:?} after {answers} answers");
        }
    }
    assert_eq!(report.snapshot.total.connections_active, 0);
}

#[test]
fn a_shutdown_under_load_resets_nobody_and_ends_by_itself() {
    for spread in [Spread::ReusePort, Spread::HandOff] {
        end_under_load(spread, Cores::new(2), |running| running.shutdown(LONG));
    }
}

#[cfg(feature = "signals")]
#[test]
fn a_sigterm_under_load_resets_nobody_and_ends_by_itself() {
    use rustix::process::{Signal, getpid, kill_process};
    if !in_a_child("shutdown::a_sigterm_under_load_resets_nobody_and_ends_by_itself") {
        return;
    }
    for spread in [Spread::ReusePort, Spread::HandOff] {
        let cores = Cores::new(2).stop_on_signals(LONG);
        end_under_load(spread, cores, |_| kill_process(getpid(), Signal::TERM).unwrap());
    }
}

#[test]
fn what_has_arrived_before_a_shutdown_is_answered() {
    for spread in [Spread::ReusePort, Spread::HandOff] {
        for round in 0..10 {
            // Fewer events a turn than connections that are ready.
            let (running, address) = start(config(|c| c.budgets.events = 16), spread);
            let mut peers: Vec<TcpStream> = (0..200)
                .map(|_| {
                    let mut peer = TcpStream::connect(address).unwrap();
                    peer.write_all(b"asked in time").unwrap();
                    peer
                })
                .collect();
            running.shutdown(LONG);
            for (number, peer) in peers.iter_mut().enumerate() {
                peer.set_read_timeout(Some(HUNG)).unwrap();
                let mut all = Vec::new();
                let end = peer.read_to_end(&mut all);
                peer.shutdown(Shutdown::Both).ok();
                assert!(end.is_ok(), "{spread:?} {round}: {end:?} for peer {number}");
                assert_eq!(all, b"asked in time", "{spread:?}, round {round}, peer {number}");
            }
            drop(peers);
            assert_eq!(join(running).cut, 0);
        }
    }
}

#[test]
fn cores_without_anything_to_hand_off_end_at_once() {
    for (listens, spread) in [(false, Spread::ReusePort), (true, Spread::ReusePort), (true, Spread::HandOff)]
    {
        let mut cores = Cores::new(3).spread(spread);
        if listens {
            cores = cores.listen(Listen::tcp("127.0.0.1:0")).listen(Listen::tcp("127.0.0.1:0"));
        }
        let running = cores.start(|_| |_: &mut Io, _: Event<'_>| {}).unwrap();
        running.shutdown(LONG);
        assert_eq!(join(running).cut, 0);
    }
}

#[test]
fn a_half_closed_connection_that_owes_nothing_does_not_delay_the_end() {
    let mut rig = Rig::with(config(|c| c.options.half_close = true));
    let peer = rig.peer();
    let mut script = Script::new(|io: &mut Io, event: &Event<'_>| {
        if let Event::Opened { conn, .. } = event {
            io.send(*conn, b"hello").unwrap();
        }
    });
    peer.shutdown(Shutdown::Write).unwrap();
    rig.until(&mut script, |script| script.log.len() >= 3);
    rig.settle(&mut script);
    rig.reactor.io().shutdown(LONG);
    rig.until(&mut script, |script| script.causes() == [Cause::Shutdown]);
    assert!(rig.reactor.is_finished());
    rig.assert_nothing_left();
}

#[test]
fn a_shutdown_cuts_what_does_not_end_and_says_how_many() {
    let mut rig = Rig::new();
    let peers = [rig.peer(), rig.peer(), rig.peer()];
    let mut script = silent();
    rig.until(&mut script, |script| script.opened().len() == 3);
    let conns = script.opened();
    // One reads nothing, one has something to say that we do not want, one is idle and will end.
    rig.reactor.io().grant_write(conns[0], Some(0)).unwrap();
    rig.reactor.io().send(conns[0], b"never read").unwrap();
    rig.reactor.io().expect(conns[1]).unwrap();
    rig.reactor.io().shutdown(Duration::from_millis(50));
    rig.until(&mut script, |script| script.causes().len() == 3);
    assert_eq!(script.causes().iter().filter(|cause| **cause == Cause::ShutdownCut).count(), 3);
    assert_eq!(rig.reactor.cut(), 3, "the third one never ended its side");
    assert!(rig.reactor.is_finished());
    drop(peers);
    rig.assert_nothing_left();
}

#[test]
fn more_connections_in_the_backlog_than_one_batch_of_events_are_served_at_the_end() {
    if !in_a_child("shutdown::more_connections_in_the_backlog_than_one_batch_of_events_are_served_at_the_end")
    {
        return;
    }
    let mut rig = Rig::with(config(|c| c.budgets.events = 8));
    let mut peers: Vec<TcpStream> = (0..300).map(|_| rig.peer()).collect();
    peers.iter_mut().for_each(|peer| peer.write_all(b"x").unwrap());
    rig.reactor.io().shutdown(LONG);
    let mut script = echo();
    rig.until(&mut script, |script| script.received().len() == 300 || !script.causes().is_empty());
    assert_eq!(script.received().len(), 300, "closed before what had arrived was read");
    for peer in &mut peers {
        let mut all = Vec::new();
        peer.set_nonblocking(true).unwrap();
        while let Err(error) = peer.read_to_end(&mut all) {
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
            rig.turn(&mut script);
        }
        assert_eq!(all, b"x");
    }
    drop(peers);
    rig.until(&mut script, |script| script.causes().len() == 300);
    assert!(rig.reactor.is_finished());
}
