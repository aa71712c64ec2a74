//! Messages after the handshake: their sizes, changes of keys, floods, and whatever a peer may send instead.

use super::super::fuzz;
use super::*;
use crate::thorough::thorough;
use proptest::prelude::*;
use snow::TransportState;

/// An open layer of ours, and snow alone at the other end of the wire: it frames and counts by hand.
fn open_with_foreign(initiator: &Noise, responder: &Noise) -> (Side, TransportState) {
    let mut a = Side::connecting(initiator);
    let plan = Wanted::accepting(responder).expect("consistent").plan;
    let mut foreign = plan.start().expect("all it needs");
    let mut message = [0; 256];
    a.begin().expect("it speaks");
    loop {
        foreign.read_message(&a.said()[2..], &mut message).expect("a good message");
        if !foreign.is_handshake_finished() {
            let length = foreign.write_message(&[], &mut message).expect("a good message");
            a.hear(&framed(&message[..length])).expect("a good message");
        }
        if foreign.is_handshake_finished() {
            return (a, foreign.into_transport_mode().expect("the handshake is over"));
        }
    }
}

fn framed(message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).expect("at most 65,535 bytes");
    [&length.to_be_bytes(), message].concat()
}

fn sealed_by(foreign: &mut TransportState, plain: &[u8]) -> Vec<u8> {
    let mut message = vec![0; plain.len() + 16];
    let length = foreign.write_message(plain, &mut message).expect("an open transport");
    framed(&message[..length])
}

fn opened_by(foreign: &mut TransportState, sealed: &[u8]) -> Vec<u8> {
    let mut plain = vec![0; sealed.len()];
    let length = foreign.read_message(&sealed[2..], &mut plain).expect("a good message");
    plain.truncate(length);
    plain
}

#[test]
fn ten_thousand_messages_each_way_rekey_in_step() {
    let (initiator, responder) = defaults();
    for every in [1, 7, 1000] {
        let rekey = |noise: &Noise| noise.clone().rekey_after(Some(every));
        let (mut a, mut b) = open_pair(&rekey(&initiator), &rekey(&responder));
        for count in 0..10_000_u32 {
            let there = a.seal(&count.to_le_bytes());
            assert_eq!(b.opened(&there), count.to_le_bytes());
            let back = b.seal(&count.to_be_bytes());
            assert_eq!(a.opened(&back), count.to_be_bytes());
        }
    }
}

#[test]
fn a_foreign_peer_can_follow_the_documented_rule() {
    const EVERY: u64 = 3;
    let (initiator, responder) = defaults();
    let (mut a, mut foreign) = open_with_foreign(&initiator.rekey_after(Some(EVERY)), &responder);
    for count in 1..=10 {
        let there = a.seal(b"there");
        assert_eq!(opened_by(&mut foreign, &there), b"there");
        if count % EVERY == 0 {
            foreign.rekey_incoming();
        }
        // Empty ones count as well.
        let back = sealed_by(&mut foreign, if count == 2 { b"" } else { b"back" });
        a.opened(&back);
        if count % EVERY == 0 {
            foreign.rekey_outgoing();
        }
    }
}

#[test]
fn a_foreign_peer_that_never_rekeys_is_understood_with_none() {
    let (initiator, responder) = defaults();
    let (mut a, mut foreign) = open_with_foreign(&initiator.rekey_after(None), &responder);
    for count in 0..10_000_u32 {
        let there = a.seal(&count.to_le_bytes());
        assert_eq!(opened_by(&mut foreign, &there), count.to_le_bytes());
        let back = sealed_by(&mut foreign, &count.to_be_bytes());
        assert_eq!(a.opened(&back), count.to_be_bytes());
    }
}

#[test]
fn ends_that_rekey_at_different_counts_part_at_the_first() {
    let (initiator, responder) = defaults();
    let (mut a, mut b) = open_pair(&initiator.rekey_after(Some(5)), &responder.rekey_after(None));
    for _ in 0..5 {
        let sealed = a.seal(b"under the first key");
        assert_eq!(b.opened(&sealed), b"under the first key");
    }
    let sealed = a.seal(b"under the second");
    assert_eq!(b.open(&sealed).1.expect("another key").cause, Cause::Tampered);
}

#[test]
fn messages_are_as_large_as_documented() {
    let (initiator, responder) = defaults();
    let (mut a, mut b) = open_pair(&initiator, &responder);
    for (plain_bytes, messages) in [(0, 0), (1, 1), (16_384, 1), (16_385, 2), (100_000, 7)] {
        let plain = vec![7; plain_bytes];
        let sealed = a.seal(&plain);
        assert_eq!(sealed.len(), plain_bytes + messages * 18);
        assert_eq!(sealed.len(), a.layer.sealed_bytes_max(plain_bytes));
        assert_eq!(b.opened(&sealed), plain);
    }
}

#[cfg(feature = "tls")]
#[test]
fn a_message_inside_tls_fits_one_record() {
    let (initiator, responder) = defaults();
    let mut a = Side::new(Wanted::connecting(&initiator).expect("consistent").inside_tls().begin());
    let mut b = Side::new(Wanted::accepting(&responder).expect("consistent").inside_tls().begin());
    converse(&mut a, &mut b).expect("they agree");
    let sealed = a.seal(&[7; 40_000]);
    assert_eq!(usize::from(u16::from_be_bytes([sealed[0], sealed[1]])) + 2, 16_384);
    assert_eq!(sealed.len(), a.layer.sealed_bytes_max(40_000));
    assert_eq!(b.opened(&sealed), [7; 40_000]);
}

#[test]
fn the_longest_message_of_a_foreign_peer_is_taken() {
    let (initiator, responder) = defaults();
    let (mut a, mut foreign) = open_with_foreign(&initiator, &responder);
    let sealed = sealed_by(&mut foreign, &[7; 65_535 - 16]);
    assert_eq!(a.opened(&sealed[..65_536]), b"", "not before it is whole");
    assert_eq!(a.opened(&sealed[65_536..]), [7; 65_535 - 16]);
}

#[test]
fn a_message_shorter_than_its_tag_is_refused_before_it_comes() {
    let (initiator, responder) = defaults();
    for length in 0..16 {
        let (_, mut b) = open_pair(&initiator, &responder);
        let (_, failure) = b.open(&[0, length]);
        assert_eq!(failure.expect("no room for a tag").cause, Cause::ProtocolViolation);
    }
}

#[test]
fn a_flood_of_empty_messages_is_cut_off() {
    let (initiator, responder) = defaults();
    let (mut a, mut foreign) = open_with_foreign(&initiator, &responder);
    let empties = |foreign: &mut TransportState, count: u8| -> Vec<u8> {
        (0..count).flat_map(|_| sealed_by(foreign, b"")).collect()
    };
    for _ in 0..3 {
        let tolerated = empties(&mut foreign, NOISE_EMPTY_MESSAGES_MAX);
        assert_eq!(a.opened(&tolerated), b"");
        let content = sealed_by(&mut foreign, b"content");
        assert_eq!(a.opened(&content), b"content");
    }
    let flood = empties(&mut foreign, NOISE_EMPTY_MESSAGES_MAX + 1);
    assert_eq!(a.open(&flood).1.expect("one too many").cause, Cause::ProtocolViolation);
}

#[test]
fn nonces_that_run_out_close_by_name() {
    let (initiator, responder) = defaults();
    let (mut a, mut b) = open_pair(&initiator, &responder);
    let sealed = a.seal(b"one too many");
    b.layer.pretend_received(u64::MAX);
    assert_eq!(b.open(&sealed).1, Some(Failure::new(Cause::NonceExhausted)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(thorough(64, 6)))]

    /// Whatever is sent comes out, in order and all of it, however it is batched and wherever the wire cuts it.
    #[test]
    fn streams_pass_unchanged(
        sends in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40_000), 1..6),
        cuts in prop::collection::vec(1_usize..30_000, 1..20),
        rekey_after in prop::option::of(1_u64..4),
        chacha in any::<bool>(),
    ) {
        let cipher = if chacha { Cipher::ChaChaPoly } else { Cipher::AesGcm };
        let (initiator, responder) = defaults();
        let with = |noise: Noise| noise.cipher(cipher).rekey_after(rekey_after);
        let (mut a, mut b) = (Side::connecting(&with(initiator)), Side::accepting(&with(responder)));
        converse(&mut a, &mut b).expect("they agree");
        let wire: Vec<u8> = sends.iter().flat_map(|plain| a.seal(plain)).collect();
        let (mut at, mut came) = (0, Vec::new());
        for cut in cuts.iter().cycle() {
            let next = (at + cut).min(wire.len());
            came.extend(b.opened(&wire[at..next]));
            at = next;
            if at == wire.len() {
                break;
            }
        }
        prop_assert_eq!(came, sends.concat());
        prop_assert!(b.wire.is_empty());
    }
}

#[test]
fn whatever_comes_nothing_panics() {
    let seed = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), "noise");
    println!("seed {seed}");
    // SplitMix64 (Steele, Lea and Flood 2014).
    let mut state = seed;
    let mut random = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    };
    for _ in 0..thorough(2_000, 200) {
        let length = 1 + 4 * (random() % 16);
        let script: Vec<u8> = (0..length).map(|_| random().to_le_bytes()[0]).collect();
        fuzz::fuzz(&script);
    }
}
