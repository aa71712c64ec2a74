//! An example as a child process that ends with its test.

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

/// A client that waits this long for anything has met a bug; so that the test ends then, not to measure.
const STUCK: Duration = Duration::from_secs(60);

pub struct Server {
    child: Child,
    pub stdout: BufReader<ChildStdout>,
    pub address: SocketAddr,
}

/// Examples stand beside the `deps` folder that this test's own executable is in.
fn path(example: &str) -> PathBuf {
    let own = std::env::current_exe().expect("the test runs from a file");
    let profile = own.ancestors().nth(2).expect("target/<profile>/deps/<test>");
    profile.join("examples").join(example)
}

fn command(example: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(path(example));
    command.args(arguments).stdin(Stdio::null());
    command
}

pub fn run_to_end(example: &str, arguments: &[&str]) -> Output {
    command(example, arguments).output().expect("cargo test builds the examples")
}

impl Server {
    pub fn start(example: &str, arguments: &[&str]) -> Server {
        let mut server = Server::spawn(example, arguments);
        server.address = server.address_after("listening on ");
        server
    }

    /// One that says something else before its address, or has none.
    pub fn spawn(example: &str, arguments: &[&str]) -> Server {
        let mut command = command(example, arguments);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("cargo test builds the examples");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        Server { child, stdout, address: ([0, 0, 0, 0], 0).into() }
    }

    /// The next line of its output.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("text");
        line.truncate(line.trim_end().len());
        line
    }

    /// The address on the next line, behind the words that must stand before it.
    pub fn address_after(&mut self, words: &str) -> SocketAddr {
        let line = self.line();
        let address = line.strip_prefix(words).unwrap_or_else(|| panic!("'{line}' is not '{words}ADDR'"));
        address.parse().expect("an address")
    }

    pub fn connect(&self) -> TcpStream {
        patient(TcpStream::connect(self.address).expect("listening"))
    }

    /// The most memory that it ever had, in bytes.
    #[cfg(target_os = "linux")]
    pub fn memory_bytes_max(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("running");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux says so");
        let kib: usize = line.trim().trim_end_matches(" kB").parse().expect("kB");
        kib * 1024
    }

    /// Holds the whole process still meanwhile: what it is sent comes to it at once.
    pub fn while_stopped(&self, act: impl FnOnce()) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::STOP).expect("ours");
        waitpid(Some(pid), WaitOptions::UNTRACED).expect("it stops");
        act();
        kill_process(pid, Signal::CONT).expect("ours");
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("ours to wait for")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Makes a stream that never comes fail the test instead of hanging it.
pub fn patient(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(STUCK)).expect("a duration above zero");
    stream.set_write_timeout(Some(STUCK)).expect("a duration above zero");
    stream
}
