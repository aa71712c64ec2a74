//! Runs the real command and looks at what it did; servers to measure, good ones and bad ones.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use windlass::load::Run;
use windlass::{Address, Cores, Event, Io, Listen, Running};

/// A short run. In a closed loop the generator's own lateness voids nothing, so exit codes are what they should be on
/// a busy machine too.
pub const QUICK: [&str; 8] =
    ["--rate", "max", "--connections", "2", "--duration", "200ms", "--warm-up", "10ms"];

/// The command with nothing in its environment that changes what it prints.
pub fn windlass() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_windlass"));
    command.env_remove("NO_COLOR").stdin(Stdio::null());
    command
}

/// What became of a command.
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    pub fn of(output: &Output) -> Ended {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("what is printed is UTF-8");
        let ended = Ended {
            code: output.status.code().expect("it ends by itself, not by a signal"),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        };
        assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
        ended
    }

    /// Asserts the code, with everything that was printed if it is another.
    #[track_caller]
    pub fn expect(self, code: i32) -> Ended {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Asserts that either stream says this.
    #[track_caller]
    pub fn says(self, words: &str) -> Ended {
        let said = self.stdout.contains(words) || self.stderr.contains(words);
        assert!(said, "'{words}' is missing in\nstdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// The record that `--json` printed.
    #[track_caller]
    pub fn run(&self) -> Run {
        serde_json::from_str(&self.stdout).expect("standard output is one record and nothing else")
    }
}

/// Runs the command with these words.
pub fn ended<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(words: I) -> Ended {
    Ended::of(&windlass().args(words).output().expect("the command starts"))
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

/// A directory of its own that is gone at the end.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Scratch {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("windlass-bench-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("there is room for a directory");
        Scratch(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A path in it, as text.
    pub fn join(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("temporary paths are text").to_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
