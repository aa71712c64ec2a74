//! The last line of a result: the command that is most worth running next.

use crate::words::quoted;
use windlass::load::Run;
use windlass::load::record::{Arrivals, Mode, Outcome, Verdict};
use windlass::load::units::human_duration;

/// A generator that is late and less busy than this was kept from working by somebody else.
const BUSY_MIN: f64 = 0.5;

/// What the command line said, as far as advice depends on it.
#[derive(Clone, Copy, Debug)]
pub struct Said<'a> {
    /// The command line of this run.
    pub command: &'a str,
    /// `--out` was given.
    pub saved: bool,
    /// The embedded server was measured.
    pub embedded: bool,
}

/// A command and what it is good for; `None` if there is nothing useful to say.
pub fn next(run: &Run, said: &Said<'_>) -> Option<String> {
    if run.outcome != Outcome::Complete {
        return None;
    }
    let closed = run.workload.arrivals == Arrivals::Closed;
    let (addition, purpose) = match run.generator.verdict {
        Verdict::Untrustworthy if run.search.is_some() || run.generator.busy_fraction < BUSY_MIN => {
            let force = if said.saved && !said.command.contains(" --force") { " --force" } else { "" };
            return Some(format!("{}{force}   again, while nothing else needs the processors", said.command));
        }
        Verdict::Untrustworthy if !closed => {
            let threads = run.workload.threads * 2;
            if threads < u64::from(run.host.processors) && threads <= run.workload.connections {
                (format!("--threads {threads}"), "gives the generator more processors")
            } else {
                let half = (run.workload.rate_per_s.unwrap_or(2.0) / 2.0).ceil();
                (format!("--rate {half:.0}"), "asks for what the generator can do here")
            }
        }
        _ if offers_resumption(run) => {
            ("--resume".into(), "tells what handshakes take that resume a session")
        }
        _ if closed => {
            let rate = (run.totals.answered_per_s * 0.7).floor().max(1.0);
            (format!("--rate {rate:.0}"), "tells what users feel at 70 % of that rate")
        }
        _ if !run.slo.is_empty() && run.search.is_none() && run.workload.rate_to_per_s.is_none() => {
            ("--search".into(), "finds the highest rate that keeps the objective")
        }
        _ if run.slo.is_empty() => {
            let p99_ns = run.response.percentile_ns(0.99)?;
            (format!("--slo p99={}", bound(p99_ns)), "makes this an objective")
        }
        _ if !said.saved => ("--out run-1".into(), "keeps the report"),
        _ if said.embedded => return Some("windlass bench HOST:PORT   measures your own server".into()),
        _ => return None,
    };
    Some(format!("{}   {purpose}", with(said.command, &addition)))
}

/// Whether full TLS handshakes were measured, of which there is a cheaper kind.
fn offers_resumption(run: &Run) -> bool {
    let full = run.security.as_ref().is_some_and(|security| security.full > 0 && security.resumed == 0);
    full && run.workload.mode == Mode::Handshakes && run.target.transport.contains("tls")
}

/// The command with a flag more: in place of the same one where it takes a single value, and without the directory
/// of this run's results, which another run must not replace.
fn with(command: &str, addition: &str) -> String {
    let flag = addition.split(' ').next().unwrap_or(addition);
    let mut words = crate::words::split(command).unwrap_or_default();
    words.retain(|word| word != "--force");
    remove(&mut words, "--out");
    if flag == "--rate" || flag == "--threads" {
        remove(&mut words, flag);
    }
    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    format!("{} {addition}", words.join(" "))
}

/// Takes out a flag and its value.
fn remove(words: &mut Vec<String>, flag: &str) {
    if let Some(at) = words.iter().position(|word| word == flag) {
        words.drain(at..words.len().min(at + 2));
    }
    words.retain(|word| !word.starts_with(&format!("{flag}=")));
}

/// A round bound with some room above what was measured, as the command line writes it.
fn bound(measured_ns: u64) -> String {
    let wanted = measured_ns.saturating_mul(3) / 2;
    let digit = 10u64.pow(wanted.max(1).ilog10());
    let round = wanted.div_ceil(digit) * digit;
    human_duration(round).replace(' ', "").replace('µ', "u")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_round_and_above_what_was_measured() {
        assert_eq!(bound(212_000), "400us");
        assert_eq!(bound(1_100_000), "2ms");
        assert_eq!(bound(600), "900ns");
        assert_eq!(bound(7_000_000), "20ms");
    }

    #[test]
    fn a_flag_that_was_given_is_replaced() {
        assert_eq!(
            with("windlass bench --out a --force --slo max=1s", "--search"),
            "windlass bench --slo max=1s --search"
        );
        assert_eq!(with("windlass bench --rate max -c 8", "--rate 700"), "windlass bench -c 8 --rate 700");
        assert_eq!(with("windlass bench --rate=max", "--rate 700"), "windlass bench --rate 700");
        assert_eq!(
            with("windlass bench --header 'A: b'", "--search"),
            "windlass bench --header 'A: b' --search"
        );
    }
}
