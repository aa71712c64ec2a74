//! The shape of files: how they open, how long they and their functions get, how an example says how to run it.

use crate::source::{Complaint, Kind, Source};

/// A file opens with `//!` and says what its one job is.
pub fn check_opening(source: &Source) -> Vec<Complaint> {
    let first = source.text.lines().next().unwrap_or_default();
    if first.strip_prefix("//!").is_some_and(|words| !words.trim().is_empty()) {
        return Vec::new();
    }
    vec![source.complaint(1, "the first line must be `//!` and say what the file's one job is".to_owned())]
}

/// No function is longer than `lines_max`, from the line of its `fn` to its closing brace.
pub fn check_functions(source: &Source, lines_max: usize) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for (at, token) in source.tokens.iter().enumerate() {
        if !token.is("fn") || source.kind_at(at + 1) != Some(Kind::Ident) {
            continue;
        }
        let Some(end) = source.body_end(at) else { continue };
        let lines = source.tokens[end].line - token.line + 1;
        if lines > lines_max {
            let name = &source.tokens[at + 1].text;
            let message = format!(
                "`{name}` has {lines} lines, more than {lines_max}: give its parts names of their own"
            );
            complaints.push(source.complaint(token.line, message));
        }
    }
    complaints
}

/// No file is longer than `lines_max`.
pub fn check_length(source: &Source, lines_max: usize) -> Vec<Complaint> {
    let lines = source.text.lines().count();
    if lines <= lines_max {
        return Vec::new();
    }
    vec![source.complaint(lines, format!("{lines} lines, more than {lines_max}: split the file by its jobs"))]
}

/// The name of the example that a path is, `examples/NAME.rs` or `examples/NAME/main.rs`.
pub fn example_name(path: &str) -> Option<&str> {
    let inner = path.strip_prefix("examples/")?.strip_suffix(".rs")?;
    let name = inner.strip_suffix("/main").unwrap_or(inner);
    (!name.contains('/')).then_some(name)
}

/// An example's first line holds the command that runs it, with the features it cannot do without.
pub fn check_run_command(source: &Source, manifest: &str) -> Vec<Complaint> {
    let Some(name) = example_name(&source.path) else { return Vec::new() };
    let mut expected = format!("--example {name}");
    let needed = required_features(manifest, name);
    if !needed.is_empty() {
        expected = format!("{expected} --features {}", needed.join(","));
    }
    let first = source.text.lines().next().unwrap_or_default();
    let words: Vec<&str> = first.split([' ', '`']).collect();
    let after = |word: &str| words.iter().position(|w| *w == word).and_then(|at| words.get(at + 1).copied());
    let features: Vec<&str> = after("--features").map(|list| list.split(',').collect()).unwrap_or_default();
    let runs = first.starts_with("//!") && after("cargo") == Some("run") && after("--example") == Some(name);
    if runs && needed.iter().all(|feature| features.contains(&feature.as_str())) {
        return Vec::new();
    }
    vec![
        source.complaint(
            1,
            format!("the first line must hold the command that runs it: `cargo run {expected}`"),
        ),
    ]
}

/// `required-features` of the `[[example]]` called `name`; empty where the manifest has none.
fn required_features(manifest: &str, name: &str) -> Vec<String> {
    let tables = manifest.split("\n[");
    let has_name =
        |table: &&str| table.lines().any(|line| line.replace(' ', "") == format!("name=\"{name}\""));
    let Some(table) = tables.filter(|table| table.starts_with("[example]]")).find(has_name) else {
        return Vec::new();
    };
    let list = table.split("required-features").nth(1).and_then(|rest| rest.split(['[', ']']).nth(1));
    let quoted = list.unwrap_or_default().split('"').skip(1).step_by(2);
    quoted.map(ToOwned::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_does_not_say_what_it_is_for_is_refused() {
        let count = |text| check_opening(&Source::parse("src/a.rs", text)).len();
        assert_eq!(count("use std::io;\n//! Late.\n"), 1);
        assert_eq!(count("//!\n"), 1);
        assert_eq!(count(""), 1);
        assert_eq!(count("//! Counts things.\n"), 0);
    }

    #[test]
    fn a_long_function_is_refused() {
        let function = |lines: usize| {
            format!("impl X {{\n fn long<T>(x: [u8; 3]) {{\n{} }}\n}}", "    a();\n".repeat(lines))
        };
        let complaints = check_functions(&Source::parse("src/a.rs", &function(69)), 70);
        assert_eq!(complaints.len(), 1);
        assert!(
            complaints[0].to_string().starts_with("src/a.rs:2: `long` has 71 lines"),
            "{}",
            complaints[0]
        );
        assert!(check_functions(&Source::parse("src/a.rs", &function(68)), 70).is_empty());
        let inside_a_macro = format!("proptest! {{ {} }}", function(70));
        assert_eq!(check_functions(&Source::parse("src/a.rs", &inside_a_macro), 70).len(), 1);
        let declared = format!("trait T {{ fn short(); {} }}", "const X: u8 = 1;\n".repeat(80));
        assert!(check_functions(&Source::parse("src/a.rs", &declared), 70).is_empty());
    }

    #[test]
    fn a_long_file_is_refused() {
        assert_eq!(check_length(&Source::parse("src/a.rs", &"// x\n".repeat(11)), 10).len(), 1);
        assert_eq!(check_length(&Source::parse("src/a.rs", &"// x\n".repeat(10)), 10).len(), 0);
    }

    #[test]
    fn an_example_without_its_run_command_is_refused() {
        let manifest = "[package]\nname = \"x\"\n\n[[example]]\nname = \"stop\"\nrequired-features = [\n  \"signals\",\n]\n";
        let count = |path, first: &str| check_run_command(&Source::parse(path, first), manifest).len();
        assert_eq!(count("examples/echo.rs", "//! Echoes."), 1);
        assert_eq!(count("examples/echo.rs", "//! `cargo run --example echo2`: echoes."), 1);
        assert_eq!(count("examples/echo.rs", "//! Echoes.\n//! `cargo run --example echo`"), 1);
        assert_eq!(count("examples/echo.rs", "//! `cargo run --release --example echo`: echoes."), 0);
        assert_eq!(count("examples/echo/main.rs", "//! Echoes: cargo run --example echo -- --cores 1"), 0);
        assert_eq!(count("examples/stop.rs", "//! `cargo run --example stop`"), 1);
        assert_eq!(count("examples/stop.rs", "//! `cargo run --example stop --features signals`"), 0);
        assert_eq!(count("examples/echo/part.rs", "//! A part of the example."), 0);
    }
}
