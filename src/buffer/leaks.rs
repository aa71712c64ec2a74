//! Who took the chunks that have not come back. Kept in debug builds; costs nothing in release builds.

use std::fmt;
use std::panic::Location;

/// Chunks taken at one place in the source and not yet put back.
///
/// While connections have bytes pending that is as it should be. When nothing is pending, or where
/// [`Leak::dropped`] is not zero, it is a leak.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Leak {
    /// Where they were taken: the caller of [`Pool::take`](super::Pool::take), or of the queue's method that
    /// needed a chunk.
    pub site: &'static Location<'static>,
    /// How many chunks.
    pub count: usize,
    /// Their capacity together, in bytes.
    pub bytes: usize,
    /// How many of them were dropped without [`Pool::put`](super::Pool::put) and can never come back.
    pub dropped: usize,
}

impl fmt::Display for Leak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Leak { site, count, bytes, dropped } = self;
        write!(f, "{site}: {count} chunks, {bytes} bytes, {dropped} of them dropped without put")
    }
}

#[cfg(debug_assertions)]
mod ledger {
    use super::Leak;
    use std::collections::BTreeMap;
    use std::panic::Location;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// What each call site has out.
    #[derive(Debug, Default)]
    pub(in crate::buffer) struct Ledger {
        sites: BTreeMap<&'static Location<'static>, Account>,
    }

    #[derive(Debug, Default)]
    struct Account {
        count: usize,
        bytes: usize,
        /// Shared with the tickets, and atomic because a chunk may be dropped on another thread.
        dropped: Arc<AtomicUsize>,
    }

    /// Rides in a chunk and tells its account when the chunk is dropped without having been put back.
    #[derive(Debug)]
    pub(in crate::buffer) struct Ticket {
        site: &'static Location<'static>,
        /// `None` once the chunk has been put back.
        dropped: Option<Arc<AtomicUsize>>,
    }

    impl Ledger {
        pub(in crate::buffer) const fn new() -> Ledger {
            Ledger { sites: BTreeMap::new() }
        }

        #[track_caller]
        pub(in crate::buffer) fn issue(&mut self, bytes: usize) -> Ticket {
            let site = Location::caller();
            let account = self.sites.entry(site).or_default();
            account.count += 1;
            account.bytes += bytes;
            Ticket { site, dropped: Some(Arc::clone(&account.dropped)) }
        }

        /// # Panics
        /// When another pool issued the ticket: both pools' counts would be wrong from here on.
        pub(in crate::buffer) fn redeem(&mut self, mut ticket: Ticket, bytes: usize) {
            let dropped =
                ticket.dropped.take().expect("a ticket is redeemed once, when its chunk is put back");
            let account = self.sites.get_mut(ticket.site).filter(|a| Arc::ptr_eq(&a.dropped, &dropped));
            let account =
                account.unwrap_or_else(|| panic!("chunk of another pool, taken at {}", ticket.site));
            account.count -= 1;
            account.bytes -= bytes;
        }

        pub(in crate::buffer) fn leaks(&self) -> Vec<Leak> {
            let out = self.sites.iter().filter(|(_, account)| account.count > 0);
            out.map(|(site, account)| Leak {
                site,
                count: account.count,
                bytes: account.bytes,
                dropped: account.dropped.load(Ordering::Relaxed),
            })
            .collect()
        }
    }

    impl Drop for Ticket {
        fn drop(&mut self) {
            if let Some(dropped) = self.dropped.take() {
                dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

#[cfg(not(debug_assertions))]
mod ledger {
    use super::Leak;

    /// Knows nothing in release builds.
    #[derive(Debug, Default)]
    pub(in crate::buffer) struct Ledger;

    /// Takes no room in release builds.
    #[derive(Debug)]
    pub(in crate::buffer) struct Ticket;

    impl Ledger {
        pub(in crate::buffer) const fn new() -> Ledger {
            Ledger
        }

        #[inline]
        pub(in crate::buffer) fn issue(&mut self, _bytes: usize) -> Ticket {
            Ticket
        }

        #[inline]
        pub(in crate::buffer) fn redeem(&mut self, _ticket: Ticket, _bytes: usize) {}

        pub(in crate::buffer) fn leaks(&self) -> Vec<Leak> {
            Vec::new()
        }
    }
}

pub(super) use ledger::{Ledger, Ticket};

#[cfg(all(test, debug_assertions))]
mod tests {
    use super::super::{OutQueue, Pool};
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn a_leak_names_its_call_site() {
        let mut pool = Pool::new();
        let (mut held, mut line) = (Vec::new(), 0);
        for _ in 0..3 {
            held.push(pool.take(100));
            line = line!() - 1;
        }
        let innocent = pool.take(5000);
        pool.put(innocent);

        let leaks = pool.leaks();
        assert_eq!(leaks.len(), 1, "{leaks:?}");
        assert_eq!((leaks[0].site.file(), leaks[0].site.line()), (file!(), line));
        assert_eq!((leaks[0].count, leaks[0].bytes, leaks[0].dropped), (3, 3 * 4096, 0));
        assert!(leaks[0].to_string().starts_with(&format!("{}:{line}:", file!())));

        drop(held.pop());
        held.drain(..).for_each(|chunk| pool.put(chunk));
        let leaks = pool.leaks();
        assert_eq!((leaks[0].site.line(), leaks[0].count, leaks[0].dropped), (line, 1, 1), "for good");
    }

    #[test]
    fn a_leaking_queue_names_who_filled_it() {
        let mut pool = Pool::new();
        let mut queue = OutQueue::new();
        queue.append(&mut pool, &[1; 9000]);
        let line = line!() - 1;
        drop(queue);
        let leaks = pool.leaks();
        assert_eq!((leaks[0].site.file(), leaks[0].site.line()), (file!(), line));
        assert_eq!((leaks.len(), leaks[0].count, leaks[0].dropped), (1, 3, 3));
    }

    #[test]
    fn a_chunk_of_another_pool_is_refused() {
        let mut pools = [Pool::new(), Pool::new()];
        let [_own, foreign] = pools.each_mut().map(|pool| pool.take(1));
        let refused = catch_unwind(AssertUnwindSafe(|| pools[0].put(foreign)));
        assert!(refused.is_err(), "though taken at the same site");
    }
}
