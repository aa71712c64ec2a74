//! `windlass bench` and `windlass load`: what they are asked, in words.

use crate::args::LoadArgs;
use crate::exit::{CODES, Exit, Failure};
use crate::job::Job;
use clap::Args;
use windlass::load::Profile;

const BENCH_EXAMPLES: &str = "Examples:
  windlass bench                                             the built-in echo server, in about 10 s
  windlass bench 10.0.0.7:7000 --rate 50k --slo p99.9=1ms    an echo server, and a verdict
  windlass bench redis://localhost --depth 4 --out run-1     Redis, and a report to keep
  windlass bench http://localhost:8080/ --poisson --rate 2k  HTTP/1.1, starts at random
  windlass bench localhost:7000 --slo p99=2ms --search       the highest rate that keeps it
  windlass bench localhost:7000 --compare run-1              better, worse, or cannot tell
  windlass bench --rate max --connections 8                  as fast as it goes (closed loop)
  windlass bench --transport tls                             the same over TLS 1.3, or noise, or tls+noise
  windlass bench --transport tls --mode handshake            full handshakes per second; --resume: resumed ones
  windlass bench https://example.com/ --rate 10 -c 2         HTTP over TLS, and a certificate that must be good
  windlass bench --profile all --duration 3s                 and what the server takes for it";

const LOAD_EXAMPLES: &str = "Examples:
  windlass serve --listen 0.0.0.0:7000                       on one machine
  windlass load 10.0.0.7:7000 --rate 1k..50k --duration 60s  on the other: a ramp
  windlass load 10.0.0.7:7000 --slo p99.9=1ms --search       the highest rate that keeps the objective
  windlass load unix:/tmp/echo.sock --size 64:9,4k:1         one message in ten is large
  windlass load 10.0.0.7:7000 --transport tls --server-pin HEX      the pin that `windlass serve --transport tls` prints
  windlass load rediss://cache --ca ca.pem --mode handshake  what a new TLS connection costs
  windlass load 10.0.0.7:7000 --json-stream | tee run.jsonl  a line for each interval, then the run";

/// Measures latency: of a target, or of a server of its own.
///
/// Requests start when they are due and latency counts from there, so a server that stalls cannot hide it. Without a
/// target an echo server is started in this process, on cores of its own, measured, and ended.
#[derive(Args, Debug)]
#[command(after_help = format!("{BENCH_EXAMPLES}\n\n{CODES}"))]
pub struct Bench {
    /// HOST:PORT, [IPV6]:PORT, unix:PATH, redis://HOST[:PORT], rediss://HOST[:PORT], redis+unix:PATH or
    /// http[s]://HOST[:PORT][/PATH]. Default: an embedded echo server.
    #[arg(value_name = "TARGET")]
    target: Option<String>,
    /// Cores of the embedded server.
    #[arg(long, value_name = "N", default_value = "1", value_parser = crate::args::parse_count, allow_hyphen_values = true,
          help_heading = "Embedded server")]
    server_cores: usize,
    /// Also tell what the server takes as a process of its own: memory, processor, descriptors, wake-ups. `idle` is
    /// at rest, a number is at so many messages per second, `all` is idle, 1000 and 10000; each takes --duration more.
    #[arg(long, value_name = "STEP", value_parser = crate::args::parse_profile, help_heading = "Embedded server")]
    profile: Option<Profile>,
    #[command(flatten)]
    load: LoadArgs,
}

/// Measures a target: the generator of `bench` alone, for when the server is on another machine.
#[derive(Args, Debug)]
#[command(after_help = format!("{LOAD_EXAMPLES}\n\n{CODES}"))]
pub struct Load {
    /// HOST:PORT, [IPV6]:PORT, unix:PATH, redis://HOST[:PORT], rediss://HOST[:PORT], redis+unix:PATH or
    /// http[s]://HOST[:PORT][/PATH].
    #[arg(value_name = "TARGET")]
    target: String,
    #[command(flatten)]
    load: LoadArgs,
}

impl Bench {
    pub fn run(self) -> Result<Exit, Failure> {
        Job { target: self.target, server_cores: self.server_cores, profile: self.profile, args: self.load }
            .run()
    }
}

impl Load {
    pub fn run(self) -> Result<Exit, Failure> {
        Job { target: Some(self.target), server_cores: 0, profile: None, args: self.load }.run()
    }
}
