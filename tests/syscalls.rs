//! What a message costs in system calls, counted by strace over the `echo` example: the difference between a
//! long and a short run, so that starting up does not count.
//!
//! Without strace the tests say so and pass, except where `CI` is set.

#[path = "rig/strace.rs"]
mod strace;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use strace::strace_is_here;

/// System calls by name.
type Calls = BTreeMap<String, usize>;

fn echo_binary() -> PathBuf {
    let own = std::env::current_exe().expect("a test knows its own path");
    let profile = own.parent().and_then(|deps| deps.parent()).expect("tests live in PROFILE/deps");
    let echo = profile.join("examples").join("echo");
    assert!(echo.exists(), "{} is missing: `cargo test` builds it, `--test` alone does not", echo.display());
    echo
}

struct Traced {
    strace: Child,
    server_pid: i32,
    address: String,
    log: PathBuf,
}

impl Traced {
    fn start(name: &str) -> Traced {
        let log = std::env::temp_dir().join(format!("windlass-{name}-{}.strace", std::process::id()));
        let mut strace = Command::new("strace")
            .args(["-f", "-qq", "-o"])
            .arg(&log)
            .arg(echo_binary())
            .stdout(Stdio::piped())
            .spawn()
            .expect("strace starts");
        let mut first = String::new();
        let stdout = strace.stdout.take().expect("stdout is piped");
        BufReader::new(stdout).read_line(&mut first).expect("the server prints where it listens");
        let address = first.trim().strip_prefix("listening on ").expect("the promised first line").to_owned();
        let children = format!("/proc/{0}/task/{0}/children", strace.id());
        let children = std::fs::read_to_string(children).expect("the kernel lists children");
        let server_pid = children.trim().parse().expect("strace has one child");
        Traced { strace, server_pid, address, log }
    }

    /// Ends the server and counts what it called.
    fn finish(mut self) -> Calls {
        let pid = rustix::process::Pid::from_raw(self.server_pid).expect("a pid is positive");
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("the server still runs");
        self.strace.wait().expect("strace ends with the server");
        let log = std::fs::read_to_string(&self.log).expect("strace wrote its log");
        std::fs::remove_file(&self.log).expect("the log can be removed");
        let mut calls = Calls::new();
        for line in log.lines().filter(|line| !line.contains("resumed>")) {
            let call = line.split_whitespace().nth(1).and_then(|call| call.split('(').next());
            if let Some(call) = call
                .filter(|call| call.chars().all(|c| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit()))
            {
                *calls.entry(call.to_owned()).or_default() += 1;
            }
        }
        calls
    }
}

/// Calls of a server that answered `rounds` rounds of `depth` messages each on one connection.
fn calls_for(name: &str, rounds: usize, depth: usize) -> Calls {
    let traced = Traced::start(name);
    let mut peer = TcpStream::connect(&traced.address).expect("the server listens");
    let message = vec![b'w'; 64 * depth];
    let mut answer = vec![0; message.len()];
    for _ in 0..rounds {
        peer.write_all(&message).expect("the server reads");
        peer.read_exact(&mut answer).expect("the server answers");
    }
    drop(peer);
    traced.finish()
}

/// How many more calls of each kind 200 more rounds took, per round.
fn calls_per_round(name: &str, depth: usize) -> (f64, Calls) {
    let (few, many) = (calls_for(name, 100, depth), calls_for(name, 300, depth));
    let more: Calls = many
        .iter()
        .map(|(call, n)| (call.clone(), n.saturating_sub(few.get(call).copied().unwrap_or(0))))
        .collect();
    (more.values().sum::<usize>() as f64 / 200.0, more)
}

#[test]
fn a_request_and_its_response_take_at_most_three_system_calls() {
    if !strace_is_here() {
        return;
    }
    let (per_round, calls) = calls_per_round("single", 1);
    // Ten calls in two hundred rounds may belong to the end of the connection, which one trace catches and not another.
    assert!((2.0..=3.05).contains(&per_round), "{per_round} calls per request: {calls:?}");
    assert_eq!(calls.get("epoll_ctl").copied().unwrap_or(0), 0, "registered once and for all: {calls:?}");
}

#[test]
fn sixteen_pipelined_messages_share_their_system_calls() {
    if !strace_is_here() {
        return;
    }
    let (per_round, calls) = calls_per_round("pipelined", 16);
    // Ten calls in two hundred rounds may belong to the end of the connection, which one trace catches and not another.
    assert!((2.0..=3.05).contains(&per_round), "{per_round} calls per 16 requests: {calls:?}");
}
