//! Runs an example as a process of its own: found beside the test executable, ended when dropped.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

/// How long anything may take before a test gives up; nothing is expected to take so long.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A process that is killed when the test ends, however it ends.
pub struct Process {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Process {
    pub fn start(program: impl AsRef<OsStr>, args: &[&str]) -> Process {
        let mut command = Command::new(&program);
        let mut child = command.args(args).stdout(Stdio::piped()).spawn().expect("the program starts");
        let output = BufReader::new(child.stdout.take().expect("its output is piped"));
        Process { child, output }
    }

    /// The next line it prints.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        let read = self.output.read_line(&mut line).expect("text");
        assert!(read > 0, "it ended instead of printing a line");
        line.trim_end().to_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server example that is listening.
pub struct Example {
    pub address: SocketAddr,
    _process: Process,
}

impl Example {
    /// Starts the example on a port of its own choice.
    pub fn start(name: &str, cores: usize) -> Example {
        let program = directory().join(name);
        assert!(
            program.exists(),
            "{} is missing: cargo test builds it, but cargo test --test NAME wants cargo build --examples before",
            program.display()
        );
        let mut process =
            Process::start(program, &["--listen", "127.0.0.1:0", "--cores", &cores.to_string()]);
        let line = process.line();
        let address = line.strip_prefix("listening on ").expect("its first line says where it listens");
        Example { address: address.parse().expect("an address"), _process: process }
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream.set_write_timeout(Some(PATIENCE)).expect("a socket");
        stream.set_nodelay(true).expect("a socket");
        stream
    }
}

/// Where cargo puts the examples of this profile: `target/debug/deps/TEST` has them in `target/debug/examples`.
fn directory() -> PathBuf {
    let own = std::env::current_exe().expect("a path");
    own.parent().and_then(Path::parent).expect("target/PROFILE").join("examples")
}

/// Whether a foreign program can be used; where CI is set it must be there.
pub fn can_use(program: &str) -> bool {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).exists()));
    assert!(found || std::env::var_os("CI").is_none(), "{program} is missing, and in CI nothing is skipped");
    if !found {
        eprintln!("skipped: there is no {program}");
    }
    found
}
