//! The echo server that `bench` measures when it is given no target: in this process, on cores of its own.

use crate::exit::Failure;
use crate::security::ServerSide;
use std::path::PathBuf;
use std::time::Duration;
use windlass::{Address, Cores, Event, Io, Listen, Running};

/// How long connections may take to end once everything was measured.
const END_WITHIN: Duration = Duration::from_millis(500);

/// A running echo server. Dropping it ends it.
#[derive(Debug)]
pub struct Embedded(Option<Running>);

impl Embedded {
    /// Starts it on a free port of the loopback interface, or on a socket file of its own.
    pub fn start(cores: usize, pin: bool, unix: bool, side: &ServerSide) -> Result<Embedded, Failure> {
        let listen = if unix { Listen::unix(socket_file()) } else { Listen::tcp("127.0.0.1:0") };
        let cores = Cores::new(cores).pin(pin).name("windlass-echo").listen(side.secure(listen));
        let running = cores.start(|_core| {
            |io: &mut Io, event: Event<'_>| {
                if let Event::Data { conn, bytes } = event {
                    let _ = io.send(conn, bytes);
                }
            }
        })?;
        Ok(Embedded(Some(running)))
    }

    /// Where it listens.
    pub fn address(&self) -> Address {
        let addresses = self.0.as_ref().map_or(&[][..], Running::addresses);
        addresses[0].clone()
    }
}

/// A name that no other process has. The listener removes the file when it ends.
pub fn socket_file() -> PathBuf {
    std::env::temp_dir().join(format!("windlass-{}.sock", std::process::id()))
}

impl Drop for Embedded {
    fn drop(&mut self) {
        if let Some(running) = self.0.take() {
            running.shutdown(END_WITHIN);
            let _ = running.join();
        }
    }
}
