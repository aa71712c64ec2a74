//! What carries the bytes: the flags that say how connections are secured, and which of them go together.

use crate::exit::Failure;
use clap::{Args, ValueEnum};
use std::ffi::OsString;
use std::path::PathBuf;
use windlass::noise::{Pattern, Protocol, PublicKey};

/// What every peer must say the same before it is understood.
const PROLOGUE: &str = "windlass/1";

/// `--transport`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Transport {
    /// TCP, IPv4 or IPv6.
    Tcp,
    /// A Unix stream socket.
    Unix,
    /// TLS 1.3, over TCP or a Unix socket.
    Tls,
    /// The Noise protocol, over TCP or a Unix socket.
    Noise,
    /// Noise inside TLS.
    #[value(name = "tls+noise")]
    TlsNoise,
}

impl Transport {
    /// As it is written on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Transport::Tcp => "tcp",
            Transport::Unix => "unix",
            Transport::Tls => "tls",
            Transport::Noise => "noise",
            Transport::TlsNoise => "tls+noise",
        }
    }

    /// What secures its bytes.
    pub fn layers(self) -> Layers {
        Layers {
            tls: matches!(self, Transport::Tls | Transport::TlsNoise),
            noise: matches!(self, Transport::Noise | Transport::TlsNoise),
        }
    }
}

/// What secures the bytes of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Layers {
    pub tls: bool,
    pub noise: bool,
}

/// The flags of both ends.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Security")]
pub struct SecurityArgs {
    /// Certificate chain in PEM, the own certificate first. A server shows it to its clients; without it one is made on
    /// the fly. `load`, and `bench` with a target, show it to servers that ask for one.
    #[arg(long, value_name = "FILE", requires = "key")]
    pub cert: Option<PathBuf>,
    /// The private key of --cert in PEM.
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub key: Option<PathBuf>,
    /// This end's static Noise key: a file with 32 bytes in hex. Without it one is made on the fly.
    #[arg(long, value_name = "FILE")]
    pub noise_key: Option<PathBuf>,
    /// Pre-shared key of a pattern such as `XKpsk3`: a file with 32 bytes in hex.
    #[arg(long, value_name = "FILE")]
    pub noise_psk: Option<PathBuf>,
    /// The full protocol name of Noise, which both ends must agree on: XK, XX, IK, KK, NK or NN (and psk0 to psk3);
    /// AESGCM or ChaChaPoly; SHA256, SHA512, BLAKE2s or BLAKE2b. [default: Noise_XK_25519_AESGCM_SHA256]
    #[arg(long, value_name = "NAME", value_parser = parse_protocol)]
    pub noise_pattern: Option<Protocol>,
    /// A text that both ends mix into the handshake, which fails unless it is the same. [default: windlass/1]
    #[arg(long, value_name = "TEXT")]
    pub noise_prologue: Option<String>,
    /// Messages after which a direction changes its key: a number, or `off` for peers that do not. Both ends must agree.
    /// [default: 1048576]
    #[arg(long, value_name = "off|N", value_parser = parse_rekey)]
    pub noise_rekey: Option<Rekey>,
    /// The other end's public Noise key, in hex. `load` and `bench` need it where the pattern has them know it
    /// beforehand, as XK, IK, KK and NK do: `serve` prints its own. `serve` then takes no other peer; repeat it for more.
    #[arg(long, value_name = "HEX", value_parser = parse_public_key)]
    pub noise_peer: Vec<PublicKey>,
}

/// The flags of a client: whom to trust, and what to remember.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Security")]
pub struct TrustArgs {
    /// What carries the bytes. Default: what the target's name says (`https://` and `rediss://` are tls, `unix:` is unix),
    /// else tcp.
    #[arg(long, value_enum, value_name = "TRANSPORT")]
    pub transport: Option<Transport>,
    /// Certificate authorities to trust instead of the system's: a PEM file.
    #[arg(long, value_name = "FILE", conflicts_with = "server_pin")]
    pub ca: Option<PathBuf>,
    /// Trust the server by its public key and nothing else: the SHA-256 of it in hex, which `serve` prints as its pin. No
    /// name, no expiry and no authority is looked at. For servers whose certificate nobody signed.
    #[arg(long, value_name = "HEX", value_parser = parse_pin)]
    pub server_pin: Option<[u8; 32]>,
    /// The name that the server's certificate must have. Default: the host of the target.
    #[arg(long, value_name = "NAME")]
    pub server_name: Option<String>,
    /// Resume earlier TLS sessions where the server gave a ticket. A client keeps 8 tickets of a server, so that with more
    /// handshakes at a time some are full ones. Without this all are.
    #[arg(long)]
    pub resume: bool,
}

/// `--noise-rekey`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rekey {
    Off,
    Every(u64),
}

impl SecurityArgs {
    /// The protocol to speak.
    pub fn protocol(&self) -> Protocol {
        self.noise_pattern.unwrap_or(Protocol::new(Pattern::XK))
    }

    /// What both ends mix in.
    pub fn prologue(&self) -> &str {
        self.noise_prologue.as_deref().unwrap_or(PROLOGUE)
    }

    /// Refuses flags that do nothing with these layers: whoever gave them should know.
    pub fn refuse_strays(&self, layers: Layers) -> Result<(), Failure> {
        if self.cert.is_some() && !layers.tls {
            return Err(Failure::usage(
                "--cert and --key are for TLS: add --transport tls or tls+noise, or leave them out",
            ));
        }
        let of_noise = [
            ("--noise-key", self.noise_key.is_some()),
            ("--noise-psk", self.noise_psk.is_some()),
            ("--noise-pattern", self.noise_pattern.is_some()),
            ("--noise-prologue", self.noise_prologue.is_some()),
            ("--noise-rekey", self.noise_rekey.is_some()),
            ("--noise-peer", !self.noise_peer.is_empty()),
        ];
        match of_noise.into_iter().find(|(_, given)| *given && !layers.noise) {
            Some((flag, _)) => Err(Failure::usage(format!(
                "{flag} is for Noise: add --transport noise or tls+noise, or leave it out"
            ))),
            None => Ok(()),
        }
    }

    /// The words that make `windlass serve` a server like the one that these make.
    pub fn of_server(&self) -> Vec<OsString> {
        let mut words: Vec<OsString> = Vec::new();
        let mut add = |flag: &str, value: Option<OsString>| {
            words.extend(value.map(|value| [flag.into(), value]).into_iter().flatten());
        };
        let path = |path: &Option<PathBuf>| path.clone().map(PathBuf::into_os_string);
        add("--cert", path(&self.cert));
        add("--key", path(&self.key));
        add("--noise-key", path(&self.noise_key));
        add("--noise-psk", path(&self.noise_psk));
        add("--noise-pattern", self.noise_pattern.map(|protocol| protocol.to_string().into()));
        add("--noise-prologue", self.noise_prologue.clone().map(OsString::from));
        add(
            "--noise-rekey",
            self.noise_rekey.map(|rekey| match rekey {
                Rekey::Off => "off".into(),
                Rekey::Every(messages) => messages.to_string().into(),
            }),
        );
        words
    }
}

impl TrustArgs {
    /// The same for what only a client can be told.
    pub fn refuse_strays(&self, layers: Layers) -> Result<(), Failure> {
        match self.given().filter(|_| !layers.tls) {
            Some(flag) => Err(Failure::usage(format!(
                "{flag} is for TLS: add --transport tls or tls+noise, or leave it out"
            ))),
            None => Ok(()),
        }
    }

    /// Refuses flags about whom to trust where that is settled.
    pub fn refuse_for_own_server(&self, args: &SecurityArgs) -> Result<(), Failure> {
        let peer = (!args.noise_peer.is_empty()).then_some("--noise-peer");
        match self.given().filter(|flag| *flag != "--resume").or(peer) {
            Some(flag) => Err(Failure::usage(format!(
                "{flag} is about a server elsewhere, and the embedded one is known by its own key: name a target, or leave \
                 {flag} out"
            ))),
            None => Ok(()),
        }
    }

    /// The first flag of TLS that was given.
    fn given(&self) -> Option<&'static str> {
        let all = [
            ("--ca", self.ca.is_some()),
            ("--server-pin", self.server_pin.is_some()),
            ("--server-name", self.server_name.is_some()),
            ("--resume", self.resume),
        ];
        all.into_iter().find(|(_, given)| *given).map(|(flag, _)| flag)
    }
}

fn parse_protocol(text: &str) -> Result<Protocol, String> {
    text.parse().map_err(|error: windlass::Error| error.to_string())
}

fn parse_public_key(text: &str) -> Result<PublicKey, String> {
    text.parse().map_err(|error: windlass::Error| error.to_string())
}

fn parse_rekey(text: &str) -> Result<Rekey, String> {
    if text == "off" {
        return Ok(Rekey::Off);
    }
    match text.parse() {
        Ok(messages @ 1..) => Ok(Rekey::Every(messages)),
        _ => Err(format!("'{text}' is no number of messages: write one above 0, or off")),
    }
}

/// 32 bytes in hex.
pub fn parse_pin(text: &str) -> Result<[u8; 32], String> {
    let refusal = || format!("'{text}' is no pin: that is the SHA-256 of a public key, 64 hex digits");
    let mut pin = [0; 32];
    if text.len() != 2 * pin.len() || !text.is_ascii() {
        return Err(refusal());
    }
    for (place, byte) in pin.iter_mut().enumerate() {
        let digits = &text[2 * place..2 * place + 2];
        // Not `from_str_radix` alone, which takes a sign.
        *byte =
            u8::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+')).ok_or_else(refusal)?;
    }
    Ok(pin)
}

/// 32 bytes as people read them.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_are_64_hex_digits() {
        let pin = std::array::from_fn(|n| n as u8 * 7);
        assert_eq!(parse_pin(&hex(&pin)), Ok(pin));
        assert_eq!(parse_pin(&hex(&pin).to_uppercase()), Ok(pin));
        for text in ["", "00", &"0".repeat(63), &"g".repeat(64), &"+1".repeat(32), &"é".repeat(32)] {
            assert!(parse_pin(text).unwrap_err().contains("is no pin"), "{text}");
        }
    }

    #[test]
    fn rekeying_is_off_or_after_a_number() {
        assert_eq!((parse_rekey("off"), parse_rekey("1000")), (Ok(Rekey::Off), Ok(Rekey::Every(1_000))));
        for text in ["", "0", "-1", "on", "1e3"] {
            assert!(parse_rekey(text).is_err(), "{text}");
        }
    }
}
