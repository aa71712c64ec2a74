//! Handshakes with a vandal on the wire: whatever comes, nothing panics, and nobody opens to forged bytes.

use super::super::{ClientTls, ServerTls};
use super::rig::{Authority, End};

/// A small generator (xorshift64*), so that a failure can be played again from its seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound.max(1)
    }
}

/// What the vandal does to one flight.
fn mangle(dice: &mut Dice, flight: &mut Vec<u8>) {
    let at = dice.below(flight.len());
    match dice.below(8) {
        0 => flight[at] ^= 1 << dice.below(8),
        1 => flight[at] = [0, 1, 0x14, 0x15, 0x16, 0x17, 0x7f, 0xff][dice.below(8)],
        2 => flight.truncate(at),
        3 => flight.insert(at, dice.below(256) as u8),
        4 => {
            let again = flight.clone();
            flight.extend(again);
        }
        5 => flight.drain(..at).for_each(drop),
        6 => {
            let record = [0x14 + dice.below(5) as u8, 3, 3, 0, 1 + dice.below(2) as u8, 1, 2];
            let length = 5 + usize::from(record[4]);
            flight.splice(at..at, record[..length].iter().copied());
        }
        _ => (0..1 + dice.below(64)).for_each(|_| {
            let at = dice.below(flight.len());
            flight[at] = dice.below(256) as u8;
        }),
    }
}

/// One connection whose flights are mangled now and then, cut anywhere. What passes between open ends must be what
/// was sent.
fn play(seed: u64, client: &ClientTls, server: &ServerTls) {
    let mut dice = Dice(seed | 1);
    let (mut client, mut server) = (End::client(client, "example.com"), End::server(server));
    let mut flight = client.receive(&[]);
    for turn in 0..8 {
        if !flight.is_empty() && dice.below(2) == 0 {
            mangle(&mut dice, &mut flight);
        }
        let cut = dice.below(flight.len() + 1);
        let end = if turn % 2 == 0 { &mut server } else { &mut client };
        let mut reply = end.receive(&flight[..cut]);
        reply.extend(end.receive(&flight[cut..]));
        if end.done && end.failure.is_none() {
            reply.extend(end.seal(b"said"));
        }
        flight = reply;
    }
    for end in [&client, &server] {
        assert!(b"saidsaidsaidsaid".starts_with(&end.data[..]), "forged data was taken");
        assert!(end.early.is_empty());
    }
}

#[test]
fn a_vandal_on_the_wire_makes_nobody_panic_and_forges_nothing() {
    let authority = Authority::new();
    let client = ClientTls::builder().roots_pem(authority.pem()).build().unwrap();
    let server = authority.server(&["example.com"]).early_data(1000).build().unwrap();
    let rounds = std::env::var("WINDLASS_FUZZ_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(300);
    for seed in 1..=rounds {
        println!("seed {seed}");
        play(u64::wrapping_mul(seed, 0x9e37_79b9_7f4a_7c15), &client, &server);
    }
}
