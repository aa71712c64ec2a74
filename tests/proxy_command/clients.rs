//! Toxiproxy's own clients, and Redis' through the proxy. Skipped, and said so, where a tool is missing, except in CI.

use crate::rig::{Proxy, Upstream};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// Whether something can be used; where CI is set it must be there.
fn can_use(found: bool, what: &str) -> bool {
    assert!(found || std::env::var_os("CI").is_none(), "{what} is missing, and in CI nothing is skipped");
    if !found {
        eprintln!("skipped: there is no {what}");
    }
    found
}

/// Whether a command can be started and ends well.
fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

#[track_caller]
fn ends_well(command: &mut Command) -> String {
    let output = command.output().expect("it starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// The folder of tests' sources.
fn script(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "proxy_command", name].iter().collect()
}

/// The folder that cargo builds in, where `.ci/run` puts foreign packages.
fn target() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).parent().expect("the folder above").to_owned()
}

#[test]
fn toxiproxy_python_drives_it_unchanged() {
    let own = target().join("python/bin/python3");
    let python = if own.exists() { own } else { PathBuf::from("python3") };
    let found = succeeds(Command::new(&python).args(["-c", "import toxiproxy"]));
    if !can_use(found, "Python package toxiproxy-python") {
        return;
    }
    let (proxy, upstream) = (Proxy::empty(), Upstream::start());
    let said =
        ends_well(Command::new(python).arg(script("client.py")).args([&proxy.control, &upstream.address]));
    assert!(said.ends_with("all is well\n"), "{said}");
}

#[test]
fn toxiproxy_node_client_drives_it_unchanged() {
    let modules =
        std::env::var_os("NODE_PATH").map_or_else(|| target().join("node/node_modules"), PathBuf::from);
    let node = || {
        let mut node = Command::new("node");
        node.env("NODE_PATH", &modules);
        node
    };
    let found = succeeds(node().args(["-e", "require('toxiproxy-node-client')"]));
    if !can_use(found, "npm package toxiproxy-node-client") {
        return;
    }
    let (proxy, upstream) = (Proxy::empty(), Upstream::start());
    let said = ends_well(node().arg(script("client.js")).args([&proxy.control, &upstream.address]));
    assert!(said.ends_with("all is well\n"), "{said}");
}

/// A redis-server on a port of its own that ends with its test.
struct Redis {
    child: Child,
    port: u16,
}

impl Redis {
    fn start() -> Redis {
        // Whoever takes the port in between makes the server fail, and then another one is tried.
        for _ in 0..20 {
            let probe = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
            let port = probe.local_addr().expect("bound").port();
            drop(probe);
            let mut command = Command::new("redis-server");
            command.args([
                "--port",
                &port.to_string(),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "no",
            ]);
            let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
            let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
            if lines.map_while(Result::ok).any(|line| line.contains("Ready to accept connections")) {
                return Redis { child, port };
            }
            child.wait().expect("it ended");
        }
        panic!("no redis-server could be started");
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn redis_cli_sees_what_the_toxics_do() {
    let found = succeeds(Command::new("redis-server").arg("--version"))
        && succeeds(Command::new("redis-cli").arg("--version"));
    if !can_use(found, "redis-server with redis-cli") {
        return;
    }
    let redis = Redis::start();
    let proxy = Proxy::start(&["--upstream", &format!("127.0.0.1:{}", redis.port)]);
    let port = proxy.address.rsplit_once(':').expect("a port").1.to_owned();
    let cli = |words: &[&str]| {
        let mut command = Command::new("redis-cli");
        command.args(["-p", &port]).args(words);
        command
    };
    assert_eq!(ends_well(&mut cli(&["set", "rope", "wound"])), "OK\n");
    proxy.expect(
        "POST",
        "/proxies/proxy/toxics",
        r#"{"type": "latency", "attributes": {"latency": 150}}"#,
        200,
    );
    // It tells in milliseconds how long a PING took at least; the toxic is never early, however busy the machine is.
    let told = ends_well(&mut cli(&["--latency", "-i", "1", "--raw"]));
    let fastest: f64 = told.split_whitespace().next().and_then(|word| word.parse().ok()).expect("a number");
    assert!(fastest >= 150.0, "{told}");
    assert_eq!(proxy.ask("DELETE", "/proxies/proxy/toxics/latency_downstream", "").status, 204);
    assert_eq!(ends_well(&mut cli(&["get", "rope"])), "wound\n");
    proxy.expect("PATCH", "/proxies/proxy", r#"{"enabled": false}"#, 200);
    let refused = cli(&["get", "rope"]).output().expect("it starts");
    let told = String::from_utf8_lossy(&[refused.stdout, refused.stderr].concat()).into_owned();
    assert!(told.contains("Connection refused"), "{told}");
}
