//! `windlass sim`: scenarios in a simulated network, measured and held against what physics allows.

mod progress;
mod secured;
mod show;
mod spelling;

use crate::exit::{Exit, Failure};
use crate::files::Results;
use crate::interrupt::Interrupt;
use crate::out::{Out, Style};
use crate::words;
use clap::{Args, ValueEnum};
use progress::Line;
use secured::SecureName;
use spelling::Spread;
use std::path::PathBuf;
use std::time::Duration;
use windlass::scenario::record::{Outcome, SCHEMA};
use windlass::scenario::{Plan, Record, Scenario, page, play};
use windlass::sim::{Latency, Link};

/// The name of the record in a directory of results.
const RECORD: &str = "sim.json";

/// The queue of a link of which only the rate is said: more than one connection has under way, so that nothing is lost but
/// by --loss.
const QUEUE_BYTES: usize = 4 << 20;

const EXAMPLES: &str = "Examples:
  windlass sim mesh                                          100 nodes that talk for a minute, in a second
  windlass sim mesh --nodes 1000                             the same with a thousand
  windlass sim connect --nodes 100 --loss 2%                 all to all, in a network that loses packets
  windlass sim broadcast --preset world --out sim-1          one to all around the world, and a report to keep
  windlass sim transfer --bandwidth 100mbit --latency 25ms   100 MB, beside what TCP can do on that link
  windlass sim transfer --bandwidth 100mbit --latency 25ms --real     and over real sockets, through the fault proxy
  windlass sim transfer --preset satellite --size 10m
  windlass sim churn --seed 7 --out sim-2                    nodes crash and come back
  windlass sim partition --fault-lasts 20s                   the network falls apart in two and heals";

const CODES: &str = "Exit codes: 0 good, 1 something did not arrive in time or a file could not be written, 2 usage, \
130 interrupted; what was measured until then was printed and saved.";

/// Plays a scenario in a simulated network: the production reactor on every node, in virtual time.
///
/// Says how long things took and how that compares with what physics allows. The same seed plays the same again, event for
/// event. Without a scenario it lists them.
#[derive(Args, Debug)]
#[command(after_help = format!("{EXAMPLES}\n\n{CODES}"))]
pub struct Sim {
    /// What to play.
    #[arg(value_enum, value_name = "SCENARIO")]
    scenario: Option<ScenarioName>,
    #[command(flatten)]
    cast: CastArgs,
    #[command(flatten)]
    link: LinkArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "What is played")]
struct CastArgs {
    /// How many nodes; a transfer has 2. [default: 100]
    #[arg(short, long, value_name = "N", value_parser = crate::args::parse_count, allow_hyphen_values = true)]
    nodes: Option<usize>,
    /// With how many others a node has to do. [default: 8; connect: all]
    #[arg(long, value_name = "N", value_parser = crate::args::parse_count, allow_hyphen_values = true)]
    peers: Option<usize>,
    /// Length of a message in bytes, or of a transfer. [default: 64; broadcast: 1k; transfer: 100m]
    #[arg(long, value_name = "BYTES", value_parser = crate::args::parse_count, allow_hyphen_values = true)]
    size: Option<usize>,
    /// Rounds of messages per virtual second. [default: 10]
    #[arg(long, value_name = "RATE", value_parser = spelling::parse_rounds, allow_hyphen_values = true)]
    rate: Option<f64>,
    /// Virtual time for which nodes talk; connect and transfer are given up after it. [default: 60s; broadcast: 10s;
    /// connect, transfer: a day]
    #[arg(short, long, value_name = "TIME", value_parser = spelling::parse_time, allow_hyphen_values = true)]
    duration: Option<Duration>,
    /// How long a fault lasts: a node that is down (half to one and a half of it), a partition (a third of --duration at
    /// most).
    /// [default: churn: 3s; partition: 15s]
    #[arg(long, value_name = "TIME", value_parser = spelling::parse_time, allow_hyphen_values = true)]
    fault_lasts: Option<Duration>,
    /// Virtual time from one crash to the next, half to one and a half of it. [default: 1s]
    #[arg(long, value_name = "TIME", value_parser = spelling::parse_time, allow_hyphen_values = true)]
    fault_every: Option<Duration>,
    /// Also over real sockets on this machine, through the fault proxy with the same conditions. It takes as long as it says.
    #[arg(long)]
    real: bool,
    /// Secure every connection.
    #[arg(long, value_enum)]
    secure: Option<SecureName>,
    /// Seed of everything that is drawn.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "What lies between nodes")]
struct LinkArgs {
    /// A link that everybody has met. The flags below change it.
    #[arg(long, value_name = "NAME", value_parser = spelling::parse_preset)]
    preset: Option<(String, Link)>,
    /// How long a bit takes from one node to another: TIME, or TIME..TIME, drawn for each direction of each pair.
    /// [default: 10ms..200ms]
    #[arg(long, value_name = "TIME[..TIME]", value_parser = spelling::parse_spread, allow_hyphen_values = true)]
    latency: Option<Spread>,
    /// The most that a packet is delayed on top of that. [default: 0]
    #[arg(long, value_name = "TIME", value_parser = spelling::parse_jitter, allow_hyphen_values = true)]
    jitter: Option<Duration>,
    /// Share of packets that is lost, such as 2%. [default: 0]
    #[arg(long, value_name = "PERCENT", value_parser = spelling::parse_loss, allow_hyphen_values = true)]
    loss: Option<f64>,
    /// Rate of the link of each pair, such as 1mbit or 1gbit. [default: unlimited]
    #[arg(long, value_name = "RATE", value_parser = spelling::parse_bits, allow_hyphen_values = true)]
    bandwidth: Option<u64>,
    /// Bytes that may wait for that; what comes on top is dropped. [default: 4194304, which a single connection never fills]
    #[arg(long, value_name = "BYTES", value_parser = crate::args::parse_count, allow_hyphen_values = true)]
    queue: Option<usize>,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Output")]
struct OutputArgs {
    /// Write report.html and sim.json there. Made if missing.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Replace the results of an earlier play in --out.
    #[arg(long, requires = "out")]
    force: bool,
    /// Print the record as JSON on stdout, and nothing else there.
    #[arg(long)]
    json: bool,
    /// Print the JSON Schema of sim.json and of what --json prints, and do nothing else.
    #[arg(long)]
    schema: bool,
    /// No colours. So does the environment variable NO_COLOR; what is piped has none anyway.
    #[arg(long)]
    no_color: bool,
    /// No progress on the terminal, and no advice on what to do next.
    #[arg(short, long)]
    quiet: bool,
}

/// A scenario by its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct ScenarioName(Scenario);

impl ValueEnum for ScenarioName {
    fn value_variants<'a>() -> &'a [ScenarioName] {
        const ALL: [ScenarioName; Scenario::ALL.len()] = {
            let mut all = [ScenarioName(Scenario::Mesh); Scenario::ALL.len()];
            let mut at = 0;
            while at < all.len() {
                all[at] = ScenarioName(Scenario::ALL[at]);
                at += 1;
            }
            all
        };
        &ALL
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(self.0.name()).help(self.0.sentence()))
    }
}

impl Sim {
    pub fn run(self) -> Result<Exit, Failure> {
        let (mut out, style) = (Out::default(), Style::detect(self.output.no_color));
        if self.output.schema {
            out.write(SCHEMA)?;
            return Ok(Exit::Good);
        }
        let Some(ScenarioName(scenario)) = self.scenario else {
            out.write(&show::list(style))?;
            return Ok(Exit::Good);
        };
        let plan = self.plan(scenario)?;
        let results = match &self.output.out {
            Some(dir) => Some(Results::prepare(dir, self.output.force, RECORD)?),
            None => None,
        };
        if !self.output.json {
            out.write(&show::header(&plan, style))?;
        }
        let interrupt = Interrupt::watch()?;
        let mut line = Line::new(self.output.quiet);
        let played = play(&plan, &mut |progress| {
            line.tell(progress);
            !interrupt.is_wanted()
        });
        line.clear();
        let record = played?;
        self.tell(&record, results.as_ref(), &mut out, style)
    }

    /// Saves the record, then prints it, so that what is printed can say what was saved.
    fn tell(
        &self,
        record: &Record,
        results: Option<&Results>,
        out: &mut Out,
        style: Style,
    ) -> Result<Exit, Failure> {
        let saved = match results {
            Some(results) => {
                let json = format!("{}\n", record.to_json());
                let files = [(RECORD, json.into_bytes()), ("report.html", page(record).into_bytes())];
                Some(results.save_files(&files).map(|()| results.named(&["report.html", RECORD])))
            }
            None => None,
        };
        let (saved, trouble) = match saved.transpose() {
            Ok(saved) => (saved, None),
            Err(failure) => (None, Some(failure)),
        };
        let text = match self.output.json {
            true => format!("{}\n", record.to_json()),
            false => show::result(record, saved.as_deref(), self.output.quiet, style),
        };
        out.write(&text)?;
        if let Some(failure) = trouble {
            return Err(failure);
        }
        Ok(match record.outcome {
            Outcome::Complete => Exit::Good,
            Outcome::Incomplete => Exit::Failed,
            Outcome::Interrupted => Exit::Interrupted,
        })
    }

    /// What was asked for, checked.
    fn plan(&self, scenario: Scenario) -> Result<Plan, Failure> {
        self.refuse_strays(scenario)?;
        let cast = &self.cast;
        let mut plan = Plan::new(scenario);
        plan.nodes = cast.nodes.unwrap_or(plan.nodes);
        plan.peers = cast.peers.or(plan.peers);
        plan.bytes = cast.size.map_or(plan.bytes, |size| size as u64);
        plan.rate_per_s = cast.rate.unwrap_or(plan.rate_per_s);
        plan.duration = cast.duration.unwrap_or(plan.duration);
        plan.fault_lasts = cast.fault_lasts.unwrap_or(plan.fault_lasts);
        plan.fault_every = cast.fault_every.unwrap_or(plan.fault_every);
        (plan.seed, plan.real) = (cast.seed, cast.real);
        plan.secured = cast.secure.map(SecureName::make).transpose()?;
        plan.command = words::own_command();
        if let Some((name, link)) = &self.link.preset {
            (plan.link_name, plan.link) = (name.clone(), link.clone());
        }
        let link = &mut plan.link;
        if let Some(Spread { min, max }) = self.link.latency {
            link.latency = if min == max { Latency::Fixed(min) } else { Latency::Uniform { min, max } };
        }
        link.jitter = self.link.jitter.unwrap_or(link.jitter);
        link.loss = self.link.loss.unwrap_or(link.loss);
        if let Some(rate) = self.link.bandwidth {
            (link.bandwidth_bits_per_s, link.queue_bytes) = (Some(rate), QUEUE_BYTES);
        }
        link.queue_bytes = self.link.queue.unwrap_or(link.queue_bytes);
        plan.validate()?;
        Ok(plan)
    }

    /// A flag that does nothing in a scenario is refused: whoever gave it should know.
    fn refuse_strays(&self, scenario: Scenario) -> Result<(), Failure> {
        let cast = &self.cast;
        let talks = matches!(scenario, Scenario::Mesh | Scenario::Churn | Scenario::Partition);
        let rounds = talks || scenario == Scenario::Broadcast;
        let has_faults = matches!(scenario, Scenario::Churn | Scenario::Partition);
        if cast.real && cast.secure.is_some() {
            return Err(Failure::usage("--real sends over plain sockets: leave --secure out, or --real"));
        }
        let strays = [
            (
                "--nodes",
                cast.nodes.is_some() && scenario == Scenario::Transfer,
                "a transfer is between two nodes",
            ),
            (
                "--peers",
                cast.peers.is_some() && !talks && scenario != Scenario::Connect,
                "it is for scenarios where all nodes do the same",
            ),
            (
                "--size",
                cast.size.is_some() && scenario == Scenario::Connect,
                "what is said on a new connection is always 16 bytes",
            ),
            (
                "--real",
                cast.real && scenario != Scenario::Transfer,
                "a transfer is what is tried on real sockets as well",
            ),
            ("--rate", cast.rate.is_some() && !rounds, "there are no rounds of messages"),
            (
                "--fault-lasts",
                cast.fault_lasts.is_some() && !has_faults,
                "nothing goes wrong in it; churn and partition have faults",
            ),
            (
                "--fault-every",
                cast.fault_every.is_some() && scenario != Scenario::Churn,
                "only churn has one fault after the other",
            ),
        ];
        for (flag, is_stray, why) in strays {
            if is_stray {
                return Err(Failure::usage(format!("{flag} does nothing in {}: {why}", scenario.name())));
            }
        }
        Ok(())
    }
}
