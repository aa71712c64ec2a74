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
