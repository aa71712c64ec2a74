//! The request: from a URL (RFC 3986) or from parts, checked and encoded.

use super::super::MESSAGE_BYTES_MAX;
use crate::error::Error;
use std::fmt::Write as _;
use std::net::Ipv6Addr;

/// The longest head of a request, in bytes. Servers take 8 KiB, some a little more.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// What to ask over HTTP/1.1. Start from [`HttpRequest::get`] or [`HttpRequest::from_url`] and change fields.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpRequest {
    /// `GET`, `POST`, ... in capitals, as servers expect it.
    pub method: String,
    /// What the `Host` field says: the server's name, with `:port` where that is not the usual one, 80 or 443.
    pub host: String,
    /// Path with query: `/search?q=rope`.
    pub path: String,
    /// Further fields, sent as they stand. A `Host` among them replaces the one above. Lengths are counted from the
    /// body and must not be given.
    pub headers: Vec<(String, String)>,
    /// What is sent behind the head, at most 16 MiB.
    pub body: Vec<u8>,
}

impl HttpRequest {
    /// A GET of `path` (with its query) on `host`.
    #[must_use]
    pub fn get(host: &str, path: &str) -> HttpRequest {
        let (method, host, path) = ("GET".into(), host.into(), path.into());
        HttpRequest { method, host, path, headers: Vec::new(), body: Vec::new() }
    }

    /// A GET of `http://HOST[:PORT][/PATH][?QUERY]` or the same with `https`, and where to connect for it: host (an IPv6
    /// address without its brackets) and port. A `#fragment` is left out, as browsers do. That `https` needs TLS is for
    /// the caller to see to.
    ///
    /// # Errors
    /// [`Error::Config`] with a sentence that says what is wrong with the URL.
    pub fn from_url(url: &str) -> Result<(String, u16, HttpRequest), Error> {
        let refuse = |why: &str| Error::Config(format!("'{}' {why}", url.escape_debug()));
        let (scheme, rest) =
            url.split_once("://").ok_or_else(|| refuse("is no URL: write http://HOST[:PORT][/PATH]"))?;
        let usual = match scheme.to_ascii_lowercase().as_str() {
            "http" => 80,
            "https" => 443,
            _ => return Err(refuse("is no URL of HTTP: write http://HOST[:PORT][/PATH]")),
        };
        let target_at = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(target_at);
        let (host, port) = authority_of(authority).map_err(refuse)?;
        let port = port.unwrap_or(usual);
        let target = target.split('#').next().unwrap_or_default();
        let path = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        check_path(&path)?;
        let bracketed = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let named = if port == usual { bracketed } else { format!("{bracketed}:{port}") };
        Ok((host.to_owned(), port, HttpRequest::get(&named, &path)))
    }

    /// Whether it asks for the connection to be closed.
    pub(super) fn closes(&self) -> bool {
        let connection = self.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("connection"));
        let mut words = connection.flat_map(|(_, value)| value.split(','));
        words.any(|word| word.trim().eq_ignore_ascii_case("close"))
    }

    /// The bytes of the request. What could end a line early, and so smuggle in a second request, is refused.
    pub(super) fn encode(&self) -> Result<Vec<u8>, Error> {
        if !is_token(&self.method) || self.method == "CONNECT" {
            return refuse(format!(
                "'{}' is no method to measure: write GET, POST, ...",
                self.method.escape_debug()
            ));
        }
        check_path(&self.path)?;
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
        let hosts = self.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("host")).count();
        if hosts > 1 {
            return refuse("a request has one Host field, not several".into());
        }
        let own_host = (hosts == 0).then(|| ("Host".to_owned(), self.host.clone()));
        for (name, value) in own_host.iter().chain(&self.headers) {
            check_field(name, value)?;
            let _ = write!(head, "{name}: {value}\r\n");
        }
        if !self.body.is_empty() || ["POST", "PUT", "PATCH"].contains(&self.method.as_str()) {
            let _ = write!(head, "Content-Length: {}\r\n", self.body.len());
        }
        head.push_str("\r\n");
        if head.len() > HEAD_BYTES_MAX || self.body.len() > MESSAGE_BYTES_MAX {
            return refuse(format!(
                "a request has at most {HEAD_BYTES_MAX} bytes of head and {MESSAGE_BYTES_MAX} bytes of body"
            ));
        }
        Ok([head.as_bytes(), &self.body].concat())
    }
}

fn refuse<T>(sentence: String) -> Result<T, Error> {
    Err(Error::Config(sentence))
}

/// Host and port of `HOST[:PORT]`, or what is wrong with it.
fn authority_of(authority: &str) -> Result<(&str, Option<u16>), &'static str> {
    if authority.contains('@') {
        return Err("has a user name in it: send it as a header, Authorization: Basic ...");
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or("has a bracket that is never closed")?;
            host.parse::<Ipv6Addr>().map_err(|_| "has no IPv6 address in its brackets")?;
            let port = if port.is_empty() { Some(port) } else { port.strip_prefix(':') };
            (host, port.ok_or("has something behind its bracket that is no port")?)
        }
        None if authority.matches(':').count() > 1 => {
            return Err("has several colons: an IPv6 address stands in brackets, [::1]:8080");
        }
        None => authority.split_once(':').unwrap_or((authority, "")),
    };
    let fits_a_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
    if host.is_empty() || !host.bytes().all(fits_a_name) {
        return Err("has no host name that could be looked up: letters, digits, - and . make one");
    }
    match port {
        "" => Ok((host, None)),
        _ if !port.bytes().all(|byte| byte.is_ascii_digit()) => Err("has no number for its port"),
        _ => match port.parse() {
            Ok(port @ 1..) => Ok((host, Some(port))),
            _ => Err("has a port that is not between 1 and 65535"),
        },
    }
}

fn check_path(path: &str) -> Result<(), Error> {
    let shown = path.escape_debug();
    if !path.starts_with('/') && path != "*" {
        return refuse(format!("the path '{shown}' does not begin with /"));
    }
    if let Some(byte) = path.bytes().find(|byte| !byte.is_ascii_graphic() || *byte == b'#') {
        return refuse(format!("the path '{shown}' has a byte in it that must be written as %{byte:02X}"));
    }
    Ok(())
}

/// Field names are tokens, values printable; what says how long the request is, the body says itself.
fn check_field(name: &str, value: &str) -> Result<(), Error> {
    if !is_token(name) {
        return refuse(format!("'{}' is no name of a header field", name.escape_debug()));
    }
    if value.chars().any(|char| char.is_control() && char != '\t') {
        return refuse(format!(
            "the header {name} has a line end or another control character in its value: '{}'",
            value.escape_debug()
        ));
    }
    if ["content-length", "transfer-encoding"].iter().any(|length| name.eq_ignore_ascii_case(length)) {
        return refuse(format!("leave out the header {name}: the body's length is counted"));
    }
    Ok(())
}

/// A token of RFC 9110, section 5.6.2.
fn is_token(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(fits)
}
