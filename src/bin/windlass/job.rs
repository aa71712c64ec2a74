//! A measurement from its command line to its exit code: checks everything that can be checked, starts what is to be
//! measured, measures, judges, saves and tells.

use crate::advice::{self, Said};
use crate::args::{LoadArgs, ProtocolName};
use crate::embedded::Embedded;
use crate::exit::{Exit, Failure};
use crate::files::{self, Results};
use crate::interrupt::Interrupt;
use crate::measure::{Session, Streamed};
use crate::out::{Out, Style};
use crate::output::{self, Heading};
use crate::profiling;
use crate::progress::Line;
use crate::security::{ClientSide, Server, ServerSide};
use crate::spoken::Spoken;
use crate::target::Target;
use crate::transport::{Layers, Transport};
use crate::words;
use std::thread::available_parallelism;
use windlass::Address;
use windlass::load::record::{Comparison, Host, Outcome, Run};
use windlass::load::report::page;
use windlass::load::{
    COMPARED_INTERVALS_MIN, CROWDED_FRACTION, OBJECTIVES_MAX, Pace, Plan, Profile, RateSearch, Spacing,
    Stage, compare, reference_round_trip_ns, reserve_descriptors,
};
use windlass::noise::{KeyPair, Pattern};

/// Round trips of each reference measurement.
const REFERENCE_SAMPLES: usize = 1_000;

/// The most cores of the embedded server.
const SERVER_CORES_MAX: usize = 256;

/// Why there is no profile of somebody else's server.
const PROFILE_IS_OWN: &str =
    "--profile looks into the embedded server: leave the target out, or leave --profile out";

/// What was asked for.
#[derive(Debug)]
pub struct Job {
    pub target: Option<String>,
    pub server_cores: usize,
    pub profile: Option<Profile>,
    pub args: LoadArgs,
}

/// What is measured: somebody's server, or our own.
#[derive(Debug)]
enum Measured {
    Named(Target),
    Embedded { cores: usize, unix: bool, side: ServerSide },
}

/// A job that was found to make sense. Nothing has been started.
#[derive(Debug)]
struct Ready {
    args: LoadArgs,
    measured: Measured,
    client: ClientSide,
    spoken: Spoken,
    plan: Plan,
    search: Option<RateSearch>,
    profile: Option<Profile>,
    /// An earlier run to compare with, and the name it was given.
    baseline: Option<(String, Run)>,
    results: Option<Results>,
    command: String,
    style: Style,
}

impl Job {
    /// Measures, and says how that ended.
    pub fn run(self) -> Result<Exit, Failure> {
        let ready = self.check()?;
        let output = &ready.args.output;
        let mut session = Session {
            interrupt: Interrupt::watch()?,
            line: Line::new(output.quiet),
            out: Out::default(),
            streams: output.json_stream,
            trouble: Vec::new(),
        };
        let mut run = ready.measure(&mut session)?;
        let trouble = [ready.profile(&mut session, &mut run), ready.compare(&mut run)];
        session.trouble.extend(trouble.into_iter().flatten());
        Ok(ready.tell(&mut session, &run))
    }

    /// Refuses what makes no sense, before anything is started.
    fn check(self) -> Result<Ready, Failure> {
        let Job { target, server_cores, profile, args } = self;
        if target.is_some() && profile.is_some() {
            return Err(Failure::usage(PROFILE_IS_OWN));
        }
        let (measured, client) = match &target {
            Some(text) => named(text, &args)?,
            None => embedded(server_cores, &args)?,
        };
        let (protocol, request) = match &measured {
            Measured::Named(target) => (target.protocol, target.http.clone()),
            Measured::Embedded { .. } => (ProtocolName::Echo, None),
        };
        if args.verdict.slo.len() > OBJECTIVES_MAX {
            let sentence = format!("{} objectives: at most {OBJECTIVES_MAX}", args.verdict.slo.len());
            return Err(Failure::usage(sentence));
        }
        let spoken = Spoken::new(protocol, request, &args)?;
        // Where to connect is found out later: names take time to resolve, and the server is not there yet.
        let nowhere = Address::Inet(([127, 0, 0, 1], 0).into());
        let processors = available_parallelism().map_or(1, usize::from);
        let taken = if let Measured::Embedded { cores, .. } = measured { cores } else { 0 };
        let mut plan = args.plan(nowhere, processors.saturating_sub(taken))?;
        plan.pin_from = args.threads.pin.then_some(taken);
        let search = match plan.pace {
            Pace::Open { from_per_s, .. } if args.verdict.search => {
                Some(RateSearch::new(from_per_s, plan.duration, args.verdict.slo.clone())?)
            }
            _ => None,
        };
        let baseline = match &args.verdict.compare {
            Some(path) => {
                refuse_short(&plan)?;
                let run = files::read(path).map_err(|why| Failure::usage(format!("--compare: {why}")))?;
                Some((path.display().to_string(), run))
            }
            None => None,
        };
        let results = match &args.output.out {
            Some(dir) => Some(Results::prepare(dir, args.output.force, files::RECORD)?),
            None => None,
        };
        let style = Style::detect(args.output.no_color);
        let command = words::own_command();
        Ok(Ready { args, measured, client, spoken, plan, search, profile, baseline, results, command, style })
    }
}

/// A comparison needs to see how the figures scatter over the run.
fn refuse_short(plan: &Plan) -> Result<(), Failure> {
    let intervals = (plan.duration.as_nanos() / plan.interval().as_nanos().max(1)) as usize;
    if intervals >= COMPARED_INTERVALS_MIN {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "--compare needs at least {COMPARED_INTERVALS_MIN} intervals to tell chance from change, and this run has {intervals}: \
         write a longer --duration or a shorter --interval"
    )))
}

/// What to say about a machine that had not enough processors for the run.
fn crowded(host: &Host) -> Option<String> {
    let waited = host.processor_wait_fraction.filter(|share| *share > CROWDED_FRACTION)?;
    Some(format!(
        "a thread of this process waited for a processor {:.0} % of the time: run again on a quiet machine, or with fewer \
         --threads",
        waited * 100.0
    ))
}

/// Somebody's server, and how to get there.
fn named(text: &str, args: &LoadArgs) -> Result<(Measured, ClientSide), Failure> {
    let target = Target::parse(text, args.work.protocol, args.trust.transport)?;
    refuse_stray_security(args, target.layers)?;
    let server =
        Server { host: target.host(), speaks_http: target.protocol == ProtocolName::Http, identity: None };
    let client = ClientSide::new(target.layers, &args.security, &args.trust, None, server)?;
    Ok((Measured::Named(target), client))
}

fn refuse_stray_security(args: &LoadArgs, layers: Layers) -> Result<(), Failure> {
    args.security.refuse_strays(layers)?;
    args.trust.refuse_strays(layers)
}

/// Our own server, and a client that knows it by its key. Each knows the other's, so that every pattern will do.
fn embedded(cores: usize, args: &LoadArgs) -> Result<(Measured, ClientSide), Failure> {
    match args.work.protocol {
        None | Some(ProtocolName::Echo) => {}
        Some(other) => {
            return Err(Failure::usage(format!(
                "the embedded server speaks echo only: name a target that speaks {}",
                other.name()
            )));
        }
    }
    if !(1..=SERVER_CORES_MAX).contains(&cores) {
        return Err(Failure::usage(format!(
            "{cores} server cores: must be between 1 and {SERVER_CORES_MAX}"
        )));
    }
    let transport = args.trust.transport.unwrap_or(Transport::Tcp);
    let layers = transport.layers();
    refuse_stray_security(args, layers)?;
    args.trust.refuse_for_own_server(&args.security)?;
    let keys = KeyPair::generate()?;
    let peers = match args.security.protocol().pattern {
        Pattern::NK | Pattern::NN => Vec::new(),
        _ => vec![keys.public()],
    };
    let side = ServerSide::new(layers, &args.security, &peers)?;
    let server = Server::own(side.identity);
    let client = ClientSide::new(layers, &args.security, &args.trust, Some(&keys), server)?;
    Ok((Measured::Embedded { cores, unix: transport == Transport::Unix, side }, client))
}

impl Ready {
    /// Starts what is to be measured, measures it and judges.
    fn measure(&self, session: &mut Session) -> Result<Run, Failure> {
        let connections = self.plan.descriptors_max();
        let (address, server) = match &self.measured {
            Measured::Named(target) => {
                reserve_descriptors(connections).map_err(|error| Failure::failed(error.to_string()))?;
                (target.resolve(self.plan.connect_timeout)?, None)
            }
            Measured::Embedded { cores, unix, side } => {
                // Both ends of every connection are in this process.
                reserve_descriptors(connections * 2).map_err(|error| {
                    Failure::failed(format!(
                        "with the server in this process, {connections} connections count twice: {error}"
                    ))
                })?;
                let server = Embedded::start(*cores, self.args.threads.pin, *unix, side)?;
                (server.address(), Some(server))
            }
        };
        let mut plan = self.plan.clone();
        plan.connect = self.client.connect(address);
        self.announce(session, &plan, &Host::read())?;
        let before = reference_round_trip_ns(REFERENCE_SAMPLES);
        let mut run = match self.search.clone() {
            Some(search) => self.search(session, &plan, search)?,
            None => session.measure(&plan, &self.spoken, "")?,
        };
        let after = reference_round_trip_ns(REFERENCE_SAMPLES);
        drop(server);
        run.host.reference_round_trip_ns = before.into_iter().chain(after).collect();
        run.command.clone_from(&self.command);
        run.target.embedded = matches!(self.measured, Measured::Embedded { .. });
        if let Measured::Named(target) = &self.measured {
            run.target.named.clone_from(&target.named);
        }
        run.warnings.extend(crowded(&run.host));
        run.slo = self.args.verdict.slo.iter().map(|slo| slo.judge(&run)).collect();
        Ok(run)
    }

    /// Watches the server as a process of its own, if that was asked for. The run is good without it.
    fn profile(&self, session: &mut Session, run: &mut Run) -> Option<Failure> {
        let (profile, Measured::Embedded { cores, side, .. }) = (self.profile?, &self.measured) else {
            return None;
        };
        if run.outcome != Outcome::Complete || session.interrupt.is_wanted() {
            return None;
        }
        let wanted = profiling::Wanted { cores: *cores, args: &self.args, identity: side.identity };
        match profiling::rows(session, profile, wanted, &self.plan, &self.spoken) {
            Ok(rows) => {
                run.resources = rows;
                None
            }
            Err(failure) => Some(failure),
        }
    }

    /// Compares the run with the earlier one, if there is one. That the two cannot be compared does not void the run.
    fn compare(&self, run: &mut Run) -> Option<Failure> {
        let (name, baseline) = self.baseline.as_ref()?;
        match compare(baseline, run) {
            Ok(comparison) => {
                run.comparison = Some(Comparison { baseline: name.clone(), ..comparison });
                None
            }
            Err(error) => Some(Failure::failed(format!("--compare {name}: {error}"))),
        }
    }

    /// Looks for the highest rate that keeps the objectives. The record is that of the last run that confirmed it, or
    /// of the last run at all.
    fn search(&self, session: &mut Session, plan: &Plan, mut search: RateSearch) -> Result<Run, Failure> {
        let spacing = if self.args.work.poisson { Spacing::Poisson } else { Spacing::Even };
        let (mut confirmed, mut last) = (None, None);
        while let Some(rate) = search.next() {
            let mut plan = plan.clone();
            plan.pace = Pace::Open { from_per_s: rate.per_s, to_per_s: rate.per_s, spacing };
            let stage = format!("{} {:.0}/s", rate.stage.name(), rate.per_s);
            let run = session.measure(&plan, &self.spoken, &stage)?;
            search.record(rate.per_s, &run);
            let found = search.result();
            if let Some(probe) = found.probes.last() {
                session.stream(&Streamed::Probe(probe));
            }
            let kept = found.probes.last().is_some_and(|probe| probe.kept);
            // A target that answers nothing at all is not too slow, it is not there.
            let hopeless = run.outcome == Outcome::Failed && run.totals.answered == 0;
            if kept && rate.stage == Stage::Confirming {
                confirmed = Some(run);
            } else {
                last = Some(run);
            }
            if hopeless || session.interrupt.is_wanted() {
                break;
            }
        }
        let mut run = confirmed.or(last).ok_or_else(Failure::interrupted)?;
        run.search = Some(search.result());
        Ok(run)
    }

    /// Says what will be measured, where the result is text.
    fn announce(&self, session: &mut Session, plan: &Plan, host: &Host) -> Result<(), Failure> {
        if self.prints_json() {
            return Ok(());
        }
        let target = match &self.measured {
            Measured::Embedded { cores, .. } => {
                let plural = if *cores == 1 { "" } else { "s" };
                format!("embedded echo server on {}, {cores} core{plural}", plan.target())
            }
            Measured::Named(target) if target.named == plan.target().to_string() => target.named.clone(),
            Measured::Named(target) => format!("{} at {}", target.named, plan.target()),
        };
        let heading = Heading { plan, spoken: &self.spoken, target: &target, host };
        session.out.write(&output::header(&heading, self.style))
    }

    fn prints_json(&self) -> bool {
        self.args.output.json || self.args.output.json_stream
    }

    /// Saves the run, then prints it, so that what is printed can say what was saved; the exit code follows.
    fn tell(&self, session: &mut Session, run: &Run) -> Exit {
        let mut saved = None;
        if let Some(results) = &self.results {
            let baseline = self.baseline.as_ref().map(|(_, run)| run);
            match results.save(run, &page(run, baseline)) {
                Ok(names) => saved = Some(names),
                Err(failure) => session.trouble.push(failure),
            }
        }
        if self.args.output.json_stream {
            session.stream(&Streamed::Run(run));
        } else {
            let text = if self.args.output.json {
                format!("{}\n", run.to_json())
            } else {
                self.text(run, saved.as_deref())
            };
            session.trouble.extend(session.out.write(&text).err());
        }
        if self.prints_json()
            && let Some(failure) = &run.failure
        {
            eprintln!("windlass: {failure}");
        }
        let mut exit = Exit::of(run, session.interrupt.is_wanted());
        for failure in &session.trouble {
            eprintln!("windlass: {failure}");
            exit = exit.or(failure.exit);
        }
        exit
    }

    fn text(&self, run: &Run, saved: Option<&str>) -> String {
        let mut text = output::result(run, self.style);
        if let Some(names) = saved {
            text += &output::line("Saved", names, self.style);
        }
        let said = Said { command: &self.command, saved: saved.is_some(), embedded: run.target.embedded };
        if !self.args.output.quiet
            && let Some(next) = advice::next(run, &said)
        {
            text += &output::line("Next", &next, self.style);
        }
        text
    }
}
