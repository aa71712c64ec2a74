//! Handshakes that succeed, however the wire cuts them, and what they agree on.

use super::*;
use std::time::Duration;

#[test]
fn every_pattern_shakes_hands_and_carries_bytes_both_ways() {
    for (initiator, responder) in all_patterns() {
        for cipher in [Cipher::AesGcm, Cipher::ChaChaPoly] {
            for hash in [Hash::Sha256, Hash::Sha512, Hash::Blake2s, Hash::Blake2b] {
                let with = |noise: &Noise| noise.clone().cipher(cipher).hash(hash);
                let (mut a, mut b) = open_pair(&with(&initiator), &with(&responder));
                let (here, there) = (a.session(), b.session());
                assert_eq!(here.protocol, with(&initiator).protocol_name());
                assert_eq!(here.protocol, there.protocol);
                assert_eq!(here.handshake_hash, there.handshake_hash);
                carries_both_ways(&mut a, &mut b);
            }
        }
    }
}

fn carries_both_ways(a: &mut Side, b: &mut Side) {
    let sealed = a.seal(b"there");
    assert_eq!(b.opened(&sealed), b"there");
    let sealed = b.seal(b"and back");
    assert_eq!(a.opened(&sealed), b"and back");
}

#[test]
fn handshakes_that_come_byte_by_byte_succeed() {
    for (initiator, responder) in all_patterns() {
        let (mut a, mut b) = (Side::connecting(&initiator), Side::accepting(&responder));
        a.begin().expect("it speaks");
        while !(a.done && b.done) {
            for byte in a.said() {
                assert!(!b.done);
                b.hear(&[byte]).expect("a good handshake");
            }
            for byte in b.said() {
                assert!(!a.done);
                a.hear(&[byte]).expect("a good handshake");
            }
        }
        assert!(a.wire.is_empty() && b.wire.is_empty());
        carries_both_ways(&mut a, &mut b);
    }
}

#[test]
fn handshakes_that_are_cut_anywhere_succeed() {
    for (initiator, responder) in all_patterns() {
        for cut in (0..=NOISE_HANDSHAKE_MESSAGE_BYTES_MAX + 2).step_by(crate::thorough::thorough(1, 11)) {
            let (mut a, mut b) = (Side::connecting(&initiator), Side::accepting(&responder));
            a.begin().expect("it speaks");
            while !(a.done && b.done) {
                let there = a.said();
                let (first, second) = there.split_at(cut.min(there.len()));
                for part in [first, second].into_iter().filter(|part| !part.is_empty()) {
                    b.hear(part).expect("a good handshake");
                }
                let back = b.said();
                let (first, second) = back.split_at(cut.min(back.len()));
                for part in [first, second].into_iter().filter(|part| !part.is_empty()) {
                    a.hear(part).expect("a good handshake");
                }
            }
            carries_both_ways(&mut a, &mut b);
        }
    }
}

#[test]
fn what_comes_with_the_last_handshake_message_is_left_for_open() {
    for (initiator, responder) in all_patterns() {
        let (mut a, mut b) = (Side::connecting(&initiator), Side::accepting(&responder));
        a.begin().expect("it speaks");
        while !(a.done && b.done) {
            let mut there = a.said();
            if a.done && !b.done {
                there.extend(a.seal(b"at once"));
            }
            b.hear(&there).expect("a good handshake");
            let mut back = b.said();
            if b.done && !a.done {
                back.extend(b.seal(b"at once"));
            }
            if !back.is_empty() {
                a.hear(&back).expect("a good handshake");
            }
        }
        let last = if a.wire.is_empty() { &mut b } else { &mut a };
        assert_eq!(last.opened(&[]), b"at once", "{}", initiator.protocol_name());
        assert!(last.wire.is_empty());
    }
}

#[test]
fn sessions_name_the_peers_that_are_authenticated_and_only_those() {
    let (one, two) = (*keys(1).public().as_bytes(), *keys(2).public().as_bytes());
    for (initiator, responder) in all_patterns() {
        let (mut a, mut b) = open_pair(&initiator, &responder);
        let name = initiator.protocol_name();
        let (seen_by_initiator, seen_by_responder) = match &name["Noise_".len()..][..2] {
            "NN" => (None, None),
            "NK" => (Some(two), None),
            _ => (Some(two), Some(one)),
        };
        assert_eq!(a.session().peer, seen_by_initiator, "{name}");
        assert_eq!(b.session().peer, seen_by_responder, "{name}");
    }
}

#[test]
fn a_session_is_described_once_and_its_hash_is_its_own() {
    let (initiator, responder) = defaults();
    let (mut a, _) = open_pair(&initiator, &responder);
    let (mut c, _) = open_pair(&initiator, &responder);
    assert_ne!(a.session().handshake_hash, c.session().handshake_hash);
    let mut again = Session::default();
    a.layer.describe(&mut again);
    assert_eq!(again.noise, None);
}

#[test]
fn a_session_expires_when_it_is_as_old_as_it_may_get() {
    let (initiator, responder) = defaults();
    let (a, b) = open_pair(
        &initiator.session_max(None),
        &responder.clone().session_max(Some(Duration::from_secs(60))),
    );
    assert_eq!(a.layer.expires_at(), Instant::FAR_FUTURE);
    assert_eq!(b.layer.expires_at(), NOW + Duration::from_secs(60));
    let (_, b) = open_pair(&defaults().0, &responder);
    assert_eq!(b.layer.expires_at(), NOW + Duration::from_secs(24 * 60 * 60));
}

#[test]
fn a_check_decides_about_initiators_and_responders_alike() {
    let (one, two) = (keys(1).public(), keys(2).public());
    let initiator = Noise::xx_initiator(&keys(1), move |key| *key == two);
    let responder = Noise::responder(&keys(2)).pattern(Pattern::XX).check(move |key| *key == one);
    let (mut a, mut b) = open_pair(&initiator, &responder);
    carries_both_ways(&mut a, &mut b);
}

#[test]
fn pinned_keys_are_as_good_as_the_first() {
    let initiator =
        Noise::initiator(&keys(1), keys(3).public()).pattern(Pattern::XX).allow([keys(2).public()]);
    let (mut a, mut b) = open_pair(&initiator, &Noise::responder(&keys(2)).pattern(Pattern::XX));
    carries_both_ways(&mut a, &mut b);
}
