//! A client's sessions, within a process and carried to the next.

use super::super::{ClientTls, ClientTlsBuilder, ServerTls, Sessions};
use super::rig::{Authority, Leaf, assert_open, shake};
use crate::error::Cause;

fn resumes(client: &ClientTls, name: &str, server: &ServerTls) -> bool {
    let (mut open, mut peer) = shake(client, name, server);
    assert_open(&mut open, &mut peer);
    assert_eq!(open.session().resumed, peer.session().resumed);
    open.session().resumed
}

fn keeping(sessions: &Sessions, builder: ClientTlsBuilder) -> ClientTls {
    builder.sessions(sessions.clone()).build().unwrap()
}

fn loaded(saved: &[u8]) -> Sessions {
    let sessions = Sessions::default();
    assert_eq!(sessions.load(saved).unwrap(), 1);
    sessions
}

#[test]
fn without_a_store_nothing_is_resumed() {
    let authority = Authority::new();
    let server = authority.server(&["example.com"]).build().unwrap();
    let client = ClientTls::builder().roots_pem(authority.pem()).sessions(None).build().unwrap();
    assert!(!resumes(&client, "example.com", &server) && !resumes(&client, "example.com", &server));
}

#[test]
fn a_full_store_forgets_the_server_that_came_first() {
    let authority = Authority::new();
    let server = authority.server(&["a.example", "b.example", "c.example"]).build().unwrap();
    let client = keeping(&Sessions::new(2), ClientTls::builder().roots_pem(authority.pem()));
    for name in ["a.example", "b.example", "c.example"] {
        assert!(!resumes(&client, name, &server));
    }
    assert!(resumes(&client, "b.example", &server) && resumes(&client, "c.example", &server));
    assert!(!resumes(&client, "a.example", &server));
    let none = keeping(&Sessions::new(0), ClientTls::builder().roots_pem(authority.pem()));
    assert!(!resumes(&none, "a.example", &server) && !resumes(&none, "a.example", &server));
}

#[test]
fn a_saved_session_is_resumed_by_another_client() {
    let authority = Authority::new();
    let server = authority.server(&["example.com"]).build().unwrap();
    let trusting = || ClientTls::builder().roots_pem(authority.pem()).alpn(["h2"]);
    let before = Sessions::default();
    let first = keeping(&before, trusting());
    let (mut open, mut peer) = shake(&first, "example.com", &server);
    assert_open(&mut open, &mut peer);
    let saved = before.save();
    let after = loaded(&saved);
    assert_eq!(after.save(), saved, "what was not used yet is saved again");
    let second = keeping(&after, trusting());
    let (mut again, mut peer) = shake(&second, "example.com", &server);
    assert_open(&mut again, &mut peer);
    assert!(again.session().resumed && peer.session().resumed);
    assert_eq!(again.session().peer_certificates, open.session().peer_certificates);
    assert!(resumes(&second, "example.com", &server), "and its own sessions from then on");
}

#[test]
fn sessions_of_every_suite_survive() {
    use super::super::rustls_0_23::{self, rustls};
    use rustls::crypto::aws_lc_rs::default_provider;
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let authority = Authority::new();
    let leaf = authority.issue(&["example.com"]);
    for suite in default_provider().cipher_suites.into_iter().filter(|suite| suite.tls13().is_some()) {
        let mut provider = default_provider();
        provider.cipher_suites = vec![suite];
        let chain = vec![CertificateDer::from_pem_slice(leaf.chain.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(leaf.key.as_bytes()).unwrap();
        let config = rustls::ServerConfig::builder_with_provider(provider.into());
        let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let mut config = config.with_single_cert(chain, key).unwrap();
        config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().unwrap();
        config.send_tls13_tickets = 1;
        let server = rustls_0_23::server(&config.into()).unwrap();
        let trusting = || ClientTls::builder().roots_pem(authority.pem());
        let before = Sessions::default();
        assert!(!resumes(&keeping(&before, trusting()), "example.com", &server));
        let after = loaded(&before.save());
        assert!(resumes(&keeping(&after, trusting()), "example.com", &server), "{suite:?}");
    }
}

/// A server with `leaf`, and a session with it as bytes.
fn saved_with(authority: &Authority, leaf: &Leaf) -> (ServerTls, Vec<u8>) {
    let server = ServerTls::from_pem(&leaf.chain, &leaf.key).unwrap();
    let sessions = Sessions::default();
    let client = keeping(&sessions, ClientTls::builder().roots_pem(authority.pem()));
    let (mut open, mut peer) = shake(&client, "example.com", &server);
    assert_open(&mut open, &mut peer);
    (server, sessions.save())
}

#[test]
fn a_saved_session_opens_no_door_that_is_shut_now() {
    let authority = Authority::new();
    let leaf = authority.issue(&["example.com"]);
    let (server, saved) = saved_with(&authority, &leaf);
    let trusting = || ClientTls::builder().roots_pem(authority.pem());
    assert!(resumes(&keeping(&loaded(&saved), trusting()), "example.com", &server));
    for (changed, cause) in [
        (ClientTls::builder().roots_pem(Authority::new().pem()), Cause::CertificateUnknown),
        (trusting().crls_pem(authority.revoke(&[&leaf])), Cause::CertificateRevoked),
        (trusting().pin_sha256([7; 32]), Cause::KeyNotAllowed),
    ] {
        let (refused, _) = shake(&keeping(&loaded(&saved), changed), "example.com", &server);
        assert_eq!(refused.failure().cause, cause);
    }
    let me = authority.issue(&["me"]);
    let another = trusting().identity_pem(&me.chain, &me.key);
    assert!(!resumes(&keeping(&loaded(&saved), another), "example.com", &server), "it was somebody else's");
}

#[test]
fn a_saved_session_whose_key_was_altered_is_no_session() {
    let authority = Authority::new();
    let (server, saved) = saved_with(&authority, &authority.issue(&["example.com"]));
    // The name with its length, suite and time stand before the key and its length.
    let key = "windlass TLS sessions 1\n".len() + 4 + "example.com".len() + 2 + 8 + 4;
    let mut altered = saved;
    altered[key] ^= 1;
    let client = keeping(&loaded(&altered), ClientTls::builder().roots_pem(authority.pem()));
    let (refused, peer) = shake(&client, "example.com", &server);
    assert_eq!(peer.failure().cause, Cause::Tampered, "the binder is wrong");
    assert_eq!(refused.failure().cause, Cause::PeerRefused);
}

#[test]
fn what_is_no_saved_sessions_is_refused_whole() {
    let authority = Authority::new();
    let (_, saved) = saved_with(&authority, &authority.issue(&["example.com"]));
    let sessions = Sessions::default();
    let empty = sessions.save();
    assert_eq!(sessions.load(&empty).unwrap(), 0);
    for cut in (0..saved.len()).filter(|cut| *cut != empty.len()) {
        let error = sessions.load(&saved[..cut]).unwrap_err().to_string();
        assert!(error.contains("no saved TLS sessions"), "{error}");
    }
    let more = [&saved[..], b"x"].concat();
    assert!(sessions.load(&more).is_err());
    assert_eq!(sessions.save(), empty, "nothing was taken");
}
