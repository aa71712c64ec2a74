//! A swarm of servers and clients in a simulated network, under faults of every kind, all of it drawn from one seed; and
//! an oracle that knows what must be true of each byte, each event and each deadline.
//!
//! `SWARM_SEED=n` replays a seed, `SWARM_SHRINK=1` finds the faults that its failure needs, `SWARM_WORDY=1` tells what
//! happens.
//! `SWARM_STEPS=n` runs seeds from a drawn one (or `SWARM_SEED`) on until so many events of the simulation have
//! happened. Built with optimization it is much faster:
//! `SWARM_STEPS=10000000 cargo test --release --features sim,noise,tls --test sim_swarm swarm`.

mod acts;
mod kinds;
mod node;
mod oracle;
mod plan;
mod regressions;
mod run;
mod same_as_linux;
#[path = "../../src/thorough.rs"]
mod thorough;

use run::{Outcome, run};
use std::panic::catch_unwind;
use std::time::Duration;
use thorough::thorough;
use windlass::sim::Fault;

/// Seeds that are always run. The rest is drawn.
const FIXED_SEEDS: std::ops::Range<u64> = 0..3;
/// A progress line of a long run comes after so many events.
const PROGRESS_EVENTS: u64 = 500_000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.replace('_', "").parse().expect("a number"))
}

fn drawn_seed() -> u64 {
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    clock.map_or(1, |since| since.as_nanos() as u64 / 1000)
}

/// Runs a seed under these faults.
///
/// # Panics
/// If the oracle has something against what happened.
fn must_hold(seed: u64, faults: &[(Duration, Fault)]) -> Outcome {
    let outcome = run(seed, faults);
    if let Some(failure) = &outcome.failure {
        panic!("{failure}");
    }
    outcome
}

/// Runs a seed; if it fails, says how to run it again, and with `SWARM_SHRINK` under which faults it still fails.
fn run_or_say(seed: u64) -> Outcome {
    let faults = run::faults(seed);
    let Ok(outcome) = catch_unwind(|| must_hold(seed, &faults)) else {
        println!("replay with SWARM_SEED={seed}; SWARM_SHRINK=1 finds the faults that matter");
        if std::env::var_os("SWARM_SHRINK").is_some() {
            windlass::sim::check(seed, &faults, |seed, faults| _ = must_hold(seed, faults));
        }
        panic!("replay with SWARM_SEED={seed}");
    };
    outcome
}

#[test]
fn swarm() {
    let (seed, steps) = (number("SWARM_SEED"), number("SWARM_STEPS"));
    if let (Some(seed), None) = (seed, steps) {
        println!("{:?}", run_or_say(seed));
        return;
    }
    if steps.is_none() {
        FIXED_SEEDS.for_each(|seed| _ = run_or_say(seed));
    }
    let first = seed.unwrap_or_else(drawn_seed);
    let steps = steps.unwrap_or(thorough(500_000, 1));
    let (mut done, mut told, mut next) = (0, 0, first);
    while done < steps {
        done += run_or_say(next).events;
        next = next.wrapping_add(1);
        if done >= told + PROGRESS_EVENTS {
            told = done;
            println!("{done} events, {} seeds", next.wrapping_sub(first));
        }
    }
    println!("seeds from {first} on: {} of them, {done} events", next.wrapping_sub(first));
}

#[test]
fn equal_seeds_have_equal_traces() {
    for seed in FIXED_SEEDS {
        assert_eq!(run_or_say(seed), run_or_say(seed), "seed {seed}");
    }
}
