//! Every example as a user runs it: a process of its own, and clients that know nothing of windlass.

#[path = "examples/chat.rs"]
mod chat;
#[cfg(feature = "proxy")]
#[path = "examples/fault_proxy.rs"]
mod fault_proxy;
#[path = "examples/foreign.rs"]
mod foreign;
#[cfg(feature = "noise")]
#[path = "examples/noise_peers.rs"]
mod noise_peers;
#[path = "examples/own_loop.rs"]
mod own_loop;
#[path = "examples/process.rs"]
mod process;
#[path = "examples/proxy.rs"]
mod proxy;
#[path = "../src/thorough.rs"]
mod thorough;
#[cfg(feature = "tls")]
#[path = "examples/tls.rs"]
mod tls;

use std::io::{Read, Write};
use std::net::Shutdown;

#[test]
fn echo_sends_back_what_comes_in() {
    let server = process::Server::start("echo", &["--cores", "2"]);
    let mut client = server.connect();
    client.write_all(b"over and out").expect("open");
    client.shutdown(Shutdown::Write).expect("open");
    let mut echo = String::new();
    client.read_to_string(&mut echo).expect("closed in good order");
    assert_eq!(echo, "over and out");
}

#[cfg(feature = "load")]
#[test]
fn load_protocol_gets_every_sum_right() {
    let outcome = process::run_to_end("load_protocol", &["--rate", "2000", "--seconds", "0.5"]);
    let told = String::from_utf8_lossy(&outcome.stdout);
    assert!(outcome.status.success(), "{told}{}", String::from_utf8_lossy(&outcome.stderr));
    assert!(told.contains("1000 sums asked for, 1000 answered, 0 failed\n"), "{told}");
    assert!(told.contains("\np99 ") && told.contains("\ngenerator: "), "{told}");
    assert!(!told.contains("p99.9"), "one sample in a thousand is no percentile: {told}");
}

#[cfg(feature = "sim")]
#[test]
fn sim_cluster_comes_through_its_story_and_those_that_are_drawn() {
    let outcome = process::run_to_end("sim_cluster", &[]);
    let told = String::from_utf8_lossy(&outcome.stdout);
    assert!(outcome.status.success(), "{told}{}", String::from_utf8_lossy(&outcome.stderr));
    assert!(told.contains("s  Fault::PowerOff(Host::nth(0)).lasting(Duration::from_secs(5))\n"), "{told}");
    assert!(told.contains("\n100 drawn stories with "), "{told}");
}

#[test]
fn what_an_example_does_not_understand_it_says_and_ends_with_2() {
    for wrong in [["--listen", "nowhere"], ["--cores", "many"], ["--speed", "7"]] {
        let outcome = process::run_to_end("echo", &wrong);
        assert_eq!(outcome.status.code(), Some(2), "{wrong:?}");
        assert!(String::from_utf8_lossy(&outcome.stderr).contains("usage: [--listen IP:PORT"), "{wrong:?}");
    }
    let outcome = process::run_to_end("own_loop", &["--cores", "2"]);
    assert_eq!(outcome.status.code(), Some(2));
}
