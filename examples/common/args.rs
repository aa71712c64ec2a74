//! What the server examples are told on the command line: `--listen ADDR` and `--cores N`.

use windlass::Address;

pub struct Args {
    pub listen: Address,
    pub cores: usize,
}

/// Reads the arguments, or says what is wrong with them and ends with 2.
pub fn parse() -> Args {
    let mut args = Args { listen: Address::Inet(([127, 0, 0, 1], 0).into()), cores: 1 };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().unwrap_or_default();
        let understood = match word.as_str() {
            "--listen" => value.parse().map(|address| args.listen = address).is_ok(),
            "--cores" => value.parse().map(|cores| args.cores = cores).is_ok(),
            _ => false,
        };
        if !understood {
            eprintln!("'{word} {value}' is not understood; usage: [--listen IP:PORT|unix:PATH] [--cores N]");
            std::process::exit(2);
        }
    }
    args
}

/// Prints the first line that every server example prints.
pub fn announce(addresses: &[Address]) {
    println!("listening on {}", addresses[0]);
}
