//! Early data: taken once, from rustls as the client, and never twice.

use super::super::ServerTls;
use super::super::rustls_0_23::rustls;
use super::rig::{Authority, End};
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use std::io::{Read, Write};
use std::sync::Arc;

/// Stock rustls with early data allowed.
fn peer_config(authority: &Authority) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.enable_early_data = true;
    config.resumption = Resumption::in_memory_sessions(8);
    Arc::new(config)
}

fn peer(config: &Arc<ClientConfig>) -> ClientConnection {
    ClientConnection::new(config.clone(), ServerName::try_from("example.com").unwrap()).unwrap()
}

fn sent(peer: &mut ClientConnection) -> Vec<u8> {
    let mut bytes = Vec::new();
    while peer.wants_write() {
        peer.write_tls(&mut bytes).unwrap();
    }
    bytes
}

/// Gives the peer `bytes` and takes its answer.
fn answer(peer: &mut ClientConnection, mut bytes: &[u8]) -> Vec<u8> {
    while !bytes.is_empty() {
        peer.read_tls(&mut bytes).unwrap();
        peer.process_new_packets().unwrap();
    }
    sent(peer)
}

/// A first connection, which leaves the peer a ticket.
fn visit(config: &Arc<ClientConfig>, tls: &ServerTls) {
    let (mut peer, mut server) = (peer(config), End::server(tls));
    let flight = server.receive(&sent(&mut peer));
    let tickets = server.receive(&answer(&mut peer, &flight));
    answer(&mut peer, &tickets);
    assert!(server.done && !server.session().resumed);
}

/// Sends `early` before the handshake, then `late` after it.
fn return_with(
    config: &Arc<ClientConfig>,
    tls: &ServerTls,
    early: &[u8],
    late: &[u8],
) -> (End, Vec<u8>, bool) {
    let (mut peer, mut server) = (peer(config), End::server(tls));
    if let Some(mut writer) = peer.early_data() {
        writer.write_all(early).unwrap();
    }
    let first = sent(&mut peer);
    let flight = server.receive(&first);
    let before = server.early.len();
    assert!(!server.done && before == server.early.len());
    let rest = answer(&mut peer, &flight);
    let tickets = server.receive(&rest);
    answer(&mut peer, &tickets);
    peer.writer().write_all(late).unwrap();
    server.receive(&sent(&mut peer));
    let reply = server.seal(b"fine");
    answer(&mut peer, &reply);
    let mut heard = [0; 4];
    peer.reader().read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"fine");
    let accepted = peer.is_early_data_accepted();
    (server, first, accepted)
}

#[test]
fn early_data_is_taken_once_and_its_replay_is_not() {
    let authority = Authority::new();
    let tls = authority.server(&["example.com"]).early_data(4096).build().unwrap();
    let config = peer_config(&authority);
    visit(&config, &tls);
    let (server, first, accepted) = return_with(&config, &tls, b"early", b"late");
    assert!(accepted && server.session().early_data && server.session().resumed);
    assert_eq!((&server.early[..], &server.data[..]), (&b"early"[..], &b"late"[..]));

    let mut replayed = End::server(&tls);
    let flight = replayed.receive(&first);
    assert!(!flight.is_empty() && replayed.failure.is_none());
    assert!(replayed.early.is_empty(), "a session is given out once");
    let other_core = tls.clone();
    tls.reload().unwrap();
    let mut replayed = End::server(&other_core);
    replayed.receive(&first);
    assert!(replayed.early.is_empty(), "nor does a reload bring it back");
}

#[test]
fn refused_early_data_is_skipped_and_the_handshake_goes_on() {
    let authority = Authority::new();
    let tls = authority.server(&["example.com"]).early_data(16_384).build().unwrap();
    let config = peer_config(&authority);
    for bytes in [1, 9_000, 16_000] {
        visit(&config, &tls);
        let other = authority.server(&["example.com"]).early_data(16_384).build().unwrap();
        let (server, _, accepted) = return_with(&config, &other, &vec![b'x'; bytes], b"late");
        assert!(!accepted && !server.session().early_data && !server.session().resumed);
        assert_eq!((&server.early[..], &server.data[..]), (&b""[..], &b"late"[..]));
    }
}

#[test]
fn early_data_is_off_by_default() {
    let authority = Authority::new();
    let tls = authority.server(&["example.com"]).build().unwrap();
    let config = peer_config(&authority);
    visit(&config, &tls);
    let mut peer = peer(&config);
    assert!(peer.early_data().is_none());
    let mut server = End::server(&tls);
    let flight = server.receive(&sent(&mut peer));
    let rest = answer(&mut peer, &flight);
    server.receive(&rest);
    assert!(server.session().resumed && !server.session().early_data);
}

#[test]
fn early_data_beyond_its_bound_ends_the_connection() {
    let authority = Authority::new();
    let tls = authority.server(&["example.com"]).early_data(64).build().unwrap();
    let config = peer_config(&authority);
    visit(&config, &tls);
    let mut peer = peer(&config);
    let taken = peer.early_data().unwrap().write(&[b'x'; 1000]).unwrap();
    assert_eq!(taken, 64, "the ticket says how much may come");
}
