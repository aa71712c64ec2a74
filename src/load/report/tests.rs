//! Whole pages: well formed, self-contained, safe against hostile names, whole for empty and extreme runs.

use super::fixture::Fixture;
use super::{history, page};
use crate::load::record::*;
use crate::metrics::HistogramSnapshot;
use crate::plot::checker::{Element, checked};

const HOSTILE: &str =
    "</script><script>alert(1)</script>\"'><img src=x onerror=alert(2)> & <!-- \u{0} \u{2028}";

fn small() -> Fixture {
    Fixture { draws: 60, ..Fixture::default() }
}

fn ids(all: &[Element]) -> Vec<&str> {
    all.iter()
        .filter(|element| element.name == "figure")
        .filter_map(|element| element.attribute("id"))
        .collect()
}

/// Whether the record in the page tells what the run tells.
fn assert_embedded(all: &[Element], run: &Run) {
    let json = all.iter().find(|element| element.attribute("id") == Some("run")).expect("the record");
    let back: Run = serde_json::from_str(&json.inner).expect("the record as JSON");
    assert_eq!((&back.command, &back.target, &back.totals), (&run.command, &run.target, &run.totals));
    assert_eq!((&back.failures, &back.warnings), (&run.failures, &run.warnings));
    assert_eq!(back.response.percentiles(), run.response.percentiles());
    assert_eq!(back.intervals.len(), run.intervals.len());
}

#[test]
fn a_full_run_shows_every_plot() {
    let baseline = Fixture { seed: 8, ..small() }.run();
    let all = checked(&page(&small().full_run(), Some(&baseline)));
    let expected = [
        "spectrum",
        "comparison",
        "load-curve",
        "goodput",
        "heat",
        "percentiles",
        "rates",
        "histogram",
        "generator",
        "connect",
    ];
    assert_eq!(ids(&all), expected);
    let switches = all.iter().filter(|element| element.attribute("type") == Some("radio")).count();
    assert_eq!(switches, 3 + 3 * 2, "the theme, and two views of three plots");
}

#[test]
fn verdicts_come_before_figures_and_figures_before_plots() {
    let mut run = small().full_run();
    run.outcome = Outcome::Failed;
    run.failure = Some("The target went away.".to_owned());
    let page = page(&run, None);
    let order = [
        "FAILED",
        "PASS",
        "MISS",
        "TRUSTWORTHY",
        "WORSE",
        "WARNING",
        ">Summary<",
        ">Percentile spectrum<",
        ">Repeat it<",
    ];
    let places: Vec<_> =
        order.iter().map(|word| page.find(word).unwrap_or_else(|| panic!("no {word}"))).collect();
    assert!(places.is_sorted(), "{order:?} at {places:?}");
    let repeats = page.matches("windlass bench 10.0.0.7:7000").count();
    assert!(repeats > 10, "each plot has the command: {repeats}");
}

#[test]
fn nothing_is_loaded_from_elsewhere() {
    let page = page(&small().full_run(), None).replace("http://www.w3.org/2000/svg", "");
    let histories = history(&[("a".to_owned(), small().run())]).replace("http://www.w3.org/2000/svg", "");
    for word in ["http://", "https://", "@import", "url(", "//cdn", "<link", "<iframe"] {
        assert!(!page.contains(word) && !histories.contains(word), "{word}");
    }
}

#[test]
fn hostile_names_stay_text() {
    let mut run = small().full_run();
    let bad = || HOSTILE.to_owned();
    run.command = bad();
    run.windlass_version = bad();
    run.target = Target { address: bad(), named: bad(), transport: bad(), protocol: bad(), embedded: false };
    run.host = Host { processor_model: Some(bad()), kernel: bad(), governor: Some(bad()), ..Host::default() };
    run.workload.size_bytes = bad();
    run.workload.waiting = bad();
    run.failure = Some(bad());
    run.outcome = Outcome::Failed;
    run.failures = vec![FailureKind { reason: bad(), count: 1 }];
    run.generator.reason = bad();
    run.warnings = vec![bad()];
    for slo in &mut run.slo {
        (slo.objective, slo.sentence) = (bad(), bad());
    }
    for probe in &mut run.search.as_mut().unwrap().probes {
        (probe.stage, probe.reason) = (bad(), bad());
    }
    let comparison = run.comparison.as_mut().unwrap();
    (comparison.baseline, comparison.sentence) = (bad(), bad());
    comparison.figures.iter_mut().for_each(|figure| figure.name = bad());
    run.resources.iter_mut().for_each(|row| row.profile = bad());

    let all = checked(&page(&run, Some(&run)));
    assert_embedded(&all, &run);
    let histories = checked(&history(&[(bad(), run.clone())]));
    for element in all.iter().chain(&histories) {
        assert!(element.name != "img");
    }
    assert_eq!(all.iter().filter(|element| element.name == "script").count(), 2);
    assert_eq!(histories.iter().filter(|element| element.name == "script").count(), 1);
}

#[test]
fn a_run_without_any_answer_says_so() {
    let empty = Fixture { intervals: 0, ..small() };
    let mut run = empty.run();
    run.connect = Distribution::default();
    let all = checked(&page(&run, Some(&run)));
    assert!(ids(&all).is_empty());
    let absent = all.iter().filter(|element| element.attribute("class") == Some("absent")).count();
    assert_eq!(absent, 3, "spectrum, course and histogram tell why they are missing");
    assert_embedded(&all, &run);

    let silent = Fixture { draws: 0, ..small() }.run();
    let all = checked(&page(&silent, None));
    assert!(ids(&all).contains(&"rates") && !ids(&all).contains(&"spectrum"));
}

#[test]
fn extreme_runs_render() {
    let fixtures = [
        Fixture { intervals: 1, stall_s: None, ..small() },
        Fixture { intervals: 1, draws: 1, stall_s: None, ..small() },
        Fixture { intervals: 2, interval_s: 1e6, ..small() },
        Fixture { intervals: 3, interval_s: 1e-6, ..small() },
        Fixture { median_ns: 0.0, stall_s: None, ..small() },
        Fixture { median_ns: 1e11, ..small() },
    ];
    for fixture in fixtures {
        checked(&page(&fixture.run(), None));
    }
}

#[test]
fn equal_values_render() {
    let mut run = small().run();
    let equal: Distribution = HistogramSnapshot::from_buckets([(100_000, 5_000)], 100_000).into();
    for distribution in [&mut run.response, &mut run.service, &mut run.connect] {
        *distribution = equal.clone();
    }
    run.intervals.iter_mut().for_each(|interval| interval.response = equal.clone());
    let all = checked(&page(&run, Some(&run)));
    assert!(ids(&all).contains(&"histogram"));
}

#[test]
fn figures_that_are_no_numbers_do_no_harm() {
    let mut run = small().full_run();
    for broken in [f64::NAN, f64::INFINITY, -1.0, 0.0] {
        run.totals.asked_per_s = broken;
        run.measured_s = broken;
        run.workload.rate_per_s = Some(broken);
        run.intervals[3].asked = broken;
        run.intervals[4].busy_fraction = broken;
        run.intervals[5].start_s = broken;
        run.intervals[6].length_s = broken;
        run.search.as_mut().unwrap().probes[0].rate_per_s = broken;
        run.search.as_mut().unwrap().probes[1].answered_per_s = broken;
        run.search.as_mut().unwrap().kept_per_s = Some(broken);
        run.comparison.as_mut().unwrap().figures[0].ratio_high = broken;
        run.resources[0].messages_per_s = broken;
        checked(&page(&run, None));
    }
}

#[test]
fn ten_thousand_intervals_become_a_page_of_reasonable_size() {
    let (intervals, merged) = crate::thorough::thorough((10_000, 42), (1_000, 5));
    let run = Fixture { intervals, draws: 3, ..small() }.run();
    let page = page(&run, None);
    let all = checked(&page);
    let json = all.iter().find(|element| element.attribute("id") == Some("run")).unwrap();
    let rest = page.len() - json.inner.len();
    assert!(rest < 1_500_000, "{rest} bytes besides the record");
    assert!(page.contains(&format!("Each column merges {merged} intervals")));
}

fn runs(medians_ns: &[f64]) -> Vec<(String, Run)> {
    let run = |(index, median_ns): (usize, &f64)| {
        let started_unix_ms = 1_795_260_000_000 + index as u64 * 86_400_000;
        let fixture = Fixture {
            seed: 100 + index as u64,
            median_ns: *median_ns,
            stall_s: None,
            started_unix_ms,
            ..small()
        };
        (format!("run-{index}/run.json"), fixture.run())
    };
    medians_ns.iter().enumerate().map(run).collect()
}

#[test]
fn a_history_flags_the_run_that_became_slower() {
    let medians = [62e3, 62.3e3, 61.8e3, 62.1e3, 62e3, 80e3];
    let mut runs = runs(&medians);
    runs.reverse();
    let page = history(&runs);
    checked(&page);
    assert!(page.contains("Run 6 (run-5/run.json"), "sorted by time, and the last is flagged");
    assert!(!page.contains("Run 5 (run-4/run.json"));
    let steady = history(&self::runs(&medians[..5]));
    assert!(steady.contains("NO CHANGE"));
}

#[test]
fn a_history_compares_equal_workloads_only() {
    let mut all = runs(&[62e3; 4]);
    all.extend(runs(&[62e3; 4]).into_iter().map(|(label, mut run)| {
        run.workload.connections = 7;
        (label, run)
    }));
    let page = history(&all);
    let sections = checked(&page).iter().filter(|element| element.name == "section").count();
    assert_eq!(sections, 2);
}

#[test]
fn untrustworthy_runs_are_shown_but_not_compared() {
    let mut all = runs(&[62e3, 62e3, 62.1e3, 300e3]);
    all[3].1.generator.verdict = Verdict::Untrustworthy;
    let page = history(&all);
    assert!(page.contains("not compared") && page.contains("NO CHANGE"));
}

#[test]
fn histories_of_nothing_and_of_one_run_render() {
    checked(&history(&[]));
    checked(&history(&runs(&[62e3])));
}

/// Writes pages to look at into the directory that `WINDLASS_REPORT_SAMPLES` names, if it names one.
#[test]
fn samples_can_be_looked_at() {
    let fixture = Fixture { draws: crate::thorough::thorough(1_500, 100), ..Fixture::default() };
    let full = fixture.full_run();
    let baseline = Fixture { seed: 8, median_ns: 70e3, stall_s: None, ..fixture.clone() }.run();
    let plain = Fixture { stall_s: None, ..fixture.clone() }.run();
    let single = Fixture { intervals: 1, draws: 40, stall_s: None, ..Fixture::default() }.run();
    let medians: Vec<f64> = (0..24)
        .map(|i| 62e3 * (1.0 + 0.02 * f64::sin(i as f64 * 2.4)) * if i > 16 { 1.3 } else { 1.0 })
        .collect();
    let samples = [
        ("full", page(&full, Some(&baseline))),
        ("plain", page(&plain, None)),
        ("single", page(&single, None)),
        ("empty", page(&Fixture { intervals: 0, ..Fixture::default() }.run(), None)),
        (
            "long",
            page(
                &Fixture {
                    intervals: crate::thorough::thorough(3_000, 300),
                    draws: 40,
                    interval_s: 1.0,
                    ..Fixture::default()
                }
                .run(),
                None,
            ),
        ),
        ("history", history(&runs(&medians))),
    ];
    let directory = std::env::var_os("WINDLASS_REPORT_SAMPLES");
    for (name, page) in samples {
        checked(&page);
        if let Some(directory) = &directory {
            std::fs::write(std::path::Path::new(directory).join(format!("{name}.html")), page).unwrap();
        }
    }
}
