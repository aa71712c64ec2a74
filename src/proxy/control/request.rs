//! Requests of HTTP/1.1 out of the bytes of one connection (RFC 9112): whole ones, with their bodies, in order. Nothing
//! here sends, waits or looks at what is asked for.

use super::response::{Refusal, Status};
use httparse::Status::{Complete, Partial};

/// The longest head, in bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// The most fields in a head.
const FIELDS_MAX: usize = 64;
/// The longest body, in bytes; a thousand proxies are described in a fifth of it.
const BODY_BYTES_MAX: usize = 1 << 20;
/// The longest line that announces a chunk, and the most bytes of trailers behind the last.
const CHUNK_LINE_BYTES_MAX: usize = 256;
const TRAILER_BYTES_MAX: usize = 4 * 1024;

/// What every method is known by; others are no HTTP that this server speaks.
const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"];

/// A request that has arrived in full.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    pub method: String,
    /// The path, still percent-encoded, without its query.
    pub path: String,
    pub body: Vec<u8>,
    pub manner: Manner,
    /// It says that a browser sent it.
    pub from_browser: bool,
}

/// How the client wants to be answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Manner {
    /// HTTP/1.0: that the connection stays must be said.
    pub old: bool,
    pub keep_alive: bool,
    /// HEAD: a body is announced and not sent.
    pub bodiless: bool,
}

impl Manner {
    /// Of a request too broken to say.
    pub const BROKEN: Manner = Manner { old: false, keep_alive: false, bodiless: false };
}

/// How far the bytes at hand go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    Whole(Request),
    /// The client waits for a word before it sends the body.
    Continue,
    Waiting(Waiting),
}

/// What is missing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Waiting {
    Nothing,
    Head,
    Body,
}

/// How long a body is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Framing {
    Length(usize),
    Chunked,
}

/// Where a chunked body has got to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Chunk {
    Announced,
    Data(usize),
    DataEnd,
    /// Bytes of trailers read.
    Trailers(usize),
    End,
}

/// A request whose body is on its way.
#[derive(Debug)]
struct Receiving {
    request: Request,
    framing: Framing,
    chunk: Chunk,
}

/// The requests of one connection.
#[derive(Debug, Default)]
pub struct Requests {
    inbox: Vec<u8>,
    /// Bytes of the inbox that were read.
    at: usize,
    receiving: Option<Receiving>,
}

impl Requests {
    /// Takes what came.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.inbox.extend_from_slice(bytes);
    }

    /// The next request, or what it waits for. After a refusal the rest of the connection means nothing.
    pub fn next(&mut self) -> Result<Step, Refusal> {
        let step = self.advance();
        if !matches!(step, Ok(Step::Whole(_))) {
            self.inbox.drain(..self.at);
            self.at = 0;
        }
        step
    }

    fn advance(&mut self) -> Result<Step, Refusal> {
        if self.receiving.is_none() {
            let bytes = &self.inbox[self.at..];
            if bytes.is_empty() {
                return Ok(Step::Waiting(Waiting::Nothing));
            }
            let Some((head, head_bytes)) = Head::read(bytes)? else {
                return Ok(Step::Waiting(Waiting::Head));
            };
            self.at += head_bytes;
            let Head { request, framing, expects_continue } = head;
            self.receiving = Some(Receiving { request, framing, chunk: Chunk::Announced });
            if expects_continue && self.at == self.inbox.len() && framing != Framing::Length(0) {
                return Ok(Step::Continue);
            }
        }
        let Some(mut receiving) = self.receiving.take() else { return Ok(Step::Waiting(Waiting::Nothing)) };
        self.at += receiving.take(&self.inbox[self.at..])?;
        if receiving.is_complete() {
            return Ok(Step::Whole(receiving.request));
        }
        self.receiving = Some(receiving);
        Ok(Step::Waiting(Waiting::Body))
    }
}

impl Receiving {
    fn is_complete(&self) -> bool {
        match self.framing {
            Framing::Length(length) => self.request.body.len() == length,
            Framing::Chunked => self.chunk == Chunk::End,
        }
    }

    /// Takes what belongs to the body, and says how many bytes that was.
    fn take(&mut self, bytes: &[u8]) -> Result<usize, Refusal> {
        if let Framing::Length(length) = self.framing {
            let part = bytes.len().min(length - self.request.body.len());
            self.request.body.extend_from_slice(&bytes[..part]);
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
    fn take_chunk(&mut self, bytes: &[u8]) -> Result<usize, Refusal> {
        match self.chunk {
            Chunk::Announced => self.begin_chunk(bytes),
            Chunk::Data(left) => {
                let part = left.min(bytes.len());
                self.request.body.extend_from_slice(&bytes[..part]);
                self.chunk = if part == left { Chunk::DataEnd } else { Chunk::Data(left - part) };
                Ok(part)
            }
            Chunk::DataEnd if bytes.starts_with(b"\r\n") => {
                self.chunk = Chunk::Announced;
                Ok(2)
            }
            Chunk::DataEnd if b"\r\n".starts_with(bytes) => Ok(0),
            Chunk::DataEnd => Err(bad_request("a chunk of the body is longer than its line says")),
            Chunk::Trailers(seen) => self.skip_trailer(bytes, seen),
            Chunk::End => Ok(0),
        }
    }

    fn begin_chunk(&mut self, bytes: &[u8]) -> Result<usize, Refusal> {
        match httparse::parse_chunk_size(bytes) {
            Ok(Complete((line_bytes, size))) => {
                let room = BODY_BYTES_MAX - self.request.body.len();
                let size =
                    usize::try_from(size).ok().filter(|size| *size <= room).ok_or_else(body_too_large)?;
                self.chunk = if size == 0 { Chunk::Trailers(0) } else { Chunk::Data(size) };
                Ok(line_bytes)
            }
            Ok(Partial) if bytes.len() <= CHUNK_LINE_BYTES_MAX => Ok(0),
            Ok(Partial) => Err(bad_request("the line that announces a chunk of the body has no end")),
            Err(_) => Err(bad_request("a chunk of the body is announced without its size")),
        }
    }

    fn skip_trailer(&mut self, bytes: &[u8], seen: usize) -> Result<usize, Refusal> {
        match bytes.iter().position(|&b| b == b'\n') {
            Some(end) if matches!(bytes[..end], [] | [b'\r']) => {
                self.chunk = Chunk::End;
                Ok(end + 1)
            }
            Some(end) if seen + end < TRAILER_BYTES_MAX => {
                self.chunk = Chunk::Trailers(seen + end + 1);
                Ok(end + 1)
            }
            None if seen + bytes.len() < TRAILER_BYTES_MAX => Ok(0),
            Some(_) | None => Err(Refusal::new(
                Status::FieldsTooLarge,
                format!("the trailers behind the body take more than {TRAILER_BYTES_MAX} bytes"),
            )),
        }
    }
}

/// A head, and what it says about the body behind it.
struct Head {
    request: Request,
    framing: Framing,
    expects_continue: bool,
}

impl Head {
    /// The head at the front of `bytes` and its length; `None` if it is not whole yet.
    fn read(bytes: &[u8]) -> Result<Option<(Head, usize)>, Refusal> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut request = httparse::Request::new(&mut fields);
        match request.parse(&bytes[..bytes.len().min(HEAD_BYTES_MAX)]) {
            Ok(Complete(length)) => Ok(Some((Head::of(&request)?, length))),
            Ok(Partial) if bytes.len() < HEAD_BYTES_MAX => Ok(None),
            Ok(Partial) => Err(Refusal::new(
                Status::FieldsTooLarge,
                format!("the head of the request takes more than {HEAD_BYTES_MAX} bytes"),
            )),
            Err(httparse::Error::TooManyHeaders) => Err(Refusal::new(
                Status::FieldsTooLarge,
                format!("the request has more than {FIELDS_MAX} header fields"),
            )),
            Err(httparse::Error::Version) => {
                Err(Refusal::new(Status::VersionNotSupported, "this server speaks HTTP/1.1 and HTTP/1.0"))
            }
            Err(error) => Err(bad_request(format!("this is not HTTP: {error}"))),
        }
    }

    fn of(request: &httparse::Request<'_, '_>) -> Result<Head, Refusal> {
        let old = request.version == Some(0);
        let fields = Fields::of(request.headers, old)?;
        let method = request.method.unwrap_or_default();
        if !METHODS.contains(&method) {
            return Err(Refusal::new(Status::NotImplemented, "no such method"));
        }
        let framing = match (fields.chunked, fields.length) {
            // Both, or chunks where they do not exist: somebody is about to smuggle a request past somebody.
            (true, Some(_)) => return Err(bad_request("both Content-Length and Transfer-Encoding")),
            (true, None) if old => return Err(bad_request("HTTP/1.0 has no chunks")),
            (true, None) => Framing::Chunked,
            (false, length) => Framing::Length(length.unwrap_or(0)),
        };
        let manner = Manner {
            old,
            keep_alive: if old { fields.keep_alive } else { !fields.close },
            bodiless: method == "HEAD",
        };
        let request = Request {
            method: method.to_owned(),
            path: path_of(request.path.unwrap_or_default()).to_owned(),
            body: Vec::new(),
            manner,
            from_browser: fields.from_browser,
        };
        Ok(Head { request, framing, expects_continue: fields.expects_continue && !old })
    }
}

/// The path in a request's target, which may be a whole URL (RFC 9112 section 3.2.2).
fn path_of(target: &str) -> &str {
    let path = match target.split_once("://") {
        Some((scheme, rest)) if !scheme.contains('/') => rest.find('/').map_or("/", |at| &rest[at..]),
        _ => target,
    };
    path.split(['?', '#']).next().unwrap_or_default()
}

/// The fields that matter here.
#[derive(Default)]
struct Fields {
    length: Option<usize>,
    chunked: bool,
    close: bool,
    keep_alive: bool,
    expects_continue: bool,
    from_browser: bool,
}

impl Fields {
    fn of(all: &[httparse::Header<'_>], old: bool) -> Result<Fields, Refusal> {
        let mut fields = Fields::default();
        let mut hosts = 0;
        for field in all {
            let is = |name: &str| field.name.eq_ignore_ascii_case(name);
            if is("host") {
                hosts += 1;
            } else if is("content-length") {
                let length =
                    decimal(field.value).ok_or_else(|| bad_request("Content-Length is no number"))?;
                if fields.length.replace(length).is_some_and(|before| before != length) {
                    return Err(bad_request("two different values of Content-Length"));
                }
            } else if is("transfer-encoding") {
                if fields.chunked || !field.value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Refusal::new(
                        Status::NotImplemented,
                        "the only transfer coding known here is `chunked`",
                    ));
                }
                fields.chunked = true;
            } else if is("connection") {
                let mut words = field.value.split(|&b| b == b',').map(<[u8]>::trim_ascii);
                fields.close |= words.clone().any(|word| word.eq_ignore_ascii_case(b"close"));
                fields.keep_alive |= words.any(|word| word.eq_ignore_ascii_case(b"keep-alive"));
            } else if is("expect") {
                if !field.value.eq_ignore_ascii_case(b"100-continue") {
                    return Err(Refusal::new(
                        Status::ExpectationFailed,
                        "the only expectation known here is `100-continue`",
                    ));
                }
                fields.expects_continue = true;
            } else if is("user-agent") {
                fields.from_browser |= field.value.starts_with(b"Mozilla/");
            }
        }
        if hosts > 1 || hosts == 0 && !old {
            return Err(bad_request("HTTP/1.1 wants one field `Host`"));
        }
        if fields.length.is_some_and(|length| length > BODY_BYTES_MAX) {
            return Err(body_too_large());
        }
        Ok(fields)
    }
}

fn bad_request(sentence: impl Into<String>) -> Refusal {
    Refusal::new(Status::BadRequest, sentence)
}

fn body_too_large() -> Refusal {
    Refusal::new(Status::ContentTooLarge, format!("a body may take at most {BODY_BYTES_MAX} bytes"))
}

/// A length: digits and nothing else; one too long to count is as bad as any that is too long.
fn decimal(text: &[u8]) -> Option<usize> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digit = |sum: usize, &b: &u8| sum.saturating_mul(10).saturating_add(usize::from(b - b'0'));
    Some(text.iter().fold(0, digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything that comes out of `text`, fed in pieces of `piece_bytes`.
    fn read(text: &[u8], piece_bytes: usize) -> (Vec<Request>, Option<Refusal>) {
        let (mut requests, mut whole) = (Requests::default(), Vec::new());
        for piece in text.chunks(piece_bytes) {
            requests.feed(piece);
            loop {
                match requests.next() {
                    Ok(Step::Whole(request)) => whole.push(request),
                    Ok(Step::Continue) => {}
                    Ok(Step::Waiting(_)) => break,
                    Err(refusal) => return (whole, Some(refusal)),
                }
            }
        }
        assert_eq!(requests.at, 0, "what was read is given back");
        (whole, None)
    }

    #[track_caller]
    fn refused(text: &[u8], status: Status, words: &str) {
        for piece_bytes in [1, 7, usize::MAX] {
            let (_, refusal) = read(text, piece_bytes.min(text.len()));
            let refusal = refusal.expect("it is refused");
            assert_eq!(refusal.status, status, "{refusal:?}");
            assert!(refusal.sentence.contains(words), "{refusal:?}");
        }
    }

    #[test]
    fn requests_come_out_whole_and_in_order_however_they_are_cut() {
        let text = b"GET /proxies HTTP/1.1\r\nHost: a\r\n\r\n\
            POST http://a/proxies?x=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}\
            POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;e=1\r\nabc\r\n2\r\nde\r\n0\r\nT: 1\r\n\r\n\
            HEAD / HTTP/1.0\r\nUser-Agent: Mozilla/5.0\r\n\r\n";
        let (at_once, refusal) = read(text, text.len());
        assert_eq!(refusal, None);
        let seen: Vec<_> =
            at_once.iter().map(|r| (r.method.as_str(), r.path.as_str(), r.body.as_slice())).collect();
        let expected: [(&str, &str, &[u8]); 4] = [
            ("GET", "/proxies", b""),
            ("POST", "/proxies", b"{}"),
            ("POST", "/x", b"abcde"),
            ("HEAD", "/", b""),
        ];
        assert_eq!(seen, expected);
        assert!(at_once[0].manner.keep_alive && !at_once[0].from_browser);
        assert_eq!(at_once[3].manner, Manner { old: true, keep_alive: false, bodiless: true });
        assert!(at_once[3].from_browser);
        for piece_bytes in 1..text.len() {
            assert_eq!(read(text, piece_bytes), (at_once.clone(), None), "in pieces of {piece_bytes}");
        }
    }

    #[test]
    fn a_client_that_waits_for_a_word_gets_it_once() {
        let mut requests = Requests::default();
        requests.feed(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
        assert_eq!(requests.next(), Ok(Step::Continue));
        assert_eq!(requests.next(), Ok(Step::Waiting(Waiting::Body)));
        requests.feed(b"ok");
        let Ok(Step::Whole(request)) = requests.next() else { panic!("the body is there") };
        assert_eq!(request.body, b"ok");
        assert_eq!(requests.next(), Ok(Step::Waiting(Waiting::Nothing)));
    }

    #[test]
    fn what_is_missing_is_told() {
        let mut requests = Requests::default();
        assert_eq!(requests.next(), Ok(Step::Waiting(Waiting::Nothing)));
        requests.feed(b"GET");
        assert_eq!(requests.next(), Ok(Step::Waiting(Waiting::Head)));
        requests.feed(b" / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n123");
        assert_eq!(requests.next(), Ok(Step::Waiting(Waiting::Body)));
    }

    #[test]
    fn malformed_requests_are_refused_with_a_sentence() {
        let with = |fields: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n");
        refused(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", Status::BadRequest, "not HTTP");
        refused(b"GET / HTTP/2.0\r\n\r\n", Status::VersionNotSupported, "HTTP/1.1");
        refused(b"GET / HTTP/1.1\r\n\r\n", Status::BadRequest, "Host");
        refused(b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", Status::BadRequest, "Host");
        refused(b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n", Status::NotImplemented, "method");
        refused(with("Content-Length: x").as_bytes(), Status::BadRequest, "no number");
        refused(
            with("Content-Length: 1\r\nContent-Length: 2").as_bytes(),
            Status::BadRequest,
            "two different",
        );
        refused(with("Content-Length: 1048577").as_bytes(), Status::ContentTooLarge, "1048576");
        refused(with("Content-Length: 99999999999999999999").as_bytes(), Status::ContentTooLarge, "1048576");
        refused(with("Transfer-Encoding: gzip").as_bytes(), Status::NotImplemented, "chunked");
        refused(
            with("Transfer-Encoding: chunked\r\nContent-Length: 1").as_bytes(),
            Status::BadRequest,
            "both",
        );
        refused(with("Expect: 200-ok").as_bytes(), Status::ExpectationFailed, "100-continue");
        refused(
            b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
            Status::BadRequest,
            "HTTP/1.0 has no chunks",
        );
        refused(with(&"a: b\r\n".repeat(100)).as_bytes(), Status::FieldsTooLarge, "64 header fields");
        refused(with(&"a".repeat(HEAD_BYTES_MAX)).as_bytes(), Status::FieldsTooLarge, "16384");
    }

    #[test]
    fn malformed_chunks_are_refused_with_a_sentence() {
        let with = |body: &str| {
            format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}").into_bytes()
        };
        refused(&with("zz\r\n"), Status::BadRequest, "without its size");
        refused(&with("1\r\nabc"), Status::BadRequest, "longer than");
        refused(&with("100001\r\n"), Status::ContentTooLarge, "1048576");
        refused(&with(&format!("1;{}", "e".repeat(300))), Status::BadRequest, "no end");
        refused(&with(&format!("0\r\n{}", "e".repeat(5_000))), Status::FieldsTooLarge, "trailers");
        refused(&with(&format!("0\r\n{}", "e: f\r\n".repeat(1_000))), Status::FieldsTooLarge, "trailers");
    }
}
