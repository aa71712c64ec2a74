//! cargo run --release --example redis -- --listen 127.0.0.1:6379 --cores 1
//!
//! A server that `redis-cli` and `redis-benchmark` take for Redis: texts, lists, sets, hashes and expiry, in
//! memory, in RESP2. Each core has its own connections and its own keys, and nothing is locked; `peers.rs` says
//! what that means for commands that touch several keys.
//!
//! Built with the feature `tls` it takes `--tls CERT.pem,KEY.pem`, for `redis-cli --tls`.
//!
//! The way of a command: `resp` cuts it out of the lent bytes, `commands` finds it, `texts` or `collections`
//! carries it out on the `store`, and its reply leaves with those of all commands that came in the same read.

#[path = "../common/args.rs"]
mod args;
mod collections;
mod commands;
mod failure;
mod order;
mod peers;
mod resp;
mod store;
mod texts;
#[path = "../common/tls.rs"]
mod tls;

use commands::{Client, Run, Session};
use order::Order;
use peers::{Bundle, Mail, Peers, Route};
use resp::{Parsed, Parser, Replies, Request};
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;
use store::Store;
use windlass::buffer::Watermarks;
use windlass::{Config, Conn, Core, CoreMail, Cores, Event, Handler, Io, Listen, PerConn};

/// Replies that gather before they are sent, if a read holds so many commands.
const SEND_BYTES: usize = 64 * 1024;
/// Bytes of an incomplete command beyond which it is waited for in steps that double what is there, so that a
/// peer that only announces a long argument reserves nothing.
const WAIT_BYTES_MIN: usize = 16 * 1024;
/// Commands of one connection that may wait for other cores before no more are read, and when reading goes on.
const WAITING_MAX: usize = 4096;
const WAITING_LOW: usize = 1024;

/// A sweep through keys that expire is due.
const SWEEP: u64 = 0;
const SWEEP_EVERY: Duration = Duration::from_millis(100);
/// A mailbox was full: try again.
const POST: u64 = 1;
const POST_AGAIN_AFTER: Duration = Duration::from_millis(1);

fn main() -> Result<(), windlass::Error> {
    let mut tls = tls::Files::default();
    let args = args::parse_with(&mut [("--tls", &mut tls)]);
    let mut config = Config::default();
    config.options.kept_bytes_max = resp::COMMAND_BYTES_MAX;
    config.options.queue =
        Watermarks { low_bytes: 256 << 10, high_bytes: 1 << 20, max_bytes: resp::REPLIES_BYTES_MAX };
    // A client that has sent all it wants to still gets its answers, and an idle one may stay.
    config.options.half_close = true;
    config.options.timeouts.keep_alive = None;
    let hasher = RandomState::new();
    Cores::new(args.cores)
        .config(config)
        .listen(tls.secure(Listen::at(args.listen))?)
        .on_listening(args::announce)
        .run_with_mail(peers::MAIL_MAX, move |core, mail| Server::new(core, mail, &hasher))?;
    Ok(())
}

/// A connection and its commands in other cores' hands.
#[derive(Default)]
struct Connected {
    client: Client,
    order: Order,
    paused: bool,
}

/// One core.
struct Server {
    parser: Parser,
    connected: PerConn<Connected>,
    clients: u64,
    work: Work,
    peers: Peers,
    sweeping: bool,
    posting: bool,
}

/// What commands work on.
struct Work {
    store: Store,
    replies: Replies,
    commands: u64,
}

impl Server {
    fn new(core: &mut Core<'_>, mail: CoreMail<Mail>, hasher: &RandomState) -> Server {
        let store = Store::new(hasher.hash_one(core.number()));
        Server {
            parser: Parser::default(),
            connected: PerConn::new(),
            clients: 0,
            work: Work { store, replies: Replies::default(), commands: 0 },
            peers: Peers::new(core.number(), mail, hasher.clone()),
            sweeping: false,
            posting: false,
        }
    }
}

impl Handler for Server {
    fn handle(&mut self, io: &mut Io, event: Event<'_>) {
        match event {
            Event::Opened { conn, .. } => {
                self.clients += 1;
                // Numbers of different cores never meet.
                let id = self.clients * self.peers.count() as u64 - self.peers.number() as u64;
                let client = Client { id, ..Client::default() };
                self.connected.insert(conn, Connected { client, ..Connected::default() });
            }
            Event::Data { conn, bytes } => self.receive(io, conn, bytes),
            Event::PeerFinished { conn } => {
                if let Some(connected) = self.connected.get_mut(conn) {
                    connected.client.leaving = true;
                    self.reply(io, conn);
                }
            }
            Event::Closed { conn, .. } => drop(self.connected.remove(conn)),
            Event::Mail { .. } => self.read_mail(io),
            Event::Timer { tag: SWEEP, .. } => {
                self.sweeping = false;
                self.work.store.set_now(io.now());
                self.work.store.sweep();
                self.arm_sweep(io);
            }
            Event::Timer { tag: POST, .. } => {
                self.posting = false;
                self.post(io);
            }
            _ => {}
        }
    }
}

impl Server {
    /// Serves every command in `bytes` and keeps what is left over of the last one.
    fn receive(&mut self, io: &mut Io, conn: Conn, bytes: &[u8]) {
        self.work.store.set_now(io.now());
        let mut rest = bytes;
        loop {
            let Some(connected) = self.connected.get_mut(conn) else { return };
            if connected.client.leaving {
                break;
            }
            match self.parser.parse(rest) {
                Parsed::Command(request, len) => {
                    rest = &rest[len..];
                    if request.len() > 0 {
                        serve(&mut self.work, &mut self.peers, io, conn, connected, request);
                    }
                }
                Parsed::Incomplete { want } => {
                    if !rest.is_empty() {
                        let want = want.min(rest.len() * 2 + WAIT_BYTES_MIN);
                        // What is longer than may be kept closes the connection, which `Closed` tells of.
                        let _ = io.keep_until(conn, rest.len(), want);
                    }
                    break;
                }
                Parsed::Broken(why) => {
                    let reply = |replies: &mut Replies| {
                        replies.error(format!("ERR Protocol error: {why}").as_bytes())
                    };
                    self.work.in_turn(&mut connected.order, reply);
                    connected.client.leaving = true;
                }
            }
            if self.work.replies.bytes.len() >= SEND_BYTES {
                send(io, conn, &mut self.work.replies);
            }
        }
        self.reply(io, conn);
        self.post(io);
        self.arm_sweep(io);
    }

    /// Sends the replies that are complete, and does what follows from that.
    fn reply(&mut self, io: &mut Io, conn: Conn) {
        let Some(connected) = self.connected.get_mut(conn) else { return };
        connected.order.drain(&mut self.work.replies);
        send(io, conn, &mut self.work.replies);
        let waiting = connected.order.len();
        if waiting == 0 && connected.client.leaving {
            io.close(conn);
        } else if waiting > WAITING_MAX && !connected.paused {
            connected.paused = io.pause(conn).is_ok();
        } else if waiting < WAITING_LOW && connected.paused {
            connected.paused = io.resume(conn).is_err();
        }
    }

    /// Does what other cores ask for, and hands out what they answer.
    fn read_mail(&mut self, io: &mut Io) {
        self.work.store.set_now(io.now());
        while let Some(mail) = self.peers.next_mail() {
            match mail {
                Mail::Ask { from, bundle } => {
                    let mut answers = Bundle::default();
                    for (whom, request) in bundle.iter() {
                        self.work.replies.clear();
                        self.work.replies.overflowed = answers.bytes.len() > resp::REPLIES_BYTES_MAX;
                        self.work.run_on_keys(request);
                        let Replies { bytes, overflowed } = &self.work.replies;
                        answers.push(whom, (!overflowed).then_some(&bytes[..]));
                    }
                    self.work.replies.clear();
                    self.peers.answer(from, answers);
                }
                Mail::Answer(answers) => self.take_answers(io, &answers),
            }
        }
        self.post(io);
        self.arm_sweep(io);
    }

    fn take_answers(&mut self, io: &mut Io, answers: &Bundle) {
        let mut answered: Option<Conn> = None;
        for (whom, reply) in answers.iter() {
            if answered.is_some_and(|conn| conn != whom.conn)
                && let Some(conn) = answered
            {
                self.reply(io, conn);
            }
            answered = Some(whom.conn);
            let Some(connected) = self.connected.get_mut(whom.conn) else { continue };
            let taken =
                reply.len() == 1 && connected.order.answer(whom.ticket, whom.part, reply.arg(0)).is_ok();
            if !taken {
                io.abort(whom.conn);
            }
        }
        if let Some(conn) = answered {
            self.reply(io, conn);
        }
    }

    fn post(&mut self, io: &mut Io) {
        if !self.peers.post() && !self.posting {
            self.posting = true;
            io.timer_after(POST_AGAIN_AFTER, POST);
        }
    }

    fn arm_sweep(&mut self, io: &mut Io) {
        if !self.sweeping && self.work.store.expiring() > 0 {
            self.sweeping = true;
            io.timer_after(SWEEP_EVERY, SWEEP);
        }
    }
}

/// Carries a command out here, or sends it to where its keys are.
#[inline]
fn serve(
    work: &mut Work,
    peers: &mut Peers,
    io: &Io,
    conn: Conn,
    connected: &mut Connected,
    request: Request<'_>,
) {
    work.commands += 1;
    let Connected { client, order, .. } = connected;
    let command = match commands::find(request) {
        Ok(command) => command,
        Err(failure) => {
            return work.in_turn(order, |replies| replies.error(failure.to_string().as_bytes()));
        }
    };
    match (command.run, peers.route(command, request)) {
        (Run::Session(run), _) => {
            let mut session = Session {
                client,
                store: &work.store,
                connections: io.connections(),
                commands: work.commands,
                core: peers.number(),
                cores: peers.count(),
            };
            let start = work.replies.bytes.len();
            if let Err(failure) = run(&mut session, request, &mut work.replies) {
                work.replies.error(failure.to_string().as_bytes());
            }
            work.line_up(order, start);
        }
        (Run::Keys(run), Route::Here) => {
            let start = work.replies.bytes.len();
            if let Err(failure) = run(&mut work.store, request, &mut work.replies) {
                work.replies.error(failure.to_string().as_bytes());
            }
            work.line_up(order, start);
        }
        (Run::Keys(_), Route::There(core)) => peers.ask_one(core, conn, order, request),
        (Run::Keys(_), Route::Split) => peers.ask_many(command, conn, order, request, |order, whom, part| {
            let start = work.replies.bytes.len();
            work.run_on_keys(part);
            let reply = work.replies.bytes.split_off(start);
            work.replies.overflowed |= order.answer(whom.ticket, whom.part, &reply).is_err();
        }),
    }
}

impl Work {
    /// Carries a command on keys out.
    fn run_on_keys(&mut self, request: Request<'_>) {
        let done = match commands::find(request).map(|command| command.run) {
            Ok(Run::Keys(run)) => run(&mut self.store, request, &mut self.replies),
            Ok(Run::Session(_)) => Ok(()),
            Err(failure) => Err(failure),
        };
        if let Err(failure) = done {
            self.replies.error(failure.to_string().as_bytes());
        }
    }

    /// Writes a reply, which waits for its turn.
    fn in_turn(&mut self, order: &mut Order, write: impl FnOnce(&mut Replies)) {
        let start = self.replies.bytes.len();
        write(&mut self.replies);
        self.line_up(order, start);
    }

    /// What was written from `start` on must wait if commands before it wait for other cores.
    #[inline]
    fn line_up(&mut self, order: &mut Order, start: usize) {
        if !order.is_empty() {
            let reply = self.replies.bytes.split_off(start);
            self.replies.overflowed |= order.push_ready(reply).is_err();
        }
    }
}

/// Sends what has gathered. Who does not read its replies is dropped, as Redis does beyond a limit of its own.
#[inline]
fn send(io: &mut Io, conn: Conn, replies: &mut Replies) {
    if replies.overflowed || !replies.bytes.is_empty() && io.send(conn, &replies.bytes).is_err() {
        io.abort(conn);
    }
    replies.clear();
}
