//! Mail from other threads: a bounded channel per message type and the reactor's bell.

use super::bell::Bell;
use super::event::Mailbox;
use crossbeam_channel::{Receiver, TryRecvError, TrySendError};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a reactor and those who write to it share.
#[derive(Debug)]
pub(crate) struct Doorway {
    pub(crate) bell: Bell<crate::net::Waker>,
    /// Counts turns, so that an inbox knows when its budget is new.
    pub(crate) turn: AtomicU64,
    /// How soon a stopper wants the reactor to be done, in nanoseconds; the shortest wish counts.
    pub(crate) stop_within: AtomicU64,
    /// Bits of the mailboxes whose inbox was dropped: nobody will ever take what is in them.
    pub(crate) abandoned: AtomicU64,
}

/// The writing end of a mailbox: clone it into any thread.
pub struct Sender<M> {
    channel: crossbeam_channel::Sender<M>,
    doorway: Arc<Doorway>,
    bit: u64,
}

impl<M> Sender<M> {
    /// Puts `message` in, and wakes the reactor if it sleeps. Never blocks.
    ///
    /// # Errors
    /// Gives the message back if the mailbox is full or its inbox was dropped. Nobody tells when there is room
    /// again: try on a timer, or drop the message.
    pub fn try_send(&self, message: M) -> Result<(), SendMailError<M>> {
        match self.channel.try_send(message) {
            Ok(()) => {
                self.doorway.bell.ring(self.bit);
                Ok(())
            }
            Err(TrySendError::Full(message)) => Err(SendMailError::Full(message)),
            Err(TrySendError::Disconnected(message)) => Err(SendMailError::Gone(message)),
        }
    }

    /// Drops this end and tells the reader to look, so that it learns when the last writer has gone.
    pub(crate) fn hang_up(self) {
        let Sender { channel, doorway, bit } = self;
        drop(channel);
        doorway.bell.ring(bit);
    }

    /// Messages waiting now.
    #[must_use]
    pub fn len(&self) -> usize {
        self.channel.len()
    }

    /// Whether nothing waits now.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.channel.is_empty()
    }
}

impl<M> Clone for Sender<M> {
    fn clone(&self) -> Sender<M> {
        Sender { channel: self.channel.clone(), doorway: Arc::clone(&self.doorway), bit: self.bit }
    }
}

impl<M> fmt::Debug for Sender<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("waiting", &self.channel.len()).finish()
    }
}

/// Why a message was not taken; it comes back inside.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SendMailError<M> {
    /// The mailbox holds as many as it may; the reader is behind.
    Full(M),
    /// The inbox was dropped; nobody will read.
    Gone(M),
}

impl<M> SendMailError<M> {
    /// The message that was not taken.
    pub fn into_message(self) -> M {
        match self {
            SendMailError::Full(message) | SendMailError::Gone(message) => message,
        }
    }
}

impl<M> fmt::Display for SendMailError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SendMailError::Full(_) => "the mailbox is full: its reader is behind",
            SendMailError::Gone(_) => "the mailbox has no reader any more",
        })
    }
}

impl<M: fmt::Debug> std::error::Error for SendMailError<M> {}

/// The reading end of a mailbox; lives with the handler of its reactor.
pub struct Inbox<M> {
    channel: Receiver<M>,
    doorway: Arc<Doorway>,
    bit: u64,
    mailbox: Mailbox,
    budget: usize,
    taken: usize,
    turn: u64,
    abandoned: bool,
}

impl<M> Inbox<M> {
    /// The next message; `None` when there is none, or when this turn's budget for mail is used up, in which
    /// case [`Event::Mail`](crate::Event::Mail) comes again next turn.
    pub fn recv(&mut self) -> Option<M> {
        let turn = self.doorway.turn.load(Ordering::Relaxed);
        if turn != self.turn {
            (self.turn, self.taken) = (turn, 0);
        }
        if self.taken == self.budget {
            return None;
        }
        self.taken += 1;
        match self.channel.try_recv() {
            Ok(message) => return Some(message),
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => self.doorway.bell.clear(self.bit),
        }
        // A sender may have put something in before it saw the bit cleared: look once more.
        match self.channel.try_recv() {
            Ok(message) => {
                self.doorway.bell.ring(self.bit);
                Some(message)
            }
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => {
                self.abandoned = true;
                None
            }
        }
    }

    /// Whether `recv` has found that every sender was dropped: nothing will ever come.
    #[must_use]
    pub const fn is_abandoned(&self) -> bool {
        self.abandoned
    }

    /// Which mailbox this is, to compare with [`Event::Mail`](crate::Event::Mail).
    #[must_use]
    pub const fn mailbox(&self) -> Mailbox {
        self.mailbox
    }
}

impl<M> Drop for Inbox<M> {
    fn drop(&mut self) {
        self.doorway.abandoned.fetch_or(self.bit, Ordering::Relaxed);
    }
}

impl<M> fmt::Debug for Inbox<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").field("mailbox", &self.mailbox).field("waiting", &self.channel.len()).finish()
    }
}

pub(crate) fn mailbox<M>(
    doorway: &Arc<Doorway>,
    mailbox: Mailbox,
    capacity: usize,
    budget: usize,
) -> (Sender<M>, Inbox<M>) {
    let (sender, receiver) = crossbeam_channel::bounded(capacity);
    let bit = 1 << mailbox.number;
    let doorway = Arc::clone(doorway);
    (
        Sender { channel: sender, doorway: Arc::clone(&doorway), bit },
        Inbox { channel: receiver, doorway, bit, mailbox, budget, taken: 0, turn: 0, abandoned: false },
    )
}
