//! What a run is doing, on one line of the terminal's stderr; nothing at all where stderr is no terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::time::Duration;
use windlass::load::record::Interval;
use windlass::load::units::{human_count, human_duration, human_rate};
use windlass::load::{Plan, Progress};

/// Milliseconds are fine enough for a bar.
const POSITIONS_PER_S: f64 = 1_000.0;

/// The line.
#[derive(Debug)]
pub struct Line {
    shown: bool,
    bar: ProgressBar,
    failed: u64,
    /// Stands in front: which run of several it is.
    stage: String,
}

impl Line {
    /// A line that is shown only on a terminal that can rewrite it, and not if `quiet`.
    pub fn new(quiet: bool) -> Line {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let shown = !quiet && !dumb && std::io::stderr().is_terminal();
        Line { shown, bar: ProgressBar::hidden(), failed: 0, stage: String::new() }
    }

    /// A run begins; `stage` says which, if there are several.
    pub fn begin(&mut self, plan: &Plan, stage: &str) {
        if !self.shown {
            return;
        }
        self.failed = 0;
        self.stage = if stage.is_empty() { String::new() } else { format!("{stage}   ") };
        let length = (plan.duration.as_secs_f64() * POSITIONS_PER_S) as u64;
        self.bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
        let style =
            ProgressStyle::with_template("[{bar:24}] {msg}").expect("the template is a constant that parses");
        self.bar.set_style(style.progress_chars("=> "));
    }

    /// Something happened.
    pub fn tell(&mut self, plan: &Plan, progress: &Progress) {
        if !self.shown {
            return;
        }
        let said = match progress {
            Progress::Connecting { up, of } => {
                format!("connecting {} of {}", human_count(*up), human_count(*of))
            }
            Progress::WarmingUp { left } => {
                format!("warming up, {:.1} s left", left.as_secs_f64())
            }
            Progress::Measuring(interval) => self.measured(plan, interval),
            Progress::Finishing { outstanding } => {
                format!("waiting for {} answers", human_count(*outstanding))
            }
            _ => return,
        };
        self.bar.set_message(format!("{}{said}", self.stage));
    }

    fn measured(&mut self, plan: &Plan, interval: &Interval) -> String {
        let end = Duration::from_secs_f64(interval.start_s + interval.length_s).min(plan.duration);
        self.bar.set_position((end.as_secs_f64() * POSITIONS_PER_S) as u64);
        self.failed += interval.failed;
        // The highest that an interval's samples support.
        let told = interval.response.percentiles().into_iter().rfind(|told| told.p <= 0.99);
        let latency = told.map_or_else(String::new, |told| {
            format!("   p{:.0} {}", told.p * 100.0, human_duration(told.value_ns))
        });
        format!(
            "{:.1}/{:.0} s   {}{latency}   errors {}",
            end.as_secs_f64(),
            plan.duration.as_secs_f64(),
            human_rate(interval.answered as f64 / interval.length_s.max(1e-9)),
            human_count(self.failed)
        )
    }

    /// Takes the line away.
    pub fn clear(&mut self) {
        self.bar.finish_and_clear();
    }
}
