//! Peers that end their side, vanish without a word, or reset, and what the kernel says of it.

use crate::rig::{Rig, Script, Seen, config, echo, pattern, silent};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;
use windlass::{Cause, Event, Io, Listen, Options};

/// Sockets of the server at `address`, connected to one of `peers`, that wait for it to end its side.
fn in_close_wait(address: SocketAddr, peers: &[SocketAddr]) -> usize {
    const CLOSE_WAIT: &str = "08";
    let has_port = |column: &str, of: &SocketAddr| column.ends_with(&format!(":{:04X}", of.port()));
    let table = std::fs::read_to_string("/proc/self/net/tcp").expect("Linux shows its sockets");
    let sockets = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let ours = sockets
        .filter(|socket| has_port(socket[1], &address) && peers.iter().any(|peer| has_port(socket[2], peer)));
    ours.filter(|socket| socket[3] == CLOSE_WAIT).count()
}

#[test]
fn half_closed_peers_cost_no_turn_get_their_answer_and_leave_no_socket_behind() {
    const PEERS: usize = 40;
    let mut rig = Rig::with(config(|c| c.options.half_close = true));
    let mut peers: Vec<TcpStream> = (0..PEERS).map(|_| rig.peer()).collect();
    let addresses: Vec<SocketAddr> = peers.iter().map(|peer| peer.local_addr().unwrap()).collect();
    let mut script = Script::new(|io: &mut Io, event: &Event<'_>| match event {
        // Half of them are not even read.
        Event::Opened { conn, .. } if conn.index() % 2 == 0 => io.pause(*conn).unwrap(),
        _ => {}
    });
    rig.until(&mut script, |script| script.opened().len() == PEERS);
    for peer in &mut peers {
        peer.write_all(b"the last question").unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
    }
    rig.until(&mut script, |script| script.count(|seen| matches!(seen, Seen::Finished(_))) == PEERS / 2);
    rig.settle(&mut script);
    let (began, turns) = (rig.reactor.io().clock(), rig.figures().turns);
    rig.reactor.run_until(began + Duration::from_millis(100), &mut script).unwrap();
    let turns = rig.figures().turns - turns;
    assert!(turns <= 3, "{turns} turns although nobody says anything any more");
    assert_eq!(in_close_wait(rig.address, &addresses), PEERS, "it is half-closed peers that cost no turns");

    let answer = pattern(20_000);
    for conn in script.opened() {
        let io = rig.reactor.io();
        io.resume(conn).unwrap();
        io.send(conn, &answer).unwrap();
        io.finish(conn).unwrap();
    }
    rig.until(&mut script, |script| script.causes().len() == PEERS);
    for mut peer in peers {
        let mut got = Vec::new();
        peer.read_to_end(&mut got).unwrap();
        assert!(got == answer);
    }
    assert_eq!(script.causes(), [Cause::PeerClosed; PEERS]);
    assert_eq!(in_close_wait(rig.address, &addresses), 0);
    rig.assert_nothing_left();
}

/// Nothing but the kernel ends such a connection.
fn only_the_kernel(user_timeout: Duration) -> Options {
    Options::with(|o| {
        o.timeouts.read = None;
        o.timeouts.write = None;
        o.timeouts.keep_alive = None;
        o.socket.user_timeout = Some(user_timeout);
    })
}

#[test]
fn a_peer_that_takes_nothing_any_more_has_vanished_after_the_user_timeout() {
    let mut rig = Rig::with(config(|c| c.options = only_the_kernel(Duration::from_millis(300))));
    let _peer = rig.peer();
    let mut script = silent();
    rig.until(&mut script, |script| !script.opened().is_empty());
    let conn = script.opened()[0];
    while rig.reactor.io().send(conn, &[1; 50_000]).is_ok() {}
    rig.until(&mut script, |script| !script.causes().is_empty());
    assert_eq!(script.causes(), [Cause::PeerVanished]);
    rig.assert_nothing_left();
}

/// Runs the test of that name again in a network of its own; true there. A machine that forbids that skips it.
fn in_a_network_of_its_own(test: &str) -> bool {
    const INSIDE: &str = "TORTURE_NETWORK";
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let allowed = Command::new("unshare").args(["--user", "--map-root-user", "--net", "ip", "link"]).output();
    if !allowed.is_ok_and(|ran| ran.status.success()) {
        eprintln!("skipped: no network namespaces (or no ip) here; the simulated network has the same test");
        return false;
    }
    let ran = Command::new("unshare")
        .args(["--user", "--map-root-user", "--net"])
        .arg(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&ran.stdout) + String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success() && output.contains("1 passed"), "{test} in a network of its own: {output}");
    false
}

fn ip(arguments: &str) -> bool {
    Command::new("ip").args(arguments.split(' ')).status().unwrap().success()
}

/// The peer's address goes away, and what is sent to it is routed into a device that nobody reads.
#[test]
fn a_peer_behind_a_black_hole_has_vanished_after_the_user_timeout() {
    if !in_a_network_of_its_own("ends::a_peer_behind_a_black_hole_has_vanished_after_the_user_timeout") {
        return;
    }
    assert!(
        ip("link set lo up") && ip("address add 10.8.0.1/32 dev lo") && ip("address add 10.9.0.1/32 dev lo")
    );
    if !ip("tuntap add dev hole mode tun") || !ip("link set hole up") {
        eprintln!("skipped: this kernel has no tun devices; the simulated network has the same test");
        return;
    }
    let mut rig = Rig::with(config(|c| c.options = only_the_kernel(Duration::from_millis(300))));
    let listener = rig.reactor.io().listen(Listen::tcp("10.8.0.1:0")).unwrap();
    let address = rig.reactor.io().listener_address(listener).unwrap().as_inet().unwrap();
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([10, 9, 0, 1], 0)).into()).unwrap();
    socket.connect(&address.into()).unwrap();
    let mut peer = TcpStream::from(socket);
    peer.write_all(b"alive").unwrap();
    let mut script = echo();
    rig.until(&mut script, |script| script.received() == b"alive");
    peer.read_exact(&mut [0; 5]).unwrap();
    rig.settle(&mut script);

    assert!(ip("address del 10.9.0.1/32 dev lo") && ip("route add 10.9.0.0/24 dev hole"));
    let conn = script.opened()[0];
    rig.reactor.io().send(conn, b"is anybody there?").unwrap();
    rig.until(&mut script, |script| !script.causes().is_empty());
    assert_eq!(script.causes(), [Cause::PeerVanished]);
    rig.assert_nothing_left();
}
