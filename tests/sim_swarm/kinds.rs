//! How connections of the swarm are secured. Keys are Ed25519 and Curve25519, whose signatures and shares have one
//! length only; what a client remembers of servers is made afresh for each run.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, PKCS_ED25519};
use std::sync::OnceLock;
use std::time::Duration;
use windlass::noise::{self, Noise};
use windlass::tls::{ClientTls, ServerTls};
use windlass::{Connect, Listen};

/// How a connection is secured; its listener's port says which.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Plain,
    Tls,
    Noise,
    TlsNoise,
}

pub const ALL: [Kind; 4] = [Kind::Plain, Kind::Tls, Kind::Noise, Kind::TlsNoise];

impl Kind {
    pub const fn port(self) -> u16 {
        7000 + self as u16
    }
}

/// Keys of all hosts of a run.
#[derive(Debug)]
pub struct Keys {
    server: ServerTls,
    client: ClientTls,
    responder: Noise,
    initiator: Noise,
}

struct Made {
    ca_pem: String,
    cert_pem: String,
    key_pem: String,
    noise: [noise::KeyPair; 2],
}

fn made() -> &'static Made {
    static MADE: OnceLock<Made> = OnceLock::new();
    MADE.get_or_init(|| {
        let key = || KeyPair::generate_for(&PKCS_ED25519).expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, key()).expect("an authority");
        let leaf_key = key();
        let leaf = CertificateParams::new(vec!["swarm".into()]).expect("a name");
        let leaf = leaf.signed_by(&leaf_key, &ca).expect("a certificate");
        let noise = [(); 2].map(|()| noise::KeyPair::generate().expect("a key"));
        Made { ca_pem: ca.pem(), cert_pem: leaf.pem(), key_pem: leaf_key.serialize_pem(), noise }
    })
}

impl Keys {
    /// Keys for a run in which Noise changes them after so many messages, and its sessions live that long.
    pub fn new(rekey_after: Option<u64>, session_max: Option<Duration>) -> Keys {
        let Made { ca_pem, cert_pem, key_pem, noise } = made();
        Keys {
            server: ServerTls::from_pem(cert_pem.as_bytes(), key_pem.as_bytes()).expect("a server's keys"),
            client: ClientTls::builder().roots_pem(ca_pem.as_bytes()).build().expect("a client's roots"),
            responder: Noise::responder(&noise[0]).rekey_after(rekey_after).session_max(session_max),
            initiator: Noise::initiator(&noise[1], noise[0].public())
                .rekey_after(rekey_after)
                .session_max(session_max),
        }
    }

    pub fn listen(&self, kind: Kind, listen: Listen) -> Listen {
        match kind {
            Kind::Plain => listen,
            Kind::Tls => listen.tls(&self.server),
            Kind::Noise => listen.noise(&self.responder),
            Kind::TlsNoise => listen.tls(&self.server).noise(&self.responder),
        }
    }

    pub fn connect(&self, kind: Kind, connect: Connect) -> Connect {
        match kind {
            Kind::Plain => connect,
            Kind::Tls => connect.tls(&self.client, "swarm"),
            Kind::Noise => connect.noise(&self.initiator),
            Kind::TlsNoise => connect.tls(&self.client, "swarm").noise(&self.initiator),
        }
    }
}
