//! The load generator against servers that others wrote, redis-server and nginx: what it counts is what they counted,
//! and a wrong protocol is told in words.

#[expect(dead_code, reason = "the examples are run by other tests")]
#[path = "rig/example.rs"]
mod example;
#[path = "rig/slow.rs"]
mod slow;
#[path = "../src/thorough.rs"]
mod thorough;

use example::{PATIENCE, Process, can_use};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;
use windlass::Address;
use windlass::load::record::Outcome;
use windlass::load::{self, Echo, Http, HttpRequest, Pace, Plan, Protocol, Redis, RedisCommands, Run, Sizes};

/// A server on a Unix socket in a folder of its own, so that no two tests want one port.
struct Server {
    folder: PathBuf,
    socket: PathBuf,
    process: Option<Process>,
}

impl Server {
    fn new(name: &str) -> Server {
        let folder = std::env::temp_dir().join(format!("windlass-load-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Server { socket: folder.join("socket"), folder, process: None }
    }

    /// `redis-server` without files; `None`, and said so, where it is not installed.
    fn redis(name: &str) -> Option<Server> {
        if !can_use("redis-server") {
            return None;
        }
        let mut server = Server::new(name);
        let socket = server.socket.to_str().unwrap();
        let args = ["--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no"];
        let mut process = Process::start("redis-server", &args);
        while !process.line().contains("eady to accept connections") {}
        server.process = Some(process);
        Some(server)
    }

    /// nginx in one process with these locations; `None`, and said so, where it is not installed.
    fn nginx(name: &str, locations: &str) -> Option<Server> {
        // Where Debian puts it, which is not in everybody's PATH.
        let installed = Path::new("/usr/sbin/nginx");
        if !installed.exists() && !can_use("nginx") {
            return None;
        }
        let mut server = Server::new(name);
        std::fs::write(server.folder.join("short.html"), "a short page\n").unwrap();
        std::fs::write(server.folder.join("long.bin"), vec![b'x'; LONG_BYTES]).unwrap();
        let config = NGINX.replace("SOCKET", server.socket.to_str().unwrap()).replace("LOCATIONS", locations);
        let file = server.folder.join("nginx.conf");
        std::fs::write(&file, config).unwrap();
        let program = if installed.exists() { installed } else { Path::new("nginx") };
        let (folder, file) = (server.folder.to_str().unwrap(), file.to_str().unwrap());
        let mut process = Process::start(program, &["-e", "/dev/stdout", "-p", folder, "-c", file]);
        while !process.line().contains("event method") {}
        server.process = Some(process);
        Some(server)
    }

    fn address(&self) -> Address {
        Address::from(self.socket.clone())
    }

    /// What the server says to `request` until it closes.
    fn ask(&self, request: &str) -> String {
        let mut stream = UnixStream::connect(&self.socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        said
    }

    /// A number that redis-server's INFO has behind `name`; 0 if it has none.
    fn info(&self, name: &str) -> u64 {
        let said = self.ask("INFO everything\r\nQUIT\r\n");
        let rest = said.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("0");
        rest.split(|char: char| !char.is_ascii_digit()).next().unwrap().parse().unwrap()
    }

    /// Connections and requests that nginx has counted, those that ask for it left out.
    fn status(&self) -> (u64, u64) {
        let said = self.ask("GET /status HTTP/1.0\r\n\r\n");
        let line = said.lines().skip_while(|line| !line.contains("accepts handled requests")).nth(1);
        let counts: Vec<u64> = line.unwrap().split_whitespace().map(|count| count.parse().unwrap()).collect();
        (counts[0] - 1, counts[2] - 1)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.take());
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Longer than every receive buffer.
const LONG_BYTES: usize = 600_000;

const NGINX: &str = "
daemon off; master_process off; error_log /dev/stdout notice; pid nginx.pid;
events { worker_connections 256; }
http {
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    default_type text/html; gzip_min_length 1; root .;
    server {
        listen unix:SOCKET;
        location = /status { stub_status; }
        LOCATIONS
    }
}";

/// 150 requests, none of them warm-up.
fn plan(server: &Server) -> Plan {
    let mut plan = Plan::new(server.address());
    plan.connections = 4;
    plan.pace = Pace::constant(500.0);
    (plan.warm_up, plan.duration) = (Duration::ZERO, Duration::from_millis(300));
    plan.interval = Some(Duration::from_millis(100));
    plan
}

fn redis(change: impl FnOnce(&mut RedisCommands)) -> Redis {
    let mut commands = RedisCommands::default();
    change(&mut commands);
    Redis::new(&commands).unwrap()
}

fn command(text: &str) -> Redis {
    let words = text.split(' ').map(|word| word.as_bytes().to_vec()).collect();
    redis(|commands| commands.command = Some(words))
}

fn get(path: &str) -> Http {
    Http::new(&HttpRequest::get("localhost", path)).unwrap()
}

/// Runs it and expects a good answer to everything that was asked.
#[track_caller]
fn run_well<P: Protocol>(plan: &Plan, protocol: P) -> Run {
    let run = load::run(plan, protocol).unwrap();
    assert_eq!((run.outcome, &run.failure), (Outcome::Complete, &None), "{:?}", run.failures);
    assert!(run.failures.is_empty(), "{:?}", run.failures);
    assert!(run.totals.asked > 100 && run.totals.answered == run.totals.asked, "{:?}", run.totals);
    run
}

/// Runs it and expects it to fail; says why.
#[track_caller]
fn run_badly<P: Protocol>(plan: &Plan, protocol: P) -> (Run, String) {
    let run = load::run(plan, protocol).unwrap();
    assert_eq!(run.outcome, Outcome::Failed, "{:?}", run.totals);
    let sentence = run.failure.clone().expect("a sentence");
    println!("{sentence}");
    (run, sentence)
}

#[test]
fn redis_counts_the_same_gets_and_sets() {
    let Some(server) = Server::redis("mix") else { return };
    let mut plan = plan(&server);
    plan.pace = Pace::constant(3_000.0);
    let mix = redis(|commands| {
        (commands.get_fraction, commands.key_count) = (0.75, 50);
        commands.values = "1..3000".parse().unwrap();
    });
    let run = run_well(&plan, mix);
    let (gets, sets) = (server.info("cmdstat_get:calls="), server.info("cmdstat_set:calls="));
    assert_eq!((gets + sets, run.totals.asked), (900, 900));
    assert!((0.70..0.80).contains(&(gets as f64 / 900.0)), "{gets} GETs of 900");
    assert!((45..=50).contains(&server.info("db0:keys=")), "about all keys were set once");
    assert_eq!(server.info("keyspace_hits:") + server.info("keyspace_misses:"), gets);
    let read = server.info("total_net_input_bytes:");
    assert!(read >= run.totals.sent_bytes, "{read} of {}", run.totals.sent_bytes);
}

#[test]
fn redis_counts_the_same_in_a_pipelined_closed_loop_that_reconnects() {
    let Some(server) = Server::redis("closed") else { return };
    let mut plan = plan(&server);
    (plan.pace, plan.depth, plan.reconnect_every) = (Pace::Closed, 16, Some(100));
    let run = run_well(&plan, redis(|commands| commands.get_fraction = 0.5));
    let calls = server.info("cmdstat_get:calls=") + server.info("cmdstat_set:calls=");
    assert_eq!(calls, run.totals.answered);
    assert!(run.totals.connected >= calls / 100, "{} connections for {calls}", run.totals.connected);
    // Those that asked for the figures are three more, and the end of the run may overtake a last replacement.
    let received = server.info("total_connections_received:") - 3;
    assert!((0..=4).contains(&(received - run.totals.connected)), "{received}, {:?}", run.totals);
}

#[test]
fn redis_takes_commands_of_ones_own() {
    if slow::left_out() {
        return;
    }
    let Some(server) = Server::redis("own") else { return };
    let plan = plan(&server);
    run_well(&plan, command("PING"));
    run_well(&plan, command("RPUSH list item-__key__"));
    assert_eq!(server.ask("LLEN list\r\nQUIT\r\n"), ":150\r\n+OK\r\n");
    let run = run_well(&plan, command("LRANGE list 0 -1"));
    let answer_bytes = 6 + 150 * (5 + "item-key:".len() as u64 + 12 + 2);
    assert_eq!(run.totals.received_bytes, 150 * answer_bytes);
    run_well(&plan, command("EVAL return{{1,{2,'three'}},false,{}} 0"));
}

#[test]
fn redis_answers_longer_than_every_buffer_are_skipped_as_they_come() {
    if slow::left_out() {
        return;
    }
    let Some(server) = Server::redis("long") else { return };
    let long = |get_fraction| {
        redis(|commands| {
            (commands.get_fraction, commands.key_count) = (get_fraction, 1);
            commands.values = Sizes::Fixed(LONG_BYTES);
        })
    };
    run_well(&plan(&server), long(0.0));
    let run = run_well(&plan(&server), long(1.0));
    assert_eq!(run.totals.received_bytes, 150 * (LONG_BYTES as u64 + 11));
}

#[test]
fn redis_errors_are_refusals_by_kind() {
    let Some(server) = Server::redis("errors") else { return };
    let (run, sentence) = run_badly(&plan(&server), command("NOSUCH __key__"));
    assert!(sentence.contains("no good answer: ERR unknown command"), "{sentence}");
    assert_eq!((run.totals.refused, run.failures.len()), (150, 1));
    assert_eq!((run.failures[0].reason.as_str(), run.failures[0].count), ("ERR unknown command", 150));
}

#[test]
fn nginx_counts_the_same_requests_however_answers_end() {
    let locations = "
        location = /empty { return 204; }
        location = /moved { return 302 /elsewhere; }
        location = /unchanged { return 304; }
        location = /chunks { gzip on; add_trailer Sum none; return 200 aaaaaaaaaaaaaaaaaaaaaaaaaaaa; }
        location = /post { return 200 taken; }";
    let Some(server) = Server::nginx("ends", locations) else { return };
    let request = |path: &str| HttpRequest::get("localhost", path);
    let mut head = request("/long.bin");
    head.method = "HEAD".into();
    let mut chunks = request("/chunks");
    chunks.headers = vec![("Accept-Encoding".into(), "gzip".into())];
    let mut post = request("/post");
    (post.method, post.body) = ("POST".into(), vec![b'x'; 5_000]);
    // Is answered with "100 Continue" first.
    post.headers = vec![("Expect".into(), "100-continue".into())];
    let mut requests: Vec<_> =
        ["/short.html", "/long.bin", "/empty", "/moved", "/unchanged"].map(request).into();
    requests.extend([head, chunks, post]);
    let rounds = thorough::thorough(requests.len(), 2);
    // The last are the most unlike the others: a body that asks first, and an answer in chunks.
    for (round, request) in requests.iter().rev().take(rounds).enumerate() {
        let before = server.status();
        let run = run_well(&plan(&server), Http::new(request).unwrap());
        let after = server.status();
        // One of the requests counted since is that which asked for the figures before.
        assert_eq!(after.1 - before.1, run.totals.asked + 1, "round {round}: {request:?}");
        assert_eq!(after.0 - before.0, run.totals.connected + 1, "round {round}: {request:?}");
        let answer_bytes = run.totals.received_bytes / run.totals.answered;
        let expected =
            if request.path == "/long.bin" && request.method == "GET" { LONG_BYTES as u64 } else { 0 };
        assert!((expected + 50..expected + 500).contains(&answer_bytes), "{answer_bytes}: {request:?}");
    }
}

#[test]
fn nginx_closes_connections_and_they_are_replaced() {
    let locations = "
        location = /close { keepalive_timeout 0; return 200 bye; }
        location = /end {
            gzip on; chunked_transfer_encoding off; return 200 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa;
        }
        location = /tenth { keepalive_requests 10; return 200 hello; }";
    let Some(server) = Server::nginx("close", locations) else { return };
    let mut end = HttpRequest::get("localhost", "/end");
    end.headers = vec![("Accept-Encoding".into(), "gzip".into())];
    let ways = [(get("/tenth"), 10), (Http::new(&end).unwrap(), 1), (get("/close"), 1)];
    for (protocol, each) in ways.into_iter().take(thorough::thorough(3, 1)) {
        let run = run_well(&plan(&server), protocol);
        let connected = run.totals.connected;
        assert!((150 / each..=150 / each + 4).contains(&connected), "{connected} for answers of {each} each");
    }
    let mut plan = plan(&server);
    plan.reconnect_every = Some(5);
    let run = run_well(&plan, get("/short.html"));
    assert!((30..=34).contains(&run.totals.connected), "{} for 5 each", run.totals.connected);
}

#[test]
fn requests_behind_a_last_answer_are_lost_with_a_reason() {
    let locations = "location = /third { keepalive_requests 3; return 200 hello; }";
    let Some(server) = Server::nginx("behind", locations) else { return };
    let mut plan = plan(&server);
    (plan.pace, plan.depth) = (Pace::Closed, 4);
    let run = load::run(&plan, get("/third")).unwrap();
    assert_eq!(run.outcome, Outcome::Complete, "{:?}", run.failure);
    assert!(run.totals.answered > 100 && run.totals.lost > 10, "{:?}", run.totals);
    let told: u64 = run.failures.iter().map(|kind| kind.count).sum();
    assert_eq!(told, run.totals.failed(), "every failure has a reason: {:?}", run.failures);
}

#[test]
fn statuses_of_failure_are_refusals_by_status() {
    let Some(server) = Server::nginx("refusals", "location = /busy { return 503; }") else { return };
    for (path, reason) in [("/nothing-here", "HTTP 404"), ("/busy", "HTTP 503")] {
        let (run, sentence) = run_badly(&plan(&server), get(path));
        assert!(sentence.ends_with(&format!("no good answer: {reason}")), "{sentence}");
        assert_eq!((run.failures[0].reason.as_str(), run.failures[0].count), (reason, 150));
        assert_eq!((run.totals.refused, run.failures.len()), (150, 1));
    }
}

#[test]
fn a_wrong_protocol_ends_early_with_a_sentence() {
    let Some(redis_server) = Server::redis("wrong") else { return };
    let Some(nginx) = Server::nginx("wrong-web", "") else { return };
    let long = |server| {
        let mut plan = plan(server);
        (plan.duration, plan.interval) = (Duration::from_secs(100), None);
        plan.timeout = Duration::from_millis(400);
        plan
    };
    let expect = |(run, sentence): (Run, String), words: &str, server: &Server| {
        assert!(sentence.contains(words), "{sentence}");
        assert!(sentence.contains(server.socket.to_str().unwrap()), "{sentence}");
        assert!(run.measured_s < 50.0 && run.totals.answered == 0, "{:?}", run.totals);
    };
    let echo = || Echo::new(Sizes::Fixed(64));
    expect(run_badly(&long(&redis_server), echo()), "did not answer a single request", &redis_server);
    expect(run_badly(&long(&nginx), echo()), "it is no echo server", &nginx);
    expect(run_badly(&long(&nginx), redis(|_| ())), "which no Redis server would say", &nginx);
    // It refuses the first line and takes the second for an attack, upon which it closes and may drop the refusal.
    let (run, sentence) = run_badly(&long(&redis_server), get("/"));
    let words = if sentence.contains("-ERR") { "is not HTTP/1.1" } else { "does it speak this protocol?" };
    expect((run, sentence), words, &redis_server);
}
