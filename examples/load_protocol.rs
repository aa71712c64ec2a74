//! cargo run --release --features load --example load_protocol -- --rate 20000 --seconds 3
//!
//! A protocol of one's own for the load generator: it asks for sums, `17 + 25`, and is answered in lines, `42`. The
//! server that answers is embedded, so that there is something to measure; `--listen` and `--cores` are for it.

#[path = "common/args.rs"]
mod args;

use std::collections::VecDeque;
use std::fmt::Write;
use std::time::Duration;
use windlass::load::{self, Answer, Draw, Malformed, Pace, Plan, Protocol, Run, Step};
use windlass::{Cores, Event, Io, Listen};

/// Longer lines are no sums.
const LINE_BYTES_MAX: usize = 64;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (mut rate_per_s, mut seconds) = (20_000.0, 3.0);
    let args = args::parse_with(&mut [("--rate", &mut rate_per_s), ("--seconds", &mut seconds)]);
    let server = Cores::new(args.cores).listen(Listen::at(args.listen)).start(|_core| serve)?;
    args::announce(server.addresses());

    let mut plan = Plan::new(server.addresses()[0].clone());
    plan.pace = Pace::constant(rate_per_s);
    plan.duration = Duration::try_from_secs_f64(seconds)?;
    let run = load::run(&plan, Sums::default())?;
    tell(&run);

    server.shutdown(Duration::ZERO);
    server.join()?;
    match run.failure {
        Some(sentence) => Err(sentence.into()),
        None => Ok(()),
    }
}

fn tell(run: &Run) {
    println!(
        "{} sums asked for, {} answered, {} failed",
        run.totals.asked,
        run.totals.answered,
        run.totals.failed()
    );
    println!("            response     service");
    let micros =
        |value_ns: Option<u64>| value_ns.map_or("-".into(), |ns| format!("{:.1} us", ns as f64 / 1e3));
    for percentile in run.response.percentiles() {
        let (response, service) = (Some(percentile.value_ns), run.service.percentile_ns(percentile.p));
        println!("p{:<8} {:>11} {:>11}", percentile.p * 100.0, micros(response), micros(service));
    }
    println!("generator: {:?}, {}", run.generator.verdict, run.generator.reason);
}

/// Asks for sums and checks the answers.
#[derive(Clone, Default)]
struct Sums {
    text: String,
    /// The right answers to what was asked, oldest first.
    expected: VecDeque<u64>,
}

impl Protocol for Sums {
    fn name(&self) -> &'static str {
        "sums"
    }

    fn request(&mut self, draw: &mut Draw, out: &mut Vec<u8>) {
        let (left, right) = (draw.below(1_000_000), draw.below(1_000_000));
        self.expected.push_back(left + right);
        self.text.clear();
        let _ = writeln!(self.text, "{left} + {right}");
        out.extend_from_slice(self.text.as_bytes());
    }

    fn answer(&mut self, bytes: &[u8]) -> Result<Step, Malformed> {
        let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
            if bytes.len() > LINE_BYTES_MAX {
                return Err(Malformed("the target answers with a line that does not end".into()));
            }
            return Ok(Step::Partial { used: 0 });
        };
        let line = bytes[..end].escape_ascii().to_string();
        let answer = match (line.parse::<u64>(), self.expected.pop_front()) {
            (Ok(sum), Some(expected)) if sum == expected => Answer::Good,
            (Ok(_), _) => Answer::Refused("wrong sum".into()),
            (Err(_), _) if line == "what?" => Answer::Refused("not understood".into()),
            (Err(_), _) => return Err(Malformed(format!("the target answers '{line}', which is no number"))),
        };
        Ok(Step::Answered { used: end + 1, answer, last: false })
    }
}

/// The server: answers each line, and keeps what is not a whole line yet.
fn serve(io: &mut Io, event: Event<'_>) {
    let Event::Data { conn, bytes } = event else { return };
    let (mut answers, mut rest) = (String::new(), bytes);
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let _ = match sum(&rest[..end]) {
            Some(sum) => writeln!(answers, "{sum}"),
            None => writeln!(answers, "what?"),
        };
        rest = &rest[end + 1..];
    }
    if io.send(conn, answers.as_bytes()).is_err() || rest.len() > LINE_BYTES_MAX {
        let _ = io.abort(conn);
    } else if !rest.is_empty() {
        let _ = io.keep(conn, rest.len());
    }
}

fn sum(line: &[u8]) -> Option<u64> {
    let (left, right) = std::str::from_utf8(line).ok()?.split_once(" + ")?;
    left.parse::<u64>().ok()?.checked_add(right.parse().ok()?)
}
