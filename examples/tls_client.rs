//! cargo run --release --example tls_client --features tls -- https://example.com/ https://example.com/
//!
//! Fetches pages over TLS, one connection after the other, and says how each was secured: the second one to the same
//! server resumes the session of the first. Trusts whom the system trusts, or only the authority in `--ca FILE`. With
//! `--sessions FILE` the sessions are kept there, for the next run to resume.

use std::error::Error;
use std::fs::OpenOptions;
use std::io::Write;
use std::net::ToSocketAddrs;
use std::os::unix::fs::OpenOptionsExt;
use windlass::tls::{ClientTls, Sessions};
use windlass::{Config, Connect, Event, Handler, Io, Reactor};

fn main() -> Result<(), Box<dyn Error>> {
    let (mut ca, mut file, mut urls) = (None, None, Vec::new());
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--ca" => ca = words.next(),
            "--sessions" => file = words.next(),
            _ => urls.push(word),
        }
    }
    let tls = match ca {
        Some(ca) => ClientTls::builder().roots_file(ca),
        None => ClientTls::builder().platform_roots(),
    };
    let sessions = Sessions::default();
    if let Some(file) = file.as_ref().filter(|file| std::fs::exists(file).unwrap_or(false)) {
        sessions.load(&std::fs::read(file)?)?;
    }
    let tls = tls.alpn(["http/1.1"]).sessions(sessions.clone()).build()?;

    let mut reactor = Reactor::new(Config::default())?;
    for url in &urls {
        fetch(&mut reactor, &tls, url)?;
    }
    if let Some(file) = file {
        // With these one can pose as the servers to us: nobody else may read them.
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(file)?;
        file.write_all(&sessions.save())?;
    }
    Ok(())
}

fn fetch(reactor: &mut Reactor, tls: &ClientTls, url: &str) -> Result<(), Box<dyn Error>> {
    let rest = url.strip_prefix("https://").ok_or("give URLs that begin with https://")?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (host, port) = authority.split_once(':').unwrap_or((authority, "443"));
    // This may block; a server would look names up before its loop begins, or on a thread of its own.
    let address = (host, port.parse()?).to_socket_addrs()?.next().ok_or("the name has no address")?;
    let conn = reactor.io().connect(Connect::to(address).tls(tls, host))?;
    let request = format!("GET /{path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n");
    reactor.io().send(conn, request.as_bytes())?;
    reactor.run(&mut Fetch)?;
    Ok(())
}

/// Prints the page to standard output and everything else to standard error.
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
            Event::Data { bytes, .. } => {
                // Whoever reads it may have had enough.
                let _ = std::io::stdout().write_all(bytes);
            }
            Event::Closed { reason, .. } => {
                eprintln!("{reason}");
                io.stop();
            }
            _ => {}
        }
    }
}
