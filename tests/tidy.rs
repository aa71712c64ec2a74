//! Lints the source as unit tests: who may use whom, where clocks and `unsafe` may appear, how long things may get,
//! and whether the README tells the truth about the manifest and the files.
//!
//! The tables below are the rules; the modules in `tests/tidy/` hold how each one is read. Every rule has a test of
//! its own that feeds it something bad and sees it complain.

#[path = "tidy/floors.rs"]
mod floors;
#[path = "tidy/habits.rs"]
mod habits;
#[path = "tidy/readme.rs"]
mod readme;
#[path = "tidy/shape.rs"]
mod shape;
#[path = "tidy/source.rs"]
mod source;

use source::{Complaint, Source};

/// The rooms of `src/`, ground floor first. A room may use the floors below its own; rooms on one floor do not use
/// each other. Above the last line stand `src/lib.rs` and `src/bin/`, which may use everything.
const FLOORS: &[&[&str]] = &[
    &["time", "limits", "sync", "thorough"],
    &["error"],
    &["collections", "units"],
    &["buffer", "metrics", "policy", "message", "traffic", "cache"],
    &["net", "plot"],
    &["secure"],
    &["conn"],
    &["reactor"],
    &["client"],
    &["load", "proxy", "sim"],
    &["scenario"],
];

/// The lowest room that may own a `Clock`; the rooms below it are told what time it is.
const CLOCK_ROOM: &str = "reactor";

/// Where the operating system's clocks may be named: where time is made, where somebody measures, and in tests that
/// print how long private things take and assert nothing of it.
const OS_CLOCK_ALLOWED: &[&str] = &[
    "src/time.rs",
    "src/bin/",
    "src/load/",
    "src/scenario/stage.rs",
    "src/secure/noise/tests/measurements.rs",
    "src/secure/tls/records/tests/speed.rs",
];

/// Files that may name wall time because they are given it; they may not ask for it.
const WALL_TIME_GIVEN: &[&str] = &["src/metrics/export.rs"];

/// Where mio may be named.
const MIO_ALLOWED: &[&str] = &["src/net/", "src/reactor/"];

/// Where the crates behind secured connections may be named; tests of a layer may take its counterpart from the crate
/// itself.
const SECURITY_FENCES: &[habits::Fence] = &[
    habits::Fence {
        crates: &["rustls", "rustls_native_certs", "webpki"],
        allowed: &["src/secure/tls/backend/", "src/secure/tls/records/tests/", "src/secure/tls/tests/"],
        advice: "its next version replaces the interface used there: give the backend a function or a type for it",
    },
    habits::Fence {
        crates: &["snow", "blake2"],
        allowed: &["src/secure/noise/"],
        advice: "give the Noise layer a function for it",
    },
    habits::Fence {
        crates: &["aws_lc_rs", "zeroize"],
        // The command tells the pin of a certificate that it made.
        allowed: &["src/secure/", "src/bin/windlass/security.rs"],
        advice: "keys stay in the secure room",
    },
];

/// Files that may hold `unsafe`: each one because a measurement shows that it pays, or because a test must replace
/// something that only `unsafe` can (a global allocator that counts).
const UNSAFE_ALLOWED: &[&str] = &["tests/allocations/main.rs"];

/// Files that may call `thread::sleep`. A test that waits for something waits for that thing.
const SLEEP_ALLOWED: &[&str] = &[];

/// A function should fit on a screen.
const FUNCTION_LINES_MAX: usize = 70;

/// A file should have one job.
const FILE_LINES_MAX: usize = 900;

/// What the README may point to although a fresh clone does not have it: these are made by running things.
const GENERATED: &[&str] = &["benches/peers/results", "target"];

/// Runs one rule over every file whose path starts with one of `folders`.
#[track_caller]
fn sweep(folders: &[&str], rule: impl Fn(&Source) -> Vec<Complaint>) {
    let sources = source::load_all();
    let chosen: Vec<_> = sources
        .iter()
        .filter(|source| folders.iter().any(|folder| source.path.starts_with(folder)))
        .collect();
    assert!(!chosen.is_empty(), "nothing to read in {folders:?}: the rule would hold of nothing");
    refuse(&chosen.iter().flat_map(|source| rule(source)).collect::<Vec<_>>());
}

#[track_caller]
fn refuse(complaints: &[Complaint]) {
    let lines: Vec<String> = complaints.iter().map(ToString::to_string).collect();
    assert!(lines.is_empty(), "{} complaint(s):\n{}", lines.len(), lines.join("\n"));
}

#[test]
fn rooms_use_only_the_floors_below_them() {
    sweep(&["src/"], |source| floors::check(source, FLOORS));
}

#[test]
fn rooms_below_the_reactor_own_no_clock() {
    sweep(&["src/"], |source| floors::check_clock_owner(source, FLOORS, CLOCK_ROOM));
}

#[test]
fn only_the_time_module_names_the_operating_systems_clocks() {
    sweep(&["src/"], |source| habits::check_clocks(source, OS_CLOCK_ALLOWED, WALL_TIME_GIVEN));
}

#[test]
fn unsafe_stays_inside_its_fence() {
    sweep(&["src/", "tests/", "benches/", "examples/"], |source| {
        habits::check_unsafe(source, UNSAFE_ALLOWED)
    });
}

#[test]
fn exceptions_are_for_files_that_exist() {
    let exceptions = [WALL_TIME_GIVEN, UNSAFE_ALLOWED, SLEEP_ALLOWED].concat();
    let stale: Vec<_> = exceptions.into_iter().filter(|path| !source::exists(path)).collect();
    assert!(stale.is_empty(), "take these exceptions out, the files are gone: {stale:?}");
}

#[test]
fn only_net_and_reactor_name_mio() {
    sweep(&["src/"], |source| habits::check_mio(source, MIO_ALLOWED));
}

#[test]
fn crates_behind_secured_connections_are_named_where_they_are_used() {
    sweep(&["src/"], |source| habits::check_fences(source, SECURITY_FENCES));
}

#[test]
fn the_security_page_names_every_bound_of_the_layers() {
    let page = source::read("src/security.md").expect("there is a page on security");
    let limits = source::read("src/limits.rs").expect("there are limits");
    refuse(&readme::check_bounds(&page, &limits, &["TLS_", "NOISE_", "HANDSHAKES_"]));
}

#[test]
fn nothing_sleeps() {
    sweep(&["src/", "tests/"], |source| habits::check_sleep(source, SLEEP_ALLOWED));
}

#[test]
fn nothing_is_left_unfinished() {
    sweep(&["src/", "tests/", "benches/", "examples/"], habits::check_unfinished);
}

#[test]
fn files_open_with_what_they_are_for() {
    sweep(&["src/", "tests/", "benches/", "examples/"], shape::check_opening);
}

#[test]
fn functions_fit_on_a_screen() {
    sweep(&["src/"], |source| shape::check_functions(source, FUNCTION_LINES_MAX));
}

#[test]
fn files_stay_readable() {
    sweep(&["src/", "tests/", "benches/", "examples/"], |source| shape::check_length(source, FILE_LINES_MAX));
}

#[test]
fn examples_say_first_how_to_run_them() {
    let manifest = source::read("Cargo.toml").expect("the crate has a manifest");
    let examples = source::load_all().iter().filter(|source| source.path.starts_with("examples/"));
    refuse(&examples.flat_map(|source| shape::check_run_command(source, &manifest)).collect::<Vec<_>>());
}

#[test]
fn readme_lists_the_features_of_the_manifest() {
    let manifest = source::read("Cargo.toml").expect("the crate has a manifest");
    if let Some(text) = source::read("README.md") {
        refuse(&readme::check_features(&text, &manifest));
    }
}

#[test]
fn readme_names_every_example() {
    let sources = source::load_all();
    let names: Vec<_> = sources.iter().filter_map(|source| shape::example_name(&source.path)).collect();
    if let Some(text) = source::read("README.md") {
        refuse(&readme::check_examples(&text, &names));
    }
}

#[test]
fn readme_points_only_at_what_exists() {
    if let Some(text) = source::read("README.md") {
        refuse(&readme::check_paths(&text, GENERATED, source::exists));
    }
}
