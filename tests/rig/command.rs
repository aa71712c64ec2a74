//! The real command, run to its end, and what became of it.

use std::ffi::OsStr;
use std::process::{Command, Output, Stdio};

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
}

/// Runs the command with these words.
pub fn ended<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(words: I) -> Ended {
    Ended::of(&windlass().args(words).output().expect("the command starts"))
}
