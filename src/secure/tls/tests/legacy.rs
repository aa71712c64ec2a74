//! TLS 1.2, where it is allowed, and TLS 1.3 beside it.

use super::super::rustls_0_23::{self, rustls};
use super::super::{ClientTls, ServerTls};
use super::rig::{Authority, Cut, End, assert_open, shake, talk};
use crate::error::Cause;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;

/// A client that has nothing newer.
fn old_client(authority: &Authority) -> ClientTls {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let config = config.with_protocol_versions(&[&rustls::version::TLS12]).unwrap();
    rustls_0_23::client(&Arc::new(config.with_root_certificates(roots).with_no_client_auth())).unwrap()
}

fn willing_server(authority: &Authority) -> ServerTls {
    authority.server(&["example.com"]).tls12().build().unwrap()
}

#[test]
fn an_old_client_is_served_where_that_is_allowed() {
    let authority = Authority::new();
    let (client, server) = (old_client(&authority), willing_server(&authority));
    for cut in [Cut::Whole, Cut::Every(1)] {
        let (mut client, mut server) = (End::client(&client, "example.com"), End::server(&server));
        talk(&mut client, &mut server, cut);
        assert_open(&mut client, &mut server);
        for end in [&client, &server] {
            assert_eq!(end.session().version, "TLS 1.2");
            assert_eq!(end.session().cipher_suite, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384");
        }
        let much = vec![7; 100_000];
        let sealed = client.seal(&much);
        for part in sealed.chunks(1000) {
            server.receive(part);
        }
        assert!(server.data.ends_with(&much));
        assert_eq!(server.tls.end_of_stream(0).map(|failure| failure.cause), Some(Cause::Truncated));
        let end = client.finish();
        server.receive(&end);
        assert!(server.finished && server.tls.end_of_stream(0).is_none());
        let reply = server.seal(b"half closed");
        client.receive(&reply);
        assert!(client.data.ends_with(b"half closed"));
        assert!(client.finish().is_empty(), "only once");
    }
}

#[test]
fn an_old_session_is_resumed() {
    let authority = Authority::new();
    let (client, server) = (old_client(&authority), willing_server(&authority));
    let (mut first, mut peer) = shake(&client, "example.com", &server);
    assert_open(&mut first, &mut peer);
    let (mut second, mut peer) = shake(&client, "example.com", &server);
    assert_open(&mut second, &mut peer);
    assert!(second.session().resumed && peer.session().resumed);
}

#[test]
fn an_old_client_is_refused_where_it_is_not_allowed() {
    let authority = Authority::new();
    let server = authority.server(&["example.com"]).build().unwrap();
    let (client, server) = shake(&old_client(&authority), "example.com", &server);
    assert_eq!(client.failure().cause, Cause::NothingInCommon);
    assert_eq!(server.failure().cause, Cause::NothingInCommon);
}

#[test]
fn the_newer_version_is_chosen_where_both_have_both_and_a_downgrade_is_seen() {
    let authority = Authority::new();
    let client = ClientTls::builder().roots_pem(authority.pem()).tls12().build().unwrap();
    let server = willing_server(&authority);
    let (mut open, mut peer) = shake(&client, "example.com", &server);
    assert_open(&mut open, &mut peer);
    assert_eq!(peer.session().version, "TLS 1.3");

    let (mut client, mut server) = (End::client(&client, "example.com"), End::server(&server));
    let mut hello = client.receive(&[]);
    let versions = [0, 43, 0, 5, 4, 3, 4, 3, 3];
    let place = hello.windows(versions.len()).position(|window| window == versions).unwrap();
    hello[place + 1] = 0xfe;
    let answer = server.receive(&hello);
    assert!(!answer.is_empty() && server.failure.is_none(), "an unknown extension: the client seems old");
    client.receive(&answer);
    assert_eq!(client.failure().cause, Cause::Tampered, "{:?}", client.failure);
}

#[test]
fn a_tampered_old_record_is_found() {
    let authority = Authority::new();
    let (mut client, mut server) = shake(&old_client(&authority), "example.com", &willing_server(&authority));
    let mut sealed = client.seal(b"pay him 10");
    sealed[20] ^= 1;
    let alert = server.receive(&sealed);
    assert_eq!(server.failure().cause, Cause::Tampered);
    client.receive(&alert);
    assert_eq!(client.failure().cause, Cause::PeerRefused);
}
