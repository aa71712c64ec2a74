//! Foreign programs as children whose output is waited for, and folders that go when their test does.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

/// Who waits so long for anything has met a bug: it ends the test then, and measures nothing.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Whether a foreign program can be used; where CI is set it must be there.
pub fn can_use(program: &str) -> bool {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&folders).any(|folder| folder.join(program).exists());
    can_use_if(found, program)
}

/// The same for anything that is there or not.
pub fn can_use_if(found: bool, what: &str) -> bool {
    assert!(found || std::env::var_os("CI").is_none(), "{what} is missing, and in CI nothing is skipped");
    if !found {
        eprintln!("skipped: there is no {what}");
    }
    found
}

/// A folder of a test's own, removed with what is in it.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Folder {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("windlass-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a folder for temporary files");
        Folder(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The path of a file in it, there or not.
    pub fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("a path of plain text").to_owned()
    }

    /// A file with these contents; its path.
    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> String {
        let path = self.file(name);
        std::fs::write(&path, contents).expect("room for a file");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What a child still writes there goes with the system's temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A child whose output and errors are read as they come. It ends with its test.
pub struct Tool {
    name: String,
    child: Child,
    input: Option<ChildStdin>,
    pieces: Receiver<Vec<u8>>,
    said: Vec<u8>,
}

impl Tool {
    pub fn start(program: impl AsRef<OsStr>, arguments: &[&str]) -> Tool {
        let name = format!("{} {}", Path::new(&program).display(), arguments.join(" "));
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name}: {error}"));
        let (sender, pieces) = channel();
        forward(child.stdout.take().expect("piped"), sender.clone());
        forward(child.stderr.take().expect("piped"), sender);
        let input = child.stdin.take();
        Tool { name, child, input, pieces, said: Vec::new() }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// All that it has said until now.
    pub fn said(&self) -> String {
        String::from_utf8_lossy(&self.said).into_owned()
    }

    pub fn has_said(&self, words: &str) -> bool {
        self.said().contains(words)
    }

    /// Waits until it has said these words at least so many times.
    #[track_caller]
    pub fn says_times(&mut self, words: &str, times: usize) {
        while self.said().matches(words).count() < times {
            match self.pieces.recv_timeout(PATIENCE) {
                Ok(piece) => self.said.extend(piece),
                Err(why) => panic!("{}: {why} instead of '{words}'; it said\n{}", self.name, self.said()),
            }
        }
    }

    #[track_caller]
    pub fn says(&mut self, words: &str) {
        self.says_times(words, 1);
    }

    /// What stands between `words` and the next end of line, once that is there.
    #[track_caller]
    pub fn says_after(&mut self, words: &str) -> String {
        self.says(words);
        loop {
            let said = self.said();
            let rest = said.split_once(words).expect("just seen").1;
            if let Some((line, _)) = rest.split_once('\n') {
                return line.trim_end().to_owned();
            }
            let piece = self.pieces.recv_timeout(PATIENCE).expect("the rest of the line");
            self.said.extend(piece);
        }
    }

    /// Types a line. A program that reads commands from lines gets it as one piece if it was waiting.
    pub fn type_line(&mut self, line: &str) {
        self.write(format!("{line}\n").as_bytes());
    }

    pub fn write(&mut self, bytes: &[u8]) {
        let input = self.input.as_mut().expect("not ended yet");
        input.write_all(bytes).unwrap_or_else(|error| panic!("{}: {error}", self.name));
    }

    /// Ends its input.
    pub fn hang_up(&mut self) {
        self.input = None;
    }

    /// Waits for its end, with its input ended, and says how it ended and all that it has said.
    #[track_caller]
    pub fn end(mut self) -> (ExitStatus, String) {
        self.hang_up();
        loop {
            match self.pieces.recv_timeout(PATIENCE) {
                Ok(piece) => self.said.extend(piece),
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => break,
                Err(why) => panic!("{}: {why} instead of ending; it said\n{}", self.name, self.said()),
            }
        }
        let status = self.child.wait().expect("ours to wait for");
        (status, self.said())
    }

    /// The same of one that must end well; what it said.
    #[track_caller]
    pub fn ends_well(self) -> String {
        let name = self.name.clone();
        let (status, said) = self.end();
        assert!(status.success(), "{name}: {status}; it said\n{said}");
        said
    }
}

impl Drop for Tool {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn forward(mut from: impl Read + Send + 'static, to: Sender<Vec<u8>>) {
    thread::spawn(move || {
        let mut piece = [0; 16 * 1024];
        while let Ok(length @ 1..) = from.read(&mut piece) {
            if to.send(piece[..length].to_vec()).is_err() {
                break;
            }
        }
    });
}
