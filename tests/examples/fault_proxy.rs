//! `fault_proxy`: every trouble has the outcome that its line in the example says.

use super::process::run_to_end;

#[test]
fn fault_proxy_makes_the_trouble_that_it_is_asked_for() {
    let outcome = run_to_end("fault_proxy", &[]);
    assert!(outcome.status.success(), "{outcome:?}");
    let told = String::from_utf8(outcome.stdout).expect("text");
    let expected = [
        "undisturbed: 42",
        "late, and still right: 42",
        "byte by byte: 42",
        "in a black hole: no answer in time",
        "reset: the connection was reset",
        "switched off: nobody there",
        "healed: 42",
        "6 connections accepted",
    ];
    assert_eq!(told.lines().collect::<Vec<_>>(), expected);
}
