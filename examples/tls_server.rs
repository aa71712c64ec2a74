//! cargo run --release --example tls_server --features tls -- --cert cert.pem --key key.pem --listen 127.0.0.1:8443
//!
//! Answers every HTTP request with what the TLS handshake agreed on. With `--client-ca FILE` it asks clients for
//! certificates of that authority. SIGHUP reads the files anew, for connections to come. A certificate to try:
//!
//! ```text
//! openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=localhost \
//!     -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE -keyout key.pem -out cert.pem
//! curl --cacert cert.pem https://localhost:8443/
//! openssl s_client -connect localhost:8443 -CAfile cert.pem
//! ```

#[path = "common/args.rs"]
mod args;

use signal_hook::{consts::SIGHUP, iterator::Signals};
use windlass::tls::ServerTls;
use windlass::{Config, Conn, Cores, Event, Handler, Io, Listen, PerConn, TlsSession};

/// The longest head of a request, in bytes.
const HEAD_BYTES_MAX: usize = 8 * 1024;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (mut cert, mut key, mut client_ca) = (String::new(), String::new(), String::new());
    let args =
        args::parse_with(&mut [("--cert", &mut cert), ("--key", &mut key), ("--client-ca", &mut client_ca)]);
    let mut tls = ServerTls::builder().certificate_files(cert, key).alpn(["http/1.1"]);
    if !client_ca.is_empty() {
        tls = tls.require_client_certificates().client_roots_file(client_ca);
    }
    let tls = tls.build()?;
    reload_on_sighup(tls.clone())?;
    let mut config = Config::default();
    config.options.kept_bytes_max = HEAD_BYTES_MAX;
    Cores::new(args.cores)
        .config(config)
        .listen(Listen::at(args.listen).tls(&tls))
        .on_listening(args::announce)
        .run(|_core| Server::default())?;
    Ok(())
}

/// Serves new connections with what the files hold by then; with what it has if they are no good.
fn reload_on_sighup(tls: ServerTls) -> std::io::Result<()> {
    let mut signals = Signals::new([SIGHUP])?;
    std::thread::spawn(move || {
        for _ in &mut signals {
            match tls.reload() {
                Ok(()) => println!("certificate reloaded"),
                Err(error) => println!("certificate kept: {error}"),
            }
        }
    });
    Ok(())
}

/// What is known of each connection, as the page that it gets.
#[derive(Default)]
struct Server {
    pages: PerConn<String>,
}

impl Handler for Server {
    fn handle(&mut self, io: &mut Io, event: Event<'_>) {
        match event {
            Event::Opened { conn, session, .. } => {
                if let Some(tls) = &session.tls {
                    self.pages.insert(conn, page(tls));
                }
            }
            Event::Data { conn, bytes } => self.answer(io, conn, bytes),
            Event::Closed { conn, reason } => {
                self.pages.remove(conn);
                println!("{reason}");
            }
            _ => {}
        }
    }
}

impl Server {
    /// Answers once the request's head is whole, and closes. One too long to be kept closes the connection, too.
    fn answer(&self, io: &mut Io, conn: Conn, bytes: &[u8]) {
        let Some(page) = self.pages.get(conn) else { return };
        if bytes.windows(4).any(|window| window == b"\r\n\r\n") {
            let head =
                format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", page.len());
            let _ = io.send_parts(conn, &[head.as_bytes(), page.as_bytes()]);
            io.close(conn);
        } else {
            let _ = io.keep(conn, bytes.len());
        }
    }
}

fn page(tls: &TlsSession) -> String {
    format!(
        "{} {}\nkey exchange: {}\nname asked for: {}\nresumed: {}\nclient certificates: {}\n",
        tls.version,
        tls.cipher_suite,
        tls.key_exchange,
        tls.server_name.as_deref().unwrap_or("none"),
        tls.resumed,
        tls.peer_certificates.len()
    )
}
