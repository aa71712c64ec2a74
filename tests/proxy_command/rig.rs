//! The real command with its control, an upstream for it, and a client of HTTP that sees every byte.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;
use windlass::{Address, Cores, Event, Io, Listen, Running};

/// Who waits so long for anything has met a bug: it ends the test then, and measures nothing.
const PATIENCE: Duration = Duration::from_secs(60);

pub use crate::command::{ended, windlass};

/// A `windlass proxy` that runs, with a control; killed with its test.
pub struct Proxy {
    child: Child,
    stdout: BufReader<ChildStdout>,
    /// Where the first proxy listens, or the control if there is none.
    pub address: String,
    pub seed: u64,
    pub control: String,
}

impl Proxy {
    /// One without proxies.
    pub fn empty() -> Proxy {
        Proxy::start(&[])
    }

    /// One with these words on its command line, and a control on any free port.
    pub fn start(words: &[&str]) -> Proxy {
        let mut command = windlass();
        command.args(["proxy", "--control", "127.0.0.1:0"]).args(words);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the command starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("its output is piped"));
        let address = line_after(&mut stdout, "listening on ");
        let seed = line_after(&mut stdout, "seed ").parse().expect("a seed is a number");
        let control = line_after(&mut stdout, "control on ");
        Proxy { child, stdout, address, seed, control }
    }

    /// The next line that it prints.
    pub fn line(&mut self) -> String {
        line_after(&mut self.stdout, "")
    }

    /// Sends it a signal by its name, as `kill` does.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status().expect("there is a kill");
        assert!(sent.success());
    }

    /// Waits for its end; the exit code, and what it printed that was not read yet.
    pub fn wait(mut self) -> (Option<i32>, String) {
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).expect("its output can be read");
        (self.child.wait().expect("it ends").code(), rest)
    }

    /// Asks its control on a connection of its own.
    #[track_caller]
    pub fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        let length = body.len();
        let text = format!(
            "{method} {path} HTTP/1.1\r\nHost: control\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        Answer::parse(&self.raw(text.as_bytes()))
    }

    /// Asks, and asserts the status.
    #[track_caller]
    pub fn expect(&self, method: &str, path: &str, body: &str, status: u16) -> Value {
        let answer = self.ask(method, path, body);
        assert_eq!(answer.status, status, "{method} {path} {body}: {}", answer.body);
        answer.json()
    }

    /// Asks for what must be refused with this status, and a sentence that has these words.
    #[track_caller]
    pub fn refuses(&self, method: &str, path: &str, body: &str, status: u16, words: &str) {
        let told = self.expect(method, path, body, status);
        let sentence = told["error"].as_str().unwrap_or_else(|| panic!("no sentence in {told}"));
        assert!(sentence.contains(words), "'{words}' is missing in '{sentence}'");
        assert_eq!(told["status"], status, "{told}");
    }

    /// All that comes back for these bytes until the control ends the connection.
    #[track_caller]
    pub fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = self.dial();
        // It may end the connection before it has taken everything, and still has answered.
        let _ = stream.write_all(bytes);
        let mut all = Vec::new();
        stream.read_to_end(&mut all).expect("an answer, then the end");
        String::from_utf8(all).expect("answers are text")
    }

    /// A connection to its control.
    pub fn dial(&self) -> TcpStream {
        dial(&self.control)
    }

    /// Makes a proxy to `upstream`, and says where it listens.
    #[track_caller]
    pub fn create(&self, name: &str, upstream: &str) -> String {
        let body = json!({"name": name, "listen": "127.0.0.1:0", "upstream": upstream});
        let shown = self.expect("POST", "/proxies", &body.to_string(), 201);
        shown["listen"].as_str().expect("an address").to_owned()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn line_after(stdout: &mut impl BufRead, words: &str) -> String {
    let mut line = String::new();
    stdout.read_line(&mut line).expect("its output can be read");
    let rest = line.strip_prefix(words).unwrap_or_else(|| panic!("'{words}' expected, not '{line}'"));
    rest.trim_end().to_owned()
}

/// One answer of the control.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    #[track_caller]
    pub fn parse(text: &str) -> Answer {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head in '{text}'"));
        let status = head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).expect("a status line");
        Answer { status: status.parse().expect("a number"), head: head.to_owned(), body: body.to_owned() }
    }

    /// The body; null if there is none.
    #[track_caller]
    pub fn json(&self) -> Value {
        if self.body.is_empty() {
            return Value::Null;
        }
        assert!(self.head.contains("Content-Type: application/json"), "{}", self.head);
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.body))
    }
}

pub fn dial(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap_or_else(|error| panic!("{address}: {error}"));
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    stream
}

/// Whether bytes sent to `address` come back, on a connection of its own.
#[track_caller]
pub fn echoes(address: &str) {
    let mut stream = dial(address);
    say(&mut stream, b"hello through it");
    stream.shutdown(Shutdown::Write).expect("the connection is there");
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).expect("its end");
    assert!(rest.is_empty());
}

/// Sends bytes to an echo, and waits for them.
#[track_caller]
pub fn say(stream: &mut TcpStream, bytes: &[u8]) {
    stream.write_all(bytes).expect("the connection takes them");
    let mut back = vec![0; bytes.len()];
    stream.read_exact(&mut back).expect("they come back");
    assert_eq!(back, bytes);
}

/// An echo server in the test's process.
pub struct Upstream {
    running: Option<Running>,
    pub address: String,
}

impl Upstream {
    pub fn start() -> Upstream {
        let running = Cores::new(1).listen(Listen::tcp("127.0.0.1:0")).start(|_core| {
            |io: &mut Io, event: Event<'_>| {
                if let Event::Data { conn, bytes } = event {
                    let _ = io.send(conn, bytes);
                }
            }
        });
        let running = running.expect("an echo server starts");
        let address = Address::to_string(&running.addresses()[0]);
        Upstream { running: Some(running), address }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.shutdown(Duration::ZERO);
            running.join().expect("the server ends well");
        }
    }
}
