//! What a failing run says, and how its faults are shrunk to those that matter.

use crate::rig::{MS, Pair, Peer, SECOND};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::time::Duration;
use windlass::Options;
use windlass::sim::{self, Chaos, Fault, FaultKind, Host, Latency, Link, Network, SEED_VARIABLE};

/// The test that shrinking prints for the planted bug, as it was printed.
const PRINTED: &str = include_str!("shrunk.rs");

/// A protocol with a bug: bytes count as safe once they are sent, before the backup has said that it has them.
pub fn run(seed: u64, faults: &[(Duration, Fault)]) {
    let (safe, backed_up) = replicate(seed, faults, |sent, _| sent.to_vec());
    assert!(
        backed_up.starts_with(&safe),
        "safe were {} bytes, and the backup has {}",
        safe.len(),
        backed_up.len()
    );
}

/// The same without the bug: safe is what the backup has said that it has.
pub fn mended(seed: u64, faults: &[(Duration, Fault)]) {
    let (safe, backed_up) = replicate(seed, faults, |_, confirmed| confirmed.to_vec());
    assert!(!safe.is_empty() && backed_up.starts_with(&safe), "{safe:?} {backed_up:?}");
}

/// Sends a byte a second to a backup that echoes it. Answers what is safe, as a rule says of what was sent and echoed,
/// and what the backup has in the end.
fn replicate(
    seed: u64,
    faults: &[(Duration, Fault)],
    rule: impl Fn(&[u8], &[u8]) -> Vec<u8>,
) -> (Vec<u8>, Vec<u8>) {
    let mut pair = Pair::new(seed);
    pair.net.host("bystander");
    let conn = pair.connected(Options::default());
    pair.net.schedule(faults);
    let (mut sent, mut safe) = (Vec::new(), Vec::new());
    for byte in 0..20 {
        pair.net.run_for(SECOND);
        if pair.net.is_running(pair.client) {
            pair.send(conn, &[byte]);
            sent.push(byte);
            safe = rule(&sent, &pair.seen_by_client().received);
        }
    }
    pair.net.run_for(60 * SECOND);
    (safe, pair.seen_by_server().received.clone())
}

/// Thirty faults, of which the 10th and the 20th do it together: the backup is cut off, and before that is over the
/// primary dies with what it has not delivered.
fn thirty_faults() -> Vec<(Duration, Fault)> {
    let [server, client, bystander] = [Host::nth(0), Host::nth(1), Host::nth(2)];
    let mut faults = Vec::new();
    for number in 0..30u32 {
        let fault = match number {
            9 => Fault::Partition(vec![client, bystander], vec![server]).lasting(8 * SECOND),
            19 => Fault::Crash(client),
            _ => match number % 5 {
                0 => Fault::Pause(server, 40 * MS),
                1 => Fault::Crash(bystander).lasting(SECOND),
                2 => Fault::LossBurst(vec![server], vec![client], 0.5, 50 * MS),
                3 => Fault::Slow(bystander, MS).lasting(SECOND),
                _ => Fault::Clog(vec![server], vec![client, bystander], 30 * MS),
            },
        };
        faults.push((3250 * MS + number * 500 * MS, fault));
    }
    faults
}

#[test]
fn thirty_faults_are_shrunk_to_the_two_that_matter() {
    let faults = thirty_faults();
    mended(7, &faults);
    let shrunk = sim::shrink(7, &faults, run).expect("the bug shows");
    let kept: Vec<_> = shrunk.faults.iter().map(|(at, fault)| (at.as_millis(), fault.to_string())).collect();
    let partition =
        "Fault::Partition(vec![Host::nth(1)], vec![Host::nth(0)]).lasting(Duration::from_secs(8))";
    assert_eq!(kept, [(7750, partition.to_owned()), (12_750, "Fault::Crash(Host::nth(1))".to_owned())]);
    assert_eq!((shrunk.seed, shrunk.faults_before), (7, 30));
    assert!(shrunk.runs < 200, "{} runs", shrunk.runs);
    assert!(shrunk.message.starts_with("safe were "), "{}", shrunk.message);
}

/// It is compiled into this program: see `shrunk.rs`, which is what was printed below its first lines.
#[test]
fn the_printed_test_is_ready_to_paste() {
    let shrunk = sim::shrink(7, &thirty_faults(), run).expect("the bug shows");
    let printed = shrunk.test("seed_7_still_works");
    let (_, compiled) = PRINTED.split_once("\n\n").expect("the first lines, an empty one, and the test");
    let (_, compiled) = compiled.split_once("\n\n").expect("what it uses, and an empty line");
    assert_eq!(printed, compiled);
    assert!(shrunk.to_string().contains(&printed));
    assert!(shrunk.to_string().starts_with("seed 7 fails with 2 of 30 faults, as "));
}

#[test]
fn check_passes_what_passes_and_ends_with_the_shrunk_test_what_does_not() {
    sim::check(7, &thirty_faults(), mended);
    let told = catch_unwind(|| sim::check(7, &thirty_faults(), run)).expect_err("the bug shows");
    let told = told.downcast_ref::<String>().expect("a sentence");
    assert!(told.contains("\n#[test]\nfn seed_7_still_works() {\n"), "{told}");
}

#[test]
fn what_passes_is_not_shrunk_and_what_needs_no_fault_is_shrunk_to_none() {
    let faults = thirty_faults();
    assert!(sim::shrink(1, &faults, |_, _| ()).is_none());
    let shrunk = sim::shrink(1, &faults, |_, _| panic!("always\nand again")).expect("it fails");
    assert_eq!((shrunk.faults.len(), shrunk.runs), (0, 2));
    assert_eq!(shrunk.test("x"), "#[test]\nfn x() {\n    // always\n    run(1, &[]);\n}\n");
}

#[test]
fn what_fails_once_and_never_again_is_told_apart() {
    let first = Cell::new(true);
    let run = |_: u64, _: &[(Duration, Fault)]| assert!(!first.replace(false), "only this once");
    let told = catch_unwind(AssertUnwindSafe(|| sim::check(1, &thirty_faults(), run))).expect_err("it fails");
    let told = told.downcast_ref::<String>().expect("a sentence");
    assert!(told.contains("only this once") && told.contains("not deterministic"), "{told}");
}

/// A search that could go on for ever ends at its bound, with what it has.
#[test]
fn shrinking_is_bounded() {
    let faults: Vec<_> = (0..2000).map(|second| (Duration::from_secs(second), Fault::Heal)).collect();
    let runs = Cell::new(0);
    let shrunk = sim::shrink(1, &faults, |_, faults| {
        runs.set(runs.get() + 1);
        let odd = faults.iter().filter(|(at, _)| at.as_secs() % 2 == 1).count();
        assert!(odd < 1000, "all the odd ones are needed");
    });
    assert!(shrunk.is_some_and(|shrunk| shrunk.faults.len() >= 1000));
    assert_eq!(runs.get(), windlass::limits::SIM_SHRINK_RUNS_MAX);
}

#[test]
fn a_failing_run_says_how_to_have_it_again() {
    let mut pair = Pair::new(99);
    let link = Link::new(Latency::Uniform { min: MS, max: 20 * MS });
    let link = link.jitter(3 * MS).loss(0.25).bandwidth(1_000_000);
    pair.net.at(SECOND, Fault::Relink(vec![pair.client], vec![pair.server], link));
    pair.net.at(2 * SECOND, Fault::ClockJump(pair.client, -1_500_000_000));
    pair.connect();
    pair.net.run_for(3 * SECOND);
    let report = pair.net.report();
    for line in [
        "simulated network of failing::a_failing_run_says_how_to_have_it_again:",
        "  seed    99 (",
        "  ended   after 3s and ",
        "  hosts   server, client",
        "  faults  2",
        "net.schedule(&[",
        "    (Duration::from_secs(1), Fault::Relink(vec![Host::nth(1)], vec![Host::nth(0)], Link::new(Latency::Uniform { \
         min: Duration::from_millis(1), max: Duration::from_millis(20) }).jitter(Duration::from_millis(3))\
         .bandwidth(1_000_000).loss(0.25))), // 1 client, server",
        "    (Duration::from_secs(2), Fault::ClockJump(Host::nth(1), -1_500_000_000)), // 2 client",
        "the last that was recorded:",
        "       0.010000000 client -> server, connection 0: request arrives",
    ] {
        assert!(report.contains(line), "{line}\n\n{report}");
    }
}

#[test]
#[should_panic(expected = "pigs fly: not within 2s of virtual time")]
fn what_is_expected_and_does_not_come_is_said() {
    Network::new(1).expect_within(2 * SECOND, "pigs fly", |_| false);
}

/// A handler's panic comes out of the network that runs it, which says the rest on standard error.
#[test]
#[should_panic(expected = "the handler gives up")]
fn a_panic_of_a_handler_is_passed_on() {
    let mut pair = Pair::new(1);
    pair.net.with(pair.client, |_: &mut Peer, _| panic!("the handler gives up"));
}

/// With the variable set, this test sees one seed; it is run once more with it.
#[test]
fn the_environment_names_a_seed() {
    const SELF: &str = "failing::the_environment_names_a_seed";
    let seeds: Vec<u64> = sim::seeds(1..=3).collect();
    if std::env::var_os(SEED_VARIABLE).is_some() {
        assert_eq!(seeds, [1234]);
        return;
    }
    assert_eq!(seeds, [1, 2, 3]);
    let run = |seed| {
        let mut again = Command::new(std::env::current_exe().expect("a test runs from a file"));
        again.args(["--exact", SELF]).env(SEED_VARIABLE, seed).output().expect("it runs")
    };
    let outcome = run("1234");
    assert!(outcome.status.success(), "{}", String::from_utf8_lossy(&outcome.stdout));
    let outcome = run("many");
    assert!(String::from_utf8_lossy(&outcome.stdout).contains("WINDLASS_SIM_SEED=many is not a seed"));
}

/// Chaos over real reactors: all kinds come, nothing breaks, and in the quiet after it a connection works.
#[test]
fn after_chaos_comes_quiet_in_which_everything_works() {
    for seed in sim::seeds(1..=30) {
        let mut pair = Pair::new(seed);
        let chaos = Chaos::drawn(seed);
        pair.net.chaos(&chaos, &[pair.server, pair.client]);
        for _ in 0..40 {
            if pair.net.is_running(pair.client) && pair.net.now() > windlass::time::Instant::ZERO {
                let to = pair.server.port(crate::rig::PORT);
                let connect = windlass::Connect::to(to);
                pair.net.with(pair.client, |_: &mut Peer, io| drop(io.connect(connect)));
            }
            pair.net.run_for(SECOND);
        }
        assert!(pair.net.elapsed() > chaos.quiet_after());
        assert!(pair.net.is_running(pair.server) && pair.net.is_running(pair.client), "seed {seed}");
        let conn = pair.connected(Options::default());
        pair.send(conn, b"after all");
        pair.net.run_for(10 * SECOND);
        assert!(pair.seen_by_client().received.ends_with(b"after all"), "seed {seed}");
    }
}

/// Every kind by itself, many times: whatever it draws can be inflicted.
#[test]
fn every_kind_of_chaos_can_be_inflicted() {
    for kind in FaultKind::ALL {
        let mut pair = Pair::new(3);
        let chaos = Chaos::drawn(3).only([kind]).between(SECOND, 60 * SECOND).faults_max(200);
        let faults = chaos.faults(&[pair.server, pair.client]);
        assert!(!faults.is_empty(), "{kind:?}");
        pair.net.schedule(&faults);
        pair.net.run_for(61 * SECOND);
        assert_eq!(pair.net.inflicted().len(), faults.len());
    }
}
