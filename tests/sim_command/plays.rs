//! Every scenario at a small size: what must come of it, whatever the machine.

use crate::rig::{figure, measure, sim};
use serde_json::Value;

/// Plays it with `--json`.
fn played(words: &[&str]) -> Value {
    let record = sim(&[words, &["--json"]].concat()).expect(0).record();
    assert_eq!(record["outcome"], "complete");
    record
}

#[track_caller]
fn over_bound(record: &Value, name: &str, which: &str) -> f64 {
    let told = &measure(record, name)["over_bound"][which];
    told.as_f64().unwrap_or_else(|| panic!("{which} of {name} over its bound is {told}"))
}

/// In a network that loses nothing every time is its bound, and no time is below it: the turns of reactors add
/// microseconds to milliseconds.
#[track_caller]
fn at_its_bound(record: &Value, name: &str) {
    assert!(
        (0.992..1.02).contains(&over_bound(record, name, "max")),
        "{}",
        measure(record, name)["over_bound"]
    );
    // There may be too few samples for a median.
    let median = measure(record, name)["over_bound"]["p50"].as_f64();
    assert!(median.is_none_or(|ratio| (0.992..1.02).contains(&ratio)), "{median:?}");
}

#[test]
fn all_connect_to_all_in_a_round_trip() {
    let record = played(&["connect", "--nodes", "12"]);
    assert_eq!((figure(&record, "connections opened"), figure(&record, "messages delivered")), (66.0, 66.0));
    at_its_bound(&record, "connect");
    at_its_bound(&record, "first byte");
}

#[test]
fn a_secured_connection_takes_a_round_trip_more() {
    for secure in ["tls", "noise"] {
        let record = played(&["connect", "--nodes", "4", "--secure", secure]);
        assert_eq!(record["setup"]["secure"], secure);
        assert_eq!(measure(&record, "connect")["over_bound"]["bound"], "2 round trips of the pair");
        at_its_bound(&record, "connect");
        at_its_bound(&record, "first byte");
    }
}

#[test]
fn a_broadcast_takes_as_long_as_the_way() {
    let record = played(&["broadcast", "--nodes", "10", "--duration", "2s", "--bandwidth", "10mbit"]);
    assert_eq!(figure(&record, "messages delivered"), 9.0 * 20.0);
    at_its_bound(&record, "delivery");
    at_its_bound(&record, "last of all");
}

#[test]
fn a_transfer_takes_what_tcp_needs() {
    let record = played(&["transfer", "--size", "5m", "--bandwidth", "50mbit", "--latency", "20ms"]);
    let ratio = over_bound(&record, "transfer", "max");
    assert!((0.99..1.05).contains(&ratio), "{ratio}");
    let dropping =
        ["transfer", "--size", "5m", "--bandwidth", "50mbit", "--latency", "20ms", "--queue", "100k"];
    assert!(over_bound(&played(&dropping), "transfer", "max") > 1.05, "slow start overruns a short queue");
    let slow = played(&["transfer", "--size", "5m", "--latency", "20ms", "--loss", "2%"]);
    let ratio = over_bound(&slow, "transfer", "max");
    assert!((0.7..1.4).contains(&ratio), "one draw around the mean of the formula: {ratio}");
}

#[test]
fn a_mesh_delivers_everything() {
    let record = played(&["mesh", "--nodes", "10", "--duration", "5s"]);
    assert_eq!(figure(&record, "messages lost"), 0.0);
    assert!(figure(&record, "messages delivered") > 3_000.0);
    at_its_bound(&record, "delivery");
}

#[test]
fn a_bad_network_delivers_everything_late() {
    let record = played(&["mesh", "--nodes", "6", "--duration", "5s", "--loss", "5%", "--jitter", "50ms"]);
    assert_eq!(figure(&record, "messages lost"), 0.0);
    assert!(over_bound(&record, "delivery", "max") > 2.0);
}

#[test]
fn what_goes_down_in_churn_comes_back() {
    let record = played(&["churn", "--nodes", "10", "--duration", "20s"]);
    let faults = record["faults"].as_array().unwrap();
    assert!(faults.len() > 5, "{} faults", faults.len());
    assert_eq!(faults.len() as f64, figure(&record, "nodes taken down"));
    assert!(measure(&record, "outage")["times"]["count"].as_u64() > Some(3));
    let (lost, sent) = (figure(&record, "messages lost"), figure(&record, "messages sent"));
    assert!(lost > 0.0 && lost < sent / 5.0, "{lost} of {sent}");
}

#[test]
fn a_partition_heals_within_the_time_outs_of_tcp() {
    let words = ["partition", "--nodes", "10", "--duration", "12s", "--fault-lasts", "4s"];
    let record = played(&words);
    assert_eq!(figure(&record, "messages lost"), 0.0);
    assert_eq!(figure(&record, "connections broken"), 0.0);
    assert!(over_bound(&record, "recovery", "max") <= 1.01);
    let longest = measure(&record, "delivery")["times"]["max_ns"].as_u64().unwrap();
    assert!(longest > 4_000_000_000, "some waited for the whole partition: {longest} ns");
}

#[test]
fn a_transfer_over_real_sockets_stands_beside_the_simulated_one() {
    let words = ["transfer", "--size", "2m", "--bandwidth", "100mbit", "--latency", "5ms", "--real"];
    let record = played(&words);
    let real = &record["real"];
    assert!(real["time_s"].as_f64() > Some(0.16), "the proxy lets 100 Mbit/s through: {real}");
    assert!(real["conditions"].as_str().unwrap().contains("12500 kB/s"));
}

#[test]
fn the_same_seed_plays_the_same() {
    for words in [
        &["mesh", "--nodes", "8", "--duration", "3s", "--loss", "2%", "--jitter", "10ms"][..],
        &["churn", "--nodes", "8", "--duration", "10s"],
        &["partition", "--nodes", "6", "--duration", "6s", "--fault-lasts", "1s"],
        &["connect", "--nodes", "6", "--loss", "5%", "--preset", "bad-wifi"],
        &["broadcast", "--nodes", "6", "--duration", "1s", "--preset", "world"],
        &["transfer", "--size", "300k", "--preset", "satellite"],
        &["connect", "--nodes", "4", "--secure", "noise"],
        &["connect", "--nodes", "4", "--secure", "tls"],
    ] {
        let [mut first, mut second] = [(), ()].map(|()| played(words));
        assert!(first["wall"].take().is_object() && second["wall"].take().is_object());
        assert_eq!(first, second, "{words:?}");
        let other = played(&[words, &["--seed", "2"]].concat());
        assert_ne!(first["trace"], other["trace"], "{words:?}");
    }
}
