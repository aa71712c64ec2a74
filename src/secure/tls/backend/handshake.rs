//! One handshake, driven record by record through rustls' machine without buffers.
//!
//! rustls is fed whole records, one at a time, so that it never decrypts a byte that belongs to what follows the
//! handshake: when it is done, the keys go to our own record layer and the rest of the wire is untouched.

use super::super::keys::TrafficKey;
use super::client::ClientSide;
#[cfg(feature = "tls12")]
use super::legacy::Legacy;
use super::schedule::{Schedule, traffic_key};
use super::server::{ServerSide, take_server_name};
use super::{alerts, failures, hello};
use crate::error::Cause;
use crate::limits::{TLS_HANDSHAKE_BYTES_MAX, TLS_RECORD_BYTES_MAX};
use crate::metrics::TlsAlert;
use crate::secure::{Failure, Shaken, TlsSession, Told};
use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::pki_types::ServerName;
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, ReadEarlyData, UnbufferedStatus};
use rustls::{CommonState, Error, HandshakeKind, ProtocolVersion};
use std::fmt;
use std::sync::Arc;

/// Type, version and length, before every record (RFC 8446, section 5.1).
pub(super) const HEADER_BYTES: usize = 5;

/// The types of records.
pub(super) const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
pub(super) const APPLICATION_DATA: u8 = 23;

/// Alerts that we send where rustls cannot be brought to it (RFC 8446, section 6).
const RECORD_OVERFLOW: u8 = 22;
const CERTIFICATE_EXPIRED: u8 = 45;
const BAD_CERTIFICATE: u8 = 42;
const PROTOCOL_VERSION: u8 = 70;

/// Steps in which what rustls has to send after an error is taken: a flight and an alert take few.
const DRAINED_MAX: usize = 64;

/// One end's machine.
pub(super) enum Machine {
    Client(UnbufferedClientConnection),
    Server(UnbufferedServerConnection),
}

impl Machine {
    /// One step: does what rustls asks for, says how much of the window is done with and what comes next.
    pub(super) fn ask(
        &mut self,
        window: &mut [u8],
        sink: &mut Sink<'_>,
        reply: &mut Vec<u8>,
    ) -> (usize, Result<Asks, Error>) {
        match self {
            Machine::Client(machine) => serve(machine.process_tls_records(window), sink, reply),
            Machine::Server(machine) => serve(machine.process_tls_records(window), sink, reply),
        }
    }

    /// Takes the alert that rustls has ready after an error. Some errors have none. rustls must not see the record
    /// again that it failed at, and does not look at any while it has something to send.
    pub(super) fn drain(&mut self, reply: &mut Vec<u8>) {
        for _ in 0..DRAINED_MAX {
            if !self.state().wants_write() {
                break;
            }
            let _ = self.ask(&mut [], &mut Sink::none(), reply);
        }
    }

    pub(super) fn state(&self) -> &CommonState {
        match self {
            Machine::Client(machine) => machine,
            Machine::Server(machine) => machine,
        }
    }
}

/// The configuration as it was when the handshake began.
enum Side {
    Client(Arc<ClientSide>, ServerName<'static>),
    Server(Arc<ServerSide>),
}

/// A handshake under way.
pub(crate) struct Handshake {
    machine: Machine,
    side: Side,
    /// Bytes at the front of the wire that rustls has had but is not done with.
    fed: usize,
    /// Bytes that the handshake has taken in all.
    received: usize,
    received_max: usize,
    /// The client may send early data that the server has to skip unread.
    may_skip: bool,
    /// A resumed session was found to be still good.
    resumption_checked: bool,
    server_name: Option<String>,
    early_data: bool,
}

/// What rustls is not asked about.
enum Breach {
    NotTls,
    LongRecord,
    LongHandshake,
}

/// What a finished handshake leaves.
#[cfg_attr(feature = "tls12", allow(clippy::large_enum_variant, reason = "it lives for one call"))]
pub(crate) enum Ended {
    /// Keys for our own record layer.
    Keys { receiving: TrafficKey, sending: TrafficKey, schedule: Schedule },
    /// A connection that stays with rustls.
    #[cfg(feature = "tls12")]
    Legacy(Box<Legacy>),
}

/// Where plaintext goes: early data before the handshake is over, data after it.
pub(super) struct Sink<'a> {
    pub(super) plain: &'a mut [u8],
    pub(super) used: usize,
}

impl Sink<'_> {
    /// For when there can be none.
    pub(super) fn none() -> Sink<'static> {
        Sink { plain: &mut [], used: 0 }
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let Some(room) = self.plain.get_mut(self.used..self.used + bytes.len()) else {
            return Err(Error::General("more plaintext than there is room for".into()));
        };
        room.copy_from_slice(bytes);
        self.used += bytes.len();
        Ok(())
    }
}

/// What rustls wants after one of its states was dealt with.
pub(super) enum Asks {
    /// To be asked again.
    Again,
    /// The next record, if the handshake is not over.
    Input,
    /// Nothing: the peer ended its side.
    Over,
}

impl Handshake {
    pub(crate) fn client(side: &Arc<ClientSide>, name: &ServerName<'static>) -> Result<Handshake, Failure> {
        let machine = UnbufferedClientConnection::new(side.config_for(name), name.clone());
        let machine = machine.map_err(|error| failures::of(&error))?;
        let side = Side::Client(side.clone(), name.clone());
        Ok(Handshake::new(Machine::Client(machine), side, TLS_HANDSHAKE_BYTES_MAX))
    }

    pub(crate) fn server(side: Arc<ServerSide>) -> Result<Handshake, Failure> {
        let machine = UnbufferedServerConnection::new(side.config()).map_err(|error| failures::of(&error))?;
        let received_max = TLS_HANDSHAKE_BYTES_MAX + side.early_bytes_max();
        Ok(Handshake::new(Machine::Server(machine), Side::Server(side), received_max))
    }

    fn new(machine: Machine, side: Side, received_max: usize) -> Handshake {
        Handshake {
            machine,
            side,
            fed: 0,
            received: 0,
            received_max,
            may_skip: false,
            resumption_checked: false,
            server_name: None,
            early_data: false,
        }
    }

    /// Takes the handshake as far as `wire` goes; see [`Transformer::shake`](crate::secure::Transformer::shake).
    pub(crate) fn step(
        &mut self,
        wire: &mut [u8],
        plain: &mut [u8],
        reply: &mut Vec<u8>,
    ) -> Result<Shaken, Failure> {
        let mut shaken = Shaken::default();
        let mut end = std::mem::take(&mut self.fed);
        loop {
            self.run(wire, end, &mut shaken, plain, reply)?;
            if shaken.consumed == end && !self.state().is_handshaking() {
                shaken.done = true;
                return Ok(shaken);
            }
            let pending = end > shaken.consumed;
            let record = match self.next_record(&wire[end..]) {
                Ok(Some(record)) => record,
                Ok(None) => break,
                Err(breach) => return Err(self.give_up(breach, &wire[shaken.consumed..end], reply)),
            };
            if self.received == 0 && self.is_server() {
                let hello = &wire[end..end + record];
                if hello::is_older_than_tls12(hello) {
                    push_alert(reply, PROTOCOL_VERSION);
                    return Err(Failure::because(Cause::NothingInCommon, "its TLS is older than 1.2"));
                }
                self.may_skip = hello::offers_early_data(hello);
            }
            self.received += record;
            let encrypted = wire[end] == APPLICATION_DATA;
            end += record;
            if encrypted && self.may_skip && !pending {
                self.run(wire, end, &mut shaken, plain, reply)?;
                self.skip_unread(&mut shaken, end, record);
            }
        }
        self.fed = end - shaken.consumed;
        Ok(shaken)
    }

    /// rustls tries to decrypt early data it has refused and drops what it cannot, but leaves that on the wire, where
    /// it would try again with each record to come and count it against its budget each time. So it is taken off
    /// here. A client that has early data refused *and* splits its short Finished over records is mistaken for one
    /// that sends more of it, and fails.
    fn skip_unread(&mut self, shaken: &mut Shaken, end: usize, record: usize) {
        if !self.early_data && self.state().is_handshaking() && shaken.consumed == end - record {
            shaken.consumed = end;
        } else {
            self.may_skip = false;
        }
    }

    /// The length of the record at the front, header included; `None` if it is not all there.
    fn next_record(&self, wire: &[u8]) -> Result<Option<usize>, Breach> {
        if self.received == 0 && !looks_like_tls(wire) {
            return Err(Breach::NotTls);
        }
        let Some(header) = wire.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let record = HEADER_BYTES + usize::from(u16::from_be_bytes([header[3], header[4]]));
        if record > TLS_RECORD_BYTES_MAX {
            return Err(Breach::LongRecord);
        }
        if wire.len() < record {
            return Ok(None);
        }
        if self.received + record > self.received_max { Err(Breach::LongHandshake) } else { Ok(Some(record)) }
    }

    /// Lets rustls work on the records it has, until it wants more.
    fn run(
        &mut self,
        wire: &mut [u8],
        end: usize,
        shaken: &mut Shaken,
        plain: &mut [u8],
        reply: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        let reply_before = reply.len();
        loop {
            let mut sink = Sink { plain: &mut plain[shaken.early..], used: 0 };
            let (discard, asks) = self.machine.ask(&mut wire[shaken.consumed..end], &mut sink, reply);
            if self.is_server() {
                self.server_name = take_server_name().or(self.server_name.take());
            }
            self.early_data |= sink.used > 0;
            self.received -= sink.used;
            shaken.early += sink.used;
            shaken.consumed += discard;
            let asks = asks.map_err(|error| {
                self.machine.drain(reply);
                alerts::answered(&error, &reply[reply_before..])
            })?;
            self.check_resumption(reply, reply_before)?;
            match asks {
                Asks::Again => {}
                Asks::Input => return Ok(()),
                Asks::Over => return Err(Failure::new(Cause::HandshakeCut)),
            }
        }
    }

    /// rustls takes a resumed client's certificates as they were in the first session. Whether they are still good
    /// is asked again here, before the answer to the client's hello has left.
    fn check_resumption(&mut self, reply: &mut Vec<u8>, reply_before: usize) -> Result<(), Failure> {
        if self.resumption_checked || self.state().handshake_kind() != Some(HandshakeKind::Resumed) {
            return Ok(());
        }
        self.resumption_checked = true;
        let Side::Server(side) = &self.side else { return Ok(()) };
        side.check_resumed(self.state().peer_certificates()).map_err(|error| {
            let failure = failures::of(&error);
            reply.truncate(reply_before);
            let expired = failure.cause == Cause::CertificateExpired;
            let alert = if expired { CERTIFICATE_EXPIRED } else { BAD_CERTIFICATE };
            push_alert(reply, alert);
            failure.told(Told::ByUs(TlsAlert::of_number(alert)))
        })
    }

    /// Ends a handshake that broke a rule of ours. Who does not speak TLS is told nothing, as OpenSSL does it. rustls
    /// has no call that sends an alert, but the header of a record that cannot be makes it send `decode_error` under
    /// whichever key is in force.
    fn give_up(&mut self, breach: Breach, window: &[u8], reply: &mut Vec<u8>) -> Failure {
        let why = match breach {
            Breach::NotTls => return Failure::because(Cause::NotSecured, "what it sent first is not TLS"),
            Breach::LongRecord => "a record longer than TLS allows",
            Breach::LongHandshake => "a handshake longer than it may be",
        };
        let alert = if self.received == 0 {
            push_alert(reply, RECORD_OVERFLOW);
            TlsAlert::RecordOverflow
        } else {
            let mut impossible = [window, &[HANDSHAKE, 3, 3, 0xff, 0xff]].concat();
            while let (_, Ok(Asks::Again)) = self.machine.ask(&mut impossible, &mut Sink::none(), reply) {}
            self.machine.drain(reply);
            TlsAlert::DecodeError
        };
        Failure::because(Cause::ProtocolViolation, why).told(Told::ByUs(alert))
    }

    pub(crate) fn is_server(&self) -> bool {
        matches!(self.machine, Machine::Server(_))
    }

    fn state(&self) -> &CommonState {
        self.machine.state()
    }

    /// What was agreed on.
    pub(crate) fn session(&mut self) -> TlsSession {
        let state = self.state();
        let suite =
            state.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str()).unwrap_or_default();
        let unchecked = matches!(&self.side, Side::Server(side) if !side.asks_for_certificates());
        let certificates = state.peer_certificates().filter(|_| !unchecked).unwrap_or_default();
        TlsSession {
            version: match state.protocol_version() {
                Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
                _ => "TLS 1.3",
            },
            cipher_suite: iana_name(suite),
            key_exchange: state
                .negotiated_key_exchange_group()
                .and_then(|group| group.name().as_str())
                .unwrap_or_default(),
            alpn: state.alpn_protocol().map(<[u8]>::to_vec),
            resumed: state.handshake_kind() == Some(HandshakeKind::Resumed),
            early_data: self.early_data,
            peer_certificates: certificates.iter().map(|certificate| certificate.to_vec()).collect(),
            server_name: self.server_name.take(),
        }
    }

    /// What goes on when the handshake is done.
    pub(crate) fn finish(self) -> Result<Ended, Failure> {
        if self.state().protocol_version() != Some(ProtocolVersion::TLSv1_3) {
            #[cfg(feature = "tls12")]
            return Ok(Ended::Legacy(Box::new(Legacy::new(self.machine))));
            #[cfg(not(feature = "tls12"))]
            return Err(Failure::because(Cause::NothingInCommon, "TLS 1.2 needs the feature tls12"));
        }
        let origin = match &self.side {
            Side::Client(side, name) => side.origin(name, self.state().peer_certificates()),
            Side::Server(_) => None,
        };
        let (secrets, schedule) = match self.machine {
            Machine::Client(machine) => machine
                .dangerous_into_kernel_connection()
                .map(|(s, kept)| (s, Schedule::Client(kept, origin))),
            Machine::Server(machine) => {
                machine.dangerous_into_kernel_connection().map(|(s, kept)| (s, Schedule::Server(kept)))
            }
        }
        .map_err(|error| failures::of(&error))?;
        let (receiving, sending) = (traffic_key(secrets.rx)?, traffic_key(secrets.tx)?);
        Ok(Ended::Keys { receiving, sending, schedule })
    }
}

/// Says nothing of keys.
impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Handshake({}, {} bytes in)",
            if self.is_server() { "server" } else { "client" },
            self.received
        )
    }
}

/// Where the early data of a connection is, if its end can have any.
trait EarlyData: Sized {
    /// Moves what there is to `sink`.
    fn take(read: ReadEarlyData<'_, '_, Self>, sink: &mut Sink<'_>) -> Result<(), Error>;
}

impl EarlyData for ServerConnectionData {
    fn take(mut read: ReadEarlyData<'_, '_, Self>, sink: &mut Sink<'_>) -> Result<(), Error> {
        while let Some(record) = read.next_record() {
            sink.put(record?.payload)?;
        }
        Ok(())
    }
}

/// Servers send none.
impl EarlyData for ClientConnectionData {
    fn take(_: ReadEarlyData<'_, '_, Self>, _: &mut Sink<'_>) -> Result<(), Error> {
        Ok(())
    }
}

/// Does what one state of rustls' machine asks for.
fn serve<D: EarlyData>(
    status: UnbufferedStatus<'_, '_, D>,
    sink: &mut Sink<'_>,
    reply: &mut Vec<u8>,
) -> (usize, Result<Asks, Error>) {
    let asks = status.state.and_then(|state| match state {
        ConnectionState::EncodeTlsData(encode) => encode_onto(encode, reply).map(|()| Asks::Again),
        ConnectionState::TransmitTlsData(transmit) => {
            transmit.done();
            Ok(Asks::Again)
        }
        ConnectionState::ReadEarlyData(read) => D::take(read, sink).map(|()| Asks::Again),
        ConnectionState::ReadTraffic(mut read) => {
            while let Some(record) = read.next_record() {
                sink.put(record?.payload)?;
            }
            Ok(Asks::Again)
        }
        ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_) => Ok(Asks::Input),
        ConnectionState::PeerClosed | ConnectionState::Closed => Ok(Asks::Over),
        _ => Err(Error::HandshakeNotComplete),
    });
    (status.discard, asks)
}

/// Asked with no room, rustls says how much it needs.
fn encode_onto<D>(mut encode: EncodeTlsData<'_, D>, reply: &mut Vec<u8>) -> Result<(), Error> {
    let Err(EncodeError::InsufficientSize(size)) = encode.encode(&mut []) else { return Ok(()) };
    let before = reply.len();
    reply.resize(before + size.required_size, 0);
    encode.encode(&mut reply[before..]).map(drop).map_err(|error| Error::General(error.to_string()))
}

/// Whether what the peer sends first can be TLS: a handshake record or an alert, of version 3.x. Judged by what is
/// there, so that a plaintext peer is named at its first byte.
fn looks_like_tls(wire: &[u8]) -> bool {
    wire.first().is_none_or(|&kind| matches!(kind, HANDSHAKE | ALERT))
        && wire.get(1).is_none_or(|&major| major == 3)
        && wire.get(2).is_none_or(|&minor| minor <= 4)
}

/// Appends an alert in the clear, which is how it is sent before the answer to the hello.
fn push_alert(reply: &mut Vec<u8>, alert: u8) {
    const FATAL: u8 = 2;
    reply.extend_from_slice(&[ALERT, 3, 3, 0, 2, FATAL, alert]);
}

/// rustls has names of its own for the suites of TLS 1.3.
fn iana_name(suite: &'static str) -> &'static str {
    match suite {
        "TLS13_AES_128_GCM_SHA256" => "TLS_AES_128_GCM_SHA256",
        "TLS13_AES_256_GCM_SHA384" => "TLS_AES_256_GCM_SHA384",
        "TLS13_CHACHA20_POLY1305_SHA256" => "TLS_CHACHA20_POLY1305_SHA256",
        other => other,
    }
}
