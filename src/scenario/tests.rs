//! The record against its schema, and scenarios against each other: what one plan plays twice.

use super::record::{Real, Record, SCHEMA};
use super::{Plan, Scenario, play};
use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::{Value, json};
use std::time::Duration;

const PLACE: &str = "https://windlass.invalid/sim.schema.json";

fn schema() -> (Schemas, SchemaIndex) {
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    compiler.add_resource(PLACE, serde_json::from_str(SCHEMA).expect("the schema is JSON")).unwrap();
    let index = compiler.compile(PLACE, &mut schemas).expect("the schema is a schema");
    (schemas, index)
}

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

/// The pointers of all objects in `value`.
fn objects(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            found.push(at.into());
            fields.iter().for_each(|(name, field)| objects(field, &format!("{at}/{name}"), found));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(n, item)| objects(item, &format!("{at}/{n}"), found));
        }
        _ => (),
    }
}

#[test]
fn every_field_of_the_record_is_required_and_no_other_is_allowed() {
    let ((schemas, index), full) = (schema(), full());
    if let Err(error) = schemas.validate(&full, index) {
        panic!("{error:#}");
    }
    let mut places = Vec::new();
    objects(&full, "", &mut places);
    let mut tried = 0;
    for place in &places {
        let mut more = full.clone();
        more.pointer_mut(place).unwrap()["surplus"] = json!(1);
        assert!(schemas.validate(&more, index).is_err(), "{place} may have more fields");
        let names: Vec<String> = full.pointer(place).unwrap().as_object().unwrap().keys().cloned().collect();
        for name in names {
            let mut less = full.clone();
            less.pointer_mut(place).unwrap().as_object_mut().unwrap().remove(&name);
            assert!(schemas.validate(&less, index).is_err(), "{place}/{name} may be missing");
            let mut other = full.clone();
            other.pointer_mut(place).unwrap()[&name] = json!([[[]]]);
            assert!(schemas.validate(&other, index).is_err(), "{place}/{name} may be anything");
            tried += 1;
        }
    }
    assert!(tried > 90 && places.len() > 12, "{tried} fields of {} objects", places.len());
}

#[test]
fn everything_in_the_schema_is_described_with_its_unit() {
    fn look(value: &Value, at: &str, described: &mut usize) {
        if let Some(fields) = value.get("properties").and_then(Value::as_object) {
            assert_eq!(value["additionalProperties"], json!(false), "{at}");
            for (name, field) in fields {
                let text = field["description"].as_str().unwrap_or_default();
                assert!(text.len() > 5, "{at}/{name} is not described");
                let units =
                    [("_ns", "nanosecond"), ("_per_s", "econd"), ("_s", "second"), ("_bytes", "ytes")];
                if let Some((_, unit)) = units.iter().find(|(suffix, _)| name.ends_with(suffix)) {
                    assert!(text.contains(unit), "{at}/{name} does not name its unit: {text}");
                }
                *described += 1;
            }
        }
    }
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let mut described = 0;
    look(&schema, "", &mut described);
    for (name, part) in schema["$defs"].as_object().unwrap() {
        assert!(part["description"].is_string(), "{name}");
        look(part, name, &mut described);
    }
    assert!(described > 70, "{described} fields");
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
