//! When the requests of an open loop are to start: a rate that may change, spaced evenly or by chance.
//!
//! Starts are first laid out on a line where one is due per unit, evenly or at exponential distances, and that line
//! is then bent onto time by the inverse of the rate's integral (the time-change construction of an inhomogeneous
//! Poisson process: Çinlar 1975, Introduction to Stochastic Processes, section 4.7). So a ramp needs no thinning, and
//! nothing has to be stored for starts that wait: however late the generator is, the next intended start is computed
//! when it is asked for.

use super::plan::{Pace, Plan, Spacing};
use super::protocol::Draw;
use crate::time::Instant;
use std::time::Duration;

/// The intended starts of one thread, in order.
#[derive(Debug)]
pub(super) struct Arrivals {
    begin: Instant,
    /// Starts per second of this thread during the warm-up and at the beginning of the measurement.
    from_per_s: f64,
    /// By how much that rate changes in each measured second.
    slope: f64,
    warm_up_s: f64,
    spacing: Spacing,
    draw: Draw,
    /// Where the next start lies on the line of one per unit.
    place: f64,
    next: Instant,
}

impl Arrivals {
    /// The share of thread `thread` in the plan's starts, the warm-up beginning at `begin`; `None` for a closed loop.
    pub(super) fn new(plan: &Plan, thread: usize, begin: Instant) -> Option<Arrivals> {
        let Pace::Open { from_per_s, to_per_s, spacing } = plan.pace else { return None };
        let threads = plan.threads as f64;
        let mut draw = Draw::branch(plan.seed, 2 * thread as u64);
        let place = match spacing {
            // Each thread is off by its share of the distance, so that together they are evenly spaced.
            Spacing::Even => thread as f64 / threads,
            Spacing::Poisson => draw.exponential(),
        };
        let mut arrivals = Arrivals {
            begin,
            from_per_s: from_per_s / threads,
            slope: (to_per_s - from_per_s) / threads / plan.duration.as_secs_f64(),
            warm_up_s: plan.warm_up.as_secs_f64(),
            spacing,
            draw,
            place,
            next: begin,
        };
        arrivals.next = arrivals.time_of(place);
        Some(arrivals)
    }

    /// The next intended start.
    #[inline]
    pub(super) fn next(&self) -> Instant {
        self.next
    }

    /// Goes on to the one after it.
    #[inline]
    pub(super) fn advance(&mut self) {
        self.place += match self.spacing {
            Spacing::Even => 1.0,
            Spacing::Poisson => self.draw.exponential(),
        };
        self.next = self.time_of(self.place);
    }

    /// How many starts lie before `end`, from the next one on; goes on past them. Each is told to `visit`, in
    /// batches of about the same time once there are many.
    pub(super) fn skip_until(&mut self, end: Instant, mut visit: impl FnMut(Instant, u64)) {
        const VISITED_MAX: u32 = 200_000;
        for _ in 0..VISITED_MAX {
            if self.next >= end {
                return;
            }
            visit(self.next, 1);
            self.advance();
        }
        let (first, last) = (self.place, self.place_of(end));
        let slices = 1_000;
        let mut told = 0;
        for slice in 1..=slices {
            let until = ((last - first) * f64::from(slice) / f64::from(slices)).max(0.0).floor() as u64;
            let middle = self.time_of(first + (told + until) as f64 / 2.0);
            visit(middle.min(end), until - told);
            told = until;
        }
        (self.place, self.next) = (last, end);
    }

    /// When the line of one per unit is at `place`.
    fn time_of(&self, place: f64) -> Instant {
        let warming = self.from_per_s * self.warm_up_s;
        let seconds = if place <= warming || self.slope == 0.0 {
            place / self.from_per_s
        } else {
            let beyond = place - warming;
            // The root of slope/2 s^2 + from s = beyond, in the form that loses no digits for small slopes.
            let root = (self.from_per_s * self.from_per_s + 2.0 * self.slope * beyond).sqrt();
            self.warm_up_s + 2.0 * beyond / (self.from_per_s + root)
        };
        match seconds.is_finite() && seconds < 1e9 {
            true => self.begin + Duration::from_nanos((seconds * 1e9).round() as u64),
            // A falling rate never gets there.
            false => Instant::FAR_FUTURE,
        }
    }

    /// Where the line of one per unit is at that time: the inverse of [`time_of`](Self::time_of).
    fn place_of(&self, at: Instant) -> f64 {
        let seconds = at.since(self.begin).as_secs_f64();
        let measured = (seconds - self.warm_up_s).max(0.0);
        self.from_per_s * seconds + self.slope * measured * measured / 2.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Address;

    fn plan(pace: Pace, threads: usize) -> Plan {
        let mut plan = Plan::new("127.0.0.1:1".parse::<Address>().unwrap());
        (plan.pace, plan.threads) = (pace, threads);
        (plan.warm_up, plan.duration) = (Duration::from_secs(1), Duration::from_secs(10));
        plan
    }

    const BEGIN: Instant = Instant::from_millis(5_000);

    fn starts(plan: &Plan, thread: usize) -> Vec<u64> {
        let mut arrivals = Arrivals::new(plan, thread, BEGIN).unwrap();
        let end = BEGIN + plan.warm_up + plan.duration;
        let mut starts = Vec::new();
        while arrivals.next() < end {
            starts.push(arrivals.next().since(BEGIN).as_nanos() as u64);
            arrivals.advance();
        }
        starts
    }

    #[test]
    fn threads_together_are_evenly_spaced() {
        let plan = plan(Pace::constant(1_000.0), 4);
        let mut all: Vec<u64> = (0..4).flat_map(|thread| starts(&plan, thread)).collect();
        all.sort_unstable();
        assert_eq!(all.len(), 11_000);
        assert!(all.windows(2).all(|pair| pair[1] - pair[0] == 1_000_000));
    }

    #[test]
    fn a_ramp_has_the_area_under_its_line_and_rises_evenly() {
        let plan = plan(Pace::Open { from_per_s: 100.0, to_per_s: 300.0, spacing: Spacing::Even }, 1);
        let starts = starts(&plan, 0);
        let within = |from: f64, to: f64| {
            starts.iter().filter(|at| (from * 1e9..to * 1e9).contains(&(**at as f64))).count() as i64
        };
        assert_eq!(within(0.0, 1.0), 100);
        assert!((within(1.0, 11.0) - 2_000).abs() <= 1);
        assert!((within(1.0, 2.0) - 110).abs() <= 1);
        assert!((within(10.0, 11.0) - 290).abs() <= 1);
    }

    #[test]
    fn poisson_starts_have_the_rate_and_the_spread_of_chance() {
        let plan = plan(Pace::Open { from_per_s: 5e3, to_per_s: 5e3, spacing: Spacing::Poisson }, 1);
        let starts = starts(&plan, 0);
        assert!((54_000..56_000).contains(&starts.len()), "{}", starts.len());
        let gaps: Vec<f64> = starts.windows(2).map(|pair| (pair[1] - pair[0]) as f64).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        let variation = variance.sqrt() / mean;
        assert!((variation - 1.0).abs() < 0.03, "exponential gaps vary by their mean, these by {variation}");
    }

    #[test]
    fn what_is_skipped_is_counted_whether_told_singly_or_in_batches() {
        for rate in [1_000.0, 1e6] {
            let plan = plan(Pace::Open { from_per_s: rate, to_per_s: rate * 2.0, spacing: Spacing::Even }, 1);
            let mut arrivals = Arrivals::new(&plan, 0, BEGIN).unwrap();
            let end = BEGIN + plan.warm_up + plan.duration;
            let (mut count, mut last) = (0, BEGIN);
            arrivals.skip_until(end, |at, n| {
                assert!(at >= last && at <= end);
                (count, last) = (count + n, at);
            });
            assert!((count as f64 - 16.0 * rate).abs() <= 2.0, "{count} of {}", 16.0 * rate);
            assert!(arrivals.next() >= end);
        }
    }
}
