//! Keys and certificates as openssl writes them: every kind of key, in every kind of file, served by us and shown to us; pins.

use crate::certificates::Pair;
use crate::openssl;
use crate::ours::{self, Client, Server};
use crate::rig::{Folder, Tool, can_use};
use crate::thorough::thorough;
use windlass::error::Cause;
use windlass::tls::{ClientTls, ServerTls};
use windlass::{Connect, Listen};

/// How openssl is asked for a key, and what the file begins with.
const KEYS: [(&[&str], &str); 7] = [
    (&["genrsa", "-traditional", "2048"], "-----BEGIN RSA PRIVATE KEY-----"),
    (&["genrsa", "3072"], "-----BEGIN PRIVATE KEY-----"),
    (&["ecparam", "-genkey", "-name", "prime256v1"], "-----BEGIN EC PARAMETERS-----"),
    (&["ecparam", "-genkey", "-noout", "-name", "secp384r1"], "-----BEGIN EC PRIVATE KEY-----"),
    (&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"], "-----BEGIN PRIVATE KEY-----"),
    (&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"], "-----BEGIN PRIVATE KEY-----"),
    (&["genpkey", "-algorithm", "ed25519"], "-----BEGIN PRIVATE KEY-----"),
];

/// A key made so, and a certificate for `localhost` that it vouches for itself with; it stands in `ca.pem` as well.
fn make(folder: &Folder, command: &[&str], begins: &str) -> Pair {
    let key = folder.file("key.pem");
    Tool::start("openssl", &[&command[..1], &["-out", &key], &command[1..]].concat()).ends_well();
    let text = std::fs::read_to_string(&key).expect("a file");
    assert!(text.starts_with(begins), "{text}");
    let cert = folder.file("ca.pem");
    let mut request =
        vec!["req", "-x509", "-key", &key, "-out", &cert, "-days", "2", "-subj", "/CN=localhost"];
    request.extend([
        "-addext",
        "subjectAltName=DNS:localhost",
        "-addext",
        "basicConstraints=critical,CA:FALSE",
    ]);
    Tool::start("openssl", &request).ends_well();
    Pair { cert, key }
}

#[test]
fn keys_of_every_kind_are_served_by_us_and_by_s_server() {
    if !can_use("openssl") {
        return;
    }
    for (command, begins) in KEYS.into_iter().rev().take(thorough(KEYS.len(), 2)) {
        let folder = Folder::new();
        let pair = make(&folder, command, begins);
        let server = Server::start(Listen::tcp("127.0.0.1:0").tls(&ours::server_tls(&pair)));
        let mut client = openssl::client(&folder, server.address, &[]);
        client.says("\nNew, TLSv1.3");
        client.type_line("Q");
        assert!(client.ends_well().contains("Verification: OK"), "{command:?}");

        let (mut server, address) = openssl::server(&pair, &[]);
        let tls = ours::client_tls(&folder).build().expect("a root");
        let mut client = Client::connect(Connect::to(address).tls(&tls, "localhost"));
        client.send(format!("{command:?}\n").as_bytes());
        server.says(&format!("{command:?}"));
    }
}

/// What openssl makes unless it is told otherwise.
#[test]
fn a_certificate_marked_as_that_of_an_authority_is_refused_with_the_remedy() {
    if !can_use("openssl") {
        return;
    }
    let folder = Folder::new();
    let (cert, key) = (folder.file("ca.pem"), folder.file("key.pem"));
    let mut request = vec!["req", "-x509", "-newkey", "ed25519", "-nodes", "-keyout", &key, "-out", &cert];
    request.extend(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]);
    Tool::start("openssl", &request).ends_well();
    let (_server, address) = openssl::server(&Pair { cert, key }, &[]);
    let tls = ours::client_tls(&folder).build().expect("a root");
    let reason = Client::connect(Connect::to(address).tls(&tls, "localhost")).closed();
    assert_eq!(reason.cause(), Cause::CertificateInvalid);
    assert!(reason.to_string().contains("CA:FALSE"), "{reason}");
}

#[test]
fn files_that_will_not_do_are_refused_in_words() {
    if !can_use("openssl") {
        return;
    }
    let folder = Folder::new();
    let (command, begins) = KEYS[5];
    let pair = make(&folder, command, begins);
    let locked = folder.file("locked.pem");
    let lock = ["pkcs8", "-topk8", "-in", &pair.key, "-out", &locked, "-passout", "pass:secret"];
    Tool::start("openssl", &lock).ends_well();
    let binary = folder.file("key.der");
    Tool::start("openssl", &["pkey", "-in", &pair.key, "-outform", "DER", "-out", &binary]).ends_well();
    let nothing = folder.file("nothing.pem");
    for (cert, key, words) in [
        (
            &pair.cert,
            &locked,
            "locked.pem: PKCS#8, PKCS#1 and SEC1 in PEM are read; decrypt an encrypted one",
        ),
        (&pair.cert, &binary, "no private key in "),
        (&pair.cert, &pair.cert, "no private key in "),
        (&pair.key, &pair.key, "no certificate in "),
        (&nothing, &pair.key, "nothing.pem: No such file"),
    ] {
        let error = ServerTls::from_pem_files(cert, key).expect_err(words).to_string();
        assert!(error.contains(words), "{error}");
    }
}

/// The SHA-256 of a certificate's public key, by the commands that everybody makes pins with.
fn pin(folder: &Folder, cert: &str) -> [u8; 32] {
    let (public, der) = (folder.file("public.pem"), folder.file("public.der"));
    Tool::start("openssl", &["x509", "-in", cert, "-noout", "-pubkey", "-out", &public]).ends_well();
    Tool::start("openssl", &["pkey", "-pubin", "-in", &public, "-outform", "DER", "-out", &der]).ends_well();
    let said = Tool::start("openssl", &["dgst", "-sha256", "-r", &der]).ends_well();
    let byte = |at| u8::from_str_radix(&said[at..at + 2], 16).expect("hex");
    std::array::from_fn(|place| byte(place * 2))
}

#[test]
fn pins_made_with_openssl_are_held_to() {
    let Some((folder, authority, pair)) = openssl::prepared() else { return };
    let other = authority.write_server(&folder, "other", &["localhost"]);
    let (right, wrong) = (pin(&folder, &pair.cert), pin(&folder, &other.cert));
    let (_server, address) = openssl::server(&pair, &[]);
    let added = |pin| ours::client_tls(&folder).pin_sha256(pin).build().expect("an authority");
    for (tls, name, outcome) in [
        (added(right), "localhost", None),
        (added(wrong), "localhost", Some(Cause::KeyNotAllowed)),
        (added(right), "example.org", Some(Cause::CertificateName)),
        (ClientTls::pin_only([right]).expect("a pin"), "example.org", None),
        (ClientTls::pin_only([wrong]).expect("a pin"), "localhost", Some(Cause::KeyNotAllowed)),
    ] {
        let mut client = Client::connect(Connect::to(address).tls(&tls, name));
        match outcome {
            None => drop(client.opened()),
            Some(cause) => assert_eq!(client.closed().cause(), cause),
        }
    }
}
