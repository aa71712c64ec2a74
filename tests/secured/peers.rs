//! Peers that are no windlass: bytes over a socket, rustls over one, hand-made records, and somebody in the middle.

use crate::security::authority;
use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, ConnectionTrafficSecrets, RootCertStore};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

/// The types of TLS records.
pub const ALERT: u8 = 21;
pub const HANDSHAKE: u8 = 22;
pub const APPLICATION_DATA: u8 = 23;

/// How a stream ended, as its reader sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    Fin,
    Reset,
}

/// A socket that never blocks, and everything it received.
pub struct Raw {
    pub stream: TcpStream,
    pub got: Vec<u8>,
    pub end: Option<End>,
    unsent: Vec<u8>,
}

impl Raw {
    pub fn connect(address: SocketAddr) -> Raw {
        Raw::over(TcpStream::connect(address).unwrap())
    }

    pub fn over(stream: TcpStream) -> Raw {
        stream.set_nonblocking(true).unwrap();
        stream.set_nodelay(true).unwrap();
        Raw { stream, got: Vec::new(), end: None, unsent: Vec::new() }
    }

    /// Sends, now or with the next pump; to a peer that is gone it goes nowhere.
    pub fn send(&mut self, bytes: &[u8]) {
        self.unsent.extend_from_slice(bytes);
        self.pump();
    }

    /// Writes what is left and reads what is there.
    pub fn pump(&mut self) {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(n) => _ = self.unsent.drain(..n),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => self.unsent.clear(),
            }
        }
        let mut area = [0; 65_536];
        while self.end.is_none() {
            match self.stream.read(&mut area) {
                Ok(0) => self.end = Some(End::Fin),
                Ok(n) => self.got.extend_from_slice(&area[..n]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => self.end = Some(End::Reset),
            }
        }
    }

    /// Ends the sending side.
    pub fn finish(&mut self) {
        self.pump();
        assert!(self.unsent.is_empty(), "finished with bytes unsent");
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Drops the socket so that the other end sees a reset.
    pub fn reset(self) {
        rustix::net::sockopt::set_socket_linger(&self.stream, Some(std::time::Duration::ZERO)).unwrap();
    }
}

/// Whole TLS records at the front of `wire`: type and length, header not counted.
pub fn tls_records(mut wire: &[u8]) -> Vec<(u8, usize)> {
    let mut records = Vec::new();
    while let Some(&[kind, _, _, high, low]) = wire.first_chunk() {
        let length = usize::from(u16::from_be_bytes([high, low]));
        let Some(rest) = wire.get(5 + length..) else { break };
        records.push((kind, length));
        wire = rest;
    }
    records
}

/// The configuration of a client that trusts the tests' authority.
pub fn rustls_client() -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority().ca_pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.enable_secret_extraction = true;
    // So that tests count on what comes after the handshake.
    config.resumption = rustls::client::Resumption::disabled();
    config
}

/// rustls as a client, over a socket.
pub struct TlsPeer {
    pub raw: Raw,
    pub tls: ClientConnection,
    /// What was decrypted.
    pub plain: Vec<u8>,
    pub finished: bool,
    pub error: Option<rustls::Error>,
    read: usize,
}

impl TlsPeer {
    pub fn connect(address: SocketAddr) -> TlsPeer {
        TlsPeer::with(address, rustls_client())
    }

    pub fn with(address: SocketAddr, config: ClientConfig) -> TlsPeer {
        let tls =
            ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap();
        TlsPeer { raw: Raw::connect(address), tls, plain: Vec::new(), finished: false, error: None, read: 0 }
    }

    /// What rustls wants to send next.
    pub fn outgoing(&mut self) -> Vec<u8> {
        let mut wire = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut wire).unwrap();
        }
        wire
    }

    /// Seals, without sending.
    pub fn seal(&mut self, plain: &[u8]) -> Vec<u8> {
        self.tls.writer().write_all(plain).unwrap();
        self.outgoing()
    }

    /// Takes what came and sends what rustls wants.
    pub fn pump(&mut self) {
        self.take();
        let wire = self.outgoing();
        self.raw.send(&wire);
    }

    /// Takes what came, without answering.
    pub fn take(&mut self) {
        self.raw.pump();
        while self.read < self.raw.got.len() && self.error.is_none() {
            let mut rest = &self.raw.got[self.read..];
            let before = rest.len();
            self.tls.read_tls(&mut rest).unwrap();
            self.read += before - rest.len();
            match self.tls.process_new_packets() {
                Ok(state) => {
                    self.finished |= state.peer_has_closed();
                    let from = self.plain.len();
                    self.plain.resize(from + state.plaintext_bytes_to_read(), 0);
                    self.tls.reader().read_exact(&mut self.plain[from..]).unwrap();
                }
                Err(error) => self.error = Some(error),
            }
            if before == rest.len() {
                break;
            }
        }
    }

    /// Whether the handshake is over on this side.
    pub fn is_open(&self) -> bool {
        !self.tls.is_handshaking()
    }

    /// Takes the keys away from rustls, to seal what rustls would not.
    pub fn forge(self) -> (Raw, Forge) {
        let secrets = self.tls.dangerous_extract_secrets().unwrap();
        let (sequence, secrets) = secrets.tx;
        let (algorithm, key, iv) = match &secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (&AES_128_GCM, key, iv),
            ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (&AES_256_GCM, key, iv),
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (&CHACHA20_POLY1305, key, iv),
            _ => panic!("another suite"),
        };
        let key = LessSafeKey::new(UnboundKey::new(algorithm, key.as_ref()).unwrap());
        (self.raw, Forge { key, iv: iv.as_ref().try_into().unwrap(), sequence })
    }
}

/// Seals TLS 1.3 records of any type and content.
pub struct Forge {
    key: LessSafeKey,
    iv: [u8; 12],
    sequence: u64,
}

impl Forge {
    pub fn record(&mut self, kind: u8, content: &[u8]) -> Vec<u8> {
        let mut inner = content.to_vec();
        inner.push(kind);
        let length = u16::try_from(inner.len() + 16).unwrap().to_be_bytes();
        let header = [APPLICATION_DATA, 3, 3, length[0], length[1]];
        let mut nonce = self.iv;
        nonce[4..].iter_mut().zip(self.sequence.to_be_bytes()).for_each(|(a, b)| *a ^= b);
        self.sequence += 1;
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.key.seal_in_place_append_tag(nonce, Aad::from(header), &mut inner).unwrap();
        [&header[..], &inner].concat()
    }
}

/// Somebody between a client and a server, who sees the bytes and decides what becomes of them.
pub struct Middle {
    listener: TcpListener,
    server: SocketAddr,
    /// Towards the client and towards the server, once the client came.
    pub sides: Option<[Raw; 2]>,
    passed: [usize; 2],
    /// Bytes towards the client and towards the server that are passed on at most.
    pub pass_max: [usize; 2],
    told: [bool; 2],
}

pub const TO_CLIENT: usize = 0;
pub const TO_SERVER: usize = 1;

impl Middle {
    pub fn before(server: SocketAddr) -> Middle {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Middle { listener, server, sides: None, passed: [0; 2], pass_max: [usize::MAX; 2], told: [false; 2] }
    }

    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// All that came from one side to `to`.
    pub fn seen(&self, to: usize) -> &[u8] {
        self.sides.as_ref().map_or(&[], |sides| &sides[1 - to].got)
    }

    /// Passes on what came, and ends.
    pub fn pump(&mut self) {
        self.pump_through(|_, _, bytes| bytes.to_vec());
    }

    /// The same, with what `alter` makes of the bytes at an offset towards a side.
    pub fn pump_through(&mut self, mut alter: impl FnMut(usize, usize, &[u8]) -> Vec<u8>) {
        if self.sides.is_none()
            && let Ok((stream, _)) = self.listener.accept()
        {
            self.sides = Some([Raw::over(stream), Raw::connect(self.server)]);
        }
        let Some(sides) = &mut self.sides else { return };
        sides.iter_mut().for_each(Raw::pump);
        for to in [TO_CLIENT, TO_SERVER] {
            let [a, b] = &mut *sides;
            let (from, into) = if to == TO_CLIENT { (b, a) } else { (a, b) };
            let until = from.got.len().min(self.pass_max[to]);
            if until > self.passed[to] {
                into.send(&alter(to, self.passed[to], &from.got[self.passed[to]..until]));
                self.passed[to] = until;
            }
            if from.end.is_some() && self.passed[to] == from.got.len() && !self.told[to] {
                self.told[to] = true;
                into.finish();
            }
        }
    }

    /// Ends the stream towards one side.
    pub fn cut(&mut self, to: usize) {
        self.pass_max[to] = self.passed[to];
        self.told[to] = true;
        self.sides.as_mut().unwrap()[to].finish();
    }
}
