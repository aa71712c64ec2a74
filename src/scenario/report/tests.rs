//! Whole pages of every scenario: well formed, self-contained, every plot where it belongs, safe against hostile names.

use super::page;
use crate::plot::checker::{Element, checked};
use crate::scenario::{Plan, Record, Scenario, play};
use std::time::Duration;

fn played(scenario: Scenario) -> Record {
    let mut plan = Plan::new(scenario);
    plan.command = format!("windlass sim {} --nodes 6", scenario.name());
    if scenario != Scenario::Transfer {
        plan.nodes = 6;
    }
    plan.bytes = if scenario == Scenario::Transfer { 200_000 } else { 64 };
    if !matches!(scenario, Scenario::Connect | Scenario::Transfer) {
        (plan.duration, plan.fault_lasts) = (Duration::from_secs(6), Duration::from_secs(1));
    }
    play(&plan, &mut |_| true).expect("the plan makes sense")
}

fn ids(all: &[Element]) -> Vec<&str> {
    all.iter()
        .filter(|element| element.name == "figure")
        .filter_map(|element| element.attribute("id"))
        .collect()
}

#[test]
fn every_scenario_shows_its_plots() {
    for scenario in Scenario::ALL {
        let record = played(scenario);
        let html = page(&record);
        let expected: &[&str] = match scenario {
            Scenario::Transfer => &["throughput", "topology"],
            Scenario::Churn | Scenario::Partition => {
                &["throughput", "heat", "spectrum", "topology", "faults"]
            }
            _ => &["throughput", "heat", "spectrum", "topology"],
        };
        assert_eq!(ids(&checked(&html)), expected, "{}", scenario.name());
        assert!(html.contains(&format!("windlass sim {}", scenario.name())));
        let rest = html.replace("http://www.w3.org/2000/svg", "");
        for word in ["http://", "https://", "@import", "url(", "<link", "<iframe"] {
            assert!(!rest.contains(word), "{word}");
        }
    }
}

#[test]
fn hostile_names_stay_text() {
    let mut record = played(Scenario::Churn);
    let bad =
        || "</script><script>alert(1)</script>\"'><img src=x onerror=alert(2)> & \u{0} \u{2028}".to_owned();
    (record.command, record.setup.link.name, record.windlass_version) = (bad(), bad(), bad());
    record.topology.nodes.iter_mut().for_each(|name| *name = bad());
    for finding in &mut record.findings {
        (finding.name, finding.sentence) = (bad(), bad());
    }
    for measure in &mut record.measures {
        (measure.name, measure.what) = (bad(), bad());
    }
    record.figures.iter_mut().for_each(|figure| figure.name = bad());
    let all = checked(&page(&record));
    assert!(all.iter().all(|element| element.name != "img"));
    assert_eq!(all.iter().filter(|element| element.name == "script").count(), 2);
}

#[test]
fn a_record_of_nothing_renders() {
    let mut record = played(Scenario::Mesh);
    (record.measures, record.courses, record.heat) = (Vec::new(), Vec::new(), Vec::new());
    (record.findings, record.figures) = (Vec::new(), Vec::new());
    record.topology.edges.clear();
    record.topology.nodes.clear();
    checked(&page(&record));
}
