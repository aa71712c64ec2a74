//! The search for the highest rate that keeps the objectives: which rate to try next, given how the others went.

use super::plan::{RATE_MAX, RATE_MIN};
use super::record::{Outcome, Probe, Run, Search, SearchEnd, Verdict};
use super::slo::Slo;
use crate::error::Error;
use crate::units::{human_percent, human_rate};
use std::time::Duration;

/// How close together the highest rate that kept and the lowest that missed are in the end: the second is at most
/// this share above the first.
pub const RESOLUTION: f64 = 0.03;

/// How often the highest rate is run again before it is believed.
pub const CONFIRMATIONS: u32 = 3;

/// The most runs of one search. A search over three decades needs about 20 when nothing contradicts itself.
pub const PROBES_MAX: usize = 64;

/// The share of the requests asked for that must be answered.
const ANSWERED_MIN: f64 = 0.99;

/// The share of the requests that may be due and not sent at the end: more is a backlog that grows.
const UNSENT_MAX: f64 = 0.01;

/// How many runs in a row the generator may fail at one rate before that rate is out of its reach: the first may
/// have been the machine's hiccup.
const GENERATOR_TRIES: u32 = 2;

/// How often a search doubts the miss above what it confirmed and tries that rate again. One hiccup of the machine
/// in an early run would otherwise decide.
const MISS_RECHECKS_MAX: u32 = 2;

/// Asked rates scatter when starts are a Poisson process; this much above the least that can be judged is enough.
const JUDGED_MARGIN: f64 = 1.1;

/// The slowest rate that is tried, per second, unless the first is slower or the objectives need more samples.
const RATE_FLOOR: f64 = 1.0;

/// A search in progress. Run what [`next`](Self::next) says, [`record`](Self::record) how it went, until there is
/// nothing to try.
///
/// It doubles the rate until a run misses (or halves it until one does not), bisects to 3 %, and runs the highest
/// rate that kept three more times; if one of those misses, that rate counts as missed and the search goes on
/// below. Then the miss above is tried once more, because one hiccup of the machine would be enough for it. A run
/// misses when an objective is missed, when less than 99 % of the requests are answered, or when more than 1 % are
/// due and unsent.
///
/// ```
/// use std::time::Duration;
/// use windlass::load::{RateSearch, Slo};
///
/// let objectives = Slo::parse_list("p99=1ms").unwrap();
/// let search = RateSearch::new(1_000.0, Duration::from_secs(8), objectives).unwrap();
/// assert_eq!(search.next().unwrap().per_s, 1_000.0);
/// ```
#[derive(Clone, Debug)]
pub struct RateSearch {
    first_per_s: f64,
    floor_per_s: f64,
    objectives: Vec<Slo>,
    probes: Vec<Probe>,
    /// Rates that kept, and how often; none at or above a standing miss.
    kept: Vec<(f64, u32)>,
    /// Rates that missed.
    missed: Vec<f64>,
    /// Where the generator was not to be trusted the last time, and how often in a row.
    suspect: Option<(f64, u32)>,
    /// The lowest rate that is out of the generator's reach.
    limit: Option<f64>,
    rechecks: u32,
    interrupted: bool,
}

/// A rate to run at.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct RateToTry {
    /// Requests per second.
    pub per_s: f64,
    /// What for.
    pub stage: Stage,
}

/// What a run of a search is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// Looking for a rate that misses.
    Doubling,
    /// Looking for a rate that keeps.
    Halving,
    /// Narrowing down.
    Bisecting,
    /// Making sure.
    Confirming,
}

impl Stage {
    /// The name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Stage::Doubling => "doubling",
            Stage::Halving => "halving",
            Stage::Bisecting => "bisecting",
            Stage::Confirming => "confirming",
        }
    }
}

/// What comes next: a run, or the end.
enum Step {
    Try(RateToTry),
    End(SearchEnd),
}

impl RateSearch {
    /// A search that begins with `first_per_s`, or faster if runs of `duration` could not judge the objectives at
    /// that rate. Without objectives it looks for the highest rate that is answered.
    ///
    /// # Errors
    /// [`Error::Config`] if the first rate is not between [`RATE_MIN`] and [`RATE_MAX`], or if not even
    /// [`RATE_MAX`] gives samples enough in that duration.
    pub fn new(first_per_s: f64, duration: Duration, objectives: Vec<Slo>) -> Result<RateSearch, Error> {
        if !(RATE_MIN..=RATE_MAX).contains(&first_per_s) {
            return Err(Error::Config(format!(
                "a search cannot begin at {first_per_s} per second: write between {RATE_MIN} and {RATE_MAX}"
            )));
        }
        let samples = objectives.iter().map(Slo::samples_min).max().unwrap_or(1);
        let judged_per_s = samples as f64 / duration.as_secs_f64() * JUDGED_MARGIN;
        if judged_per_s > RATE_MAX {
            return Err(Error::Config(format!(
                "runs of {duration:?} are too short to judge the objectives at any rate: {samples} samples are needed"
            )));
        }
        let first_per_s = first_per_s.max(judged_per_s);
        Ok(RateSearch {
            first_per_s,
            floor_per_s: judged_per_s.max(RATE_FLOOR.min(first_per_s)),
            objectives,
            probes: Vec::new(),
            kept: Vec::new(),
            missed: Vec::new(),
            suspect: None,
            limit: None,
            rechecks: 0,
            interrupted: false,
        })
    }

    /// The rate to run at now; `None` when the search is over. Asking twice gives the same answer.
    #[must_use]
    pub fn next(&self) -> Option<RateToTry> {
        match self.step() {
            Step::Try(rate) => Some(rate),
            Step::End(_) => None,
        }
    }

    /// Takes in how the run at `per_s` went. An interrupted run ends the search.
    pub fn record(&mut self, per_s: f64, run: &Run) {
        let stage = match self.step() {
            Step::Try(rate) => rate.stage,
            Step::End(_) => return,
        };
        let miss = self.miss_of(run);
        self.probes.push(Probe {
            rate_per_s: per_s,
            answered_per_s: run.totals.answered_per_s,
            p50_ns: run.response.percentile_ns(0.5),
            p99_ns: run.response.percentile_ns(0.99),
            p999_ns: run.response.percentile_ns(0.999),
            kept: miss.is_none(),
            stage: stage.name().into(),
            reason: miss.clone().unwrap_or_default(),
        });
        if is_generators_fault(run) {
            let before = self.suspect.filter(|(rate, _)| *rate == per_s).map_or(0, |(_, times)| times);
            self.suspect = Some((per_s, before + 1));
            if before + 1 >= GENERATOR_TRIES {
                self.limit = Some(self.limit.map_or(per_s, |limit| limit.min(per_s)));
            }
            return;
        }
        self.suspect = None;
        if run.outcome == Outcome::Interrupted {
            self.interrupted = true;
        } else if miss.is_some() {
            self.kept.retain(|(rate, _)| *rate < per_s);
            self.rechecks += u32::from(self.missed.contains(&per_s));
            self.missed.push(per_s);
        } else {
            // A rate that missed before and now keeps was being checked again: it is given another chance.
            let misses = self.missed.len();
            self.missed.retain(|rate| *rate != per_s);
            self.rechecks += u32::from(self.missed.len() < misses);
            match self.kept.iter_mut().find(|(rate, _)| *rate == per_s) {
                Some((_, times)) => *times += 1,
                None => self.kept.push((per_s, 1)),
            }
        }
    }

    /// What was found so far, or in the end.
    #[must_use]
    pub fn result(&self) -> Search {
        let ended = match self.step() {
            Step::End(ended) => ended,
            Step::Try(_) => SearchEnd::Interrupted,
        };
        let mut confirmed =
            self.kept.iter().filter(|(_, times)| *times > CONFIRMATIONS).map(|(rate, _)| *rate);
        let kept_per_s = confirmed.by_ref().reduce(f64::max);
        let missed_per_s = self.lowest_miss();
        let sentence = self.sentence(ended, kept_per_s, missed_per_s);
        Search { kept_per_s, missed_per_s, probes: self.probes.clone(), ended, sentence }
    }

    fn highest_kept(&self) -> Option<(f64, u32)> {
        self.kept.iter().copied().reduce(|a, b| if b.0 > a.0 { b } else { a })
    }

    fn lowest_miss(&self) -> Option<f64> {
        self.missed.iter().copied().reduce(f64::min)
    }

    fn step(&self) -> Step {
        if self.interrupted {
            return Step::End(SearchEnd::Interrupted);
        }
        if self.probes.len() >= PROBES_MAX {
            return Step::End(SearchEnd::TooManyProbes);
        }
        let go = |per_s, stage| Step::Try(RateToTry { per_s, stage });
        let confirm_or = |end: SearchEnd| match self.highest_kept() {
            Some((rate, times)) if times <= CONFIRMATIONS => go(rate, Stage::Confirming),
            _ => Step::End(end),
        };
        let wanted = match (self.highest_kept(), self.lowest_miss()) {
            (None, None) => go(self.first_per_s, Stage::Doubling),
            (Some((kept, _)), None) if kept >= RATE_MAX => confirm_or(SearchEnd::NeverMissed),
            (Some((kept, _)), None) => go((kept * 2.0).min(RATE_MAX), Stage::Doubling),
            (None, Some(missed)) if missed <= self.floor_per_s => Step::End(SearchEnd::NeverKept),
            (None, Some(missed)) => go((missed / 2.0).max(self.floor_per_s), Stage::Halving),
            (Some((kept, _)), Some(missed)) if missed > kept * (1.0 + RESOLUTION) => {
                go(f64::midpoint(kept, missed), Stage::Bisecting)
            }
            (_, Some(missed)) => match confirm_or(SearchEnd::Found) {
                Step::End(_) if self.doubts(missed) => go(missed, Stage::Confirming),
                step => step,
            },
        };
        match (wanted, self.limit) {
            // What the generator cannot do is not asked of it again, nor anything faster.
            (Step::Try(rate), Some(limit)) if rate.per_s >= limit => confirm_or(SearchEnd::GeneratorLimited),
            (step, _) => step,
        }
    }

    /// Whether the lowest miss rests on a single run and may be tried again.
    fn doubts(&self, missed: f64) -> bool {
        self.rechecks < MISS_RECHECKS_MAX && self.missed.iter().filter(|rate| **rate == missed).count() == 1
    }

    /// Why the run missed; `None` if it kept everything.
    fn miss_of(&self, run: &Run) -> Option<String> {
        let totals = &run.totals;
        if run.outcome == Outcome::Interrupted {
            return Some("interrupted".into());
        }
        if run.outcome == Outcome::Failed {
            return Some(run.failure.clone().unwrap_or_else(|| "the run failed".into()));
        }
        if run.generator.verdict == Verdict::Untrustworthy {
            return Some(format!("the generator was not to be trusted: {}", run.generator.reason));
        }
        if totals.asked == 0 {
            return Some("nothing was asked".into());
        }
        if let Some(missed) = self.objectives.iter().map(|slo| slo.judge(run)).find(|verdict| !verdict.kept) {
            return Some(missed.sentence);
        }
        let share = |count: u64| count as f64 / totals.asked as f64;
        if share(totals.unsent) > UNSENT_MAX {
            let unsent = human_percent(share(totals.unsent));
            return Some(format!("the backlog grows: {unsent} of the requests were due and not sent"));
        }
        if share(totals.answered) < ANSWERED_MIN {
            let answered = human_percent(share(totals.answered));
            return Some(format!("only {answered} of the requests were answered"));
        }
        None
    }

    fn sentence(&self, ended: SearchEnd, kept: Option<f64>, missed: Option<f64>) -> String {
        let objectives: Vec<String> = self.objectives.iter().map(ToString::to_string).collect();
        let what = if objectives.is_empty() { "the rate".into() } else { objectives.join(", ") };
        let kept = match kept {
            Some(rate) => format!("keeps {what} at {}, confirmed {CONFIRMATIONS} times", human_rate(rate)),
            None => format!("no rate was confirmed to keep {what}"),
        };
        let reason_at = |rate| self.probes.iter().rev().find(|probe| probe.rate_per_s == rate && !probe.kept);
        let reason = |rate| reason_at(rate).map_or("", |probe| probe.reason.as_str());
        let missed = missed.filter(|rate| ended != SearchEnd::GeneratorLimited || Some(*rate) != self.limit);
        let missed = missed.map(|rate| format!("; misses at {} ({})", human_rate(rate), reason(rate)));
        let limit = self.limit.unwrap_or(0.0);
        let ending = match ended {
            SearchEnd::Found => String::new(),
            SearchEnd::Interrupted => "; the search was interrupted".into(),
            SearchEnd::NeverMissed => "; that is the fastest pace there is".into(),
            SearchEnd::NeverKept => "; slower was not tried".into(),
            SearchEnd::GeneratorLimited => format!(
                "; limited by the generator, which was not to be trusted at {} ({}): use more threads or machines",
                human_rate(limit),
                reason(limit)
            ),
            SearchEnd::TooManyProbes => {
                format!("; given up after {PROBES_MAX} runs that contradict each other")
            }
        };
        format!("{kept}{}{ending}", missed.unwrap_or_default())
    }
}

/// Whether the run says more about the generator than about the target.
fn is_generators_fault(run: &Run) -> bool {
    run.outcome == Outcome::Complete && run.generator.verdict == Verdict::Untrustworthy
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::super::protocol::Draw;
    use super::*;

    const DURATION: Duration = Duration::from_secs(8);

    /// Drives a search to its end against a modelled target.
    fn search(first: f64, slos: &str, mut target: impl FnMut(f64) -> Run) -> Search {
        let slos = if slos.is_empty() { Vec::new() } else { Slo::parse_list(slos).unwrap() };
        let mut search = RateSearch::new(first, DURATION, slos).unwrap();
        while let Some(rate) = search.next() {
            assert_eq!(search.next(), Some(rate), "asking twice gives the same answer");
            assert!((RATE_MIN..=RATE_MAX).contains(&rate.per_s));
            search.record(rate.per_s, &target(rate.per_s));
        }
        search.result()
    }

    /// One queue, one server, `capacity` requests per second with equal work each; starts are a Poisson process or
    /// evenly spaced. Lindley's recursion.
    fn queue(per_s: f64, capacity: f64, poisson: bool, draw: &mut Draw) -> Run {
        let (work, gap) = (1e9 / capacity, 1e9 / per_s);
        let count = (per_s * DURATION.as_secs_f64()) as u64;
        let mut wait = 0.0f64;
        let mut values = std::collections::BTreeMap::new();
        for _ in 0..count {
            // Nine bits that count are finer than the histogram's buckets and keep the list short.
            let ns = ((wait + work) as u64).max(1);
            let step = 1 << ns.ilog2().saturating_sub(8);
            *values.entry(ns / step * step).or_insert(0) += 1;
            let distance = if poisson { draw.exponential() * gap } else { gap };
            wait = (wait + work - distance).max(0.0);
        }
        let values: Vec<(u64, u64)> = values.into_iter().collect();
        fixture::run_with(&values, DURATION.as_secs_f64())
    }

    /// The rate at which the 99th percentile of a queue with Poisson starts and equal work meets the bound: the tail
    /// of the wait is C exp(-a t) with rate (exp(a work) - 1) = a (Cramér and Lundberg; Asmussen, Applied
    /// Probability and Queues, XIII.5).
    fn exact_p99_rate(capacity: f64, bound_s: f64) -> f64 {
        let work = 1.0 / capacity;
        let bisect = |mut low: f64, mut high: f64, is_low: &dyn Fn(f64) -> bool| {
            (0..200).for_each(|_| {
                let middle = f64::midpoint(low, high);
                if is_low(middle) { low = middle } else { high = middle }
            });
            low
        };
        bisect(0.3 * capacity, 0.999 * capacity, &|rate| {
            let a = bisect(1e-6 / work, 20.0 / work, &|a| rate * (a * work).exp_m1() < a);
            let c = (1.0 - rate * work) / (rate * work * (a * work).exp() - 1.0);
            work + (c / 0.01).ln() / a < bound_s
        })
    }

    #[test]
    fn an_even_queue_is_found_within_three_percent() {
        let capacities: &[f64] = crate::thorough::thorough(&[700.0, 5_000.0, 33_333.0], &[5_000.0]);
        for &capacity in capacities {
            let found =
                search(1_000.0, "p99=20ms", |rate| queue(rate, capacity, false, &mut Draw::seeded(1)));
            let (kept, missed) = (found.kept_per_s.unwrap(), found.missed_per_s.unwrap());
            assert_eq!(found.ended, SearchEnd::Found, "{}", found.sentence);
            assert!(kept <= capacity * 1.003 && missed > capacity, "{capacity}: {}", found.sentence);
            assert!(missed <= kept * 1.03, "{capacity}: {}", found.sentence);
            assert!(found.probes.len() <= 20, "{} probes", found.probes.len());
        }
    }

    #[test]
    fn a_random_queue_is_found_within_three_percent_of_theory() {
        let (capacity, exact) = (5_000.0, exact_p99_rate(5_000.0, 0.002));
        let seeds = crate::thorough::thorough(12, 3);
        let mut off: Vec<f64> = (0..seeds)
            .map(|seed| {
                let mut draw = Draw::seeded(seed);
                let found = search(500.0, "p99=2ms", |rate| queue(rate, capacity, true, &mut draw));
                assert_eq!(found.ended, SearchEnd::Found, "seed {seed}: {}", found.sentence);
                found.kept_per_s.unwrap() / exact - 1.0
            })
            .collect();
        off.sort_by(f64::total_cmp);
        println!("found against {exact:.0}/s: {off:.3?}");
        // Chance moves the percentile of one run, so three confirmations cost a little of the rate.
        assert!(
            off[0] > -0.045 && off[off.len() - 1] <= 0.03 && off[off.len() / 2].abs() <= 0.03,
            "{off:.3?}"
        );
    }

    /// Keeps with a chance that falls from 1 at 95 % of 10,000 per second to 0 at 105 %: a machine with noisy
    /// neighbours.
    fn fickle(per_s: f64, draw: &mut Draw) -> Run {
        let keeps = draw.unit() > chance_of_miss(per_s);
        fixture::run_with(&[(if keeps { 100_000 } else { 9_000_000 }, 100_000)], 10.0)
    }

    fn chance_of_miss(per_s: f64) -> f64 {
        ((per_s / 10_000.0 - 0.95) / 0.10).clamp(0.0, 1.0)
    }

    #[test]
    fn confirmations_take_back_what_was_kept_by_luck() {
        let (mut first, mut last, mut taken_back) = (0.0, 0.0, 0);
        const SEEDS: u32 = 100;
        for seed in 0..SEEDS {
            let mut draw = Draw::seeded(seed.into());
            let found = search(1_000.0, "p99=1ms", |rate| fickle(rate, &mut draw));
            assert_eq!(found.ended, SearchEnd::Found, "seed {seed}: {}", found.sentence);
            let candidate = found.probes.iter().find(|probe| probe.stage == "confirming").unwrap();
            taken_back += u32::from(found.kept_per_s.unwrap() < candidate.rate_per_s);
            first += chance_of_miss(candidate.rate_per_s) / f64::from(SEEDS);
            last += chance_of_miss(found.kept_per_s.unwrap()) / f64::from(SEEDS);
        }
        println!("chance of a miss: {first:.2} before confirming, {last:.2} after; {taken_back} taken back");
        assert!(taken_back >= SEEDS / 10, "{taken_back} taken back");
        assert!(last < 0.7 * first, "{last} against {first}");
    }

    #[test]
    fn one_hiccup_in_an_early_run_does_not_decide() {
        let mut runs = 0;
        let found = search(1_000.0, "p99=1ms", |rate| {
            runs += 1;
            let slow = rate > 10_000.0 || runs == 3;
            fixture::run_with(&[(if slow { 9_000_000 } else { 100_000 }, 100_000)], 10.0)
        });
        let kept = found.kept_per_s.unwrap();
        assert!((9_700.0..=10_000.0).contains(&kept), "{}", found.sentence);
        assert!(!found.probes[2].kept && found.probes[2].rate_per_s == 4_000.0);
    }

    #[test]
    fn a_target_that_always_misses_is_halved_to_the_floor() {
        let found = search(64.0, "max=1ms", |_| fixture::run_with(&[(2_000_000, 1_000)], 1.0));
        assert_eq!(
            (found.ended, found.kept_per_s, found.missed_per_s),
            (SearchEnd::NeverKept, None, Some(1.0))
        );
        let rates: Vec<f64> = found.probes.iter().map(|probe| probe.rate_per_s).collect();
        assert_eq!(rates, [64.0, 32.0, 16.0, 8.0, 4.0, 2.0, 1.0]);
        assert!(
            found
                .sentence
                .starts_with("no rate was confirmed to keep max=1ms; misses at 1/s (max 2 ms > 1 ms)")
        );
    }

    #[test]
    fn rates_too_slow_to_be_judged_are_not_tried() {
        let found = search(10.0, "p99.9=1ms", |_| fixture::run_with(&[(2_000_000, 20_000)], 8.0));
        // 10,000 samples in 8 s, and a tenth more.
        assert_eq!((found.probes.len(), found.probes[0].rate_per_s), (1, 1_375.0));
        assert_eq!(found.ended, SearchEnd::NeverKept);
        assert!(RateSearch::new(10.0, Duration::ZERO, Slo::parse_list("p99=1s").unwrap()).is_err());
        assert!(RateSearch::new(f64::NAN, DURATION, Vec::new()).is_err());
    }

    #[test]
    fn a_target_that_never_misses_ends_at_the_fastest_pace() {
        let found = search(1_000.0, "p99=1ms", |_| fixture::run_with(&[(1_000, 100_000)], 1.0));
        assert_eq!((found.ended, found.kept_per_s), (SearchEnd::NeverMissed, Some(RATE_MAX)));
        assert_eq!(found.missed_per_s, None);
    }

    #[test]
    fn a_generator_at_its_limit_ends_the_search_and_says_so() {
        let found = search(1_000.0, "p99=1ms", |rate| {
            let mut run = fixture::run_with(&[(1_000, 100_000)], 1.0);
            if rate > 10_000.0 {
                run.generator.verdict = Verdict::Untrustworthy;
                run.generator.reason = "it sent 3 ms late".into();
            }
            run
        });
        assert_eq!((found.ended, found.kept_per_s), (SearchEnd::GeneratorLimited, Some(8_000.0)));
        assert!(found.sentence.contains("limited by the generator"), "{}", found.sentence);
        assert!(
            found.sentence.contains("at 16 000/s (the generator was not to be trusted: it sent 3 ms late)")
        );
        assert_eq!(found.probes.iter().filter(|probe| !probe.kept).count(), 2, "tried twice, then believed");
    }

    #[test]
    fn a_generator_that_stumbles_once_is_tried_again() {
        let mut runs = 0;
        let found = search(1_000.0, "p99=1ms", |rate| {
            runs += 1;
            let mut run =
                fixture::run_with(&[(if rate > 3_000.0 { 9_000_000 } else { 1_000 }, 100_000)], 1.0);
            if runs == 2 {
                run.generator.verdict = Verdict::Untrustworthy;
            }
            run
        });
        assert_eq!(found.ended, SearchEnd::Found, "{}", found.sentence);
        assert!((2_910.0..=3_000.0).contains(&found.kept_per_s.unwrap()));
    }

    #[test]
    fn answers_and_backlog_count_without_objectives() {
        let answering = |answered: u64, unsent: u64| {
            search(1_000.0, "", |rate| {
                let mut run = fixture::run_with(&[(1_000, 100_000)], 1.0);
                if rate > 2_000.0 {
                    (run.totals.answered, run.totals.unsent) = (answered, unsent);
                }
                run
            })
        };
        let slow = answering(98_000, 1_500);
        assert!(slow.kept_per_s.unwrap() <= 2_000.0 && slow.sentence.contains("the backlog grows: 1.5 %"));
        let lossy = answering(98_900, 0);
        assert!(lossy.kept_per_s.unwrap() <= 2_000.0 && lossy.sentence.contains("only 98.9 %"));
        assert_eq!(answering(99_000, 1_000).ended, SearchEnd::NeverMissed);
    }

    #[test]
    fn an_interrupted_search_keeps_what_it_has() {
        let mut runs = 0;
        let found = search(1_000.0, "p99=1ms", |_| {
            runs += 1;
            let mut run = fixture::run_with(&[(1_000, 100_000)], 1.0);
            if runs == 3 {
                run.outcome = Outcome::Interrupted;
            }
            run
        });
        assert_eq!((found.ended, found.probes.len(), found.kept_per_s), (SearchEnd::Interrupted, 3, None));
    }

    #[test]
    fn no_target_makes_a_search_endless() {
        for seed in 0..crate::thorough::thorough(200, 20) {
            let mut draw = Draw::seeded(seed);
            let found = search(1_000.0, "p99=1ms", |_| {
                let ns = if draw.below(2) == 0 { 100_000 } else { 9_000_000 };
                let mut run = fixture::run_with(&[(ns, 10_000)], 1.0);
                if draw.below(10) == 0 {
                    run.generator.verdict = Verdict::Untrustworthy;
                }
                run
            });
            assert!(found.probes.len() <= PROBES_MAX, "seed {seed}: {}", found.sentence);
        }
    }
}
