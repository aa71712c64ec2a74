//! `windlass report`: many runs as one page of trends, and what changed among them.

use crate::exit::{Exit, Failure};
use crate::files::{self, RECORD};
use crate::out::{Out, Style, Tone};
use crate::output;
use clap::Args;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use windlass::load::record::{Run, SCHEMA};
use windlass::load::report::{flags, history};

/// The most records that one history is made of.
const RUNS_MAX: usize = 10_000;

/// Draws the history of many runs: trends over time, and the runs that depart from those before them.
///
/// Runs are compared with runs of the same target, workload and machine only.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  windlass report runs                    every runs/*/run.json, into history.html
  windlass report run-1 run-2 run-3 --out trend.html
  windlass report --schema                the JSON Schema of run.json

Exit codes: 0 good, 1 a record could not be read (the others were drawn) or the page not written, 2 usage.")]
pub struct Report {
    /// Directories of runs (those with a run.json), directories of such directories, or run.json files.
    #[arg(value_name = "DIR", required_unless_present = "schema")]
    dirs: Vec<PathBuf>,
    /// Where the page goes. An earlier one is replaced.
    #[arg(long, value_name = "FILE", default_value = "history.html")]
    out: PathBuf,
    /// Print the JSON Schema of run.json and of what --json prints, and do nothing else.
    #[arg(long)]
    schema: bool,
    /// No colours.
    #[arg(long)]
    no_color: bool,
}

impl Report {
    pub fn run(self) -> Result<Exit, Failure> {
        let mut out = Out::default();
        if self.schema {
            out.write(SCHEMA)?;
            return Ok(Exit::Good);
        }
        let mut exit = Exit::Good;
        let mut complain = |sentence: String| {
            eprintln!("windlass: {sentence}");
            exit = Exit::Failed;
        };
        let mut records = Vec::new();
        for dir in &self.dirs {
            match records_in(dir) {
                Ok(found) => records.extend(found),
                Err(sentence) => complain(sentence),
            }
        }
        // A run that was named twice is still one run.
        records.sort();
        records.dedup();
        if records.len() > RUNS_MAX {
            return Err(Failure::usage(format!(
                "{} runs: at most {RUNS_MAX} make one history",
                records.len()
            )));
        }
        let mut runs: Vec<(String, Run)> = Vec::new();
        for path in &records {
            match files::read(path) {
                Ok(run) => runs.push((label(path), run)),
                Err(sentence) => complain(sentence),
            }
        }
        if runs.is_empty() {
            return Err(Failure::failed(
                "there is no run to draw: name directories that `windlass bench --out DIR` wrote",
            ));
        }
        runs.sort_by_key(|(_, run)| run.started_unix_ms);
        files::replace(&self.out, history(&runs).as_bytes())
            .map_err(|error| Failure::failed(format!("--out {}: {error}", self.out.display())))?;
        out.write(&self.summary(&runs))?;
        Ok(exit)
    }

    /// What the page says, in words.
    fn summary(&self, runs: &[(String, Run)]) -> String {
        let style = Style::detect(self.no_color);
        let mut text = String::new();
        for flag in flags(runs) {
            let (tone, word) = if flag.is_worse { (Tone::Bad, "WORSE") } else { (Tone::Good, "BETTER") };
            let _ = writeln!(text, "{}{}", output::badge(tone, word, style), flag.sentence);
        }
        if text.is_empty() {
            text += &output::line("Same", "no run departs from those before it", style);
        }
        let s = if runs.len() == 1 { "" } else { "s" };
        let saved = format!("{}   {} run{s}", self.out.display(), runs.len());
        text + &output::line("Saved", &saved, style)
    }
}

/// The records behind a name: a file, a directory with a record, or the directories in it that have one.
fn records_in(path: &Path) -> Result<Vec<PathBuf>, String> {
    let own = path.join(RECORD);
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    if own.is_file() {
        return Ok(vec![own]);
    }
    let entries = fs::read_dir(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let records: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path().join(RECORD)).filter(|record| record.is_file()).collect();
    if records.is_empty() {
        return Err(format!("{}: there is no {RECORD} in it, nor in the directories in it", path.display()));
    }
    Ok(records)
}

/// What a run is called in the history: its directory, or the file if it lies elsewhere under another name.
fn label(record: &Path) -> String {
    let named = record.file_name().is_some_and(|name| name == RECORD);
    let shown = if named { record.parent().filter(|dir| !dir.as_os_str().is_empty()) } else { None };
    shown.unwrap_or(record).display().to_string()
}
