//! TLS 1.2 connections, whose records stay with rustls: our record layer is for 1.3 only.

use super::alerts;
use super::handshake::{Asks, Machine, Sink};
use crate::error::Cause;
use crate::secure::{Failure, Opened, Then};
use rustls::unbuffered::{ConnectionState, EncryptError, UnbufferedStatus};
use std::fmt;

/// Type, version and length, before every record.
const HEADER_BYTES: usize = 5;

/// The longest record of TLS 1.2, without its header (RFC 5246, section 6.2.3).
const BODY_BYTES_MAX: usize = (1 << 14) + 2048;

/// The most plaintext that rustls puts into one record.
const PLAIN_BYTES_MAX: usize = 1 << 14;

/// More than any suite that rustls has adds to a record.
const OVERHEAD_BYTES: usize = 64;

/// An open connection of TLS 1.2.
pub(crate) struct Legacy {
    machine: Machine,
    peer_finished: bool,
    /// It failed or said that it ends: nothing is sealed any more.
    mute: bool,
}

impl Legacy {
    pub(super) fn new(machine: Machine) -> Legacy {
        Legacy { machine, peer_finished: false, mute: false }
    }

    pub(crate) fn open(&mut self, wire: &mut [u8], plain: &mut [u8], reply: &mut Vec<u8>) -> Opened {
        let mut sink = Sink { plain, used: 0 };
        let (mut consumed, mut then) = (0, Then::More);
        while let (Then::More, false) = (&then, self.peer_finished) {
            let record = match record_at(&wire[consumed..]) {
                Ok(None) => break,
                Ok(Some(bytes)) => {
                    let record = &mut wire[consumed..consumed + bytes];
                    consumed += bytes;
                    self.open_record(record, &mut sink, reply)
                }
                Err(failure) => Err(failure),
            };
            if let Err(failure) = record {
                self.mute = true;
                then = Then::Failed(failure);
            }
        }
        if self.peer_finished {
            (consumed, then) = (wire.len(), Then::Finished);
        }
        Opened { consumed, produced: sink.used, then }
    }

    /// rustls keeps the place of a handshake message that is not all there, and then cannot be asked to seal; so
    /// none may span records here. After the handshake there is only the wish for another one, of 4 bytes.
    fn open_record(
        &mut self,
        record: &mut [u8],
        sink: &mut Sink<'_>,
        reply: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        let (mut discarded, reply_before) = (0, reply.len());
        loop {
            let (discard, asks) = self.machine.ask(&mut record[discarded..], sink, reply);
            discarded += discard;
            match asks {
                Ok(Asks::Again) => {}
                Ok(Asks::Over) => {
                    self.peer_finished = true;
                    return Ok(());
                }
                Ok(Asks::Input) if discarded == record.len() => return Ok(()),
                Ok(Asks::Input) => {
                    return Err(Failure::because(
                        Cause::ProtocolViolation,
                        "a split message after the handshake",
                    ));
                }
                Err(error) => {
                    self.machine.drain(reply);
                    return Err(alerts::answered(&error, &reply[reply_before..]));
                }
            }
        }
    }

    pub(crate) fn sealed_bytes_max(plain_bytes: usize) -> usize {
        plain_bytes + (plain_bytes / PLAIN_BYTES_MAX + 1) * (HEADER_BYTES + OVERHEAD_BYTES)
    }

    pub(crate) fn seal(&mut self, plain: &[u8], sealed: &mut [u8]) -> Result<usize, Failure> {
        if self.mute {
            return Err(Failure::because(Cause::ProtocolViolation, "sealing after the end"));
        }
        self.write(|seal| seal(Some(plain), sealed))
    }

    pub(crate) fn finish(&mut self, reply: &mut Vec<u8>) {
        if std::mem::replace(&mut self.mute, true) {
            return;
        }
        let mut alert = [0; HEADER_BYTES + OVERHEAD_BYTES];
        if let Ok(bytes) = self.write(|seal| seal(None, &mut alert)) {
            reply.extend_from_slice(&alert[..bytes]);
        }
    }

    /// Lets rustls seal plaintext, or the alert that ends our side if there is none.
    fn write(
        &mut self,
        with: impl FnOnce(&mut Seal<'_>) -> Result<usize, EncryptError>,
    ) -> Result<usize, Failure> {
        let sealed = match &mut self.machine {
            Machine::Client(machine) => write_to(machine.process_tls_records(&mut []), with),
            Machine::Server(machine) => write_to(machine.process_tls_records(&mut []), with),
        };
        sealed
            .unwrap_or_else(|| Err(Failure::because(Cause::ProtocolViolation, "the connection is not open")))
    }

    pub(crate) fn end_of_stream(&self) -> Option<Failure> {
        (!self.peer_finished).then(|| Failure::new(Cause::Truncated))
    }
}

/// Seals plaintext, or the alert that ends our side, into a buffer.
type Seal<'a> = dyn FnMut(Option<&[u8]>, &mut [u8]) -> Result<usize, EncryptError> + 'a;

/// `None` if the connection cannot be written to now.
fn write_to<D>(
    status: UnbufferedStatus<'_, '_, D>,
    with: impl FnOnce(&mut Seal<'_>) -> Result<usize, EncryptError>,
) -> Option<Result<usize, Failure>> {
    let Ok(ConnectionState::WriteTraffic(mut traffic)) = status.state else { return None };
    let sealed = with(&mut |plain, sealed| match plain {
        Some(plain) => traffic.encrypt(plain, sealed),
        None => traffic.queue_close_notify(sealed),
    });
    Some(sealed.map_err(|error| match error {
        EncryptError::EncryptExhausted => Failure::new(Cause::NonceExhausted),
        error => Failure::because(Cause::System, error.to_string()),
    }))
}

/// The length of the record at the front, header included; `None` if it is not all there.
fn record_at(wire: &[u8]) -> Result<Option<usize>, Failure> {
    let Some(header) = wire.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
    let body = usize::from(u16::from_be_bytes([header[3], header[4]]));
    if body > BODY_BYTES_MAX {
        return Err(Failure::because(Cause::ProtocolViolation, "a record longer than TLS allows"));
    }
    Ok((wire.len() >= HEADER_BYTES + body).then_some(HEADER_BYTES + body))
}

/// Says nothing of keys.
impl fmt::Debug for Legacy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Legacy")
    }
}
