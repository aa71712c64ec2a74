//! Replies in the order of their commands, although other cores answer when they like.

use crate::resp::{REPLIES_BYTES_MAX, Replies, integer};
use std::collections::VecDeque;

/// How the answers to the parts of one command make its reply.
pub enum Combine {
    /// All parts say the same; the last to come is the reply.
    Same(Vec<u8>),
    /// Numbers that add up.
    Sum(i64),
    /// Arrays of one, in the order of the parts.
    InOrder(Vec<Vec<u8>>),
}

/// A command whose reply is not complete, or waits for those before it.
struct Waiting {
    missing: usize,
    combine: Combine,
}

/// The commands of one connection that wait, oldest first.
#[derive(Default)]
pub struct Order {
    /// The ticket of the oldest.
    first: u64,
    waiting: VecDeque<Waiting>,
    held_bytes: usize,
}

/// More than [`REPLIES_BYTES_MAX`] of answers wait for an earlier one.
#[derive(PartialEq, Eq, Debug)]
pub struct TooMuch;

impl Order {
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Lines up a command that consists of so many parts; answers to them carry the ticket.
    pub fn push(&mut self, combine: Combine, parts: usize) -> u64 {
        self.waiting.push_back(Waiting { missing: parts, combine });
        self.first + self.waiting.len() as u64 - 1
    }

    /// Lines up a reply that has only to wait for those before it.
    pub fn push_ready(&mut self, reply: Vec<u8>) -> Result<(), TooMuch> {
        if self.held_bytes + reply.len() > REPLIES_BYTES_MAX {
            return Err(TooMuch);
        }
        self.held_bytes += reply.len();
        self.push(Combine::Same(reply), 0);
        Ok(())
    }

    /// Takes in the answer to one part.
    pub fn answer(&mut self, ticket: u64, part: usize, reply: &[u8]) -> Result<(), TooMuch> {
        let place = ticket.checked_sub(self.first).and_then(|place| usize::try_from(place).ok());
        let Some(command) = place.and_then(|place| self.waiting.get_mut(place)) else { return Ok(()) };
        command.missing = command.missing.saturating_sub(1);
        match &mut command.combine {
            Combine::Same(same) => {
                self.held_bytes = self.held_bytes + reply.len() - same.len();
                *same = reply.to_vec();
            }
            Combine::Sum(sum) => *sum += number_in(reply),
            Combine::InOrder(parts) => {
                self.held_bytes += reply.len();
                if let Some(place) = parts.get_mut(part) {
                    *place = reply.to_vec();
                }
            }
        }
        if self.held_bytes > REPLIES_BYTES_MAX { Err(TooMuch) } else { Ok(()) }
    }

    /// Moves the replies out that have no incomplete one before them.
    pub fn drain(&mut self, out: &mut Replies) {
        while self.waiting.front().is_some_and(|command| command.missing == 0) {
            let Some(command) = self.waiting.pop_front() else { return };
            self.first += 1;
            match command.combine {
                Combine::Same(reply) => {
                    self.held_bytes -= reply.len();
                    out.encoded(&reply);
                }
                Combine::Sum(sum) => out.integer(sum),
                Combine::InOrder(parts) => {
                    out.array(parts.len());
                    for part in &parts {
                        self.held_bytes -= part.len();
                        out.encoded(part.strip_prefix(b"*1\r\n").unwrap_or(part));
                    }
                }
            }
        }
    }
}

/// The number in `:5\r\n`.
fn number_in(reply: &[u8]) -> i64 {
    let digits = reply.strip_prefix(b":").and_then(|rest| rest.strip_suffix(b"\r\n"));
    digits.and_then(integer).unwrap_or(0)
}
