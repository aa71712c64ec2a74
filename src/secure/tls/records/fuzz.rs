//! A fuzz target for the record layer, run as a randomised test as well: `fuzz` takes any bytes for a program of what
//! a peer with the right keys, and somebody on the wire without them, might do.

use super::super::keys::Suite;
use super::ends::{End, Next, SUITES};
use super::*;

/// Plays the program in `data` and panics if the record layer does, or if it hands on what nobody sent.
///
/// A coverage-guided fuzzer reaches it in a build with `--cfg fuzzing`, which cargo-fuzz, honggfuzz and afl all set.
pub(in super::super) fn fuzz(data: &[u8]) {
    let mut program = Program(data);
    let choice = program.byte();
    let is_client = choice & 1 == 1;
    let suite = SUITES[usize::from(choice >> 1) % SUITES.len()];
    let mut play = Play::new(suite, is_client);
    for _ in 0..STEPS_MAX {
        if program.0.is_empty() {
            break;
        }
        play.step(&mut program);
    }
    play.deliver(usize::MAX);
}

/// Steps of one program: longer ones find nothing more.
const STEPS_MAX: usize = 200;

/// The bytes that decide what happens; zeros once they have run out.
struct Program<'a>(&'a [u8]);

impl Program<'_> {
    fn byte(&mut self) -> u8 {
        let (&first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        first
    }

    fn bytes(&mut self, at_most: usize) -> Vec<u8> {
        let (taken, rest) = self.0.split_at(at_most.min(self.0.len()));
        self.0 = rest;
        taken.to_vec()
    }
}

/// We, the peer, and the wire from it to us.
struct Play {
    us: End,
    peer: End,
    wire: Vec<u8>,
    /// Data that the peer sent and we have not been given.
    expected: Vec<u8>,
    over: bool,
}

impl Play {
    fn new(suite: Suite, is_client: bool) -> Play {
        Play {
            us: End::new(suite, is_client),
            peer: End::new(suite, !is_client),
            wire: Vec::new(),
            expected: Vec::new(),
            over: false,
        }
    }

    fn step(&mut self, program: &mut Program<'_>) {
        match program.byte() % 8 {
            0 => {
                let bytes = usize::from(program.byte()) * 80;
                self.peer_sends(direction::APPLICATION_DATA, vec![program.byte(); bytes], 0);
            }
            1 => {
                let (content_type, padding) = (program.byte(), usize::from(program.byte()) * 65);
                let bytes = usize::from(program.byte());
                self.peer_sends(content_type, program.bytes(bytes), padding);
            }
            2 => {
                let record = self.peer.update_key(program.byte() % 3);
                self.wire.extend(record);
            }
            3 => {
                let [content_type, bytes] = [20 + program.byte() % 5, program.byte() % 12];
                let mut content = vec![24, 0, 0, 1, 1, 4, 0, 0, 2, 9, 9, 4];
                content.truncate(bytes.into());
                self.peer_sends(content_type, content, 0);
            }
            4 => {
                let bytes = usize::from(program.byte());
                self.wire.extend(program.bytes(bytes));
            }
            5 => {
                let (at, with) = (usize::from(program.byte()), program.byte());
                let at = at.wrapping_mul(257) % self.wire.len().max(1);
                if let Some(byte) = self.wire.get_mut(at) {
                    *byte ^= with;
                }
            }
            6 => self.we_send(program),
            _ => self.deliver(usize::from(program.byte()) * 70),
        }
    }

    fn peer_sends(&mut self, content_type: u8, content: Vec<u8>, padding: usize) {
        self.wire.extend(self.peer.forge(content_type, &content, padding));
        // With the type 0 it is padding, and what stands in front of the zeros is the type.
        let inner = [content, vec![content_type]].concat();
        if let Some(at) = inner.iter().rposition(|&byte| byte != 0)
            && inner[at] == direction::APPLICATION_DATA
        {
            self.expected.extend(&inner[..at]);
        }
    }

    /// What we seal, the peer opens, unless one side gave up.
    fn we_send(&mut self, program: &mut Program<'_>) {
        let choice = program.byte();
        if choice == 255 {
            let close = self.us.finish();
            self.peer.open(&close);
        }
        let data = vec![choice; usize::from(choice) * 100];
        if let Ok(sealed) = self.us.try_seal(&data) {
            let got = self.peer.open(&sealed);
            assert!(got.data == data && got.then == Next::More, "what we seal must be in order");
        }
    }

    /// Gives us the first bytes of the wire. All data that comes out was sent, in this order.
    fn deliver(&mut self, bytes: usize) {
        let wire = &self.wire[..bytes.min(self.wire.len())];
        let got = self.us.open(wire);
        assert!(self.expected.starts_with(&got.data), "data that nobody sent");
        assert!(!self.over || (got.data.is_empty() && got.reply.is_empty()), "the end was not the end");
        self.expected.drain(..got.data.len());
        self.wire.drain(..got.consumed);
        self.over |= got.then != Next::More;
        // The peer follows our key updates; it may have given up on us in turn.
        let understood = self.peer.open(&got.reply).then;
        assert!(
            !matches!(understood, Next::Failed(Cause::Tampered, _)),
            "what we reply must be sealed in order"
        );
    }
}
