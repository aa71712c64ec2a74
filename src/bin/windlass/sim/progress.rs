//! How far a scenario is, on one line of the terminal's stderr; nothing at all where stderr is no terminal.

use super::show::told;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::time::Duration;
use windlass::load::units::human_rate;
use windlass::scenario::Progress;

/// Positions of the bar.
const POSITIONS: f64 = 1_000.0;

/// The line.
#[derive(Debug)]
pub struct Line {
    bar: Option<ProgressBar>,
    /// Wall time and events of the last look, for the speed of now.
    last: (Duration, u64),
}

impl Line {
    /// A line that is shown only on a terminal that can rewrite it, and not if `quiet`.
    pub fn new(quiet: bool) -> Line {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let shown = !quiet && !dumb && std::io::stderr().is_terminal();
        let bar = shown.then(|| {
            let target = ProgressDrawTarget::stderr();
            let bar = ProgressBar::with_draw_target(Some(POSITIONS as u64), target);
            let style = ProgressStyle::with_template("[{bar:24}] {msg}");
            bar.set_style(style.expect("the template is a constant that parses").progress_chars("=> "));
            bar
        });
        Line { bar, last: (Duration::ZERO, 0) }
    }

    /// Something happened.
    pub fn tell(&mut self, progress: &Progress) {
        let Some(bar) = &self.bar else { return };
        let share = progress.elapsed.as_secs_f64() / progress.of.as_secs_f64().max(1e-9);
        bar.set_position((share * POSITIONS) as u64);
        let since = progress.wall.saturating_sub(self.last.0).as_secs_f64().max(1e-9);
        let speed = progress.events.saturating_sub(self.last.1) as f64 / since;
        self.last = (progress.wall, progress.events);
        bar.set_message(format!(
            "{} of {} virtual   {} wall   {} events",
            told(progress.elapsed),
            told(progress.of),
            told(progress.wall),
            human_rate(speed)
        ));
    }

    /// Takes the line away.
    pub fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}
