//! Handshakes that succeed, however they are cut, and what they agree on.

use super::*;

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
                let sealed = a.seal(b"there");
                assert_eq!(b.opened(&sealed), b"there", "{}", here.protocol);
                let sealed = b.seal(b"and back");
                assert_eq!(a.opened(&sealed), b"and back", "{}", here.protocol);
            }
        }
    }
}
