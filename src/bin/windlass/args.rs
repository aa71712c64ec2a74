//! What `bench` and `load` can be told: one set of flags, and how their texts are read.

use crate::exit::Failure;
use crate::transport::{SecurityArgs, TrustArgs};
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;
use windlass::Address;
use windlass::load::units::{parse_duration, parse_rate};
use windlass::load::{Mode, Pace, Plan, Profile, Sizes, Slo, Spacing, Waiting};

/// The rate of messages that none was given for.
const RATE_DEFAULT: RateArg = RateArg::Open { from_per_s: 10_000.0, to_per_s: 10_000.0 };

/// Connections where no number was given.
const CONNECTIONS_DEFAULT: usize = 64;

/// Handshakes under way where no number was given: enough to keep a core busy, and as many as a client keeps tickets of
/// one server.
const HANDSHAKES_DEFAULT: usize = 8;

/// The flags of a measurement.
#[derive(Args, Clone, Debug)]
pub struct LoadArgs {
    #[command(flatten)]
    pub work: WorkArgs,
    #[command(flatten)]
    pub trust: TrustArgs,
    #[command(flatten)]
    pub security: SecurityArgs,
    #[command(flatten)]
    pub times: TimeArgs,
    #[command(flatten)]
    pub threads: ThreadArgs,
    #[command(flatten)]
    pub verdict: VerdictArgs,
    #[command(flatten)]
    pub output: OutputArgs,
    #[command(flatten)]
    pub redis: RedisArgs,
    #[command(flatten)]
    pub http: HttpArgs,
}

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Load")]
pub struct WorkArgs {
    /// What a request is: a message on a connection that is open already, or a handshake.
    #[arg(long, value_enum, value_name = "MODE", default_value_t = ModeName::Messages)]
    pub mode: ModeName,
    /// Requests per second over all connections: `50k`, a ramp `1k..50k`, or `max`. [default: 10k, for handshakes max]
    ///
    /// A number is an open loop: requests start when they are due, whether or not earlier ones were answered, as
    /// users do who know nothing of each other. Latency counts from that intended start, so a server that stalls is
    /// charged for everybody who would have waited. `max` is a closed loop: each connection asks again once it was
    /// answered. That finds the highest rate, and hides the waiting.
    #[arg(long, value_name = "RATE", value_parser = parse_pace, allow_hyphen_values = true)]
    pub rate: Option<RateArg>,
    /// Space the starts at random, as many unrelated users would (a Poisson process), instead of evenly.
    #[arg(long)]
    pub poisson: bool,
    /// Connections, all opened before the first request; or handshakes under way at most. [default: 64, for handshakes 8]
    #[arg(short, long, value_name = "N", value_parser = parse_count, allow_hyphen_values = true)]
    pub connections: Option<usize>,
    /// Bytes of a message, or of a Redis value: `64`, `4k`, `64..1024` (any, equally likely), `64:9,4096:1`
    /// (weighted). [default: 64, for handshakes 1]
    #[arg(long, value_name = "BYTES", value_parser = parse_sizes, allow_hyphen_values = true)]
    pub size: Option<Sizes>,
    /// Requests in flight per connection at most; above 1 they are pipelined.
    #[arg(long, value_name = "N", default_value = "1", value_parser = parse_count, allow_hyphen_values = true)]
    pub depth: usize,
    /// How long a connection rests after an answer before it asks again.
    #[arg(long, value_name = "TIME", default_value = "0", value_parser = parse_duration, allow_hyphen_values = true)]
    pub think: Duration,
    /// Replace each connection after so many answers, to measure connecting too. Default: never.
    #[arg(long, value_name = "N", value_parser = parse_count, allow_hyphen_values = true)]
    pub reconnect_every: Option<usize>,
    /// What to speak. Default: what the target's name says, and else echo.
    #[arg(long, value_enum, value_name = "PROTOCOL")]
    pub protocol: Option<ProtocolName>,
    /// Seed of everything left to chance: the same seed asks the same again.
    #[arg(long, value_name = "N", default_value = "1", value_parser = parse_seed, allow_hyphen_values = true)]
    pub seed: u64,
}

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Times")]
pub struct TimeArgs {
    /// How long to measure. Longer runs tell rarer latencies: p99.9 takes 10,000 requests, p99.99 takes 100,000.
    #[arg(long, value_name = "TIME", default_value = "8s", value_parser = parse_duration, allow_hyphen_values = true)]
    pub duration: Duration,
    /// How long to send before anything is counted: caches fill, connections settle.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_duration, allow_hyphen_values = true)]
    pub warm_up: Duration,
    /// How long a request may take; then it failed, counts in the latencies with that time, and its connection is
    /// replaced.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_duration, allow_hyphen_values = true)]
    pub timeout: Duration,
    /// How long a connection may take to be established, and then once more to be secured.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_duration, allow_hyphen_values = true)]
    pub connect_timeout: Duration,
    /// Length of the intervals of the time series. Default: 20 to 120 of them in a run.
    #[arg(long, value_name = "TIME", value_parser = parse_duration, allow_hyphen_values = true)]
    pub interval: Option<Duration>,
}

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Generator")]
pub struct ThreadArgs {
    /// Generator threads; connections and rate are divided among them.
    #[arg(long, value_name = "N", default_value = "1", value_parser = parse_count, allow_hyphen_values = true)]
    pub threads: usize,
    /// How threads wait. `spin` takes a processor each and is punctual to microseconds; `block` sleeps and is up to
    /// 1 ms late. Default: spin, unless there are too few processors for it.
    #[arg(long, value_enum, value_name = "HOW")]
    pub idle: Option<IdleName>,
    /// Keep each thread on a processor of its own.
    #[arg(long)]
    pub pin: bool,
}

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Verdicts")]
pub struct VerdictArgs {
    /// An objective to keep: `p99.9=1ms`, `max=5ms`, `mean=200us`, `errors=0.1%`; several with commas, or repeated.
    /// Missing one is exit code 3.
    #[arg(long, value_name = "OBJECTIVE", value_delimiter = ',', value_parser = parse_slo)]
    pub slo: Vec<Slo>,
    /// Find the highest rate that keeps the objectives: doubling from --rate, then bisection to 3 %, then three
    /// confirmations. Each step is a run of its own.
    #[arg(long, requires = "slo")]
    pub search: bool,
    /// Compare with an earlier run, a run.json or a directory that holds one: better, worse, or cannot tell.
    #[arg(long, value_name = "FILE")]
    pub compare: Option<PathBuf>,
}

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// Write report.html, run.json, latency.hlog and latency.hgrm there. Made if missing.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Replace the results of an earlier run in --out.
    #[arg(long, requires = "out")]
    pub force: bool,
    /// Print the run as JSON on stdout, and nothing else there; `windlass report --schema` describes it.
    #[arg(long)]
    pub json: bool,
    /// Print one line of JSON for each interval as it ends, {"type":"interval",...}, and the run as the last one,
    /// {"type":"run",...}. A search adds a line {"type":"probe",...} for each of its runs.
    #[arg(long, conflicts_with = "json")]
    pub json_stream: bool,
    /// No colours. So does the environment variable NO_COLOR; what is piped has none anyway.
    #[arg(long)]
    pub no_color: bool,
    /// No progress on the terminal, and no advice on what to do next.
    #[arg(short, long)]
    pub quiet: bool,
}

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Redis")]
pub struct RedisArgs {
    /// Share of GETs, from 0 to 1; the others are SETs. Default 0.5.
    #[arg(long, value_name = "SHARE", value_parser = parse_share, allow_hyphen_values = true)]
    pub get_share: Option<f64>,
    /// How many keys there are to draw from, all equally likely. Default 10,000.
    #[arg(long, value_name = "N", value_parser = parse_count, allow_hyphen_values = true)]
    pub keys: Option<usize>,
    /// A command to send instead of GETs and SETs; each `__key__` in it becomes a key of its own.
    #[arg(long, value_name = "WORDS", conflicts_with = "get_share")]
    pub command: Option<String>,
}

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "HTTP")]
pub struct HttpArgs {
    /// The method. Default GET, or POST with a body.
    #[arg(long, value_name = "METHOD")]
    pub method: Option<String>,
    /// A header field, `Name: value`. Repeat it for more.
    #[arg(long, value_name = "FIELD")]
    pub header: Vec<String>,
    /// The body: a text, or `@FILE` for what a file holds.
    #[arg(long, value_name = "TEXT")]
    pub body: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum ModeName {
    /// A message and its answer.
    Messages,
    /// A connection of its own: connect, shake hands, one message and its answer, close.
    Handshake,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum ProtocolName {
    /// What is sent must come back, byte for byte.
    Echo,
    /// GET and SET, as `redis-benchmark` asks.
    Redis,
    /// One request of HTTP/1.1 over and over.
    Http,
}

impl ProtocolName {
    pub fn name(self) -> &'static str {
        match self {
            ProtocolName::Echo => "echo",
            ProtocolName::Redis => "redis",
            ProtocolName::Http => "http",
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum IdleName {
    /// Look all the time.
    Spin,
    /// Sleep in the kernel.
    Block,
}

/// `--rate` as it was written.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum RateArg {
    Open { from_per_s: f64, to_per_s: f64 },
    Max,
}

impl LoadArgs {
    /// The plan of a run against `target`, checked. `processors_left` are those that nothing else of the run needs.
    pub fn plan(&self, target: Address, processors_left: usize) -> Result<Plan, Failure> {
        let mut plan = Plan::new(target);
        let WorkArgs { mode, depth, think, seed, .. } = self.work;
        (plan.depth, plan.think, plan.seed) = (depth, think, seed);
        let connections;
        (plan.mode, connections) = match mode {
            ModeName::Messages => (Mode::Messages, CONNECTIONS_DEFAULT),
            ModeName::Handshake => (Mode::Handshakes, HANDSHAKES_DEFAULT),
        };
        plan.connections = self.work.connections.unwrap_or(connections);
        plan.pace = self.pace()?;
        plan.reconnect_every = self.work.reconnect_every.map(|answers| answers as u64);
        plan.threads = self.threads.threads;
        let TimeArgs { duration, warm_up, timeout, connect_timeout, interval } = self.times;
        (plan.duration, plan.warm_up, plan.interval) = (duration, warm_up, interval);
        (plan.timeout, plan.connect_timeout) = (timeout, connect_timeout);
        plan.waiting = match self.threads.idle {
            Some(IdleName::Spin) => Waiting::Spin,
            Some(IdleName::Block) => Waiting::Block,
            None if plan.threads <= processors_left => Waiting::Spin,
            None => Waiting::Block,
        };
        plan.validate()?;
        Ok(plan)
    }

    fn pace(&self) -> Result<Pace, Failure> {
        let rate = self.work.rate.unwrap_or(match self.work.mode {
            ModeName::Messages => RATE_DEFAULT,
            ModeName::Handshake => RateArg::Max,
        });
        match rate {
            RateArg::Max if self.work.poisson => Err(Failure::usage(
                "--poisson spaces starts by a clock, and --rate max has none: give a rate, or leave --poisson out",
            )),
            RateArg::Max if self.verdict.search => Err(Failure::usage(
                "--search tries rates of an open loop: give a --rate to begin with instead of max",
            )),
            RateArg::Max => Ok(Pace::Closed),
            RateArg::Open { from_per_s, to_per_s } if self.verdict.search && from_per_s != to_per_s => Err(
                Failure::usage("--search tries one rate after the other: give a single --rate to begin with"),
            ),
            RateArg::Open { from_per_s, to_per_s } => {
                let spacing = if self.work.poisson { Spacing::Poisson } else { Spacing::Even };
                Ok(Pace::Open { from_per_s, to_per_s, spacing })
            }
        }
    }
}

fn parse_pace(text: &str) -> Result<RateArg, String> {
    if text.trim() == "max" {
        return Ok(RateArg::Max);
    }
    let (from, to) = text.split_once("..").unwrap_or((text, text));
    let rate = |part| {
        parse_rate(part).map_err(|_| {
            format!(
                "'{part}' is no rate: write requests per second, such as 500, 50k or 1.5m, a ramp 1k..50k, or max"
            )
        })
    };
    Ok(RateArg::Open { from_per_s: rate(from)?, to_per_s: rate(to)? })
}

/// A whole number, with `k` and `m` for thousands and millions.
pub fn parse_count(text: &str) -> Result<usize, String> {
    let (digits, factor) = match text.as_bytes().last() {
        Some(b'k' | b'K') => (&text[..text.len() - 1], 1_000),
        Some(b'm' | b'M') => (&text[..text.len() - 1], 1_000_000),
        _ => (text, 1),
    };
    let number = digits.parse::<usize>().ok().and_then(|number| number.checked_mul(factor));
    number.ok_or_else(|| format!("'{text}' is no count: write a whole number, such as 64 or 10k"))
}

fn parse_seed(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("'{text}' is no seed: write a whole number from 0 to {}", u64::MAX))
}

fn parse_share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| format!("'{text}' is no share: write a number from 0 to 1, such as 0.9"))
}

fn parse_sizes(text: &str) -> Result<Sizes, String> {
    text.parse().map_err(|error: windlass::Error| error.to_string())
}

pub fn parse_profile(text: &str) -> Result<Profile, String> {
    text.parse().map_err(|error: windlass::Error| error.to_string())
}

fn parse_slo(text: &str) -> Result<Slo, String> {
    text.parse().map_err(|error: windlass::Error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_numbers_ramps_or_as_fast_as_it_goes() {
        let open = |from_per_s, to_per_s| Ok(RateArg::Open { from_per_s, to_per_s });
        assert_eq!(parse_pace("50k"), open(50_000.0, 50_000.0));
        assert_eq!(parse_pace("1k..50k"), open(1_000.0, 50_000.0));
        assert_eq!(parse_pace("max"), Ok(RateArg::Max));
        for text in ["", "-1", "1e30", "k", "..", "5..", "maximum", "nan"] {
            assert!(parse_pace(text).unwrap_err().contains("is no rate"), "{text}");
        }
    }

    #[test]
    fn counts_are_whole_and_fit() {
        assert_eq!(
            (parse_count("64"), parse_count("10k"), parse_count("1m")),
            (Ok(64), Ok(10_000), Ok(1_000_000))
        );
        for text in ["", "-1", "1.5", "1e30", "k", "99999999999999999999", "9999999999999999999m", "é"] {
            assert!(parse_count(text).unwrap_err().contains("is no count"), "{text}");
        }
    }
}
