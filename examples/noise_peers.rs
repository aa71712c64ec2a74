//! cargo run --release --example noise_peers --features noise -- --key ann.key --peer HEX --listen 127.0.0.1:7000
//!
//! Two peers that know each other by their keys, and nobody else. Each prints its own public key; the first run of
//! each makes it. Start both once without `--peer` to see them, then:
//!
//! ```text
//! noise_peers --key ann.key --peer KEY_OF_BOB --listen 127.0.0.1:7000
//! noise_peers --key bob.key --peer KEY_OF_ANN --to 127.0.0.1:7000
//! ```
//!
//! Bob greets, Ann answers, and each says whom it was talking to. Somebody with another key gets no word out of
//! either: the handshake fails, and `Opened` never comes.

use std::path::Path;
use windlass::noise::{Keys, Noise, PublicKey};
use windlass::{Address, Config, Connect, Event, Handler, Io, Listen, Reactor};
