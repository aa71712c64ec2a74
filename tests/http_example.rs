//! The http example as a process: statuses, bodies of both kinds, pieces, pipelines, curl and wrk.

#[path = "rig/example.rs"]
mod example;
#[path = "rig/slow.rs"]
mod slow;
#[path = "../src/thorough.rs"]
mod thorough;

use example::{Example, can_use};
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::process::Command;
use std::time::Duration;

/// Ends an exchange: an ordinary request, and then no more.
const LAST: &str = "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
const WELCOME: &str = "Welcome to windlass.\n";

/// Sends `bytes` in pieces and returns everything that comes until the server closes, dates left out.
fn exchange_in(server: &Example, bytes: &[u8], piece: usize) -> String {
    let mut stream = server.connect();
    let mut writer = stream.try_clone().expect("a descriptor");
    let bytes = bytes.to_vec();
    let writing = std::thread::spawn(move || {
        // The server may close before it has taken everything.
        let _ = bytes.chunks(piece).try_for_each(|piece| writer.write_all(piece));
    });
    let mut all = Vec::new();
    stream.read_to_end(&mut all).expect("an end in good order");
    writing.join().expect("written");
    let text = String::from_utf8(all).expect("text");
    text.split_inclusive("\r\n").filter(|line| !line.starts_with("Date: ")).collect()
}

fn exchange(server: &Example, text: &str) -> String {
    exchange_in(server, text.as_bytes(), usize::MAX)
}

/// The statuses of all responses, by their numbers.
fn statuses(responses: &str) -> Vec<&str> {
    responses.match_indices("HTTP/1.1 ").map(|(at, _)| &responses[at + 9..at + 12]).collect()
}

/// Requests after which the connection goes on.
const SERVED: &[(&str, &str)] = &[
    ("GET / HTTP/1.1\r\nHost: h\r\n\r\n", "200"),
    ("\r\n\r\nGET /?query HTTP/1.1\r\nHost: h\r\n\r\n", "200"),
    ("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n", "200"),
    ("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "200"),
    ("GET / HTTP/1.1\r\nhost: h\r\nContent-Length: 3\r\n\r\nabc", "200"),
    ("GET /nosuch HTTP/1.1\r\nHost: h\r\n\r\n", "404"),
    ("GET /bytes/ HTTP/1.1\r\nHost: h\r\n\r\n", "404"),
    ("GET /bytes/x HTTP/1.1\r\nHost: h\r\n\r\n", "404"),
    ("GET /bytes/1048577 HTTP/1.1\r\nHost: h\r\n\r\n", "404"),
    ("GET /bytes/99999999999999999999999 HTTP/1.1\r\nHost: h\r\n\r\n", "404"),
    ("GET /bytes/0 HTTP/1.1\r\nHost: h\r\n\r\n", "200"),
    ("GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n", "200"),
    ("GET /echo HTTP/1.1\r\nHost: h\r\n\r\n", "405"),
    ("DELETE / HTTP/1.1\r\nHost: h\r\n\r\n", "405"),
    ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab", "405"),
    ("POST /nosuch HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", "404"),
    ("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", "200"),
    ("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab", "200"),
    ("POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\n", "200"),
    (
        "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nab\r\n0\r\nA: b\r\n\r\n",
        "200",
    ),
];

/// Requests that end the connection.
const REFUSED: &[(&str, &str)] = &[
    ("GET / HTTP/1.0\r\n\r\n", "200"),
    ("GET / HTTP/1.1\r\nHost: h\r\nConnection: x, Close\r\n\r\n", "200"),
    ("GET / HTTP/1.1\r\n\r\n", "400"),
    ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400"),
    ("nonsense\r\n\r\n", "400"),
    ("GET / HTTP/1.1\r\nHost : h\r\n\r\n", "400"),
    ("GET / HTTP/1.1\r\nHost: h\r\n folded\r\n\r\n", "400"),
    ("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: +2\r\n\r\nab", "400"),
    ("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 2, 2\r\n\r\nab", "400"),
    ("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nab", "400"),
    (
        "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "400",
    ),
    ("POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"),
    ("POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", "400"),
    ("POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc", "400"),
    ("POST /echo HTTP/1.1\r\nHost: h\r\n\r\n", "411"),
    ("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1048577\r\n\r\n", "413"),
    ("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999\r\n\r\n", "413"),
    ("POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n100001\r\n", "413"),
    ("POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n", "413"),
    ("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: gifts\r\n\r\n", "417"),
    ("BREW / HTTP/1.1\r\nHost: h\r\n\r\n", "501"),
    ("POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "501"),
    ("GET / HTTP/2.0\r\nHost: h\r\n\r\n", "505"),
];

#[test]
fn every_request_gets_the_status_that_it_is_due() {
    let server = Example::start("http", 1);
    for (request, status) in SERVED {
        let all = exchange(&server, &[request, LAST].concat());
        assert_eq!(statuses(&all), [*status, "200"], "{request:?} got {all:?}");
        assert!(
            all.ends_with(&format!("Connection: close\r\nContent-Length: 21\r\n\r\n{WELCOME}")),
            "{all:?}"
        );
    }
    for (request, status) in REFUSED {
        let all = exchange(&server, &[request, LAST].concat());
        assert_eq!(statuses(&all), [*status], "{request:?} got {all:?}");
        assert!(all.contains("\r\nConnection: close\r\n"), "{all:?}");
    }
}

#[test]
fn requests_may_come_in_any_pieces() {
    let server = Example::start("http", 1);
    let all: String =
        SERVED.iter().filter(|(request, _)| !request.contains("metrics")).map(|(r, _)| *r).collect();
    let all = [&all, LAST].concat();
    let whole = exchange(&server, &all);
    assert_eq!(statuses(&whole).len(), SERVED.len());
    for piece in [1, 2, 3, 7, 64, 1000] {
        assert_eq!(exchange_in(&server, all.as_bytes(), piece), whole, "in pieces of {piece}");
    }
}

#[test]
fn heads_and_trailers_without_end_are_refused() {
    let server = Example::start("http", 1);
    let long = "x".repeat(40_000);
    let all = exchange(&server, &format!("GET / HTTP/1.1\r\nHost: h\r\nA: {long}"));
    assert_eq!(statuses(&all), ["431"]);
    let all = exchange(&server, &format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "A: b\r\n".repeat(64)));
    assert_eq!(statuses(&all), ["431"]);
    let chunked = "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(statuses(&exchange(&server, &format!("{chunked}0\r\n{}", "A: b\r\n".repeat(1000)))), ["431"]);
    assert_eq!(statuses(&exchange(&server, &format!("{chunked}1;{long}"))), ["400"]);
}

#[test]
fn bodies_come_back_whole_however_they_are_framed() {
    let server = Example::start("http", 1);
    let body: String = (0..1 << 20).map(|place| char::from(b'a' + (place / 7 % 26) as u8)).collect();
    let head = "POST /echo HTTP/1.1\r\nHost: h\r\nConnection: close\r\n";
    let counted = exchange(&server, &format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()));
    assert!(counted.ends_with(&body) && counted.contains("\r\nContent-Length: 1048576\r\n"));
    let chunks: String = body.as_bytes().chunks(5000).fold(String::new(), |all, chunk| {
        all + &format!("{:x}\r\n{}\r\n", chunk.len(), std::str::from_utf8(chunk).expect("letters"))
    });
    let chunked = exchange(&server, &format!("{head}Transfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n"));
    assert!(chunked == counted);
    let more =
        exchange(&server, &format!("{head}Transfer-Encoding: chunked\r\n\r\n{chunks}1\r\nx\r\n0\r\n\r\n"));
    assert_eq!(statuses(&more), ["413"]);
}

#[test]
fn who_waits_to_be_asked_for_the_body_is_asked() {
    let server = Example::start("http", 1);
    let mut stream = server.connect();
    let head = "POST /echo HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).expect("it reads");
    let mut asked = [0; 25];
    stream.read_exact(&mut asked).expect("an answer");
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"hello").expect("it reads");
    let mut rest = String::new();
    stream.read_to_string(&mut rest).expect("an end");
    assert!(rest.starts_with("HTTP/1.1 200 OK\r\n") && rest.ends_with("\r\n\r\nhello"), "{rest}");
    // Whoever sends the body along needs no asking, and a refusal takes the place of the invitation.
    assert_eq!(statuses(&exchange(&server, &format!("{head}hello"))), ["200"]);
    assert_eq!(statuses(&exchange(&server, &head.replace("/echo", "/nosuch"))), ["404"]);
}

#[test]
fn head_gets_the_head_of_get() {
    let server = Example::start("http", 1);
    for path in ["/", "/bytes/70000", "/nosuch"] {
        let ask = |method: &str| {
            exchange(&server, &format!("{method} {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"))
        };
        let (get, head) = (ask("GET"), ask("HEAD"));
        assert!(head.ends_with("\r\n\r\n") && get.starts_with(&head), "{head:?}");
    }
}

#[test]
fn pipelined_requests_wait_for_room_and_all_are_answered() {
    const REQUESTS: usize = 200;
    let server = Example::start("http", 1);
    let mut stream = server.connect();
    let request = "GET /bytes/1000000 HTTP/1.1\r\nHost: h\r\n\r\n";
    // All requests are there before any answer is read, and the answers are 200 times what may be queued.
    stream.write_all(request.repeat(REQUESTS).as_bytes()).expect("they fit the kernel's buffers");
    stream.write_all(LAST.as_bytes()).expect("it fits");
    assert_eq!(statuses(&exchange(&server, LAST)), ["200"], "the others are served");
    let mut read = 0;
    let mut buffer = vec![0; 1 << 20];
    let mut tail = Vec::new();
    loop {
        match stream.read(&mut buffer).expect("answers") {
            0 => break,
            n => {
                read += n;
                tail.extend_from_slice(&buffer[..n]);
                tail.drain(..tail.len().saturating_sub(WELCOME.len()));
            }
        }
    }
    assert!(read > REQUESTS * 1_000_000, "{read}");
    assert_eq!(tail, WELCOME.as_bytes());
}

#[test]
fn a_head_that_comes_a_byte_at_a_time_is_cut_off_whatever_its_traffic() {
    if slow::left_out() {
        return;
    }
    let server = Example::start("http", 1);
    let mut slow = server.connect();
    slow.set_read_timeout(Some(Duration::from_millis(100))).expect("a socket");
    slow.write_all(b"GET / HTTP/1.1\r\nHost: h\r\nA: ").expect("it reads");
    // Far fewer bytes than a head may have: it is time that runs out.
    let closed = (0..5000).any(|_| {
        let waiting = |error: &std::io::Error| error.kind() == ErrorKind::WouldBlock;
        let gone = slow.write_all(b"a").is_err();
        gone || !slow.read(&mut [0; 64]).as_ref().is_err_and(waiting)
    });
    assert!(closed);
    assert_eq!(statuses(&exchange(&server, LAST)), ["200"]);
}

#[test]
fn dates_are_those_of_the_system() {
    let server = Example::start("http", 1);
    let system = || {
        let output =
            Command::new("date").env("LC_ALL", "C").args(["-u", "+%a, %d %b %Y %H:%M:%S GMT"]).output();
        String::from_utf8(output.expect("every system has it").stdout).expect("text").trim_end().to_owned()
    };
    let said = || {
        let mut stream = server.connect();
        stream.write_all(LAST.as_bytes()).expect("it reads");
        stream.shutdown(Shutdown::Write).expect("a socket");
        let mut all = String::new();
        stream.read_to_string(&mut all).expect("an end");
        let date = all.split("\r\nDate: ").nth(1).and_then(|rest| rest.split("\r\n").next());
        date.expect("a date").to_owned()
    };
    // The one lags less than a second behind the other: sooner or later they are the same.
    assert!((0..100_000).any(|_| said() == system()));
}

#[test]
fn curl_and_wrk_work_with_it() {
    for cores in thorough::thorough(1..=2, 2..=2) {
        let server = Example::start("http", cores);
        let base = format!("http://{}", server.address);
        let run = |program: &str, args: &[&str]| {
            let output = Command::new(program).args(args).output().expect("it starts");
            assert!(output.status.success(), "{program} {args:?}: {output:?}");
            String::from_utf8(output.stdout).expect("text")
        };
        if can_use("curl") {
            assert_eq!(run("curl", &["-sS", &base]), WELCOME);
            let post = ["-sS", "-d", "said and done", &format!("{base}/echo")];
            assert_eq!(run("curl", &post), "said and done");
            let chunked =
                ["-sS", "-H", "Transfer-Encoding: chunked", "-d", "in chunks", &format!("{base}/echo")];
            assert_eq!(run("curl", &chunked), "in chunks");
            assert_eq!(run("curl", &["-sS", &format!("{base}/bytes/300000")]).len(), 300_000);
            assert!(run("curl", &["-sS", &format!("{base}/metrics")]).contains("Connections"));
        }
        if can_use("wrk") {
            let figures = run("wrk", &["-t", "1", "-c", "8", "-d", "1", &base]);
            assert!(figures.contains("Requests/sec") && !figures.contains("Non-2xx"), "{figures}");
            assert!(!figures.contains("Socket errors"), "{figures}");
        }
    }
}
