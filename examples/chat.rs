//! cargo run --release --example chat -- --listen 127.0.0.1:7000 --cores 2
//!
//! Every line goes to everybody else, on whichever core they are. Talk with `nc 127.0.0.1 7000`. Whoever does not
//! read is put out: nobody else waits for them.

#[path = "common/args.rs"]
mod args;

use std::time::Duration;
use windlass::buffer::Watermarks;
use windlass::{
    Config, Conn, CoreMail, Cores, Event, Handler, Io, Listen, Options, PerConn, SendError, Spread,
};

/// Blocks of lines that may be on their way to a core; more are lost, and their author is told.
const MAIL_MAX: usize = 4096;

fn main() -> Result<(), windlass::Error> {
    let args = args::parse();
    let mut config = Config::default();
    config.options = patience();
    Cores::new(args.cores)
        .config(config)
        .listen(Listen::at(args.listen))
        // Chatters stay for long: count them, rather than leave it to a hash of their addresses.
        .spread(Spread::HandOff)
        .on_listening(args::announce)
        .run_with_mail(MAIL_MAX, |core, mail| Chat { core: core.number(), mail, members: PerConn::new() })?;
    Ok(())
}

/// How far behind a reader may fall: this many bytes, or this long without taking any.
fn patience() -> Options {
    let mut options = Options::default();
    options.queue = Watermarks { low_bytes: 16 << 10, high_bytes: 64 << 10, max_bytes: 512 << 10 };
    options.timeouts.write = Some(Duration::from_secs(5));
    // The kernel queues as well, megabytes if it is let.
    options.socket.send_buffer_bytes = Some(64 << 10);
    // A line is no longer than this.
    options.kept_bytes_max = 4 << 10;
    // It is no offence to listen for hours.
    options.timeouts.keep_alive = None;
    options
}

/// One core's part of the room.
struct Chat {
    core: usize,
    mail: CoreMail<bytes::Bytes>,
    /// Who is here, and under which name.
    members: PerConn<String>,
}

impl Handler for Chat {
    fn handle(&mut self, io: &mut Io, event: Event<'_>) {
        match event {
            Event::Accepted { conn, peer, .. } => _ = self.members.insert(conn, format!("{peer}: ")),
            Event::Data { conn, bytes } => self.hear(io, conn, bytes),
            Event::Mail { .. } => {
                while let Some(said) = self.mail.inbox.recv() {
                    self.tell_all_but(None, io, &said);
                }
            }
            Event::Closed { conn, reason } => {
                self.members.remove(conn);
                eprintln!("{reason}");
            }
            _ => {}
        }
    }
}

impl Chat {
    /// Passes whole lines on and keeps what has come of the next one.
    fn hear(&mut self, io: &mut Io, from: Conn, bytes: &[u8]) {
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let (lines, begun) = bytes.split_at(whole);
        // Too long a beginning closes the connection; the whole lines before it were said all the same.
        let _ = io.keep(from, begun.len());
        let Some(name) = self.members.get(from).filter(|_| whole > 0) else { return };
        let mut said = Vec::with_capacity(2 * whole);
        for line in lines.split_inclusive(|&byte| byte == b'\n') {
            said.extend_from_slice(name.as_bytes());
            said.extend_from_slice(line);
        }
        // One buffer from here on: queues and other cores hold references to it.
        let said = bytes::Bytes::from(said);
        self.tell_all_but(Some(from), io, &said);
        for (core, mailbox) in self.mail.cores.iter().enumerate() {
            if core != self.core && mailbox.try_send(said.clone()).is_err() {
                let _ = io.send(from, b"* too much is being said: not everybody has heard you\n");
            }
        }
    }

    fn tell_all_but(&self, author: Option<Conn>, io: &mut Io, said: &bytes::Bytes) {
        for (member, _) in self.members.iter().filter(|(member, _)| Some(*member) != author) {
            if let Err(SendError::Full | SendError::TooLarge) = io.send_bytes(member, said) {
                io.abort(member);
            }
        }
    }
}
