//! cargo run --release --example proxy -- --listen 127.0.0.1:7000 --to 127.0.0.1:8000 --cores 1
//!
//! Forwards TCP connections to another address, with backpressure and half-close both ways. When a connection
//! ends it says what the most was that ever waited for it: never more than high water and one receive buffer.
//!
//! Built with the feature `tls` it takes TLS off or puts it on: `--tls CERT.pem,KEY.pem` for clients, and for the
//! upstream `--to-tls NAME`, whose certificate must be for that name and issued by an authority that the system
//! trusts, or the one in `--ca FILE`.

#[path = "common/args.rs"]
mod args;
#[path = "common/tls.rs"]
mod tls;

use windlass::error::Cause;
use windlass::{Address, CloseReason, Config, Conn, Connect, Cores, Event, Handler, Io, Listen, Options};
use windlass::{Owner, PerConn, Sent};

fn main() -> Result<(), windlass::Error> {
    let mut to = Address::Inet(([127, 0, 0, 1], 8000).into());
    let (mut tls, mut to_tls) = (tls::Files::default(), tls::Upstream::default());
    let args = args::parse_with(&mut [
        ("--to", &mut to),
        ("--tls", &mut tls),
        ("--to-tls", &mut to_tls.name),
        ("--ca", &mut to_tls.ca),
    ]);
    let connect = to_tls.secure(Connect::to(to))?;
    let mut config = Config::default();
    config.options = forwarding();
    let listen = tls.secure(Listen::at(args.listen))?;
    Cores::new(args.cores).config(config).listen(listen).on_listening(args::announce).run(move |core| {
        let upstream = core.io().owner().expect("the first owner of this core");
        Proxy { connect: connect.clone().owner(upstream), upstream, links: PerConn::new() }
    })?;
    Ok(())
}

/// Options for a connection whose two directions have nothing to do with each other.
fn forwarding() -> Options {
    let mut options = Options::default();
    // The end of one direction is news to pass on, not a reason to close the other.
    options.half_close = true;
    // What waits to be sent to a peer says nothing about whether to read from it.
    options.self_throttle = false;
    options
}

/// All connections of one core.
struct Proxy {
    /// How to reach the upstream.
    connect: Connect,
    /// Whose the outgoing connections are; the accepted ones are the application's.
    upstream: Owner,
    links: PerConn<Link>,
}

/// One end of a forwarded connection.
struct Link {
    other: Conn,
    /// Bytes sent to this end.
    sent: u64,
    /// The most that ever waited to be sent to this end.
    queued_max: usize,
}

impl Handler for Proxy {
    fn handle(&mut self, io: &mut Io, event: Event<'_>) {
        match event {
            Event::Accepted { conn, .. } => self.join(io, conn),
            Event::Data { conn, bytes } => self.forward(io, conn, bytes),
            Event::Drained { conn } => self.with_other(conn, |other| _ = io.resume(other)),
            Event::PeerFinished { conn } => self.with_other(conn, |other| _ = io.finish(other)),
            Event::Closed { conn, reason } => self.part(io, conn, reason),
            _ => {}
        }
    }
}

impl Proxy {
    /// Connects upstream. What the client says before that has succeeded queues up like everything else.
    fn join(&mut self, io: &mut Io, client: Conn) {
        match io.connect(self.connect.clone()) {
            Ok(upstream) => {
                self.links.insert(client, Link { other: upstream, sent: 0, queued_max: 0 });
                self.links.insert(upstream, Link { other: client, sent: 0, queued_max: 0 });
            }
            Err(error) => {
                eprintln!("{error}");
                io.abort(client);
            }
        }
    }

    fn forward(&mut self, io: &mut Io, from: Conn, bytes: &[u8]) {
        let Some(to) = self.links.get(from).map(|link| link.other) else { return };
        let sent = io.send(to, bytes);
        if let Some(link) = self.links.get_mut(to) {
            link.sent += bytes.len() as u64;
            link.queued_max = link.queued_max.max(io.queued(to));
        }
        match sent {
            Ok(Sent::Flowing) => {}
            // Not read again until `Drained` comes from `to`; meanwhile the kernel holds `from` back.
            Ok(Sent::Backlogged) => _ = io.pause(from),
            // `to` is on its way out, or the memory of this core is full: bytes are lost, so say so.
            Err(_) => _ = io.abort(from),
        }
    }

    /// One end is over. After an end in good order the other one ends as well, once it has sent what waits; after
    /// anything else it must not look as if it had.
    fn part(&mut self, io: &mut Io, conn: Conn, reason: &CloseReason) {
        let Some(link) = self.links.remove(conn) else { return };
        let side = if conn.owner() == self.upstream { "upstream" } else { "client" };
        println!("{side} {reason}; {} bytes sent, at most {} waited", link.sent, link.queued_max);
        match reason.cause() {
            // The peer's end closes a connection that has ended its own side; no `PeerFinished` comes before.
            Cause::PeerClosed => _ = io.finish(link.other),
            // A shutdown ends the other by itself.
            Cause::Shutdown => {}
            _ => _ = io.abort(link.other),
        }
    }

    fn with_other(&self, conn: Conn, mut act: impl FnMut(Conn)) {
        if let Some(link) = self.links.get(conn) {
            act(link.other);
        }
    }
}
