//! The end of a stream in every state, with and without half-close.

use crate::rig::{ALL, Pair, ignore, pattern};
use windlass::{Cause, Event, Io, Options};

fn half_close(on: bool) -> Options {
    Options::with(|options| options.half_close = on)
}

#[test]
fn an_end_that_comes_with_data_waits_for_a_paused_handler_with_what_it_kept() {
    for kind in ALL {
        for half in [false, true] {
            let (mut pair, conn, server) = Pair::open(kind, half_close(half));
            let sent = pattern(3000);
            pair.client.io().send(conn, &sent).unwrap();
            pair.client.io().finish(conn).unwrap();
            // As a handler does whose own way out is full: it keeps what it cannot use and pauses.
            let mut lent = Vec::new();
            let mut keeping = |io: &mut Io, event: Event<'_>| {
                if let Event::Data { conn, bytes } = event {
                    lent.push(bytes.len());
                    io.keep(conn, bytes.len()).unwrap();
                    io.pause(conn).unwrap();
                }
            };
            for _ in 0..20 {
                pair.turn(&mut keeping, &mut ignore);
            }
            assert_eq!(lent, [3000], "{kind:?} {half}: lent again although it paused");
            assert_eq!((pair.s.finished, pair.s.closed.len()), (0, 0), "{kind:?} {half}");
            pair.s.received.clear();
            pair.server.io().resume(server).unwrap();
            pair.until("the end", ignore, ignore, |pair| pair.s.finished + pair.s.closed.len() > 0);
            assert!(pair.s.received == sent, "{kind:?} {half}: what was kept came once more");
            assert_eq!(pair.s.finished, usize::from(half));
            if half {
                pair.server.io().finish(server).unwrap();
            }
            assert_eq!(pair.causes("both"), (Cause::PeerClosed, Cause::PeerClosed), "{kind:?} {half}");
        }
    }
}

#[test]
fn an_end_in_each_state_leaves_the_other_direction_alone_until_it_ends_too() {
    for kind in ALL {
        // Whether the client finishes before the handshake, right after connecting, or when open.
        for early in [false, true] {
            let (mut pair, conn) = Pair::new(kind, half_close(true));
            let asked = pattern(40_000);
            if !early {
                pair.until("open", ignore, ignore, |pair| pair.s.opened.len() + pair.c.opened.len() == 2);
            }
            pair.client.io().send(conn, &asked).unwrap();
            pair.client.io().finish(conn).unwrap();
            pair.client.io().finish(conn).unwrap();
            assert_eq!(pair.client.io().send(conn, b"more"), Err(windlass::SendError::Closing));
            let what = format!("{kind:?} early: {early}");
            pair.until(&what, ignore, ignore, |pair| pair.s.finished == 1);
            assert!(
                pair.s.received == asked && pair.s.closed.is_empty() && pair.c.closed.is_empty(),
                "{what}"
            );
            let (server, answer) = (pair.s.opened[0], pattern(900_000));
            pair.server.io().send(server, &answer).unwrap();
            pair.until(&what, ignore, ignore, |pair| pair.c.received.len() == answer.len());
            assert!(pair.c.received == answer, "{what}");
            pair.server.io().finish(server).unwrap();
            assert_eq!(pair.causes(&what), (Cause::PeerClosed, Cause::PeerClosed), "{what}");
            assert_eq!((pair.s.finished, pair.c.finished), (1, 1), "{what}");
        }
    }
}

#[test]
fn an_end_without_half_close_flushes_what_the_other_end_has_queued() {
    for kind in ALL {
        for (server_half, client_half) in [(false, false), (false, true), (true, false)] {
            let (mut pair, conn, server) = Pair::open(kind, half_close(server_half));
            pair.client.io().set_options(conn, half_close(client_half)).unwrap();
            let queued = pattern(800_000);
            pair.server.io().send(server, &queued).unwrap();
            pair.client.io().send(conn, b"bye").unwrap();
            pair.client.io().finish(conn).unwrap();
            let what = format!("{kind:?} {server_half} {client_half}");
            let ending = |io: &mut Io, event: Event<'_>| {
                if let Event::PeerFinished { conn } = event {
                    io.finish(conn).unwrap();
                }
            };
            pair.until(&what, ending, ignore, |pair| pair.s.closed.len() + pair.c.closed.len() == 2);
            assert!(pair.c.received == queued && pair.s.received == b"bye", "{what}");
            assert_eq!(
                (pair.s.cause(), pair.c.cause()),
                (Some(Cause::PeerClosed), Some(Cause::PeerClosed)),
                "{what}"
            );
        }
    }
}

#[test]
fn both_ends_that_finish_or_close_at_once_end_in_good_order() {
    for kind in ALL {
        for close in [false, true] {
            let (mut pair, conn, server) = Pair::open(kind, half_close(false));
            for (io, conn) in [(pair.client.io(), conn), (pair.server.io(), server)] {
                io.send(conn, b"the last").unwrap();
                if close {
                    assert!(io.close(conn));
                } else {
                    io.finish(conn).unwrap();
                }
            }
            let (server, client) = pair.causes(&format!("{kind:?} {close}"));
            let cause = if close { Cause::Closed } else { Cause::PeerClosed };
            assert_eq!((server, client), (cause, cause), "{kind:?}");
            if !close {
                assert_eq!(
                    (&pair.s.received[..], &pair.c.received[..]),
                    (&b"the last"[..], &b"the last"[..])
                );
            }
        }
    }
}

#[test]
fn a_close_before_opened_cuts_the_handshake_and_sends_nothing() {
    for kind in ALL {
        for turns in 0..4 {
            let (mut pair, conn) = Pair::new(kind, half_close(false));
            pair.client.io().send(conn, &pattern(5000)).unwrap();
            (0..turns).for_each(|_| pair.turn(&mut ignore, &mut ignore));
            let was_open = pair.client.io().is_open(conn);
            assert!(pair.client.io().close(conn));
            assert!(!pair.client.io().close(conn));
            let what = format!("{kind:?} after {turns} turns");
            pair.until(&what, ignore, ignore, |pair| {
                !pair.c.closed.is_empty() && pair.server.io().connections() == 0
            });
            assert_eq!(pair.c.cause(), Some(Cause::Closed), "{what}");
            assert_eq!(pair.s.received.len(), if was_open { 5000 } else { 0 }, "{what}");
        }
    }
}
