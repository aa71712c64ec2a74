//! How connections of the swarm are secured. Keys are Ed25519 and Curve25519, whose signatures and shares have one
//! length only; what a client remembers of servers is made afresh for each run.

use std::sync::OnceLock;
use std::time::Duration;
use windlass::noise::{self, Noise};
use windlass::sim::tls;
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

fn noise_keys() -> &'static [noise::KeyPair; 2] {
    static MADE: OnceLock<[noise::KeyPair; 2]> = OnceLock::new();
    MADE.get_or_init(|| [(); 2].map(|()| noise::KeyPair::generate().expect("a key")))
}

impl Keys {
    /// Keys for a run in which Noise changes them after so many messages, and its sessions live that long.
    pub fn new(rekey_after: Option<u64>, session_max: Option<Duration>) -> Keys {
        let noise = noise_keys();
        Keys {
            server: tls::server().build().expect("a server's keys"),
            client: tls::client().build().expect("a client's roots"),
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
            Kind::Tls => connect.tls(&self.client, "swarm.sim.test"),
            Kind::Noise => connect.noise(&self.initiator),
            Kind::TlsNoise => connect.tls(&self.client, "swarm.sim.test").noise(&self.initiator),
        }
    }
}
