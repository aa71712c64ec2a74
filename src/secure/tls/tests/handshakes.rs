//! Handshakes that succeed: full and resumed, whole and in pieces.

use super::super::rustls_0_23::{self, rustls};
use super::super::{ClientTls, ServerTls, TlsTransformer};
use super::rig::{Authority, Cut, End, assert_open, shake, talk};

#[test]
fn a_full_handshake_opens_both_ends_and_describes_them() {
    let authority = Authority::new();
    let server = authority.server(&["example.com"]).build().unwrap();
    let (mut client, mut server) = shake(&authority.client(), "example.com", &server);
    assert_open(&mut client, &mut server);
    for end in [&client, &server] {
        let session = end.session();
        assert_eq!(session.version, "TLS 1.3");
        assert_eq!(session.cipher_suite, "TLS_AES_128_GCM_SHA256");
        assert_eq!(session.key_exchange, "X25519MLKEM768");
        assert!(!session.resumed && !session.early_data && session.alpn.is_none());
    }
    assert_eq!(client.session().peer_certificates.len(), 1);
    assert_eq!(client.session().server_name, None);
    assert!(server.session().peer_certificates.is_empty());
    assert_eq!(server.session().server_name.as_deref(), Some("example.com"));
}

#[test]
fn the_second_connection_resumes_the_first() {
    let authority = Authority::new();
    let server = authority.server(&["example.com"]).build().unwrap();
    let client = authority.client();
    let (mut first, mut peer) = shake(&client, "example.com", &server);
    assert_open(&mut first, &mut peer);
    let (mut second, mut peer) = shake(&client, "example.com", &server);
    assert_open(&mut second, &mut peer);
    assert!(second.session().resumed && peer.session().resumed);
    assert_eq!(peer.session().server_name.as_deref(), Some("example.com"));
    assert_eq!(second.session().peer_certificates, first.session().peer_certificates);
}

#[test]
fn a_handshake_may_come_in_pieces_of_any_size() {
    let authority = Authority::new();
    let server = authority.server(&["example.com"]).build().unwrap();
    let client = authority.client();
    for step in [1, 2, 3, 5, 17, 1000] {
        let (mut client, mut server) = (End::client(&client, "example.com"), End::server(&server));
        talk(&mut client, &mut server, Cut::Every(step));
        assert_open(&mut client, &mut server);
    }
}

#[test]
fn a_handshake_may_be_cut_at_every_byte() {
    let authority = Authority::new();
    let server = authority.server(&["example.com"]).build().unwrap();
    let client = authority.client();
    let (mut first, mut peer) = (End::client(&client, "example.com"), End::server(&server));
    let (from_client, from_server) = talk(&mut first, &mut peer, Cut::Whole);
    let step = crate::thorough::thorough(1, 7);
    for place in (0..from_client.len().max(from_server.len())).step_by(step) {
        let (mut client, mut server) = (End::client(&client, "example.com"), End::server(&server));
        talk(&mut client, &mut server, Cut::At(place));
        assert!(client.done && server.done, "at {place}: {:?} {:?}", client.failure, server.failure);
    }
}

#[test]
fn data_right_behind_the_handshake_is_not_lost() {
    let authority = Authority::new();
    let server = authority.server(&["example.com"]).build().unwrap();
    let (mut client, mut server) = (End::client(&authority.client(), "example.com"), End::server(&server));
    let hello = client.receive(&[]);
    let flight = server.receive(&hello);
    let mut finished = client.receive(&flight);
    assert!(client.done && !server.done);
    finished.extend(client.seal(b"first"));
    finished.extend(client.seal(b" and second"));
    finished.extend(client.finish());
    let mut tickets = server.receive(&finished);
    assert_eq!(server.data, b"first and second");
    assert!(server.finished, "{:?}", server.failure);
    tickets.extend(server.seal(b"answer"));
    tickets.extend(server.finish());
    client.receive(&tickets);
    assert_eq!(client.data, b"answer");
    assert!(
        client.finished && client.tls.end_of_stream(0).is_none() && server.tls.end_of_stream(0).is_none()
    );
}

/// A server that makes clients try again with another key share, and wants their certificates: the longest handshake
/// there is.
#[test]
fn the_longest_handshake_may_come_in_pieces_too() {
    let authority = Authority::new();
    let me = authority.issue(&["me"]);
    let client = ClientTls::builder().roots_pem(authority.pem()).identity_pem(&me.chain, &me.key);
    let client = client.sessions(None).build().unwrap();
    let server = stubborn_server(&authority);
    let cuts = [1, 2, 3, 7, 500].map(Cut::Every);
    for cut in [Cut::Whole].into_iter().chain(cuts) {
        let (mut client, mut server) = (End::client(&client, "example.com"), End::server(&server));
        let (from_client, _) = talk(&mut client, &mut server, cut);
        assert_open(&mut client, &mut server);
        assert_eq!(server.session().key_exchange, "secp384r1");
        assert_eq!(server.session().server_name.as_deref(), Some("example.com"));
        assert_eq!(server.session().peer_certificates.len(), 1);
        assert!(from_client.windows(4).filter(|window| window.starts_with(&[22, 3])).count() >= 2);
    }
}

fn stubborn_server(authority: &Authority) -> ServerTls {
    use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let leaf = authority.issue(&["example.com"]);
    let mut provider = default_provider();
    provider.kx_groups = vec![kx_group::SECP384R1];
    let provider = std::sync::Arc::new(provider);
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    let verifier =
        rustls::server::WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone()).build();
    let config = rustls::ServerConfig::builder_with_provider(provider);
    let config = config.with_safe_default_protocol_versions().unwrap();
    let config = config.with_client_cert_verifier(verifier.unwrap());
    let chain = vec![CertificateDer::from_pem_slice(leaf.chain.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(leaf.key.as_bytes()).unwrap();
    rustls_0_23::server(&config.with_single_cert(chain, key).unwrap().into()).unwrap()
}

#[test]
fn a_layer_is_small_while_it_waits_and_when_it_is_open() {
    assert!(size_of::<TlsTransformer>() <= 24, "{}", size_of::<TlsTransformer>());
}
