//! The control of a fault proxy over HTTP: Toxiproxy's public API (2.x), so that its clients drive this proxy unchanged.

mod api;
mod exposition;
mod request;
mod response;
mod route;

use self::request::{Manner, Requests, Step, Waiting};
use self::response::{Refusal, Response, Status};
use super::Proxies;
use crate::buffer::Watermarks;
use crate::collections::{Conn, Owner, PerConn};
use crate::conn::Options;
use crate::error::{Address, Error, SendError};
use crate::reactor::{Event, Io, Listen, Listener, Sent};
use std::time::Duration;

/// Clients at once; one more is told so and closed.
const CLIENTS_MAX: usize = 128;
/// How long a head may take from its first byte to its last, and a body behind it.
const HEAD_WITHIN: Duration = Duration::from_secs(5);
const BODY_WITHIN: Duration = Duration::from_secs(15);
/// How long a connection may stay without a request.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// Bytes of answers that may wait for one client before its next request is looked at.
const ANSWERS_BYTES_HIGH: usize = 256 << 10;
/// The longest answer: what the most proxies with the most toxics take, and a good deal more.
const ANSWER_BYTES_MAX: usize = 32 << 20;

/// Serves the control API on a listener of its own, beside [`Proxies`] on the same reactor.
///
/// The endpoints, their JSON and their statuses are those of Toxiproxy 2.x: `GET` and `POST /proxies`, `POST /populate`,
/// `GET`, `POST`, `PATCH` and `DELETE` of `/proxies/NAME` and `/proxies/NAME/toxics/TOXIC`, `GET` and `POST
/// /proxies/NAME/toxics`, `POST /reset`, `GET /version`, `GET /metrics`. The toxics that Toxiproxy does not have work the
/// same way. Whoever reaches the listener may make this process listen and connect anywhere: keep it on loopback.
/// Requests that name a browser as their sender are refused, as Toxiproxy refuses them, so that no web page can use it.
///
/// A request that cannot be done is answered with a status and a sentence; it never touches a proxied connection. Names of
/// hosts in a request are resolved then and there, and everything waits for the answer: write addresses where that counts.
///
/// ```no_run
/// use windlass::proxy::{Control, Proxies};
/// use windlass::{Config, Event, Io, Listen, Reactor};
///
/// let mut reactor = Reactor::new(Config::default())?;
/// let mut proxies = Proxies::new(7);
/// let mut control = Control::listen(reactor.io(), Listen::tcp("127.0.0.1:8474"))?;
/// reactor.run(&mut |io: &mut Io, event: Event<'_>| {
///     if let Some(event) = control.handle(io, &mut proxies, event) {
///         proxies.handle(io, event);
///     }
/// })?;
/// # Ok::<(), windlass::Error>(())
/// ```
#[derive(Debug)]
pub struct Control {
    owner: Owner,
    listener: Listener,
    clients: PerConn<Client>,
}

/// One connection of a client.
#[derive(Debug, Default)]
struct Client {
    requests: Requests,
    /// What is being waited for, and not for ever.
    waiting: Option<Waiting>,
    /// Answers wait for the client; `Drained` says when it took them.
    backlogged: bool,
    closing: bool,
}

impl Control {
    /// Starts to serve on `listen`, whose options and owner are replaced.
    ///
    /// # Errors
    /// As [`Io::listen`] and [`Io::owner`].
    pub fn listen(io: &mut Io, listen: Listen) -> Result<Control, Error> {
        let owner = io.owner()?;
        let options = Options::with(|options| {
            options.timeouts.keep_alive = Some(IDLE_MAX);
            let (low_bytes, high_bytes) = (ANSWERS_BYTES_HIGH / 4, ANSWERS_BYTES_HIGH);
            options.queue = Watermarks { low_bytes, high_bytes, max_bytes: high_bytes + ANSWER_BYTES_MAX };
        });
        let listener = io.listen(listen.options(options).owner(owner))?;
        Ok(Control { owner, listener, clients: PerConn::new() })
    }

    /// Where it listens: with port 0, which port it got.
    #[must_use]
    pub fn address<'io>(&self, io: &'io Io) -> Option<&'io Address> {
        io.listener_address(self.listener)
    }

    /// Takes what is its own and hands the rest on. What clients ask for is done to `proxies` before this returns.
    pub fn handle<'e>(&mut self, io: &mut Io, proxies: &mut Proxies, event: Event<'e>) -> Option<Event<'e>> {
        if event.owner() != self.owner {
            return Some(event);
        }
        match event {
            Event::Opened { conn, .. } => self.welcome(io, conn),
            Event::Data { conn, bytes } => self.receive(io, proxies, conn, bytes),
            Event::Drained { conn } => {
                if let Some(client) = self.clients.get_mut(conn) {
                    client.backlogged = false;
                    client.serve(io, proxies, conn);
                }
            }
            Event::Closed { conn, .. } => drop(self.clients.remove(conn)),
            // That the listener broke is for the application to know.
            Event::ListenerFailed { .. } => return Some(event),
            _ => {}
        }
        None
    }

    fn welcome(&mut self, io: &mut Io, conn: Conn) {
        if self.clients.len() < CLIENTS_MAX {
            self.clients.insert(conn, Client::default());
            return;
        }
        let sentence = format!("{CLIENTS_MAX} clients are connected already, and no more are served");
        let refusal = Refusal::new(Status::ServiceUnavailable, sentence);
        let mut client = Client::default();
        client.answer(io, conn, &Response::from(&refusal), Manner::BROKEN);
    }

    fn receive(&mut self, io: &mut Io, proxies: &mut Proxies, conn: Conn, bytes: &[u8]) {
        let Some(client) = self.clients.get_mut(conn) else { return };
        if !client.closing {
            client.requests.feed(bytes);
            client.serve(io, proxies, conn);
        }
    }
}

impl Client {
    /// Answers every request that is whole and that there is room to answer.
    fn serve(&mut self, io: &mut Io, proxies: &mut Proxies, conn: Conn) {
        while !self.backlogged && !self.closing {
            match self.requests.next() {
                Ok(Step::Whole(request)) => {
                    self.wait(io, conn, Waiting::Nothing);
                    let response = api::answer(&request, io, proxies);
                    self.answer(io, conn, &response, request.manner);
                }
                Ok(Step::Continue) => drop(io.send(conn, b"HTTP/1.1 100 Continue\r\n\r\n")),
                Ok(Step::Waiting(what)) => return self.wait(io, conn, what),
                Err(refusal) => self.answer(io, conn, &Response::from(&refusal), Manner::BROKEN),
            }
        }
    }

    fn answer(&mut self, io: &mut Io, conn: Conn, response: &Response, manner: Manner) {
        let sent = io.send(conn, &response.write(manner)).or_else(|error| match error {
            SendError::Full | SendError::TooLarge => {
                let refusal = Refusal::new(
                    Status::InternalServerError,
                    "the answer is longer than there is memory for",
                );
                io.send(conn, &Response::from(&refusal).write(manner))
            }
            gone => Err(gone),
        });
        match sent {
            Ok(Sent::Flowing) => {}
            Ok(Sent::Backlogged) => self.backlogged = true,
            Err(_) => {
                // Nobody is there to take an answer, or there is no memory for any: an end without one says so.
                self.closing = true;
                io.abort(conn);
                return;
            }
        }
        if !manner.keep_alive {
            self.closing = true;
            io.close(conn);
        }
    }

    /// Bounds how long the rest of a head or body may take, counted from when it was first waited for: a byte now and
    /// then gains a slow client nothing.
    fn wait(&mut self, io: &mut Io, conn: Conn, what: Waiting) {
        if self.waiting == Some(what) {
            return;
        }
        self.waiting = Some(what);
        let within = match what {
            Waiting::Nothing => None,
            Waiting::Head => Some(HEAD_WITHIN),
            Waiting::Body => Some(BODY_WITHIN),
        };
        let by = within.map(|within| io.now() + within);
        // A connection that is gone needs no deadline.
        let _ = io.deadline(conn, by);
    }
}
