//! What a reader wants to know first: were the objectives kept, and can the figures be believed.

use crate::load::record::{Change, Outcome, Run, SearchEnd, Verdict};
use crate::plot::markup::Markup;
use crate::plot::parts::verdict;
use crate::plot::units::time;

/// All verdicts on a run, the ones that settle most first.
pub(super) fn verdicts(out: &mut Markup, run: &Run) {
    out.open("ul", &[("class", &"verdicts"), ("aria-label", &"Verdicts")]);
    outcome(out, run);
    for slo in &run.slo {
        let (tone, badge) = if slo.kept { ("good", "✓ PASS") } else { ("bad", "✗ MISS") };
        let sentence = if slo.sentence.is_empty() { &slo.objective } else { &slo.sentence };
        verdict(out, tone, badge, sentence);
    }
    if let Some(search) = &run.search {
        let (tone, badge) = match search.ended {
            SearchEnd::Found => ("good", "✓ FOUND"),
            SearchEnd::NeverMissed => ("good", "✓ NEVER MISSED"),
            SearchEnd::NeverKept => ("bad", "✗ NEVER KEPT"),
            SearchEnd::Interrupted => ("caution", "! INTERRUPTED"),
            SearchEnd::GeneratorLimited | SearchEnd::TooManyProbes => ("caution", "! LOWER BOUND"),
        };
        verdict(out, tone, badge, &search.sentence);
    }
    let (tone, badge) = match run.generator.verdict {
        Verdict::Trustworthy => ("good", "✓ TRUSTWORTHY"),
        Verdict::Saturated => ("caution", "! SATURATED"),
        Verdict::Untrustworthy => ("bad", "✗ NOT TO BE TRUSTED"),
    };
    verdict(out, tone, badge, &run.generator.reason);
    if let Some(comparison) = &run.comparison {
        let (tone, badge) = match comparison.verdict {
            Change::Better => ("good", "✓ BETTER"),
            Change::Worse => ("bad", "✗ WORSE"),
            Change::CannotTell => ("plain", "= CANNOT TELL"),
        };
        verdict(out, tone, badge, &comparison.sentence);
    }
    for warning in &run.warnings {
        verdict(out, "caution", "! WARNING", warning);
    }
    out.close();
}

fn outcome(out: &mut Markup, run: &Run) {
    let measured = format!("{} of {}", time(run.measured_s * 1e9), time(run.workload.duration_s * 1e9));
    match run.outcome {
        Outcome::Complete => {}
        Outcome::Interrupted => {
            let sentence = format!("Stopped early, after {measured}. The figures are those of that time.");
            verdict(out, "caution", "! INTERRUPTED", &sentence);
        }
        Outcome::Failed => {
            let sentence = run.failure.clone().unwrap_or_else(|| format!("The run failed after {measured}."));
            verdict(out, "bad", "✗ FAILED", &sentence);
        }
    }
}
