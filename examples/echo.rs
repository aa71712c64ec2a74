//! cargo run --release --example echo -- --listen 127.0.0.1:7000 --cores 1
//!
//! Sends back what comes in. Talk to it with `nc 127.0.0.1 7000`.

#[path = "common/args.rs"]
mod args;

use windlass::{Cores, Event, Io, Listen};

fn main() -> Result<(), windlass::Error> {
    let args = args::parse();
    Cores::new(args.cores).listen(Listen::at(args.listen)).on_listening(args::announce).run(|_core| {
        |io: &mut Io, event: Event<'_>| {
            if let Event::Data { conn, bytes } = event {
                let _ = io.send(conn, bytes);
            }
        }
    })?;
    Ok(())
}
