//! Very many connections at once, server and client in two processes: none is lost from a cold start, none costs
//! more memory than promised while idle, and an idle server sleeps.
//!
//! The server is the `echo` example. 10,000 connections, or as many as the limit of open files allows.

#![cfg(target_os = "linux")]

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How many are wanted at once.
const CONNECTIONS: u64 = 10_000;

/// What an idle connection may take of the server's memory. 256 bytes are promised; the rest is for the
/// allocator, for pages that are only partly used, and for what a debug build adds.
const BYTES_PER_CONNECTION_MAX: f64 = 300.0;

/// The same for all of them together: vectors that were outgrown and tables that grew.
const BYTES_BESIDES_MAX: f64 = 96.0 * 1024.0;

/// So many come and are served before anything is counted.
const FIRST: usize = 100;

/// How often an idle server may wake up.
const WAKE_UPS_PER_SECOND_MAX: f64 = 10.0;

/// Descriptors of either process besides those of the connections.
const OTHER_DESCRIPTORS: u64 = 64 + FIRST as u64;

const BURST_BYTES: usize = 16 * 1024;

/// Raises the limit of open files as far as allowed, which the server inherits, and says how many connections it
/// allows.
fn connections_allowed() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let needed = CONNECTIONS + OTHER_DESCRIPTORS;
    let raised = limit.maximum.map_or(needed, |maximum| needed.min(maximum));
    if limit.current.is_some_and(|current| current < raised) {
        setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum: limit.maximum })
            .expect("the soft limit may be raised to the hard one");
    }
    let allowed = raised.saturating_sub(OTHER_DESCRIPTORS).min(CONNECTIONS);
    if allowed < CONNECTIONS {
        println!(
            "only {allowed} connections instead of {CONNECTIONS}: the hard limit of open files is {raised}"
        );
    }
    allowed as usize
}

/// The `echo` example in a process of its own.
struct Server {
    process: Child,
    address: SocketAddr,
}

impl Server {
    fn start() -> Server {
        let mut process =
            Command::new(echo_binary()).stdout(Stdio::piped()).spawn().expect("the server starts");
        let mut first = String::new();
        let stdout = process.stdout.take().expect("stdout is piped");
        BufReader::new(stdout).read_line(&mut first).expect("the server prints where it listens");
        let address = first.trim().strip_prefix("listening on ").expect("the promised first line");
        Server { address: address.parse().expect("an address"), process }
    }

    fn proc_file(&self, name: &str) -> String {
        let path = format!("/proc/{}/{name}", self.process.id());
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// The number behind `name` in a file of the kernel's about this process.
    fn number(&self, file: &str, name: &str) -> u64 {
        let text = self.proc_file(file);
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next());
        value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name} in {file}:\n{text}"))
    }

    /// Memory of its own, that is neither a file's nor the kernel's.
    fn memory_bytes(&self) -> u64 {
        self.number("smaps_rollup", "Anonymous:") * 1024
    }

    fn sockets(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.process.id());
        let all = std::fs::read_dir(folder).expect("the server runs");
        let target = |entry: std::io::Result<std::fs::DirEntry>| std::fs::read_link(entry.ok()?.path()).ok();
        all.filter_map(target).filter(|target| target.to_string_lossy().starts_with("socket:")).count()
    }

    /// How often it went to sleep, by its own wish, so far.
    fn sleeps(&self) -> u64 {
        self.number("status", "voluntary_ctxt_switches:")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself, which some assertion has told of.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn echo_binary() -> PathBuf {
    let own = std::env::current_exe().expect("a test knows its own path");
    let profile = own.parent().and_then(|deps| deps.parent()).expect("tests live in PROFILE/deps");
    let echo = profile.join("examples").join("echo");
    assert!(echo.exists(), "{} is missing: `cargo test` builds it, `--test` alone does not", echo.display());
    echo
}

/// Sends `message` on every connection before it reads any answer; how many answered.
fn echo_on_all(peers: &mut [TcpStream], message: &[u8]) -> usize {
    for peer in peers.iter_mut() {
        peer.write_all(message).expect("the server reads");
    }
    let mut answer = vec![0; message.len()];
    let answered = |peer: &mut TcpStream| {
        answer.fill(0);
        peer.read_exact(&mut answer).expect("the server answers");
        answer == message
    };
    peers.iter_mut().map(answered).filter(|whole| *whole).count()
}

fn connect(server: &Server, count: usize) -> Vec<TcpStream> {
    (0..count).map(|_| TcpStream::connect(server.address).expect("the server takes all in")).collect()
}

#[test]
fn ten_thousand_connections_are_all_served_and_cost_little_while_idle() {
    let count = connections_allowed();
    let server = Server::start();
    // What the server makes once, whatever comes, is not the connections': a few of them make it beforehand. The deadline
    // wheel has its tables from the 65th on, and histograms have theirs after some dozens of different values.
    let mut first = connect(&server, FIRST);
    for byte in [b'f'; 8] {
        assert_eq!(echo_on_all(&mut first, &[byte; BURST_BYTES]), FIRST);
    }
    let (memory_before, sockets_before) = (server.memory_bytes(), server.sockets());
    let per_connection = || server.memory_bytes().saturating_sub(memory_before) as f64 / count as f64;
    let bytes_max = BYTES_PER_CONNECTION_MAX + BYTES_BESIDES_MAX / count as f64;

    let mut peers = connect(&server, count);
    assert_eq!(echo_on_all(&mut peers, &[b'w'; 64]), count);
    assert_eq!(server.sockets() - sockets_before, count);
    let idle = per_connection();
    let wake_ups = wake_ups_per_second(&server, &mut peers[0]);

    assert_eq!(echo_on_all(&mut peers, &[b'b'; BURST_BYTES]), count);
    let after_burst = per_connection();

    println!(
        "{count} connections: {idle:.0} bytes each while idle, {after_burst:.0} after a burst of 16 KiB each"
    );
    println!("{wake_ups:.1} wake-ups a second while idle");
    assert!(idle <= bytes_max, "{idle:.0} bytes per idle connection");
    assert!(after_burst <= bytes_max, "{after_burst:.0} bytes per connection after a burst");
    assert!(wake_ups <= WAKE_UPS_PER_SECOND_MAX, "{wake_ups:.1} wake-ups a second");
}

/// How often the server wakes up while nobody sends anything, watched for as long as a read takes to time out.
fn wake_ups_per_second(server: &Server, peer: &mut TcpStream) -> f64 {
    peer.set_read_timeout(Some(Duration::from_secs(1))).expect("a timeout can be set");
    let (before, since) = (server.sleeps(), Instant::now());
    let silence = peer.read(&mut [0]).expect_err("nobody was asked anything");
    assert_eq!(silence.kind(), std::io::ErrorKind::WouldBlock);
    let sleeps = server.sleeps() - before;
    peer.set_read_timeout(None).expect("a timeout can be taken away");
    sleeps as f64 / since.elapsed().as_secs_f64()
}
