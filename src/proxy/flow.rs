//! One direction of a proxied connection: what toxics hold of it, whether its sender is read, what its receiver takes.

use super::chain::{Chain, Content, Ending, Piece};
use crate::collections::{Conn, Owner};
use crate::error::SendError;
use crate::limits::{PROXY_HELD_ALL_BYTES_MAX, PROXY_HELD_BYTES_MAX};
use crate::reactor::{Io, Sent, Timer};
use crate::time::Instant;
use bytes::Bytes;

/// Pieces handed to the receiver in one go, at most; each of a slicer's is a write.
const DELIVERED_MAX: usize = 256;

/// What is read at once comes in pieces no longer than this, so that any outbound queue has room for one.
const PIECE_BYTES_MAX: usize = 64 * 1024;

/// One direction.
#[derive(Debug, Default)]
pub(super) struct Flow {
    pub(super) chain: Chain,
    /// What of the chain's cost is in the sum over all flows.
    charged: usize,
    /// The receiver's queue has enough: nothing is offered until it has drained.
    pub(super) blocked: bool,
    /// The sender is not read.
    paused: bool,
    /// The chain holds as much as it may; until it holds half of that, the sender is not read.
    full: bool,
    /// The sender's end has come in.
    pub(super) finished: bool,
    /// The receiver is gone, or told of the end of it all: what still comes is dropped.
    pub(super) over: bool,
    /// Bytes that came out of the chain and that the receiver took.
    pub(super) delivered_bytes: u64,
    timer: Option<(Timer, Instant)>,
}

impl Flow {
    /// Takes in what the sender sent.
    pub(super) fn take(&mut self, now: Instant, bytes: &[u8]) {
        if self.over {
            return;
        }
        let mut rest = Bytes::copy_from_slice(bytes);
        while !rest.is_empty() {
            let piece = rest.split_to(rest.len().min(PIECE_BYTES_MAX));
            self.chain.push(Piece::bytes(now, piece));
        }
    }

    /// Takes in the sender's end. A reset may follow a finish, nothing else does.
    pub(super) fn take_end(&mut self, now: Instant, ending: Ending) {
        if self.over || self.finished && ending != Ending::Reset {
            return;
        }
        self.finished = true;
        self.chain.push(Piece::end(now, ending));
    }

    /// Moves on what is due and hands it to the receiver. Says when it all is to end.
    pub(super) fn pump(
        &mut self,
        io: &mut Io,
        receiver: Option<Conn>,
        owner: Owner,
        tag: u64,
    ) -> Option<Ending> {
        if self.over {
            return None;
        }
        let now = io.now();
        let mut left = DELIVERED_MAX;
        let mut ending = None;
        let wake = loop {
            let wake = self.chain.advance(now);
            let Some(receiver) = receiver.filter(|_| ending.is_none()) else { break wake };
            if self.blocked {
                // A reset does not wait until everything before it was read.
                ending = self.chain.resets().then_some(Ending::Reset);
                break wake;
            }
            if self.chain.out.is_empty() {
                break wake;
            }
            if left == 0 {
                break Some(now);
            }
            ending = self.deliver(io, receiver, &mut left);
        };
        self.wake_at(io, wake, owner, tag);
        ending
    }

    /// Hands pieces to the receiver until it has enough. Says so if one of them ends it all.
    fn deliver(&mut self, io: &mut Io, receiver: Conn, left: &mut usize) -> Option<Ending> {
        while *left > 0 && !self.blocked {
            let piece = self.chain.out.pop()?;
            *left -= 1;
            let bytes = match &piece.content {
                Content::Bytes(bytes) => bytes,
                Content::End(Ending::Finish) => {
                    // A receiver that is gone tells of itself.
                    let _ = io.finish(receiver);
                    continue;
                }
                Content::End(ending) => return Some(*ending),
            };
            match io.send_bytes(receiver, bytes) {
                Ok(sent) => {
                    self.delivered_bytes += bytes.len() as u64;
                    self.blocked = sent == Sent::Backlogged;
                    if piece.apart {
                        let _ = io.flush_now(receiver);
                    }
                }
                Err(SendError::Full) => {
                    self.chain.out.put_back(piece);
                    self.blocked = true;
                }
                // No buffer of this reactor could ever take it: bytes are lost, so say so.
                Err(SendError::TooLarge) => return Some(Ending::Reset),
                Err(_) => self.stop(io),
            }
        }
        None
    }

    fn wake_at(&mut self, io: &mut Io, wake: Option<Instant>, owner: Owner, tag: u64) {
        let wake = wake.filter(|at| !self.over && *at < Instant::FAR_FUTURE);
        match (wake, self.timer) {
            (Some(at), Some((_, set))) if at == set => {}
            (Some(at), Some((timer, _))) if io.reschedule(timer, at) => self.timer = Some((timer, at)),
            (Some(at), _) => self.timer = Some((io.timer_for(owner, at, tag), at)),
            (None, _) => self.cancel(io),
        }
    }

    /// Whether this is the timer that it waits for; if so it does no more.
    pub(super) fn timer_fired(&mut self, timer: Timer) -> bool {
        self.timer.take_if(|(mine, _)| *mine == timer).is_some()
    }

    fn cancel(&mut self, io: &mut Io) {
        if let Some((timer, _)) = self.timer.take() {
            io.cancel(timer);
        }
    }

    /// Nothing more is handed on.
    pub(super) fn stop(&mut self, io: &mut Io) {
        self.over = true;
        self.blocked = false;
        self.chain.clear();
        self.cancel(io);
    }

    /// Keeps the sum over all flows right.
    pub(super) fn charge(&mut self, held_all: &mut usize) {
        let cost = self.chain.cost();
        *held_all = *held_all - self.charged + cost;
        self.charged = cost;
    }

    /// Reads the sender or does not, whichever it should be now. Says whether its bytes may pass by the chain.
    pub(super) fn settle(&mut self, io: &mut Io, sender: Conn, open: bool, held_all: usize) -> bool {
        let (cost, all_full) = (self.charged, held_all > PROXY_HELD_ALL_BYTES_MAX);
        self.full = if self.full {
            cost > PROXY_HELD_BYTES_MAX / 2 || all_full && cost > 0
        } else {
            cost > PROXY_HELD_BYTES_MAX || all_full && cost > 0
        };
        let throttled = self.blocked && self.chain.is_clean();
        let held_back = self.full || throttled || self.chain.stops_reading();
        let pause = !open || !self.over && held_back;
        if pause != self.paused {
            self.paused = pause;
            // A sender that is gone tells of itself.
            let _ = if pause { io.pause(sender) } else { io.resume(sender) };
        }
        open && !self.over && self.chain.is_idle()
    }
}
