//! Configurations that contradict themselves, names of protocols, and keys in files.

use super::super::{Protocol, PublicKey};
use super::*;
use crate::error::Error;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

#[track_caller]
fn told(wanted: Result<Wanted, Error>) -> String {
    match wanted.expect_err("it contradicts itself") {
        Error::Config(sentence) => sentence,
        other => panic!("{other}"),
    }
}

#[test]
fn contradictions_are_told_before_anything_connects() {
    let (initiator, responder) = defaults();
    assert!(told(Wanted::accepting(&initiator)).contains("is a responder"));
    assert!(told(Wanted::connecting(&responder)).contains("is an initiator"));
    assert!(told(Wanted::connecting(&initiator.clone().pattern(Pattern::NK))).contains("unauthenticated"));
    assert!(told(Wanted::accepting(&responder.clone().pattern(Pattern::NN))).contains("unauthenticated"));
    let unauthenticated = Noise::unauthenticated_nk_responder(&keys(2));
    assert!(told(Wanted::accepting(&unauthenticated.pattern(Pattern::XK))).contains("unauthenticated"));
    assert!(told(Wanted::connecting(&initiator.clone().allow([keys(3).public()]))).contains("2 are given"));
    for nobody in [Noise::unauthenticated_nk_responder(&keys(2)), Noise::unauthenticated_nn_responder()] {
        assert!(told(Wanted::accepting(&nobody.clone().allow([]))).contains("shows no key"));
        assert!(told(Wanted::accepting(&nobody.check(|_| true))).contains("shows no key"));
    }
    let kk = Noise::responder(&keys(2)).pattern(Pattern::KK);
    assert!(told(Wanted::accepting(&kk)).contains("0 are given"));
    let unknown = Noise::xx_initiator(&keys(1), |_| true).pattern(Pattern::XK);
    assert!(told(Wanted::connecting(&unknown)).contains("0 are given"));
    assert!(told(Wanted::connecting(&initiator.clone().rekey_after(Some(0)))).contains("None"));
    assert!(told(Wanted::connecting(&initiator.session_max(Some(Duration::ZERO)))).contains("None"));
}

#[test]
fn pre_shared_keys_and_their_places_must_match() {
    let (initiator, _) = defaults();
    let named: Protocol = "Noise_XKpsk0+psk3_25519_AESGCM_SHA256".parse().expect("a protocol that we have");
    let half = initiator.clone().protocol(named).psk(0, &[1; 32]);
    assert!(told(Wanted::connecting(&half)).contains("psk3 is missing"));
    Wanted::connecting(&half.psk(3, &[1; 32])).expect("now it is all there");
    for (pattern, position) in [(Pattern::IK, 3), (Pattern::XK, 4), (Pattern::XK, 255)] {
        let stray = initiator.clone().pattern(pattern).psk(position, &[1; 32]);
        assert!(told(Wanted::connecting(&stray)).contains("no such place"), "{pattern:?} {position}");
    }
    let before_pattern = initiator.clone().psk(2, &[1; 32]).pattern(Pattern::IK);
    assert_eq!(before_pattern.protocol_name(), "Noise_IKpsk2_25519_AESGCM_SHA256");
    let replaced = initiator.clone().protocol("Noise_XK_25519_AESGCM_SHA256".parse().expect("ours"));
    assert!(
        told(Wanted::connecting(&replaced.psk(3, &[1; 32]).protocol(Protocol::new(Pattern::XK))))
            .contains("psk3")
    );
}

#[test]
fn names_of_protocols_survive_the_round_trip() {
    for (initiator, _) in all_patterns() {
        for cipher in [Cipher::AesGcm, Cipher::ChaChaPoly] {
            for hash in [Hash::Sha256, Hash::Sha512, Hash::Blake2s, Hash::Blake2b] {
                let name = initiator.clone().cipher(cipher).hash(hash).protocol_name();
                assert_eq!(name.parse::<Protocol>().expect("our own name").to_string(), name);
                name.parse::<snow::params::NoiseParams>().expect("snow knows it as well");
            }
        }
    }
    for wrong in [
        "",
        "XK",
        "Noise_XK",
        "Noise_XK_448_AESGCM_SHA256",
        "Noise_NX_25519_AESGCM_SHA256",
        "Noise_XK1_25519_AESGCM_SHA256",
        "Noise_XKpsk4_25519_AESGCM_SHA256",
        "Noise_IKpsk3_25519_AESGCM_SHA256",
        "Noise_XKpsk_25519_AESGCM_SHA256",
        "Noise_XKpsk03_25519_AESGCM_SHA256",
        "Noise_XKpsk3+psk0_25519_AESGCM_SHA256",
        "Noise_XKpsk3+psk3_25519_AESGCM_SHA256",
        "Noise_XKfallback_25519_AESGCM_SHA256",
        "Noise_XK_25519_AESGCM_SHA256_more",
        "noise_XK_25519_AESGCM_SHA256",
    ] {
        let error = wrong.parse::<Protocol>().expect_err(wrong).to_string();
        assert!(error.contains(wrong) && error.contains("ChaChaPoly"), "{error}");
    }
}

#[test]
fn no_secret_is_printed() {
    let secret = keys(0xab);
    let noise = Noise::initiator(&secret, keys(2).public()).psk(3, &[0xcd; 32]);
    let wanted = Wanted::connecting(&noise).expect("consistent");
    for shown in
        [format!("{secret:?}"), format!("{noise:?}"), format!("{wanted:?}"), format!("{:?}", wanted.begin())]
    {
        for hidden in ["abab", "cdcd", "171, 171", "205, 205"] {
            assert!(!shown.contains(hidden), "{shown}");
        }
    }
    assert!(format!("{noise:?}").contains("Noise_XKpsk3_25519_AESGCM_SHA256"));
}

/// A path in the temporary directory that no other test uses, removed with this value.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("windlass-noise-{name}-{}", std::process::id()));
        drop(std::fs::remove_file(&path));
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

#[test]
fn a_stored_key_is_the_owners_alone_and_is_never_overwritten() {
    let scratch = Scratch::new("round-trip");
    let keys = KeyPair::generate().expect("randomness");
    keys.store(&scratch.0).expect("a new file");
    let mode = std::fs::metadata(&scratch.0).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let loaded = KeyPair::load(&scratch.0).expect("just stored");
    assert_eq!((loaded.public(), loaded.secret_hex()), (keys.public(), keys.secret_hex()));
    assert_eq!(std::fs::read_to_string(&scratch.0).expect("text").len(), 65);
    let Error::Io { source, .. } = self::keys(1).store(&scratch.0).expect_err("it is there already") else {
        panic!("not the system's refusal");
    };
    assert_eq!(source.kind(), std::io::ErrorKind::AlreadyExists);
    assert_eq!(KeyPair::load(&scratch.0).expect("untouched").public(), keys.public());
}

#[test]
fn files_that_hold_no_key_are_refused_without_repeating_them() {
    let scratch = Scratch::new("malformed");
    let hex = keys(0xab).secret_hex();
    for wrong in
        [String::new(), hex[1..].into(), format!("{hex}0"), format!("0x{hex}"), hex.repeat(9), "é".repeat(32)]
    {
        std::fs::write(&scratch.0, &wrong).expect("a scratch file");
        let error = KeyPair::load(&scratch.0).expect_err("no key").to_string();
        assert!(error.contains("holds no Noise key") && !error.contains("abab"), "{error}");
        let error = KeyPair::from_secret_hex(&wrong).expect_err("no key").to_string();
        assert!(!error.contains("abab"), "{error}");
    }
    std::fs::write(&scratch.0, format!("\n {}\r\n", hex.to_uppercase())).expect("a scratch file");
    assert_eq!(KeyPair::load(&scratch.0).expect("white space aside a key").public(), keys(0xab).public());
    drop(std::fs::remove_file(&scratch.0));
    assert!(matches!(KeyPair::load(&scratch.0), Err(Error::Io { .. })));
}

#[test]
fn generated_keys_differ_and_public_keys_parse_as_they_print() {
    let (one, two) = (KeyPair::generate().expect("randomness"), KeyPair::generate().expect("randomness"));
    assert_ne!(one.public(), two.public());
    let shown = one.public().to_string();
    assert_eq!(shown.parse::<PublicKey>().expect("as printed"), one.public());
    assert_eq!(PublicKey::from(*one.public().as_bytes()), one.public());
    assert!(
        shown[1..].parse::<PublicKey>().expect_err("a digit short").to_string().contains("64 hex digits")
    );
}
