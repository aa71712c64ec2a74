//! Runs the real command and looks at what it did; servers to measure, good ones and bad ones.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, ChildStdout, Command, Output, Stdio};
use windlass::load::Run;
use windlass::{Address, Cores, Event, Io, Listen, Running};

/// A short run. In a closed loop the generator's own lateness voids nothing, so exit codes are what they should be on
/// a busy machine too.
pub const QUICK: [&str; 8] =
    ["--rate", "max", "--connections", "2", "--duration", "200ms", "--warm-up", "10ms"];

pub use crate::command::{Ended, ended, windlass};
pub use crate::scratch::Scratch;

impl Ended {
    /// The record that `--json` printed.
    #[track_caller]
    pub fn run(&self) -> Run {
        serde_json::from_str(&self.stdout).expect("standard output is one record and nothing else")
    }
}

/// `windlass bench` on `target` with the flags of a short run and these.
pub fn bench(target: &str, words: &[&str]) -> Ended {
    ended([&["bench", target], &QUICK[..], words].concat())
}

/// A command that is still running, whose output is read line by line.
pub struct Live {
    child: Child,
    stdout: BufReader<ChildStdout>,
    stderr: BufReader<ChildStderr>,
}

impl Live {
    pub fn start<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(words: I) -> Live {
        let mut command = windlass();
        let mut child = command
            .args(words)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command starts");
        let stdout = BufReader::new(child.stdout.take().expect("its output is piped"));
        let stderr = BufReader::new(child.stderr.take().expect("so are its complaints"));
        Live { child, stdout, stderr }
    }

    /// The next line of its standard output.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("its output can be read");
        line
    }

    /// The next line of its standard error.
    pub fn error_line(&mut self) -> String {
        let mut line = String::new();
        self.stderr.read_line(&mut line).expect("its complaints can be read");
        line
    }

    /// Sends it a signal by its name, as `kill` does.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status().expect("there is a kill");
        assert!(sent.success());
    }

    /// Waits for its end; `stdout` and `stderr` are what was not read yet.
    pub fn wait(mut self) -> Ended {
        let mut stdout = Vec::new();
        self.stdout.read_to_end(&mut stdout).expect("its output can be read");
        Live::ended(&mut self.child, self.stderr, stdout)
    }

    fn ended(child: &mut Child, mut complaints: BufReader<ChildStderr>, stdout: Vec<u8>) -> Ended {
        let mut stderr = Vec::new();
        complaints.read_to_end(&mut stderr).expect("its complaints can be read");
        let status = child.wait().expect("it ends");
        Ended::of(&Output { status, stdout, stderr })
    }

    /// Waits for its end without reading what it prints.
    pub fn wait_deaf(self) -> Ended {
        let Live { mut child, stdout, stderr } = self;
        drop(stdout);
        Live::ended(&mut child, stderr, Vec::new())
    }

    /// Kills it without a word.
    pub fn kill(mut self) {
        self.child.kill().expect("it is there to be killed");
        self.child.wait().expect("it ends");
    }
}

/// An echo server in the test's process.
pub struct Server {
    running: Option<Running>,
    pub address: String,
}

impl Server {
    pub fn start() -> Server {
        Server::at(Listen::tcp("127.0.0.1:0"))
    }

    pub fn at(listen: Listen) -> Server {
        let running = Cores::new(1).listen(listen).start(|_core| {
            |io: &mut Io, event: Event<'_>| {
                if let Event::Data { conn, bytes } = event {
                    let _ = io.send(conn, bytes);
                }
            }
        });
        let running = running.expect("an echo server starts");
        let address = Address::to_string(&running.addresses()[0]);
        Server { running: Some(running), address }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.shutdown(std::time::Duration::ZERO);
            running.join().expect("the server ends well");
        }
    }
}
