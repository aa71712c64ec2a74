//! Python's `noiseprotocol` with our Noise, as initiator and as responder: patterns, suites, rekey, and who is refused.
//!
//! The other end is `noise_peer.py`, which follows the rule that `Noise::rekey_after` states.

use crate::ours::{Client, Server};
use crate::rig::{Tool, can_use_if};
use std::net::SocketAddr;
use std::process::Command;
use windlass::error::Cause;
use windlass::noise::{KeyPair, Noise, Pattern, Protocol, PublicKey};
use windlass::{Connect, Listen, NoiseSession};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/noise_peer.py");
const PSK: [u8; 32] = [7; 32];

/// Keys renewed this often are renewed several times within what a test sends, and not at the same time both ways.
const REKEY: u64 = 3;

const XK: &str = "Noise_XK_25519_AESGCM_SHA256";

/// Protocols that both know, and after how many messages they rekey, 0 for never.
const CASES: [(&str, u64); 7] = [
    (XK, 0),
    (XK, REKEY),
    ("Noise_XX_25519_AESGCM_SHA256", REKEY),
    ("Noise_XK_25519_ChaChaPoly_BLAKE2s", REKEY),
    ("Noise_XX_25519_ChaChaPoly_SHA512", 0),
    ("Noise_XXpsk3_25519_AESGCM_BLAKE2b", REKEY),
    ("Noise_IK_25519_ChaChaPoly_SHA256", REKEY),
];

/// A Python that has the package: the system's, or the one that `.ci/run` makes. `None`, and said so, without.
fn python() -> Option<String> {
    let made = concat!(env!("CARGO_MANIFEST_DIR"), "/target/python/bin/python3");
    let has_it = |program: &&str| {
        let import = Command::new(program).args(["-c", "import noise.connection"]).output();
        import.is_ok_and(|output| output.status.success())
    };
    let found = ["python3", made].into_iter().find(has_it).map(ToOwned::to_owned);
    can_use_if(found.is_some(), "Python package noiseprotocol").then_some(found?)
}

/// Both ends' keys, ours first.
struct Keys {
    ours: KeyPair,
    theirs: KeyPair,
}

impl Keys {
    fn new() -> Keys {
        Keys {
            ours: KeyPair::generate().expect("randomness"),
            theirs: KeyPair::generate().expect("randomness"),
        }
    }

    /// What the Python end is told; `peer` where the pattern presumes that our key is known to it.
    fn arguments(&self, protocol: &str, rekey: u64, peer: bool) -> Vec<String> {
        let mut all = vec!["--key".into(), self.theirs.secret_hex(), "--rekey".into(), rekey.to_string()];
        all.extend(["--prologue".into(), "windlass/1".into()]);
        if peer {
            all.extend(["--peer".into(), self.ours.public().to_string()]);
        }
        if protocol.contains("psk") {
            all.extend(["--psk".into(), PublicKey::from(PSK).to_string()]);
        }
        all
    }
}

fn start(python: &str, role: &[&str], more: &[String]) -> Tool {
    let mut arguments = vec![SCRIPT];
    arguments.extend(role);
    arguments.extend(more.iter().map(String::as_str));
    Tool::start(python, &arguments)
}

/// A side of ours that speaks `protocol` and knows the other's key if the pattern wants it to.
fn speaking(noise: Noise, protocol: &str, rekey: u64) -> Noise {
    let noise = noise.protocol(protocol.parse::<Protocol>().expect("a protocol of ours"));
    let noise = if protocol.contains("psk3") { noise.psk(3, &PSK) } else { noise };
    noise.rekey_after((rekey > 0).then_some(rekey))
}

/// Both ends name each other's key and agree on what was said.
#[track_caller]
fn agree(session: &NoiseSession, protocol: &str, keys: &Keys, theirs: &mut Tool) {
    assert_eq!(session.protocol, protocol);
    assert_eq!(session.peer, Some(*keys.theirs.public().as_bytes()));
    assert_eq!(theirs.says_after("peer "), keys.ours.public().to_string());
    assert_eq!(theirs.says_after("hash "), hex(&session.handshake_hash));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn noiseprotocol_connects_to_us() {
    let Some(python) = python() else { return };
    for (protocol, rekey) in CASES {
        let keys = Keys::new();
        let noise = speaking(Noise::responder(&keys.ours).allow([keys.theirs.public()]), protocol, rekey);
        let server = Server::start(Listen::tcp("127.0.0.1:0").noise(&noise));
        let knows_us = !protocol.contains("_XX");
        let (address, more) = (server.address.to_string(), keys.arguments(protocol, rekey, knows_us));
        let mut theirs = start(&python, &["connect", protocol, &address], &more);
        agree(&server.opened().noise.expect("Noise"), protocol, &keys, &mut theirs);
        // It compares every byte that came back, over more messages than it sent.
        assert!(theirs.ends_well().contains("sent 20 received "));
        assert_eq!(server.closed().cause(), Cause::PeerClosed, "{protocol}, rekey {rekey}");
    }
}

#[test]
fn noiseprotocol_is_connected_to() {
    let Some(python) = python() else { return };
    for (protocol, rekey) in CASES {
        let keys = Keys::new();
        let mut theirs = start(&python, &["listen", protocol], &keys.arguments(protocol, rekey, false));
        let address: SocketAddr = theirs.says_after("listening on ").parse().expect("an address");
        let noise = speaking(Noise::initiator(&keys.ours, keys.theirs.public()), protocol, rekey);
        let mut client = Client::connect(Connect::to(address).noise(&noise));
        agree(&client.opened().noise.expect("Noise"), protocol, &keys, &mut theirs);
        for number in 0..20_usize {
            let said: Vec<u8> = (0..number * 3449).map(|place| ((place + number) % 251) as u8).collect();
            client.is_echoed(&said);
        }
        assert_eq!(client.close().cause(), Cause::Closed);
        let said = theirs.ends_well();
        assert!(said.contains("\nsent "), "{protocol}, rekey {rekey}: {said}");
    }
}

/// One end counts to three, the other does not: the fourth message cannot be opened.
#[test]
fn a_rekey_that_only_one_end_makes_is_noticed() {
    let Some(python) = python() else { return };
    let (keys, protocol) = (Keys::new(), XK);
    let noise = speaking(Noise::responder(&keys.ours), protocol, 0);
    let server = Server::start(Listen::tcp("127.0.0.1:0").noise(&noise));
    let address = server.address.to_string();
    let theirs = start(&python, &["connect", protocol, &address], &keys.arguments(protocol, REKEY, true));
    server.opened();
    assert_eq!(server.closed().cause(), Cause::Tampered);
    assert!(!theirs.end().0.success());
}

#[test]
fn noiseprotocol_with_another_key_never_opens() {
    let Some(python) = python() else { return };
    let (keys, others) = (Keys::new(), Keys::new());
    for protocol in ["Noise_XK_25519_AESGCM_SHA256", "Noise_XX_25519_AESGCM_SHA256"] {
        let noise = speaking(Noise::responder(&keys.ours).allow([others.theirs.public()]), protocol, 0);
        let server = Server::start(Listen::tcp("127.0.0.1:0").noise(&noise));
        let (address, knows_us) = (server.address.to_string(), protocol.contains("_XK"));
        let theirs = start(&python, &["connect", protocol, &address], &keys.arguments(protocol, 0, knows_us));
        assert_eq!(server.closed().cause(), Cause::KeyNotAllowed, "{protocol}");
        assert!(!theirs.end().0.success(), "{protocol}");
    }
}

#[test]
fn noiseprotocol_that_is_not_whom_we_want_never_opens() {
    let Some(python) = python() else { return };
    let (keys, others) = (Keys::new(), Keys::new());
    for (pattern, cause) in [(Pattern::XK, Cause::HandshakeCut), (Pattern::XX, Cause::KeyNotAllowed)] {
        let protocol = Protocol::new(pattern).to_string();
        let mut theirs = start(&python, &["listen", &protocol], &keys.arguments(&protocol, 0, false));
        let address: SocketAddr = theirs.says_after("listening on ").parse().expect("an address");
        let noise = Noise::initiator(&keys.ours, others.theirs.public()).pattern(pattern);
        let mut client = Client::connect(Connect::to(address).noise(&noise));
        assert_eq!(client.closed().cause(), cause, "{protocol}");
        assert!(!theirs.end().0.success(), "{protocol}");
    }
}

#[test]
fn another_prologue_or_pattern_or_shared_key_never_opens() {
    let Some(python) = python() else { return };
    let (keys, protocol) = (Keys::new(), XK);
    let ours = Noise::responder(&keys.ours);
    let different = [ours.clone().prologue(b"windlass/2"), ours.clone().psk(3, &PSK)];
    for noise in different {
        let server = Server::start(Listen::tcp("127.0.0.1:0").noise(&noise));
        let address = server.address.to_string();
        let theirs = start(&python, &["connect", protocol, &address], &keys.arguments(protocol, 0, true));
        assert_eq!(server.closed().cause(), Cause::Tampered, "{}", noise.protocol_name());
        assert!(!theirs.end().0.success());
    }
}
