//! What the server examples are told on the command line: `--listen ADDR`, `--cores N`, and options of their own.
#![allow(dead_code, reason = "each example uses the part that it needs")]

use std::str::FromStr;
use windlass::Address;

pub struct Args {
    pub listen: Address,
    pub cores: usize,
}

/// Something that a word of the command line can be read into.
pub trait Value {
    /// Whether the word was understood.
    fn read(&mut self, word: &str) -> bool;
}

impl<T: FromStr> Value for T {
    fn read(&mut self, word: &str) -> bool {
        word.parse().map(|value| *self = value).is_ok()
    }
}

/// Reads the arguments, or says what is wrong with them and ends with 2.
pub fn parse() -> Args {
    parse_with(&mut [])
}

/// Like `parse`, with further options: `("--frames", &mut frames)`.
pub fn parse_with(more: &mut [(&str, &mut dyn Value)]) -> Args {
    let mut args = Args { listen: Address::Inet(([127, 0, 0, 1], 0).into()), cores: 1 };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().unwrap_or_default();
        let understood = match word.as_str() {
            "--listen" => args.listen.read(&value),
            "--cores" => args.cores.read(&value),
            other => more.iter_mut().any(|(name, place)| *name == other && place.read(&value)),
        };
        if !understood {
            let more: String = more.iter().map(|(name, _)| format!(" [{name} VALUE]")).collect();
            eprintln!("'{word} {value}' is not understood");
            eprintln!("usage: [--listen IP:PORT|unix:PATH] [--cores N]{more}");
            std::process::exit(2);
        }
    }
    args
}

/// Prints the first line that every server example prints.
pub fn announce(addresses: &[Address]) {
    println!("listening on {}", addresses[0]);
}

/// Like `parse_with`, for a program with a loop of its own: it has one thread and one loop.
pub fn parse_for_one_core(more: &mut [(&str, &mut dyn Value)]) -> Args {
    let args = parse_with(more);
    if args.cores != 1 {
        eprintln!("a loop of one's own runs on one core: --cores 1");
        std::process::exit(2);
    }
    args
}
