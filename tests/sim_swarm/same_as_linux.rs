//! The same scripts over the kernel's loopback and over the simulated network: handlers must be told the same.
//!
//! A script says who does what; after each line everybody is served until nothing happens any more. Bytes count, not
//! how they were cut.

use std::net::SocketAddr;
use std::time::Duration;
use windlass::sim::{Fault, Host, Latency, Link, Network};
use windlass::{
    Cause, Config, Conn, Connect, Cores, Event, Handler, Io, Listen, Listener, Options, Reactor, Wait,
};

/// Rounds of both reactors in which nothing happens before the kernel counts as quiet; each waits for 1 ms.
const QUIET_ROUNDS: usize = 8;
const ROUNDS_MAX: usize = 20_000;
/// Virtual time after which a simulated network of hosts 50 us apart is quiet.
const QUIET_AFTER: Duration = Duration::from_millis(50);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Who {
    Server,
    Client,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Act {
    Listen,
    /// With a backlog of so many.
    ListenTo(u16),
    Unlisten,
    Connect,
    Send(usize),
    Pause,
    Resume,
    Finish,
    Close,
    Abort,
    /// Is not served until `Go`; what it is told to do is still done.
    Hold,
    Go,
}

/// What a handler was told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Word {
    Accepted,
    Opened,
    Data(usize),
    Drained,
    PeerFinished,
    Closed(Cause),
}

struct Player {
    words: Vec<Word>,
    conns: Vec<Conn>,
    listener: Option<Listener>,
    server: SocketAddr,
}

fn options(half_close: bool) -> Options {
    Options::with(|options| {
        options.half_close = half_close;
        options.self_throttle = false;
        options.queue.max_bytes = 8 << 20;
    })
}

impl Player {
    fn new(server: SocketAddr) -> Player {
        Player { words: Vec::new(), conns: Vec::new(), listener: None, server }
    }

    fn act(&mut self, io: &mut Io, act: Act) {
        let conn = self.conns.last().copied();
        // What is refused shows in what is told later.
        match (act, conn) {
            (Act::Listen, _) => self.listen(io, Listen::tcp(self.server)),
            (Act::ListenTo(backlog), _) => self.listen(io, Listen::tcp(self.server).backlog(backlog)),
            (Act::Unlisten, _) => {
                let listener = self.listener.take().expect("it listens");
                assert!(io.close_listener(listener));
            }
            (Act::Connect, _) => {
                self.conns.push(io.connect(Connect::to(self.server)).expect("there is room"));
            }
            (Act::Send(len), Some(conn)) => _ = io.send(conn, &vec![7; len]),
            (Act::Pause, Some(conn)) => _ = io.pause(conn),
            (Act::Resume, Some(conn)) => _ = io.resume(conn),
            (Act::Finish, Some(conn)) => _ = io.finish(conn),
            (Act::Close, Some(conn)) => _ = io.close(conn),
            (Act::Abort, Some(conn)) => _ = io.abort(conn),
            (act, _) => panic!("{act:?} of no connection"),
        }
    }

    fn listen(&mut self, io: &mut Io, listen: Listen) {
        let listener = io.listen(listen).expect("the address is free");
        self.server = io.listener_address(listener).and_then(|at| at.as_inet()).expect("it listens");
        self.listener = Some(listener);
    }
}

impl Handler for Player {
    fn handle(&mut self, _: &mut Io, event: Event<'_>) {
        let word = match event {
            Event::Accepted { conn, .. } => {
                self.conns.push(conn);
                Word::Accepted
            }
            Event::Opened { .. } => Word::Opened,
            Event::Data { bytes, .. } => match self.words.last_mut() {
                Some(Word::Data(before)) => {
                    *before += bytes.len();
                    return;
                }
                _ => Word::Data(bytes.len()),
            },
            Event::Drained { .. } => Word::Drained,
            Event::PeerFinished { .. } => Word::PeerFinished,
            Event::Closed { reason, .. } => Word::Closed(reason.cause()),
            other => panic!("{other:?} is not in any script"),
        };
        self.words.push(word);
    }
}

type Script = [(Who, Act)];

/// What the server's and the client's handler are told over loopback.
fn over_loopback(half_close: bool, script: &Script) -> [Vec<Word>; 2] {
    let config = Config::with(|config| config.options = options(half_close));
    let mut reactors = [(); 2].map(|()| Reactor::new(config.clone()).expect("a reactor"));
    // A port that is free, and stays the client's aim when nobody listens there.
    let probe = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let server = probe.local_addr().expect("it is bound");
    drop(probe);
    let mut players = [Player::new(server), Player::new(server)];
    let mut held = [false; 2];
    for &(who, act) in script {
        let which = who as usize;
        match act {
            Act::Hold => held[which] = true,
            Act::Go => held[which] = false,
            act => players[which].act(reactors[which].io(), act),
        }
        let (mut quiet, mut rounds) = (0, 0);
        while quiet < QUIET_ROUNDS {
            quiet += 1;
            for (which, reactor) in reactors.iter_mut().enumerate().filter(|(which, _)| !held[*which]) {
                let turn = reactor.turn(Wait::For(Duration::from_millis(1)), &mut players[which]);
                let turn = turn.expect("the poller works");
                if turn.handled > 0 || turn.backlog || turn.events > 0 {
                    quiet = 0;
                }
            }
            rounds += 1;
            assert!(rounds < ROUNDS_MAX, "{act:?} of {who:?} has no end");
        }
    }
    players.map(|player| player.words)
}

/// The same in a simulated network.
fn simulated(half_close: bool, script: &Script) -> [Vec<Word>; 2] {
    let mut net = Network::new(5);
    net.link(Link::new(Latency::Fixed(Duration::from_micros(50))));
    let hosts: [Host; 2] = ["server", "client"].map(|name| net.host(name));
    let config = Config::with(|config| config.options = options(half_close));
    let server = hosts[0].port(7000);
    for host in hosts {
        let cores = Cores::new(1).config(config.clone());
        net.start(host, cores, move |_| Player::new(server)).expect("it starts");
    }
    for &(who, act) in script {
        let host = hosts[who as usize];
        match act {
            Act::Hold => net.inflict(Fault::Pause(host, Duration::from_secs(3600))),
            Act::Go => net.inflict(Fault::Calm),
            act => net.with(host, |player: &mut Player, io| player.act(io, act)),
        }
        net.run_for(QUIET_AFTER);
    }
    hosts.map(|host| net.app::<Player>(host).words.clone())
}

fn same(half_close: bool, script: &Script) -> [Vec<Word>; 2] {
    let real = over_loopback(half_close, script);
    let ours = simulated(half_close, script);
    assert_eq!(ours, real, "simulated: left, Linux: right, for {script:?}");
    real
}

use Act::*;
use Who::*;

#[test]
fn connecting_where_nobody_listens() {
    let [_, client] = same(false, &[(Client, Connect)]);
    assert_eq!(client, [Word::Closed(Cause::Refused)]);
}

#[test]
fn bytes_both_ways_and_the_client_closes() {
    same(
        false,
        &[(Server, Listen), (Client, Connect), (Client, Send(100)), (Server, Send(5000)), (Client, Close)],
    );
}

#[test]
fn the_server_closes_with_bytes_unread() {
    for end in [Close, Abort] {
        same(
            false,
            &[
                (Server, Listen),
                (Client, Connect),
                (Server, Pause),
                (Client, Send(3000)),
                (Server, end),
                (Client, Send(100)),
            ],
        );
    }
}

#[test]
fn the_client_ends_while_its_bytes_are_unread() {
    for end in [Finish, Close, Abort] {
        for half_close in [false, true] {
            same(
                half_close,
                &[
                    (Server, Listen),
                    (Client, Connect),
                    (Server, Pause),
                    (Client, Send(3000)),
                    (Client, end),
                    (Server, Resume),
                    (Server, Send(10)),
                    (Server, Close),
                ],
            );
        }
    }
}

#[test]
fn a_reset_that_overtakes_nothing_while_the_server_is_not_served() {
    for end in [Finish, Close, Abort] {
        same(
            false,
            &[
                (Server, Listen),
                (Client, Connect),
                (Server, Hold),
                (Client, Send(3000)),
                (Client, end),
                (Server, Go),
                (Server, Close),
            ],
        );
    }
}

#[test]
fn half_closing_both_ways() {
    let [server, client] = same(
        true,
        &[
            (Server, Listen),
            (Client, Connect),
            (Client, Send(10)),
            (Client, Finish),
            (Server, Send(20)),
            (Server, Finish),
        ],
    );
    assert!(server.contains(&Word::PeerFinished) && client.contains(&Word::PeerFinished));
}

#[test]
fn a_client_that_has_gone_before_it_is_accepted() {
    for end in [Finish, Close, Abort] {
        same(
            false,
            &[
                (Server, Listen),
                (Server, Hold),
                (Client, Connect),
                (Client, Send(100)),
                (Client, end),
                (Server, Go),
                (Server, Close),
            ],
        );
    }
}

#[test]
fn a_listener_that_closes_with_somebody_in_its_backlog() {
    let [_, client] =
        same(false, &[(Server, Listen), (Server, Hold), (Client, Connect), (Server, Unlisten), (Server, Go)]);
    assert_eq!(client, [Word::Opened, Word::Closed(Cause::Reset)]);
}

#[test]
fn a_backlog_that_is_full() {
    let mut script = vec![(Server, ListenTo(2)), (Server, Hold)];
    script.extend([(Client, Connect); 6]);
    let [_, client] = same(false, &script);
    assert_eq!(client, [Word::Opened; 3]);
}

#[test]
fn writing_after_the_peer_has_reset() {
    same(
        false,
        &[
            (Server, Listen),
            (Client, Connect),
            (Client, Hold),
            (Server, Abort),
            (Client, Send(10)),
            (Client, Go),
        ],
    );
}

#[test]
fn writing_after_the_peer_has_closed() {
    for half_close in [false, true] {
        same(
            half_close,
            &[
                (Server, Listen),
                (Client, Connect),
                (Client, Hold),
                (Server, Close),
                (Client, Send(10)),
                (Client, Send(10)),
                (Client, Go),
            ],
        );
    }
}

#[test]
fn a_megabyte_against_a_server_that_reads_late() {
    for end in [Finish, Close] {
        same(
            false,
            &[
                (Server, Listen),
                (Client, Connect),
                (Server, Pause),
                (Client, Send(1_000_000)),
                (Client, end),
                (Server, Resume),
            ],
        );
    }
}

#[test]
fn both_close_at_once() {
    same(
        false,
        &[
            (Server, Listen),
            (Client, Connect),
            (Server, Hold),
            (Client, Send(10)),
            (Client, Close),
            (Server, Send(10)),
            (Server, Close),
            (Server, Go),
        ],
    );
}
