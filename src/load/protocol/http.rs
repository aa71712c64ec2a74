//! HTTP/1.1: one request over and over, and where each of its answers ends (RFC 9112).

mod body;
mod request;
#[cfg(test)]
mod tests;

pub use request::HttpRequest;

use self::body::Body;
use super::{Answer, Draw, Malformed, Protocol, Step, decimal, quote};
use crate::error::Error;
use std::mem::MaybeUninit;
use std::sync::Arc;

/// The longest head of an answer; nothing longer is ever kept.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// The most fields in a head.
const FIELDS_MAX: usize = 100;

/// A body longer than a terabyte is a mistake: no benchmark lives to see its end.
const BODY_BYTES_MAX: u64 = 1 << 40;

/// Asks for one thing over HTTP/1.1, again and again.
///
/// Statuses 2xx and 3xx are good answers (redirections are not followed), all others refusals, counted by status:
/// `HTTP 503`. Bodies are skipped as they come, whether their length is announced, chunked, or shown by the end of
/// the connection. Interim answers (1xx) are skipped.
///
/// ```
/// use windlass::load::{Http, HttpRequest};
///
/// let (host, port, mut request) = HttpRequest::from_url("http://localhost:8080/search?q=rope")?;
/// request.headers.push(("Accept".into(), "text/html".into()));
/// let protocol = Http::new(&request)?;
/// assert_eq!((host.as_str(), port), ("localhost", 8080));
/// # Ok::<(), windlass::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Http {
    request: Arc<[u8]>,
    rules: Rules,
    /// Whose body is being skipped.
    answering: Option<Head>,
}

/// What the request says about its answers.
#[derive(Clone, Copy, Debug)]
struct Rules {
    /// It was a HEAD: a length may be announced, and no body follows.
    bodiless: bool,
    /// It asked for the connection to be closed.
    closes: bool,
}

/// What matters of an answer's head.
#[derive(Clone, Debug)]
struct Head {
    status: u16,
    /// The target closes the connection afterwards.
    last: bool,
    body: Body,
}

impl Http {
    /// Asks this.
    ///
    /// # Errors
    /// [`Error::Config`] with a sentence if the request would not be valid HTTP, or could be read as more than one.
    pub fn new(request: &HttpRequest) -> Result<Http, Error> {
        let bytes = request.encode()?;
        let rules = Rules { bodiless: request.method == "HEAD", closes: request.closes() };
        Ok(Http { request: bytes.into(), rules, answering: None })
    }
}

impl Head {
    fn answer(&self) -> Answer {
        match self.status {
            200..400 => Answer::Good,
            status => Answer::Refused(format!("HTTP {status}")),
        }
    }

    /// Reads the head that `bytes` begin with, and says how long it is; `None` if it is not complete.
    fn read(bytes: &[u8], rules: Rules) -> Result<Option<(usize, Head)>, Malformed> {
        let mut fields = [const { MaybeUninit::uninit() }; FIELDS_MAX];
        let mut response = httparse::Response::new(&mut []);
        let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(
            &mut response,
            bytes,
            &mut fields,
        );
        match parsed {
            Ok(httparse::Status::Complete(used)) if used <= HEAD_BYTES_MAX => {
                let (status, old) = (response.code.unwrap_or(0), response.version == Some(0));
                if status < 100 || status == 101 {
                    return Err(Malformed(format!(
                        "the target answered with status {status:03}, which fits no request that was sent"
                    )));
                }
                let fields = Fields::of(response.headers, old)?;
                let body = fields.body(rules.bodiless || status < 200 || status == 204 || status == 304);
                let last = if old { !fields.keep_alive } else { fields.close } || rules.closes;
                Ok(Some((used, Head { status, last, body })))
            }
            Ok(httparse::Status::Partial) if bytes.len() < HEAD_BYTES_MAX => Ok(None),
            Ok(_) => {
                Err(Malformed(format!("the target's answer has a head of more than {HEAD_BYTES_MAX} bytes")))
            }
            Err(error) => Err(broken(bytes, error)),
        }
    }
}

/// Why these bytes are no head.
fn broken(bytes: &[u8], error: httparse::Error) -> Malformed {
    const TLS_ALERT: &[u8] = &[0x15, 0x03];
    let quoted = quote(bytes);
    Malformed(match error {
        _ if bytes.starts_with(TLS_ALERT) => {
            "the target answered with a TLS alert: it wants https, and this is plain http".into()
        }
        httparse::Error::Version => format!("the target answered {quoted}, which is not HTTP/1.1"),
        httparse::Error::TooManyHeaders => {
            format!("the target's answer has more than {FIELDS_MAX} header fields")
        }
        error => format!("the target's answer ({quoted}) has a broken head: {error}"),
    })
}

/// The header fields that matter.
#[derive(Default)]
struct Fields {
    length: Option<u64>,
    encoded: bool,
    chunked: bool,
    close: bool,
    keep_alive: bool,
}

impl Fields {
    fn of(all: &[httparse::Header<'_>], old: bool) -> Result<Fields, Malformed> {
        let mut fields = Fields::default();
        for field in all {
            let is = |name: &str| field.name.eq_ignore_ascii_case(name);
            // Most fields have another length than these three: one comparison each.
            match field.name.len() {
                10 if is("connection") => fields.take_connection(field.value),
                14 if is("content-length") => fields.take_length(field.value)?,
                17 if is("transfer-encoding") => fields.take_encoding(field.value, old)?,
                _ => {}
            }
        }
        if fields.encoded && fields.length.is_some() {
            return Err(Malformed(
                "the target announced a body's length twice, with Content-Length and Transfer-Encoding"
                    .into(),
            ));
        }
        Ok(fields)
    }

    fn take_connection(&mut self, value: &[u8]) {
        for word in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            self.close |= word.eq_ignore_ascii_case(b"close");
            self.keep_alive |= word.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    fn take_length(&mut self, value: &[u8]) -> Result<(), Malformed> {
        let length = decimal(value).filter(|length| *length <= BODY_BYTES_MAX);
        let refuse =
            |why: &str| Malformed(format!("the target announced a body of {} bytes{why}", quote(value)));
        let length = length.ok_or_else(|| refuse(", which makes no sense"))?;
        match self.length.replace(length) {
            Some(before) if before != length => Err(refuse(&format!(" and of {before} bytes at once"))),
            _ => Ok(()),
        }
    }

    /// Only a last encoding `chunked` shows where the body ends; without it, the end of the connection does.
    fn take_encoding(&mut self, value: &[u8], old: bool) -> Result<(), Malformed> {
        let mut encodings = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        let last = encodings.next_back().unwrap_or_default();
        let chunked_before = self.chunked || encodings.any(|word| word.eq_ignore_ascii_case(b"chunked"));
        if chunked_before || old {
            return Err(Malformed(format!(
                "the target announced an encoding that HTTP does not allow there: {}",
                quote(value)
            )));
        }
        (self.encoded, self.chunked) = (true, last.eq_ignore_ascii_case(b"chunked"));
        Ok(())
    }

    fn body(&self, none: bool) -> Body {
        match self.length {
            _ if none => Body::Length(0),
            _ if self.chunked => Body::chunked(),
            Some(length) => Body::Length(length),
            None => Body::UntilEnd,
        }
    }
}

impl Protocol for Http {
    fn name(&self) -> &'static str {
        "http"
    }

    fn request(&mut self, _draw: &mut Draw, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.request);
    }

    fn answer(&mut self, bytes: &[u8]) -> Result<Step, Malformed> {
        let mut used = 0;
        loop {
            let Some(head) = &mut self.answering else {
                let Some((length, head)) = Head::read(&bytes[used..], self.rules)? else {
                    return Ok(Step::Partial { used });
                };
                used += length;
                if head.status >= 200 {
                    self.answering = Some(head);
                }
                continue;
            };
            used += head.body.skip(&bytes[used..])?;
            if !head.body.is_complete() {
                return Ok(Step::Partial { used });
            }
            let (answer, last) = (head.answer(), head.last);
            self.answering = None;
            return Ok(Step::Answered { used, answer, last });
        }
    }

    fn ended(&mut self) -> Option<Answer> {
        let head = self.answering.take_if(|head| head.body.ends_with_the_connection())?;
        Some(head.answer())
    }
}
