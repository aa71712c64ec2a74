//! What secures connections, made from the command line: certificates, keys, and whom to trust.

use crate::exit::Failure;
use crate::transport::{Layers, Rekey, SecurityArgs, TrustArgs, hex, parse_pin};
use rcgen::PublicKeyData;
use std::path::Path;
use windlass::noise::{KeyPair, Noise, Pattern, Protocol, PublicKey};
use windlass::tls::{ClientTls, ServerTls, Sessions};
use windlass::{Address, Connect, Listen};

/// Who a certificate made on the fly is for: this machine, as it knows itself.
const OWN_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// What HTTP/1.1 is called among application protocols (RFC 7301).
const ALPN_HTTP: &str = "http/1.1";

/// The server's end.
#[derive(Clone, Debug)]
pub struct ServerSide {
    tls: Option<ServerTls>,
    noise: Option<Noise>,
    /// By what clients can know it.
    pub identity: Identity,
}

/// By what a server is known where no authority vouches for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Identity {
    /// Its static Noise key; `None` without Noise, and where the pattern has none.
    pub public_key: Option<PublicKey>,
    /// The SHA-256 of the public key in its certificate.
    pub pin: Option<[u8; 32]>,
}

impl ServerSide {
    /// The server that `args` describe. Clients with a static Noise key must have one of `peers`, if there are any.
    pub fn new(layers: Layers, args: &SecurityArgs, peers: &[PublicKey]) -> Result<ServerSide, Failure> {
        let mut side = ServerSide { tls: None, noise: None, identity: Identity::default() };
        if layers.tls {
            let (tls, pin) = match (&args.cert, &args.key) {
                (Some(cert), Some(key)) => (ServerTls::from_pem_files(cert, key)?, pin_of_key(key)),
                _ => made_on_the_fly()?,
            };
            (side.tls, side.identity.pin) = (Some(tls), pin);
        }
        if layers.noise {
            let (noise, public_key) = responder(args, peers)?;
            (side.noise, side.identity.public_key) = (Some(noise), public_key);
        }
        Ok(side)
    }

    /// The listener with this security.
    pub fn secure(&self, mut listen: Listen) -> Listen {
        if let Some(tls) = &self.tls {
            listen = listen.tls(tls);
        }
        if let Some(noise) = &self.noise {
            listen = listen.noise(noise);
        }
        listen
    }

    /// The TLS whose files can be read again.
    pub fn tls(&self) -> Option<&ServerTls> {
        self.tls.as_ref()
    }
}

/// A client's end.
#[derive(Clone, Debug, Default)]
pub struct ClientSide {
    tls: Option<(ClientTls, String)>,
    noise: Option<Noise>,
}

/// What a client needs to know beside its flags.
#[derive(Clone, Copy, Debug)]
pub struct Server<'a> {
    /// The name that a certificate must have.
    pub host: &'a str,
    /// It speaks HTTP.
    pub speaks_http: bool,
    /// By what it is known, where we started it ourselves.
    pub identity: Option<Identity>,
}

impl Server<'_> {
    /// A server of our own, known by its keys.
    pub fn own(identity: Identity) -> Server<'static> {
        Server { host: "localhost", speaks_http: false, identity: Some(identity) }
    }
}

impl ClientSide {
    /// The client that `args` and `trust` describe.
    pub fn new(
        layers: Layers,
        args: &SecurityArgs,
        trust: &TrustArgs,
        keys: Option<&KeyPair>,
        server: Server<'_>,
    ) -> Result<ClientSide, Failure> {
        let mut side = ClientSide::default();
        if layers.tls {
            let name = trust.server_name.clone().unwrap_or_else(|| server.host.to_owned());
            side.tls = Some((client_tls(args, trust, server)?, name));
        }
        if layers.noise {
            let known = server.identity.map(|identity| identity.public_key.into_iter().collect());
            let peers = known.unwrap_or_else(|| args.noise_peer.clone());
            side.noise = Some(initiator(args, keys, &peers)?);
        }
        Ok(side)
    }

    /// The way to `address` with this security.
    pub fn connect(&self, address: Address) -> Connect {
        let mut connect = Connect::to(address);
        if let Some((tls, name)) = &self.tls {
            connect = connect.tls(tls, name);
        }
        if let Some(noise) = &self.noise {
            connect = connect.noise(noise);
        }
        connect
    }
}

// ---- TLS

fn client_tls(args: &SecurityArgs, trust: &TrustArgs, server: Server<'_>) -> Result<ClientTls, Failure> {
    let known = server.identity.map(|identity| identity.pin);
    let mut builder = match (known.unwrap_or(trust.server_pin), &trust.ca) {
        (Some(pin), _) => ClientTls::builder().pin_only([pin]),
        (None, Some(ca)) => ClientTls::builder().roots_file(ca),
        (None, None) => ClientTls::builder().platform_roots(),
    };
    // With the embedded server these are the server's.
    if let (Some(cert), Some(key), None) = (&args.cert, &args.key, server.identity) {
        builder = builder.identity_files(cert, key);
    }
    if server.speaks_http {
        builder = builder.alpn([ALPN_HTTP]);
    }
    builder = builder.sessions(trust.resume.then(Sessions::default));
    Ok(builder.build()?)
}

/// A certificate that nobody signed, and its pin.
fn made_on_the_fly() -> Result<(ServerTls, Option<[u8; 32]>), Failure> {
    let failed = |error| Failure::failed(format!("making a certificate on the fly: {error}"));
    let made = rcgen::generate_simple_self_signed(OWN_NAMES.map(str::to_owned)).map_err(failed)?;
    let tls = ServerTls::from_pem(made.cert.pem(), made.signing_key.serialize_pem())?;
    Ok((tls, Some(pin_of(&made.signing_key))))
}

/// Both ends of TLS for a simulation: a certificate of Ed25519, whose signatures are all of one length, so that the same
/// seed sends the same number of bytes; and a client that knows it by its pin.
pub fn pinned_for_simulation(name: &str) -> Result<(ServerTls, ClientTls), Failure> {
    let failed = |error| Failure::failed(format!("making a certificate on the fly: {error}"));
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).map_err(failed)?;
    let params = rcgen::CertificateParams::new(vec![name.to_owned()]).map_err(failed)?;
    let certificate = params.self_signed(&key).map_err(failed)?;
    let server = ServerTls::from_pem(certificate.pem(), key.serialize_pem())?;
    let client = ClientTls::builder().pin_only([pin_of(&key)]).sessions(None).build()?;
    Ok((server, client))
}

/// The pin of a certificate by its private key; `None` for kinds of keys that rcgen does not know.
fn pin_of_key(path: &Path) -> Option<[u8; 32]> {
    let pem = std::fs::read_to_string(path).ok()?;
    rcgen::KeyPair::from_pem(&pem).ok().map(|key| pin_of(&key))
}

fn pin_of(key: &rcgen::KeyPair) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &key.subject_public_key_info());
    digest.as_ref().try_into().expect("a SHA-256 has 32 bytes")
}

// ---- Noise

/// This end's static key: as given, or a new one.
pub fn own_keys(args: &SecurityArgs) -> Result<KeyPair, Failure> {
    Ok(match &args.noise_key {
        Some(path) => KeyPair::load(path)?,
        None => KeyPair::generate()?,
    })
}

fn responder(args: &SecurityArgs, peers: &[PublicKey]) -> Result<(Noise, Option<PublicKey>), Failure> {
    let protocol = args.protocol();
    let has_key = protocol.pattern != Pattern::NN;
    refuse_stray_key(args, protocol, has_key, "neither end")?;
    if matches!(protocol.pattern, Pattern::NK | Pattern::NN) && !peers.is_empty() {
        return Err(Failure::usage(format!(
            "with {protocol} a client has no key to know it by: leave --noise-peer out"
        )));
    }
    if !has_key {
        return Ok((tuned(Noise::unauthenticated_nn_responder(), args)?, None));
    }
    let keys = own_keys(args)?;
    let noise = match protocol.pattern {
        Pattern::NK => Noise::unauthenticated_nk_responder(&keys),
        _ if peers.is_empty() => Noise::responder(&keys),
        _ => Noise::responder(&keys).allow(peers.iter().copied()),
    };
    Ok((tuned(noise, args)?, Some(keys.public())))
}

fn initiator(args: &SecurityArgs, keys: Option<&KeyPair>, peers: &[PublicKey]) -> Result<Noise, Failure> {
    let protocol = args.protocol();
    if protocol.pattern == Pattern::NN {
        refuse_stray_key(args, protocol, false, "neither end")?;
        return tuned(Noise::unauthenticated_nn_initiator(), args);
    }
    let Some((first, others)) = peers.split_first() else {
        return Err(Failure::usage(
            "whoever connects must know the server's Noise key: add --noise-peer HEX, which `windlass serve` prints as \
             its public key",
        ));
    };
    let noise = if protocol.pattern == Pattern::NK {
        Noise::unauthenticated_nk_initiator(*first)
    } else {
        match keys {
            Some(keys) => Noise::initiator(keys, *first),
            None => Noise::initiator(&own_keys(args)?, *first),
        }
    };
    let noise = if others.is_empty() { noise } else { noise.allow(others.iter().copied()) };
    tuned(noise, args)
}

fn refuse_stray_key(
    args: &SecurityArgs,
    protocol: Protocol,
    has_key: bool,
    who: &str,
) -> Result<(), Failure> {
    if has_key || args.noise_key.is_none() {
        return Ok(());
    }
    Err(Failure::usage(format!("with {protocol} {who} has a key: leave --noise-key out")))
}

/// What both ends must agree on.
fn tuned(noise: Noise, args: &SecurityArgs) -> Result<Noise, Failure> {
    let protocol = args.protocol();
    let mut noise = noise.protocol(protocol).prologue(args.prologue().as_bytes());
    match args.noise_rekey {
        Some(Rekey::Off) => noise = noise.rekey_after(None),
        Some(Rekey::Every(messages)) => noise = noise.rekey_after(Some(messages)),
        None => {}
    }
    let positions: Vec<u8> = protocol.psk_positions().collect();
    match (&args.noise_psk, positions.is_empty()) {
        (None, true) => Ok(noise),
        (Some(path), false) => {
            let key = secret_in(path)?;
            Ok(positions.into_iter().fold(noise, |noise, position| noise.psk(position, &key)))
        }
        (None, false) => {
            Err(Failure::usage(format!("{protocol} has a pre-shared key: add --noise-psk FILE")))
        }
        (Some(_), true) => Err(Failure::usage(format!(
            "{protocol} has no pre-shared key: leave --noise-psk out, or name a pattern with psk0 to psk3"
        ))),
    }
}

/// A file with 32 bytes in hex.
fn secret_in(path: &Path) -> Result<[u8; 32], Failure> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::failed(format!("--noise-psk {shown}: the file could not be read: {error}"))
    })?;
    // What the file holds is not repeated: it is a secret, even if it is none of ours.
    parse_pin(text.trim()).map_err(|_| {
        Failure::usage(format!("--noise-psk {shown}: the file must hold 32 bytes as 64 hex digits"))
    })
}

// ---- what `serve` prints, and `bench --profile` reads

impl Identity {
    /// A line for each.
    pub fn lines(&self) -> String {
        let key = self.public_key.map(|key| format!("public key {key}\n"));
        let pin = self.pin.map(|pin| format!("pin {}\n", hex(&pin)));
        key.into_iter().chain(pin).collect()
    }

    /// Takes in a line of those.
    pub fn read_line(&mut self, line: &str) {
        let line = line.trim();
        if let Some(key) = line.strip_prefix("public key ") {
            self.public_key = key.parse().ok();
        } else if let Some(pin) = line.strip_prefix("pin ") {
            self.pin = parse_pin(pin).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_prints_reads_back() {
        let keys = KeyPair::generate().unwrap();
        let identity = Identity { public_key: Some(keys.public()), pin: Some([0xa5; 32]) };
        let mut read = Identity::default();
        identity.lines().lines().for_each(|line| read.read_line(line));
        assert_eq!(read, identity);
        assert!(identity.lines().starts_with("public key "), "{}", identity.lines());
        assert_eq!(Identity::default().lines(), "");
    }
}
