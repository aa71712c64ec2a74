//! Lines that deliver in pieces of any size, and lines that flip a bit anywhere: what arrives is a beginning of what was
//! sent, whatever happens, and all of it where nothing was flipped.

use crate::peers::{Middle, TO_SERVER};
use crate::rig::{Pair, SECURED, echo, ignore, pattern};
use crate::thorough::thorough;
use windlass::{Cause, Config};

/// SplitMix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (OOPSLA 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n as u64) as usize
    }
}

fn seeds(count: u64) -> impl Iterator<Item = u64> {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let first = number("LINE_SEED").unwrap_or(1);
    first..first + number("LINE_ROUNDS").unwrap_or(count)
}

#[test]
fn pieces_of_any_size_arrive_whole_in_both_directions() {
    for seed in seeds(thorough(8, 1)) {
        for kind in SECURED {
            let mut random = Random(seed);
            let config = Config::with(|config| {
                config.receive_buffer_bytes = [4096, 256 * 1024][random.below(2)];
                config.budgets.receive_bytes = [1000, 256 * 1024][random.below(2)];
            });
            let mut pair = Pair::listening(|listen| kind.listen(listen), config);
            let mut middle = Middle::before(pair.address);
            pair.address = middle.address();
            let conn = pair.connect(kind);
            let sent = pattern(60_000);
            pair.client.io().send(conn, &sent).unwrap();
            middle.pass_max = [0; 2];
            let largest = [3, 200, 20_000][random.below(3)];
            let mut finished = false;
            pair.until(&format!("{kind:?}, LINE_SEED={seed}"), echo, ignore, |pair| {
                for max in &mut middle.pass_max {
                    for _ in 0..1 + 600 / largest {
                        *max += random.below(largest + 1);
                    }
                }
                middle.pump();
                for (to, max) in middle.pass_max.iter_mut().enumerate() {
                    // What is not there yet is not passed on in advance.
                    *max = (*max).min(middle.sides.as_ref().map_or(0, |sides| sides[1 - to].got.len()));
                }
                if pair.c.received.len() == sent.len() && !finished {
                    finished = true;
                    pair.client.io().finish(conn).unwrap();
                }
                pair.s.cause().is_some() && pair.c.cause().is_some()
            });
            assert!(pair.s.received == sent && pair.c.received == sent, "{kind:?}, LINE_SEED={seed}");
            assert_eq!((pair.s.cause(), pair.c.cause()), (Some(Cause::PeerClosed), Some(Cause::PeerClosed)));
        }
    }
}

#[test]
fn a_bit_flipped_anywhere_ends_both_ends_and_delivers_nothing_false() {
    for seed in seeds(thorough(25, 3)) {
        for kind in SECURED {
            let mut random = Random(seed);
            let mut pair = Pair::listening(|listen| kind.listen(listen), Config::default());
            let mut middle = Middle::before(pair.address);
            pair.address = middle.address();
            let conn = pair.connect(kind);
            let sent = pattern(20_000);
            pair.client.io().send(conn, &sent).unwrap();
            let within = [100, 3000, 20_000][random.below(3)];
            let (side, at, bit) = (random.below(2), random.below(within), random.below(8));
            let mut flipped = false;
            let what = format!(
                "{kind:?}, LINE_SEED={seed}, bit {bit} of byte {at}, to server: {}",
                side == TO_SERVER
            );
            pair.until(&what, echo, ignore, |pair| {
                middle.pump_through(|to, from, bytes| {
                    let mut bytes = bytes.to_vec();
                    if to == side && (from..from + bytes.len()).contains(&at) {
                        bytes[at - from] ^= 1 << bit;
                        flipped = true;
                    }
                    bytes
                });
                assert!(sent.starts_with(&pair.s.received) && sent.starts_with(&pair.c.received), "{what}");
                // A length that was flipped upwards waits for more, which never comes but with the end.
                let quiet = pair.c.received.len() == sent.len() || flipped;
                if quiet {
                    // It may be closing for a reason of its own.
                    let _ = pair.client.io().finish(conn);
                }
                pair.c.cause().is_some() && pair.server.io().connections() == 0
            });
            if !flipped {
                assert_eq!(pair.c.received.len(), sent.len(), "{what}");
            }
            for reactor in [&mut pair.server, &mut pair.client] {
                let figures = reactor.io().metrics().figures();
                assert_eq!((figures.connections_active, figures.deadlines_armed), (0, 0), "{what}");
            }
        }
    }
}
