//! How long a record takes, beside stock rustls on the same thread. Nothing is asserted of the times:
//! `cargo test --release --features tls,noise records::tests::speed -- --ignored --nocapture`.

use super::*;
use std::hint::black_box;

const ROUNDS: usize = 15;
const BYTES_PER_ROUND: usize = 8 << 20;

/// The median of [`ROUNDS`] rounds, in nanoseconds per call, each round over about [`BYTES_PER_ROUND`].
fn median_ns(bytes: usize, mut call: impl FnMut()) -> u128 {
    let calls = (BYTES_PER_ROUND / bytes).clamp(500, 20_000);
    let mut rounds: Vec<u128> = (0..ROUNDS)
        .map(|_| {
            let start = std::time::Instant::now();
            for _ in 0..calls {
                call();
            }
            start.elapsed().as_nanos() / calls as u128
        })
        .collect();
    rounds.sort_unstable();
    rounds[ROUNDS / 2]
}

#[test]
#[ignore = "prints figures; wants --release and a quiet machine"]
fn nanoseconds_per_record() {
    for suite in SUITES {
        for bytes in [256, 1024, 16_384] {
            let (mut client, mut server) = pair(suite);
            let data = pattern(bytes, 1);
            let mut sealed = vec![0; client.records.sealed_bytes_max(bytes)];
            let mut plain = vec![0; sealed.len()];
            let mut reply = Vec::new();
            let seal = median_ns(bytes, || {
                black_box(client.records.seal(&mut client.schedule, &data, &mut sealed).unwrap());
            });
            client = End::new(suite, true);
            let both = median_ns(bytes, || {
                let n = client.records.seal(&mut client.schedule, &data, &mut sealed).unwrap();
                let opened = server.records.open(&mut server.schedule, &sealed[..n], &mut plain, &mut reply);
                assert_eq!(black_box(opened.produced), bytes);
            });
            println!("{suite:?} {bytes} B: seal {seal} ns, seal and open {both} ns");
        }
    }
}
