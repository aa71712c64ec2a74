//! A handshake between two ends of stock rustls, one of which then gives up its keys.

use super::super::super::keys::{KeySchedule, Suite, TrafficKey};
use super::*;
use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::crypto::aws_lc_rs::{self, cipher_suite};
use rustls::kernel::KernelConnection;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::ConnectionState;
use rustls::{ClientConfig, ClientConnection, Connection, ConnectionTrafficSecrets, ExtractedSecrets};
use rustls::{RootCertStore, ServerConfig, ServerConnection};
use std::io::{Read, Write};
use std::sync::Arc;

const NAME: &str = "localhost";

/// What both ends are configured with; the client remembers tickets from one handshake to the next.
pub(super) struct Stock {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

impl Stock {
    pub(super) fn new(suite: Suite) -> Stock {
        let mut provider = aws_lc_rs::default_provider();
        provider.cipher_suites = vec![match suite {
            Suite::Aes128Gcm => cipher_suite::TLS13_AES_128_GCM_SHA256,
            Suite::Aes256Gcm => cipher_suite::TLS13_AES_256_GCM_SHA384,
            Suite::ChaCha20Poly1305 => cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        }];
        let provider = Arc::new(provider);
        let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
        let certificate = made.cert.der().clone();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        let versions = [&rustls::version::TLS13];
        let mut client = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        client.enable_secret_extraction = true;
        server.enable_secret_extraction = true;
        Stock { client: Arc::new(client), server: Arc::new(server) }
    }

    /// Shakes hands. The end that is `ours` gives up its keys, the other one stays as rustls made it. What it sent
    /// last, and nobody has opened yet, is the third part.
    pub(super) fn shake(&self, we_are_client: bool) -> (ExtractedSecrets, Kernel, Connection, Vec<u8>) {
        let name = ServerName::try_from(NAME).unwrap();
        if we_are_client {
            let mut theirs = Connection::Server(ServerConnection::new(self.server.clone()).unwrap());
            let mut ours = UnbufferedClientConnection::new(self.client.clone(), name).unwrap();
            let mut incoming = Vec::new();
            while drive(|wire| step_client(&mut ours, wire), &mut incoming, &mut theirs) {}
            let (secrets, kernel) = ours.dangerous_into_kernel_connection().unwrap();
            (secrets, Kernel::Client(kernel), theirs, incoming)
        } else {
            let mut theirs = Connection::Client(ClientConnection::new(self.client.clone(), name).unwrap());
            let mut ours = UnbufferedServerConnection::new(self.server.clone()).unwrap();
            let mut incoming = Vec::new();
            while drive(|wire| step_server(&mut ours, wire), &mut incoming, &mut theirs) {}
            let (secrets, kernel) = ours.dangerous_into_kernel_connection().unwrap();
            (secrets, Kernel::Server(kernel), theirs, incoming)
        }
    }
}

/// Two unbuffered ends of stock rustls that have shaken hands.
pub(super) struct StockPair {
    client: UnbufferedClientConnection,
    server: UnbufferedServerConnection,
}

impl StockPair {
    pub(super) fn new(stock: &Stock) -> StockPair {
        let name = ServerName::try_from(NAME).unwrap();
        let mut client = UnbufferedClientConnection::new(stock.client.clone(), name).unwrap();
        let mut server = UnbufferedServerConnection::new(stock.server.clone()).unwrap();
        let (mut to_client, mut to_server) = (Vec::new(), Vec::new());
        let mut done = [false; 2];
        while done != [true; 2] {
            let (used, out, progress) = step_client(&mut client, &mut to_client);
            to_client.drain(..used);
            to_server.extend(out);
            done[0] = progress == Progress::Done;
            let (used, out, progress) = step_server(&mut server, &mut to_server);
            to_server.drain(..used);
            to_client.extend(out);
            done[1] = progress == Progress::Done;
        }
        StockPair { client, server }
    }

    /// Sends `data` from the client to the server through `wire` and says how much came.
    pub(super) fn send(&mut self, data: &[u8], wire: &mut [u8]) -> usize {
        let ConnectionState::WriteTraffic(mut traffic) =
            self.client.process_tls_records(&mut []).state.unwrap()
        else {
            panic!("the handshake is over");
        };
        let bytes = traffic.encrypt(data, wire).unwrap();
        let status = self.server.process_tls_records(&mut wire[..bytes]);
        let ConnectionState::ReadTraffic(mut traffic) = status.state.unwrap() else { panic!("data came") };
        let mut came = 0;
        while let Some(record) = traffic.next_record() {
            came += record.unwrap().payload.len();
        }
        came
    }
}

/// What one step of the unbuffered end came to: bytes used up, bytes to send, and whether it is done.
type Stepped = (usize, Vec<u8>, Progress);

#[derive(PartialEq)]
enum Progress {
    Again,
    Blocked,
    Done,
}

macro_rules! step {
    ($name:ident, $connection:ty) => {
        fn $name(connection: &mut $connection, wire: &mut [u8]) -> Stepped {
            let mut out = Vec::new();
            let status = connection.process_tls_records(wire);
            let progress = match status.state.unwrap() {
                ConnectionState::EncodeTlsData(mut data) => {
                    out.resize(20_000, 0);
                    let bytes = data.encode(&mut out).unwrap();
                    out.truncate(bytes);
                    Progress::Again
                }
                ConnectionState::TransmitTlsData(transmit) => {
                    transmit.done();
                    Progress::Again
                }
                ConnectionState::BlockedHandshake => Progress::Blocked,
                ConnectionState::WriteTraffic(_) => Progress::Done,
                other => panic!("not in a handshake: {other:?}"),
            };
            (status.discard, out, progress)
        }
    };
}
step!(step_client, UnbufferedClientConnection);
step!(step_server, UnbufferedServerConnection);

/// One step of our end and whatever it makes of theirs. Answers whether to go on.
fn drive(step: impl FnOnce(&mut [u8]) -> Stepped, incoming: &mut Vec<u8>, theirs: &mut Connection) -> bool {
    let (discard, out, progress) = step(incoming);
    incoming.drain(..discard);
    deliver(theirs, &out).unwrap();
    if progress != Progress::Again {
        // Not before it is wanted: what a server sends after the handshake is for the record layer.
        collect(theirs, incoming);
    }
    progress != Progress::Done
}

/// Gives `wire` to stock rustls; answers the plaintext so far if it takes offence.
pub(super) fn deliver(to: &mut Connection, mut wire: &[u8]) -> Result<Vec<u8>, Vec<u8>> {
    let mut plain = Vec::new();
    loop {
        let read = to.read_tls(&mut wire).unwrap();
        let processed = to.process_new_packets();
        // An error is what `read_to_end` answers where no close_notify came; what came before stays.
        let _ = to.reader().read_to_end(&mut plain);
        if processed.is_err() {
            return Err(plain);
        }
        if read == 0 || wire.is_empty() {
            return Ok(plain);
        }
    }
}

/// Takes what stock rustls wants to send.
pub(super) fn collect(from: &mut Connection, wire: &mut Vec<u8>) {
    while from.wants_write() {
        from.write_tls(wire).unwrap();
    }
}

/// What stock rustls makes of `plain`.
pub(super) fn sealed_by(from: &mut Connection, plain: &[u8]) -> Vec<u8> {
    let mut wire = Vec::new();
    for part in plain.chunks(16_384) {
        from.writer().write_all(part).unwrap();
        collect(from, &mut wire);
    }
    wire
}

/// A key of rustls in our terms.
pub(super) fn traffic_key((sequence, secrets): &(u64, ConnectionTrafficSecrets)) -> TrafficKey {
    let (suite, key, iv) = match secrets {
        ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (Suite::Aes128Gcm, key, iv),
        ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (Suite::Aes256Gcm, key, iv),
        ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (Suite::ChaCha20Poly1305, key, iv),
        _ => panic!("no suite of TLS 1.3"),
    };
    let iv = *iv.as_ref().first_chunk().unwrap();
    TrafficKey::new(suite, &key.as_ref()[..suite.key_bytes()], iv, *sequence).unwrap()
}

/// The key schedule that rustls keeps after the handshake.
pub(super) enum Kernel {
    Client(KernelConnection<ClientConnectionData>),
    Server(KernelConnection<ServerConnectionData>),
}

impl Kernel {
    pub(super) fn update_sending(&mut self) -> (u64, ConnectionTrafficSecrets) {
        match self {
            Kernel::Client(kernel) => kernel.update_tx_secret().unwrap(),
            Kernel::Server(kernel) => kernel.update_tx_secret().unwrap(),
        }
    }

    pub(super) fn update_receiving(&mut self) -> (u64, ConnectionTrafficSecrets) {
        match self {
            Kernel::Client(kernel) => kernel.update_rx_secret().unwrap(),
            Kernel::Server(kernel) => kernel.update_rx_secret().unwrap(),
        }
    }
}

impl KeySchedule for Kernel {
    fn next_sending(&mut self) -> Result<TrafficKey, Failure> {
        Ok(traffic_key(&self.update_sending()))
    }

    fn next_receiving(&mut self) -> Result<TrafficKey, Failure> {
        Ok(traffic_key(&self.update_receiving()))
    }

    fn ticket(&mut self, payload: &[u8]) -> Result<(), Failure> {
        match self {
            Kernel::Client(kernel) => kernel
                .handle_new_session_ticket(payload)
                .map_err(|error| Failure::because(Cause::ProtocolViolation, error.to_string())),
            Kernel::Server(_) => panic!("the record layer of a server must not take tickets"),
        }
    }
}
