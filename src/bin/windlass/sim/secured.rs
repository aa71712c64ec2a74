//! What secures the connections of a scenario: keys and certificates made for it.

use crate::exit::Failure;
use crate::security::pinned_for_simulation;
use clap::ValueEnum;
use windlass::noise::{KeyPair, Noise};
use windlass::scenario::Secured;
use windlass::{Address, Connect};

/// The name in the certificate.
const NAME: &str = "node.sim";

/// Round trips of a full handshake of TLS 1.3, and of Noise XK, until whoever connected may send.
const ROUND_TRIPS: u32 = 1;

/// `--secure`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum SecureName {
    /// TLS 1.3 with a certificate of Ed25519.
    Tls,
    /// The Noise protocol, XK.
    Noise,
}

impl SecureName {
    /// Keys for all nodes: one pair, which all have.
    pub fn make(self) -> Result<Secured, Failure> {
        match self {
            SecureName::Tls => {
                let (server, client) = pinned_for_simulation(NAME)?;
                Ok(Secured::new(
                    "tls",
                    ROUND_TRIPS,
                    move |listen| listen.tls(&server),
                    move |address| Connect::to(Address::Inet(address)).tls(&client, NAME),
                ))
            }
            SecureName::Noise => {
                let keys = KeyPair::generate()?;
                let responder = Noise::responder(&keys).allow([keys.public()]);
                let initiator = Noise::initiator(&keys, keys.public());
                Ok(Secured::new(
                    "noise",
                    ROUND_TRIPS,
                    move |listen| listen.noise(&responder),
                    move |address| Connect::to(Address::Inet(address)).noise(&initiator),
                ))
            }
        }
    }
}
