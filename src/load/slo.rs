//! Objectives of a run, such as `p99.9=1ms`, and the verdict on each.

use super::record::{Outcome, Run, SloVerdict};
use crate::error::Error;
use crate::units::{decimal, human_count, human_duration, human_percent, human_rate, parse_duration};
use std::fmt;
use std::str::FromStr;

/// The most objectives of one run.
pub const OBJECTIVES_MAX: usize = 32;

/// How many samples must lie beyond a percentile before it is judged: as many as before it is told.
const SAMPLES_BEYOND_MIN: f64 = 10.0;

/// A bound that a run keeps or misses, judged on response times: from the intended start of a request.
///
/// From text: `p99.9=1ms` (or any other percentile), `max=5ms`, `mean=200us`, `errors=0.1%`. A bound is kept by
/// what equals it.
///
/// ```
/// use windlass::load::Slo;
///
/// let slo: Slo = "p99.9=1ms".parse().unwrap();
/// assert_eq!((slo.to_string().as_str(), slo.samples_min()), ("p99.9=1ms", 10_000));
/// ```
#[derive(Clone, PartialEq, Debug)]
pub struct Slo {
    /// As it was written, without spaces.
    text: String,
    bound: Bound,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Bound {
    Percentile { p: f64, ns: u64 },
    Max { ns: u64 },
    Mean { ns: u64 },
    Errors { fraction: f64 },
}

impl Slo {
    /// Reads several objectives with commas between them.
    ///
    /// # Errors
    /// [`Error::Config`] with a sentence for the first that makes no sense, for none at all, and for more than
    /// [`OBJECTIVES_MAX`].
    pub fn parse_list(text: &str) -> Result<Vec<Slo>, Error> {
        let slos = text.split(',').map(str::parse).collect::<Result<Vec<Slo>, Error>>()?;
        if slos.len() > OBJECTIVES_MAX {
            return Err(Error::Config(format!("{} objectives: at most {OBJECTIVES_MAX}", slos.len())));
        }
        Ok(slos)
    }

    /// How many requests a run needs before this can be judged.
    #[must_use]
    pub fn samples_min(&self) -> u64 {
        match self.bound {
            // Taken back a hair: 1 - 0.999 is a bit less than a thousandth.
            Bound::Percentile { p, .. } => (SAMPLES_BEYOND_MIN / (1.0 - p) * (1.0 - 1e-9)).ceil() as u64,
            Bound::Max { .. } | Bound::Mean { .. } | Bound::Errors { .. } => 1,
        }
    }

    /// Says whether the run kept this objective.
    ///
    /// Percentiles are upper edges of histogram buckets, so one may be told up to 1/128 too high and never too low:
    /// doubt speaks against the target. What cannot be judged, for want of samples or because the run failed, was
    /// not kept.
    #[must_use]
    pub fn judge(&self, run: &Run) -> SloVerdict {
        let mut verdict = SloVerdict {
            objective: self.text.clone(),
            p: None,
            bound_ns: None,
            measured_ns: None,
            bound_fraction: None,
            measured_fraction: None,
            kept: false,
            sentence: String::new(),
        };
        let times = &run.response.histogram;
        match self.bound {
            Bound::Errors { fraction } => {
                verdict.bound_fraction = Some(fraction);
                if run.totals.asked > 0 {
                    verdict.measured_fraction = Some(run.totals.failed() as f64 / run.totals.asked as f64);
                }
            }
            Bound::Percentile { p, ns } => {
                (verdict.p, verdict.bound_ns) = (Some(p), Some(ns));
                verdict.measured_ns = run.response.percentile_ns(p);
            }
            Bound::Max { ns } => (verdict.bound_ns, verdict.measured_ns) = (Some(ns), times.max()),
            Bound::Mean { ns } => {
                let mean_ns = times.mean().map(|mean| mean.round() as u64);
                (verdict.bound_ns, verdict.measured_ns) = (Some(ns), mean_ns);
            }
        }
        self.conclude(run, verdict)
    }

    fn conclude(&self, run: &Run, mut verdict: SloVerdict) -> SloVerdict {
        let name = self.name();
        if run.outcome == Outcome::Failed {
            let why = run.failure.as_deref().unwrap_or("no reason was given");
            verdict.sentence = format!("{name} cannot be judged: the run failed ({why})");
            return verdict;
        }
        let (kept, measured, bound) = match &verdict {
            SloVerdict { measured_ns: Some(measured), bound_ns: Some(bound), .. } => {
                let (kept, [measured_text, bound_text]) =
                    (measured <= bound, [*measured, *bound].map(human_duration));
                if measured_text == bound_text && !kept {
                    // Rounded alike: only all digits show why it was missed.
                    (kept, format!("{} ns", human_count(*measured)), format!("{} ns", human_count(*bound)))
                } else {
                    (kept, measured_text, bound_text)
                }
            }
            SloVerdict { measured_fraction: Some(measured), bound_fraction: Some(bound), .. } => {
                let counts = [run.totals.failed(), run.totals.asked].map(human_count);
                let measured_text = format!("{} ({} of {})", human_percent(*measured), counts[0], counts[1]);
                (measured <= bound, measured_text, human_percent(*bound))
            }
            _ => {
                verdict.sentence = self.too_few(run);
                return verdict;
            }
        };
        let sign = match (kept, measured == bound) {
            (true, true) => "=",
            (true, false) => "<",
            (false, _) => ">",
        };
        verdict.kept = kept;
        verdict.sentence = format!("{name} {measured} {sign} {bound}");
        verdict
    }

    /// What is missing, and how long a run must be to have it.
    fn too_few(&self, run: &Run) -> String {
        let (needed, had) = (self.samples_min(), run.response.histogram.count());
        let per_s = had as f64 / run.measured_s;
        let name = self.name();
        let lacks = format!("{name} cannot be judged: it needs {}", samples(needed));
        if !per_s.is_finite() || per_s <= 0.0 {
            return format!("{lacks}, and there are none");
        }
        let takes = human_duration((needed as f64 / per_s * 1e9).ceil() as u64);
        format!("{lacks}, which take {takes} at {}; this run has {}", human_rate(per_s), human_count(had))
    }

    /// What is bounded: the part before the `=`.
    fn name(&self) -> &str {
        self.text.split('=').next().unwrap_or(&self.text)
    }
}

impl fmt::Display for Slo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Slo {
    type Err = Error;

    fn from_str(text: &str) -> Result<Slo, Error> {
        let text: String = text.split_whitespace().collect();
        let refuse = |why: String| Err(Error::Config(format!("objective '{text}': {why}")));
        let Some((name, bound)) = text.split_once('=') else {
            return refuse("write what is bounded, = and the bound, such as p99.9=1ms or errors=0.1%".into());
        };
        if name == "errors" {
            return match fraction_of(bound) {
                Some(fraction) => Ok(Slo { bound: Bound::Errors { fraction }, text }),
                None => refuse(format!("'{bound}' is no share: write percent from 0% to 100%, such as 0.1%")),
            };
        }
        let percentile = name.strip_prefix('p').map(percentile_of);
        if percentile.is_none() && !["max", "mean"].contains(&name) {
            return refuse(format!(
                "'{name}' is unknown: there are p50 and other percentiles, max, mean, errors"
            ));
        }
        let ns = match parse_duration(bound) {
            Ok(time) if !time.is_zero() => time.as_nanos().min(u128::from(u64::MAX)) as u64,
            Ok(_) => return refuse("no answer takes no time: write a bound above 0".into()),
            Err(error) => return refuse(error.to_string()),
        };
        let bound = match percentile {
            Some(Some(p)) => Bound::Percentile { p, ns },
            Some(None) => {
                return refuse(format!(
                    "'{name}' is no percentile: write p and a number above 0 and below 100, such as p99.9; \
                     for all requests write max"
                ));
            }
            None if name == "max" => Bound::Max { ns },
            None => Bound::Mean { ns },
        };
        Ok(Slo { bound, text })
    }
}

/// The share that `99.9` percent are. Read with the point moved rather than divided, so that it is the double
/// nearest to 0.999.
fn percentile_of(text: &str) -> Option<f64> {
    decimal(text)?;
    let share: f64 = format!("{text}e-2").parse().ok()?;
    (share > 0.0 && share < 1.0).then_some(share)
}

fn samples(n: u64) -> String {
    format!("{} sample{}", human_count(n), if n == 1 { "" } else { "s" })
}

fn fraction_of(text: &str) -> Option<f64> {
    if text == "0" {
        return Some(0.0);
    }
    let percent = text.strip_suffix('%')?;
    decimal(percent)?;
    let share: f64 = format!("{percent}e-2").parse().ok()?;
    (share <= 1.0).then_some(share)
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::super::record::Totals;
    use super::*;

    fn judge(text: &str, run: &Run) -> (bool, String) {
        let verdict = text.parse::<Slo>().unwrap().judge(run);
        assert_eq!(verdict.objective, text);
        (verdict.kept, verdict.sentence)
    }

    /// 9,980 answers in 100 µs and 20 in 2 ms, at 1,000 per second.
    fn run() -> Run {
        fixture::run_with(&[(100_000, 9_980), (2_000_000, 20)], 10.0)
    }

    #[test]
    fn objectives_read_back_as_they_print() {
        for text in ["p99.9=1ms", "p50=800us", "max=5ms", "mean=1.5s", "errors=0.1%", "errors=0"] {
            assert_eq!(text.parse::<Slo>().unwrap().to_string(), text);
        }
        assert_eq!(" p99 = 1 ms ".parse::<Slo>().unwrap().to_string(), "p99=1ms");
        assert_eq!(Slo::parse_list("p99=1ms, errors=0").unwrap().len(), 2);
        assert!(Slo::parse_list(&["max=1s"; OBJECTIVES_MAX + 1].join(",")).is_err());
    }

    #[test]
    fn what_is_no_objective_is_refused_with_advice() {
        for (text, advice) in [
            ("", "such as p99.9=1ms"),
            ("p99", "such as p99.9=1ms"),
            ("p99<1ms", "such as p99.9=1ms"),
            ("p999=1ms", "such as p99.9"),
            ("p100=1ms", "write max"),
            ("p0=1ms", "above 0"),
            ("p-1=1ms", "no percentile"),
            ("pnan=1ms", "no percentile"),
            ("p99=5", "no unit: write 5s"),
            ("p99=0ms", "above 0"),
            ("median=1ms", "max, mean, errors"),
            ("errors=0.1", "such as 0.1%"),
            ("errors=101%", "0% to 100%"),
            ("errors=nan%", "no share"),
        ] {
            let sentence = text.parse::<Slo>().unwrap_err().to_string();
            assert!(sentence.starts_with("objective ") && sentence.contains(advice), "{text}: {sentence}");
        }
        assert!(Slo::parse_list("p99=1ms,").is_err());
    }

    #[test]
    fn percentiles_mean_and_max_are_judged_on_response_time() {
        let mut run = run();
        run.service = fixture::distribution(&[(1, 10_000)]);
        assert_eq!(judge("p99=101us", &run), (true, "p99 100 µs < 101 µs".into()));
        assert_eq!(judge("p99=1ms", &run), (true, "p99 100 µs < 1 ms".into()));
        assert_eq!(judge("p99.9=1ms", &run), (false, "p99.9 2 ms > 1 ms".into()));
        assert_eq!(judge("max=5ms", &run), (true, "max 2 ms < 5 ms".into()));
        assert_eq!(judge("mean=100us", &run), (false, "mean 104 µs > 100 µs".into()));
    }

    #[test]
    fn a_bound_missed_by_a_hair_shows_the_hair() {
        let run = fixture::run_with(&[(1_000_448, 100)], 1.0);
        assert_eq!(judge("max=1ms", &run), (false, "max 1 000 448 ns > 1 000 000 ns".into()));
    }

    #[test]
    fn a_percentile_without_samples_is_not_kept_and_says_what_it_takes() {
        let (kept, sentence) = judge("p99.99=1s", &run());
        assert!(!kept);
        assert_eq!(
            sentence,
            "p99.99 cannot be judged: it needs 100 000 samples, which take 100 s at 1 000/s; this run has 10 000"
        );
        let verdict = "p99.99=1s".parse::<Slo>().unwrap().judge(&run());
        assert_eq!(
            (verdict.p, verdict.bound_ns, verdict.measured_ns),
            (Some(0.9999), Some(1_000_000_000), None)
        );
        let empty = judge("max=1s", &fixture::run_with(&[], 0.0));
        assert_eq!(empty, (false, "max cannot be judged: it needs 1 sample, and there are none".into()));
    }

    #[test]
    fn errors_are_a_share_of_what_was_asked() {
        let mut run = run();
        run.totals =
            Totals { asked: 10_000, refused: 3, timed_out: 2, lost: 1, unsent: 6, ..Totals::default() };
        assert_eq!(judge("errors=0.1%", &run), (false, "errors 0.12 % (12 of 10 000) > 0.1 %".into()));
        assert!(judge("errors=0.12%", &run).0);
        run.totals = Totals { asked: 10_000, ..Totals::default() };
        assert!(judge("errors=0", &run).0);
    }

    #[test]
    fn a_failed_run_keeps_nothing() {
        let mut run = run();
        (run.outcome, run.failure) = (Outcome::Failed, Some("nobody answers".into()));
        let (kept, sentence) = judge("p50=1s", &run);
        assert!(!kept && sentence.ends_with("the run failed (nobody answers)"), "{sentence}");
    }

    #[test]
    fn samples_needed_do_not_slip_by_rounding() {
        let needed = |text: &str| text.parse::<Slo>().unwrap().samples_min();
        let texts = ["p50=1s", "p90=1s", "p99=1s", "p99.9=1s", "p99.99=1s", "p99.999=1s", "max=1s"];
        assert_eq!(texts.map(needed), [20, 100, 1_000, 10_000, 100_000, 1_000_000, 1]);
    }
}
