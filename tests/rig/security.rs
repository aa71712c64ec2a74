//! Ways to secure connections, with keys and certificates made for the occasion, for tests that run over all of
//! them.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::sync::OnceLock;
use windlass::noise::{self, Noise};
use windlass::tls::{ClientTls, ServerTls};
use windlass::{Connect, Listen};

/// How connections are secured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Plain,
    Tls,
    Noise,
    TlsNoise,
}

pub const ALL: [Kind; 4] = [Kind::Plain, Kind::Tls, Kind::Noise, Kind::TlsNoise];

/// An authority and a certificate of it for `localhost`.
pub struct Authority {
    pub ca_pem: String,
    pub cert_pem: String,
    pub key_pem: String,
}

pub fn authority() -> &'static Authority {
    static MADE: OnceLock<Authority> = OnceLock::new();
    MADE.get_or_init(|| {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec!["localhost".into()]).unwrap().signed_by(&key, &ca).unwrap();
        Authority { ca_pem: ca.pem(), cert_pem: leaf.pem(), key_pem: key.serialize_pem() }
    })
}

pub fn server_tls() -> ServerTls {
    let made = authority();
    ServerTls::from_pem(made.cert_pem.as_bytes(), made.key_pem.as_bytes()).unwrap()
}

pub fn client_tls() -> ClientTls {
    ClientTls::builder().roots_pem(authority().ca_pem.as_bytes()).build().unwrap()
}

/// The responder's and the initiator's.
pub fn keys() -> &'static (noise::KeyPair, noise::KeyPair) {
    static MADE: OnceLock<(noise::KeyPair, noise::KeyPair)> = OnceLock::new();
    MADE.get_or_init(|| (noise::KeyPair::generate().unwrap(), noise::KeyPair::generate().unwrap()))
}

impl Kind {
    pub fn listen(self, listen: Listen) -> Listen {
        match self {
            Kind::Plain => listen,
            Kind::Tls => listen.tls(&server_tls()),
            Kind::Noise => listen.noise(&Noise::responder(&keys().0)),
            Kind::TlsNoise => listen.tls(&server_tls()).noise(&Noise::responder(&keys().0)),
        }
    }

    pub fn connect(self, connect: Connect) -> Connect {
        match self {
            Kind::Plain => connect,
            Kind::Tls => connect.tls(&client_tls(), "localhost"),
            Kind::Noise => connect.noise(&Noise::initiator(&keys().1, keys().0.public())),
            Kind::TlsNoise => Kind::Noise.connect(Kind::Tls.connect(connect)),
        }
    }
}
