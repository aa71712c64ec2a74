//! Reads the table in `main.rs` and keeps it true: every class of bugs has its row, every test in it exists, and every
//! test of this suite is in it.

use std::path::Path;

/// The classes of bugs, in the order of the table.
const BUG_CLASSES: [&str; 21] = [
    "out of descriptors, an edge-triggered listener stops",
    "the spare descriptor spins",
    "a passing error of accept ends the loop",
    "a cap on accepts without an end",
    "reused slots, stale and spurious events",
    "lost wake-ups",
    "an end of stream lost behind a short read",
    "hang-ups spin, sockets stay in CLOSE_WAIT",
    "interrupted system calls",
    "timers that wrap or stand on the wrong level",
    "a clock that goes back or leaps",
    "starvation",
    "output without a bound",
    "byte-at-a-time peers",
    "overload",
    "a herd that wakes for one, uneven cores",
    "a backlog lost when draining",
    "hot upgrade",
    "a handler that panics",
    "a dead peer",
    "resets and errors in mid-write, floods of SYN",
];

/// What is not built has no tests; its row says why.
const NOT_BUILT: [&str; 1] = ["hot upgrade"];

/// Tests that prove nothing about the loop: the table's own, and what tests run in processes of their own.
const NOT_IN_THE_TABLE: [&str; 3] = ["table::", "clients::", "injected::what_a_traced_server_does"];

/// One line of the table.
struct Row<'a> {
    bug_class: &'a str,
    /// `module::test` of this suite, or `path::test`.
    tests: Vec<&'a str>,
}

fn rows(text: &str) -> Vec<Row<'_>> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("//! | ")).skip(1);
    let cells = lines.filter_map(|line| line.split_once(" | "));
    cells
        .map(|(bug_class, rest)| Row { bug_class, tests: rest.split('`').skip(1).step_by(2).collect() })
        .collect()
}

/// Where a named test stands, and what it is called there.
fn place(test: &str) -> Option<(String, &str)> {
    let (place, name) = test.rsplit_once("::")?;
    let is_path = place.ends_with(".rs");
    Some((if is_path { place.to_owned() } else { format!("tests/torture/{place}.rs") }, name))
}

/// The functions of a file that are tests.
fn tests_in(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut marked = false;
    for line in text.lines().map(str::trim) {
        if line == "#[test]" {
            marked = true;
        } else if let Some(function) = line.strip_prefix("fn ").filter(|_| marked) {
            found.extend(function.split('(').next());
            marked = false;
        }
    }
    found
}

/// What is wrong with the table, given what each file holds and which modules the suite has.
fn check(table: &str, modules: &[&str], read: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let rows = rows(table);
    let mut complaints = Vec::new();
    let named: Vec<&str> = rows.iter().map(|row| row.bug_class).collect();
    if named != BUG_CLASSES {
        complaints.push(format!("the rows are not the classes of bugs: {named:?}"));
    }
    for row in &rows {
        if row.tests.is_empty() != NOT_BUILT.contains(&row.bug_class) {
            complaints.push(format!("\"{}\" has {} tests", row.bug_class, row.tests.len()));
        }
        for test in &row.tests {
            let exists = place(test)
                .is_some_and(|(path, name)| read(&path).is_some_and(|text| tests_in(&text).contains(&name)));
            if !exists {
                complaints.push(format!("\"{}\" names `{test}`, and there is no such test", row.bug_class));
            }
        }
    }
    for module in modules {
        let text = read(&format!("tests/torture/{module}.rs")).unwrap_or_default();
        let missing = tests_in(&text).into_iter().map(|name| format!("{module}::{name}"));
        let missing = missing
            .filter(|test| !NOT_IN_THE_TABLE.iter().any(|start| test.starts_with(start)))
            .filter(|test| !rows.iter().any(|row| row.tests.contains(&test.as_str())));
        complaints
            .extend(missing.map(|test| format!("`{test}` is in no row: which class of bugs is it for?")));
    }
    complaints
}

fn modules(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';')).collect()
}

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).ok()
}

#[test]
fn the_table_is_whole_and_true() {
    let table = read("tests/torture/main.rs").expect("this suite");
    let complaints = check(&table, &modules(&table), read);
    assert!(complaints.is_empty(), "{} complaint(s):\n{}", complaints.len(), complaints.join("\n"));
}

/// A table of all classes, each with `tests` but those that are not built.
fn table_with(tests: &str) -> String {
    let row = |class: &&str| {
        format!("//! | {class} | {} |\n", if NOT_BUILT.contains(class) { "none" } else { tests })
    };
    "//! | bug class | tests |\n//! |---|---|\n".to_owned() + &BUG_CLASSES.iter().map(row).collect::<String>()
}

fn some_files(path: &str) -> Option<String> {
    match path {
        "src/a.rs" => {
            Some("mod tests {\n    #[test]\n    #[ignore]\n    fn one() {}\n    fn two() {}\n}".into())
        }
        "tests/torture/b.rs" => Some("#[test]\nfn three() {}".into()),
        _ => None,
    }
}

#[test]
fn a_table_that_is_whole_and_true_is_not_complained_of() {
    assert_eq!(check(&table_with("`src/a.rs::one`, `b::three`"), &["b", "clients"], some_files), [""; 0]);
}

#[test]
fn tests_that_are_none_and_rows_without_a_test_are_complained_of() {
    for (tests, said) in [
        ("`src/a.rs::two`", "names `src/a.rs::two`, and there is no such test"),
        ("`src/c.rs::one`", "names `src/c.rs::one`, and there is no such test"),
        ("`b::one`", "names `b::one`, and there is no such test"),
        ("none", "\"starvation\" has 0 tests"),
    ] {
        let complaints = check(&table_with(tests), &[], some_files);
        assert_eq!(complaints.len(), BUG_CLASSES.len() - NOT_BUILT.len(), "{tests}");
        assert!(complaints.iter().any(|complaint| complaint.contains(said)), "{complaints:?}");
    }
}

#[test]
fn tests_and_classes_that_are_missing_are_complained_of() {
    let whole = table_with("`src/a.rs::one`");
    assert_eq!(
        check(&whole, &["b"], some_files),
        ["`b::three` is in no row: which class of bugs is it for?"]
    );
    let shorter: String =
        whole.lines().filter(|line| !line.contains("overload")).map(|l| l.to_owned() + "\n").collect();
    assert!(check(&shorter, &[], some_files)[0].starts_with("the rows are not the classes of bugs"));
}
