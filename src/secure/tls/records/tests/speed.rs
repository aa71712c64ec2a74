//! How long a record takes, beside stock rustls in the same rounds, in processor time, which is asserted nothing of:
//! `cargo test --release --features tls records::tests::speed -- --ignored --nocapture`.

use super::stock::{Stock, StockPair};
use super::*;
use rustix::time::{ClockId, clock_gettime};
use std::hint::black_box;

const ROUNDS: usize = 21;
const BYTES_PER_ROUND: usize = 8 << 20;

/// What one way to send a record from one end to the other takes.
struct Contender<'a> {
    name: &'static str,
    send: Box<dyn FnMut() + 'a>,
    rounds_ns: Vec<u64>,
}

impl<'a> Contender<'a> {
    fn new(name: &'static str, send: impl FnMut() + 'a) -> Contender<'a> {
        Contender { name, send: Box::new(send), rounds_ns: Vec::new() }
    }
}

/// What this thread has spent on a processor: other tenants of the machine do not count.
fn cpu_ns() -> u64 {
    let spent = clock_gettime(ClockId::ThreadCPUTime);
    spent.tv_sec as u64 * 1_000_000_000 + spent.tv_nsec as u64
}

/// Runs the contenders in turn, [`ROUNDS`] times, and prints the median of each in nanoseconds per call.
fn race(what: &str, bytes: usize, contenders: &mut [Contender<'_>]) {
    let calls = (BYTES_PER_ROUND / bytes).clamp(500, 10_000);
    for _ in 0..ROUNDS {
        for contender in &mut *contenders {
            let start_ns = cpu_ns();
            for _ in 0..calls {
                (contender.send)();
            }
            contender.rounds_ns.push((cpu_ns() - start_ns) / calls as u64);
        }
    }
    for contender in contenders {
        contender.rounds_ns.sort_unstable();
        println!("{what} {bytes} B, {}: {} ns", contender.name, contender.rounds_ns[ROUNDS / 2]);
    }
}

#[test]
#[ignore = "prints figures; wants --release and a quiet machine"]
fn nanoseconds_per_record() {
    for suite in SUITES {
        let stock = Stock::new(suite);
        for bytes in [256, 1024, 16_384] {
            let data = pattern(bytes, 1);
            let (mut client, mut server) = pair(suite);
            let mut sealed = vec![0; client.records.sealed_bytes_max(bytes)];
            let mut plain = vec![0; sealed.len()];
            let mut reply = Vec::new();
            let mut alone = End::new(suite, true);
            let mut sealed_alone = sealed.clone();
            let mut unbuffered = StockPair::new(&stock);
            let mut wire = vec![0; 2 * bytes + 100];
            race(
                &format!("{suite:?}"),
                bytes,
                &mut [
                    Contender::new("seal and open", || {
                        let n = client.records.seal(&mut client.schedule, &data, &mut sealed).unwrap();
                        let opened =
                            server.records.open(&mut server.schedule, &sealed[..n], &mut plain, &mut reply);
                        assert_eq!(black_box(opened.produced), bytes);
                    }),
                    Contender::new("of that, seal", || {
                        black_box(alone.records.seal(&mut alone.schedule, &data, &mut sealed_alone).unwrap());
                    }),
                    Contender::new("stock rustls, unbuffered, both", || {
                        assert_eq!(black_box(unbuffered.send(&data, &mut wire)), bytes);
                    }),
                ],
            );
        }
    }
}
