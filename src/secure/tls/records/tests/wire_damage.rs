//! Records that were altered, dropped, repeated or swapped on the way, and wires full of noise.

use super::*;
use crate::thorough::thorough;
use proptest::prelude::*;

#[test]
fn no_altered_bit_of_a_record_goes_unnoticed() {
    for suite in SUITES {
        let (mut client, _) = pair(suite);
        let record = client.seal(b"attack at dawn");
        for at in 0..record.len() {
            for bit in 0..8 {
                let mut altered = record.clone();
                altered[at] ^= 1 << bit;
                let mut server = End::new(suite, false);
                let got = server.open(&altered);
                assert_eq!(got.data, [0_u8; 0]);
                match (at, got.then) {
                    // Its type: refused for what it is, not for what is in it.
                    (0, Next::Failed(Cause::ProtocolViolation, _)) => {}
                    // Its length: too long, or longer than what has come, which the end of the stream will show.
                    (3, Next::Failed(Cause::ProtocolViolation, _)) => {}
                    (3 | 4, Next::More) => assert_eq!(got.consumed, 0),
                    (1.., Next::Failed(Cause::Tampered, _)) => {}
                    (_, then) => panic!("byte {at}, bit {bit}: {then:?}"),
                }
                let left = server.records.end_of_stream(altered.len() - got.consumed);
                assert_eq!(left.unwrap().cause, Cause::Truncated);
            }
        }
    }
}

#[test]
fn records_that_are_dropped_repeated_or_swapped_are_not_opened() {
    let (mut client, _) = pair(Suite::Aes128Gcm);
    let [a, b, c] = [b"a", b"b", b"c"].map(|data| client.seal(data));
    let (mut other, _) = pair(Suite::Aes256Gcm);
    let foreign = other.seal(b"a");
    let cases: [(&str, Vec<u8>, &[u8]); 5] = [
        ("dropped first", [&b[..], &c].concat(), b""),
        ("dropped later", [&a[..], &c].concat(), b"a"),
        ("repeated", [&a[..], &a, &b].concat(), b"a"),
        ("swapped", [&b[..], &a, &c].concat(), b""),
        ("of another connection", [&a[..], &foreign].concat(), b"a"),
    ];
    for (what, wire, data) in cases {
        let mut server = End::new(Suite::Aes128Gcm, false);
        let got = server.open(&wire);
        assert_eq!(got.then, Next::Failed(Cause::Tampered, String::new()), "{what}");
        assert_eq!(got.data, data, "{what}");
    }
}

#[test]
fn our_own_records_sent_back_to_us_are_not_opened() {
    let (mut client, _) = pair(Suite::Aes128Gcm);
    let record = client.seal(b"echo");
    assert_eq!(client.open(&record).then, Next::Failed(Cause::Tampered, String::new()));
}

#[test]
fn bytes_of_a_record_that_was_not_authentic_are_not_left_in_the_buffer() {
    for suite in SUITES {
        let (mut client, mut server) = pair(suite);
        let secret = b"transfer everything to the attacker";
        let mut wire = client.seal(secret);
        let last = wire.len() - 1;
        wire[last] ^= 1;
        let mut plain = vec![0; wire.len()];
        let opened = server.records.open(&mut server.schedule, &wire, &mut plain, &mut Vec::new());
        assert_eq!(opened.produced, 0);
        assert!(!plain.windows(8).any(|window| secret.windows(8).any(|part| part == window)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(thorough(512, 64)))]

    #[test]
    fn no_bytes_make_it_panic(data in prop::collection::vec(any::<u8>(), 0..600)) {
        super::super::fuzz::fuzz(&data);
    }

    /// Mostly records that open, so that what is inside them is reached.
    #[test]
    fn no_sealed_records_make_it_panic(steps in prop::collection::vec(any::<(u8, u8, u8)>(), 0..60)) {
        let program: Vec<u8> = steps.iter().flat_map(|&(kind, a, b)| [kind % 6, a, b]).collect();
        super::super::fuzz::fuzz(&program);
    }
}
