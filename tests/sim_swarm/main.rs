//! A swarm of servers and clients in a simulated network, under faults of every kind, all of it drawn from one seed; and
//! an oracle that knows what must be true of each byte, each event and each deadline.
//!
//! `SWARM_SEED=n` replays a seed, `SWARM_WITHOUT=3,7` leaves faults of it out, `SWARM_WORDY=1` tells what happens.
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
#[path = "../../src/thorough.rs"]
mod thorough;

use run::{Outcome, run};
use std::collections::BTreeSet;
use thorough::thorough;

/// Seeds that are always run. The rest is drawn.
const FIXED_SEEDS: std::ops::Range<u64> = 0..4;
/// A progress line of a long run comes after so many events.
const PROGRESS_EVENTS: u64 = 500_000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.replace('_', "").parse().expect("a number"))
}

fn drawn_seed() -> u64 {
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    clock.map_or(1, |since| since.as_nanos() as u64 / 1000)
}

fn without() -> BTreeSet<usize> {
    let text = std::env::var("SWARM_WITHOUT").unwrap_or_default();
    text.split(',').filter(|part| !part.is_empty()).map(|part| part.parse().expect("a number")).collect()
}

/// Runs a seed; if it fails, says how to run it again.
fn run_or_say(seed: u64, without: &BTreeSet<usize>) -> Outcome {
    let ran = std::panic::catch_unwind(|| run(seed, without));
    let failure = match &ran {
        Ok(outcome) => outcome.failure.clone(),
        Err(_) => Some("a panic".into()),
    };
    if let Some(failure) = failure {
        let faults = run::faults(seed).join("\n");
        panic!(
            "{failure}\nreplay with SWARM_SEED={seed} cargo test --features sim,noise,tls --test sim_swarm swarm; \
             its faults are\n{faults}"
        );
    }
    ran.expect("a failure was told")
}

#[test]
fn swarm() {
    let without = without();
    let (seed, steps) = (number("SWARM_SEED"), number("SWARM_STEPS"));
    if let (Some(seed), None) = (seed, steps) {
        println!("{:?}", run_or_say(seed, &without));
        return;
    }
    if steps.is_none() {
        FIXED_SEEDS.for_each(|seed| _ = run_or_say(seed, &without));
    }
    let first = seed.unwrap_or_else(drawn_seed);
    let steps = steps.unwrap_or(thorough(2_000_000, 1));
    let (mut done, mut told, mut next) = (0, 0, first);
    while done < steps {
        done += run_or_say(next, &without).events;
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
        let none = BTreeSet::new();
        assert_eq!(run_or_say(seed, &none), run_or_say(seed, &none), "seed {seed}");
    }
}
