//! One run after the other: starts them, shows how they go, and ends them when somebody interrupts.

use crate::exit::Failure;
use crate::interrupt::Interrupt;
use crate::out::Out;
use crate::progress::Line;
use crate::spoken::Spoken;
use serde::Serialize;
use windlass::Error;
use windlass::load::record::{Interval, Probe, Run};
use windlass::load::{Plan, Progress};

/// What the runs of one command share.
#[derive(Debug)]
pub struct Session {
    pub interrupt: Interrupt,
    pub line: Line,
    pub out: Out,
    /// What went wrong on the way and voids no run.
    pub trouble: Vec<Failure>,
    /// Each interval becomes a line on standard output.
    pub streams: bool,
}

/// A line of `--json-stream`.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Streamed<'a> {
    Interval(&'a Interval),
    Probe(&'a Probe),
    Run(&'a Run),
}

impl Session {
    /// Runs `plan` to its end, or until somebody interrupts.
    pub fn measure(&mut self, plan: &Plan, spoken: &Spoken, stage: &str) -> Result<Run, Failure> {
        self.measure_and(plan, spoken, stage, |_| Ok(()))
    }

    /// The same, and tells `watch` how it goes.
    pub fn measure_and(
        &mut self,
        plan: &Plan,
        spoken: &Spoken,
        stage: &str,
        mut watch: impl FnMut(&Progress) -> Result<(), Error>,
    ) -> Result<Run, Failure> {
        let mut running = spoken.start(plan)?;
        self.interrupt.ends(running.stopper());
        self.line.begin(plan, stage);
        while let Some(progress) = running.next() {
            self.line.tell(plan, &progress);
            watch(&progress)?;
            if let Progress::Measuring(interval) = &progress {
                self.stream(&Streamed::Interval(interval));
            }
        }
        self.line.clear();
        let mut run = running.finish()?;
        run.workload.size_bytes.clone_from(&spoken.sizes);
        Ok(run)
    }

    /// Writes the line, if lines are wanted. When nobody reads them any more, the run is ended; when there is no room
    /// for them, it goes on for the sake of its files.
    pub fn stream(&mut self, line: &Streamed<'_>) {
        if !self.streams || self.out.is_gone() {
            return;
        }
        let mut text = serde_json::to_string(line).expect("a record has only names for keys");
        text.push('\n');
        match self.out.write(&text) {
            Err(failure) => self.trouble.push(failure),
            Ok(()) if self.out.is_gone() => self.interrupt.now(),
            Ok(()) => {}
        }
    }
}
