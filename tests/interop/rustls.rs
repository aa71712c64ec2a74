//! A server on rustls' own connections and blocking sockets, which is gone at a moment that no other program can be
//! made to keep to: before we have read what it said last.

use crate::certificates::{Authority, Pair};
use crate::ours::{self, Client};
use crate::rig::Folder;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection};
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use windlass::error::Cause;
use windlass::{Address, Connect};

/// A connection of rustls with this certificate.
fn connection(pair: &Pair) -> ServerConnection {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider).with_protocol_versions(&[&rustls::version::TLS13]);
    let chain = CertificateDer::pem_file_iter(&pair.cert).expect("a file").map(|cert| cert.expect("PEM"));
    let key = PrivateKeyDer::from_pem_file(&pair.key).expect("a key");
    let config = builder.expect("TLS 1.3").with_no_client_auth().with_single_cert(chain.collect(), key);
    ServerConnection::new(Arc::new(config.expect("a pair"))).expect("a connection")
}

/// Serves one connection on a Unix socket, where the kernel tells a writer at once that nobody reads any more. The
/// receiver hears when the server is gone.
fn serve(
    folder: &Folder,
    pair: &Pair,
    act: impl FnOnce(ServerConnection, UnixStream) + Send + 'static,
) -> (Address, Receiver<()>) {
    let path = folder.path().join("socket");
    let listener = UnixListener::bind(&path).expect("a path that is free");
    let connection = connection(pair);
    let (gone, hears) = channel();
    thread::spawn(move || {
        let (stream, _) = listener.accept().expect("we connect");
        act(connection, stream);
        // The test may have given up.
        let _ = gone.send(());
    });
    (Address::from(path), hears)
}

#[test]
fn an_end_in_good_order_is_one_although_nobody_hears_ours() {
    let (folder, authority) = (Folder::new(), Authority::new());
    authority.write(&folder);
    let pair = authority.write_server(&folder, "server", &["localhost"]);
    let (address, gone) = serve(&folder, &pair, |mut connection, mut stream| {
        let mut tls = rustls::Stream::new(&mut connection, &mut stream);
        tls.read_exact(&mut [0; 3]).expect("we ask");
        tls.write_all(b"that is all").expect("we are there");
        connection.send_close_notify();
        connection.write_tls(&mut stream).expect("we are there");
    });
    let tls = ours::client_tls(&folder).build().expect("an authority");
    let mut client = Client::connect(Connect::to(address).tls(&tls, "localhost"));
    client.send(b"go?");
    gone.recv().expect("it leaves");
    client.receives(b"that is all");
    assert_eq!(client.closed().cause(), Cause::PeerClosed);
}

#[test]
fn a_certificate_that_will_not_do_is_the_reason_although_nobody_hears_the_alert() {
    let (folder, stranger) = (Folder::new(), Authority::named("a stranger"));
    Authority::new().write(&folder);
    let pair = stranger.write_server(&folder, "server", &["localhost"]);
    let (address, gone) = serve(&folder, &pair, |mut connection, mut stream| {
        connection.read_tls(&mut stream).expect("our hello");
        connection.process_new_packets().expect("a hello");
        while connection.wants_write() {
            connection.write_tls(&mut stream).expect("we are there");
        }
    });
    let tls = ours::client_tls(&folder).build().expect("an authority");
    let mut client = Client::connect(Connect::to(address).tls(&tls, "localhost"));
    client.turn();
    gone.recv().expect("it leaves");
    assert_eq!(client.closed().cause(), Cause::CertificateUnknown);
}
