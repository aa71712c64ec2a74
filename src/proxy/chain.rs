//! What is on its way in one direction of a connection: a queue for each toxic and one behind them all. Knows no socket
//! and no clock: bytes go in with the time, and come out with the time at which they are due.

use super::plan::ToxicKind;
use super::toxics::{Step, Toxin};
use crate::limits::PROXY_HELD_BYTES_MAX;
use crate::time::Instant;
use bytes::Bytes;
use fastrand::Rng;
use std::collections::VecDeque;

/// What keeping a piece costs besides its bytes: its place in a queue and its share of an allocation.
const PIECE_COST_BYTES: usize = 96;

/// Pieces that one call moves past one toxic, at most: a slicer makes very many of one.
const STEPS_MAX: usize = 1024;

/// A queue that has run empty keeps room for so many pieces; more is given back.
const PIECES_KEPT: usize = 64;

/// The end of a direction, or of the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ending {
    /// The sender ended its side; the other direction goes on.
    Finish,
    /// Both ends are closed in good order.
    Close,
    /// Both ends see a reset.
    Reset,
}

/// What a piece is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Content {
    /// Some bytes; never none.
    Bytes(Bytes),
    /// An end, in its place behind the bytes.
    End(Ending),
}

/// A piece of what is on its way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Piece {
    /// When it came to where it is: what a toxic counts from, however late it looks.
    pub(super) at: Instant,
    pub(super) content: Content,
    /// It is to be written by itself.
    pub(super) apart: bool,
}

impl Piece {
    pub(super) const fn bytes(at: Instant, bytes: Bytes) -> Piece {
        Piece { at, content: Content::Bytes(bytes), apart: false }
    }

    pub(super) const fn end(at: Instant, ending: Ending) -> Piece {
        Piece { at, content: Content::End(ending), apart: false }
    }

    /// How many bytes it is; an end is none.
    pub(super) const fn len(&self) -> usize {
        match &self.content {
            Content::Bytes(bytes) => bytes.len(),
            Content::End(_) => 0,
        }
    }
}

/// Pieces in order, and what they cost to keep.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pieces: VecDeque<Piece>,
    bytes: usize,
}

impl Queue {
    pub(super) fn front(&self) -> Option<&Piece> {
        self.pieces.front()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.pieces.len()
    }

    pub(super) fn push(&mut self, piece: Piece) {
        self.bytes += piece.len();
        self.pieces.push_back(piece);
    }

    /// Puts back what was popped last.
    pub(super) fn put_back(&mut self, piece: Piece) {
        self.bytes += piece.len();
        self.pieces.push_front(piece);
    }

    pub(super) fn pop(&mut self) -> Option<Piece> {
        let piece = self.pieces.pop_front()?;
        self.bytes -= piece.len();
        if self.pieces.is_empty() && self.pieces.capacity() > PIECES_KEPT {
            self.pieces = VecDeque::new();
        }
        Some(piece)
    }

    /// The first `bytes` bytes of the front piece, or all of it if it is no longer than that (or an end).
    pub(super) fn pop_bytes(&mut self, bytes: usize) -> Option<Piece> {
        match self.pieces.front_mut() {
            Some(Piece { at, content: Content::Bytes(front), apart }) if bytes < front.len() => {
                let piece = Piece { at: *at, content: Content::Bytes(front.split_to(bytes)), apart: *apart };
                self.bytes -= bytes;
                Some(piece)
            }
            _ => self.pop(),
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Queue::default();
    }

    /// Bytes that it takes to keep them.
    fn cost(&self) -> usize {
        self.bytes + self.pieces.len() * PIECE_COST_BYTES
    }
}

/// One toxic of one connection, with what waits for it.
#[derive(Debug)]
struct Stage {
    /// The number of the toxic: stages stand in this order.
    number: u64,
    kind: ToxicKind,
    toxin: Toxin,
    queue: Queue,
}

/// All toxics of one direction of a connection.
#[derive(Debug, Default)]
pub(super) struct Chain {
    stages: Vec<Stage>,
    /// What has come through.
    pub(super) out: Queue,
}

impl Chain {
    /// Whether bytes may pass by without coming in.
    pub(super) fn is_idle(&self) -> bool {
        self.stages.is_empty() && self.out.is_empty()
    }

    /// Whether no toxic is on it.
    pub(super) fn is_clean(&self) -> bool {
        self.stages.is_empty()
    }

    /// Whether a toxic wants that the sender is not read.
    pub(super) fn stops_reading(&self) -> bool {
        self.stages.iter().any(|stage| matches!(stage.toxin, Toxin::StopReading))
    }

    /// Whether a reset has come through.
    pub(super) fn resets(&self) -> bool {
        self.out.pieces.back().is_some_and(|piece| piece.content == Content::End(Ending::Reset))
    }

    /// Numbers of the toxics on it, in order.
    pub(super) fn numbers(&self) -> Vec<u64> {
        self.stages.iter().map(|stage| stage.number).collect()
    }

    pub(super) fn push(&mut self, piece: Piece) {
        match self.stages.first_mut() {
            Some(stage) => stage.queue.push(piece),
            None => self.out.push(piece),
        }
    }

    /// Bytes that it takes to keep what is on its way.
    pub(super) fn cost(&self) -> usize {
        self.out.cost() + self.stages.iter().map(|stage| stage.queue.cost()).sum::<usize>()
    }

    /// Bytes on their way.
    pub(super) fn bytes(&self) -> usize {
        self.out.bytes + self.stages.iter().map(|stage| stage.queue.bytes).sum::<usize>()
    }

    /// Drops what is on its way.
    pub(super) fn clear(&mut self) {
        self.out.clear();
        self.stages.iter_mut().for_each(|stage| stage.queue.clear());
    }

    /// Puts a toxic on, in its place by number.
    pub(super) fn insert(&mut self, number: u64, kind: ToxicKind, rng: Rng, now: Instant) {
        let place = self.stages.partition_point(|stage| stage.number < number);
        let toxin = Toxin::new(&kind, rng, now);
        self.stages.insert(place, Stage { number, kind, toxin, queue: Queue::default() });
    }

    /// Gives a toxic its attributes anew, if they have changed; false if it is not on.
    pub(super) fn change(&mut self, number: u64, kind: ToxicKind, now: Instant) -> bool {
        let Some(place) = self.place_of(number) else { return false };
        let stage = &mut self.stages[place];
        if stage.kind != kind {
            stage.kind = kind;
            stage.toxin.change(&kind, now);
        }
        true
    }

    /// Takes a toxic off; what it held has come as far as the next one by now.
    pub(super) fn remove(&mut self, number: u64, now: Instant) {
        let Some(place) = self.place_of(number) else { return };
        let mut removed = self.stages.remove(place);
        let next = self.stages.get_mut(place).map_or(&mut self.out, |stage| &mut stage.queue);
        while let Some(piece) = removed.queue.pop() {
            next.push(Piece { at: now, ..piece });
        }
    }

    fn place_of(&self, number: u64) -> Option<usize> {
        self.stages.iter().position(|stage| stage.number == number)
    }

    /// Moves on what is due by `now`, and says when to come again. A toxic that makes many pieces of one waits while
    /// those behind it hold as much as they may: what leaves them brings the next call.
    pub(super) fn advance(&mut self, now: Instant) -> Option<Instant> {
        let mut wake = None;
        for place in 0..self.stages.len() {
            let at = self.advance_past(place, now);
            wake = wake.into_iter().chain(at).min();
        }
        wake
    }

    fn advance_past(&mut self, place: usize, now: Instant) -> Option<Instant> {
        let (mine, behind) = self.stages[place..].split_at_mut(1);
        let Stage { toxin, queue, .. } = &mut mine[0];
        let mut cost_behind = self.out.cost() + behind.iter().map(|stage| stage.queue.cost()).sum::<usize>();
        let next = behind.first_mut().map_or(&mut self.out, |stage| &mut stage.queue);
        for _ in 0..STEPS_MAX {
            if cost_behind >= PROXY_HELD_BYTES_MAX {
                toxin.held_up(now);
                return None;
            }
            match toxin.step(queue, now) {
                Step::Pass(piece) => {
                    cost_behind += piece.len() + PIECE_COST_BYTES;
                    next.push(piece);
                }
                Step::Wait(at) => return Some(at),
                Step::Rest => return None,
            }
        }
        Some(now)
    }
}
