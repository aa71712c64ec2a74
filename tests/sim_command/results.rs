//! What is printed and written: the list, the summary, the report with every plot, the record and its schema.

use crate::rig::{Scratch, sim, sim_with_descriptors};
use boon::{Compiler, Schemas};
use serde_json::Value;

const SCENARIOS: [(&str, &[&str]); 6] = [
    ("connect", &["--nodes", "6"]),
    ("broadcast", &["--nodes", "6", "--duration", "1s"]),
    ("transfer", &["--size", "500k", "--bandwidth", "20mbit"]),
    ("mesh", &["--nodes", "6", "--duration", "3s"]),
    ("churn", &["--nodes", "6", "--duration", "8s"]),
    ("partition", &["--nodes", "6", "--duration", "6s", "--fault-lasts", "1s"]),
];

#[test]
fn alone_it_lists_what_there_is() {
    let ended = sim(&[]).expect(0);
    for (name, _) in SCENARIOS {
        assert!(
            ended.stdout.lines().any(|line| line.trim_start().starts_with(name)),
            "{name}: {}",
            ended.stdout
        );
    }
}

#[test]
fn help_teaches_by_example() {
    let ended = sim(&["--help"]).expect(0).says("windlass sim churn --seed 7").says("Exit codes");
    for flag in
        ["--nodes", "--latency", "--loss", "--jitter", "--bandwidth", "--preset", "--seed", "--out", "--json"]
    {
        assert!(ended.stdout.contains(flag), "{flag}");
    }
}

#[test]
fn what_is_written_is_whole_and_what_the_schema_says() {
    const PLACE: &str = "https://windlass.invalid/sim.schema.json";
    let schema: Value =
        serde_json::from_str(&sim(&["--schema"]).expect(0).stdout).expect("the schema is JSON");
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    compiler.add_resource(PLACE, schema).unwrap();
    let index = compiler.compile(PLACE, &mut schemas).expect("the schema is a schema");
    for (name, words) in SCENARIOS {
        let scratch = Scratch::new();
        let out = scratch.join("results");
        sim(&[&[name], words, &["--out", &out]].concat()).expect(0).says("Saved").says("Trace");
        let text =
            std::fs::read_to_string(scratch.path().join("results/sim.json")).expect("there is a record");
        let record: Value = serde_json::from_str(&text).expect("it is JSON");
        if let Err(error) = schemas.validate(&record, index) {
            panic!("{name}: {error:#}");
        }
        assert_eq!(record["scenario"], name);
        assert!(record["command"].as_str().is_some_and(|it| it.starts_with(&format!("windlass sim {name}"))));
        let page =
            std::fs::read_to_string(scratch.path().join("results/report.html")).expect("there is a report");
        let mut plots = vec!["throughput", "topology"];
        plots.extend((name != "transfer").then_some(["spectrum", "heat"]).into_iter().flatten());
        plots.extend(["churn", "partition"].contains(&name).then_some("faults"));
        for plot in plots {
            assert!(page.contains(&format!("<figure id=\"{plot}\"")), "{name} lacks {plot}");
        }
        let again = sim(&[&[name], words, &["--out", &out]].concat()).expect(2).says("--force");
        assert!(again.stdout.is_empty());
        sim(&[&[name], words, &["--out", &out, "--force", "--quiet"]].concat()).expect(0);
    }
}

#[test]
fn results_that_cannot_be_written_are_refused_before_anything_is_played() {
    let scratch = Scratch::new();
    let file = scratch.join("file");
    std::fs::write(&file, "in the way").expect("a file can be written");
    let ended = sim(&["mesh", "--nodes", "4", "--out", &file]).expect(1).says("this is a file");
    assert!(ended.stdout.is_empty());
}

#[test]
fn what_the_system_refuses_to_a_real_transfer_is_a_failure_and_no_misuse() {
    let words = ["transfer", "--real", "--size", "1m", "--latency", "1ms", "-q"];
    sim_with_descriptors(12, &words).expect(1).says("ulimit -n");
}
