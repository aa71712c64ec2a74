//! What the control sends back: a status, a body, and how it is written.

use super::request::Manner;
use serde::Serialize;
use std::fmt::Write as _;

/// The statuses that are answered here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    Ok,
    Created,
    NoContent,
    BadRequest,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    Conflict,
    ContentTooLarge,
    ExpectationFailed,
    FieldsTooLarge,
    InternalServerError,
    NotImplemented,
    ServiceUnavailable,
    VersionNotSupported,
}

impl Status {
    pub const fn code(self) -> u16 {
        self.told().0
    }

    const fn told(self) -> (u16, &'static str) {
        match self {
            Status::Ok => (200, "OK"),
            Status::Created => (201, "Created"),
            Status::NoContent => (204, "No Content"),
            Status::BadRequest => (400, "Bad Request"),
            Status::Forbidden => (403, "Forbidden"),
            Status::NotFound => (404, "Not Found"),
            Status::MethodNotAllowed => (405, "Method Not Allowed"),
            Status::Conflict => (409, "Conflict"),
            Status::ContentTooLarge => (413, "Content Too Large"),
            Status::ExpectationFailed => (417, "Expectation Failed"),
            Status::FieldsTooLarge => (431, "Request Header Fields Too Large"),
            Status::InternalServerError => (500, "Internal Server Error"),
            Status::NotImplemented => (501, "Not Implemented"),
            Status::ServiceUnavailable => (503, "Service Unavailable"),
            Status::VersionNotSupported => (505, "HTTP Version Not Supported"),
        }
    }
}

/// Why a request was not done: a status and a sentence.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    pub status: Status,
    pub sentence: String,
    /// With 405: the methods that would be allowed.
    pub allowed: String,
}

impl Refusal {
    pub fn new(status: Status, sentence: impl Into<String>) -> Refusal {
        Refusal { status, sentence: sentence.into(), allowed: String::new() }
    }
}

/// The body of a refusal. Clients of Toxiproxy's first version read `title`, all others `error`.
#[derive(Serialize)]
struct Told<'a> {
    error: &'a str,
    title: &'a str,
    status: u16,
}

/// An answer before it is written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Response {
    pub status: Status,
    content_type: &'static str,
    allowed: String,
    body: Vec<u8>,
}

impl Response {
    /// Done, and there is nothing to tell.
    pub const fn empty() -> Response {
        Response { status: Status::NoContent, content_type: "", allowed: String::new(), body: Vec::new() }
    }

    /// Something as JSON.
    pub fn json(status: Status, value: &impl Serialize) -> Response {
        let content_type = "application/json";
        match serde_json::to_vec(value) {
            Ok(body) => Response { status, content_type, allowed: String::new(), body },
            Err(error) => Response {
                status: Status::InternalServerError,
                content_type: "text/plain; charset=utf-8",
                allowed: String::new(),
                body: format!("the answer cannot be written as JSON: {error}\n").into_bytes(),
            },
        }
    }

    /// A text of this type.
    pub fn text(content_type: &'static str, body: String) -> Response {
        Response { status: Status::Ok, content_type, allowed: String::new(), body: body.into_bytes() }
    }

    /// The bytes of the answer, for a client of this manner.
    pub fn write(&self, manner: Manner) -> Vec<u8> {
        let (code, reason) = self.status.told();
        let mut head = format!("HTTP/1.1 {code} {reason}\r\n");
        if self.status != Status::NoContent {
            let _ = write!(
                head,
                "Content-Type: {}\r\nContent-Length: {}\r\n",
                self.content_type,
                self.body.len()
            );
        }
        if !self.allowed.is_empty() {
            let _ = write!(head, "Allow: {}\r\n", self.allowed);
        }
        match (manner.keep_alive, manner.old) {
            (false, _) => head += "Connection: close\r\n",
            (true, true) => head += "Connection: keep-alive\r\n",
            (true, false) => {}
        }
        head += "\r\n";
        let mut bytes = head.into_bytes();
        if !manner.bodiless {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }
}

impl From<&Refusal> for Response {
    fn from(refusal: &Refusal) -> Response {
        let (error, status) = (refusal.sentence.as_str(), refusal.status);
        let told = Told { error, title: error, status: status.code() };
        Response { allowed: refusal.allowed.clone(), ..Response::json(status, &told) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(response: &Response, manner: Manner) -> String {
        String::from_utf8(response.write(manner)).expect("text")
    }

    const KEPT: Manner = Manner { old: false, keep_alive: true, bodiless: false };

    #[test]
    fn an_answer_says_its_length_and_what_becomes_of_the_connection() {
        let response = Response::text("text/plain", "yes\n".into());
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n";
        assert_eq!(written(&response, KEPT), format!("{head}\r\nyes\n"));
        let old = Manner { old: true, ..KEPT };
        assert_eq!(written(&response, old), format!("{head}Connection: keep-alive\r\n\r\nyes\n"));
        assert_eq!(written(&response, Manner::BROKEN), format!("{head}Connection: close\r\n\r\nyes\n"));
        let bodiless = Manner { bodiless: true, ..KEPT };
        assert_eq!(written(&response, bodiless), format!("{head}\r\n"));
        assert_eq!(written(&Response::empty(), KEPT), "HTTP/1.1 204 No Content\r\n\r\n");
    }

    #[test]
    fn a_refusal_is_json_under_both_names_that_clients_know() {
        let refusal =
            Refusal { allowed: "GET".into(), ..Refusal::new(Status::MethodNotAllowed, "say \"GET\"") };
        let text = written(&Response::from(&refusal), KEPT);
        assert!(text.contains("\r\nAllow: GET\r\n"), "{text}");
        assert!(text.ends_with(r#"{"error":"say \"GET\"","title":"say \"GET\"","status":405}"#), "{text}");
    }
}
