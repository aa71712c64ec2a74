//! cargo run --release --example noise_peers --features noise -- --key ann.key --listen 127.0.0.1:7000
//!
//! Two peers that know each other by their keys, and nobody else. The first run with a key file makes the key; each
//! prints its public one, which the other is given:
//!
//! ```text
//! noise_peers --key ann.key                     prints Ann's public key and ends
//! noise_peers --key bob.key
//! noise_peers --key ann.key --peer BOB --listen 127.0.0.1:7000
//! noise_peers --key bob.key --peer ANN --to 127.0.0.1:7000
//! ```
//!
//! Bob greets and Ann answers. Somebody with another key hears nothing: for such a connection there is no `Opened`.

use std::path::Path;
use windlass::noise::{KeyPair, Noise, PublicKey};
use windlass::{Address, Config, Connect, Error, Event, Handler, Io, Listen, Reactor};

fn main() -> Result<(), Error> {
    let (mut key, mut peer, mut listen, mut to) = (None, None, None, None);
    let mut words = std::env::args().skip(1);
    while let (Some(word), Some(value)) = (words.next(), words.next()) {
        match word.as_str() {
            "--key" => key = Some(value),
            "--peer" => peer = Some(value.parse::<PublicKey>()?),
            "--listen" => listen = Some(value.parse::<Address>()?),
            "--to" => to = Some(value.parse::<Address>()?),
            _ => return Err(Error::Config(format!("'{word}' is not understood"))),
        }
    }
    let keys = own_keys(Path::new(&key.ok_or_else(|| Error::Config("--key FILE is missing".into()))?))?;
    println!("public key {}", keys.public());
    let Some(peer) = peer else { return Ok(()) };

    let mut reactor = Reactor::new(Config::default())?;
    let io = reactor.io();
    if let Some(address) = listen {
        let noise = Noise::responder(&keys).allow([peer]);
        let listener = io.listen(Listen::at(address).noise(&noise))?;
        println!("listening on {}", io.listener_address(listener).expect("it was just opened"));
        reactor.run(&mut Ann)
    } else if let Some(address) = to {
        let noise = Noise::initiator(&keys, peer);
        let conn = io.connect(Connect::to(address).noise(&noise))?;
        // It waits for the handshake, and goes to nobody but the owner of that key.
        io.send(conn, b"Hello, it is me.").expect("an empty queue has room");
        reactor.run(&mut Bob)
    } else {
        Ok(())
    }
}

/// What makes us us: from the file, or new and kept there.
fn own_keys(path: &Path) -> Result<KeyPair, Error> {
    if path.exists() {
        return KeyPair::load(path);
    }
    let keys = KeyPair::generate()?;
    keys.store(path)?;
    Ok(keys)
}

/// Says who came and how the connection was made safe.
fn announce(event: Event<'_>) {
    match event {
        Event::Opened { session, .. } => {
            if let Some(noise) = &session.noise {
                let peer = noise.peer.map(|key| PublicKey::from(key).to_string());
                println!("opened: {} with {}", noise.protocol, peer.as_deref().unwrap_or("nobody known"));
            }
        }
        Event::Data { bytes, .. } => println!("heard: {}", String::from_utf8_lossy(bytes)),
        Event::Closed { reason, .. } => println!("closed: {reason}"),
        _ => {}
    }
}

/// Answers whatever comes.
struct Ann;

impl Handler for Ann {
    fn handle(&mut self, io: &mut Io, event: Event<'_>) {
        announce(event);
        if let Event::Data { conn, .. } = event {
            let _ = io.send(conn, b"I would know you anywhere.");
        }
    }
}

/// Goes when it was answered, or when there is nobody to answer.
struct Bob;

impl Handler for Bob {
    fn handle(&mut self, io: &mut Io, event: Event<'_>) {
        announce(event);
        match event {
            Event::Data { conn, .. } => _ = io.close(conn),
            Event::Closed { .. } => io.stop(),
            _ => {}
        }
    }
}
