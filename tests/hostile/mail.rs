//! Mail: wake-ups from many threads, full mailboxes, inboxes that vanish.

use crate::rig::{Rig, Script, Seen, silent};
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use windlass::{Config, Event, Inbox, Io, Owner, Reactor, SendMailError, Wait};

#[test]
fn wake_ups_from_eight_threads_lose_nothing() {
    const SENDERS: usize = 8;
    const EACH: usize = 5_000;
    let mut reactor = Reactor::new(Config::default()).unwrap();
    let (sender, mut inbox) = reactor.io().mailbox::<(usize, usize)>(64, Owner::APP).unwrap();
    let threads: Vec<_> = (0..SENDERS)
        .map(|number| {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for message in 0..EACH {
                    let mut mail = (number, message);
                    while let Err(refused) = sender.try_send(mail) {
                        mail = refused.into_message();
                        std::thread::yield_now();
                    }
                }
            })
        })
        .collect();
    let mut next = [0; SENDERS];
    let received = Cell::new(0);
    let mut script = Script::new(|_: &mut Io, event: &Event<'_>| {
        if let Event::Mail { mailbox } = event {
            assert_eq!(*mailbox, inbox.mailbox());
            while let Some((number, message)) = inbox.recv() {
                assert_eq!(message, next[number], "in order, each once");
                next[number] += 1;
                received.set(received.get() + 1);
            }
        }
    });
    // A lost wake-up sleeps for ever here.
    while received.get() < SENDERS * EACH {
        reactor.turn(Wait::Forever, &mut script).unwrap();
    }
    drop(script);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(next, [EACH; SENDERS]);
    let turns = reactor.io().metrics().figures().turns;
    assert!(turns as usize <= 2 * SENDERS * EACH + 10, "{turns} turns for {} messages", SENDERS * EACH);
    let idle = reactor.turn(Wait::No, &mut silent()).unwrap();
    assert!(!idle.backlog, "an empty mailbox is not a backlog");
}

#[test]
fn a_single_message_to_a_sleeper_always_wakes_it() {
    let mut reactor = Reactor::new(Config::default()).unwrap();
    let (sender, mut inbox) = reactor.io().mailbox::<u32>(1, Owner::APP).unwrap();
    let answered = Arc::new(AtomicUsize::new(0));
    let theirs = Arc::clone(&answered);
    let thread = std::thread::spawn(move || {
        for message in 0..2_000 {
            sender.try_send(message).expect("the reader took the one before");
            while theirs.load(Ordering::Acquire) <= message as usize {
                std::thread::yield_now();
            }
        }
    });
    let mut handler = |_: &mut Io, event: Event<'_>| {
        if let Event::Mail { .. } = event {
            while inbox.recv().is_some() {
                answered.fetch_add(1, Ordering::Release);
            }
        }
    };
    let mut turns = 0;
    while !thread.is_finished() && turns < 10_000 {
        // Not for ever: the thread may end between the check and the wait.
        reactor.turn(Wait::For(std::time::Duration::from_millis(50)), &mut handler).unwrap();
        turns += 1;
    }
    thread.join().unwrap();
    assert!(turns <= 6_100, "{turns} turns for 2,000 messages");
}

#[test]
fn a_full_mailbox_gives_the_message_back_and_takes_mail_again() {
    let mut rig = Rig::new();
    let (sender, mut inbox) = rig.reactor.io().mailbox::<usize>(3, Owner::APP).unwrap();
    for round in 0..10 {
        for message in 0..3 {
            sender.try_send(round * 3 + message).unwrap();
        }
        assert_eq!(sender.try_send(99), Err(SendMailError::Full(99)));
        let mut got = Vec::new();
        let mut handler = |_: &mut Io, event: Event<'_>| {
            if let Event::Mail { .. } = event {
                got.extend(inbox.recv());
            }
        };
        // One message a turn: the rest must be announced again.
        (0..3).for_each(|_| _ = rig.turn(&mut handler));
        assert_eq!(got, [round * 3, round * 3 + 1, round * 3 + 2]);
    }
    drop(inbox);
    assert_eq!(sender.try_send(7), Err(SendMailError::Gone(7)));
    assert_eq!(SendMailError::Full(7).into_message(), 7);
}

#[test]
fn a_dropped_inbox_does_not_keep_the_reactor_awake() {
    let mut rig = Rig::new();
    let (sender, inbox) = rig.reactor.io().mailbox::<u8>(10, Owner::APP).unwrap();
    let inbox: RefCell<Option<Inbox<u8>>> = RefCell::new(Some(inbox));
    sender.try_send(1).unwrap();
    sender.try_send(2).unwrap();
    let mut script = Script::new(|_: &mut Io, event: &Event<'_>| {
        if let Event::Mail { .. } = event {
            drop(inbox.take());
        }
    });
    rig.settle(&mut script);
    assert!(script.count(|seen| *seen == Seen::Mail) <= 1, "mail for nobody");
    assert!(sender.try_send(3).is_err());
    rig.settle(&mut script);
}
