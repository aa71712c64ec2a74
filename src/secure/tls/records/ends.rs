//! Two ends of a connection without a handshake, for tests and fuzzing: well-behaved if asked nicely, and able to
//! seal what no well-behaved end would.

use super::super::keys::Suite;
use super::*;
use aws_lc_rs::digest;

pub(super) const SUITES: [Suite; 3] = [Suite::Aes128Gcm, Suite::Aes256Gcm, Suite::ChaCha20Poly1305];

/// A key schedule that both ends can follow without a handshake: the keys of each direction are numbered.
#[derive(Debug)]
pub(super) struct Numbered {
    suite: Suite,
    is_client: bool,
    pub(super) sending: u32,
    pub(super) receiving: u32,
    pub(super) tickets: Vec<Vec<u8>>,
    /// What it answers from now on.
    pub(super) fault: Option<Cause>,
}

impl Numbered {
    pub(super) fn key(&self, from_client: bool, number: u32) -> TrafficKey {
        let mut seed = vec![u8::from(from_client)];
        seed.extend_from_slice(&number.to_be_bytes());
        let digest = digest::digest(&digest::SHA512, &seed);
        let (key, iv) = digest.as_ref().split_at(32);
        let iv = iv.first_chunk().expect("64 bytes hold a key and an iv");
        TrafficKey::new(self.suite, &key[..self.suite.key_bytes()], *iv, 0).expect("of the right length")
    }

    fn unless_faulty(&self) -> Result<(), Failure> {
        self.fault.map_or(Ok(()), |cause| Err(Failure::new(cause)))
    }
}

impl KeySchedule for Numbered {
    fn next_sending(&mut self) -> Result<TrafficKey, Failure> {
        self.unless_faulty()?;
        self.sending += 1;
        Ok(self.key(self.is_client, self.sending))
    }

    fn next_receiving(&mut self) -> Result<TrafficKey, Failure> {
        self.unless_faulty()?;
        self.receiving += 1;
        Ok(self.key(!self.is_client, self.receiving))
    }

    fn ticket(&mut self, payload: &[u8]) -> Result<(), Failure> {
        self.unless_faulty()?;
        self.tickets.push(payload.to_vec());
        Ok(())
    }
}

/// What an end made of what it was given.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Got {
    pub(super) data: Vec<u8>,
    pub(super) consumed: usize,
    pub(super) then: Next,
    pub(super) reply: Vec<u8>,
}

/// [`Then`], comparable.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    More,
    Finished,
    Failed(Cause, String),
}

/// Opens `wire` with `records` and checks what holds of every answer.
pub(super) fn open(records: &mut Records, schedule: &mut impl KeySchedule, wire: &[u8]) -> Got {
    let mut plain = vec![0xee; wire.len()];
    let mut reply = vec![0xdd];
    let opened = records.open(schedule, wire, &mut plain, &mut reply);
    assert_eq!(reply.remove(0), 0xdd, "what stood in the reply before must stay");
    assert!(opened.consumed <= wire.len() && opened.produced <= opened.consumed);
    let then = match opened.then {
        Then::More => {
            let whole = whole_records(wire);
            assert_eq!(opened.consumed, whole, "all whole records, and nothing of the one that is not");
            Next::More
        }
        Then::Finished => Next::Finished,
        Then::Failed(failure) => {
            Next::Failed(failure.cause, failure.detail.map(String::from).unwrap_or_default())
        }
    };
    plain.truncate(opened.produced);
    Got { data: plain, consumed: opened.consumed, then, reply }
}

/// How many bytes at the front of `wire` are whole records by their headers.
fn whole_records(wire: &[u8]) -> usize {
    let mut at = 0;
    while let Some(&[_, _, _, high, low]) = wire[at..].first_chunk() {
        let next = at + 5 + usize::from(u16::from_be_bytes([high, low]));
        if next > wire.len() {
            break;
        }
        at = next;
    }
    at
}

/// One end of a connection.
#[derive(Debug)]
pub(super) struct End {
    pub(super) records: Records,
    pub(super) schedule: Numbered,
}

impl End {
    pub(super) fn new(suite: Suite, is_client: bool) -> End {
        let schedule =
            Numbered { suite, is_client, sending: 0, receiving: 0, tickets: Vec::new(), fault: None };
        let (receiving, sending) = (schedule.key(!is_client, 0), schedule.key(is_client, 0));
        End { records: Records::new(receiving, sending, is_client), schedule }
    }

    pub(super) fn open(&mut self, wire: &[u8]) -> Got {
        open(&mut self.records, &mut self.schedule, wire)
    }

    pub(super) fn try_seal(&mut self, plain: &[u8]) -> Result<Vec<u8>, Failure> {
        let mut sealed = vec![0; self.records.sealed_bytes_max(plain.len())];
        let bytes = self.records.seal(&mut self.schedule, plain, &mut sealed)?;
        sealed.truncate(bytes);
        Ok(sealed)
    }

    pub(super) fn finish(&mut self) -> Vec<u8> {
        let mut reply = Vec::new();
        self.records.finish(&mut reply);
        reply
    }

    /// Seals what a well-behaved end would not: any content of any type, behind it as much padding.
    pub(super) fn forge(&mut self, content_type: u8, content: &[u8], padding: usize) -> Vec<u8> {
        forge(&mut self.records.sending, content_type, content, padding)
    }

    /// Announces our next key with a key update of this kind and takes it.
    pub(super) fn update_key(&mut self, kind: u8) -> Vec<u8> {
        let record = self.forge(direction::HANDSHAKE, &[24, 0, 0, 1, kind], 0);
        self.records.sending = Direction::new(self.schedule.next_sending().expect("no fault is set"));
        record
    }
}

pub(super) fn forge(with: &mut Direction, content_type: u8, content: &[u8], padding: usize) -> Vec<u8> {
    // The type and the padding but for its last byte go with the content, the last byte goes as the type.
    let mut inner = content.to_vec();
    let mut last = content_type;
    if padding > 0 {
        inner.push(content_type);
        inner.resize(content.len() + padding, 0);
        last = 0;
    }
    let mut record = vec![0; inner.len() + direction::OVERHEAD_BYTES];
    let bytes = with.seal(last, &inner, &mut record).expect("the sequence number is small");
    assert_eq!(bytes, record.len());
    record
}
