//! Runs the real command and looks at what it did.

use serde_json::Value;
use std::process::{Command, Stdio};

pub use crate::command::Ended;
use crate::command::{ended, windlass};
pub use crate::scratch::Scratch;

impl Ended {
    /// The record that `--json` printed.
    #[track_caller]
    pub fn record(&self) -> Value {
        serde_json::from_str(&self.stdout).expect("standard output is one record and nothing else")
    }
}

/// Runs `windlass sim` with these words.
pub fn sim(words: &[&str]) -> Ended {
    ended([&["sim"], words].concat())
}

/// The same with so many descriptors and no more.
pub fn sim_with_descriptors(most: u32, words: &[&str]) -> Ended {
    let mut shell = Command::new("sh");
    let script = format!("ulimit -n {most} && exec \"$0\" \"$@\"");
    shell.args(["-c", &script]).arg(windlass().get_program()).arg("sim").args(words);
    shell.env_remove("NO_COLOR").stdin(Stdio::null());
    Ended::of(&shell.output().expect("the shell starts"))
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
