//! What goes wrong while something is measured: one sentence, the right exit code, and what was measured is kept.

use crate::rig::{Live, QUICK, Scratch, Server, bench, ended};
use crate::slow::left_out;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use windlass::load::Run;
use windlass::load::record::{Outcome, Verdict};

/// A run that would take a minute if nobody ended it, and says when it measures.
const LONG: [&str; 11] = [
    "--json-stream",
    "--rate",
    "500",
    "--connections",
    "2",
    "--duration",
    "60s",
    "--warm-up",
    "10ms",
    "--interval",
    "50ms",
];

fn record_of(last_line: &str) -> Run {
    let line: serde_json::Value = serde_json::from_str(last_line).expect("each line is JSON");
    assert_eq!(line["type"], "run", "the last line is the run");
    serde_json::from_value(line).expect("and holds the record")
}

/// Reads until something was measured.
fn until_measured(live: &mut Live) {
    let line = live.line();
    assert!(line.starts_with("{\"type\":\"interval\""), "{line}");
}

#[test]
fn a_target_that_refuses_is_named() {
    // Bound and not listening: nobody else takes the port, and nobody answers.
    let free = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    free.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    let address = free.local_addr().unwrap().as_socket().unwrap().to_string();
    let ended = bench(&address, &[]).expect(1).says("FAIL").says(&address).says("refused");
    assert!(!ended.stdout.contains("p50"), "nothing was measured, so nothing is told: {}", ended.stdout);
}

#[test]
fn a_missing_socket_file_is_named() {
    bench("unix:/nonexistent/echo.sock", &[]).expect(1).says("unix:/nonexistent/echo.sock");
}

#[test]
fn a_host_that_is_unknown_is_named() {
    // `.invalid` never exists (RFC 2606).
    bench("windlass.invalid:7000", &[]).expect(1).says("host 'windlass.invalid' was not found");
}

#[test]
fn a_target_that_vanishes_ends_the_run_and_what_came_before_is_kept() {
    if left_out() {
        return;
    }
    let mut server = Live::start(["serve", "--listen", "127.0.0.1:0"]);
    let address = server.line().trim_start_matches("listening on ").trim().to_owned();
    let scratch = Scratch::new();
    let out = scratch.join("results");
    let mut live = Live::start([&["bench", &address, "--out", &out], &LONG[..]].concat());
    until_measured(&mut live);
    server.kill();
    let ended = live.wait().expect(1).says("is gone");
    let run = record_of(ended.stdout.lines().last().unwrap());
    assert_eq!(run.outcome, Outcome::Failed);
    assert!(run.totals.answered > 0 && !run.response.histogram.is_empty());
    let saved = std::fs::read_to_string(format!("{out}/run.json")).unwrap();
    assert_eq!(serde_json::from_str::<Run>(&saved).unwrap(), run);
}

#[test]
fn a_target_that_speaks_something_else_is_quoted() {
    let echo = Server::start();
    bench(&format!("http://{}/", echo.address), &[]).expect(1).says("FAIL").says("GET / HTTP/1.1");
    let web = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = web.local_addr().unwrap().to_string();
    let server = std::thread::spawn(move || {
        let (mut client, _) = web.accept().expect("the generator connects");
        let _ = client.read(&mut [0; 64]);
        let _ = client.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        // Until the generator has gone.
        let _ = client.read_to_end(&mut Vec::new());
    });
    let words = ["bench", &address, "--rate", "max", "-c", "1", "--duration", "10s", "--warm-up", "0"];
    ended(words).expect(1).says("400 Bad Request").says("no echo server");
    server.join().unwrap();
}

#[test]
fn a_target_that_answers_nothing_is_found_out_by_the_time_out() {
    // The kernel takes the connections in, and nobody ever reads them.
    let deaf = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = deaf.local_addr().unwrap().to_string();
    let words = [
        "bench",
        &address,
        "--rate",
        "100",
        "-c",
        "2",
        "--duration",
        "60s",
        "--warm-up",
        "0",
        "--timeout",
        "150ms",
    ];
    ended(words).expect(1).says("did not answer a single request within 150");
}

#[test]
fn connections_that_are_refused_fail_the_run_and_the_others_are_measured() {
    if left_out() {
        return;
    }
    let scratch = Scratch::new();
    let path = scratch.join("few.sock");
    let listener = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
    listener.bind(&socket2::SockAddr::unix(&path).unwrap()).unwrap();
    // Room for one that waits; two are accepted and served, further ones are refused.
    listener.listen(0).unwrap();
    let server = std::thread::spawn(move || {
        let serve = |mut client: socket2::Socket| {
            let mut bytes = [0; 4096];
            while let Ok(n @ 1..) = client.read(&mut bytes) {
                if client.write_all(&bytes[..n]).is_err() {
                    break;
                }
            }
        };
        let clients: Vec<_> = (0..2).map(|_| listener.accept().expect("the generator connects").0).collect();
        let threads: Vec<_> =
            clients.into_iter().map(|client| std::thread::spawn(move || serve(client))).collect();
        threads.into_iter().for_each(|thread| thread.join().expect("an echo ends"));
    });
    let target = format!("unix:{path}");
    let words = [
        "bench",
        &target,
        "--rate",
        "max",
        "-c",
        "6",
        "--duration",
        "400ms",
        "--warm-up",
        "0",
        "--timeout",
        "200ms",
    ];
    let ended = ended(words).expect(1).says("FAIL").says("of 6 connections").says("could not be opened");
    assert!(ended.stdout.contains("p50"), "the others were measured: {}", ended.stdout);
    server.join().unwrap();
}

#[test]
fn an_interrupt_keeps_what_was_measured() {
    for signal in ["INT", "TERM"].into_iter().take(crate::thorough::thorough(2, 1)) {
        let scratch = Scratch::new();
        let out = scratch.join("results");
        let mut live = Live::start([&["bench", "--out", &out], &LONG[..]].concat());
        until_measured(&mut live);
        live.signal(signal);
        let ended = live.wait().expect(130);
        let run = record_of(ended.stdout.lines().last().unwrap());
        assert_eq!(run.outcome, Outcome::Interrupted);
        assert!(run.totals.answered > 0 && run.measured_s < 60.0);
        for file in ["run.json", "report.html", "latency.hlog", "latency.hgrm"] {
            assert!(std::fs::metadata(format!("{out}/{file}")).unwrap().len() > 0, "{file}");
        }
    }
}

#[test]
fn an_interrupted_run_says_so_in_its_text() {
    let mut live = Live::start(["bench", "--duration", "60s", "--rate", "max", "-c", "1"]);
    assert!(live.line().starts_with("windlass "));
    live.signal("INT");
    live.wait().expect(130).says("INTERRUPTED");
}

#[test]
fn an_interrupted_search_keeps_its_probes() {
    if left_out() {
        return;
    }
    let words =
        ["--slo", "p50=10s", "--search", "--json-stream", "--rate", "200", "-c", "1", "--warm-up", "0"];
    let mut live =
        Live::start([&["bench", "--duration", "300ms", "--interval", "50ms"], &words[..]].concat());
    while !live.line().starts_with("{\"type\":\"probe\"") {}
    live.signal("INT");
    let run = record_of(live.wait().expect(130).stdout.lines().last().unwrap());
    assert!(!run.search.expect("there was a search").probes.is_empty());
}

#[test]
fn a_reader_that_leaves_is_no_panic() {
    if left_out() {
        return;
    }
    let mut live = Live::start([&["bench"], &QUICK[..]].concat());
    live.line();
    let ended = live.wait_deaf().expect(0);
    assert_eq!(ended.stderr, "");
    // Nobody is left to stream to, so the rest of the minute is not measured either.
    let mut live = Live::start([&["bench"], &LONG[..]].concat());
    live.line();
    live.wait_deaf().expect(130);
}

#[test]
fn a_result_that_cannot_be_printed_is_a_failure() {
    if left_out() {
        return;
    }
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let output = crate::rig::windlass().arg("bench").args(QUICK).stdout(full).output().unwrap();
    crate::rig::Ended::of(&output).expect(1).says("standard output");
    // A stream without room is a failure too, and the files are there all the same.
    let (scratch, full) = (Scratch::new(), std::fs::File::options().write(true).open("/dev/full").unwrap());
    let words = ["bench", "--json-stream", "--out", &scratch.join("results")];
    let output = crate::rig::windlass().args(words).args(QUICK).stdout(full).output().unwrap();
    crate::rig::Ended::of(&output).expect(1).says("standard output");
    assert!(std::fs::metadata(scratch.join("results/run.json")).unwrap().len() > 0);
}

#[test]
fn a_disk_that_fills_up_loses_the_files_and_not_the_result() {
    let scratch = Scratch::new();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=16k", "windlass-test"])
        .arg(scratch.path())
        .output()
        .is_ok_and(|output| output.status.success());
    if !mounted {
        eprintln!("skipped: only root may mount the tiny file system that this needs");
        return;
    }
    let ended = ended([&["bench", "--out", scratch.path().to_str().unwrap()], &QUICK[..]].concat());
    let left: Vec<_> = std::fs::read_dir(scratch.path()).unwrap().collect();
    let left = format!("{left:?}");
    Command::new("umount").arg(scratch.path()).status().expect("what was mounted can be unmounted");
    let ended = ended.expect(1).says("could not be saved").says("p50");
    assert!(!ended.stdout.contains("Saved"), "{}", ended.stdout);
    assert_eq!(left, "[]", "no half file is left");
}

#[test]
fn a_generator_that_cannot_keep_up_is_not_to_be_trusted_whatever_the_objective_says() {
    if left_out() {
        return;
    }
    // Far beyond what any machine sends.
    let words = [
        "--rate",
        "50m",
        "-c",
        "64",
        "--depth",
        "64",
        "--duration",
        "200ms",
        "--warm-up",
        "0",
        "--timeout",
        "1s",
    ];
    let ended = ended([&["bench", "--json", "--slo", "max=1ns"], &words[..]].concat()).expect(4);
    let run = ended.run();
    assert_eq!((run.generator.verdict, run.slo[0].kept), (Verdict::Untrustworthy, false));
}
