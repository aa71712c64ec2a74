//! The engine against servers whose behaviour arithmetic predicts, in virtual time.

use super::*;
use crate::load::plan::{Pace, Spacing};
use crate::load::samples::{Readers, samples};
use crate::metrics::HistogramSnapshot;

/// A server that answers one request at a time, and stands still for a while.
struct Server {
    service: Duration,
    stall_from: Instant,
    stall: Duration,
    free_at: Instant,
    /// Requests it holds, with the time of their answer.
    answers: VecDeque<(Instant, Line)>,
}

impl Server {
    fn new(service: Duration, stall_from: Instant, stall: Duration) -> Server {
        Server { service, stall_from, stall, free_at: Instant::ZERO, answers: VecDeque::new() }
    }

    fn take(&mut self, line: Line, now: Instant) {
        let mut begin = self.free_at.max(now);
        if begin >= self.stall_from && begin < self.stall_from + self.stall {
            begin = self.stall_from + self.stall;
        }
        self.free_at = begin + self.service;
        self.answers.push_back((self.free_at, line));
    }
}

const BEGIN: Instant = Instant::from_millis(1_000);

fn plan(pace: Pace, connections: usize) -> Plan {
    let mut plan = Plan::new("127.0.0.1:1".parse::<crate::error::Address>().unwrap());
    (plan.pace, plan.connections) = (pace, connections);
    (plan.warm_up, plan.duration) = (Duration::from_secs(1), Duration::from_secs(10));
    plan
}

/// Runs the plan against the server without a network between them.
fn simulate(plan: &Plan, server: Server) -> (Engine, Readers) {
    simulate_with_standstill(plan, server, BEGIN, Duration::ZERO)
}

/// The same with a generator that is not allowed to run for some time from `asleep_from` on.
fn simulate_with_standstill(
    plan: &Plan,
    mut server: Server,
    asleep_from: Instant,
    asleep: Duration,
) -> (Engine, Readers) {
    let (samples, readers) = samples();
    let mut engine = Engine::new(plan, plan.connections, samples);
    (0..plan.connections).for_each(|line| engine.line_up(line, Instant::ZERO));
    engine.begin(plan, 0, BEGIN);
    let end = BEGIN + plan.warm_up + plan.duration;
    let mut now = BEGIN;
    loop {
        while let Some(ticket) = engine.ready(now) {
            engine.sent(ticket, now, 64);
            server.take(ticket.line, now);
        }
        let answer = server.answers.front().map(|(at, _)| *at);
        let Some(next) = [engine.next_due(now), answer].into_iter().flatten().min() else { break };
        now = next.max(now);
        if now >= asleep_from {
            now = now.max(asleep_from + asleep);
        }
        if now > end + plan.timeout {
            break;
        }
        while let Some((_, line)) = server.answers.front().copied().filter(|(at, _)| *at <= now) {
            server.answers.pop_front();
            engine.answered(line, now, now, &Answer::Good);
        }
    }
    for line in 0..plan.connections {
        while engine.in_flight(line) > 0 {
            engine.time_out(line, now);
        }
    }
    engine.finish(now);
    (engine, readers)
}

fn assert_within(measured: Option<u64>, expected: Duration, share: f64) {
    let (measured, expected) = (measured.unwrap() as f64, expected.as_nanos() as f64);
    assert!((measured / expected - 1.0).abs() <= share, "{measured} ns instead of {expected}");
}

fn micros(n: u64) -> Duration {
    Duration::from_micros(n)
}

/// 1,000 requests a second for 10 s, 0.1 ms each, and a stall of 1 s in the middle. Whoever comes i ms after its
/// beginning waits for the rest of the second and for those before: 1,000 - 0.9 i ms. The worst hundred of ten
/// thousand begin at i = 100: 910 ms. Everybody else is served in 0.1 ms.
fn stalled() -> Server {
    Server::new(micros(100), BEGIN + Duration::from_millis(6_000), Duration::from_secs(1))
}

#[test]
fn an_open_loop_reports_a_stall_as_those_who_came_in_it_felt_it_whatever_the_number_of_connections() {
    for connections in [1, 2, 16, 64, 1_000] {
        for depth in [1, 8] {
            let mut plan = plan(Pace::constant(1_000.0), connections);
            plan.depth = depth;
            let (_, readers) = simulate(&plan, stalled());
            let response = readers.response.snapshot();
            assert_eq!(response.count(), 10_000);
            assert_within(response.percentile(0.50), micros(100), 0.01);
            assert_within(response.percentile(0.99), Duration::from_millis(910), 0.01);
            assert_within(response.max(), Duration::from_millis(1_000) + micros(100), 0.01);
        }
    }
}

#[test]
fn a_closed_loop_hides_the_same_stall() {
    let (_, readers) = simulate(&plan(Pace::Closed, 1), stalled());
    let response = readers.response.snapshot();
    assert_within(response.percentile(0.99), micros(100), 0.01);
    assert_within(response.max(), Duration::from_secs(1) + micros(100), 0.01);
    // It asked for as much as the server gave: nothing in the stalled second.
    assert!((89_990..=90_010).contains(&response.count()), "{}", response.count());
}

#[test]
fn service_time_is_what_the_target_took_once_asked() {
    // One connection: during the stall requests wait for it, and only the first of them was asked that early.
    let (_, readers) = simulate(&plan(Pace::constant(1_000.0), 1), stalled());
    assert_within(readers.service.snapshot().percentile(0.99), micros(100), 0.01);
    assert_within(readers.response.snapshot().percentile(0.99), Duration::from_millis(910), 0.01);
}

#[test]
fn waiting_for_a_busy_connection_is_no_lag_of_the_generator() {
    let (_, readers) = simulate(&plan(Pace::constant(1_000.0), 1), stalled());
    assert_eq!(readers.send_lag.snapshot().max(), Some(0));
}

#[test]
fn a_late_generator_says_so_and_the_intended_starts_stay() {
    let plan = plan(Pace::constant(1_000.0), 4);
    let (samples, readers) = samples();
    let mut engine = Engine::new(&plan, 4, samples);
    (0..4).for_each(|line| engine.line_up(line, Instant::ZERO));
    engine.begin(&plan, 0, BEGIN);
    let mut now = BEGIN + plan.warm_up + Duration::from_millis(10);
    // The warm-up's thousand come first; the thousand after them are measured, and just as late.
    for _ in 0..2_000 {
        let ticket = engine.ready(now).unwrap();
        engine.sent(ticket, now, 1);
        engine.answered(ticket.line, now, now, &Answer::Good);
        now += Duration::from_millis(1);
    }
    engine.samples.settle();
    let lag = readers.send_lag.snapshot();
    assert_eq!(lag.count(), 1_000);
    assert_within(lag.min(), Duration::from_millis(1_010), 0.01);
    assert_eq!(readers.response.snapshot().min(), lag.min());
}

#[test]
fn a_standstill_of_the_generator_is_its_own_lag_for_all_who_queued_behind_it() {
    for connections in [1, 2, 16, 1_000] {
        let plan = plan(Pace::constant(1_000.0), connections);
        let server = Server::new(micros(100), Instant::FAR_FUTURE, Duration::ZERO);
        let asleep_from = BEGIN + Duration::from_millis(6_000) + micros(500);
        let (_, readers) = simulate_with_standstill(&plan, server, asleep_from, Duration::from_secs(1));
        let (response, lag) = (readers.response.snapshot(), readers.send_lag.snapshot());
        // The target was quick all the time: every millisecond of the worst hundred is the generator's.
        assert_within(response.percentile(0.99), Duration::from_millis(910), 0.01);
        assert!(lag.percentile(0.99) >= Some(900_000_000), "{connections}: {:?}", lag.percentile(0.99));
        assert_eq!(lag.percentile(0.50), Some(0), "and it is over once the queue is");
    }
}

#[test]
fn a_target_of_half_the_rate_leaves_failures_at_the_time_out_not_silence() {
    let mut plan = plan(Pace::constant(20_000.0), 64);
    plan.timeout = Duration::from_secs(2);
    let (_, readers) = simulate(&plan, Server::new(micros(100), Instant::FAR_FUTURE, Duration::ZERO));
    let (counts, response) = (&readers.counts, readers.response.snapshot());
    // In 13 s, warm-up and time-out included, it answers 130,000: the warm-up's 20,000 and 110,000 of the others.
    let unsent = counts.unsent.get();
    assert_eq!(response.count(), 200_000, "every request that was asked for is in the distribution");
    assert_eq!(counts.answered.get() + counts.timed_out.get() + unsent, 200_000);
    assert!((89_000..91_000).contains(&unsent), "{unsent}");
    assert!(response.percentile(0.99).unwrap() >= 2_000_000_000);
}

#[test]
fn failures_count_as_the_whole_time_out() {
    let mut plan = plan(Pace::constant(1_000.0), 2);
    plan.warm_up = Duration::ZERO;
    let (samples, readers) = samples();
    let mut engine = Engine::new(&plan, 2, samples);
    engine.line_up(0, Instant::ZERO);
    engine.begin(&plan, 0, BEGIN);
    let now = BEGIN + micros(10);
    let first = engine.ready(now).unwrap();
    engine.sent(first, now, 1);
    engine.answered(first.line, now, now, &Answer::Refused("no".into()));
    let now = BEGIN + Duration::from_millis(1);
    let second = engine.ready(now).unwrap();
    engine.sent(second, now, 1);
    engine.line_down(second.line, now);
    let counts = &readers.counts;
    assert_eq!((counts.refused.get(), counts.lost.get(), counts.answered.get()), (1, 1, 0));
    assert!(
        readers.response.snapshot().min().unwrap() as f64 >= plan.timeout.as_nanos() as f64 * 127.0 / 128.0
    );
}

#[test]
fn a_connection_that_comes_back_makes_nobody_late() {
    let mut plan = plan(Pace::constant(1_000.0), 2);
    plan.warm_up = Duration::ZERO;
    let (samples, readers) = samples();
    let mut engine = Engine::new(&plan, 2, samples);
    (0..2).for_each(|line| engine.line_up(line, Instant::ZERO));
    engine.begin(&plan, 0, BEGIN);
    // Both go down while free, and one comes back 50 ms later: what waited then is sent at once.
    (0..2).for_each(|line| engine.line_down(line, BEGIN));
    let now = BEGIN + Duration::from_millis(50);
    assert_eq!((engine.ready(now), engine.next_due(now)), (None, None));
    engine.line_up(1, now);
    let ticket = engine.ready(now).unwrap();
    engine.sent(ticket, now, 1);
    engine.samples.settle();
    assert_eq!((ticket.line, readers.send_lag.snapshot().max()), (1, Some(0)));
    assert_eq!(engine.ready(now), None, "the other is still down");
}

#[test]
fn nothing_of_the_warm_up_is_counted() {
    let plan = plan(Pace::constant(1_000.0), 8);
    let slow_start = Server::new(micros(100), BEGIN, Duration::from_millis(500));
    let (_, readers) = simulate(&plan, slow_start);
    assert_eq!(readers.counts.sent.get(), 10_000);
    assert_within(readers.response.snapshot().max(), micros(100), 0.01);
}

#[test]
fn thinking_connections_rest_between_answers() {
    let mut plan = plan(Pace::Closed, 4);
    plan.think = Duration::from_millis(10) - micros(400);
    let (_, readers) = simulate(&plan, Server::new(micros(100), Instant::FAR_FUTURE, Duration::ZERO));
    // Four connections, each of which asks every 10 ms at the earliest: the fourth waits for three others first.
    let sent = readers.counts.sent.get();
    assert!((4_000..=4_150).contains(&sent), "{sent}");
}

#[test]
fn a_connection_is_replaced_after_its_share_and_takes_no_more() {
    let mut plan = plan(Pace::constant(1_000.0), 1);
    (plan.reconnect_every, plan.depth) = (Some(3), 2);
    let mut engine = Engine::new(&plan, 1, samples().0);
    engine.line_up(0, Instant::ZERO);
    engine.begin(&plan, 0, BEGIN);
    let now = BEGIN + Duration::from_millis(100);
    for _ in 0..2 {
        let ticket = engine.ready(now).unwrap();
        engine.sent(ticket, now, 1);
    }
    assert_eq!(engine.ready(now), None, "two in flight are its depth");
    assert_eq!(engine.answered(0, now, now, &Answer::Good), After::Stay);
    let ticket = engine.ready(now).unwrap();
    engine.sent(ticket, now, 1);
    assert_eq!(engine.ready(now), None, "the third is its last");
    assert_eq!(engine.answered(0, now, now, &Answer::Good), After::Stay);
    assert_eq!(engine.answered(0, now, now, &Answer::Good), After::Replace);
    engine.line_down(0, now);
    assert_eq!(engine.ready(now), None);
    engine.line_up(0, now);
    assert!(engine.ready(now).is_some());
}

#[test]
fn failures_count_as_the_whole_time_out_however_long_that_is() {
    let mut plan = plan(Pace::constant(1_000.0), 1);
    (plan.warm_up, plan.timeout) = (Duration::ZERO, Duration::from_secs(24 * 3600));
    let (samples, readers) = samples();
    let mut engine = Engine::new(&plan, 1, samples);
    engine.begin(&plan, 0, BEGIN);
    engine.finish(BEGIN + plan.duration);
    let response: crate::load::record::Distribution = readers.response.snapshot().into();
    assert_within(response.percentile_ns(0.5), plan.timeout, 0.01);
    let text = serde_json::to_string(&response).unwrap();
    let read: crate::load::record::Distribution = serde_json::from_str(&text).unwrap();
    assert_eq!(read.percentile_ns(0.5), response.percentile_ns(0.5), "in a file as well");
}

#[test]
fn a_replaced_connection_thinks_as_well() {
    let mut plan = plan(Pace::Closed, 1);
    (plan.reconnect_every, plan.think) = (Some(1), Duration::from_secs(1));
    let mut engine = Engine::new(&plan, 1, samples().0);
    engine.line_up(0, Instant::ZERO);
    engine.begin(&plan, 0, BEGIN);
    for round in 0..3 {
        let now = BEGIN + plan.think * round;
        let ticket = engine.ready(now).unwrap();
        engine.sent(ticket, now, 1);
        assert_eq!(engine.answered(0, now, now, &Answer::Good), After::Replace);
        engine.line_down(0, now);
        engine.line_up(0, now + micros(100));
        assert_eq!(engine.ready(now + micros(200)), None, "it rests");
        assert_eq!(engine.next_due(now + micros(200)), Some(now + plan.think));
    }
}

#[test]
fn poisson_arrivals_queue_as_theory_says() {
    // M/D/1 at half load: the mean wait is half a service time (Pollaczek-Khinchine), so 1.5 in all.
    let pace = Pace::Open { from_per_s: 5_000.0, to_per_s: 5_000.0, spacing: Spacing::Poisson };
    let (_, readers) =
        simulate(&plan(pace, 1_000), Server::new(micros(100), Instant::FAR_FUTURE, Duration::ZERO));
    let response: HistogramSnapshot = readers.response.snapshot();
    let mean = response.mean().unwrap();
    assert!((mean / 150_000.0 - 1.0).abs() < 0.03, "{mean} ns instead of 150,000");
}
