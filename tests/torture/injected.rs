//! Errors that the kernel gives only when it is in trouble, put into its answers by strace.

use crate::rig::{Rig, Script};
use crate::strace::strace_is_here;
use crate::thorough::thorough;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;
use windlass::{Event, Io};

/// Set in the process that serves.
const SERVER: &str = "TORTURE_SERVER";
const LISTENING: &str = "the traced server listens on ";

/// Not a test by itself: what runs under strace. It echoes until somebody says "stop".
#[test]
fn what_a_traced_server_does() {
    if std::env::var_os(SERVER).is_none() {
        return;
    }
    let mut rig = Rig::new();
    println!("{LISTENING}{}", rig.address);
    let mut script = Script::new(|io: &mut Io, event: &Event<'_>| match event {
        Event::Data { bytes: b"stop", .. } => io.stop(),
        Event::Data { conn, bytes } => _ = io.send(*conn, bytes),
        _ => {}
    });
    rig.reactor.run(&mut script).unwrap();
}

fn connect(address: SocketAddr) -> TcpStream {
    let peer = TcpStream::connect(address).unwrap();
    peer.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    peer
}

fn is_answered(peer: &mut TcpStream) -> bool {
    let mut answer = [0; 4];
    peer.write_all(b"ping").is_ok() && peer.read_exact(&mut answer).is_ok() && &answer == b"ping"
}

/// The second time that the server makes `call`, it fails with `errno`. Answers whether the connection that it was
/// about lived on; all others must.
fn victim_survives(call: &str, errno: &str) -> bool {
    let mut strace = Command::new("strace")
        .args(["-f", "-qq", "-e", &format!("trace={call}"), "-e"])
        .arg(format!("inject={call}:error={errno}:when=2"))
        .arg(std::env::current_exe().unwrap())
        .args(["injected::what_a_traced_server_does", "--exact", "--nocapture"])
        .env(SERVER, "1")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(strace.stdout.take().expect("piped")).lines();
    let address =
        lines.find_map(|line| line.unwrap().split_once(LISTENING).map(|(_, address)| address.to_owned()));
    let address: SocketAddr = address.expect("it listens").parse().unwrap();
    let (mut victim, mut other) = (connect(address), connect(address));
    assert!(is_answered(&mut victim), "the first {call} does not fail");
    let survives = is_answered(&mut victim);
    assert!(
        is_answered(&mut other) && is_answered(&mut connect(address)),
        "{call} with {errno} ended others too"
    );
    assert_eq!(is_answered(&mut victim), survives, "an end is an end");
    other.write_all(b"stop").unwrap();
    assert!(lines.any(|line| line.unwrap().contains("1 passed")), "{call} with {errno} ended the server");
    strace.wait().unwrap();
    survives
}

#[test]
fn an_error_of_one_read_or_write_ends_that_connection_and_no_other() {
    if !strace_is_here() {
        return;
    }
    let all = ["ENOBUFS", "ECONNRESET", "ENOMEM", "EPIPE", "ETIMEDOUT", "EHOSTUNREACH", "ENETDOWN", "EIO"];
    for errno in &all[..thorough(all.len(), 2)] {
        for call in ["sendto", "recvfrom"] {
            assert!(!victim_survives(call, errno), "{call} failed with {errno}, and nobody noticed");
        }
    }
}

#[test]
fn an_interrupted_read_or_write_is_made_again() {
    if !strace_is_here() {
        return;
    }
    for call in ["sendto", "recvfrom"] {
        assert!(victim_survives(call, "EINTR"), "{call}");
    }
}

#[test]
fn an_interrupted_or_failing_accept_is_made_again() {
    if !strace_is_here() {
        return;
    }
    let all =
        ["EOPNOTSUPP", "EINTR", "EMFILE", "ECONNABORTED", "EPROTO", "ENOBUFS", "ENETDOWN", "EPERM", "ENOMEM"];
    for errno in &all[..thorough(all.len(), 2)] {
        assert!(victim_survives("accept4", errno), "{errno}");
    }
}
