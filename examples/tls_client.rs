//! cargo run --release --example tls_client --features tls -- https://example.com/
//!
//! Fetches a page over TLS and says how it was secured. Trusts what the system trusts, or only the authority in
//! `--ca FILE`. With `--sessions FILE` the next run resumes this one's session instead of a whole handshake.

use std::io::Write;
use std::net::ToSocketAddrs;
use windlass::tls::ClientTls;
use windlass::{Config, Connect, Event, Handler, Io, Reactor};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let wanted = Wanted::from_command_line()?;
    let tls = match &wanted.ca {
        Some(file) => ClientTls::builder().roots_pem_file(file).alpn(["http/1.1"]).build()?,
        None => ClientTls::builder().alpn(["http/1.1"]).build()?,
    };
    if let Some(sessions) = wanted.sessions.as_ref().filter(|file| std::path::Path::new(file).exists()) {
        tls.load_sessions(&std::fs::read(sessions)?)?;
    }

    let address = (&*wanted.host, wanted.port).to_socket_addrs()?.next().ok_or("the name has no address")?;
    let mut reactor = Reactor::new(Config::default())?;
    let conn = reactor.io().connect(Connect::to(address).tls(&tls, &wanted.host))?;
    let request =
        format!("GET {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", wanted.path, wanted.host);
    reactor.io().send(conn, request.as_bytes())?;
    reactor.run(&mut Fetch)?;

    if let Some(sessions) = &wanted.sessions {
        std::fs::write(sessions, tls.save_sessions())?;
    }
    Ok(())
}

/// `tls_client [--ca FILE] [--sessions FILE] https://HOST[:PORT][/PATH]`
struct Wanted {
    host: String,
    port: u16,
    path: String,
    ca: Option<String>,
    sessions: Option<String>,
}

impl Wanted {
    fn from_command_line() -> Result<Wanted, String> {
        let (mut url, mut ca, mut sessions) = (None, None, None);
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            match word.as_str() {
                "--ca" => ca = words.next(),
                "--sessions" => sessions = words.next(),
                _ => url = Some(word),
            }
        }
        let url = url.ok_or("usage: [--ca FILE] [--sessions FILE] https://HOST[:PORT][/PATH]")?;
        let rest = url.strip_prefix("https://").ok_or("the URL must begin with https://")?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (host, port) = authority.rsplit_once(':').unwrap_or((authority, "443"));
        let port = port.parse().map_err(|_| format!("'{port}' is no port"))?;
        Ok(Wanted { host: host.into(), port, path: format!("/{path}"), ca, sessions })
    }
}

/// Prints what comes.
struct Fetch;

impl Handler for Fetch {
    fn handle(&mut self, io: &mut Io, event: Event<'_>) {
        match event {
            Event::Opened { session, .. } => {
                if let Some(tls) = &session.tls {
                    eprintln!("{}, {}, {}", tls.version, tls.cipher_suite, tls.key_exchange);
                    let alpn = tls.alpn.as_deref().map_or("none".into(), String::from_utf8_lossy);
                    eprintln!("protocol: {alpn}, resumed: {}", tls.resumed);
                }
            }
            Event::Data { bytes, .. } => drop(std::io::stdout().write_all(bytes)),
            Event::Closed { reason, .. } => {
                eprintln!("{reason}");
                io.stop();
            }
            _ => {}
        }
    }
}
