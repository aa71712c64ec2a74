//! The TLS 1.3 record layer after the handshake (RFC 8446, sections 5, 4.6 and 6): opens what the peer sealed, seals
//! what we send, and answers key updates and alerts.
//!
//! Records are opened out of place, one behind the other, so that the content of many is contiguous: each overwrites
//! the content type and padding of the one before. Sealing reads straight from the caller's slice. Neither allocates,
//! nor does aws-lc-rs below: what allocates is a new key (a key update), a handshake message that comes in fragments,
//! and the text of a failure. An idle connection takes 136 bytes here, and 592 for each of its two keys on aws-lc's
//! heap, whatever the suite.
//!
//! The peer is trusted with nothing. What may not come is refused before it is decrypted where its header tells, and
//! what a peer may repeat without sending data is bounded in [`crate::limits`].

mod alert;
mod direction;
#[cfg(any(test, fuzzing))]
mod ends;
#[cfg(any(test, fuzzing))]
pub(super) mod fuzz;
mod messages;
#[cfg(test)]
mod tests;

pub(super) use self::alert::Alert;
use self::direction::Direction;
use self::messages::{Fragment, Message};
use super::keys::{KeySchedule, TrafficKey};
use crate::error::Cause;
use crate::limits;
use crate::secure::{Failure, Opened, Then, Told};

/// The record of our own key update.
const KEY_UPDATE_RECORD_BYTES: usize = direction::OVERHEAD_BYTES + messages::KEY_UPDATE_MESSAGE.len();
/// The record of an alert.
const ALERT_RECORD_BYTES: usize = direction::OVERHEAD_BYTES + 2;

/// Both directions of one connection.
#[derive(Debug)]
pub(super) struct Records {
    receiving: Direction,
    sending: Direction,
    fragment: Fragment,
    is_client: bool,
    /// What broke the connection. Nothing is opened or sealed any more.
    broken: Option<Cause>,
    /// The peer's `close_notify` came.
    peer_finished: bool,
    /// Ours was sealed.
    finished: bool,
    /// The key update that the peer asked for last was answered, and nothing was sealed since: if it asks again, that
    /// answer holds (RFC 8446, section 4.6.3).
    update_answered: bool,
    repeats: Repeats,
}

/// What came again and again, as far as it is bounded.
#[derive(Debug, Default)]
struct Repeats {
    empty_records: u8,
    key_updates: u8,
    tickets: u8,
    idle_alerts: u8,
}

/// What the content of a record came to.
enum Step {
    /// So many bytes of data stand where it was opened to.
    Data(usize),
    /// It was for us.
    Internal,
    /// The peer will send no more.
    Finished,
}

impl Records {
    /// Goes on where the handshake stopped.
    pub(super) fn new(receiving: TrafficKey, sending: TrafficKey, is_client: bool) -> Records {
        Records {
            receiving: Direction::new(receiving),
            sending: Direction::new(sending),
            fragment: Fragment::default(),
            is_client,
            broken: None,
            peer_finished: false,
            finished: false,
            update_answered: false,
            repeats: Repeats::default(),
        }
    }

    /// Opens all whole records in `wire` into `plain`, which is at least as long. What must go to the peer (our key
    /// update, the alert that says what it did wrong) is appended to `reply`, sealed. What comes after the peer's
    /// `close_notify` or after a failure is swallowed.
    pub(super) fn open(
        &mut self,
        schedule: &mut impl KeySchedule,
        wire: &[u8],
        plain: &mut [u8],
        reply: &mut Vec<u8>,
    ) -> Opened {
        let mut opened = Opened { consumed: wire.len(), produced: 0, then: Then::Finished };
        if self.peer_finished || self.broken.is_some() {
            return opened;
        }
        let mut rest = wire;
        loop {
            let step = match direction::first_record(rest) {
                Ok(Some(record)) => {
                    rest = &rest[record.len()..];
                    self.open_record(schedule, record, &mut plain[opened.produced..], reply)
                }
                Ok(None) => {
                    opened.consumed = wire.len() - rest.len();
                    opened.then = Then::More;
                    return opened;
                }
                Err(breach) => Err(breach),
            };
            match step {
                Ok(Step::Data(bytes)) => opened.produced += bytes,
                Ok(Step::Internal) => {}
                Ok(Step::Finished) => {
                    self.peer_finished = true;
                    return opened;
                }
                Err(breach) => {
                    opened.then = Then::Failed(self.break_off(breach, reply));
                    return opened;
                }
            }
        }
    }

    /// Opens one record to the front of `plain` and does what it says.
    fn open_record(
        &mut self,
        schedule: &mut impl KeySchedule,
        record: &[u8],
        plain: &mut [u8],
        reply: &mut Vec<u8>,
    ) -> Result<Step, Breach> {
        let inner = self.receiving.open(record, plain)?;
        if self.fragment.is_pending() && inner.content_type != direction::HANDSHAKE {
            return Err(Breach::violation(
                Alert::UNEXPECTED_MESSAGE,
                "a handshake message cut by other records",
            ));
        }
        let content = &plain[..inner.content_bytes];
        match inner.content_type {
            direction::APPLICATION_DATA => {
                self.repeats.data(content.len())?;
                Ok(Step::Data(content.len()))
            }
            direction::HANDSHAKE => {
                self.take_messages(schedule, content, reply)?;
                Ok(Step::Internal)
            }
            direction::ALERT => self.take_alert(content),
            _ => Err(Breach::violation(Alert::UNEXPECTED_MESSAGE, "a record of a type that may not come")),
        }
    }

    fn take_messages(
        &mut self,
        schedule: &mut impl KeySchedule,
        content: &[u8],
        reply: &mut Vec<u8>,
    ) -> Result<(), Breach> {
        if content.is_empty() {
            return Err(Breach::violation(Alert::UNEXPECTED_MESSAGE, "an empty handshake record"));
        }
        self.repeats.empty_records = 0;
        let mut fragment = std::mem::take(&mut self.fragment);
        let taken = fragment.take(self.is_client, content, |message| match message {
            Message::KeyUpdate { requested } => self.take_key_update(schedule, requested, reply),
            Message::Ticket(payload) => {
                self.repeats.ticket()?;
                schedule.ticket(payload).map_err(Breach::of_schedule)
            }
        });
        self.fragment = fragment;
        taken
    }

    /// Follows the peer to its next key, and goes on to our next one if it asks for that.
    fn take_key_update(
        &mut self,
        schedule: &mut impl KeySchedule,
        requested: bool,
        reply: &mut Vec<u8>,
    ) -> Result<(), Breach> {
        self.repeats.key_update()?;
        self.receiving = Direction::new(schedule.next_receiving().map_err(Breach::of_schedule)?);
        if requested && !self.update_answered && !self.finished {
            let before = reply.len();
            reply.resize(before + KEY_UPDATE_RECORD_BYTES, 0);
            self.update_sending(schedule, &mut reply[before..]).map_err(|failure| {
                reply.truncate(before);
                Breach::of_schedule(failure)
            })?;
            self.update_answered = true;
        }
        Ok(())
    }

    /// What an alert means. Its level does not change what it says, but a level that is none is refused.
    fn take_alert(&mut self, content: &[u8]) -> Result<Step, Breach> {
        let &[level @ (alert::WARNING | alert::FATAL), description] = content else {
            return Err(match content {
                [] => Breach::violation(Alert::UNEXPECTED_MESSAGE, "an empty alert record"),
                [_, _] => Breach::violation(Alert::ILLEGAL_PARAMETER, "an alert of no known level"),
                _ => Breach::violation(Alert::DECODE_ERROR, "an alert of a wrong length"),
            });
        };
        self.repeats.empty_records = 0;
        match Alert(description) {
            Alert::CLOSE_NOTIFY => Ok(Step::Finished),
            Alert::USER_CANCELED if level == alert::WARNING => {
                self.repeats.idle_alert()?;
                Ok(Step::Internal)
            }
            other => {
                let failure = Failure::because(Cause::PeerRefused, other.name());
                Err(Breach { alert: None, failure: failure.told(Told::ByPeer(other.label())) })
            }
        }
    }

    /// Seals our key update at the front of `sealed`, the last record under this key, and takes the next one.
    fn update_sending(
        &mut self,
        schedule: &mut impl KeySchedule,
        sealed: &mut [u8],
    ) -> Result<usize, Failure> {
        let next = schedule.next_sending()?;
        let bytes = self.sending.seal(direction::HANDSHAKE, &messages::KEY_UPDATE_MESSAGE, sealed)?;
        self.sending = Direction::new(next);
        Ok(bytes)
    }

    /// The most bytes that sealing `plain_bytes` in one go takes: with a key update, should the key be worn.
    pub(super) fn sealed_bytes_max(&self, plain_bytes: usize) -> usize {
        let records = plain_bytes.div_ceil(direction::CONTENT_BYTES_MAX);
        plain_bytes + records * direction::OVERHEAD_BYTES + KEY_UPDATE_RECORD_BYTES
    }

    /// Seals all of `plain` at the front of `sealed`, which has room for [`Records::sealed_bytes_max`], and says how
    /// long the records are. Fails once our side has ended or the connection is broken.
    pub(super) fn seal(
        &mut self,
        schedule: &mut impl KeySchedule,
        plain: &[u8],
        sealed: &mut [u8],
    ) -> Result<usize, Failure> {
        if let Some(cause) = self.broken {
            return Err(Failure::new(cause));
        }
        if self.finished {
            return Err(Failure::because(Cause::Closed, "our side has ended"));
        }
        let mut bytes = 0;
        for content in plain.chunks(direction::CONTENT_BYTES_MAX) {
            bytes += self
                .seal_record(schedule, content, &mut sealed[bytes..])
                .inspect_err(|failure| self.broken = Some(failure.cause))?;
        }
        Ok(bytes)
    }

    fn seal_record(
        &mut self,
        schedule: &mut impl KeySchedule,
        content: &[u8],
        sealed: &mut [u8],
    ) -> Result<usize, Failure> {
        let update = if self.sending.is_worn() { self.update_sending(schedule, sealed)? } else { 0 };
        self.update_answered = false;
        Ok(update + self.sending.seal(direction::APPLICATION_DATA, content, &mut sealed[update..])?)
    }

    /// Appends `close_notify`, once, unless the connection is broken. The peer may go on sending.
    pub(super) fn finish(&mut self, reply: &mut Vec<u8>) {
        if self.broken.is_none() {
            self.send_last(Alert::CLOSE_NOTIFY, reply);
        }
    }

    /// What the end of the stream means with `bytes_left` of an unfinished record: `None` after the peer's
    /// `close_notify`, and otherwise that somebody may have cut the stream short.
    pub(super) fn end_of_stream(&self, bytes_left: usize) -> Option<Failure> {
        if self.peer_finished {
            return None;
        }
        let detail = match bytes_left {
            0 => "no close_notify came",
            _ => "in the middle of a record",
        };
        Some(Failure::because(Cause::Truncated, detail))
    }

    /// Ends both directions and tells the peer why, unless it was the peer who told us.
    #[cold]
    fn break_off(&mut self, breach: Breach, reply: &mut Vec<u8>) -> Failure {
        self.broken = Some(breach.failure.cause);
        match breach.alert {
            Some(alert) if self.send_last(alert, reply) => breach.failure.told(Told::ByUs(alert.label())),
            _ => breach.failure,
        }
    }

    /// Appends the alert after which we seal nothing, unless one went before. Says whether it did.
    fn send_last(&mut self, alert: Alert, reply: &mut Vec<u8>) -> bool {
        if self.finished {
            return false;
        }
        self.finished = true;
        let before = reply.len();
        reply.resize(before + ALERT_RECORD_BYTES, 0);
        // Without a sequence number there is no way left to tell the peer.
        let sealed = self.sending.seal(direction::ALERT, &alert.message(), &mut reply[before..]).is_ok();
        if !sealed {
            reply.truncate(before);
        }
        sealed
    }
}

impl Repeats {
    /// Data came, or a record that could have held some.
    fn data(&mut self, bytes: usize) -> Result<(), Breach> {
        if bytes == 0 {
            return count(&mut self.empty_records, limits::TLS_EMPTY_RECORDS_MAX, "too many empty records");
        }
        (self.empty_records, self.key_updates, self.tickets) = (0, 0, 0);
        Ok(())
    }

    fn key_update(&mut self) -> Result<(), Breach> {
        count(&mut self.key_updates, limits::TLS_KEY_UPDATES_MAX, "too many key updates without data")
    }

    fn ticket(&mut self) -> Result<(), Breach> {
        count(&mut self.tickets, limits::TLS_TICKETS_MAX, "too many session tickets without data")
    }

    fn idle_alert(&mut self) -> Result<(), Breach> {
        count(&mut self.idle_alerts, limits::TLS_IDLE_ALERTS_MAX, "too many alerts without meaning")
    }
}

/// One more of something of which `max` are allowed.
fn count(so_far: &mut u8, max: u8, detail: &str) -> Result<(), Breach> {
    if *so_far == max {
        return Err(Breach::violation(Alert::UNEXPECTED_MESSAGE, detail));
    }
    *so_far += 1;
    Ok(())
}

/// What ends a connection: the failure for our side, the alert for the peer.
#[derive(Debug)]
struct Breach {
    /// `None` if the peer gave up first.
    alert: Option<Alert>,
    failure: Failure,
}

impl Breach {
    #[cold]
    fn new(alert: Alert, failure: Failure) -> Breach {
        Breach { alert: Some(alert), failure }
    }

    #[cold]
    fn violation(alert: Alert, detail: &str) -> Breach {
        Breach::new(alert, Failure::because(Cause::ProtocolViolation, detail))
    }

    #[cold]
    fn tampered() -> Breach {
        Breach::new(Alert::BAD_RECORD_MAC, Failure::new(Cause::Tampered))
    }

    /// The key schedule took offence at what the peer sent, or failed by itself.
    #[cold]
    fn of_schedule(failure: Failure) -> Breach {
        let alert = match failure.cause {
            Cause::ProtocolViolation => Alert::DECODE_ERROR,
            _ => Alert::INTERNAL_ERROR,
        };
        Breach::new(alert, failure)
    }
}
