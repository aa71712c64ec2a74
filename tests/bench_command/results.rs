//! What a good run prints and saves, and that everything agrees.

use crate::rig::{Ended, Live, QUICK, Scratch, Server, bench, ended, windlass};
use crate::slow::left_out;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
use windlass::Listen;
use windlass::load::Run;
use windlass::load::record::{Interval, Outcome};

#[track_caller]
fn position(ended: &Ended, words: &str) -> usize {
    ended.stdout.find(words).unwrap_or_else(|| panic!("'{words}' is missing in {}", ended.stdout))
}

#[test]
fn without_a_target_the_server_within_is_measured_and_verdicts_come_first() {
    let ended = ended([&["bench", "--slo", "errors=0%"], &QUICK[..]].concat()).expect(0);
    let order = ["windlass ", "embedded echo server", "PASS", "Load ", "Latency ", "p50 ", "max "];
    let places = order.map(|words| position(&ended, words));
    assert!(places.is_sorted(), "{places:?}: {}", ended.stdout);
    assert_eq!(ended.stderr, "", "no progress where nobody watches");
}

#[test]
fn what_is_piped_has_no_escapes() {
    let colourful = windlass().arg("bench").args(QUICK).env("CLICOLOR_FORCE", "1").output().unwrap();
    let plain = Ended::of(&colourful).expect(0);
    assert!(!plain.stdout.contains('\x1b') && !plain.stderr.contains('\x1b'), "{}", plain.stdout);
}

#[test]
fn objectives_decide_the_exit_code() {
    if left_out() {
        return;
    }
    let server = Server::start();
    bench(&server.address, &["--slo", "errors=0%,max=1h"]).expect(0).says("PASS");
    bench(&server.address, &["--slo", "errors=0%", "--slo", "max=1ns"]).expect(3).says("PASS").says("MISS");
    bench(&server.address, &["--slo", "p99.9999=1s"]).expect(3).says("cannot be judged");
}

#[test]
fn json_is_the_record_and_nothing_else() {
    let server = Server::start();
    let run = bench(&server.address, &["--json", "--size", "16..32", "--slo", "max=1h"]).expect(0).run();
    assert_eq!((run.outcome, run.failure.as_deref()), (Outcome::Complete, None));
    assert_eq!((run.target.named.as_str(), run.target.embedded), (server.address.as_str(), false));
    assert_eq!((run.target.transport.as_str(), run.target.protocol.as_str()), ("tcp", "echo"));
    assert_eq!((run.workload.size_bytes.as_str(), run.workload.connections), ("16..32", 2));
    assert_eq!(run.host.reference_round_trip_ns.len(), 2, "before and after");
    assert!(run.slo[0].kept && run.totals.answered > 0);
    let expected = format!("windlass bench {} --rate max", server.address);
    assert!(run.command.starts_with(&expected), "{}", run.command);
}

#[test]
fn a_stream_is_its_intervals_and_then_the_run() {
    let words = ["--json-stream", "--interval", "50ms"];
    let stream = ended([&["bench"], &QUICK[..], &words].concat()).expect(0).stdout;
    let lines: Vec<serde_json::Value> =
        stream.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect();
    let (last, intervals) = lines.split_last().expect("there are lines");
    assert!(intervals.len() >= 3 && intervals.iter().all(|line| line["type"] == "interval"));
    assert_eq!(last["type"], "run");
    let run: Run = serde_json::from_value(last.clone()).unwrap();
    let streamed: Vec<Interval> =
        intervals.iter().map(|line| serde_json::from_value(line.clone()).unwrap()).collect();
    // What comes when the last interval has been told is a rest that is counted with it, unless it is an interval itself.
    let (told_last, told) = streamed.split_last().expect("there are intervals");
    assert!(told == &run.intervals[..told.len()], "what was streamed is what the run holds");
    let kept_last = &run.intervals[told.len()];
    assert_eq!(told_last.start_s, kept_last.start_s);
    assert!(told_last.answered <= kept_last.answered, "{} of {}", told_last.answered, kept_last.answered);
}

#[test]
fn files_are_whole_and_agree() {
    let scratch = Scratch::new();
    let out = scratch.join("deep/run-1");
    let words = ["--json", "--interval", "50ms", "--out", &out];
    let printed = ended([&["bench"], &QUICK[..], &words].concat()).expect(0).run();
    let read = |name: &str| std::fs::read_to_string(format!("{out}/{name}")).unwrap();
    assert_eq!(serde_json::from_str::<Run>(&read("run.json")).unwrap(), printed);
    let mut names: Vec<_> = std::fs::read_dir(&out)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["latency.hgrm", "latency.hlog", "report.html", "run.json"]);
    let count = printed.response.histogram.count();
    assert_eq!(count_in_log(&read("latency.hlog")), count);
    assert!(read("latency.hgrm").contains(&format!("Total count    = {count:>12}")));
    assert!(read("report.html").starts_with("<!DOCTYPE html>"));
}

/// All values of an interval log, as a foreign reader counts them.
fn count_in_log(log: &str) -> u64 {
    let mut count = 0;
    for entry in IntervalLogIterator::new(log.as_bytes()) {
        if let Ok(LogEntry::Interval(interval)) = entry {
            assert_eq!(interval.tag().map(|tag| tag.as_str().to_owned()).as_deref(), Some("response"));
            let bytes = base64_of(interval.encoded_histogram());
            let histogram: hdrhistogram::Histogram<u64> =
                Deserializer::new().deserialize(&mut bytes.as_slice()).unwrap();
            count += histogram.len();
        }
    }
    count
}

/// RFC 4648, without a crate for ten lines.
fn base64_of(text: &str) -> Vec<u8> {
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let (mut bits, mut held, mut bytes) = (0u32, 0, Vec::new());
    for byte in text.bytes().filter(|byte| *byte != b'=') {
        bits = bits << 6 | u32::from(value(byte));
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
        }
    }
    bytes
}

#[test]
fn every_kind_of_address_is_reached() {
    if left_out() {
        return;
    }
    let scratch = Scratch::new();
    let path = scratch.join("echo.sock");
    let unix = Server::at(Listen::at(std::path::PathBuf::from(&path).into()));
    bench(&format!("unix:{path}"), &[]).expect(0).says("unix");
    drop(unix);
    let server = Server::start();
    let port = server.address.rsplit(':').next().unwrap();
    // Whatever the name resolves to first, the address that answers is found.
    let run = bench(&format!("localhost:{port}"), &["--json"]).expect(0).run();
    assert_eq!(run.target.named, format!("localhost:{port}"));
    assert!(run.target.address.ends_with(&format!(":{port}")));
    if let Ok(probe) = std::net::TcpListener::bind("[::1]:0") {
        drop(probe);
        let server = Server::at(Listen::tcp("[::1]:0"));
        bench(&server.address, &[]).expect(0).says("[::1]");
    }
    ended([&["load", &server.address], &QUICK[..]].concat()).expect(0);
}

#[test]
fn every_shape_of_load_runs() {
    if left_out() {
        return;
    }
    let server = Server::start();
    for words in [
        &["--rate", "500"][..],
        &["--rate", "200..2k", "--poisson"],
        &["--rate", "1k", "--depth", "4", "--size", "64:9,4k:1"],
        &["--rate", "max", "--depth", "8", "--threads", "2", "--pin", "--idle", "spin"],
        &["--rate", "max", "--think", "1ms", "--reconnect-every", "5", "--idle", "block"],
    ] {
        let flags = ["-c", "4", "--duration", "200ms", "--warm-up", "10ms", "--json", "--quiet"];
        let ended = ended([&["bench", &server.address], words, &flags].concat());
        // An open loop on a busy machine may be late; that is no failure.
        assert!([0, 4].contains(&ended.code), "{words:?}: {} {}", ended.code, ended.stderr);
        let run = ended.run();
        assert!(run.totals.answered > 0 && run.totals.failed() == 0, "{words:?}: {:?}", run.totals);
    }
}

#[test]
fn a_run_compares_with_an_earlier_one() {
    if left_out() {
        return;
    }
    let scratch = Scratch::new();
    let base = scratch.join("base");
    let words = ["--interval", "10ms"];
    ended([&["bench", "--out", &base], &QUICK[..], &words].concat()).expect(0);
    let again = ended([&["bench", "--compare", &base], &QUICK[..], &words].concat()).expect(0);
    again.says("Baseline").says(&base);
    // Another size is another workload: the run is good, the comparison is not to be had.
    let other =
        ended([&["bench", "--compare", &base, "--size", "128"], &QUICK[..], &words].concat()).expect(1);
    other.says("--compare").says("p50");
}

#[test]
fn a_search_reports_what_it_tried() {
    if left_out() {
        return;
    }
    // No answer takes a nanosecond, so it halves until it gives up.
    let words = ["--slo", "max=1ns", "--search", "--json", "--rate", "200", "-c", "2", "--duration", "200ms"];
    let ended = ended([&["bench", "--warm-up", "0"], &words[..]].concat());
    assert!([3, 4].contains(&ended.code), "{} {}", ended.code, ended.stderr);
    let search = ended.run().search.expect("there was a search");
    assert_eq!(search.kept_per_s, None);
    assert!(search.probes.iter().all(|probe| !probe.kept && !probe.reason.is_empty()), "{:?}", search.probes);
}

#[test]
fn a_history_names_what_it_cannot_read_and_draws_the_rest() {
    if left_out() {
        return;
    }
    let scratch = Scratch::new();
    for run in ["a", "b"] {
        ended([&["bench", "--out", &scratch.join(run)], &QUICK[..]].concat()).expect(0);
    }
    let (page, all) = (scratch.join("history.html"), scratch.path().to_str().unwrap());
    ended(["report", all, "--out", &page]).expect(0).says("2 runs").says(&page);
    assert!(std::fs::read_to_string(&page).unwrap().starts_with("<!DOCTYPE html>"));
    std::fs::create_dir(scratch.join("c")).unwrap();
    std::fs::write(scratch.join("c/run.json"), "{").unwrap();
    ended(["report", all, "--out", &page]).expect(1).says("c/run.json").says("2 runs");
    // Twice the same run is one.
    ended(["report", &scratch.join("a"), &scratch.join("a/run.json"), "--out", &page])
        .expect(0)
        .says("1 run");
    ended(["report", &scratch.join("nothing"), "--out", &page]).expect(1).says("nothing");
    ended(["report", &scratch.join("a"), "--out", "/proc/windlass.html"])
        .expect(1)
        .says("/proc/windlass.html");
    ended(["report"]).expect(2);
}

#[test]
fn the_schema_is_json() {
    let schema = ended(["report", "--schema"]).expect(0).stdout;
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    assert!(schema["$schema"].as_str().unwrap().contains("json-schema.org"));
}

#[test]
fn a_server_serves_until_it_is_told_to_end() {
    let mut server = Live::start(["serve", "--listen", "127.0.0.1:0", "--drain", "1"]);
    let address = server.line().trim_start_matches("listening on ").trim().to_owned();
    bench(&address, &[]).expect(0);
    server.signal("TERM");
    server.wait().expect(0);
}

#[test]
fn a_server_ends_with_the_program_that_started_it() {
    let mut server = windlass()
        .args(["serve", "--until-stdin-ends"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("the command starts");
    drop(server.stdin.take());
    let ended = server.wait_with_output().expect("it ends");
    Ended::of(&ended).expect(0).says("listening on");
}

#[test]
fn a_profile_tells_what_the_server_takes_at_each_step() {
    if left_out() {
        return;
    }
    let words = [
        "--json",
        "--profile",
        "all",
        "-c",
        "3",
        "--duration",
        "300ms",
        "--interval",
        "50ms",
        "--warm-up",
        "50ms",
    ];
    let run = ended([&["bench", "--rate", "max"], &words[..]].concat()).expect(0).run();
    let steps: Vec<_> = run.resources.iter().map(|row| row.profile.as_str()).collect();
    assert_eq!(steps, ["idle", "1000", "10000"]);
    let [idle, slow, _] = &run.resources[..] else { unreachable!("three steps were told") };
    assert_eq!((idle.messages_per_s, idle.sent_bytes_per_s), (0.0, 0.0));
    assert!(slow.messages_per_s > 0.0 && slow.received_bytes_per_s > 0.0, "{slow:?}");
    for row in &run.resources {
        assert!(row.memory_bytes > 0 && row.descriptors > 3, "{row:?}");
    }
    assert!(
        idle.descriptors >= slow.descriptors,
        "an idle connection is still a descriptor: {idle:?} {slow:?}"
    );
}
