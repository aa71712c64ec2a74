//! What code must not do outside the places made for it: read clocks, name mio, sleep, be unsafe, be unfinished.

use crate::source::{Complaint, Named, Source};

fn refuse_names(source: &Source, refused: impl Fn(&Named) -> bool, advice: &str) -> Vec<Complaint> {
    let names = source.names().into_iter().filter(refused);
    names.map(|name| source.complaint(name.line, format!("`{name}`: {advice}"))).collect()
}

/// The operating system's clocks are read in one place. The files in `wall_time_given` may name wall time, because
/// they are given a point of it; they may not ask for the present one either.
pub fn check_clocks(source: &Source, allowed: &[&str], wall_time_given: &[&str]) -> Vec<Complaint> {
    if source.is_under(allowed) {
        return Vec::new();
    }
    let refused = |name: &Named| {
        let of_std = |item: &str| name.starts_with(&["std", "time", item]);
        let wall_time = name.segments.iter().any(|segment| segment == "SystemTime") || of_std("UNIX_EPOCH");
        let whole_module = name.segments == ["std", "time"] || of_std("self") || of_std("*");
        let clocks = ["Instant", "SystemTime", "UnixTime"];
        let asks = clocks.into_iter().any(|clock| name.ends_with(&[clock, "now"]));
        let asks_the_kernel = name.ends_with(&["clock_gettime"]);
        let names_a_clock =
            of_std("Instant") || whole_module || wall_time && !source.is_under(wall_time_given);
        asks || asks_the_kernel || names_a_clock
    };
    let advice = "the system's clocks belong to src/time.rs; take `now: crate::time::Instant`, or own a `Clock` from the \
                  reactor upwards (of std::time import `Duration` by its name)";
    let mut complaints = refuse_names(source, refused, advice);
    for call in source.tokens.windows(3) {
        if call[0].is(".") && call[1].is("elapsed") && call[2].is("(") {
            complaints.push(source.complaint(call[1].line, format!("`.elapsed()` reads a clock: {advice}")));
        }
    }
    complaints
}

/// The outside world is met in one place.
pub fn check_mio(source: &Source, allowed: &[&str]) -> Vec<Complaint> {
    if source.is_under(allowed) {
        return Vec::new();
    }
    let advice =
        format!("mio is known only to {}; give the net room a function for it", allowed.join(" and "));
    refuse_names(source, |name| name.segments[0] == "mio", &advice)
}

/// Where a crate of the outside world may be named, and what to do instead of naming it elsewhere.
pub struct Fence {
    pub crates: &'static [&'static str],
    pub allowed: &'static [&'static str],
    pub advice: &'static str,
}

/// What another crate may replace, and what secrets pass through, is named in one place.
pub fn check_fences(source: &Source, fences: &[Fence]) -> Vec<Complaint> {
    let broken = fences.iter().filter(|fence| !source.is_under(fence.allowed));
    let complaints = broken.flat_map(|fence| {
        let advice = format!("known only to {}; {}", fence.allowed.join(" and "), fence.advice);
        refuse_names(source, |name| fence.crates.contains(&name.segments[0].as_str()), &advice)
    });
    complaints.collect()
}

/// Nobody waits by the clock.
pub fn check_sleep(source: &Source, allowed: &[&str]) -> Vec<Complaint> {
    if source.is_under(allowed) {
        return Vec::new();
    }
    let sleeps =
        |name: &Named| name.ends_with(&["thread", "sleep"]) || name.ends_with(&["std", "thread", "*"]);
    refuse_names(
        source,
        sleeps,
        "wait for the thing itself, not for a time; or list the file in SLEEP_ALLOWED",
    )
}

/// `unsafe` stands only in listed files, each site under a comment that says why it is sound. A function inside an
/// `unsafe impl` needs none: its contract is the trait's.
pub fn check_unsafe(source: &Source, allowed: &[&str]) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    let mut trait_contract_until = 0;
    for (at, token) in source.tokens.iter().enumerate().filter(|(_, token)| token.is("unsafe")) {
        let next = source.tokens.get(at + 1);
        if next.is_some_and(|next| next.is("impl")) {
            trait_contract_until = source.body_end(at).unwrap_or(at);
        }
        let contract_is_the_traits = at < trait_contract_until && next.is_some_and(|next| next.is("fn"));
        let message = if !source.is_under(allowed) {
            "`unsafe` outside its fence: measure that it pays, then list the file in UNSAFE_ALLOWED"
        } else if !contract_is_the_traits && !argued_above(&source.text, token.line) {
            "`unsafe` without an argument: put a `// SAFETY:` comment directly above it"
        } else {
            continue;
        };
        complaints.push(source.complaint(token.line, message.to_owned()));
    }
    complaints
}

/// Whether the comment directly above `line` (attributes aside) argues for its safety.
fn argued_above(text: &str, line: usize) -> bool {
    let above: Vec<&str> = text.lines().take(line - 1).map(str::trim).collect();
    above
        .iter()
        .rev()
        .skip_while(|line| line.starts_with("#["))
        .take_while(|line| line.starts_with("//"))
        .any(|line| line.contains("// SAFETY:") || line.contains("/// # Safety"))
}

/// Nothing says that it will be done later. The words are put together here so that this file may pass too.
pub fn check_unfinished(source: &Source) -> Vec<Complaint> {
    const WORDS: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
    const MACROS: [&str; 3] = ["todo", "unimplemented", "dbg"];
    let mut complaints = Vec::new();
    for (index, line) in source.text.lines().enumerate() {
        let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
        if let Some(word) = words.find(|word| WORDS.contains(word)) {
            complaints.push(
                source
                    .complaint(index + 1, format!("`{word}`: do it, or open an issue and leave it out here")),
            );
        }
    }
    for pair in source.tokens.windows(2) {
        if MACROS.iter().any(|name| pair[0].is(name)) && pair[1].is("!") {
            let message = format!("`{}!` must not be committed: finish it or take it out", pair[0].text);
            complaints.push(source.complaint(pair[0].line, message));
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines that `rule` complains about.
    fn lines(rule: impl Fn(&Source) -> Vec<Complaint>, path: &str, text: &str) -> Vec<usize> {
        rule(&Source::parse(path, text)).iter().map(|complaint| complaint.line).collect()
    }

    #[test]
    fn clocks_are_refused_however_they_are_named() {
        let rule = |source: &Source| check_clocks(source, &["src/time.rs", "src/bin/"], &["src/log.rs"]);
        let found = |text| lines(rule, "src/conn/a.rs", text);
        assert_eq!(found("\nuse std::time::{Duration, Instant};"), [2]);
        assert_eq!(found("use std::time;"), [1]);
        assert_eq!(found("use std::{io, time::{self, Duration}};"), [1]);
        assert_eq!(found("use std::time::*;"), [1]);
        assert_eq!(found("use std::time::SystemTime as Wall;"), [1]);
        assert_eq!(found("use std::time::UNIX_EPOCH;"), [1]);
        assert_eq!(found("fn f() { let t = x.unwrap_or_else(Instant::now); }"), [1]);
        assert_eq!(found("fn f() { assert!(std::time::Instant::now() > t) }"), [1]);
        assert_eq!(found("fn f() { rustix::time::clock_gettime(m) }"), [1]);
        assert_eq!(found("fn f() { verify(chain, UnixTime::now()) }"), [1]);
        assert_eq!(found("fn f() { let t = start\n.elapsed(); }"), [2]);
        assert_eq!(found("use std::time::Duration; use crate::time::Instant; // std::time::Instant"), []);
        assert_eq!(
            lines(rule, "src/time.rs", "use std::time::Instant; fn f() { Instant::now().elapsed() }"),
            []
        );
        assert_eq!(lines(rule, "src/log.rs", "use std::time::{SystemTime, UNIX_EPOCH};"), []);
        assert_eq!(lines(rule, "src/log.rs", "fn f() { std::time::SystemTime::now() }"), [1]);
        assert_eq!(lines(rule, "src/log.rs", "use std::time::Instant;"), [1]);
    }

    #[test]
    fn mio_is_refused_outside_its_rooms() {
        let found = |path, text| lines(|source| check_mio(source, &["src/net/", "src/reactor/"]), path, text);
        assert_eq!(found("src/conn/a.rs", "use mio;"), [1]);
        assert_eq!(found("src/conn/a.rs", "use ::mio::Token;"), [1]);
        assert_eq!(found("src/conn/a.rs", "use {std::io, mio::Token};"), [1]);
        assert_eq!(found("src/lib.rs", "\nfn f(t: mio::Token) {}"), [2]);
        assert_eq!(found("src/network.rs", "use mio::Token;"), [1]);
        assert_eq!(found("src/net/tcp.rs", "use mio::Token;"), []);
        assert_eq!(
            found("src/conn/a.rs", "use std::io; /* mio::Token */ const X: &str = \"mio::Token\";"),
            []
        );
    }

    #[test]
    fn fenced_crates_are_refused_outside_their_fences() {
        let fences = [
            Fence { crates: &["rustls", "webpki"], allowed: &["src/tls/backend/"], advice: "go round" },
            Fence { crates: &["snow"], allowed: &["src/noise/"], advice: "go round" },
        ];
        let found = |path, text| lines(|source| check_fences(source, &fences), path, text);
        assert_eq!(found("src/tls/mod.rs", "use rustls::Error;\nuse webpki::Cert;"), [1, 2]);
        assert_eq!(found("src/tls/mod.rs", "fn f() { rustls::x() }\nuse {std::io, snow};"), [1, 2]);
        assert_eq!(found("src/tls/backend/mod.rs", "use rustls::Error;\nuse snow::Error;"), [2]);
        assert_eq!(found("src/noise/mod.rs", "use snow::Error; use super::rustls::x; // rustls::Error"), []);
    }

    #[test]
    fn sleeping_is_refused() {
        let found = |text| lines(|source| check_sleep(source, &["tests/slow.rs"]), "tests/fast.rs", text);
        assert_eq!(found("fn f() { std::thread::sleep(d) }"), [1]);
        assert_eq!(found("use std::thread;\nfn f() { thread::sleep(d) }"), [2]);
        assert_eq!(found("use std::thread::{sleep, spawn};"), [1]);
        assert_eq!(found("use std::thread::*;"), [1]);
        assert_eq!(found("use std::thread::spawn; fn sleep() {}"), []);
        assert_eq!(
            lines(
                |source| check_sleep(source, &["tests/slow.rs"]),
                "tests/slow.rs",
                "use std::thread::sleep;"
            ),
            []
        );
    }

    #[test]
    fn unsafe_outside_the_fence_is_refused() {
        let found = |text| lines(|source| check_unsafe(source, &["src/fenced.rs"]), "src/a.rs", text);
        assert_eq!(found("fn f() {\n// SAFETY: it is not listed.\nunsafe { g() } }"), [3]);
        assert_eq!(found("// unsafe\nconst X: &str = \"unsafe\"; #[allow(unsafe_code)] fn f() {}"), []);
    }

    #[test]
    fn unsafe_without_an_argument_is_refused() {
        let found =
            |text: &str| lines(|source| check_unsafe(source, &["src/fenced.rs"]), "src/fenced.rs", text);
        assert_eq!(found("fn f() {\nunsafe { g() } }"), [2]);
        assert_eq!(found("// SAFETY: too far away.\n\nunsafe impl Send for X {}"), [3]);
        assert_eq!(found("// Just a comment.\nunsafe impl Send for X {}"), [2]);
        assert_eq!(
            found("// SAFETY: nothing in it is shared,\n// nor borrowed.\nunsafe impl Send for X {}"),
            []
        );
        let traits = |inside: &str| {
            format!("// SAFETY: it only reads.\nunsafe impl A for X {{\nunsafe fn f() {{ {inside} }} }}")
        };
        assert_eq!(found(&traits("")), []);
        assert_eq!(found(&traits("unsafe { g() }")), [3]);
        assert_eq!(found("// SAFETY: it only reads.\nunsafe impl A for X {}\nunsafe fn f() {}"), [3]);
        assert_eq!(
            found("/// Reads.\n/// # Safety\n/// `p` is valid.\n#[inline]\nunsafe fn f(p: *const u8) {}"),
            []
        );
    }

    #[test]
    fn unfinished_work_is_refused() {
        let found = |text: &str| lines(check_unfinished, "src/a.rs", text);
        assert_eq!(found("fn f() { todo!() }"), [1]);
        assert_eq!(found("\nfn f() { unimplemented!(\"later\") }"), [2]);
        assert_eq!(found("fn f(x: u8) -> u8 { dbg!(x) }"), [1]);
        for word in [["TO", "DO"], ["FIX", "ME"], ["XX", "X"]] {
            assert_eq!(found(&format!("// {}: later", word.concat())), [1]);
        }
        assert_eq!(found("fn todo() {} // a fixme, methodology, dbg"), []);
    }
}
