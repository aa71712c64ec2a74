//! The bell of a reactor: one word by which other threads say that there is mail, and wake it only if asleep.
//!
//! Each mailbox has a bit; one more bit says that the reactor sleeps or is about to. Both live in one atomic
//! word, so "there is mail" and "nobody is looking" can not slip past each other: whoever sets a mailbox bit
//! learns in the same operation whether the reactor was asleep, and a reactor that falls asleep learns in the
//! same operation whether a bit was set. `tests` below let loom try every interleaving.
//!
//! Between turns a reactor counts as asleep: the thread may be anywhere, and a wake-up makes the next wait
//! return at once.

use crate::sync::{AtomicU64, Ordering};

/// The reactor sleeps, is about to, or is between turns.
const ASLEEP: u64 = 1 << 63;
/// Somebody asked the reactor to stop.
pub(crate) const STOP: u64 = 1 << 62;

/// What the bell wakes. The reactor's is mio's waker; loom tests bring their own.
pub(crate) trait Wake {
    fn wake(&self);
}

impl Wake for crate::net::Waker {
    fn wake(&self) {
        crate::net::Waker::wake(self);
    }
}

#[derive(Debug)]
pub(crate) struct Bell<W> {
    bits: AtomicU64,
    waker: W,
}

impl<W: Wake> Bell<W> {
    pub(crate) fn new(waker: W) -> Bell<W> {
        Bell { bits: AtomicU64::new(ASLEEP), waker }
    }

    /// Called by anybody after the message is in the channel. Costs one atomic operation unless the reactor
    /// sleeps; of many who ring for one mailbox only the first wakes it.
    pub(crate) fn ring(&self, bit: u64) {
        let before = self.bits.fetch_or(bit, Ordering::AcqRel);
        if before & ASLEEP != 0 && before & bit == 0 {
            self.waker.wake();
        }
    }

    /// The reactor is awake and sees every bit set so far.
    pub(crate) fn awake(&self) -> u64 {
        self.bits.fetch_and(!ASLEEP, Ordering::AcqRel) & !ASLEEP
    }

    /// The reactor is about to wait; the bits set so far mean that it must not.
    pub(crate) fn asleep(&self) -> u64 {
        self.bits.fetch_or(ASLEEP, Ordering::AcqRel) & !ASLEEP
    }

    /// The bits set so far, for a reactor that looks again and again instead of sleeping.
    pub(crate) fn rung(&self) -> u64 {
        self.bits.load(Ordering::Acquire) & !ASLEEP
    }

    /// Clears `bit`. Whoever does so must look once more at what the bit stands for.
    pub(crate) fn clear(&self, bit: u64) {
        self.bits.fetch_and(!bit, Ordering::AcqRel);
    }
}

#[cfg(all(test, loom))]
mod tests {
    use super::*;
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use loom::sync::{Condvar, Mutex};

    /// A waker that remembers, as an eventfd does.
    #[derive(Default)]
    struct Pipe {
        rung: Mutex<bool>,
        changed: Condvar,
    }

    impl Wake for Arc<Pipe> {
        fn wake(&self) {
            *self.rung.lock().unwrap() = true;
            self.changed.notify_one();
        }
    }

    impl Pipe {
        fn wait(&self) {
            let mut rung = self.rung.lock().unwrap();
            while !*rung {
                rung = self.changed.wait(rung).unwrap();
            }
            *rung = false;
        }
    }

    /// Senders put a message in their mailbox and ring; the reactor sleeps until it has seen everything. A lost
    /// wake-up is a deadlock, which loom reports.
    fn nothing_is_lost(mailbox_of_sender: &'static [usize]) {
        loom::model(move || {
            let pipe = Arc::new(Pipe::default());
            let bell = Arc::new(Bell::new(Arc::clone(&pipe)));
            let mailboxes: [_; 2] = std::array::from_fn(|_| Arc::new(AtomicUsize::new(0)));
            let threads: Vec<_> = mailbox_of_sender
                .iter()
                .map(|&number| {
                    let (bell, mailbox) = (Arc::clone(&bell), Arc::clone(&mailboxes[number]));
                    loom::thread::spawn(move || {
                        mailbox.fetch_add(1, SeqCst);
                        bell.ring(1 << number);
                    })
                })
                .collect();
            let mut seen = 0;
            while seen < mailbox_of_sender.len() {
                if bell.asleep() == 0 {
                    pipe.wait();
                }
                let bits = bell.awake();
                for (number, mailbox) in mailboxes.iter().enumerate().filter(|(n, _)| bits & 1 << n != 0) {
                    seen += mailbox.swap(0, SeqCst);
                    bell.clear(1 << number);
                    seen += mailbox.swap(0, SeqCst);
                }
            }
            for thread in threads {
                thread.join().unwrap();
            }
        });
    }

    #[test]
    fn loom_two_senders_of_one_mailbox_never_lose_a_wake_up() {
        nothing_is_lost(&[0, 0]);
    }

    #[test]
    fn loom_two_mailboxes_never_lose_a_wake_up() {
        nothing_is_lost(&[0, 1]);
    }

    /// What a careless author might have left out. A model that does not notice would prove nothing.
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Mistake {
        None,
        /// The reactor falls asleep whatever was set before.
        SleepsWithoutLooking,
        /// The sender asks whether anybody sleeps and sets its bit one after the other.
        RingsInTwoSteps,
        /// The reactor clears the bit and does not look at the mailbox once more.
        ClearsAfterLooking,
    }

    fn ring(bell: &Bell<Arc<Pipe>>, bit: u64, mistake: Mistake) {
        if mistake != Mistake::RingsInTwoSteps {
            return bell.ring(bit);
        }
        let before = bell.bits.load(Ordering::Acquire);
        bell.bits.store(before | bit, Ordering::Release);
        if before & ASLEEP != 0 && before & bit == 0 {
            bell.waker.wake();
        }
    }

    /// One turn beside two senders of one mailbox: if the reactor falls asleep after it, either it has seen
    /// everything or somebody wakes it. Nothing here blocks, so that a mistake is a panic and no deadlock.
    fn whoever_sleeps_is_woken(mistake: Mistake) {
        loom::model(move || {
            let pipe = Arc::new(Pipe::default());
            let bell = Arc::new(Bell::new(Arc::clone(&pipe)));
            let mailbox = Arc::new(AtomicUsize::new(0));
            let threads = [(); 2].map(|()| {
                let (bell, mailbox) = (Arc::clone(&bell), Arc::clone(&mailbox));
                loom::thread::spawn(move || {
                    mailbox.fetch_add(1, SeqCst);
                    ring(&bell, 1, mistake);
                })
            });
            *pipe.rung.lock().unwrap() = false;
            let mut seen = 0;
            if bell.awake() != 0 {
                seen += mailbox.swap(0, SeqCst);
                bell.clear(1);
                if mistake != Mistake::ClearsAfterLooking {
                    seen += mailbox.swap(0, SeqCst);
                }
            }
            let sleeps = bell.asleep() == 0 || mistake == Mistake::SleepsWithoutLooking;
            for thread in threads {
                thread.join().unwrap();
            }
            let woken = *pipe.rung.lock().unwrap();
            assert!(!sleeps || woken || seen == 2, "it sleeps, and there is mail");
        });
    }

    #[test]
    fn loom_a_reactor_that_falls_asleep_is_woken_for_mail() {
        whoever_sleeps_is_woken(Mistake::None);
    }

    #[test]
    #[should_panic(expected = "it sleeps, and there is mail")]
    fn loom_notices_a_reactor_that_sleeps_without_looking_again() {
        whoever_sleeps_is_woken(Mistake::SleepsWithoutLooking);
    }

    #[test]
    #[should_panic(expected = "it sleeps, and there is mail")]
    fn loom_notices_a_sender_that_rings_in_two_steps() {
        whoever_sleeps_is_woken(Mistake::RingsInTwoSteps);
    }

    #[test]
    #[should_panic(expected = "it sleeps, and there is mail")]
    fn loom_notices_a_bit_that_is_cleared_after_the_last_look() {
        whoever_sleeps_is_woken(Mistake::ClearsAfterLooking);
    }
}
