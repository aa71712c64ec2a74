//! Whether a run is better or worse than an earlier one, or whether chance and the machine explain the difference.
//!
//! What one run tells of its own chance is estimated by a block bootstrap over its intervals: stretches of
//! consecutive intervals are drawn with replacement, because neighbouring ones are alike, and their histograms
//! merged; how far the percentiles of such resamples scatter is how far the percentile of the run can be trusted
//! (Künsch, Annals of Statistics 17, 1989; the circular blocks are those of Politis and Romano, 1992). Two runs of
//! one build differ by more than that: machines have moods that last longer than a run. Each figure therefore has a
//! share by which it drifts from run to run, measured once on a shared machine; runs between which the machine's own
//! speed changed are told apart less sharply, and nothing is told of a run that other programs crowded out.

use super::crowding::CROWDED_FRACTION;
use super::protocol::Draw;
use super::record::{Arrivals, Change, ComparedFigure, Comparison, Interval, Mode, Outcome, Run, Verdict};
use super::secured;
use crate::error::Error;
use crate::units::human_percent;

/// The fewest intervals that say something about their scatter.
pub const COMPARED_INTERVALS_MIN: usize = 8;

/// Longer series are merged down to at most this many stretches, so that a comparison takes milliseconds
/// whatever was measured.
const STRETCHES_MAX: usize = 64;

/// Parts of a run that are set beside each other to see it drift. Eight intervals, the fewest there may be, fill them.
const PARTS: usize = 4;

/// Resamples of each run: their scatter is known to about 5 %.
const RESAMPLES: usize = 200;

/// The resamples of a pair of runs are the same whenever it is compared.
const SEED: u64 = 0x7769_6e64;

/// Two-sided 5 % quantiles of the normal distribution, shared out among so many figures (Bonferroni): the chance
/// that any of them is found to differ, although nothing does, stays below 5 %.
const QUANTILES: [f64; 6] = [1.960, 2.241, 2.394, 2.498, 2.576, 2.638];

/// How figures of one build on one machine differ from run to run, as a standard deviation of their logarithm: from
/// two-second runs on a shared two-processor machine (`benches/compare.rs`).
const DRIFT_P50: f64 = 0.012;
const DRIFT_P90: f64 = 0.040;
const DRIFT_P99: f64 = 0.15;
const DRIFT_P999: f64 = 0.40;
const DRIFT_MEAN: f64 = 0.020;

/// References on a machine that did not change differ by up to 5 %.
const REFERENCE_NOISE: f64 = 0.05;

/// A histogram's bucket is up to 1/128 wide, and both runs' percentiles are edges of one.
const BUCKET: f64 = 1.0 / 128.0;

/// A figure that is compared.
#[derive(Clone, Copy)]
struct Figure {
    name: &'static str,
    what: What,
    drift: f64,
}

#[derive(Clone, Copy, PartialEq)]
enum What {
    Percentile(f64),
    Mean,
    Rate,
}

const FIGURES: [Figure; 6] = [
    Figure { name: "p50", what: What::Percentile(0.5), drift: DRIFT_P50 },
    Figure { name: "p90", what: What::Percentile(0.9), drift: DRIFT_P90 },
    Figure { name: "p99", what: What::Percentile(0.99), drift: DRIFT_P99 },
    Figure { name: "p99.9", what: What::Percentile(0.999), drift: DRIFT_P999 },
    Figure { name: "mean", what: What::Mean, drift: DRIFT_MEAN },
    Figure { name: "rate", what: What::Rate, drift: DRIFT_MEAN },
];

/// Compares a run with an earlier one. The name of the earlier run's file is for the caller to fill in.
///
/// Compared are p50, p90, p99 and p99.9 of response times where both runs have the samples, the mean, and the rate
/// in closed loops. Each ratio comes with the interval in which the true one lies, all of them together with 95 %
/// confidence; a figure is better or worse if its interval does not hold 1. The verdict over all figures is that of
/// those which differ, and [`Change::CannotTell`] if they disagree or there are none.
///
/// # Errors
/// [`Error::Config`] with a sentence if the runs are unlike each other (protocol, kind of target, workload, rate),
/// if one failed, or if one has fewer than [`COMPARED_INTERVALS_MIN`] intervals.
pub fn compare(baseline: &Run, now: &Run) -> Result<Comparison, Error> {
    refuse_unlike(baseline, now)?;
    let figures: Vec<Figure> = FIGURES.into_iter().filter(|figure| is_told(figure, baseline, now)).collect();
    let (before, after) = (Stretches::of(baseline), Stretches::of(now));
    let (before, after) = (before.scatter(&figures, 0), after.scatter(&figures, 1));
    let quantile = QUANTILES[figures.len().clamp(1, QUANTILES.len()) - 1];
    let crowded = waited(baseline).max(waited(now));
    let compared: Vec<ComparedFigure> = figures
        .iter()
        .enumerate()
        .map(|(place, figure)| {
            // If nothing changed, both runs were at the mercy of the same stalls, also the one that met none and so
            // knows of none: the larger scatter is that of both.
            let one_run = before[place].max(after[place]).max(figure.drift);
            let spread = one_run * std::f64::consts::SQRT_2;
            let machine = machine_share(figure.what, baseline, now);
            let systematic = match figure.what {
                What::Percentile(_) => machine + BUCKET,
                What::Mean | What::Rate => machine + crowded,
            };
            compared(figure, baseline, now, quantile * spread + systematic)
        })
        .collect();
    let (verdict, sentence) = conclude(baseline, now, &compared);
    Ok(Comparison {
        baseline: String::new(),
        baseline_started_unix_ms: baseline.started_unix_ms,
        figures: compared,
        verdict,
        sentence,
    })
}

fn refuse_unlike(baseline: &Run, now: &Run) -> Result<(), Error> {
    let refuse = |sentence: String| Err(Error::Config(sentence));
    let (a, b) = (&baseline.workload, &now.workload);
    let kind = |run: &Run| if run.target.embedded { "the embedded server" } else { "a server elsewhere" };
    let rate = |run: &Run| {
        let (from, to) = (run.workload.rate_per_s, run.workload.rate_to_per_s);
        from.map_or_else(String::new, |from| to.map_or(format!("{from}"), |to| format!("{from} to {to}")))
    };
    let pair = |what: &'static str, a: &dyn ToString, b: &dyn ToString| (what, a.to_string(), b.to_string());
    let every = |n: Option<u64>| n.map_or_else(|| "never".into(), |n| n.to_string());
    let mode = |mode: Mode| format!("{mode:?}").to_lowercase();
    let arrivals = |arrivals: Arrivals| format!("{arrivals:?}").to_lowercase();
    let pairs = [
        pair("protocol", &baseline.target.protocol, &now.target.protocol),
        pair("transport", &baseline.target.transport, &now.target.transport),
        pair("target", &kind(baseline), &kind(now)),
        pair("mode", &mode(a.mode), &mode(b.mode)),
        pair("kind of handshake", &secured::kind(baseline), &secured::kind(now)),
        pair("arrivals", &arrivals(a.arrivals), &arrivals(b.arrivals)),
        pair("rate per second", &rate(baseline), &rate(now)),
        pair("connections", &a.connections, &b.connections),
        pair("depth", &a.depth, &b.depth),
        pair("message size", &a.size_bytes, &b.size_bytes),
        pair("think time in seconds", &a.think_s, &b.think_s),
        pair("answers per connection", &every(a.reconnect_every), &every(b.reconnect_every)),
        pair("time-out in seconds", &a.timeout_s, &b.timeout_s),
        pair("generator threads", &a.threads, &b.threads),
        pair("waiting of the generator", &a.waiting, &b.waiting),
    ];
    if let Some((what, before, after)) = pairs.into_iter().find(|(_, before, after)| before != after) {
        return refuse(format!(
            "these runs cannot be compared: {what} was {before} in the earlier one and is {after} now"
        ));
    }
    for (which, run) in [("the earlier run", baseline), ("this run", now)] {
        if run.outcome == Outcome::Failed {
            let why = run.failure.as_deref().unwrap_or("no reason was given");
            return refuse(format!("{which} cannot be compared, it failed: {why}"));
        }
        let intervals = used_intervals(run).count();
        if intervals < COMPARED_INTERVALS_MIN {
            return refuse(format!(
                "{which} is too short to be compared: it has {intervals} intervals with answers and needs \
                 {COMPARED_INTERVALS_MIN} to show how much its figures scatter; run for longer"
            ));
        }
    }
    Ok(())
}

fn used_intervals(run: &Run) -> impl Iterator<Item = &Interval> {
    run.intervals.iter().filter(|interval| !interval.response.histogram.is_empty() && interval.length_s > 0.0)
}

/// Whether both runs have what this figure takes.
fn is_told(figure: &Figure, baseline: &Run, now: &Run) -> bool {
    let closed = now.workload.arrivals == Arrivals::Closed;
    (figure.what != What::Rate || closed)
        && [baseline, now].iter().all(|run| value(figure.what, run).is_some_and(|value| value > 0.0))
}

/// The share of the run that threads waited for a processor, in which nothing they measured was the target's doing.
fn waited(run: &Run) -> f64 {
    run.host.processor_wait_fraction.unwrap_or(0.0)
}

fn value(what: What, run: &Run) -> Option<f64> {
    match what {
        What::Percentile(p) => run.response.percentile_ns(p).map(|ns| ns as f64),
        What::Mean => run.response.histogram.mean(),
        What::Rate => Some(run.totals.answered_per_s),
    }
}

/// By how much the machine's own round trip changed between the runs, in nanoseconds, beyond its own noise: so much of
/// every response time may be the machine's doing. Taken is the quicker of each run's two, because the other one met a
/// neighbour. Machines without references are not known to have changed.
fn machine_change_ns(baseline: &Run, now: &Run) -> f64 {
    let quickest = |run: &Run| run.host.reference_round_trip_ns.iter().copied().min().filter(|ns| *ns > 0);
    match (quickest(baseline), quickest(now)) {
        (Some(before), Some(after)) => {
            let noise_ns = REFERENCE_NOISE * before.min(after) as f64;
            (before.abs_diff(after) as f64 - noise_ns).max(0.0)
        }
        _ => 0.0,
    }
}

/// How much of a figure the machine's change may account for, as a logarithm. A closed loop's rate is slower by as much
/// as its responses are.
fn machine_share(what: What, baseline: &Run, now: &Run) -> f64 {
    let what = if what == What::Rate { What::Mean } else { what };
    let of = |run| value(what, run).unwrap_or(f64::INFINITY);
    (machine_change_ns(baseline, now) / of(baseline).min(of(now)).max(1.0)).ln_1p()
}

/// A run's intervals as rows over the same columns: one for every histogram bucket in use.
struct Stretches {
    /// The buckets' middles in nanoseconds, in rising order.
    values: Vec<f64>,
    /// Counts per stretch and bucket.
    counts: Vec<Vec<u64>>,
    /// Good answers and seconds per stretch.
    answered: Vec<(f64, f64)>,
}

impl Stretches {
    fn of(run: &Run) -> Stretches {
        let used: Vec<&Interval> = used_intervals(run).collect();
        let mut buckets: Vec<(u64, u64)> = used
            .iter()
            .flat_map(|interval| {
                interval.response.histogram.buckets().map(|bucket| (bucket.low, bucket.high))
            })
            .collect();
        buckets.sort_unstable();
        buckets.dedup();
        let (mut counts, mut answered) = (Vec::new(), Vec::new());
        for stretch in used.chunks(used.len().div_ceil(STRETCHES_MAX).max(1)) {
            let mut row = vec![0; buckets.len()];
            for bucket in stretch.iter().flat_map(|interval| interval.response.histogram.buckets()) {
                if let Ok(place) = buckets.binary_search(&(bucket.low, bucket.high)) {
                    row[place] += bucket.count;
                }
            }
            counts.push(row);
            answered.push(stretch.iter().fold((0.0, 0.0), |(answers, seconds), interval| {
                (answers + interval.answered as f64, seconds + interval.length_s)
            }));
        }
        let values = buckets.iter().map(|(low, high)| (*low as f64 + *high as f64) / 2.0).collect();
        Stretches { values, counts, answered }
    }

    /// How far the logarithm of each figure scatters over resamples, as a standard deviation.
    fn scatter(&self, figures: &[Figure], branch: u64) -> Vec<f64> {
        let mut draw = Draw::branch(SEED, branch);
        let stretches = self.counts.len();
        // The usual rate for block lengths; the constant hardly matters for so few stretches.
        let block = (stretches as f64).cbrt().round().max(1.0) as usize;
        let mut sums = vec![(0.0, 0.0); figures.len()];
        let mut merged = vec![0; self.values.len()];
        for _ in 0..RESAMPLES {
            merged.fill(0);
            let (mut answers, mut seconds) = (0.0, 0.0);
            let mut taken = 0;
            while taken < stretches {
                let first = draw.below(stretches as u64) as usize;
                for place in (first..first + block.min(stretches - taken)).map(|place| place % stretches) {
                    merged.iter_mut().zip(&self.counts[place]).for_each(|(sum, count)| *sum += count);
                    answers += self.answered[place].0;
                    seconds += self.answered[place].1;
                }
                taken += block;
            }
            self.add_figures(figures, &merged, answers / seconds, &mut sums);
        }
        // Resampling m blocks scatters by (m - 1) / m too little.
        let blocks = stretches as f64 / block as f64;
        let correction = blocks / (blocks - 1.0);
        let resampled = sums.iter().map(|sums| deviation(*sums, RESAMPLES) * correction.sqrt());
        resampled.zip(self.drift(figures)).map(|(resampled, drift)| resampled.max(drift)).collect()
    }

    /// How far the logarithm of each figure drifts from one part of the run to the next, as a standard deviation.
    ///
    /// What makes a shared machine slower for seconds on end does not average out over a run: its noise has the same
    /// strength at every scale (flicker noise; its Allan deviation is flat). So runs differ from each other by
    /// about as much as the parts of one run do, however many those are.
    fn drift(&self, figures: &[Figure]) -> Vec<f64> {
        let mut sums = vec![(0.0, 0.0); figures.len()];
        let mut merged = vec![0; self.values.len()];
        for part in 0..PARTS {
            let of_part = self.counts.len() * part / PARTS..self.counts.len() * (part + 1) / PARTS;
            merged.fill(0);
            let (mut answers, mut seconds) = (0.0, 0.0);
            for place in of_part {
                merged.iter_mut().zip(&self.counts[place]).for_each(|(sum, count)| *sum += count);
                answers += self.answered[place].0;
                seconds += self.answered[place].1;
            }
            self.add_figures(figures, &merged, answers / seconds, &mut sums);
        }
        let correction = (PARTS as f64 / (PARTS - 1) as f64).sqrt();
        sums.into_iter().map(|sums| deviation(sums, PARTS) * correction).collect()
    }

    /// Adds the logarithms of the figures and their squares.
    fn add_figures(&self, figures: &[Figure], merged: &[u64], rate: f64, sums: &mut [(f64, f64)]) {
        for (figure, (sum, squares)) in figures.iter().zip(sums) {
            let value = match figure.what {
                What::Percentile(p) => self.percentile(merged, p),
                What::Mean => self.mean(merged),
                What::Rate => rate,
            };
            let logarithm = value.max(f64::MIN_POSITIVE).ln();
            *sum += logarithm;
            *squares += logarithm * logarithm;
        }
    }

    fn percentile(&self, merged: &[u64], p: f64) -> f64 {
        let rank = p * merged.iter().sum::<u64>() as f64;
        let mut below = 0;
        let place = merged.iter().position(|count| {
            below += count;
            below as f64 >= rank
        });
        place.map_or(0.0, |place| self.values[place])
    }

    fn mean(&self, merged: &[u64]) -> f64 {
        let sum: f64 = self.values.iter().zip(merged).map(|(value, count)| value * *count as f64).sum();
        sum / merged.iter().sum::<u64>() as f64
    }
}

/// The standard deviation of `n` numbers from their sum and the sum of their squares.
fn deviation((sum, squares): (f64, f64), n: usize) -> f64 {
    let mean = sum / n as f64;
    (squares / n as f64 - mean * mean).max(0.0).sqrt()
}

fn compared(figure: &Figure, baseline: &Run, now: &Run, half: f64) -> ComparedFigure {
    let of = |run| value(figure.what, run).unwrap_or(0.0);
    let (before, after) = (of(baseline), of(now));
    let ratio = after / before;
    let (ratio_low, ratio_high) = (ratio * (-half).exp(), ratio * half.exp());
    // More time is worse, more answers are better.
    let (more, less) = match figure.what {
        What::Rate => (Change::Better, Change::Worse),
        _ => (Change::Worse, Change::Better),
    };
    let verdict = if ratio_low > 1.0 {
        more
    } else if ratio_high < 1.0 {
        less
    } else {
        Change::CannotTell
    };
    ComparedFigure {
        name: figure.name.into(),
        baseline: before,
        now: after,
        ratio,
        ratio_low,
        ratio_high,
        verdict,
    }
}

/// The verdict over all figures and its sentence.
fn conclude(baseline: &Run, now: &Run, figures: &[ComparedFigure]) -> (Change, String) {
    for (which, run) in [("the earlier run", baseline), ("this run", now)] {
        if run.generator.verdict == Verdict::Untrustworthy {
            let why = &run.generator.reason;
            let sentence = format!("cannot tell: the generator of {which} was not to be trusted ({why})");
            return (Change::CannotTell, sentence);
        }
        if waited(run) > CROWDED_FRACTION {
            let sentence = format!(
                "cannot tell: the machine was crowded during {which}, a thread waited for a processor {} of the time",
                human_percent((waited(run) * 100.0).round() / 100.0)
            );
            return (Change::CannotTell, sentence);
        }
    }
    let tell = |verdict: Change| {
        let told: Vec<String> = figures
            .iter()
            .filter(|figure| figure.verdict == verdict)
            .map(|f| format!("{} {:.2}x ({:.2}-{:.2})", f.name, f.ratio, f.ratio_low, f.ratio_high))
            .collect();
        told.join(", ")
    };
    let (better, worse) = (tell(Change::Better), tell(Change::Worse));
    let elsewhere = match baseline.host.processor_model == now.host.processor_model {
        true => "",
        false => "; the earlier run was made on another machine",
    };
    let (verdict, sentence) = match (better.is_empty(), worse.is_empty()) {
        (true, true) => {
            (Change::CannotTell, "cannot tell: chance and the machine explain the differences".into())
        }
        (false, true) => (Change::Better, format!("better: {better}")),
        (true, false) => (Change::Worse, format!("worse: {worse}")),
        (false, false) => (Change::CannotTell, format!("cannot tell: better {better}, but worse {worse}")),
    };
    (verdict, sentence + elsewhere)
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::super::record::Security;
    use super::*;
    use crate::metrics::HistogramSnapshot;

    /// As good as normally distributed: the sum of four uniform draws.
    fn normal(draw: &mut Draw) -> f64 {
        ((0..4).map(|_| draw.unit()).sum::<f64>() - 2.0) * 3f64.sqrt()
    }

    /// Runs of a server that works for `work_ns` per request and answers 15 µs later, on a machine of moods: its
    /// speed wanders within a run and differs by 1 % from run to run, requests scatter by 5 %, one in 200 is slow,
    /// and in every other run something stops everything for a while.
    fn measured(work_ns: f64, closed: bool, draw: &mut Draw) -> Run {
        const INTERVALS: usize = 24;
        const REQUESTS: usize = 500;
        let drift = 0.01 * normal(draw);
        let stall = draw.below(2 * INTERVALS as u64) as usize;
        let (mut mood, mut intervals, mut all) = (0.0, Vec::new(), HistogramSnapshot::default());
        for number in 0..INTERVALS {
            mood = 0.7 * mood + 0.01 * normal(draw);
            let values: Vec<(u64, u64)> = (0..REQUESTS)
                .map(|request| {
                    let mut ns = (work_ns + 15_000.0) * (drift + mood + 0.05 * normal(draw)).exp();
                    if draw.below(200) == 0 {
                        ns += 300_000.0 * draw.exponential();
                    }
                    if number == stall && request < 20 {
                        ns += (20 - request) as f64 * 500_000.0;
                    }
                    (ns as u64, 1)
                })
                .collect();
            let response = fixture::distribution(&values);
            all.merge(&response.histogram);
            let length_s = if closed { response.histogram.sum() as f64 / 1e9 } else { 0.25 };
            let (start_s, asked) = (number as f64 * length_s, REQUESTS as f64);
            let answered = REQUESTS as u64;
            intervals.push(Interval {
                start_s,
                length_s,
                asked,
                sent: answered,
                answered,
                response,
                ..Interval::default()
            });
        }
        let mut run = fixture::empty_run();
        run.totals.answered_per_s =
            all.count() as f64 / intervals.iter().map(|interval| interval.length_s).sum::<f64>();
        run.workload.arrivals = if closed { Arrivals::Closed } else { Arrivals::Constant };
        run.workload.rate_per_s = (!closed).then_some(4_000.0);
        run.host.reference_round_trip_ns = vec![10_000, 10_100];
        (run.response, run.intervals) = (all.into(), intervals);
        run
    }

    /// How often of 60 pairs each verdict came, over open and closed loops: better, worse, cannot tell.
    /// Pairs of runs that are compared.
    fn runs() -> u64 {
        crate::thorough::thorough(60, 6)
    }

    fn verdicts(before_ns: f64, after_ns: f64) -> [u32; 3] {
        let mut came = [0; 3];
        for seed in 0..runs() {
            let (mut draw, closed) = (Draw::branch(11, seed), seed % 2 == 0);
            let before = measured(before_ns, closed, &mut draw);
            let after = measured(after_ns, closed, &mut draw);
            came[compare(&before, &after).unwrap().verdict as usize] += 1;
        }
        println!(
            "{before_ns} ns, then {after_ns} ns: better {}, worse {}, cannot tell {}",
            came[0], came[1], came[2]
        );
        came
    }

    #[test]
    fn two_runs_of_one_build_seldom_differ() {
        let [better, worse, _] = verdicts(100_000.0, 100_000.0);
        assert!(u64::from(better + worse) <= runs() / 20, "{better} better, {worse} worse of {}", runs());
    }

    #[test]
    fn ten_percent_are_found_in_either_direction() {
        let most = u32::try_from(runs() * 5 / 6).unwrap();
        assert!(verdicts(100_000.0, 110_000.0)[1] >= most);
        assert!(verdicts(110_000.0, 100_000.0)[0] >= most);
    }

    #[test]
    fn a_machine_that_changed_its_speed_is_no_slower_server() {
        let mut draw = Draw::seeded(1);
        let before = measured(100_000.0, false, &mut draw);
        let mut after = measured(110_000.0, false, &mut draw);
        assert_eq!(compare(&before, &after).unwrap().verdict, Change::Worse);
        after.host.reference_round_trip_ns = vec![21_500, 21_400];
        assert_eq!(compare(&before, &after).unwrap().verdict, Change::CannotTell);
    }

    #[test]
    fn a_comparison_says_ratios_intervals_and_verdicts() {
        let mut draw = Draw::seeded(5);
        let before = measured(100_000.0, true, &mut draw);
        let after = measured(200_000.0, true, &mut draw);
        let comparison = compare(&before, &after).unwrap();
        let names: Vec<&str> = comparison.figures.iter().map(|figure| figure.name.as_str()).collect();
        assert_eq!(names, ["p50", "p90", "p99", "p99.9", "mean", "rate"]);
        for figure in &comparison.figures {
            assert!(figure.ratio_low < figure.ratio && figure.ratio < figure.ratio_high);
            assert_eq!(figure.ratio, figure.now / figure.baseline);
        }
        let (p50, rate) = (&comparison.figures[0], &comparison.figures[5]);
        assert!(
            p50.ratio > 1.7
                && p50.verdict == Change::Worse
                && rate.ratio < 0.6
                && rate.verdict == Change::Worse
        );
        assert!(comparison.sentence.starts_with("worse: p50 1."), "{}", comparison.sentence);
        assert_eq!(comparison, compare(&before, &after).unwrap(), "the same pair compares alike");
        let back = compare(&after, &before).unwrap();
        assert_eq!((back.verdict, back.figures[5].verdict), (Change::Better, Change::Better));
    }

    #[test]
    fn figures_without_samples_are_not_compared() {
        let mut draw = Draw::seeded(2);
        let (mut before, after) = (measured(1e5, false, &mut draw), measured(1e5, false, &mut draw));
        before.response = fixture::distribution(&[(100_000, 500)]);
        let comparison = compare(&before, &after).unwrap();
        let names: Vec<&str> = comparison.figures.iter().map(|figure| figure.name.as_str()).collect();
        assert_eq!(
            names,
            ["p50", "p90", "mean"],
            "too few for p99, and open loops have the rate they were asked"
        );
    }

    #[test]
    fn a_generator_not_to_be_trusted_tells_nothing() {
        let mut draw = Draw::seeded(3);
        let (before, mut after) = (measured(1e5, false, &mut draw), measured(3e5, false, &mut draw));
        after.generator.verdict = Verdict::Untrustworthy;
        let comparison = compare(&before, &after).unwrap();
        assert_eq!(comparison.verdict, Change::CannotTell);
        assert!(comparison.sentence.contains("generator of this run"), "{}", comparison.sentence);
    }

    #[test]
    fn a_crowded_machine_tells_nothing() {
        let mut draw = Draw::seeded(3);
        let (mut before, after) = (measured(1e5, false, &mut draw), measured(3e5, false, &mut draw));
        before.host.processor_wait_fraction = Some(0.04);
        assert_eq!(compare(&before, &after).unwrap().verdict, Change::Worse);
        before.host.processor_wait_fraction = Some(0.311);
        let comparison = compare(&before, &after).unwrap();
        assert_eq!(comparison.verdict, Change::CannotTell);
        assert!(
            comparison.sentence.ends_with("waited for a processor 31 % of the time"),
            "{}",
            comparison.sentence
        );
    }

    #[test]
    fn unlike_runs_are_refused_and_the_difference_is_named() {
        let like = measured(1e5, false, &mut Draw::seeded(4));
        let refusal = |change: fn(&mut Run)| {
            let mut other = like.clone();
            change(&mut other);
            compare(&like, &other).unwrap_err().to_string()
        };
        type Alter = fn(&mut Run);
        let changes: [(Alter, &str); 11] = [
            (|run| run.target.protocol = "redis".into(), "protocol was  in the earlier one and is redis now"),
            (|run| run.target.transport = "unix".into(), "transport"),
            (|run| run.workload.mode = Mode::Handshakes, "mode"),
            (
                |run| run.target.embedded = true,
                "target was a server elsewhere in the earlier one and is the embedded",
            ),
            (
                |run| run.workload.arrivals = Arrivals::Poisson,
                "arrivals was constant in the earlier one and is poisson",
            ),
            (
                |run| run.workload.rate_per_s = Some(5e3),
                "rate per second was 4000 in the earlier one and is 5000 now",
            ),
            (|run| run.workload.rate_to_per_s = Some(5e3), "and is 4000 to 5000 now"),
            (|run| run.workload.connections = 9, "connections was 0 in the earlier one and is 9"),
            (|run| run.workload.size_bytes = "64".into(), "message size"),
            (|run| run.intervals.truncate(7), "this run is too short to be compared: it has 7 intervals"),
            (
                |run| (run.outcome, run.failure) = (Outcome::Failed, Some("refused".into())),
                "it failed: refused",
            ),
        ];
        for (change, words) in changes {
            let sentence = refusal(change);
            assert!(sentence.contains(words), "{words}: {sentence}");
        }
        let handshakes = |full, resumed| {
            let mut run = like.clone();
            run.workload.mode = Mode::Handshakes;
            run.security = Some(Security { full, resumed, ..Security::default() });
            run
        };
        assert!(compare(&handshakes(90, 0), &handshakes(80, 2)).is_ok());
        let sentence = compare(&handshakes(90, 0), &handshakes(4, 80)).unwrap_err().to_string();
        assert!(
            sentence.contains("kind of handshake was full in the earlier one and is resumed now"),
            "{sentence}"
        );
        let mut elsewhere = like.clone();
        (elsewhere.target.address, elsewhere.workload.seed) = ("127.0.0.1:9".into(), 99);
        assert!(compare(&like, &elsewhere).is_ok(), "another port and another seed are alike enough");
    }

    #[test]
    fn long_series_are_compared_by_stretches() {
        let mut run = measured(1e5, false, &mut Draw::seeded(6));
        let one = run.intervals[0].clone();
        let many = crate::thorough::thorough(10_000, 1_000);
        run.intervals = (0..many).map(|_| one.clone()).collect();
        let stretches = Stretches::of(&run);
        assert!((STRETCHES_MAX / 2..=STRETCHES_MAX).contains(&stretches.counts.len()));
        let counted: u64 = stretches.counts.iter().flatten().sum();
        assert_eq!(counted, many * one.response.histogram.count());
    }
}
