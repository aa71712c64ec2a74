//! What a connection costs: run with `cargo test --release --features noise secure::noise -- --ignored --nocapture
//! --test-threads=1`.

use super::*;
use aws_lc_rs::aead::{AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use rustix::time::{ClockId, clock_gettime};

/// Messages of one timed round, and rounds of which the best is told.
const MESSAGES: u32 = 10_000;
const ROUNDS: u32 = 15;

/// Nanoseconds of processor time that this thread has used.
fn used_nanos() -> i64 {
    let used = clock_gettime(ClockId::ThreadCPUTime);
    used.tv_sec * 1_000_000_000 + used.tv_nsec
}

/// The best time for each of two things, in nanoseconds, taken in turns.
fn best_of(mut one: impl FnMut(), mut other: impl FnMut()) -> [i64; 2] {
    let mut best = [i64::MAX; 2];
    for _ in 0..ROUNDS {
        for (nth, what) in [&mut one as &mut dyn FnMut(), &mut other].into_iter().enumerate() {
            let begin = used_nanos();
            for _ in 0..MESSAGES {
                what();
            }
            best[nth] = best[nth].min((used_nanos() - begin) / i64::from(MESSAGES));
        }
    }
    best
}

/// What sealing and opening a message costs our layer, and what aws-lc alone, without framing and without snow.
fn nanos_per_message(cipher: Cipher, plain_bytes: usize) -> [i64; 2] {
    let (initiator, responder) = defaults();
    let (mut a, mut b) = open_pair(&initiator.cipher(cipher), &responder.cipher(cipher));
    let plain = vec![7; plain_bytes];
    let mut sealed = vec![0; a.layer.sealed_bytes_max(plain_bytes)];
    let mut opened = vec![0; sealed.len()];
    let mut reply = Vec::new();
    let layer = || {
        let length = a.layer.seal(&plain, &mut sealed).expect("seals");
        let step = b.layer.open(&mut sealed[..length], &mut opened, &mut reply);
        assert_eq!(step.produced, plain_bytes);
    };
    let algorithm = if cipher == Cipher::AesGcm { &AES_256_GCM } else { &CHACHA20_POLY1305 };
    let key = || LessSafeKey::new(UnboundKey::new(algorithm, &[7; 32]).expect("32 bytes"));
    let (seals, opens) = (key(), key());
    let mut out = vec![0; plain_bytes + 16];
    let mut back = vec![0; plain_bytes];
    let bare = || {
        let nonce = || Nonce::assume_unique_for_key([0; 12]);
        let (text, tag) = out.split_at_mut(plain_bytes);
        seals.seal_out_of_place_scatter(nonce(), Aad::empty(), &plain, text, &[], tag).expect("seals");
        opens.open_separate_gather(nonce(), Aad::empty(), text, tag, &mut back).expect("opens");
    };
    best_of(layer, bare)
}

#[test]
#[ignore = "a measurement: in release, alone"]
fn seal_and_open() {
    for cipher in [Cipher::AesGcm, Cipher::ChaChaPoly] {
        for plain_bytes in [256, 16_384] {
            let [layer, bare] = nanos_per_message(cipher, plain_bytes);
            println!("{cipher:?} {plain_bytes} B: {layer} ns to seal and open, {bare} ns by aws-lc alone");
        }
    }
}

#[test]
#[ignore = "a measurement: in release, alone"]
fn handshakes() {
    for pattern in [Pattern::XK, Pattern::XX, Pattern::IK, Pattern::KK] {
        let (initiator, responder) = (defaults().0.pattern(pattern), defaults().1.pattern(pattern));
        let initiator = Wanted::connecting(&initiator).expect("consistent");
        let responder = Wanted::accepting(&responder).expect("consistent");
        let mut best = i64::MAX;
        for _ in 0..7 {
            let begin = used_nanos();
            for _ in 0..200 {
                let (mut a, mut b) = (Side::new(initiator.begin()), Side::new(responder.begin()));
                converse(&mut a, &mut b).expect("they agree");
                assert!(a.done && b.done);
            }
            best = best.min((used_nanos() - begin) / 200);
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
    // All are kept to the end: memory that was freed would hide what the next ones take.
    let mut all = Vec::new();
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
        all.push(layers);
        assert!(each <= 2048 - 256 - 250, "{each} B");
    }
}
