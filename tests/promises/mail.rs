//! Mail from other threads: bounded, never lost, never blocking, and a wake-up only for a sleeper.

use crate::net::{Rig, config, ignore};
use std::thread;
use std::time::Duration;
use windlass::{Event, Io, Owner, SendMailError, Wait};

const LONG: Wait = Wait::For(Duration::from_secs(20));

#[test]
fn mail_from_eight_threads_comes_complete_and_in_each_senders_order() {
    const EACH: u32 = 10_000;
    let mut rig = Rig::new();
    let (sender, mut inbox) = rig.io().mailbox::<(usize, u32)>(256, Owner::APP).unwrap();
    let threads: Vec<_> = (0..8)
        .map(|who| {
            let sender = sender.clone();
            thread::spawn(move || {
                for number in 0..EACH {
                    let mut message = (who, number);
                    while let Err(refused) = sender.try_send(message) {
                        message = refused.into_message();
                        thread::yield_now();
                    }
                }
            })
        })
        .collect();
    let mut next = [0; 8];
    while next.iter().any(|&n| n < EACH) {
        rig.turn(LONG, |_, event| {
            assert!(matches!(event, Event::Mail { .. }));
            while let Some((who, number)) = inbox.recv() {
                assert_eq!(number, next[who]);
                next[who] += 1;
            }
        });
        rig.seen.clear();
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn a_full_mailbox_gives_the_message_back() {
    let mut rig = Rig::new();
    let (sender, mut inbox) = rig.io().mailbox::<String>(2, Owner::APP).unwrap();
    sender.try_send("a".into()).unwrap();
    sender.try_send("b".into()).unwrap();
    assert_eq!(sender.try_send("c".into()), Err(SendMailError::Full("c".into())));
    assert_eq!((sender.len(), inbox.recv()), (2, Some("a".into())));
    sender.try_send("c".into()).unwrap();
    drop(inbox);
    assert_eq!(sender.try_send("d".into()), Err(SendMailError::Gone("d".into())));
}

#[test]
fn a_sleeping_reactor_is_woken_once_for_many_messages() {
    let mut rig = Rig::new();
    let (sender, mut inbox) = rig.io().mailbox::<u32>(100, Owner::APP).unwrap();
    for n in 0..100 {
        sender.try_send(n).unwrap();
    }
    let mut got = 0;
    let turn = rig.turn(LONG, |_, _| {
        while inbox.recv().is_some() {
            got += 1
        }
    });
    assert_eq!((got, turn.events, rig.count("mail")), (100, 1, 1));
    rig.settle(ignore);
    assert_eq!(rig.count("mail"), 1);
}

/// Two mailboxes rung between turns: the wake-ups coalesce into one readiness event.
#[test]
fn the_wake_ups_of_all_mailboxes_are_one_event() {
    let mut rig = Rig::new();
    let (one, mut first) = rig.io().mailbox::<u8>(8, Owner::APP).unwrap();
    let (two, mut second) = rig.io().mailbox::<u8>(8, Owner::APP).unwrap();
    one.try_send(1).unwrap();
    two.try_send(2).unwrap();
    let mut got = Vec::new();
    let turn = rig.turn(LONG, |_, event| {
        if let Event::Mail { mailbox } = event {
            let inbox = if mailbox == first.mailbox() { &mut first } else { &mut second };
            got.extend(inbox.recv());
            assert_eq!(inbox.recv(), None);
        }
    });
    assert_eq!((got, turn.events), (vec![1, 2], 1));
}

#[test]
fn mail_sent_by_a_handler_is_delivered_in_the_next_turn_without_a_wake_up() {
    let mut rig = Rig::new();
    let (sender, mut inbox) = rig.io().mailbox::<u8>(8, Owner::APP).unwrap();
    rig.io().timer_after(Duration::ZERO, 0);
    let mut got = None;
    let turn = rig.turn(LONG, |_, _| sender.try_send(1).unwrap());
    assert!(turn.backlog, "the next turn must not wait");
    let turn = rig.turn(LONG, |_, _| got = inbox.recv());
    assert_eq!((got, turn.events), (Some(1), 0));
}

#[test]
fn a_waiting_reactor_is_woken_by_another_thread() {
    let mut rig = Rig::new();
    let (sender, mut inbox) = rig.io().mailbox::<u8>(8, Owner::APP).unwrap();
    let thread = thread::spawn(move || sender.try_send(9).unwrap());
    let mut got = None;
    rig.turn(LONG, |_, _| got = inbox.recv());
    assert_eq!(got, Some(9));
    thread.join().unwrap();
}

#[test]
fn mail_that_is_not_taken_is_told_again() {
    let mut rig = Rig::new();
    let (sender, mut inbox) = rig.io().mailbox::<u8>(8, Owner::APP).unwrap();
    sender.try_send(1).unwrap();
    for turns in 1..4 {
        assert!(rig.turn(LONG, ignore).backlog);
        assert_eq!(rig.count("mail"), turns);
    }
    rig.settle(|_, _| while inbox.recv().is_some() {});
    assert_eq!(rig.count("mail"), 4);
}

/// Mail of which nobody was ever going to take any was told again in every turn, and the reactor never slept.
#[test]
fn a_dropped_inbox_with_mail_in_it_does_not_keep_the_reactor_awake() {
    let mut rig = Rig::new();
    let (sender, inbox) = rig.io().mailbox::<u8>(8, Owner::APP).unwrap();
    sender.try_send(1).unwrap();
    drop(inbox);
    rig.settle(ignore);
    assert_eq!(sender.try_send(2), Err(SendMailError::Gone(2)));
    rig.settle(ignore);
}

#[test]
fn an_inbox_knows_when_all_senders_are_gone() {
    let mut rig = Rig::new();
    let (sender, mut inbox) = rig.io().mailbox::<u8>(8, Owner::APP).unwrap();
    let other = sender.clone();
    sender.try_send(1).unwrap();
    drop((sender, other));
    assert_eq!((inbox.recv(), inbox.is_abandoned()), (Some(1), false));
    assert_eq!((inbox.recv(), inbox.is_abandoned()), (None, true));
}

#[test]
fn a_reactor_has_sixty_mailboxes_and_each_is_told_apart() {
    let mut rig = Rig::new();
    let mut boxes: Vec<_> = (0..60).map(|_| rig.io().mailbox::<usize>(1, Owner::APP).unwrap()).collect();
    assert!(rig.io().mailbox::<usize>(1, Owner::APP).is_err());
    for (number, (sender, _)) in boxes.iter().enumerate() {
        sender.try_send(number).unwrap();
    }
    let mut got = Vec::new();
    rig.turn(LONG, |_: &mut Io, event: Event<'_>| {
        if let Event::Mail { mailbox } = event {
            let (_, inbox) = boxes.iter_mut().find(|(_, inbox)| inbox.mailbox() == mailbox).unwrap();
            got.extend(inbox.recv());
        }
    });
    assert_eq!(got, (0..60).collect::<Vec<_>>());
}

#[test]
fn the_mail_budget_is_per_turn_and_what_is_left_makes_the_next_wait_zero() {
    let mut rig = Rig::with(config(|c| c.budgets.mail = 10));
    let (sender, mut inbox) = rig.io().mailbox::<u32>(100, Owner::APP).unwrap();
    for n in 0..25 {
        sender.try_send(n).unwrap();
    }
    let mut got = Vec::new();
    let mut sizes = Vec::new();
    while got.len() < 25 {
        let before = got.len();
        let turn = rig.turn(LONG, |_, _| {
            while let Some(n) = inbox.recv() {
                got.push(n);
            }
        });
        sizes.push((got.len() - before, turn.backlog));
    }
    assert_eq!(sizes, [(10, true), (10, true), (5, false)]);
    assert_eq!(got, (0..25).collect::<Vec<_>>());
    assert_eq!(rig.figures().budgets_exhausted[windlass::metrics::Budget::Mail], 2);
}

#[test]
fn a_stopper_ends_the_reactor_from_another_thread() {
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer();
    let stopper = rig.reactor.stopper();
    let thread = thread::spawn(move || stopper.shutdown(Duration::from_secs(20)));
    let (_, end) = rig.receive_to_end(&mut peer, ignore);
    assert_eq!(end, crate::net::End::InOrder);
    drop(peer);
    assert_eq!(rig.until_closed(conn, ignore), windlass::Cause::Shutdown);
    rig.until("the end", ignore, |rig| rig.reactor.is_finished());
    assert_eq!((rig.count("stopping"), rig.reactor.cut()), (1, 0));
    thread.join().unwrap();
}

#[test]
fn a_mailbox_that_could_hold_nothing_is_refused() {
    let mut rig = Rig::new();
    assert!(rig.io().mailbox::<u8>(0, windlass::Owner::APP).is_err());
}
