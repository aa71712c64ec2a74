//! `tls_server` and `tls_client` with each other, and `--tls` where there is a plain example.

use super::process::{Server, run_to_end};
use std::path::PathBuf;

/// A certificate for `localhost` that vouches for itself, and its key, in a folder removed with its test.
struct Files {
    folder: PathBuf,
    cert: String,
    key: String,
}

impl Files {
    fn new(name: &str) -> Files {
        let folder = std::env::temp_dir().join(format!("windlass-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder for temporary files");
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let write = |name: &str, text: String| {
            let path = folder.join(name);
            std::fs::write(&path, text).expect("room for a file");
            path.to_str().expect("plain text").to_owned()
        };
        let (cert, key) =
            (write("cert.pem", made.cert.pem()), write("key.pem", made.signing_key.serialize_pem()));
        Files { folder, cert, key }
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        // What is left goes with the system's temporary files.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// What `tls_client` prints of so many pages, and of their connections.
fn fetch(server: &Server, pages: usize, arguments: &[&str]) -> (String, String) {
    let url = format!("https://localhost:{}/", server.address.port());
    let outcome = run_to_end("tls_client", &[arguments, &vec![&*url; pages]].concat());
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (text(outcome.stdout), text(outcome.stderr))
}

#[test]
fn tls_client_says_what_was_agreed_on_and_resumes() {
    let files = Files::new("fetch");
    let server = Server::start("tls_server", &["--cert", &files.cert, "--key", &files.key]);
    let (pages, told) = fetch(&server, 2, &["--ca", &files.cert]);
    assert_eq!(pages.matches("HTTP/1.1 200 OK\r\n").count(), 2, "{pages}{told}");
    assert!(told.starts_with("TLS 1.3, TLS_"), "{told}");
    let resumed: Vec<_> = told.lines().filter_map(|line| line.strip_prefix("protocol: http/1.1, ")).collect();
    assert_eq!(resumed, ["resumed: false", "resumed: true"], "{told}");
    let resumed: Vec<_> = pages.lines().filter(|line| line.starts_with("resumed: ")).collect();
    assert_eq!(resumed, ["resumed: false", "resumed: true"], "{pages}");
}

#[test]
fn tls_client_resumes_in_its_next_life() {
    let files = Files::new("lives");
    let server = Server::start("tls_server", &["--cert", &files.cert, "--key", &files.key]);
    let kept = files.folder.join("sessions");
    let arguments = ["--ca", &files.cert, "--sessions", kept.to_str().expect("plain text")];
    for resumed in ["resumed: false", "resumed: true", "resumed: true"] {
        let (page, told) = fetch(&server, 1, &arguments);
        assert!(page.contains(resumed) && told.contains(resumed), "{page}{told}");
    }
    std::fs::write(&kept, "no sessions").expect("room");
    let (page, told) = fetch(&server, 1, &arguments);
    assert!(page.is_empty() && told.contains("no saved TLS sessions"), "{page}{told}");
}

#[test]
fn tls_client_does_not_trust_whom_the_system_does_not() {
    let files = Files::new("distrust");
    let server = Server::start("tls_server", &["--cert", &files.cert, "--key", &files.key]);
    let (page, told) = fetch(&server, 1, &[]);
    assert!(page.is_empty(), "{page}");
    assert!(told.contains("certificate"), "{told}");
}

#[test]
fn http_with_tls_serves_tls() {
    let files = Files::new("http");
    let pair = format!("{},{}", files.cert, files.key);
    let server = Server::start("http", &["--tls", &pair]);
    let (page, told) = fetch(&server, 1, &["--ca", &files.cert]);
    assert!(page.ends_with("Welcome to windlass.\n"), "{page}{told}");
}
