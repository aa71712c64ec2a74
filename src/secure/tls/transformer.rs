//! The TLS layer of one connection: waiting, shaking hands, open.

use super::Wanted;
#[cfg(feature = "tls12")]
use super::backend::Legacy;
use super::backend::{Ended, Handshake, Schedule};
use super::records::Records;
use crate::error::Cause;
use crate::secure::{Failure, Opened, Session, Shaken, Then, TlsSession};
use crate::time::Instant;
use std::mem;

/// The TLS layer of one connection. Small while it waits, and again when it is open.
#[derive(Debug)]
pub(crate) struct TlsTransformer {
    state: State,
}

#[derive(Debug)]
enum State {
    /// Nothing was done yet: accepting must be cheap.
    Waiting(Wanted),
    Shaking(Box<Handshake>),
    Open(Box<Open>),
    #[cfg(feature = "tls12")]
    Legacy(Box<Legacy>, Option<Box<TlsSession>>),
    /// It failed, and said so.
    Over,
}

#[derive(Debug)]
struct Open {
    records: Records,
    schedule: Schedule,
    /// What was agreed on, until it is asked for.
    session: Option<Box<TlsSession>>,
}

impl State {
    /// What comes after a handshake that is done.
    fn after(mut handshake: Handshake) -> Result<State, Failure> {
        let (is_client, session) = (!handshake.is_server(), Some(Box::new(handshake.session())));
        match handshake.finish()? {
            Ended::Keys { receiving, sending, schedule } => {
                let records = Records::new(receiving, sending, is_client);
                Ok(State::Open(Box::new(Open { records, schedule, session })))
            }
            #[cfg(feature = "tls12")]
            Ended::Legacy(legacy) => Ok(State::Legacy(legacy, session)),
        }
    }
}

impl TlsTransformer {
    pub(super) fn new(wanted: Wanted) -> TlsTransformer {
        TlsTransformer { state: State::Waiting(wanted) }
    }

    pub(crate) fn speaks_first(&self) -> bool {
        matches!(&self.state, State::Waiting(Wanted::Client(_)))
    }

    pub(crate) fn shake(
        &mut self,
        _now: Instant,
        wire: &mut [u8],
        plain: &mut [u8],
        reply: &mut Vec<u8>,
    ) -> Result<Shaken, Failure> {
        let mut handshake = match mem::replace(&mut self.state, State::Over) {
            State::Waiting(wanted) => Box::new(wanted.handshake()?),
            State::Shaking(handshake) => handshake,
            _ => return Err(over()),
        };
        let shaken = handshake.step(wire, plain, reply)?;
        self.state = if shaken.done { State::after(*handshake)? } else { State::Shaking(handshake) };
        Ok(shaken)
    }

    pub(crate) fn describe(&mut self, session: &mut Session) {
        let found = match &mut self.state {
            State::Open(open) => open.session.take(),
            #[cfg(feature = "tls12")]
            State::Legacy(_, session) => session.take(),
            _ => None,
        };
        session.tls = found.map(|session| *session);
    }

    pub(crate) fn open(&mut self, wire: &mut [u8], plain: &mut [u8], reply: &mut Vec<u8>) -> Opened {
        match &mut self.state {
            State::Open(open) => open.records.open(&mut open.schedule, wire, plain, reply),
            #[cfg(feature = "tls12")]
            State::Legacy(legacy, _) => legacy.open(wire, plain, reply),
            _ => Opened { consumed: wire.len(), produced: 0, then: Then::Failed(over()) },
        }
    }

    pub(crate) fn sealed_bytes_max(&self, plain_bytes: usize) -> usize {
        match &self.state {
            State::Open(open) => open.records.sealed_bytes_max(plain_bytes),
            #[cfg(feature = "tls12")]
            State::Legacy(..) => Legacy::sealed_bytes_max(plain_bytes),
            _ => 0,
        }
    }

    pub(crate) fn seal(&mut self, plain: &[u8], sealed: &mut [u8]) -> Result<usize, Failure> {
        match &mut self.state {
            State::Open(open) => open.records.seal(&mut open.schedule, plain, sealed),
            #[cfg(feature = "tls12")]
            State::Legacy(legacy, _) => legacy.seal(plain, sealed),
            _ => Err(over()),
        }
    }

    pub(crate) fn finish(&mut self, reply: &mut Vec<u8>) {
        match &mut self.state {
            State::Open(open) => open.records.finish(reply),
            #[cfg(feature = "tls12")]
            State::Legacy(legacy, _) => legacy.finish(reply),
            _ => {}
        }
    }

    pub(crate) fn end_of_stream(&self, bytes_left: usize) -> Option<Failure> {
        match &self.state {
            State::Open(open) => open.records.end_of_stream(bytes_left),
            #[cfg(feature = "tls12")]
            State::Legacy(legacy, _) => legacy.end_of_stream(),
            _ => Some(Failure::new(Cause::HandshakeCut)),
        }
    }

    /// A session ends when the connection does.
    pub(crate) fn expires_at(&self) -> Instant {
        Instant::FAR_FUTURE
    }
}

/// Something was asked of a layer that has failed or has not begun.
fn over() -> Failure {
    Failure::because(Cause::ProtocolViolation, "the TLS layer is not open")
}
