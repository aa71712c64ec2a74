//! Secured connections from end to end: both halves of the command against each other, and against servers that are not
//! ours.

use crate::rig::{Ended, Live, QUICK, Scratch, ended};
use crate::slow::left_out;
use crate::thorough::thorough;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use windlass::load::Run;
use windlass::load::record::{Mode, Outcome};

/// A server of our own, and what it says it is known by.
struct Serve {
    live: Live,
    address: String,
    public_key: Option<String>,
    pin: Option<String>,
}

impl Serve {
    /// Starts it and reads so many lines.
    fn start(lines: usize, words: &[&str]) -> Serve {
        let mut live = Live::start([&["serve", "--drain", "1"], words].concat());
        let said: Vec<String> = (0..lines).map(|_| live.line().trim_end().to_owned()).collect();
        let after = |mark: &str| said.iter().find_map(|line| line.strip_prefix(mark)).map(ToOwned::to_owned);
        let address = after("listening on ").unwrap_or_else(|| panic!("no address in {said:?}"));
        Serve { address, public_key: after("public key "), pin: after("pin "), live }
    }

    fn over(transport: &str) -> Serve {
        let lines = 1 + usize::from(transport.contains("noise")) + usize::from(transport.contains("tls"));
        Serve::start(lines, &["--transport", transport])
    }

    /// The flags by which a client knows it.
    fn known(&self) -> Vec<String> {
        let key = self.public_key.iter().flat_map(|key| ["--noise-peer".to_owned(), key.clone()]);
        let pin = self.pin.iter().flat_map(|pin| ["--server-pin".to_owned(), pin.clone()]);
        key.chain(pin).collect()
    }

    /// Ends it as an operator would, and it ends well.
    fn end(self) -> Ended {
        self.live.signal("TERM");
        self.live.wait().expect(0)
    }
}

/// A short run against `target`.
fn load(target: &str, words: &[&str]) -> Ended {
    ended([&["load", target], &QUICK[..], words].concat())
}

/// The same, of which only the record counts.
#[track_caller]
fn record(target: &str, words: &[&str]) -> Run {
    good(&load(target, &[words, &["--json"]].concat()).expect(0))
}

#[track_caller]
fn good(ended: &Ended) -> Run {
    let run = ended.run();
    assert_eq!((run.outcome, run.totals.failed()), (Outcome::Complete, 0), "{:?}", run.failures);
    assert!(run.totals.answered > 0);
    run
}

fn borrowed(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

/// A certificate authority, and a certificate of it for `localhost`, as files.
struct Certificates {
    scratch: Scratch,
}

impl Certificates {
    fn new() -> Certificates {
        let certificates = Certificates { scratch: Scratch::new() };
        certificates.renew();
        certificates
    }

    /// Makes all of it anew: what was trusted before is not trusted any more.
    fn renew(&self) {
        let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        authority.distinguished_name.push(rcgen::DnType::CommonName, "windlass test authority");
        let ca_key = rcgen::KeyPair::generate().unwrap();
        let ca = authority.self_signed(&ca_key).unwrap();
        let issuer = rcgen::Issuer::from_params(&authority, &ca_key);
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let key = rcgen::KeyPair::generate().unwrap();
        let cert = rcgen::CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
        let files = [("ca.pem", ca.pem()), ("cert.pem", cert.pem()), ("key.pem", key.serialize_pem())];
        for (name, text) in files {
            std::fs::write(self.file(name), text).unwrap();
        }
    }

    fn file(&self, name: &str) -> String {
        self.scratch.join(name)
    }
}

#[test]
fn the_server_within_is_measured_over_every_transport() {
    let all = ["tls+noise", "tcp", "unix", "tls", "noise"];
    for transport in all.into_iter().take(thorough(5, 1)) {
        let words = ["bench", "--transport", transport, "--json"];
        let run = ended([&words, &QUICK[..]].concat()).expect(0).run();
        assert_eq!((run.target.transport.as_str(), run.totals.failed()), (transport, 0));
        assert!(run.totals.answered > 0, "{transport}");
        let secured = !["tcp", "unix"].contains(&transport);
        assert_eq!((run.security.is_some(), run.handshake.is_some()), (secured, secured), "{transport}");
        let Some(security) = run.security else { continue };
        assert_eq!((security.full, security.resumed, security.agreed.len()), (2, 0, 1));
        let agreed = &security.agreed[0];
        let tls = transport.contains("tls").then_some("TLS 1.3");
        let noise = transport.contains("noise").then_some("Noise_XK_25519_AESGCM_SHA256");
        assert_eq!((agreed.tls_version.as_deref(), agreed.noise_protocol.as_deref()), (tls, noise));
    }
}

#[test]
fn both_halves_find_each_other_by_what_the_server_prints() {
    for transport in ["tls+noise", "tls", "noise"].into_iter().take(thorough(3, 1)) {
        let server = Serve::over(transport);
        let known = server.known();
        let run = record(&server.address, &[&["--transport", transport], &borrowed(&known)[..]].concat());
        assert_eq!(run.target.transport, transport);
        server.end();
    }
    // The key is the second line, whatever else is said.
    let mut server = Live::start(["serve", "--transport", "tls+noise"]);
    assert!(server.line().starts_with("listening on "));
    assert!(server.line().starts_with("public key "));
    assert!(server.line().starts_with("pin "));
    server.signal("TERM");
    server.wait().expect(0);
}

#[test]
fn a_socket_file_is_secured_like_any_other_address() {
    if left_out() {
        return;
    }
    let scratch = Scratch::new();
    let path = format!("unix:{}", scratch.join("echo.sock"));
    let server = Serve::start(3, &["--transport", "tls+noise", "--listen", &path]);
    let known = server.known();
    let words = [&["--transport", "tls+noise"], &borrowed(&known)[..]].concat();
    assert_eq!(record(&path, &words).target.transport, "unix+tls+noise");
    server.end();
    let plain = scratch.join("plain.sock");
    let server = Serve::start(1, &["--transport", "unix", "--listen", &plain]);
    assert_eq!(record(&plain, &["--transport", "unix"]).target.transport, "unix");
    server.end();
}

#[test]
fn every_pattern_of_noise_has_its_flags() {
    if left_out() {
        return;
    }
    let scratch = Scratch::new();
    let psk = scratch.join("psk");
    std::fs::write(&psk, "0123456789abcdef".repeat(4) + "\n").unwrap();
    for (pattern, lines, more) in [
        ("Noise_XX_25519_ChaChaPoly_SHA512", 2, &[][..]),
        ("Noise_IK_25519_AESGCM_BLAKE2b", 2, &["--noise-rekey", "50"]),
        ("Noise_NK_25519_ChaChaPoly_BLAKE2s", 2, &["--noise-prologue", "other/2"]),
        ("Noise_NN_25519_AESGCM_SHA256", 1, &["--noise-rekey", "off"]),
        ("Noise_XKpsk3_25519_AESGCM_SHA256", 2, &["--noise-psk", &psk]),
    ] {
        let both = [&["--transport", "noise", "--noise-pattern", pattern], more].concat();
        let server = Serve::start(lines, &both);
        let known = server.known();
        let run = record(&server.address, &[&both[..], &borrowed(&known)[..]].concat());
        let agreed = &run.security.expect("it was secured").agreed[0];
        assert_eq!(agreed.noise_protocol.as_deref(), Some(pattern));
        server.end();
    }
    // Here each must know the other beforehand, which only the server within can arrange by itself.
    let words = ["bench", "--transport", "noise", "--noise-pattern", "Noise_KK_25519_AESGCM_SHA256"];
    ended([&words, &QUICK[..]].concat()).expect(0).says("Noise_KK_25519_AESGCM_SHA256");
}

#[test]
fn keys_from_files_are_who_one_is() {
    if left_out() {
        return;
    }
    let scratch = Scratch::new();
    let (server_key, client_key) = (scratch.join("server.key"), scratch.join("client.key"));
    std::fs::write(&server_key, "11".repeat(32)).unwrap();
    std::fs::write(&client_key, "22".repeat(32)).unwrap();
    let noise = ["--transport", "noise"];
    let first = Serve::start(2, &[&noise[..], &["--noise-key", &server_key]].concat());
    let key = first.public_key.clone().expect("it has a key");
    first.end();
    // Only one client is welcome: the one whose public key this is.
    let probe = Serve::start(2, &[&noise[..], &["--noise-key", &client_key]].concat());
    let welcome = probe.public_key.clone().unwrap();
    probe.end();
    let words = [&noise[..], &["--noise-key", &server_key, "--noise-peer", &welcome]].concat();
    let server = Serve::start(2, &words);
    assert_eq!(server.public_key.as_ref(), Some(&key), "a key in a file is the same each time");
    let known = [&noise[..], &["--noise-peer", &key]].concat();
    record(&server.address, &[&known[..], &["--noise-key", &client_key]].concat());
    load(&server.address, &known).expect(1).says("FAIL");
    server.end();
}

#[test]
fn certificates_from_files_are_checked_against_their_authority() {
    if left_out() {
        return;
    }
    let certificates = Certificates::new();
    let [ca, cert, key] = ["ca.pem", "cert.pem", "key.pem"].map(|name| certificates.file(name));
    let server = Serve::start(2, &["--transport", "tls", "--cert", &cert, "--key", &key]);
    let port = server.address.rsplit(':').next().unwrap();
    let tls = ["--transport", "tls"];
    record(&format!("localhost:{port}"), &[&tls[..], &["--ca", &ca]].concat());
    record(&server.address, &[&tls[..], &["--ca", &ca]].concat());
    record(&server.address, &[&tls[..], &["--ca", &ca, "--server-name", "localhost"]].concat());
    let known = server.known();
    record(&server.address, &[&tls[..], &borrowed(&known)[..]].concat());

    let wrong_name = [&tls[..], &["--ca", &ca, "--server-name", "elsewhere.example"]].concat();
    load(&server.address, &wrong_name).expect(1).says("FAIL").says("cannot connect").says("name");
    load(&server.address, &tls).expect(1).says("FAIL").says("nobody trusted");
    let wrong_pin = "0".repeat(64);
    load(&server.address, &[&tls[..], &["--server-pin", &wrong_pin]].concat())
        .expect(1)
        .says("which is not pinned");
    server.end();
}

#[test]
fn a_hangup_reads_the_certificate_again_and_open_connections_go_on() {
    if left_out() {
        return;
    }
    let certificates = Certificates::new();
    let [ca, cert, key] = ["ca.pem", "cert.pem", "key.pem"].map(|name| certificates.file(name));
    let mut server = Serve::start(2, &["--transport", "tls", "--cert", &cert, "--key", &key]);
    let words = ["--transport", "tls", "--ca", &ca];
    record(&server.address, &words);
    let flags = ["--rate", "100", "-c", "1", "--duration", "60s", "--warm-up", "0", "--interval", "50ms"];
    let long = [&["load", &server.address, "--json-stream"], &words[..], &flags].concat();
    let mut open = Live::start(long);
    open.line();

    certificates.renew();
    // The old authority is gone from the file, so the old certificate does not do any more: the new one is awaited.
    server.live.signal("HUP");
    assert!(server.live.error_line().contains("read the certificate again"));
    record(&server.address, &words);
    std::fs::write(&key, "half a ke").unwrap();
    server.live.signal("HUP");
    assert!(server.live.error_line().contains("stays as it was"));
    record(&server.address, &words);

    let line = open.line();
    assert!(line.contains("\"failed\":0"), "{line}");
    open.signal("INT");
    let ended = open.wait().expect(130);
    let run: Run =
        serde_json::from_str(ended.stdout.lines().last().unwrap()).expect("the last line is the run");
    assert_eq!((run.totals.connected, run.totals.failed()), (1, 0), "its connection was never disturbed");
    server.end();
}

#[test]
fn what_the_two_ends_do_not_share_is_told() {
    if left_out() {
        return;
    }
    let noise = ["--transport", "noise"];
    let server = Serve::over("noise");
    let key = server.public_key.clone().unwrap();
    let other = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a";
    for words in [
        &["--noise-peer", other][..],
        &["--noise-peer", &key, "--noise-prologue", "windlass/2"],
        &["--noise-peer", &key, "--noise-pattern", "Noise_XK_25519_ChaChaPoly_SHA256"],
    ] {
        load(&server.address, &[&noise[..], words].concat()).expect(1).says("FAIL").says("cannot connect");
    }
    server.end();
    // TLS to a server that has none, and the other way round.
    let plain = Serve::over("tcp");
    load(&plain.address, &["--transport", "tls", "--server-pin", &"0".repeat(64)]).expect(1).says("FAIL");
    plain.end();
    let tls = Serve::over("tls");
    load(&tls.address, &[]).expect(1).says("FAIL");
    tls.end();
}

#[test]
fn handshakes_are_full_ones_or_resumed_ones_as_asked() {
    if left_out() {
        return;
    }
    let server = Serve::over("tls");
    let known = server.known();
    let words = [&["--transport", "tls", "--mode", "handshake"], &borrowed(&known)[..]].concat();
    let full = record(&server.address, &words);
    assert_eq!((full.workload.mode, full.workload.size_bytes.as_str()), (Mode::Handshakes, "1"));
    let security = full.security.unwrap();
    assert_eq!((security.full, security.resumed), (full.totals.asked, 0));
    assert_eq!(full.handshake.unwrap().histogram.count(), full.totals.asked);
    assert!(full.handshake_resumed.is_none());

    let resumed = record(&server.address, &[&words[..], &["--resume"]].concat());
    let security = resumed.security.unwrap();
    assert_eq!(security.full + security.resumed, resumed.totals.asked);
    assert!(security.resumed_fraction() > 0.9, "{security:?}");
    assert_eq!(resumed.handshake_resumed.unwrap().histogram.count(), security.resumed);
    // Each request had a connection of its own, those of the warm-up and the first looks included.
    assert!(resumed.totals.connected > resumed.totals.asked);
    server.end();
}

#[test]
fn handshakes_of_every_transport_are_counted() {
    if left_out() {
        return;
    }
    for transport in ["tcp", "unix", "noise", "tls+noise"] {
        let words = ["bench", "--mode", "handshake", "--transport", transport];
        let run = ended([&words[..], &["--json"], &QUICK].concat()).expect(0).run();
        assert!(run.totals.answered > 0 && run.totals.failed() == 0, "{transport}: {:?}", run.failures);
        assert_eq!(run.connect.histogram.count(), run.totals.asked, "{transport}");
    }
    let words = ["bench", "--mode", "handshake", "--transport", "tls"];
    ended([&words, &QUICK[..]].concat()).expect(0).says("handshakes at ").says("sessions").says("--resume");
}

#[test]
fn messages_resume_what_was_replaced_only_if_asked_to() {
    if left_out() {
        return;
    }
    let server = Serve::over("tls");
    let known = server.known();
    let words = [&["--transport", "tls", "--reconnect-every", "5"], &borrowed(&known)[..]].concat();
    let full = record(&server.address, &words).security.unwrap();
    assert!(full.full > 2 && full.resumed == 0, "{full:?}");
    let resumed = record(&server.address, &[&words[..], &["--resume"]].concat()).security.unwrap();
    assert!(resumed.resumed > 0, "{resumed:?}");
    server.end();
}

#[test]
fn a_secured_server_is_profiled_with_connections_that_shook_hands() {
    if left_out() {
        return;
    }
    for transport in ["unix", "tls", "noise"] {
        let words = ["--transport", transport, "--json", "--profile", "all", "-c", "3"];
        let times = ["--duration", "300ms", "--interval", "50ms", "--warm-up", "50ms"];
        let run = ended([&["bench", "--rate", "max"], &words[..], &times[..]].concat()).expect(0).run();
        let steps: Vec<_> = run.resources.iter().map(|row| row.profile.as_str()).collect();
        assert_eq!(steps, ["idle", "1000", "10000"], "{transport}");
    }
}

// ---- servers that are not ours

/// A process that ends with the test.
struct Foreign(Child);

impl Drop for Foreign {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Starts a server and waits until it takes connections; `None`, and a word about it, where it is not installed.
fn foreign(port: u16, program: &str, words: &[&str]) -> Option<Foreign> {
    let null = Stdio::null;
    let started = Command::new(program).args(words).stdin(null()).stdout(null()).stderr(null()).spawn();
    let Ok(child) = started else {
        assert!(std::env::var_os("CI").is_none(), "{program} is not installed, and in CI nothing is skipped");
        eprintln!("skipped: {program} is not installed");
        return None;
    };
    let mut server = Foreign(child);
    loop {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Some(server);
        }
        if server.0.try_wait().expect("it was started").is_some() {
            eprintln!("skipped: this {program} cannot do {words:?}");
            return None;
        }
        std::thread::yield_now();
    }
}

#[test]
fn pages_come_over_https_from_openssl() {
    if left_out() {
        return;
    }
    let (certificates, port) = (Certificates::new(), free_port());
    let [ca, cert, key] = ["ca.pem", "cert.pem", "key.pem"].map(|name| certificates.file(name));
    let accept = format!("127.0.0.1:{port}");
    let words = ["s_server", "-accept", &accept, "-cert", &cert, "-key", &key, "-www", "-alpn", "http/1.1"];
    let Some(_server) = foreign(port, "openssl", &words) else { return };
    // It serves one connection at a time, and closes it after each page.
    let url = format!("https://localhost:{port}/");
    let words = ["load", &url, "--ca", &ca, "-c", "1", "--rate", "max", "--json", "--duration", "200ms"];
    for mode in ["messages", "handshake"] {
        let run = good(&ended([&words[..], &["--warm-up", "0", "--mode", mode]].concat()).expect(0));
        assert_eq!((run.target.transport.as_str(), run.target.protocol.as_str()), ("tls", "http"));
        let agreed = &run.security.unwrap().agreed[0];
        assert_eq!(agreed.alpn.as_deref(), Some("http/1.1"));
    }
}

#[test]
fn pages_come_over_https_from_nginx_and_sessions_are_resumed() {
    if left_out() {
        return;
    }
    let (certificates, port) = (Certificates::new(), free_port());
    let [ca, cert, key, conf] = ["ca.pem", "cert.pem", "key.pem", "conf"].map(|name| certificates.file(name));
    let dir = certificates.scratch.path().display();
    let text = format!(
        "daemon off; master_process off; pid {dir}/pid; error_log /dev/null; events {{}} http {{ access_log off; client_body_temp_path {dir}; \
         proxy_temp_path {dir}; fastcgi_temp_path {dir}; uwsgi_temp_path {dir}; scgi_temp_path {dir}; \
         server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {cert}; ssl_certificate_key {key}; \
         ssl_protocols TLSv1.3; return 200 hello; }} }}"
    );
    std::fs::write(&conf, text).unwrap();
    let Some(_server) = foreign(port, "nginx", &["-c", &conf, "-p", &certificates.file("")]) else { return };
    let url = format!("https://localhost:{port}/");
    record(&url, &["--ca", &ca]);
    let run = record(&url, &["--ca", &ca, "--mode", "handshake", "--resume"]);
    assert!(run.security.unwrap().resumed > 0);
    load(&url, &[]).expect(1).says("FAIL");
}

#[test]
fn redis_is_reached_over_tls() {
    if left_out() {
        return;
    }
    let (certificates, port) = (Certificates::new(), free_port());
    let [ca, cert, key] = ["ca.pem", "cert.pem", "key.pem"].map(|name| certificates.file(name));
    let tls_port = port.to_string();
    let dir = certificates.file("");
    let words = [
        "--port",
        "0",
        "--tls-port",
        &tls_port,
        "--tls-auth-clients",
        "optional",
        "--save",
        "",
        "--dir",
        &dir,
    ];
    let files = ["--tls-cert-file", &cert, "--tls-key-file", &key, "--tls-ca-cert-file", &ca];
    let Some(_server) = foreign(port, "redis-server", &[&words[..], &files].concat()) else { return };
    let run = record(&format!("rediss://localhost:{port}"), &["--ca", &ca]);
    assert_eq!((run.target.transport.as_str(), run.target.protocol.as_str()), ("tls", "redis"));
    // And with a certificate of the client's.
    record(&format!("rediss://localhost:{port}"), &["--ca", &ca, "--cert", &cert, "--key", &key]);
}
