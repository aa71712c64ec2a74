//! cargo run --release --example http -- --listen 127.0.0.1:8080 --cores 1
//!
//! HTTP/1.1 with keep-alive and pipelining, its heads parsed by `httparse`. Try it:
//!
//! ```text
//! curl http://127.0.0.1:8080/            plain text
//! curl -d hello http://127.0.0.1:8080/echo
//! curl http://127.0.0.1:8080/bytes/1000  as many bytes, up to a mebibyte
//! curl http://127.0.0.1:8080/metrics     what this core has done
//! wrk -c 64 http://127.0.0.1:8080/
//! ```
//!
//! Built with the feature `tls` it takes `--tls CERT.pem,KEY.pem` and is an `https://` server.
//!
//! A request whose head and body came in one piece is answered from the lent bytes. Of others the head waits in
//! the connection's inbox until it is whole, and the body is collected as it comes. The inbox is ours rather than
//! `Io::keep`'s, because requests may also have to wait for room in the outbound queue, and kept bytes come back
//! only when new ones arrive.

#[path = "common/args.rs"]
mod args;
#[path = "common/tls.rs"]
mod tls;

use bytes::Bytes;
use httparse::Status::{Complete, Partial};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use windlass::buffer::Watermarks;
use windlass::metrics::Metrics;
use windlass::{Config, Conn, Cores, Event, Handler, Io, Listen, PerConn, SendError, Sent};

/// The longest head, in bytes.
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// The most fields in a head.
const FIELDS_MAX: usize = 64;
/// The longest body either way, in bytes.
const BODY_BYTES_MAX: usize = 1 << 20;
/// The longest line that announces a chunk, and the most bytes of trailers.
const CHUNK_LINE_BYTES_MAX: usize = 256;
const TRAILER_BYTES_MAX: usize = 4 * 1024;
/// How long a head may take from its first byte to its last, and a body behind it.
const HEAD_WITHIN: Duration = Duration::from_secs(5);
const BODY_WITHIN: Duration = Duration::from_secs(60);
/// How long a connection may stay without a request.
const IDLE_MAX: Duration = Duration::from_secs(75);

fn main() -> Result<(), windlass::Error> {
    let mut tls = tls::Files::default();
    let args = args::parse_with(&mut [("--tls", &mut tls)]);
    let mut config = Config::default();
    config.options.timeouts.keep_alive = Some(IDLE_MAX);
    // Below high water there is room for the longest response, so that a response is never refused halfway.
    let (low_bytes, high_bytes) = (64 << 10, 256 << 10);
    config.options.queue = Watermarks { low_bytes, high_bytes, max_bytes: high_bytes + 2 * BODY_BYTES_MAX };
    Cores::new(args.cores)
        .config(config)
        .listen(tls.secure(Listen::at(args.listen))?)
        .on_listening(args::announce)
        .run(|core| Server::new(core.io()))?;
    Ok(())
}

/// What a response says first.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Status(&'static str);

const OK: Status = Status("200 OK");
const BAD_REQUEST: Status = Status("400 Bad Request");
const NOT_FOUND: Status = Status("404 Not Found");
const METHOD_NOT_ALLOWED: Status = Status("405 Method Not Allowed");
const LENGTH_REQUIRED: Status = Status("411 Length Required");
const CONTENT_TOO_LARGE: Status = Status("413 Content Too Large");
const EXPECTATION_FAILED: Status = Status("417 Expectation Failed");
const FIELDS_TOO_LARGE: Status = Status("431 Request Header Fields Too Large");
const NOT_IMPLEMENTED: Status = Status("501 Not Implemented");
const VERSION_NOT_SUPPORTED: Status = Status("505 HTTP Version Not Supported");

/// What a request is answered with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Page {
    Welcome,
    Echo,
    Bytes(usize),
    Metrics,
    /// Nothing but the status; with 405 the methods that are allowed.
    Refusal(Status, &'static str),
}

/// How long the body is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Framing {
    Length(usize),
    Chunked,
}

/// A request's head, understood.
#[derive(Clone, Copy)]
struct Head {
    page: Page,
    framing: Framing,
    /// HEAD: the response goes without its body.
    without_body: bool,
    expects_continue: bool,
    /// HTTP/1.0: what keeps the connection must be said.
    old: bool,
    keep_alive: bool,
}

impl Head {
    fn of(request: &httparse::Request<'_, '_>) -> Result<Head, Status> {
        let old = request.version == Some(0);
        let fields = Fields::of(request.headers, old)?;
        let (method, target) = (request.method.unwrap_or_default(), request.path.unwrap_or_default());
        let framing = match (fields.chunked, fields.length) {
            // Both, or chunks where they do not exist: somebody is about to smuggle a request past somebody.
            (true, Some(_)) => return Err(BAD_REQUEST),
            (true, None) if old => return Err(BAD_REQUEST),
            (true, None) => Framing::Chunked,
            (false, Some(length)) => Framing::Length(length),
            (false, None) if method == "POST" => return Err(LENGTH_REQUIRED),
            (false, None) => Framing::Length(0),
        };
        Ok(Head {
            page: route(method, target)?,
            framing,
            without_body: method == "HEAD",
            expects_continue: fields.expects_continue && !old,
            old,
            keep_alive: if old { fields.keep_alive } else { !fields.close },
        })
    }

    /// A request too broken to be understood: say so and close.
    fn broken(status: Status) -> Head {
        Head {
            page: Page::Refusal(status, ""),
            framing: Framing::Length(0),
            without_body: false,
            expects_continue: false,
            old: false,
            keep_alive: false,
        }
    }
}

/// The fields that matter here.
#[derive(Default)]
struct Fields {
    length: Option<usize>,
    chunked: bool,
    close: bool,
    keep_alive: bool,
    expects_continue: bool,
}

impl Fields {
    fn of(all: &[httparse::Header<'_>], old: bool) -> Result<Fields, Status> {
        let mut fields = Fields::default();
        let mut hosts = 0;
        for field in all {
            let is = |name: &str| field.name.eq_ignore_ascii_case(name);
            if is("host") {
                hosts += 1;
            } else if is("content-length") {
                let length = decimal(field.value).ok_or(BAD_REQUEST)?;
                if fields.length.replace(length).is_some_and(|before| before != length) {
                    return Err(BAD_REQUEST);
                }
            } else if is("transfer-encoding") {
                if fields.chunked || !field.value.eq_ignore_ascii_case(b"chunked") {
                    return Err(NOT_IMPLEMENTED);
                }
                fields.chunked = true;
            } else if is("connection") {
                let mut words = field.value.split(|&b| b == b',').map(<[u8]>::trim_ascii);
                fields.close |= words.clone().any(|word| word.eq_ignore_ascii_case(b"close"));
                fields.keep_alive |= words.any(|word| word.eq_ignore_ascii_case(b"keep-alive"));
            } else if is("expect") {
                if !field.value.eq_ignore_ascii_case(b"100-continue") {
                    return Err(EXPECTATION_FAILED);
                }
                fields.expects_continue = true;
            }
        }
        if hosts > 1 || hosts == 0 && !old {
            return Err(BAD_REQUEST);
        }
        if fields.length.is_some_and(|length| length > BODY_BYTES_MAX) {
            return Err(CONTENT_TOO_LARGE);
        }
        Ok(fields)
    }
}

/// A length: digits and nothing else; one too long to count is as bad as any that is too long.
fn decimal(text: &[u8]) -> Option<usize> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digit = |sum: usize, &b: &u8| sum.saturating_mul(10).saturating_add(usize::from(b - b'0'));
    Some(text.iter().fold(0, digit))
}

/// Which page a request asks for.
fn route(method: &str, target: &str) -> Result<Page, Status> {
    const KNOWN: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT"];
    if !KNOWN.contains(&method) {
        return Err(NOT_IMPLEMENTED);
    }
    let path = target.split('?').next().unwrap_or_default();
    let (page, allowed) = match path {
        "/" => (Page::Welcome, "GET, HEAD"),
        "/echo" => (Page::Echo, "POST"),
        "/metrics" => (Page::Metrics, "GET, HEAD"),
        _ => match path.strip_prefix("/bytes/").and_then(|count| decimal(count.as_bytes())) {
            Some(count) if count <= BODY_BYTES_MAX => (Page::Bytes(count), "GET, HEAD"),
            Some(_) | None => return Ok(Page::Refusal(NOT_FOUND, "")),
        },
    };
    if allowed.split(", ").any(|allowed| allowed == method) {
        return Ok(page);
    }
    Ok(Page::Refusal(METHOD_NOT_ALLOWED, allowed))
}

/// Where a chunked body has got to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Chunk {
    Announced,
    Data(usize),
    DataEnd,
    /// Bytes of trailers read.
    Trailers(usize),
    End,
}

/// A body on its way in.
struct Receiving {
    head: Head,
    chunk: Chunk,
    body: Vec<u8>,
}

impl Receiving {
    fn new(head: Head) -> Receiving {
        Receiving { head, chunk: Chunk::Announced, body: Vec::new() }
    }

    fn is_complete(&self) -> bool {
        match self.head.framing {
            Framing::Length(length) => self.body.len() == length,
            Framing::Chunked => self.chunk == Chunk::End,
        }
    }

    /// Takes what belongs to the body, and says how many bytes that was.
    fn take(&mut self, bytes: &[u8]) -> Result<usize, Status> {
        if let Framing::Length(length) = self.head.framing {
            let part = bytes.len().min(length - self.body.len());
            self.body.extend_from_slice(&bytes[..part]);
            return Ok(part);
        }
        let mut used = 0;
        while self.chunk != Chunk::End {
            match self.take_chunk(&bytes[used..])? {
                0 => break,
                part => used += part,
            }
        }
        Ok(used)
    }

    /// One step: a line or a piece of data. 0 if nothing can be done before more arrives.
    fn take_chunk(&mut self, bytes: &[u8]) -> Result<usize, Status> {
        match self.chunk {
            Chunk::Announced => match httparse::parse_chunk_size(bytes) {
                Ok(Complete((line, size))) => {
                    let room = BODY_BYTES_MAX - self.body.len();
                    let size = usize::try_from(size).ok().filter(|size| *size <= room);
                    self.chunk = match size.ok_or(CONTENT_TOO_LARGE)? {
                        0 => Chunk::Trailers(0),
                        size => Chunk::Data(size),
                    };
                    Ok(line)
                }
                Ok(Partial) if bytes.len() <= CHUNK_LINE_BYTES_MAX => Ok(0),
                Ok(Partial) | Err(_) => Err(BAD_REQUEST),
            },
            Chunk::Data(left) => {
                let part = left.min(bytes.len());
                self.body.extend_from_slice(&bytes[..part]);
                self.chunk = if part == left { Chunk::DataEnd } else { Chunk::Data(left - part) };
                Ok(part)
            }
            Chunk::DataEnd if bytes.starts_with(b"\r\n") => {
                self.chunk = Chunk::Announced;
                Ok(2)
            }
            Chunk::DataEnd if b"\r\n".starts_with(bytes) => Ok(0),
            Chunk::DataEnd => Err(BAD_REQUEST),
            Chunk::Trailers(seen) => match bytes.iter().position(|&b| b == b'\n') {
                Some(end) if matches!(bytes[..end], [] | [b'\r']) => {
                    self.chunk = Chunk::End;
                    Ok(end + 1)
                }
                Some(end) if seen + end < TRAILER_BYTES_MAX => {
                    self.chunk = Chunk::Trailers(seen + end + 1);
                    Ok(end + 1)
                }
                None if seen + bytes.len() < TRAILER_BYTES_MAX => Ok(0),
                Some(_) | None => Err(FIELDS_TOO_LARGE),
            },
            Chunk::End => Ok(0),
        }
    }
}

/// What is known of a connection.
#[derive(Default)]
struct Client {
    /// Requests that are not whole yet, or wait for room.
    inbox: Vec<u8>,
    receiving: Option<Box<Receiving>>,
    /// A head or body is being waited for, and not for ever.
    timed: bool,
    /// The outbound queue is over high water; `Drained` ends it.
    backlogged: bool,
    closing: bool,
}

struct Server {
    clients: PerConn<Client>,
    site: Site,
}

impl Server {
    fn new(io: &mut Io) -> Server {
        io.timer_after(Duration::from_secs(1), 0);
        let site = Site { date: date_now(), filler: Bytes::from(vec![b'x'; BODY_BYTES_MAX]) };
        Server { clients: PerConn::new(), site }
    }

    fn receive(&mut self, io: &mut Io, conn: Conn, bytes: &[u8]) {
        let Some(client) = self.clients.get_mut(conn) else { return };
        if client.inbox.is_empty() {
            let used = self.site.serve(io, conn, client, bytes);
            client.inbox.extend_from_slice(&bytes[used..]);
            return;
        }
        let mut inbox = std::mem::take(&mut client.inbox);
        inbox.extend_from_slice(bytes);
        let used = self.site.serve(io, conn, client, &inbox);
        inbox.drain(..used);
        if !inbox.is_empty() {
            client.inbox = inbox;
        }
    }
}

impl Handler for Server {
    fn handle(&mut self, io: &mut Io, event: Event<'_>) {
        match event {
            Event::Opened { conn, .. } => drop(self.clients.insert(conn, Client::default())),
            Event::Data { conn, bytes } => self.receive(io, conn, bytes),
            Event::Drained { conn } => {
                if let Some(client) = self.clients.get_mut(conn) {
                    client.backlogged = false;
                    self.receive(io, conn, &[]);
                }
            }
            Event::Closed { conn, .. } => drop(self.clients.remove(conn)),
            Event::Timer { .. } => {
                self.site.date = date_now();
                io.timer_after(Duration::from_secs(1), 0);
            }
            _ => {}
        }
    }
}

/// What is served.
struct Site {
    /// The `Date` field's value, of this second.
    date: String,
    filler: Bytes,
}

impl Site {
    /// Answers every whole request in `bytes` that there is room for, and says how many bytes those were.
    fn serve(&self, io: &mut Io, conn: Conn, client: &mut Client, bytes: &[u8]) -> usize {
        let mut used = 0;
        while !client.backlogged {
            if client.closing {
                return bytes.len();
            }
            match self.serve_one(io, conn, client, &bytes[used..]) {
                Ok(0) => break,
                Ok(part) => used += part,
                Err(status) => self.answer(io, conn, client, Head::broken(status), &[]),
            }
        }
        used
    }

    /// Answers the request at the front of `bytes`, or a part of it; 0 if it can not go on before more arrives.
    fn serve_one(&self, io: &mut Io, conn: Conn, client: &mut Client, bytes: &[u8]) -> Result<usize, Status> {
        if let Some(mut receiving) = client.receiving.take() {
            let used = receiving.take(bytes)?;
            if receiving.is_complete() {
                limit(io, conn, client, None);
                self.answer(io, conn, client, receiving.head, &receiving.body);
            } else {
                client.receiving = Some(receiving);
            }
            return Ok(used);
        }
        let Some((head, head_len)) = parse_head(bytes)? else {
            if !bytes.is_empty() {
                limit(io, conn, client, Some(HEAD_WITHIN));
            }
            return Ok(0);
        };
        limit(io, conn, client, None);
        let rest = &bytes[head_len..];
        match head.framing {
            Framing::Length(length) if length <= rest.len() => {
                self.answer(io, conn, client, head, &rest[..length]);
                return Ok(head_len + length);
            }
            _ if head.expects_continue && rest.is_empty() && matches!(head.page, Page::Refusal(..)) => {
                // Nobody wants the body, and it is not on its way yet.
                self.answer(io, conn, client, Head { keep_alive: false, ..head }, &[]);
                return Ok(head_len);
            }
            Framing::Length(_) | Framing::Chunked => {}
        }
        if head.expects_continue && rest.is_empty() {
            let _ = io.send(conn, b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        limit(io, conn, client, Some(BODY_WITHIN));
        client.receiving = Some(Box::new(Receiving::new(head)));
        Ok(head_len)
    }

    fn answer(&self, io: &mut Io, conn: Conn, client: &mut Client, head: Head, body: &[u8]) {
        let sent = match head.page {
            Page::Welcome => self.send(io, conn, head, OK, b"Welcome to windlass.\n"),
            Page::Echo => self.send(io, conn, head, OK, body),
            Page::Bytes(count) => {
                // Shared by all: what the kernel does not take at once is queued without being copied.
                let filler = self.filler.slice(..count);
                self.send_head(io, conn, head, OK, count, &[]).and_then(|sent| {
                    if head.without_body || count == 0 { Ok(sent) } else { io.send_bytes(conn, &filler) }
                })
            }
            Page::Metrics => {
                let report = Metrics::new(vec![io.metrics()]).snapshot(io.now()).to_string();
                self.send(io, conn, head, OK, report.as_bytes())
            }
            Page::Refusal(status, _) => self.send(io, conn, head, status, &[]),
        };
        match sent {
            Ok(Sent::Flowing) => {}
            Ok(Sent::Backlogged) => client.backlogged = true,
            Err(_) => {
                io.abort(conn);
            }
        }
        if !head.keep_alive {
            client.closing = true;
            io.close(conn);
        }
    }

    fn send(
        &self,
        io: &mut Io,
        conn: Conn,
        head: Head,
        status: Status,
        body: &[u8],
    ) -> Result<Sent, SendError> {
        let shown = if head.without_body { &[] } else { body };
        self.send_head(io, conn, head, status, body.len(), shown)
    }

    /// Sends a response's head, and as much of its body as is given.
    fn send_head(
        &self,
        io: &mut Io,
        conn: Conn,
        head: Head,
        status: Status,
        length: usize,
        body: &[u8],
    ) -> Result<Sent, SendError> {
        let connection: &[u8] = match (head.keep_alive, head.old) {
            (false, _) => b"\r\nConnection: close",
            (true, true) => b"\r\nConnection: keep-alive",
            (true, false) => b"",
        };
        let (allow, allowed) = match head.page {
            Page::Refusal(METHOD_NOT_ALLOWED, allowed) => ("\r\nAllow: ", allowed),
            _ => ("", ""),
        };
        let mut digits = [0; 20];
        let parts: [&[u8]; 12] = [
            b"HTTP/1.1 ",
            status.0.as_bytes(),
            b"\r\nDate: ",
            self.date.as_bytes(),
            b"\r\nContent-Type: text/plain",
            connection,
            allow.as_bytes(),
            allowed.as_bytes(),
            b"\r\nContent-Length: ",
            digits_of(length, &mut digits),
            b"\r\n\r\n",
            body,
        ];
        io.send_parts(conn, &parts)
    }
}

/// Bounds how long the rest of a head or body may take, counted from the first time that it is asked for;
/// traffic does not extend it, so a byte now and then gains a slow peer nothing.
fn limit(io: &mut Io, conn: Conn, client: &mut Client, within: Option<Duration>) {
    if client.timed != within.is_some() {
        client.timed = within.is_some();
        let by = within.map(|within| io.now() + within);
        // A connection that is gone needs no deadline.
        let _ = io.deadline(conn, by);
    }
}

/// The head at the front of `bytes` and its length; `None` if it is not whole yet.
fn parse_head(bytes: &[u8]) -> Result<Option<(Head, usize)>, Status> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(&bytes[..bytes.len().min(HEAD_BYTES_MAX)]) {
        Ok(Complete(len)) => Ok(Some((Head::of(&request)?, len))),
        Ok(Partial) if bytes.len() >= HEAD_BYTES_MAX => Err(FIELDS_TOO_LARGE),
        Ok(Partial) => Ok(None),
        Err(httparse::Error::TooManyHeaders) => Err(FIELDS_TOO_LARGE),
        Err(httparse::Error::Version) => Err(VERSION_NOT_SUPPORTED),
        Err(_) => Err(BAD_REQUEST),
    }
}

fn digits_of(mut number: usize, room: &mut [u8; 20]) -> &[u8] {
    let mut at = room.len();
    loop {
        at -= 1;
        room[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &room[at..];
        }
    }
}

fn date_now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    date_of(since.as_secs())
}

/// Seconds since 1970 as HTTP writes dates: `Sun, 06 Nov 1994 08:49:37 GMT`. The civil date is found as in
/// Howard Hinnant's `chrono`-Compatible Low-Level Date Algorithms: years begin in March, so that a leap day is
/// their last.
fn date_of(seconds: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec", "Jan", "Feb"];
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let from_march_of_0 = days + 719_468;
    let (era, day_of_era) = (from_march_of_0 / 146_097, from_march_of_0 % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let year = era * 400 + year_of_era + u64::from(month >= 10);
    let (weekday, month) = (DAYS[(days % 7) as usize], MONTHS[month as usize]);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{weekday}, {day:02} {month} {year} {hour:02}:{minute:02}:{second:02} GMT")
}
