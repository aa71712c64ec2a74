//! Spreading connections by hand: one core accepts and passes each socket to the core with the fewest.

use super::mailbox::Sender;
use crate::error::Address;
use crate::net::Socket;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many of the spread connections a core has, those still on their way to it included.
#[derive(Debug, Default)]
pub(crate) struct Load(AtomicUsize);

impl Load {
    pub(super) fn one_more(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn one_less(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    fn now(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// An accepted connection on its way to another core.
#[derive(Debug)]
pub(crate) struct Handed {
    pub(super) socket: Socket,
    pub(super) peer: Address,
    /// Which of the cores' listeners accepted it: they have the same ones in the same order.
    pub(super) listener: usize,
}

/// Where a listener's connections may go. Dropping it tells the other cores that no more will come.
#[derive(Debug)]
pub(crate) struct HandOff {
    pub(crate) listener: usize,
    pub(crate) own: Arc<Load>,
    pub(crate) others: Vec<(Sender<Handed>, Arc<Load>)>,
}

impl HandOff {
    /// Passes the socket to the core with the fewest. Gives it back if that is this one, or if the other can
    /// not take it: then it is served here, and nothing is lost.
    pub(super) fn pass(&self, socket: Socket, peer: Address) -> Option<(Socket, Address)> {
        let fewest = self.others.iter().min_by_key(|(_, load)| load.now());
        let Some((sender, load)) = fewest.filter(|(_, load)| load.now() < self.own.now()) else {
            return Some((socket, peer));
        };
        load.one_more();
        match sender.try_send(Handed { socket, peer, listener: self.listener }) {
            Ok(()) => None,
            Err(refused) => {
                load.one_less();
                let Handed { socket, peer, .. } = refused.into_message();
                Some((socket, peer))
            }
        }
    }
}

impl Drop for HandOff {
    fn drop(&mut self) {
        for (sender, _) in self.others.drain(..) {
            sender.hang_up();
        }
    }
}
