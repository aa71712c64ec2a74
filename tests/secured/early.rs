//! Data that a client sends before the handshake is over: marked as replayable, and otherwise as bounded as all.

use crate::peers::{TlsPeer, rustls_client};
use crate::rig::{Host, Kind, Side, ignore};
use crate::security::{authority, keys};
use rustls::ClientConfig;
use rustls::client::Resumption;
use std::io::Write;
use windlass::noise::Noise;
use windlass::tls::{ServerTls, ServerTlsBuilder};
use windlass::{Cause, Config, Event, Io, Listen};

/// A host that takes early data, and a client's configuration with a ticket for it.
fn host_and_ticket() -> (Host, ClientConfig) {
    let tls = server_tls_builder().early_data(1000).build().unwrap();
    listening(Listen::tcp("127.0.0.1:0").tls(&tls))
}

fn server_tls_builder() -> ServerTlsBuilder {
    let made = authority();
    ServerTls::builder().certificate_pem(&made.cert_pem, &made.key_pem)
}

fn listening(listen: Listen) -> (Host, ClientConfig) {
    let mut host = Host::new(Kind::Plain, Config::default());
    let listener = host.reactor.io().listen(listen).unwrap();
    host.address = host.reactor.io().listener_address(listener).unwrap().as_inet().unwrap();
    let mut config = rustls_client();
    config.enable_early_data = true;
    config.resumption = Resumption::in_memory_sessions(4);
    (host, config)
}

/// One connection for the ticket, and one that uses it with early data.
fn early(host: &mut Host, config: &ClientConfig) -> TlsPeer {
    let mut first = TlsPeer::with(host.address, config.clone());
    host.until("the ticket", ignore, |host| {
        first.pump();
        if host.seen.received.is_empty() && first.is_open() {
            let wire = first.seal(b"x");
            first.raw.send(&wire);
        }
        first.tls.tls13_tickets_received() > 0
    });
    first.raw.reset();
    host.until("gone", ignore, |host| !host.seen.closed.is_empty());
    host.seen = Side::default();
    let mut second = TlsPeer::with(host.address, config.clone());
    second.tls.early_data().expect("the ticket allows it").write_all(b"early").unwrap();
    second
}

#[test]
fn early_data_comes_before_opened_and_its_answer_after() {
    let (mut host, config) = host_and_ticket();
    let mut peer = early(&mut host, &config);
    let answering = |io: &mut Io, event: Event<'_>| {
        if let Event::EarlyData { conn, bytes } = event {
            assert_eq!(bytes, b"early");
            assert!(io.keep(conn, 1).is_err(), "early data cannot be kept");
            io.send(conn, b"answer").unwrap();
        }
    };
    host.until("answered", answering, |_| {
        peer.pump();
        peer.plain == b"answer"
    });
    assert_eq!(host.seen.words, ["accepted", "early", "opened"]);
    let tls = host.seen.sessions[0].tls.clone().unwrap();
    assert!(tls.resumed && tls.early_data);
}

#[test]
fn a_handler_that_leaves_within_early_data_hears_of_nothing_but_the_end() {
    for abort in [false, true] {
        let (mut host, config) = host_and_ticket();
        let mut peer = early(&mut host, &config);
        let leaving = |io: &mut Io, event: Event<'_>| {
            if let Event::EarlyData { conn, .. } = event {
                io.pause(conn).unwrap();
                io.send(conn, b"lost").unwrap();
                assert!(io.release(conn).is_err());
                assert!(if abort { io.abort(conn) } else { io.close(conn) });
            }
        };
        host.until("closed", leaving, |host| {
            peer.pump();
            !host.seen.closed.is_empty()
        });
        assert_eq!(host.seen.words, ["accepted", "early", "closed"]);
        assert_eq!(host.seen.cause(), Some(if abort { Cause::Aborted } else { Cause::Closed }));
        host.assert_nothing_left();
    }
}

/// Who merely speaks TLS must not get a byte to the handler of a listener that wants Noise inside.
#[test]
fn early_data_does_not_pass_by_the_noise_inside() {
    let noise = Noise::responder(&keys().0);
    let taking_early_data = server_tls_builder().early_data(1000);
    let both = Listen::tcp("127.0.0.1:0").tls(&taking_early_data.clone().build().unwrap()).noise(&noise);
    let mut host = Host::new(Kind::Plain, Config::default());
    assert!(host.reactor.io().listen(both).unwrap_err().to_string().contains("early data"));
    // Nor if it is switched on behind the listener's back.
    let tls = server_tls_builder().build().unwrap();
    let (mut host, config) = listening(Listen::tcp("127.0.0.1:0").tls(&tls).noise(&noise));
    tls.replace(taking_early_data).unwrap();
    let mut peer = early(&mut host, &config);
    host.until("closed", ignore, |host| {
        peer.pump();
        if peer.raw.end.is_some() {
            // The server waits for its peer to see the end and to go as well.
            peer.raw.finish();
        }
        !host.seen.closed.is_empty()
    });
    assert_eq!(host.seen.words, ["accepted", "closed"]);
    assert_eq!(host.seen.cause(), Some(Cause::ProtocolViolation));
}
