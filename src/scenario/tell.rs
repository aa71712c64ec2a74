//! From what was played to the record of it.

use super::board::Board;
use super::course::Course as Counted;
use super::plan::{Plan, Scenario};
use super::record::{
    Course, Edge, FaultSpan, Figure, Finding, HeatCell, LinkSetup, Measure, Outcome, Real, Record,
    SCHEMA_VERSION, Setup, Topology, Wall,
};
use super::talk::{Played, ways, without_quorum};
use super::transfer;
use crate::units::{human_count, human_duration, human_percent};
use std::time::Duration;

/// Connections that a record lists; more would be no picture.
const EDGES_MAX: usize = 5_000;

/// Nodes of which the time without a quorum is told as a course, in columns.
const QUORUM_COLUMNS: usize = 240;

/// The record of a play.
pub(super) fn record(plan: &Plan, played: &Played<'_, '_>) -> Record {
    let board = &*played.board;
    let cost = played.stage.cost();
    let net = &played.stage.net;
    let end = net.now().since(board.began);
    let (wall_s, virtual_s) = (cost.wall.as_secs_f64().max(1e-9), end.as_secs_f64());
    let mut record = Record {
        schema_version: SCHEMA_VERSION,
        windlass_version: env!("CARGO_PKG_VERSION").to_owned(),
        command: plan.command.clone(),
        scenario: plan.scenario,
        outcome: outcome(plan, played),
        setup: setup(plan, played),
        virtual_s,
        events: cost.events,
        trace: format!("{:016x}", net.trace()),
        findings: Vec::new(),
        measures: measures(plan, played),
        figures: figures(plan, played, end),
        courses: courses(plan, board, &played.faults, end),
        heat: heat(board),
        topology: topology(played),
        faults: played.faults.iter().map(span).collect(),
        real: None,
        wall: Wall {
            started_unix_ms: cost.started_unix_ms,
            wall_s,
            ns_per_event: wall_s * 1e9 / cost.events.max(1) as f64,
            virtual_per_wall: virtual_s / wall_s,
            peak_memory_bytes: cost.peak_memory_bytes,
        },
    };
    record.findings = findings(&record, board);
    record
}

fn outcome(plan: &Plan, played: &Played<'_, '_>) -> Outcome {
    let board = &*played.board;
    let wanted = match plan.scenario {
        Scenario::Connect => played.edges.len() as u64,
        _ => board.sent.get(),
    };
    if played.stage.is_interrupted() {
        Outcome::Interrupted
    } else if plan.scenario != Scenario::Churn && board.delivered.get() < wanted {
        Outcome::Incomplete
    } else {
        Outcome::Complete
    }
}

fn setup(plan: &Plan, played: &Played<'_, '_>) -> Setup {
    let link = &plan.link;
    let one_way = |edge: &(u32, u32)| ways(&played.stage.net, &played.hosts, edge.0, edge.1);
    let latencies = played.edges.iter().map(one_way);
    let (min, max) = latencies.fold((Duration::MAX, Duration::ZERO), |(min, max), (there, back)| {
        (min.min(there).min(back), max.max(there).max(back))
    });
    let by_itself = matches!(plan.scenario, Scenario::Connect | Scenario::Transfer);
    Setup {
        nodes: plan.nodes as u64,
        connections: played.edges.len() as u64,
        duration_s: (!by_itself).then_some(plan.duration.as_secs_f64()),
        rate_per_s: (!by_itself).then_some(plan.rate_per_s),
        size_bytes: plan.bytes,
        secure: plan.secured.as_ref().map(|secured| secured.name().to_owned()),
        seed: plan.seed,
        link: LinkSetup {
            name: plan.link_name.clone(),
            latency_min_s: min.min(max).as_secs_f64(),
            latency_max_s: max.as_secs_f64(),
            jitter_s: link.jitter.as_secs_f64(),
            loss: link.loss,
            bandwidth_bits_per_s: link.bandwidth_bits_per_s,
            queue_bytes: (link.queue_bytes != usize::MAX).then_some(link.queue_bytes as u64),
        },
    }
}

fn measures(plan: &Plan, played: &Played<'_, '_>) -> Vec<Measure> {
    let board = &*played.board;
    let trips = plan.connect_round_trips();
    let open = format!("{trips} round trip{} of the pair", if trips == 1 { "" } else { "s" });
    let first_byte = format!("{trips}½ round trips of the pair");
    let (delivery, what, bound) = match plan.scenario {
        Scenario::Transfer => {
            let (there, back) = ways(&played.stage.net, &played.hosts, 0, 1);
            (
                "transfer",
                "from asking for the connection to the last byte",
                transfer::expected(plan, there, back).what,
            )
        }
        _ => ("delivery", "from one handler to the other", "latency of the pair and serialization"),
    };
    [
        Measure::of(delivery, what, bound, &board.delivery),
        Measure::of(
            "last of all",
            "from sending to all, to the arrival at the last of them",
            "latency of the farthest and serialization",
            &board.last_of_all,
        ),
        Measure::of("connect", "from asking for a connection to its being open", &open, &board.connect),
        Measure::of(
            "first byte",
            "from asking for a connection to the first byte at its other end",
            &first_byte,
            &board.first_byte,
        ),
        Measure::of(
            "recovery",
            "from the healing to the first message across, for each direction of a connection",
            "the longest wait that TCP's doubled time-out leaves, and a latency",
            &board.recovery,
        ),
        Measure::of(
            "outage",
            "from the end of a connection to the next one with the same node",
            "",
            &board.outage,
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn figures(plan: &Plan, played: &Played<'_, '_>, end: Duration) -> Vec<Figure> {
    let board = &*played.board;
    let mut made = Vec::new();
    let mut add = |name: &str, unit: &str, value: f64| {
        made.push(Figure { name: name.to_owned(), unit: unit.to_owned(), value });
    };
    match plan.scenario {
        Scenario::Transfer => {
            if let Some(taken_ns) = board.delivery.times().max() {
                add("goodput", "bits_per_s", plan.bytes as f64 * 8e9 / taken_ns as f64);
            }
        }
        _ => {
            add("messages sent", "messages", board.sent.get() as f64);
            add("messages delivered", "messages", board.delivered.get() as f64);
            add("messages lost", "messages", (board.sent.get().saturating_sub(board.delivered.get())) as f64);
            add("messages not sent", "messages", board.unsent.get() as f64);
        }
    }
    add("connections opened", "connections", board.opened.get() as f64);
    add("connections broken", "connections", board.broken.get() as f64);
    add("attempts failed", "connections", board.refused.get() as f64);
    if plan.scenario == Scenario::Churn {
        let without = without_quorum(board, &played.faults, end.min(plan.duration));
        let total: f64 = without.iter().map(Duration::as_secs_f64).sum();
        let longest = without.iter().max().copied().unwrap_or_default();
        add("without a quorum (all nodes)", "s", total);
        add("without a quorum (worst node)", "s", longest.as_secs_f64());
        let down: f64 = played.faults.iter().map(|fault| (fault.until - fault.at).as_secs_f64()).sum();
        add("down (all nodes)", "s", down);
        add("nodes taken down", "nodes", played.faults.len() as f64);
    }
    made
}

fn courses(plan: &Plan, board: &Board, faults: &[super::talk::Planned], end: Duration) -> Vec<Course> {
    let rate = |name: &str, unit: &str, counted: &Counted, factor: f64| {
        let (column_s, values) = counted.per_second(end);
        let values = values.into_iter().map(|value| value * factor).collect();
        Course { name: name.to_owned(), unit: unit.to_owned(), column_s, values }
    };
    let mut made = Vec::new();
    match plan.scenario {
        Scenario::Connect => {
            made.push(rate("connections opened", "connections_per_s", &board.openings, 1.0));
            made.push(rate("first bytes", "messages_per_s", &board.arrivals, 1.0));
        }
        Scenario::Transfer => made.push(rate("goodput", "bits_per_s", &board.received_bytes, 8.0)),
        _ => made.push(rate("messages", "messages_per_s", &board.arrivals, 1.0)),
    }
    if plan.scenario == Scenario::Churn {
        let column = end / QUORUM_COLUMNS as u32;
        let up_at = |at: Duration| {
            let down = faults.iter().filter(|fault| fault.at <= at && at < fault.until).count();
            (plan.nodes - down) as f64
        };
        made.push(Course {
            name: "nodes up".to_owned(),
            unit: "nodes".to_owned(),
            column_s: column.as_secs_f64(),
            values: (0..QUORUM_COLUMNS as u32).map(|at| up_at(column * at + column / 2)).collect(),
        });
    }
    made
}

fn heat(board: &Board) -> Vec<HeatCell> {
    let cell = |cell: super::heat::Cell| HeatCell {
        from_s: cell.from_s,
        to_s: cell.to_s,
        low_ns: cell.low_ns,
        high_ns: cell.high_ns,
        count: cell.count,
    };
    board.heat.cells().into_iter().map(cell).collect()
}

fn topology(played: &Played<'_, '_>) -> Topology {
    let net = &played.stage.net;
    let stride = played.edges.len().div_ceil(EDGES_MAX).max(1);
    let edge = |&(from, to): &(u32, u32)| {
        let (there, back) = ways(net, &played.hosts, from, to);
        Edge { from, to, round_trip_s: (there + back).as_secs_f64() }
    };
    Topology {
        nodes: played.hosts.iter().map(|host| net.name(*host).to_owned()).collect(),
        edges: played.edges.iter().step_by(stride).map(edge).collect(),
        edges_total: played.edges.len() as u64,
    }
}

fn span(planned: &super::talk::Planned) -> FaultSpan {
    FaultSpan {
        kind: planned.kind.to_owned(),
        from_s: planned.at.as_secs_f64(),
        to_s: planned.until.as_secs_f64(),
        nodes: planned.nodes.clone(),
    }
}

/// What a reader wants to know first.
fn findings(record: &Record, board: &Board) -> Vec<Finding> {
    let mut made = Vec::new();
    let (sent, delivered) = (board.sent.get(), board.delivered.get());
    made.extend(shortfall(record, board));
    let mut find = |good: Option<bool>, name: &str, sentence: String| {
        made.push(Finding { good, name: name.to_owned(), sentence });
    };
    for measure in &record.measures {
        if let Some(over) = &measure.over_bound {
            let times = told_times(measure);
            find(
                None,
                "over bound",
                format!("{}: {} of {}; {times}", measure.name, over.words(), over.bound),
            );
        } else {
            find(None, "times", format!("{}: {}", measure.name, told_times(measure)));
        }
    }
    if record.scenario == Scenario::Churn {
        let figure =
            |name: &str| record.figures.iter().find(|figure| figure.name == name).map_or(0.0, |it| it.value);
        let share = |part: u64, whole: u64| human_percent(part as f64 / whole.max(1) as f64);
        let seconds = |name: &str| human_duration((figure(name) * 1e9) as u64);
        find(
            None,
            "quorum",
            format!(
                "nodes that were up lacked a majority of their neighbours for {} in all, the worst for {}",
                seconds("without a quorum (all nodes)"),
                seconds("without a quorum (worst node)")
            ),
        );
        let lost = sent.saturating_sub(delivered);
        find(
            None,
            "lost",
            format!(
                "{} of {} messages ({}) went down with a node or a connection",
                human_count(lost),
                human_count(sent),
                share(lost, sent)
            ),
        );
    } else if record.outcome == Outcome::Complete && record.scenario != Scenario::Transfer {
        let found = format!("all {} messages arrived", human_count(delivered));
        find(Some(true), "complete", found);
    }
    made
}

impl Record {
    /// How long the transfer took, if there was one and it came to its end.
    pub(super) fn transfer_time(&self) -> Option<Duration> {
        Some(Duration::from_nanos(self.measure("transfer")?.times.histogram.max()?))
    }

    /// Adds what the same transfer took over real sockets; `None` if somebody ended it early.
    pub(super) fn add_real(&mut self, real: Option<Real>) {
        let Some(real) = real else {
            self.outcome = Outcome::Interrupted;
            return;
        };
        self.findings.push(Finding {
            good: None,
            name: "real".to_owned(),
            sentence: format!(
                "over real sockets {}, {:.2}× the simulated time; the proxy did: {}",
                human_duration((real.time_s * 1e9) as u64),
                real.over_simulated,
                real.conditions
            ),
        });
        self.real = Some(real);
    }
}

/// What there is to say of a play that did not come to its end.
fn shortfall(record: &Record, board: &Board) -> Option<Finding> {
    let told = human_duration((record.virtual_s * 1e9) as u64);
    let (good, name, sentence) = match (record.outcome, record.scenario) {
        (Outcome::Complete, _) => return None,
        (Outcome::Interrupted, _) => {
            (None, "interrupted", format!("after {told} of virtual time; the figures are for that time"))
        }
        (_, Scenario::Transfer) => {
            (Some(false), "incomplete", format!("the last byte did not arrive within {told}"))
        }
        (_, Scenario::Connect) => {
            let (open, all) = (human_count(board.opened.get()), human_count(record.setup.connections));
            (Some(false), "incomplete", format!("{open} of {all} connections opened within {told}"))
        }
        _ => {
            let lacking = human_count(board.sent.get().saturating_sub(board.delivered.get()));
            (Some(false), "incomplete", format!("{lacking} messages did not arrive within {told}"))
        }
    };
    Some(Finding { good, name: name.to_owned(), sentence })
}

/// The times of a measure in a few words.
fn told_times(measure: &Measure) -> String {
    let times = &measure.times.histogram;
    let told = |ns: Option<u64>| ns.map_or_else(|| "–".to_owned(), human_duration);
    let p99 = measure.times.percentile_ns(0.99).map(|ns| format!(", p99 {}", human_duration(ns)));
    match times.count() {
        1 => told(times.max()),
        _ => format!(
            "p50 {}{}, max {}",
            told(times.percentile(0.5)),
            p99.unwrap_or_default(),
            told(times.max())
        ),
    }
}
