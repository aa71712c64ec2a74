//! The handler sees no difference but what `Opened` says.

use crate::rig::{ALL, Pair, echo, ignore, pattern};
use windlass::{Cause, Options};

#[test]
fn bytes_of_any_length_come_back_whole_and_in_order() {
    for kind in ALL {
        for len in [1, 100, 4095, 4096, 16_383, 16_384, 16_385, 65_536, 300_000] {
            let (mut pair, conn) = Pair::new(kind, Options::default());
            let sent = pattern(len);
            pair.client.io().send(conn, &sent).unwrap();
            pair.until(&format!("{kind:?} {len}"), echo, ignore, |pair| pair.c.received.len() >= len);
            assert!(pair.c.received == sent, "{kind:?} {len}");
            assert!(pair.client.io().close(conn));
            pair.until(&format!("{kind:?} closed"), echo, ignore, |pair| {
                !pair.c.closed.is_empty() && !pair.s.closed.is_empty()
            });
            assert_eq!((pair.c.cause(), pair.s.cause()), (Some(Cause::Closed), Some(Cause::PeerClosed)));
            assert_eq!(pair.s.words[..2], ["accepted", "opened"]);
        }
    }
}
