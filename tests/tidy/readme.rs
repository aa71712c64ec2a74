//! The README against the facts: the features of the manifest, the examples, and every path and link in it.

use crate::source::Complaint;

const FEATURES_HEADING: &str = "## Features";

/// Where a word is taken for a path in the repository.
const TOP_FOLDERS: [&str; 5] = ["src/", "tests/", "benches/", "examples/", ".ci/"];

fn complaint(line: usize, message: String) -> Complaint {
    Complaint { path: "README.md".to_owned(), line, message }
}

/// The table under "Features" has one row for each feature of the manifest (but `default`), and no other.
pub fn check_features(readme: &str, manifest: &str) -> Vec<Complaint> {
    let lines: Vec<&str> = readme.lines().collect();
    let Some(heading) = lines.iter().position(|line| line.trim() == FEATURES_HEADING) else {
        return vec![complaint(
            1,
            format!("there is no `{FEATURES_HEADING}` heading with a table of the features"),
        )];
    };
    let section = lines.iter().enumerate().skip(heading + 1).take_while(|(_, line)| !line.starts_with("## "));
    let rows = section.filter_map(|(index, line)| {
        let name = line.strip_prefix('|')?.split('|').next()?.trim().strip_prefix('`')?.strip_suffix('`')?;
        Some((index + 1, name))
    });
    let rows: Vec<(usize, &str)> = rows.collect();
    let features = manifest_features(manifest);
    let mut complaints = Vec::new();
    for (line, name) in &rows {
        if !features.contains(name) {
            complaints
                .push(complaint(*line, format!("feature `{name}` is not in Cargo.toml: take the row out")));
        }
    }
    for feature in features {
        if rows.iter().filter(|(_, name)| *name == feature).count() != 1 {
            let message =
                format!("feature `{feature}` of Cargo.toml needs exactly one row, | `{feature}` | ... |");
            complaints.push(complaint(heading + 1, message));
        }
    }
    complaints
}

fn manifest_features(manifest: &str) -> Vec<&str> {
    let section = manifest.lines().skip_while(|line| line.trim() != "[features]").skip(1);
    let keys = section.take_while(|line| !line.starts_with('[')).filter_map(|line| line.split_once('='));
    let is_name =
        |key: &&str| !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_');
    keys.map(|(key, _)| key.trim()).filter(is_name).filter(|key| *key != "default").collect()
}

/// Every example is named: `` `NAME` ``, `--example NAME` or its path.
pub fn check_examples(readme: &str, names: &[&str]) -> Vec<Complaint> {
    let words: Vec<&str> = readme.split(|c: char| c.is_whitespace() || "()[]|,`".contains(c)).collect();
    let mentioned = |name: &str| {
        readme.contains(&format!("`{name}`"))
            || words.windows(2).any(|pair| pair == ["--example", name])
            || words
                .iter()
                .any(|word| *word == format!("examples/{name}.rs") || *word == format!("examples/{name}"))
    };
    let missing = names.iter().filter(|name| !mentioned(name));
    missing
        .map(|name| complaint(1, format!("example `{name}` is not mentioned: say what it shows")))
        .collect()
}

/// Every relative link, every path of this repository and every anchor leads somewhere.
pub fn check_paths(readme: &str, generated: &[&str], exists: impl Fn(&str) -> bool) -> Vec<Complaint> {
    let anchors: Vec<String> = readme.lines().filter(|line| line.starts_with('#')).map(anchor_of).collect();
    let mut complaints = Vec::new();
    for (index, line) in readme.lines().enumerate() {
        for link in links(line) {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            if path.is_empty() && !anchors.iter().any(|known| known == anchor) {
                complaints.push(complaint(index + 1, format!("`#{anchor}` leads to no heading")));
            }
            if !path.is_empty() && !exists(path) {
                complaints.push(complaint(index + 1, format!("link to `{path}`: there is no such file")));
            }
        }
        for path in paths(line) {
            let made = generated.iter().any(|prefix| path.starts_with(prefix));
            if !made && !exists(path) {
                complaints
                    .push(complaint(index + 1, format!("`{path}` is mentioned: there is no such file")));
            }
        }
    }
    complaints
}

/// The table of limits has one row for each bound whose name begins with one of `prefixes`.
pub fn check_bounds(page: &str, limits: &str, prefixes: &[&str]) -> Vec<Complaint> {
    let named = limits.lines().filter_map(|line| line.split_once("const ")?.1.split(':').next());
    let bounds = named.filter(|name| prefixes.iter().any(|prefix| name.starts_with(prefix)));
    let missing = bounds
        .filter(|name| page.lines().filter(|line| line.starts_with(&format!("| `{name}`:"))).count() != 1);
    missing
        .map(|name| Complaint {
            path: "src/security.md".to_owned(),
            line: 1,
            message: format!(
                "the bound `{name}` needs one row, | `{name}`: what it bounds | value | option |"
            ),
        })
        .collect()
}

/// Targets of the Markdown links in a line that stay in the repository.
fn links(line: &str) -> impl Iterator<Item = &str> {
    let inline = line.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
    let reference =
        line.starts_with('[').then(|| line.split_once("]: ").map(|(_, target)| target.trim())).flatten();
    inline.chain(reference).filter(|target| !target.contains("://") && !target.starts_with("mailto:"))
}

/// Words in a line that look like paths into the repository.
fn paths(line: &str) -> impl Iterator<Item = &str> {
    let words = line.split(|c: char| c.is_whitespace() || "`'\"()[]|<>,;".contains(c));
    let words = words.map(|word| word.trim_end_matches(['.', ':', '!', '?']).trim_start_matches("./"));
    let words = words.map(|word| word.split('#').next().unwrap_or(word));
    words
        .filter(|word| TOP_FOLDERS.iter().any(|top| word.starts_with(top)) && !word.contains(['*', '{', '$']))
}

/// The anchor that a heading gets on the usual forges.
fn anchor_of(heading: &str) -> String {
    let words = heading.trim_start_matches('#').trim().to_lowercase();
    words
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "[features]\ndefault = []\n## Docs = here.\ncli = [\n  \"dep:a\",\n]\nsim = []\n\n\
                            [dependencies]\nx = \"1\"\n";

    #[test]
    fn a_feature_table_that_differs_is_refused() {
        let count = |readme: &str| check_features(readme, MANIFEST).len();
        assert_eq!(count("# x\n## Features\n| flag | adds |\n|---|---|\n| `cli` | a |\n| `sim` | b |\n"), 0);
        assert_eq!(count("# x\n## Features\n| `cli` | a |\n"), 1, "one is missing");
        assert_eq!(
            count("# x\n## Features\n| `cli` | a |\n| `sim` | b |\n| `tls` | c |\n"),
            1,
            "one is invented"
        );
        assert_eq!(
            count("# x\n## Features\n| `cli` | a |\n| `sim` | b |\n| `sim` | b |\n"),
            1,
            "one is there twice"
        );
        assert_eq!(count("# x\n## Features\n| `cli` | a |\n## More\n| `sim` | b |\n"), 1, "one is elsewhere");
        assert_eq!(count("# x\n"), 1, "there is no table");
    }

    #[test]
    fn an_example_that_is_not_mentioned_is_refused() {
        let names = ["echo", "own_loop", "chat"];
        let readme = "Run `cargo run --example echo`, see [chat](examples/chat.rs) and `own_loop`.";
        assert!(check_examples(readme, &names).is_empty());
        assert_eq!(check_examples("`own_loop`, an echo, a chat", &names).len(), 2);
        assert_eq!(check_examples("--example own_loop_2 --example echo", &names).len(), 2);
    }

    #[test]
    fn a_bound_that_the_page_does_not_name_is_refused() {
        let limits = "const KIB: usize = 1024;\npub const TLS_A: u8 = 1;\npub(crate) const TLS_B: u8 = 2;\n";
        let count = |page| check_bounds(page, limits, &["TLS_"]).len();
        assert_eq!(count("| `TLS_A`: a | 1 | |\n| `TLS_B`: b | 2 | |\n"), 0);
        assert_eq!(count("| `TLS_A`: a | 1 | |\nThere is `TLS_B` too.\n"), 1);
        assert_eq!(count(""), 2);
    }

    #[test]
    fn a_path_that_leads_nowhere_is_refused() {
        let exists = |path: &str| ["src/lib.rs", "LICENSE-MIT", "benches/peers/run.py"].contains(&path);
        let found = |readme: &str| {
            let complaints = check_paths(readme, &["benches/peers/results"], exists);
            complaints.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(found("[a](GONE.md)"), ["README.md:1: link to `GONE.md`: there is no such file"]);
        assert_eq!(found("\n[a]: GONE.md"), ["README.md:2: link to `GONE.md`: there is no such file"]);
        assert_eq!(
            found("see `src/gone.rs`."),
            ["README.md:1: `src/gone.rs` is mentioned: there is no such file"]
        );
        assert_eq!(found("    ./benches/peers/gone.py --report").len(), 1);
        assert_eq!(found("# The End, at last\n[a](#the-end)").len(), 1);
        let fine = "# The End, at last\n[a](#the-end-at-last) [b](https://x.example/src/no.rs) [c](LICENSE-MIT) \
                    `src/lib.rs`: run ./benches/peers/run.py, read benches/peers/results/raw.jsonl and src/**/*.rs.";
        assert_eq!(found(fine), Vec::<String>::new());
    }
}
