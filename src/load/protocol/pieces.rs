//! Feeds protocols as the generator does, in pieces, and damages what they are fed: for their tests.

use super::{Answer, Draw, Malformed, Protocol, Step};
use proptest::prelude::*;

/// The most that a protocol may ask to keep.
const KEPT_BYTES_MAX: usize = 64 * 1024;

/// What a protocol made of some bytes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Found {
    /// The answers and whether they were the last of their connection.
    pub(super) answers: Vec<(Answer, bool)>,
    pub(super) malformed: Option<Malformed>,
    /// What the end of the stream meant to the answer that was not complete.
    pub(super) ended: Option<Answer>,
}

impl Found {
    pub(super) fn answers<const N: usize>(answers: [Answer; N]) -> Found {
        Found { answers: answers.into_iter().map(|answer| (answer, false)).collect(), ..Found::default() }
    }

    /// What a sentence quotes depends on how much has come; that there is one does not.
    pub(super) fn without_sentence(mut self) -> Found {
        self.malformed = self.malformed.map(|_| Malformed(String::new()));
        self
    }
}

/// Sends `requests` requests, then receives `bytes` in pieces of the lengths `cuts`, over and over; in one piece if
/// there are none. Ends where every request has its answer, or one is the last.
pub(super) fn feed<P: Protocol>(mut protocol: P, requests: usize, bytes: &[u8], cuts: &[usize]) -> Found {
    let (mut draw, mut sent) = (Draw::seeded(1), Vec::new());
    (0..requests).for_each(|_| protocol.request(&mut draw, &mut sent));
    let mut cuts = cuts.iter().copied().cycle();
    let (mut done, mut come, mut found) = (0, 0, Found::default());
    while come < bytes.len() {
        come = cuts.next().map_or(bytes.len(), |piece| bytes.len().min(come + piece));
        while done < come && found.answers.len() < requests {
            match protocol.answer(&bytes[done..come]) {
                Ok(Step::Partial { used }) => {
                    done += used;
                    assert!(done <= come && come - done < KEPT_BYTES_MAX, "asks to keep {}", come - done);
                    break;
                }
                Ok(Step::Answered { used, answer, last }) => {
                    done += used;
                    assert!(done <= come && used > 0);
                    found.answers.push((answer, last));
                    if last {
                        return found;
                    }
                }
                Err(malformed) => {
                    assert!(!malformed.0.is_empty() && malformed.0.len() < 300);
                    found.malformed = Some(malformed);
                    return found;
                }
            }
        }
    }
    found.ended = protocol.ended();
    found
}

/// A damage: where (as a share of the length), what kind, with which byte.
pub(super) type Mutation = (f64, u8, u8);

pub(super) fn mutations() -> impl Strategy<Value = Vec<Mutation>> {
    // Bytes that mean something are likelier to mislead a parser than others.
    let byte = prop_oneof![any::<u8>(), prop::sample::select(&b"\r\n\0 -:;,+$*0123456789fHT/"[..])];
    prop::collection::vec((0.0..1.0, 0..4u8, byte), 1..8)
}

/// Changes, inserts, removes and doubles bytes.
pub(super) fn mutate(mut bytes: Vec<u8>, mutations: &[Mutation]) -> Vec<u8> {
    for (share, kind, byte) in mutations {
        let at = (bytes.len() as f64 * share) as usize;
        match kind {
            _ if bytes.is_empty() => bytes.push(*byte),
            0 => bytes[at] = *byte,
            1 => bytes.insert(at, *byte),
            2 => drop(bytes.remove(at)),
            _ => bytes.extend_from_within(at..),
        }
    }
    bytes
}
