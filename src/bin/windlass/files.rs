//! The files of a run: written under other names and renamed once they are whole, so that none is ever half there.

use crate::exit::Failure;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};
use windlass::load::Run;
use windlass::metrics::HistogramLog;

/// The name of the record in a directory of results.
pub const RECORD: &str = "run.json";

/// `.hgrm` files are in milliseconds.
const NS_PER_MS: f64 = 1e6;

/// The tag of response times in `latency.hlog`.
const TAG: &str = "response";

/// A directory for results that was found fit before the run.
#[derive(Debug)]
pub struct Results {
    dir: PathBuf,
}

impl Results {
    /// Makes the directory if it is missing and tries to write into it. The results of an earlier run are replaced
    /// only if that is `forced`; `record` is the file by which they are known.
    pub fn prepare(dir: &Path, forced: bool, record: &str) -> Result<Results, Failure> {
        let shown = dir.display();
        if dir.join(record).exists() && !forced {
            return Err(Failure::usage(format!(
                "--out {shown}: there is a {record} of an earlier run; choose another directory, or add --force to replace it"
            )));
        }
        let failed =
            |what: &str, error: &io::Error| Failure::failed(format!("--out {shown}: {what}: {error}"));
        if dir.exists() && !dir.is_dir() {
            return Err(Failure::failed(format!(
                "--out {shown}: this is a file, and results need a directory"
            )));
        }
        fs::create_dir_all(dir).map_err(|error| failed("the directory cannot be made", &error))?;
        let results = Results { dir: dir.to_owned() };
        let trial = results.unfinished("trial");
        let written = write_whole(&trial, b"windlass");
        let _ = fs::remove_file(&trial);
        written.map_err(|error| failed("nothing can be written there", &error))?;
        Ok(results)
    }

    /// Writes all files and says which. If one cannot be written, none is, and what was there stays.
    pub fn save(&self, run: &Run, page: &str) -> Result<String, Failure> {
        let mut json = run.to_json();
        json.push('\n');
        let files: [(&str, Vec<u8>); 4] = [
            (RECORD, json.into_bytes()),
            ("report.html", page.as_bytes().to_vec()),
            ("latency.hlog", self.log_of(run)?),
            ("latency.hgrm", run.response.histogram.to_hgrm(NS_PER_MS).into_bytes()),
        ];
        self.save_files(&files)?;
        Ok(self.named(&["report.html", RECORD, "latency.hlog", "latency.hgrm"]))
    }

    /// Writes these files. If one cannot be written, none is, and what was there stays.
    pub fn save_files(&self, files: &[(&str, Vec<u8>)]) -> Result<(), Failure> {
        let written = files.iter().try_for_each(|(name, bytes)| write_whole(&self.unfinished(name), bytes));
        let saved = written.and_then(|()| {
            files.iter().try_for_each(|(name, _)| fs::rename(self.unfinished(name), self.dir.join(name)))
        });
        saved.map_err(|error| {
            for (name, _) in files {
                let _ = fs::remove_file(self.unfinished(name));
            }
            Failure::failed(format!("--out {}: the results could not be saved: {error}", self.dir.display()))
        })
    }

    /// The names of saved files, the first one with its directory.
    pub fn named(&self, names: &[&str]) -> String {
        let (first, others) = names.split_first().expect("something was saved");
        let first = self.dir.join(first).display().to_string();
        std::iter::once(first.as_str()).chain(others.iter().copied()).collect::<Vec<_>>().join("  ")
    }

    fn log_of(&self, run: &Run) -> Result<Vec<u8>, Failure> {
        let failed = |error: io::Error| Failure::failed(format!("latency.hlog: {error}"));
        let started = UNIX_EPOCH + Duration::from_millis(run.started_unix_ms);
        let comment = format!("windlass {}: nanoseconds from the intended start", run.windlass_version);
        let mut log = HistogramLog::begin(Vec::new(), &comment, started).map_err(failed)?;
        for interval in &run.intervals {
            let (start, length) =
                (Duration::from_secs_f64(interval.start_s), Duration::from_secs_f64(interval.length_s));
            log.write(TAG, start, length, &interval.response.histogram).map_err(failed)?;
        }
        Ok(log.into_inner())
    }

    fn unfinished(&self, name: &str) -> PathBuf {
        self.dir.join(format!(".{name}.{}.unfinished", std::process::id()))
    }
}

/// Reads a record from a file, or from a directory that holds one.
pub fn read(path: &Path) -> Result<Run, String> {
    let file = if path.is_dir() { path.join(RECORD) } else { path.to_owned() };
    let shown = file.display();
    let text = fs::read_to_string(&file).map_err(|error| format!("{shown}: {error}"))?;
    Run::from_json(&text).map_err(|error| format!("{shown}: {error}"))
}

/// Writes a file under another name and renames it once it is whole.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.unfinished", std::process::id()));
    let unfinished = path.with_file_name(name);
    let replaced = write_whole(&unfinished, bytes).and_then(|()| fs::rename(&unfinished, path));
    if replaced.is_err() {
        let _ = fs::remove_file(&unfinished);
    }
    replaced
}

fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    // Some file systems say that they are full only now.
    file.sync_all()
}
