//! Our client with nginx: mutual TLS, bodies of many records, resumption.

use crate::certificates::{Authority, Pair};
use crate::ours::{self, Client};
use crate::rig::{Folder, Tool, can_use_if};
use std::path::Path;
use windlass::error::Cause;
use windlass::tls::{ClientTls, Sessions};
use windlass::{Address, Connect};

/// nginx in one process on a Unix socket: there is no port that two tests could both want.
struct Nginx {
    folder: Folder,
    authority: Authority,
    _process: Tool,
}

const CONFIG: &str = "
daemon off; master_process off; error_log /dev/stdout notice; pid nginx.pid;
events { worker_connections 64; }
http {
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    server {
        listen unix:SOCKET ssl;
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_certificate server.pem; ssl_certificate_key server.key.pem;
        OPTIONS
        location = / { return 200 '$ssl_protocol $ssl_session_reused [$ssl_client_s_dn] $ssl_client_verify'; }
        location = /long { root .; }
    }
}";

/// Longer than every receive buffer and every record.
const LONG_BYTES: usize = 3_000_000;

impl Nginx {
    /// With these options in its server block; `None`, and said so, where it is not installed.
    fn start(options: &str) -> Option<Nginx> {
        // Where Debian puts it, which is not in everybody's PATH.
        let folders = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::env::split_paths(&folders).chain([Path::new("/usr/sbin").into()]);
        let program = folders.map(|folder| folder.join("nginx")).find(|program| program.exists());
        if !can_use_if(program.is_some(), "nginx") {
            return None;
        }
        let (folder, authority) = (Folder::new(), Authority::new());
        authority.write(&folder);
        authority.write_server(&folder, "server", &["localhost"]);
        folder.write("long", (0..LONG_BYTES).map(|place| (place % 251) as u8).collect::<Vec<_>>());
        let config = CONFIG.replace("SOCKET", &folder.file("socket")).replace("OPTIONS", options);
        let config = folder.write("nginx.conf", config);
        let prefix = folder.path().to_str().expect("plain text");
        let mut process = Tool::start(program?, &["-e", "/dev/stdout", "-p", prefix, "-c", &config]);
        process.says("event method");
        Some(Nginx { folder, authority, _process: process })
    }

    fn connect(&self, tls: &ClientTls) -> Client {
        let address = Address::from(self.folder.path().join("socket"));
        Client::connect(Connect::to(address).tls(tls, "localhost"))
    }

    fn client_pair(&self) -> Pair {
        self.authority.write_client(&self.folder, "ann")
    }
}

fn request(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes()
}

#[test]
fn nginx_knows_us_by_our_certificate_and_sends_much() {
    let Some(nginx) = Nginx::start("ssl_verify_client on; ssl_client_certificate ca.pem;") else { return };
    let pair = nginx.client_pair();
    let tls = ours::client_tls(&nginx.folder).identity_files(&pair.cert, &pair.key).build().expect("files");
    let mut client = nginx.connect(&tls);
    client.send(&request("/"));
    client.receives(b"TLSv1.3 . [CN=ann] SUCCESS");
    client.send(&request("/long"));
    client.receives(b"\r\n\r\n");
    let long = client.takes(LONG_BYTES);
    assert!(long.iter().enumerate().all(|(place, byte)| *byte == (place % 251) as u8));
    assert_eq!(client.close().cause(), Cause::Closed);
}

/// nginx shakes hands with anybody and says 400 to those whom it does not know.
#[test]
fn nginx_tells_whom_it_does_not_know() {
    let Some(nginx) = Nginx::start("ssl_verify_client on; ssl_client_certificate ca.pem;") else { return };
    let mut client = nginx.connect(&ours::client_tls(&nginx.folder).build().expect("an authority"));
    client.send(&request("/"));
    client.receives(b"No required SSL certificate was sent");
    assert_eq!(client.closed().cause(), Cause::PeerClosed);
}

#[test]
fn nginx_lets_us_resume() {
    let Some(nginx) = Nginx::start("ssl_session_cache shared:here:1m;") else { return };
    let tls = ours::client_tls(&nginx.folder).build().expect("an authority");
    for (mark, resumed) in [(".", false), ("r", true), ("r", true)] {
        let mut client = nginx.connect(&tls);
        assert_eq!(client.opened().tls.expect("TLS").resumed, resumed);
        client.send(&request("/"));
        client.receives(format!("TLSv1.3 {mark} [").as_bytes());
        client.close();
    }
}

/// As after a restart: what one client saved another one loads, with nothing else in common.
#[test]
fn nginx_lets_us_resume_what_was_saved() {
    let Some(nginx) = Nginx::start("") else { return };
    let first = Sessions::default();
    let build = |sessions: &Sessions| {
        ours::client_tls(&nginx.folder).sessions(sessions.clone()).build().expect("an authority")
    };
    let mut client = nginx.connect(&build(&first));
    client.send(&request("/"));
    // The tickets come before the first answer.
    client.receives(b"TLSv1.3 . [");
    client.close();

    let later = Sessions::default();
    assert!(later.load(&first.save()).expect("what was saved") > 0);
    let mut client = nginx.connect(&build(&later));
    client.send(&request("/"));
    client.receives(b"TLSv1.3 r [");
    assert!(client.opened().tls.expect("TLS").resumed);
    client.close();
}

/// Each nginx makes keys of its own for its tickets, so that another one of the same name cannot read them.
#[test]
fn nginx_that_does_not_take_our_ticket_gets_a_whole_handshake() {
    let Some(nginx) = Nginx::start("") else { return };
    let Some(other) = Nginx::start("") else { return };
    let [first, second] = [&nginx, &other].map(|nginx| nginx.folder.file("ca.pem"));
    let tls = ClientTls::builder().roots_file(first).roots_file(second).build().expect("two authorities");
    for (server, resumed) in [(&nginx, false), (&nginx, true), (&other, false), (&other, true)] {
        let mut client = server.connect(&tls);
        assert_eq!(client.opened().tls.expect("TLS").resumed, resumed);
        client.send(&request("/"));
        client.receives(b"HTTP/1.1 200 OK");
        client.receives(b"NONE");
        client.close();
    }
}
