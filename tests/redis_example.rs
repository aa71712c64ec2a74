//! The redis example as a process: beside the real server, in pieces, in pipelines, over several cores.

#[path = "rig/example.rs"]
mod example;
#[path = "../src/thorough.rs"]
mod thorough;

use example::{Example, PATIENCE, Process, can_use};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::process::Command;

/// A connection to either server.
struct Client<S: Read + Write> {
    stream: BufReader<S>,
}

impl<S: Read + Write> Client<S> {
    fn new(stream: S) -> Client<S> {
        Client { stream: BufReader::new(stream) }
    }

    fn send(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).expect("it reads");
    }

    /// One whole reply, as it came.
    fn reply(&mut self) -> Vec<u8> {
        let mut reply = Vec::new();
        self.stream.read_until(b'\n', &mut reply).expect("a reply");
        let head = *reply.first().expect("a reply, not the end of the stream");
        let count = || std::str::from_utf8(&reply[1..reply.len() - 2]).unwrap().parse::<i64>().unwrap();
        match head {
            b'$' if count() >= 0 => {
                let (start, body) = (reply.len(), count() as usize + 2);
                reply.resize(start + body, 0);
                self.stream.read_exact(&mut reply[start..]).expect("as much as announced");
            }
            b'*' => (0..count()).for_each(|_| reply.extend(self.reply())),
            b'$' | b'+' | b'-' | b':' => {}
            _ => panic!("no reply: {}", reply.escape_ascii()),
        }
        reply
    }

    fn ask(&mut self, command: &str) -> Vec<u8> {
        self.send(&encode(command));
        self.reply()
    }

    fn expect(&mut self, command: &str, reply: &str) {
        assert_eq!(
            self.ask(command).escape_ascii().to_string(),
            reply.as_bytes().escape_ascii().to_string(),
            "{command}"
        );
    }

    /// Everything up to the end of the stream.
    fn rest(mut self) -> String {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).expect("an end in good order");
        rest.escape_ascii().to_string()
    }
}

/// The words of `command` as an array of bulk strings; `~` stands for an empty one.
fn encode(command: &str) -> Vec<u8> {
    let words: Vec<&str> = command.split_whitespace().collect();
    let mut bytes = format!("*{}\r\n", words.len());
    for word in words {
        let word = if word == "~" { "" } else { word };
        let _ = write!(bytes, "${}\r\n{word}\r\n", word.len());
    }
    bytes.into_bytes()
}

/// `redis-server` on a Unix socket, without files.
struct Real {
    path: std::path::PathBuf,
    _process: Process,
}

impl Real {
    fn start(name: &str) -> Real {
        let folder = std::env::temp_dir().join(format!("windlass-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join("redis.sock");
        let socket = path.to_str().expect("a path in UTF-8");
        let mut process = Process::start(
            "redis-server",
            &["--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no"],
        );
        while !process.line().contains("eady to accept connections") {}
        Real { path, _process: process }
    }

    fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(&self.path).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.path.parent().expect("our folder"));
    }
}

/// Every command with what it can be asked and asked wrongly.
const SCRIPT: &str = include_str!("rig/redis_script.txt");

/// Replies whose order is the server's own business are compared as sets; what is left of a life as a whole.
fn comparable(command: &str, reply: &[u8]) -> String {
    let text = reply.escape_ascii().to_string();
    let name = command.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
    match (name.as_str(), reply.first()) {
        ("smembers" | "hgetall" | "spop", Some(b'*')) => {
            let mut lines: Vec<&str> = text.split("\\r\\n").collect();
            lines.sort_unstable();
            lines.join(" ")
        }
        ("pttl", _) if !reply.starts_with(b":-") => "some milliseconds".to_owned(),
        _ => text,
    }
}

fn compare(ours: &Example, real: &Real, commands: &[String]) {
    let (mut ours, mut real) = (Client::new(ours.connect()), Client::new(real.connect()));
    assert_eq!(ours.ask("FLUSHALL"), real.ask("FLUSHALL"));
    let mut different = Vec::new();
    for (number, command) in commands.iter().enumerate() {
        let (said, expected) = (ours.ask(command), real.ask(command));
        let (said, expected) = (comparable(command, &said), comparable(command, &expected));
        if said != expected {
            different.push(format!("{number}: {command}\n   ours: {said}\n  redis: {expected}"));
        }
    }
    assert!(different.is_empty(), "{} replies differ:\n{}", different.len(), different.join("\n"));
}

#[test]
fn replies_are_those_of_redis_server_byte_by_byte() {
    if !can_use("redis-server") {
        return;
    }
    let commands: Vec<String> =
        SCRIPT.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect();
    assert!(commands.len() > 250, "a few hundred: {}", commands.len());
    let real = Real::start("script");
    for cores in [1, 2] {
        compare(&Example::start("redis", cores), &real, &commands);
    }
}

#[test]
fn replies_to_random_commands_are_those_of_redis_server() {
    if !can_use("redis-server") {
        return;
    }
    const TEMPLATES: [&str; 38] = [
        "SET K V",
        "SET K V NX",
        "SET K V XX GET",
        "SET K V EX 100",
        "SET K V KEEPTTL",
        "SET K V GET",
        "GET K",
        "DEL K K K",
        "EXISTS K K K",
        "INCR K",
        "DECR K",
        "INCRBY K N",
        "EXPIRE K 100",
        "EXPIRE K 200 NX",
        "EXPIRE K -1",
        "TTL K",
        "PTTL K",
        "PERSIST K",
        "MGET K K K K",
        "MSET K V K V",
        "LPUSH K V V",
        "RPUSH K V",
        "LPOP K",
        "RPOP K 2",
        "LLEN K",
        "LRANGE K N N",
        "SADD K V V V",
        "SREM K V",
        "SMEMBERS K",
        "SCARD K",
        "HSET K V V V V",
        "HGET K V",
        "HGETALL K",
        "HDEL K V V",
        "APPEND K V",
        "STRLEN K",
        "TYPE K",
        "DBSIZE",
    ];
    let mut random = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_121_u64);
    println!("SEED={random}");
    let mut below = |bound: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % bound
    };
    let mut commands = Vec::new();
    for _ in 0..4000 {
        let template = TEMPLATES[below(TEMPLATES.len())];
        let words = template.split(' ').map(|word| match word {
            "K" => format!("key:{}", below(6)),
            "V" => ["1", "-7", "a", "b", "~", "9223372036854775807"][below(6)].to_owned(),
            "N" => (below(9) as i64 - 4).to_string(),
            word => word.to_owned(),
        });
        commands.push(words.collect::<Vec<_>>().join(" "));
    }
    let real = Real::start("random");
    for cores in [1, 2] {
        compare(&Example::start("redis", cores), &real, &commands);
    }
}

/// What is not RESP, and how Redis refuses it before it closes.
const BROKEN: [(&[u8], &str); 9] = [
    (b"*x\r\n", "-ERR Protocol error: invalid multibulk length\\r\\n"),
    (b"*1\r\n+PING\r\n", "-ERR Protocol error: expected \\'$\\', got \\'+\\'\\r\\n"),
    (b"*1\r\n$x\r\n", "-ERR Protocol error: invalid bulk length\\r\\n"),
    (b"*1\r\n$-1\r\n", "-ERR Protocol error: invalid bulk length\\r\\n"),
    (b"*2\r\n$3\r\nGET\r\n$99999999999\r\n", "-ERR Protocol error: invalid bulk length\\r\\n"),
    (b"*99999999999\r\n", "-ERR Protocol error: invalid multibulk length\\r\\n"),
    (b"PING\r\nGET \"a\r\nPING\r\n", "+PONG\\r\\n-ERR Protocol error: unbalanced quotes in request\\r\\n"),
    (b"GET 'a'b\r\n", "-ERR Protocol error: unbalanced quotes in request\\r\\n"),
    (b"*0\r\n\r\n*-1\r\nPING\r\nQUIT\r\nPING\r\n", "+PONG\\r\\n+OK\\r\\n"),
];

#[test]
fn broken_requests_are_refused_as_redis_refuses_them() {
    let real = can_use("redis-server").then(|| Real::start("broken"));
    let ours = Example::start("redis", 1);
    for (bytes, refusal) in BROKEN {
        let mut client = Client::new(ours.connect());
        client.send(bytes);
        assert_eq!(client.rest(), refusal, "{}", bytes.escape_ascii());
        if let Some(real) = &real {
            let mut client = Client::new(real.connect());
            client.send(bytes);
            assert_eq!(client.rest(), refusal, "redis-server itself, {}", bytes.escape_ascii());
        }
    }
}

#[test]
fn lines_without_an_end_are_refused() {
    let ours = Example::start("redis", 1);
    for (start, refusal) in [
        ("", "too big inline request"),
        ("*", "too big mbulk count string"),
        ("*1\r\n$", "too big bulk count string"),
    ] {
        let mut client = Client::new(ours.connect());
        client.send(start.as_bytes());
        client.send(&[b'1'; 64 * 1024]);
        assert_eq!(client.rest(), format!("-ERR Protocol error: {refusal}\\r\\n"));
    }
}

#[test]
fn commands_may_come_in_any_pieces() {
    let bytes = [
        encode("SET piece of"),
        b"get piece\r\n".to_vec(),
        encode("MSET a 1 b ~ c 3"),
        encode("MGET a b c d"),
        b"  set q \"a \\x41\\n\" \r\nget q\nget 'q'\r\n".to_vec(),
        encode("RPUSH l 1 2 3"),
        encode("LRANGE l 0 -1"),
        encode("NOSUCH thing"),
        encode("DEL a b c d piece q l"),
    ]
    .concat();
    for cores in [1, 2] {
        let ours = Example::start("redis", cores);
        let whole = {
            let mut client = Client::new(ours.connect());
            client.send(&bytes);
            client.stream.get_ref().shutdown(Shutdown::Write).expect("a socket");
            client.rest()
        };
        assert!(whole.starts_with(
            "+OK\\r\\n$2\\r\\nof\\r\\n+OK\\r\\n*4\\r\\n$1\\r\\n1\\r\\n$0\\r\\n\\r\\n$1\\r\\n3\\r\\n$-1\\r\\n"
        ));
        assert!(
            whole.contains("$4\\r\\na A\\n\\r\\n$4\\r\\na A\\n\\r\\n:3\\r\\n*3\\r\\n")
                && whole.ends_with(":6\\r\\n"),
            "{whole}"
        );
        for piece in [1, 2, 3, 7, 64] {
            let mut client = Client::new(ours.connect());
            bytes.chunks(piece).for_each(|piece| client.send(piece));
            client.stream.get_ref().shutdown(Shutdown::Write).expect("a socket");
            assert_eq!(client.rest(), whole, "in pieces of {piece}");
        }
    }
}

#[test]
fn long_values_come_and_go_whole_and_longer_ones_are_refused() {
    let ours = Example::start("redis", 1);
    let mut client = Client::new(ours.connect());
    let value: Vec<u8> = (0..16 << 20).map(|place: u32| (place >> 8) as u8).collect();
    client.send(format!("*3\r\n$3\r\nSET\r\n$4\r\nlong\r\n${}\r\n", value.len()).as_bytes());
    client.send(&value);
    client.send(b"\r\n");
    assert_eq!(client.reply(), b"+OK\r\n");
    let reply = client.ask("GET long");
    assert!(reply[11..reply.len() - 2] == value[..] && reply.starts_with(b"$16777216\r\n"));
    client.expect("APPEND long x", "-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n");
    client.send(b"*2\r\n$3\r\nGET\r\n$16777217\r\n");
    assert_eq!(client.rest(), "-ERR Protocol error: invalid bulk length\\r\\n");
}

#[test]
fn who_asks_for_more_than_may_wait_is_dropped_and_the_others_are_served() {
    let ours = Example::start("redis", 1);
    let mut client = Client::new(ours.connect());
    client.send(b"*3\r\n$3\r\nSET\r\n$4\r\nlong\r\n$16777216\r\n");
    client.send(&vec![b'x'; 16 << 20]);
    client.send(b"\r\n");
    assert_eq!(client.reply(), b"+OK\r\n");
    client.send(&encode(&format!("MGET{}", " long".repeat(100_000))));
    let mut end = Vec::new();
    let outcome = client.stream.read_to_end(&mut end);
    assert!(outcome.is_err() && end.is_empty(), "reset, after {} bytes", end.len());
    Client::new(ours.connect()).expect("STRLEN long", ":16777216\r\n");
}

#[test]
fn announcing_long_arguments_reserves_nothing() {
    let ours = Example::start("redis", 1);
    let announcers: Vec<_> = (0..64)
        .map(|_| {
            let mut client = Client::new(ours.connect());
            client.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$16777216\r\nxyz");
            client
        })
        .collect();
    // 64 times 16 MiB would be four times what all buffers together may take, and nobody else would be read.
    let mut client = Client::new(ours.connect());
    for _ in 0..100 {
        client.expect("PING", "+PONG\r\n");
    }
    let value = vec![b'v'; 100_000];
    client.send(b"*3\r\n$3\r\nSET\r\n$1\r\nv\r\n$100000\r\n");
    client.send(&value);
    client.send(b"\r\n");
    assert_eq!(client.reply(), b"+OK\r\n");
    drop(announcers);
}

#[test]
fn expired_keys_are_swept_away_though_nobody_asks_for_them() {
    for cores in [1, 2] {
        let ours = Example::start("redis", cores);
        let mut client = Client::new(ours.connect());
        client.expect("SET stays here", "+OK\r\n");
        for number in 0..500 {
            client.expect(&format!("SET goes:{number} soon PX 1"), "+OK\r\n");
        }
        while client.ask("DBSIZE") != b":1\r\n" {}
        client.expect("MGET stays goes:1 goes:2", "*3\r\n$4\r\nhere\r\n$-1\r\n$-1\r\n");
    }
}

#[test]
fn replies_keep_the_order_of_their_commands_across_cores() {
    let rounds = thorough::thorough(5000, 1000);
    let ours = Example::start("redis", 2);
    let clients: Vec<_> = (0..4)
        .map(|client| {
            let mut stream = Client::new(ours.connect());
            let (mut asked, mut expected) = (Vec::new(), Vec::new());
            for round in 0..rounds {
                asked.extend(encode(&format!("INCR {client}:{}", round % 7)));
                asked.extend(encode(&format!("ECHO {round}")));
                asked.extend(encode(&format!(
                    "MSET {client}:x {round} {client}:y {round} {client}:z {round}"
                )));
                asked.extend(encode(&format!("MGET {client}:z {client}:none {client}:x {client}:y")));
                asked.extend(encode(&format!("EXISTS {client}:x {client}:y {client}:none {client}:z")));
                let text = format!("${}\r\n{round}\r\n", round.to_string().len());
                let reply =
                    format!(":{}\r\n{text}+OK\r\n*4\r\n{text}$-1\r\n{text}{text}:3\r\n", round / 7 + 1);
                expected.extend(reply.into_bytes());
            }
            let mut writer = stream.stream.get_ref().try_clone().expect("a descriptor");
            let writing = std::thread::spawn(move || writer.write_all(&asked).expect("it reads"));
            let reading = std::thread::spawn(move || {
                let mut got = vec![0; expected.len()];
                stream.stream.read_exact(&mut got).expect("all replies");
                assert!(got == expected, "client {client}: replies out of order or wrong");
            });
            (writing, reading)
        })
        .collect();
    for (writing, reading) in clients {
        writing.join().expect("written");
        reading.join().expect("in order");
    }
    Client::new(ours.connect()).expect("DBSIZE", ":40\r\n");
}

#[test]
fn the_tools_of_redis_work_with_it() {
    if !can_use("redis-cli") || !can_use("redis-benchmark") {
        return;
    }
    for cores in [1, 2] {
        let ours = Example::start("redis", cores);
        let run = |program: &str, args: &[&str]| {
            let port = ours.address.port().to_string();
            let output = Command::new(program).args(["-p", &port]).args(args).output().expect("it starts");
            assert!(output.status.success(), "{program} {args:?}: {output:?}");
            String::from_utf8(output.stdout).expect("text")
        };
        assert_eq!(run("redis-cli", &["SET", "greeting", "hello there"]), "OK\n");
        assert_eq!(run("redis-cli", &["GET", "greeting"]), "hello there\n");
        assert!(run("redis-cli", &["INFO"]).contains("redis_version:7"));
        let figures = run(
            "redis-benchmark",
            &[
                "-t",
                "ping,set,get,incr,lpush,lpop,sadd,hset,spop,lrange_100,mset",
                "-n",
                "2000",
                "-P",
                "16",
                "-q",
            ],
        );
        assert!(!figures.to_lowercase().contains("error"), "{figures}");
        assert!(figures.matches("requests per second").count() >= 12, "{figures}");
    }
}
