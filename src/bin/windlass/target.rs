//! What to measure: reads the names people give to targets, and finds the address behind one.

use crate::args::ProtocolName;
use crate::exit::Failure;
use crate::transport::{Layers, Transport};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;
use windlass::Address;
use windlass::load::HttpRequest;

const REDIS_PORT: u16 = 6379;
const REDIS_TLS_PORT: u16 = 6380;
const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;

/// A target as its user named it.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// The text that was given.
    pub named: String,
    pub protocol: ProtocolName,
    /// What to ask, as far as the name tells, where that is HTTP.
    pub http: Option<HttpRequest>,
    /// What secures its bytes.
    pub layers: Layers,
    place: Place,
}

#[derive(Clone, Debug, PartialEq)]
enum Place {
    Unix(PathBuf),
    Inet { host: String, port: u16 },
}

impl Target {
    /// Reads a name such as `HOST:PORT`, `unix:PATH`, `redis://HOST` or `https://HOST/PATH`. Resolves nothing. What was
    /// `asked` for must fit what the name says.
    pub fn parse(
        text: &str,
        asked: Option<ProtocolName>,
        transport: Option<Transport>,
    ) -> Result<Target, Failure> {
        let (scheme, rest) = match text.split_once(':') {
            Some((scheme @ ("unix" | "redis+unix"), path)) => (scheme, path),
            _ => text.split_once("://").unwrap_or(("", text)),
        };
        // A path needs no scheme once it is known to be one.
        let is_path = transport == Some(Transport::Unix) && text.parse::<SocketAddr>().is_err();
        let scheme = if scheme.is_empty() && is_path { "unix" } else { scheme };
        let told = match scheme {
            "" | "unix" | "tcp" => None,
            "redis" | "rediss" | "redis+unix" => Some(ProtocolName::Redis),
            "http" | "https" => Some(ProtocolName::Http),
            _ => return Err(unreadable(text, &format!("'{scheme}' is no scheme that is known here"))),
        };
        if let (Some(told), Some(asked)) = (told, asked)
            && told != asked
        {
            return Err(Failure::usage(format!(
                "'{text}' speaks {}, and --protocol {} was asked for: leave one of them out",
                told.name(),
                asked.name()
            )));
        }
        let protocol = told.or(asked).unwrap_or(ProtocolName::Echo);
        let named = text.to_owned();
        let is_unix = matches!(scheme, "unix" | "redis+unix");
        let layers = layers_of(text, transport, matches!(scheme, "https" | "rediss"), is_unix)?;
        if told == Some(ProtocolName::Http) {
            let (host, port, request) = HttpRequest::from_url(text)?;
            let place = Place::Inet { host, port };
            return Ok(Target { named, protocol, http: Some(request), layers, place });
        }
        let place = match scheme {
            "unix" | "redis+unix" if rest.is_empty() => return Err(unreadable(text, "the path is missing")),
            "unix" | "redis+unix" => Place::Unix(rest.into()),
            "redis" | "rediss" => inet_of(text, rest.strip_suffix('/').unwrap_or(rest), protocol, layers)?,
            _ => inet_of(text, rest, protocol, layers)?,
        };
        let host = match &place {
            Place::Unix(_) => "localhost",
            Place::Inet { .. } => rest,
        };
        let http = (protocol == ProtocolName::Http).then(|| HttpRequest::get(host, "/"));
        Ok(Target { named, protocol, http, layers, place })
    }

    /// The name of the server, as its certificate should have it.
    pub fn host(&self) -> &str {
        match &self.place {
            Place::Unix(_) => "localhost",
            Place::Inet { host, .. } => host,
        }
    }

    /// The address to connect to. Of several behind one name it is the first that a connection can be made to.
    pub fn resolve(&self, connect_timeout: Duration) -> Result<Address, Failure> {
        let (host, port) = match &self.place {
            Place::Unix(path) => return Ok(path.clone().into()),
            Place::Inet { host, port } => (host, *port),
        };
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(SocketAddr::new(ip, port).into());
        }
        let found = (host.as_str(), port).to_socket_addrs().map_err(|error| {
            Failure::failed(format!(
                "host '{host}' was not found: {error}; check the name, or write an IP address"
            ))
        })?;
        let mut addresses: Vec<SocketAddr> = Vec::new();
        for address in found {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        first_of(host, &addresses, |address| TcpStream::connect_timeout(&address, connect_timeout).map(drop))
    }
}

/// What secures the bytes: what was asked for, if that fits the name, and else what the name says.
fn layers_of(
    text: &str,
    transport: Option<Transport>,
    needs_tls: bool,
    is_unix: bool,
) -> Result<Layers, Failure> {
    let Some(transport) = transport else { return Ok(Layers { tls: needs_tls, noise: false }) };
    let name = transport.name();
    let layers = transport.layers();
    if needs_tls && !layers.tls {
        return Err(Failure::usage(format!(
            "'{text}' is reached over TLS, and --transport {name} was asked for: leave one of them out"
        )));
    }
    match (transport, is_unix) {
        (Transport::Tcp, true) => Err(Failure::usage(format!(
            "'{text}' is a Unix socket, and --transport tcp was asked for: leave one of them out"
        ))),
        (Transport::Unix, false) => Err(Failure::usage(format!(
            "'{text}' is no Unix socket, and --transport unix was asked for: write unix:PATH"
        ))),
        _ => Ok(layers),
    }
}

/// The first address that `connects`. A single one is not tried: it is the generator's to say what is wrong with it.
fn first_of(
    host: &str,
    addresses: &[SocketAddr],
    connects: impl Fn(SocketAddr) -> io::Result<()>,
) -> Result<Address, Failure> {
    let mut refusals = Vec::new();
    for &address in addresses {
        match if addresses.len() == 1 { Ok(()) } else { connects(address) } {
            Ok(()) => return Ok(address.into()),
            Err(error) => refusals.push(format!("{address}: {error}")),
        }
    }
    if refusals.is_empty() {
        return Err(Failure::failed(format!("host '{host}' has no address")));
    }
    Err(Failure::failed(format!("no address of '{host}' takes connections: {}", refusals.join("; "))))
}

/// `HOST:PORT`, `[IPV6]:PORT`, and without the port where the protocol has a usual one.
fn inet_of(text: &str, rest: &str, protocol: ProtocolName, layers: Layers) -> Result<Place, Failure> {
    let usual = match (protocol, layers.tls) {
        (ProtocolName::Echo, _) => None,
        (ProtocolName::Redis, false) => Some(REDIS_PORT),
        (ProtocolName::Redis, true) => Some(REDIS_TLS_PORT),
        (ProtocolName::Http, false) => Some(HTTP_PORT),
        (ProtocolName::Http, true) => Some(HTTPS_PORT),
    };
    let (host, port) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, port)) => match port.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None => return Err(unreadable(text, "behind ']' comes ':' and a port")),
        },
        None => match rest.rsplit_once(':') {
            Some((host, _)) if host.contains(':') => {
                return Err(unreadable(text, "an IPv6 address stands in brackets, as in [::1]:7000"));
            }
            Some((host, port)) => (host, Some(port)),
            None => (rest, None),
        },
    };
    if let Some(wrong) = host.chars().find(|c| c.is_whitespace() || "/@?#[]".contains(*c)) {
        let advice = if text.starts_with(['/', '.']) {
            format!("; for a socket file write unix:{text}")
        } else {
            String::new()
        };
        return Err(unreadable(text, &format!("'{wrong}' does not belong into a host's name{advice}")));
    }
    if host.is_empty() {
        return Err(unreadable(text, "the host is missing"));
    }
    let port = match port {
        Some(port) => port.parse().ok().filter(|port| *port != 0),
        None => usual,
    };
    let Some(port) = port else {
        return Err(unreadable(text, "a port from 1 to 65535 must follow the host"));
    };
    Ok(Place::Inet { host: host.to_owned(), port })
}

fn unreadable(text: &str, why: &str) -> Failure {
    Failure::usage(format!(
        "'{text}' is no target: {why}. Write HOST:PORT, [IPV6]:PORT, unix:PATH, redis://HOST[:PORT], \
         rediss://HOST[:PORT], redis+unix:PATH or http[s]://HOST[:PORT][/PATH]"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str, protocol: Option<ProtocolName>) -> (ProtocolName, Place) {
        let target = Target::parse(text, protocol, None).unwrap();
        (target.protocol, target.place)
    }

    fn inet(host: &str, port: u16) -> Place {
        Place::Inet { host: host.into(), port }
    }

    #[test]
    fn every_way_to_name_a_target_is_read() {
        use ProtocolName::{Echo, Http, Redis};
        assert_eq!(place("10.0.0.7:7000", None), (Echo, inet("10.0.0.7", 7000)));
        assert_eq!(place("[::1]:7000", None), (Echo, inet("::1", 7000)));
        assert_eq!(place("server.example:7000", Some(Redis)), (Redis, inet("server.example", 7000)));
        assert_eq!(place("server.example", Some(Redis)), (Redis, inet("server.example", 6379)));
        assert_eq!(place("redis://cache", None), (Redis, inet("cache", 6379)));
        assert_eq!(place("redis://[::1]:7/", None), (Redis, inet("::1", 7)));
        assert_eq!(place("redis+unix:/tmp/r.sock", None), (Redis, Place::Unix("/tmp/r.sock".into())));
        assert_eq!(place("unix:/tmp/e:x.sock", Some(Http)), (Http, Place::Unix("/tmp/e:x.sock".into())));
        assert_eq!(place("http://localhost:8080/a?b=c:d", None), (Http, inet("localhost", 8080)));
        assert_eq!(place("tcp://localhost:1", None), (Echo, inet("localhost", 1)));
    }

    #[test]
    fn what_secures_the_bytes_follows_from_the_name_or_from_the_flag() {
        let layers = |text, transport| Target::parse(text, None, transport).map(|target| target.layers);
        let (none, tls) = (Layers::default(), Transport::Tls.layers());
        assert_eq!(layers("https://a/", None).unwrap(), tls);
        assert_eq!(layers("rediss://a", None).unwrap(), tls);
        assert_eq!(layers("http://a/", None).unwrap(), none);
        assert_eq!(layers("http://a/", Some(Transport::Tls)).unwrap(), tls);
        assert_eq!(layers("unix:/tmp/a", Some(Transport::Noise)).unwrap(), Transport::Noise.layers());
        assert_eq!(layers("/tmp/a", Some(Transport::Unix)).unwrap(), none);
        assert_eq!(
            layers("https://a/", Some(Transport::TlsNoise)).unwrap(),
            Layers { tls: true, noise: true }
        );
        for (text, transport) in [
            ("https://a/", Transport::Tcp),
            ("rediss://a", Transport::Noise),
            ("unix:/tmp/a", Transport::Tcp),
            ("http://a/", Transport::Unix),
        ] {
            let sentence = layers(text, Some(transport)).unwrap_err().to_string();
            assert!(sentence.contains(text) && sentence.contains("was asked for"), "{sentence}");
        }
        use ProtocolName::{Http, Redis};
        assert_eq!(place("https://a/", None), (Http, inet("a", 443)));
        assert_eq!(place("rediss://a", None), (Redis, inet("a", 6380)));
        assert_eq!(place("rediss://[::1]:7/", None), (Redis, inet("::1", 7)));
    }

    #[test]
    fn what_is_no_target_is_refused_with_advice() {
        for text in [
            "",
            ":",
            "host",
            "host:",
            "host:0",
            "host:70000",
            ":7000",
            "::1:7000",
            "[::1]",
            "[::1]x",
            "unix:",
            "ftp://a:1",
            "redis://u@h:1",
            "redis://h:1/2",
            "a b:1",
            "https://",
            "rediss://",
            "http://",
            "/tmp/x.sock:1",
        ] {
            let failure = Target::parse(text, None, None).unwrap_err();
            assert_eq!(failure.exit, crate::exit::Exit::Usage, "{text}: {failure}");
        }
        assert!(
            Target::parse("http://a/", Some(ProtocolName::Redis), None)
                .unwrap_err()
                .to_string()
                .contains("leave one")
        );
        assert!(Target::parse("/tmp/x", None, None).unwrap_err().to_string().contains("unix:/tmp/x"));
    }

    #[test]
    fn the_first_address_that_connects_is_taken() {
        let addresses = ["[::1]:1".parse().unwrap(), "127.0.0.1:1".parse().unwrap()];
        let only_v4 = |address: SocketAddr| {
            if address.is_ipv4() { Ok(()) } else { Err(io::ErrorKind::ConnectionRefused.into()) }
        };
        assert_eq!(first_of("h", &addresses, only_v4).unwrap(), Address::from(addresses[1]));
        let refused = |_| Err(io::ErrorKind::ConnectionRefused.into());
        let sentence = first_of("h", &addresses, refused).unwrap_err().to_string();
        assert!(sentence.contains("[::1]:1: ") && sentence.contains("127.0.0.1:1: "), "{sentence}");
        assert_eq!(first_of("h", &addresses[..1], refused).unwrap(), Address::from(addresses[0]));
        assert!(first_of("h", &[], refused).is_err());
    }
}
