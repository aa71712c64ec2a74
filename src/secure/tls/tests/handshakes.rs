//! Handshakes that succeed: full and resumed, whole and in pieces.

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
    for place in 0..from_client.len().max(from_server.len()) {
        let (mut client, mut server) = (End::client(&client, "example.com"), End::server(&server));
        talk(&mut client, &mut server, Cut::At(place));
        assert!(client.done && server.done, "at {place}: {:?} {:?}", client.failure, server.failure);
    }
}
