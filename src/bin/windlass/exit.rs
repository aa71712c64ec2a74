//! How the command ends: its exit codes, which of several wins, and failures with their sentences.

use std::fmt;
use std::process::ExitCode;
use windlass::Error;
use windlass::load::Run;
use windlass::load::record::{Outcome, Verdict};

/// What every help text says about the codes.
pub const CODES: &str = "Exit codes:
  0    good
  1    failed: the target, the system, or a file that could not be written
  2    usage: what was asked for makes no sense; nothing was started
  3    an objective (--slo) was missed
  4    the generator is not to be trusted: its figures say more about it than about the target
  130  interrupted; what was measured until then was printed and saved
Where several apply, the first of 130, 1, 4, 3 counts: an objective says nothing if the generator cannot be trusted.";

/// How the command ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    Good,
    Failed,
    Usage,
    SloMissed,
    Untrusted,
    Interrupted,
}

impl Exit {
    /// What a run's record calls for.
    pub fn of(run: &Run, interrupted: bool) -> Exit {
        if interrupted || run.outcome == Outcome::Interrupted {
            Exit::Interrupted
        } else if run.outcome == Outcome::Failed {
            Exit::Failed
        } else if run.generator.verdict == Verdict::Untrustworthy {
            Exit::Untrusted
        } else if run.slo.iter().any(|verdict| !verdict.kept) || found_nothing(run) {
            Exit::SloMissed
        } else {
            Exit::Good
        }
    }

    /// The one of the two that counts.
    pub fn or(self, other: Exit) -> Exit {
        if self.rank() >= other.rank() { self } else { other }
    }

    fn rank(self) -> u8 {
        match self {
            Exit::Good => 0,
            Exit::SloMissed => 1,
            Exit::Untrusted => 2,
            Exit::Failed => 3,
            Exit::Usage => 4,
            Exit::Interrupted => 5,
        }
    }
}

/// A search was made, and no rate was confirmed to keep the objectives.
fn found_nothing(run: &Run) -> bool {
    run.search.as_ref().is_some_and(|search| search.kept_per_s.is_none())
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(match exit {
            Exit::Good => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::SloMissed => 3,
            Exit::Untrusted => 4,
            Exit::Interrupted => 130,
        })
    }
}

/// Why the command ends without a result: a sentence, and the code that belongs to it.
#[derive(Debug)]
pub struct Failure {
    pub exit: Exit,
    sentence: String,
}

impl Failure {
    /// What was asked for makes no sense.
    pub fn usage(sentence: impl Into<String>) -> Failure {
        Failure { exit: Exit::Usage, sentence: sentence.into() }
    }

    /// The world did not play along.
    pub fn failed(sentence: impl Into<String>) -> Failure {
        Failure { exit: Exit::Failed, sentence: sentence.into() }
    }

    /// Somebody wanted it to end before there was anything to tell.
    pub fn interrupted() -> Failure {
        Failure { exit: Exit::Interrupted, sentence: "interrupted before anything was measured".into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let exit = if matches!(error, Error::Config(_)) { Exit::Usage } else { Exit::Failed };
        Failure { exit, sentence: error.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_reasons_the_gravest_counts() {
        let order = [Exit::Good, Exit::SloMissed, Exit::Untrusted, Exit::Failed, Exit::Interrupted];
        for (place, graver) in order.iter().enumerate() {
            for lesser in &order[..place] {
                assert_eq!((graver.or(*lesser), lesser.or(*graver)), (*graver, *graver));
            }
        }
    }

    #[test]
    fn what_makes_no_sense_is_usage_and_what_the_system_refuses_is_failure() {
        assert_eq!(Failure::from(Error::Config("no".into())).exit, Exit::Usage);
        assert_eq!(Failure::from(Error::Unsupported("no")).exit, Exit::Failed);
    }
}
