//! The record against its schema, and scenarios against each other: what one plan plays twice.

use super::record::{Real, Record, SCHEMA};
use super::{Plan, Scenario, play};
use crate::load::schema_checker::{assert_described, assert_exact};
use serde_json::Value;
use std::time::Duration;

fn churn(seed: u64) -> Record {
    let mut plan = Plan::new(Scenario::Churn);
    (plan.nodes, plan.seed) = (6, seed);
    (plan.duration, plan.fault_lasts) = (Duration::from_secs(8), Duration::from_secs(1));
    play(&plan, &mut |_| true).expect("the plan makes sense")
}

/// A record in which everything is there, and of everything that repeats one.
fn full() -> Value {
    let mut record = churn(1);
    record.heat.truncate(1);
    record.topology.edges.truncate(1);
    record.faults.truncate(1);
    let conditions = "latency 10 ms".to_owned();
    record.real = Some(Real { time_s: 1.0, goodput_bits_per_s: 1e6, over_simulated: 1.1, conditions });
    record.setup.link.bandwidth_bits_per_s = Some(1_000_000);
    record.setup.link.queue_bytes = Some(1_000);
    record.setup.secure = Some("tls".to_owned());
    serde_json::from_str(&record.to_json()).unwrap()
}

#[test]
fn every_field_of_the_record_is_required_and_no_other_is_allowed() {
    let (fields, objects) = assert_exact(SCHEMA, &full());
    assert!(fields > 90 && objects > 12, "{fields} fields of {objects} objects");
}

#[test]
fn everything_in_the_schema_is_described_with_its_unit() {
    let fields = assert_described(SCHEMA);
    assert!(fields > 70, "{fields} fields");
}

#[test]
fn one_plan_has_one_record_and_another_seed_another() {
    let told = |record: &Record| {
        let mut value: Value = serde_json::from_str(&record.to_json()).unwrap();
        value["wall"].take();
        value
    };
    let (first, again, other) = (churn(3), churn(3), churn(4));
    assert_eq!(told(&first), told(&again));
    assert_ne!(first.trace, other.trace);
}

#[test]
fn whoever_watches_can_end_it() {
    let mut plan = Plan::new(Scenario::Mesh);
    (plan.nodes, plan.duration) = (50, Duration::from_secs(24 * 3_600));
    let record = play(&plan, &mut |progress| progress.elapsed < Duration::from_secs(1)).unwrap();
    assert_eq!(record.outcome, super::record::Outcome::Interrupted);
    assert!(record.virtual_s < 24.0 * 3_600.0);
}

#[test]
fn a_day_of_ten_thousand_rounds_a_second_is_refused() {
    let mut plan = Plan::new(Scenario::Broadcast);
    (plan.rate_per_s, plan.duration) = (10_000.0, Duration::from_secs(24 * 3_600));
    let refused = plan.validate().expect_err("864 million rounds").to_string();
    assert!(refused.contains("864000000 rounds"), "{refused}");
    plan.duration = Duration::from_secs(60);
    plan.validate().expect("a minute of them");
}
