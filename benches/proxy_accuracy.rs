//! How exact the fault proxy's toxics are: `cargo bench --bench proxy_accuracy --features proxy`.
//!
//! Latency: single bytes, from the write at one end to the read at the other, over what the toxic adds; the system's
//! own way through the proxy is in the error, so the first line tells it without a toxic, and each line how late the
//! timers of the proxy's reactor fired. Bandwidth: the bytes of a second or more, from the first write to the
//! last byte read, against the rate.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use windlass::proxy::{FaultProxy, Toxic, spawn};
use windlass::time::Clock;

/// Both ends of a connection through a proxy with these toxics on what the server says.
fn connect(toxics: &[Toxic]) -> (FaultProxy, TcpStream, TcpStream) {
    let server = TcpListener::bind("127.0.0.1:0").expect("a server");
    let proxy = spawn(server.local_addr().expect("it listens")).expect("a proxy");
    for toxic in toxics {
        proxy.add(toxic.clone()).expect("a toxic that makes sense");
    }
    let client = TcpStream::connect(proxy.address()).expect("the proxy takes it in");
    let (served, _) = server.accept().expect("the proxy connects");
    served.set_nodelay(true).expect("a socket");
    (proxy, client, served)
}

fn latency(latency_ms: u64, samples: usize) {
    let toxic = Toxic::latency_ms(latency_ms);
    let (proxy, mut client, mut served) =
        connect(if latency_ms == 0 { &[] } else { std::slice::from_ref(&toxic) });
    let clock = Clock::os();
    let mut errors_ms = Vec::with_capacity(samples);
    for _ in 0..samples {
        let said = clock.now();
        served.write_all(b"x").expect("it is taken");
        client.read_exact(&mut [0]).expect("it comes");
        errors_ms.push(clock.now().since(said).as_secs_f64() * 1e3 - latency_ms as f64);
    }
    errors_ms.sort_by(f64::total_cmp);
    let [p50, p99, max] = [0.5, 0.99, 1.0].map(|share| errors_ms[((samples - 1) as f64 * share) as usize]);
    let early = errors_ms.iter().filter(|error| **error < 0.0).count();
    let timers = proxy.metrics().snapshot(clock.now()).total.timer_lateness_nanos;
    let late = [0.5, 0.99]
        .map(|share| timers.percentile(share).map_or("-".into(), |ns| format!("{:.3}", ns as f64 / 1e6)));
    println!(
        "latency {latency_ms:>3} ms: late by p50 {p50:.3} ms, p99 {p99:.3} ms, max {max:.3} ms, {early} early of {samples}; \
         timers late by p50 {} ms, p99 {} ms",
        late[0], late[1]
    );
}

fn bandwidth(kb_per_s: u64, seconds: u64) {
    let (_proxy, mut client, mut served) = connect(&[Toxic::bandwidth_kb_per_s(kb_per_s)]);
    let bytes = usize::try_from(kb_per_s * 1000 * seconds).expect("it fits");
    let clock = Clock::os();
    let began = clock.now();
    let talker = std::thread::spawn(move || served.write_all(&vec![0; bytes]).expect("it is taken"));
    client.read_exact(&mut vec![0; bytes]).expect("all of it comes");
    let took = clock.now().since(began).as_secs_f64();
    talker.join().expect("it was all taken");
    let error = (bytes as f64 / took / (kb_per_s as f64 * 1000.0) - 1.0) * 100.0;
    println!("bandwidth {kb_per_s:>7} kB/s: {bytes} bytes in {took:.4} s, {error:+.2} % off the rate");
}

fn main() {
    for (latency_ms, samples) in [(0, 2000), (1, 2000), (10, 400), (100, 100)] {
        latency(latency_ms, samples);
    }
    for kb_per_s in [100, 1000, 50_000] {
        bandwidth(kb_per_s, 2);
    }
}
