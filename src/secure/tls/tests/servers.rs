//! What a server offers beyond a handshake: names, client certificates, reloads.

use super::super::{ClientTls, ServerTls, Wanted};
use super::rig::{Authority, Leaf, assert_open, shake};
use crate::error::{Cause, Error};
use std::path::PathBuf;

/// A client that trusts only this key: it opens if the key is shown, whatever the name.
fn shows(server: &ServerTls, name: &str, leaf: &Leaf) -> bool {
    let (client, _) = shake(&ClientTls::pin_only([leaf.pin]).unwrap(), name, server);
    client.done
}

#[test]
fn a_server_of_many_names_shows_the_certificate_asked_for() {
    let authority = Authority::new();
    let (first, second) = (authority.issue(&["a.example"]), authority.issue(&["b.example", "*.c.example"]));
    let third = authority.issue(&["whatever.example"]);
    let server = ServerTls::builder()
        .certificate_pem(&first.chain, &first.key)
        .certificate_pem(&second.chain, &second.key)
        .named_certificate_pem(["D.example", "*.e.example"], &third.chain, &third.key)
        .build()
        .unwrap();
    for (name, leaf) in [
        ("a.example", &first),
        ("b.example", &second),
        ("B.Example", &second),
        ("x.c.example", &second),
        ("c.example", &first),
        ("x.y.c.example", &first),
        ("d.example", &third),
        ("z.e.example", &third),
        ("whatever.example", &first),
        ("127.0.0.1", &first),
    ] {
        assert!(shows(&server, name, leaf), "{name}");
    }
}

#[test]
fn certificates_of_several_kinds_stand_side_by_side() {
    let authority = Authority::new();
    let ecdsa = authority.issue(&["example.com"]);
    let ed25519 = authority.issue_with(&["example.com"], &rcgen::PKCS_ED25519);
    let server = |leaves: [&Leaf; 2]| {
        let [first, second] = leaves;
        ServerTls::builder()
            .certificate_pem(&first.chain, &first.key)
            .certificate_pem(&second.chain, &second.key)
            .build()
            .unwrap()
    };
    assert!(shows(&server([&ecdsa, &ed25519]), "example.com", &ecdsa));
    assert!(shows(&server([&ed25519, &ecdsa]), "example.com", &ed25519));
}

/// A server that wants certificates of `authority`, and a client that has one.
fn mutual(authority: &Authority, resume: bool) -> (ServerTls, ClientTls) {
    let server = authority.server(&["example.com"]).client_roots_pem(authority.pem());
    let server = server.require_client_certificates();
    let server = if resume { server.resume_client_certificates() } else { server };
    (server.build().unwrap(), with_identity(authority, &authority.issue(&["me"])))
}

fn with_identity(authority: &Authority, leaf: &Leaf) -> ClientTls {
    let client = ClientTls::builder().roots_pem(authority.pem());
    client.identity_pem(&leaf.chain, &leaf.key).build().unwrap()
}

#[test]
fn a_client_with_a_certificate_is_known_and_its_session_not_resumed() {
    let authority = Authority::new();
    let (server, client) = mutual(&authority, false);
    for _ in 0..2 {
        let (mut open, mut peer) = shake(&client, "example.com", &server);
        assert_open(&mut open, &mut peer);
        assert!(!peer.session().resumed);
        assert_eq!(peer.session().peer_certificates.len(), 1);
    }
}

#[test]
fn a_resumed_client_is_known_by_the_certificate_it_showed_first() {
    let authority = Authority::new();
    let (server, client) = mutual(&authority, true);
    let (mut open, mut peer) = shake(&client, "example.com", &server);
    assert_open(&mut open, &mut peer);
    let (mut again, mut second) = shake(&client, "example.com", &server);
    assert_open(&mut again, &mut second);
    assert!(second.session().resumed);
    assert_eq!(second.session().peer_certificates, peer.session().peer_certificates);
}

#[test]
fn a_resumed_client_is_checked_again() {
    let authority = Authority::new();
    let me = authority.issue(&["me"]);
    let client = with_identity(&authority, &me);
    let asking = || {
        let server = authority.server(&["example.com"]).client_roots_pem(authority.pem());
        server.require_client_certificates().resume_client_certificates()
    };
    let server = asking().build().unwrap();
    let (mut open, mut peer) = shake(&client, "example.com", &server);
    assert_open(&mut open, &mut peer);
    server.replace(asking().client_crls_pem(authority.revoke(&[&me]))).unwrap();
    let (refused, peer) = shake(&client, "example.com", &server);
    assert_eq!(peer.failure().cause, Cause::CertificateRevoked);
    assert_eq!(refused.failure().cause, Cause::PeerRefused);
}

#[test]
fn a_session_without_certificate_opens_no_door_that_wants_one() {
    let authority = Authority::new();
    let server = authority.server(&["example.com"]).build().unwrap();
    let client = authority.client();
    let (mut open, mut peer) = shake(&client, "example.com", &server);
    assert_open(&mut open, &mut peer);
    let asking = authority.server(&["example.com"]).client_roots_pem(authority.pem());
    server.replace(asking.require_client_certificates().resume_client_certificates()).unwrap();
    let (_, peer) = shake(&client, "example.com", &server);
    assert_eq!(peer.failure().cause, Cause::CertificateMissing);
}

#[test]
fn certificates_of_a_session_from_before_mean_nothing_where_none_are_asked_for() {
    let authority = Authority::new();
    let (server, client) = mutual(&authority, true);
    let (mut open, mut peer) = shake(&client, "example.com", &server);
    assert_open(&mut open, &mut peer);
    server.replace(authority.server(&["example.com"])).unwrap();
    let (mut open, mut peer) = shake(&client, "example.com", &server);
    assert_open(&mut open, &mut peer);
    assert!(peer.session().resumed && peer.session().peer_certificates.is_empty());
}

#[test]
fn a_requested_certificate_may_be_missing_but_not_bad() {
    let authority = Authority::new();
    let server = authority.server(&["example.com"]).client_roots_pem(authority.pem());
    let server = server.request_client_certificates().build().unwrap();
    let (mut open, mut peer) = shake(&authority.client(), "example.com", &server);
    assert_open(&mut open, &mut peer);
    assert!(peer.session().peer_certificates.is_empty());
    let stranger = Authority::new().issue(&["me"]);
    let (_, peer) = shake(&with_identity(&authority, &stranger), "example.com", &server);
    assert_eq!(peer.failure().cause, Cause::CertificateUnknown);
}

/// Files of a certificate and its key, gone with the value.
struct Files {
    folder: PathBuf,
}

impl Files {
    fn new(name: &str) -> Files {
        let folder = std::env::temp_dir().join(format!("windlass-tls-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Files { folder }
    }

    fn chain(&self) -> PathBuf {
        self.folder.join("chain.pem")
    }

    fn key(&self) -> PathBuf {
        self.folder.join("key.pem")
    }

    fn write(&self, leaf: &Leaf) {
        std::fs::write(self.chain(), &leaf.chain).unwrap();
        std::fs::write(self.key(), &leaf.key).unwrap();
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn a_reload_takes_new_files_and_keeps_sessions() {
    let (authority, files) = (Authority::new(), Files::new("reload"));
    let (old, new) = (authority.issue(&["example.com"]), authority.issue(&["example.com"]));
    files.write(&old);
    let server = ServerTls::from_pem_files(files.chain(), files.key()).unwrap();
    let other_core = server.clone();
    let client = authority.client();
    let (mut open, mut peer) = shake(&client, "example.com", &server);
    assert_open(&mut open, &mut peer);
    files.write(&new);
    assert!(shows(&server, "example.com", &old), "nothing happens by itself");
    server.reload().unwrap();
    assert!(shows(&other_core, "example.com", &new) && !shows(&other_core, "example.com", &old));
    let (again, _) = shake(&client, "example.com", &other_core);
    assert!(again.session().resumed, "the ticket outlives the reload");
    assert_open(&mut open, &mut peer);
}

#[test]
fn a_half_written_pair_keeps_the_old_one() {
    let (authority, files) = (Authority::new(), Files::new("half-written"));
    let (old, new) = (authority.issue(&["example.com"]), authority.issue(&["example.com"]));
    files.write(&old);
    let server = ServerTls::from_pem_files(files.chain(), files.key()).unwrap();
    std::fs::write(files.chain(), &new.chain).unwrap();
    let error = server.reload().unwrap_err().to_string();
    assert!(error.contains("key.pem does not belong to the first certificate in"), "{error}");
    std::fs::write(files.key(), &new.key[..new.key.len() / 2]).unwrap();
    assert!(matches!(server.reload(), Err(Error::Config(_))));
    std::fs::remove_file(files.key()).unwrap();
    let error = server.reload().unwrap_err().to_string();
    assert!(error.contains("read the private key from") && error.contains("key.pem"), "{error}");
    assert!(shows(&server, "example.com", &old));
    files.write(&new);
    server.reload().unwrap();
    assert!(shows(&server, "example.com", &new));
}

#[test]
fn what_cannot_be_a_configuration_is_refused_with_a_remedy() {
    let authority = Authority::new();
    let (leaf, other) = (authority.issue(&["a"]), authority.issue(&["b"]));
    let config = |result: Result<ServerTls, Error>| match result {
        Err(Error::Config(sentence)) => sentence,
        other => panic!("{other:?}"),
    };
    let server = ServerTls::builder;
    assert!(config(server().build()).contains("give certificate_files"));
    assert!(config(ServerTls::from_pem("", &leaf.key)).contains("no certificate in the bytes given"));
    assert!(config(ServerTls::from_pem(&leaf.chain, "")).contains("no private key in the bytes given"));
    assert!(config(ServerTls::from_pem(&leaf.chain, &other.key)).contains("does not belong"));
    let cut = &leaf.chain[..leaf.chain.len() / 2];
    assert!(config(ServerTls::from_pem(cut, &leaf.key)).contains("not whole PEM"));
    let good = || server().certificate_pem(&leaf.chain, &leaf.key);
    assert!(config(good().require_client_certificates().build()).contains("give client_roots_file"));
    assert!(config(good().alpn([""]).build()).contains("1 to 255 bytes"));
    let week = std::time::Duration::from_secs(8 * 24 * 60 * 60);
    assert!(config(good().ticket_lifetime(week).build()).contains("7 days"));
    let named = server().named_certificate_pem(["not a name"], &leaf.chain, &leaf.key);
    assert!(config(named.build()).contains("'not a name' is no DNS name"));
    assert!(matches!(ServerTls::from_pem_files("/nowhere", "/nowhere"), Err(Error::Io { .. })));
    let client = ClientTls::pin_only([]).unwrap_err().to_string();
    assert!(client.contains("must trust somebody"), "{client}");
    let both = ClientTls::builder().pin_only([leaf.pin]).roots_pem(authority.pem()).build();
    assert!(both.unwrap_err().to_string().contains("checks no chain"));
    for name in ["", "exa mple.com", "example.com:443", "-"] {
        let error = Wanted::client(&authority.client(), name).unwrap_err().to_string();
        assert!(error.contains("is no name for TLS"), "{error}");
    }
}

#[test]
fn nothing_secret_is_printed() {
    let leaf = Authority::new().issue(&["example.com"]);
    let builder = ServerTls::builder().certificate_pem(&leaf.chain, &leaf.key);
    let secret = leaf.key.lines().nth(1).unwrap();
    let printed = format!("{builder:?} {:?}", builder.clone().build().unwrap());
    assert!(!printed.contains(secret) && printed.len() < 1000, "{printed}");
}
