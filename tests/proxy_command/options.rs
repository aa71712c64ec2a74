//! The command line and the file: what they make, and what they refuse with which words.

use crate::rig::{Proxy, Upstream, dial, echoes, ended, say, windlass};
use serde_json::json;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpListener;
use std::process::Stdio;

/// A file of this test's own that goes with it.
struct File(std::path::PathBuf);

impl File {
    fn with(name: &str, text: &str) -> File {
        let path = std::env::temp_dir().join(format!("windlass-proxy-{}-{name}", std::process::id()));
        std::fs::write(&path, text).expect("room for a file");
        File(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("a path of plain text")
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn one_line_makes_a_proxy_with_its_toxics() {
    let upstream = Upstream::start();
    let mut proxy = Proxy::start(&[
        "--upstream",
        &upstream.address,
        "--toxic",
        "latency=1ms,jitter=1ms",
        "--toxic",
        "slicer=3,upstream,name=cut",
    ]);
    let expected = format!("proxy: {} -> {}, latency_downstream, cut", proxy.address, upstream.address);
    assert_eq!(proxy.line(), expected);
    let shown = proxy.expect("GET", "/proxies/proxy", "", 200);
    assert_eq!(shown["toxics"][0]["attributes"], json!({"latency": 1, "jitter": 1}));
    assert_eq!(
        (&shown["toxics"][1]["stream"], &shown["toxics"][1]["name"]),
        (&json!("upstream"), &json!("cut"))
    );
    echoes(&proxy.address);
}

#[test]
fn a_file_and_the_command_line_add_up() {
    let upstream = Upstream::start();
    let text = format!(
        "seed = 7\n[[proxy]]\nname = \"filed\"\nupstream = \"{0}\"\n[[proxy.toxic]]\ntype = \"latency\"\nlatency = \"2ms\"\n\
         [[proxy]]\nname = \"off\"\nupstream = \"{0}\"\nenabled = false\n",
        upstream.address
    );
    let file = File::with("both.toml", &text);
    let mut proxy =
        Proxy::start(&["--config", file.path(), "--upstream", &upstream.address, "--name", "typed"]);
    assert_eq!(proxy.seed, 7);
    let lines = [proxy.line(), proxy.line(), proxy.line()];
    assert!(lines[0].starts_with("filed: ") && lines[0].ends_with(", latency_downstream"), "{lines:?}");
    assert!(lines[1].contains(" (switched off), no toxics"), "{lines:?}");
    assert!(lines[2].starts_with(&format!("typed: {} -> ", proxy.address)), "{lines:?}");
    let shown = proxy.expect("GET", "/proxies/filed/toxics/latency_downstream", "", 200);
    assert_eq!(shown["attributes"], json!({"latency": 2, "jitter": 0}));
    assert_eq!(
        Proxy::start(&["--config", file.path(), "--seed", "8"]).seed,
        8,
        "the command line goes first"
    );
}

#[test]
fn a_signal_ends_it_in_good_order_with_a_summary() {
    let upstream = Upstream::start();
    for name in ["INT", "TERM"] {
        let proxy = Proxy::start(&["--upstream", &upstream.address, "--toxic", "slicer=4"]);
        echoes(&proxy.address);
        let mut open = dial(&proxy.address);
        say(&mut open, b"still open");
        let gone = proxy.create("gone", &upstream.address);
        echoes(&gone);
        assert_eq!(proxy.ask("DELETE", "/proxies/gone", "").status, 204);
        proxy.signal(name);
        assert_eq!(open.read(&mut [0; 16]).ok(), Some(0), "an end in good order");
        let (code, text) = proxy.wait();
        assert_eq!(code, Some(0), "{text}");
        assert!(text.contains("\n3 connections; 42 bytes upstream, 42 bytes downstream\n"), "{text}");
        assert!(text.contains("toxics applied: slicer to 2\n"), "{text}");
    }
}

#[test]
fn a_signal_ends_one_without_connections_and_does_not_wait_for_its_own() {
    let proxy = Proxy::start(&["--drain", "1000000000"]);
    proxy.signal("INT");
    let (code, text) = proxy.wait();
    assert_eq!(code, Some(0), "{text}");
}

#[test]
fn whoever_loses_bytes_by_the_end_sees_a_reset() {
    let upstream = Upstream::start();
    let proxy = Proxy::start(&["--upstream", &upstream.address, "--toxic", "timeout"]);
    let mut stuck = dial(&proxy.address);
    stuck.write_all(b"what comes back is held for ever").expect("it is there");
    while !proxy.ask("GET", "/metrics", "").body.contains("held_bytes{proxy=\"proxy\"} 32\n") {}
    proxy.signal("TERM");
    let end = stuck.read(&mut [0; 16]);
    assert_eq!(end.map_err(|error| error.kind()), Err(ErrorKind::ConnectionReset));
    let (code, text) = proxy.wait();
    assert_eq!(code, Some(0), "{text}");
}

#[test]
fn a_receiver_that_lags_behind_sees_a_reset_and_no_end_that_looks_like_all_of_it() {
    let slow = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let proxy = Proxy::empty();
    let address = proxy.create("slow", &slow.local_addr().expect("bound").to_string());
    let mut sender = dial(&address);
    let (mut receiver, _) = slow.accept().expect("the proxy connects");
    sender.set_nonblocking(true).expect("it is a socket");
    // Until the proxy stops reading: there is more, and two of its turns took none of it.
    let mut taken = String::new();
    loop {
        while sender.write(&[7; 65_536]).is_ok() {}
        let figures = proxy.ask("GET", "/metrics", "").body;
        let received = figures.lines().find(|line| {
            line.starts_with("windlass_proxy_received_bytes") && line.contains("direction=\"upstream\"")
        });
        let received = received.expect("it is counted").to_owned();
        if received == taken && !received.ends_with(" 0") {
            break;
        }
        taken = received;
    }
    assert_eq!(proxy.ask("DELETE", "/proxies/slow", "").status, 204);
    let end = receiver.read_to_end(&mut Vec::new());
    assert_eq!(end.map_err(|error| error.kind()), Err(ErrorKind::ConnectionReset));
}

#[test]
fn the_second_signal_ends_it_at_once() {
    let proxy = Proxy::empty();
    // Stopped, it gets both before it can act on the first.
    for name in ["STOP", "INT", "TERM", "CONT"] {
        proxy.signal(name);
    }
    assert_eq!(proxy.wait().0, Some(130));
}

#[test]
fn unix_sockets_work_at_both_ends_and_for_the_control() {
    let upstream = Upstream::start();
    let path = |name: &str| std::env::temp_dir().join(format!("windlass-{}-{name}.sock", std::process::id()));
    let (socket, control) = (path("proxied"), path("control"));
    let (socket_name, control_name) =
        (format!("unix:{}", socket.display()), format!("unix:{}", control.display()));
    let mut child = windlass()
        .args([
            "proxy",
            "--upstream",
            &upstream.address,
            "--listen",
            &socket_name,
            "--control",
            &control_name,
        ])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the command starts");
    let mut lines =
        BufReader::new(child.stdout.take().expect("piped")).lines().map(|line| line.expect("text"));
    assert_eq!(lines.next(), Some(format!("listening on {socket_name}")));
    assert!(lines.next().is_some_and(|line| line.starts_with("seed ")));
    assert_eq!(lines.next(), Some(format!("control on {control_name}")));
    let second = Proxy::start(&["--upstream", &socket_name]);
    echoes(&second.address);
    let mut asked = std::os::unix::net::UnixStream::connect(&control).expect("the control is there");
    asked.write_all(b"GET /proxies HTTP/1.0\r\n\r\n").expect("it takes a request");
    let mut told = String::new();
    asked.read_to_string(&mut told).expect("an answer, then the end");
    assert!(told.contains(&format!("\"listen\":\"{socket_name}\"")), "{told}");
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    let _ = (std::fs::remove_file(socket), std::fs::remove_file(control));
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_starts() {
    for (words, sentence) in [
        (&["proxy"][..], "nothing to forward"),
        (&["proxy", "--listen", "127.0.0.1:0"], "--upstream"),
        (&["proxy", "--toxic", "latency=1ms"], "--upstream"),
        (&["proxy", "--upstream", "127.0.0.1:1", "--toxic", "lag=1"], "there is no toxic 'lag'"),
        (&["proxy", "--upstream", "127.0.0.1:1", "--toxic", "latency=fast"], "250us"),
        (
            &["proxy", "--upstream", "127.0.0.1:1", "--toxic", "latency=1", "--toxic", "latency=2"],
            "already exists",
        ),
        (&["proxy", "--upstream", "nowhere"], "nowhere"),
        (&["proxy", "--upstream", "127.0.0.1:1", "--listen", "nowhere"], "nowhere"),
        (&["proxy", "--upstream", "127.0.0.1:1", "--seed", "x"], "--seed"),
        (&["proxy", "--control", "8474"], "HOST:PORT"),
        (&["proxy", "--config", "/nonexistent/p.toml"], "could not be read"),
    ] {
        ended(words).expect(2).says(sentence);
    }
}

#[test]
fn what_the_system_refuses_is_a_failure() {
    let (upstream, other) = (Upstream::start(), Upstream::start());
    let address = other.address.as_str();
    ended(["proxy", "--upstream", &upstream.address, "--listen", address]).expect(1).says("in use");
    ended(["proxy", "--control", address]).expect(1).says("in use");
}

#[test]
fn a_file_with_a_mistake_is_refused_with_line_and_field() {
    for (name, text, words) in [
        ("syntax", "[[proxy]]\nname = \n", ".toml:2: this is not TOML"),
        ("field", "[[proxy]]\nname = \"a\"\nupstreem = \"b\"\n", ".toml:3: a proxy has no field 'upstreem'"),
        ("missing", "seed = 1\n\n[[proxy]]\nname = \"a\"\n", ".toml:3: a proxy needs a field 'upstream'"),
        (
            "value",
            "[[proxy]]\nname = \"a\"\nupstream = \"127.0.0.1:1\"\n[[proxy.toxic]]\ntype = \"latency\"\nlatency = \"soon\"\n",
            ".toml:6: latency: 'soon' is no time",
        ),
    ] {
        let file = File::with(&format!("{name}.toml"), text);
        ended(["proxy", "--config", file.path()]).expect(2).says(words);
    }
}

#[test]
fn help_teaches_and_completions_know_the_command() {
    let help = ended(["proxy", "--help"]).expect(0);
    for word in
        ["Examples:", "--toxic latency=100ms,jitter=10ms", "stop_reading", "[[proxy.toxic]]", "toxicity=50%"]
    {
        assert!(help.stdout.contains(word), "'{word}' is missing in\n{}", help.stdout);
    }
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        ended(["completions", shell]).expect(0).says("proxy").says("toxic");
    }
}
