//! Reports for people: one run as a page of verdicts, figures and plots, many runs as a history of trends.
//!
//! A report is a single HTML file that asks for nothing else: style, script and drawings are inside. It can be read
//! without script, by keyboard, in the dark and on paper; the script adds tooltips and pictures to take away.

mod changes;
#[cfg(test)]
mod fixture;
mod history;
mod page;
mod plots;
#[cfg(test)]
mod tests;
mod verdicts;

pub use history::{Flag, flags, history};
pub use page::page;
