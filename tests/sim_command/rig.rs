//! Runs the real command and looks at what it did.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

/// What became of a command.
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// Asserts the code, with everything that was printed if it is another.
    #[track_caller]
    pub fn expect(self, code: i32) -> Ended {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Asserts that standard output or standard error says this.
    #[track_caller]
    pub fn says(self, words: &str) -> Ended {
        let said = self.stdout.contains(words) || self.stderr.contains(words);
        assert!(said, "'{words}' is missing in\nstdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// The record that `--json` printed.
    #[track_caller]
    pub fn record(&self) -> Value {
        serde_json::from_str(&self.stdout).expect("standard output is one record and nothing else")
    }
}

/// Runs `windlass sim` with these words.
pub fn sim(words: &[&str]) -> Ended {
    run(Command::new(env!("CARGO_BIN_EXE_windlass")), words)
}

/// The same with so many descriptors and no more.
pub fn sim_with_descriptors(most: u32, words: &[&str]) -> Ended {
    let mut shell = Command::new("sh");
    let script = format!("ulimit -n {most} && exec \"$0\" \"$@\"");
    shell.args(["-c", &script, env!("CARGO_BIN_EXE_windlass")]);
    run(shell, words)
}

fn run(mut command: Command, words: &[&str]) -> Ended {
    command.env_remove("NO_COLOR").stdin(Stdio::null()).arg("sim").args(words);
    let output = command.output().expect("the command starts");
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("what is printed is UTF-8");
    let ended = Ended {
        code: output.status.code().expect("it ends by itself, not by a signal"),
        stdout: text(&output.stdout),
        stderr: text(&output.stderr),
    };
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    ended
}

/// The measure of that name.
#[track_caller]
pub fn measure<'a>(record: &'a Value, name: &str) -> &'a Value {
    let measures = record["measures"].as_array().expect("there are measures");
    measures.iter().find(|it| it["name"] == name).unwrap_or_else(|| panic!("no {name} in {measures:?}"))
}

/// The figure of that name.
#[track_caller]
pub fn figure(record: &Value, name: &str) -> f64 {
    let figures = record["figures"].as_array().expect("there are figures");
    let found = figures.iter().find(|it| it["name"] == name).unwrap_or_else(|| panic!("no {name}"));
    found["value"].as_f64().expect("a number")
}

/// A directory of its own that is gone at the end.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Scratch {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("windlass-sim-{}-{number}", std::process::id()));
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
