//! The other cores: whose key is whose, and the mail that carries commands there and answers back.
//!
//! Each key belongs to one core, by its hash. A command for a key of another core travels there in a bundle
//! with others that came in the same read, and its answer comes back the same way. A command on one key is
//! therefore atomic, as ever; one that names keys of several cores is done part by part, and others may come in
//! between: MSET is atomic for each key alone, and FLUSHALL and DBSIZE go from core to core. Commands of
//! one connection on the same key are done in the order in which they were sent.

use crate::commands::{Command, Keys};
use crate::order::{Combine, Order};
use crate::resp::{Request, Span};
use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use windlass::{Conn, CoreMail, Inbox, SendMailError, Sender};

/// Bundles that a core may have waiting; senders hold on to what is more and try again.
pub const MAIL_MAX: usize = 1024;

/// What cores send each other.
pub enum Mail {
    Ask { from: usize, bundle: Bundle },
    Answer(Bundle),
}

/// Whom an answer is for: the connection, the command in its line, and which part of that.
#[derive(Clone, Copy)]
pub struct For {
    pub conn: Conn,
    pub ticket: u64,
    pub part: usize,
}

/// Commands, or answers, with their bytes in one piece.
#[derive(Default)]
pub struct Bundle {
    pub bytes: Vec<u8>,
    spans: Vec<Span>,
    /// Whom each is for, and where its spans end.
    items: Vec<(For, usize)>,
}

impl Bundle {
    /// A command with its arguments, or an answer as the only one; none for an answer that grew too large.
    pub fn push<'a>(&mut self, whom: For, args: impl IntoIterator<Item = &'a [u8]>) {
        for arg in args {
            let start = self.bytes.len() as u32;
            self.bytes.extend_from_slice(arg);
            self.spans.push(start..self.bytes.len() as u32);
        }
        self.items.push((whom, self.spans.len()));
    }

    pub fn iter(&self) -> impl Iterator<Item = (For, Request<'_>)> {
        let mut start = 0;
        self.items.iter().map(move |&(whom, end)| {
            let spans = &self.spans[start..end];
            start = end;
            (whom, Request::new(&self.bytes, spans))
        })
    }
}

/// What goes to one other core.
struct Outbox {
    to: Sender<Mail>,
    asks: Bundle,
    /// Sealed, but not yet taken by the mailbox.
    unsent: VecDeque<Mail>,
}

/// Who serves a command.
pub enum Route {
    Here,
    There(usize),
    /// Several cores, each a part of it.
    Split,
}

/// This core among the others.
pub struct Peers {
    number: usize,
    inbox: Inbox<Mail>,
    outboxes: Vec<Outbox>,
    hasher: RandomState,
}

impl Peers {
    /// The hasher must be the same on all cores.
    pub fn new(number: usize, mail: CoreMail<Mail>, hasher: RandomState) -> Peers {
        let outbox = |to| Outbox { to, asks: Bundle::default(), unsent: VecDeque::new() };
        Peers { number, inbox: mail.inbox, outboxes: mail.cores.into_iter().map(outbox).collect(), hasher }
    }

    pub fn number(&self) -> usize {
        self.number
    }

    pub fn count(&self) -> usize {
        self.outboxes.len()
    }

    fn owner(&self, key: &[u8]) -> usize {
        (self.hasher.hash_one(key) % self.outboxes.len() as u64) as usize
    }

    /// Who serves the command: one core if all of its keys are there.
    #[inline]
    pub fn route(&self, command: &Command, request: Request<'_>) -> Route {
        if self.outboxes.len() == 1 {
            return Route::Here;
        }
        let step = match command.keys {
            Keys::None => return Route::Here,
            Keys::All | Keys::AllAndSum => return Route::Split,
            Keys::Pairs if request.len().is_multiple_of(2) => return Route::Here,
            Keys::First => request.len(),
            Keys::EachAndSum | Keys::EachInOrder => 1,
            Keys::Pairs => 2,
        };
        let mut owners = request.args(1).step_by(step).map(|key| self.owner(key));
        let first = owners.next().unwrap_or(self.number);
        match owners.all(|owner| owner == first) {
            true if first == self.number => Route::Here,
            true => Route::There(first),
            false => Route::Split,
        }
    }

    /// Sends a whole command to the core that has its keys.
    pub fn ask_one(&mut self, core: usize, conn: Conn, order: &mut Order, request: Request<'_>) {
        let ticket = order.push(Combine::Same(Vec::new()), 1);
        self.outboxes[core].asks.push(For { conn, ticket, part: 0 }, request.args(0));
    }

    /// Sends each core its part of a command; `here` does what falls to this one.
    pub fn ask_many(
        &mut self,
        command: &Command,
        conn: Conn,
        order: &mut Order,
        request: Request<'_>,
        mut here: impl FnMut(&mut Order, For, Request<'_>),
    ) {
        let keys = request.len() - 1;
        let (combine, parts) = match command.keys {
            Keys::AllAndSum => (Combine::Sum(0), self.count()),
            Keys::EachAndSum => (Combine::Sum(0), keys),
            Keys::EachInOrder => (Combine::InOrder(vec![Vec::new(); keys]), keys),
            Keys::Pairs => (Combine::Same(Vec::new()), keys / 2),
            Keys::None | Keys::First | Keys::All => (Combine::Same(Vec::new()), self.count()),
        };
        let ticket = order.push(combine, parts);
        for part in 0..parts {
            let (mut two, mut three) = ([0..0, 0..0], [0..0, 0..0, 0..0]);
            let (core, request) = match command.keys {
                Keys::EachAndSum | Keys::EachInOrder => {
                    (self.owner(request.arg(part + 1)), request.only([0, part + 1], &mut two))
                }
                Keys::Pairs => {
                    let key = part * 2 + 1;
                    (self.owner(request.arg(key)), request.only([0, key, key + 1], &mut three))
                }
                _ => (part, request),
            };
            let whom = For { conn, ticket, part };
            if core == self.number {
                here(order, whom, request);
            } else {
                self.outboxes[core].asks.push(whom, request.args(0));
            }
        }
    }

    pub fn answer(&mut self, core: usize, answers: Bundle) {
        self.outboxes[core].unsent.push_back(Mail::Answer(answers));
    }

    /// Posts what has gathered; `false` if a mailbox was full, in which case it is to be tried again soon.
    pub fn post(&mut self) -> bool {
        let from = self.number;
        let mut posted = true;
        for outbox in &mut self.outboxes {
            if !outbox.asks.items.is_empty() {
                let bundle = std::mem::take(&mut outbox.asks);
                outbox.unsent.push_back(Mail::Ask { from, bundle });
            }
            while let Some(mail) = outbox.unsent.pop_front() {
                match outbox.to.try_send(mail) {
                    Ok(()) => {}
                    Err(SendMailError::Full(mail)) => {
                        outbox.unsent.push_front(mail);
                        posted = false;
                        break;
                    }
                    // That core has ended, and so will this one.
                    Err(SendMailError::Gone(_)) => {}
                }
            }
        }
        posted
    }

    pub fn next_mail(&mut self) -> Option<Mail> {
        self.inbox.recv()
    }
}
