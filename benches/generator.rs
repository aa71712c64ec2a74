//! The generator against the embedded echo server or a target of yours: how late it is, how much it can ask.
//!
//! `cargo bench --bench generator --features load -- [--target ADDR] [--rate N,N] [--closed CxD,CxD] [--secs S]`

use std::time::Duration;
use windlass::load::{self, Echo, Pace, Plan, Run, Sizes};
use windlass::{Address, Cores, Event, Io, Listen};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let value = |name: &str| {
        let place = arguments.iter().position(|argument| argument == name)?;
        arguments.get(place + 1).cloned()
    };
    let secs: f64 = value("--secs").map_or(3.0, |secs| secs.parse().expect("--secs takes a number"));
    let neither = value("--rate").is_none() && value("--closed").is_none();
    let list =
        |name: &str, all: &str| value(name).or_else(|| neither.then(|| all.into())).unwrap_or_default();
    let (rates, closed) = (list("--rate", "10000,50000,100000"), list("--closed", "1x1,64x1,64x16"));
    let target = value("--target").map(|text| text.parse::<Address>().expect("--target takes an address"));
    let embedded = target.is_none().then(|| {
        Cores::new(1).listen(Listen::tcp("127.0.0.1:0")).start(|_core| echo).expect("an echo server starts")
    });
    let target = target.or_else(|| Some(embedded.as_ref()?.addresses()[0].clone())).expect("a target");
    let mut plan = Plan::new(target);
    plan.duration = Duration::from_secs_f64(secs);
    plan.warm_up = Duration::from_millis(500);
    println!(
        "{:<24}{:>12}{:>12}{:>12}{:>12}{:>12}{:>8}",
        "", "answered/s", "p50 µs", "p99 µs", "lag p99", "seen p99", "busy"
    );
    for rate in rates.split(',').filter(|rate| !rate.is_empty()) {
        plan.pace = Pace::constant(rate.parse().expect("--rate takes numbers with commas between"));
        show(&format!("open {rate}/s"), &load::run(&plan, Echo::new(Sizes::Fixed(64))).expect("a run"));
    }
    for shape in closed.split(',').filter(|shape| !shape.is_empty()) {
        let (connections, depth) = shape.split_once('x').expect("--closed takes CONNECTIONSxDEPTH");
        let number = |text: &str| text.parse().expect("--closed takes two numbers");
        (plan.pace, plan.connections, plan.depth) = (Pace::Closed, number(connections), number(depth));
        show(&format!("closed {shape}"), &load::run(&plan, Echo::new(Sizes::Fixed(64))).expect("a run"));
    }
    if let Some(running) = embedded {
        running.shutdown(Duration::ZERO);
        running.join().expect("the server ends");
    }
}

fn echo(io: &mut Io, event: Event<'_>) {
    if let Event::Data { conn, bytes } = event {
        let _ = io.send(conn, bytes);
    }
}

fn show(label: &str, run: &Run) {
    let micros =
        |value: Option<u64>| value.map_or_else(|| "-".into(), |ns| format!("{:.1}", ns as f64 / 1e3));
    println!(
        "{label:<24}{:>12.0}{:>12}{:>12}{:>12}{:>12}{:>7.0}%",
        run.totals.answered_per_s,
        micros(run.response.percentile_ns(0.5)),
        micros(run.response.percentile_ns(0.99)),
        micros(run.generator.send_lag.percentile_ns(0.99)),
        micros(run.generator.receive_lag.percentile_ns(0.99)),
        run.generator.busy_fraction * 100.0,
    );
    println!("    {:?}: {}", run.generator.verdict, run.generator.reason);
    if let Some(failure) = &run.failure {
        println!("    {failure}");
    }
}
