//! What a connection costs: run with `cargo test --release --features noise secure::noise -- --ignored --nocapture
//! --test-threads=1`.

use super::*;
use crate::time::Clock;

/// Messages of one timed round; the best of several rounds is told.
const MESSAGES: u32 = 20_000;

fn nanos_per_message(cipher: Cipher, plain_bytes: usize) -> u64 {
    let (initiator, responder) = defaults();
    let (mut a, mut b) = open_pair(&initiator.cipher(cipher), &responder.cipher(cipher));
    let plain = vec![7; plain_bytes];
    let mut sealed = vec![0; a.layer.sealed_bytes_max(plain_bytes)];
    let mut opened = vec![0; sealed.len()];
    let mut reply = Vec::new();
    let clock = Clock::os();
    let mut best = u64::MAX;
    for _ in 0..7 {
        let begin = clock.now();
        for _ in 0..MESSAGES {
            let length = a.layer.seal(&plain, &mut sealed).expect("seals");
            let step = b.layer.open(&mut sealed[..length], &mut opened, &mut reply);
            assert_eq!(step.produced, plain_bytes);
        }
        best = best.min(clock.now().since(begin).as_nanos() as u64 / u64::from(MESSAGES));
    }
    assert_eq!(opened[..plain_bytes], plain);
    best
}

#[test]
#[ignore = "a measurement: in release, alone"]
fn seal_and_open() {
    for cipher in [Cipher::AesGcm, Cipher::ChaChaPoly] {
        for plain_bytes in [256, 16_384] {
            let nanos = nanos_per_message(cipher, plain_bytes);
            println!("{cipher:?} {plain_bytes} B: {nanos} ns to seal and open a message");
        }
    }
}

#[test]
#[ignore = "a measurement: in release, alone"]
fn handshakes() {
    let clock = Clock::os();
    for pattern in [Pattern::XK, Pattern::XX, Pattern::IK, Pattern::KK] {
        let (initiator, responder) = (defaults().0.pattern(pattern), defaults().1.pattern(pattern));
        let initiator = Wanted::connecting(&initiator).expect("consistent");
        let responder = Wanted::accepting(&responder).expect("consistent");
        let mut best = u128::MAX;
        for _ in 0..7 {
            let begin = clock.now();
            for _ in 0..200 {
                let (mut a, mut b) = (Side::new(initiator.begin()), Side::new(responder.begin()));
                converse(&mut a, &mut b).expect("they agree");
                assert!(a.done && b.done);
            }
            best = best.min(clock.now().since(begin).as_nanos() / 200);
        }
        println!("{pattern:?}: {} us for both sides of a handshake", best / 1000);
    }
}

/// Resident memory of this process, in bytes.
fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("it is there");
    let kib: usize = line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("KiB");
    kib * 1024
}

#[test]
#[ignore = "a measurement: in release, alone"]
fn idle_layers_stay_within_their_share_of_two_kilobytes() {
    const LAYERS: usize = 40_000;
    for cipher in [Cipher::AesGcm, Cipher::ChaChaPoly] {
        let (initiator, responder) = defaults();
        let (initiator, responder) = (initiator.cipher(cipher), responder.cipher(cipher));
        let (connecting, accepting) = (
            Wanted::connecting(&initiator).expect("consistent"),
            Wanted::accepting(&responder).expect("consistent"),
        );
        let mut layers = Vec::with_capacity(LAYERS);
        let before = resident_bytes();
        while layers.len() < LAYERS {
            let (mut a, mut b) = (Side::new(connecting.begin()), Side::new(accepting.begin()));
            converse(&mut a, &mut b).expect("they agree");
            b.session();
            layers.push(b.layer);
        }
        let each = resident_bytes().saturating_sub(before) / LAYERS;
        println!("{cipher:?}: {each} B each, {} of them in place", size_of::<NoiseTransformer>());
        assert!(each <= 2048 - 256 - 250, "{each} B");
    }
}
