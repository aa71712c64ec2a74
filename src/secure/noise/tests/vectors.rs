//! Our cryptography in snow's hands against published test vectors.

use super::super::resolver::Resolver;
use super::super::{Protocol, PublicKey};
use super::*;
use snow::{Builder, HandshakeState};

/// One vector a line; its first lines say where they are from.
const VECTORS: &str = include_str!("vectors.txt");

const PROLOGUE: &[u8] = b"John Galt";
const PSK: &[u8; 32] = b"This is my Austrian perspective!";
const PAYLOADS: [&[u8]; 6] = [
    b"Ludwig von Mises",
    b"Murray Rothbard",
    b"F. A. Hayek",
    b"Carl Menger",
    b"Jean-Baptiste Say",
    b"Eugen B\xf6hm von Bawerk",
];
/// Static and ephemeral secrets of the initiator, then of the responder.
const INITIATOR: [&str; 2] = [
    "e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1",
    "893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a",
];
const RESPONDER: [&str; 2] = [
    "4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893",
    "bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b",
];

fn pair_of(hex: &str) -> KeyPair {
    KeyPair::from_secret_hex(hex).expect("the vectors' secrets are hex")
}

fn bytes_of(hex: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("the vectors are hex");
    (0..hex.len()).step_by(2).map(digit).collect()
}

/// A handshake with the vectors' keys, as far as the pattern has a use for them.
fn start(protocol: Protocol, initiates: bool) -> HandshakeState {
    let name = protocol.to_string();
    let letters = &name["Noise_".len()..];
    let (own, peer) = if initiates { (INITIATOR, RESPONDER) } else { (RESPONDER, INITIATOR) };
    let (own_letter, peer_letter) =
        if initiates { (&letters[..1], &letters[1..2]) } else { (&letters[1..2], &letters[..1]) };
    let (keys, ephemeral, peer) = (pair_of(own[0]), pair_of(own[1]), pair_of(peer[0]).public());
    let resolver = Box::new(Resolver { keys: Some(keys.clone()) });
    let mut builder = Builder::with_resolver(name.parse().expect("snow has the protocol"), resolver)
        .prologue(PROLOGUE)
        .expect("one prologue")
        .fixed_ephemeral_key_for_testing_only(ephemeral.secret());
    if own_letter != "N" {
        builder = builder.local_private_key(keys.secret()).expect("one key");
    }
    if peer_letter == "K" {
        builder = builder.remote_public_key(peer.as_bytes()).expect("one key");
    }
    for position in protocol.psk_positions() {
        builder = builder.psk(position, PSK).expect("one key a place");
    }
    if initiates { builder.build_initiator() } else { builder.build_responder() }.expect("all it needs")
}

#[test]
fn every_vector_comes_out_byte_for_byte() {
    let mut seen = 0;
    for line in VECTORS.lines().filter(|line| !line.starts_with('#')) {
        let mut fields = line.split(' ');
        let name = fields.next().expect("a name");
        let protocol: Protocol = name.parse().expect("a protocol that we have");
        let hash = bytes_of(fields.next().expect("a handshake hash"));
        let messages: Vec<Vec<u8>> = fields.map(bytes_of).collect();
        assert_eq!(messages.len(), PAYLOADS.len());
        let (mut sender, mut receiver) = (start(protocol, true), start(protocol, false));
        let mut buffer = [0; 256];
        let mut at = 0;
        while let Some(bytes) = protocol.message_bytes(at) {
            let length = sender.write_message(PAYLOADS[at], &mut buffer).expect("writes");
            assert_eq!(buffer[..length], messages[at], "{name} message {at}");
            assert_eq!(length, bytes + PAYLOADS[at].len(), "{name}: the length of message {at}");
            let length = receiver.read_message(&messages[at], &mut buffer).expect("reads");
            assert_eq!(&buffer[..length], PAYLOADS[at]);
            (sender, receiver) = (receiver, sender);
            at += 1;
        }
        assert_eq!(sender.get_handshake_hash(), hash);
        assert_eq!(receiver.get_handshake_hash(), hash);
        let mut sender = sender.into_transport_mode().expect("the handshake is over");
        let mut receiver = receiver.into_transport_mode().expect("the handshake is over");
        for (payload, message) in PAYLOADS.iter().zip(&messages).skip(at) {
            let length = sender.write_message(payload, &mut buffer).expect("writes");
            assert_eq!(buffer[..length], *message, "{name} after the handshake");
            let length = receiver.read_message(message, &mut buffer).expect("reads");
            assert_eq!(&buffer[..length], *payload);
            (sender, receiver) = (receiver, sender);
        }
        seen += 1;
    }
    assert_eq!(seen, 23);
}

#[test]
fn a_public_key_is_what_its_secret_gives() {
    let known: PublicKey =
        "31e0303fd6418d2f8c0e78b91f22e8caed0fbe48656dcf4767e4834f701b8f62".parse().expect("hex");
    assert_eq!(pair_of(RESPONDER[0]).public(), known);
}
