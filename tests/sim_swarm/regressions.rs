//! What the swarm found, each in as few steps as it takes.

use std::time::Duration;
use windlass::noise::{KeyPair, Noise};
use windlass::sim::{Fault, Host, Latency, Link, Network};
use windlass::{Cause, Conn, Connect, Cores, Event, Handler, Io, Listen, Options};

const PORT: u16 = 7000;

/// A client that reads only when it is told to, and remembers what came and how it ended.
#[derive(Default)]
struct Client {
    conn: Option<Conn>,
    received: usize,
    cause: Option<Cause>,
}

impl Handler for Client {
    fn handle(&mut self, io: &mut Io, event: Event<'_>) {
        match event {
            Event::Opened { conn, .. } => io.pause(conn).expect("it is open"),
            Event::Data { bytes, .. } => self.received += bytes.len(),
            Event::Closed { reason, .. } => self.cause = Some(reason.cause()),
            _ => {}
        }
    }
}

/// A server and a client connected to it, whose kernels buffer little.
fn pair<H: Handler + 'static>(options: Options, handler: impl Fn() -> H + 'static) -> (Network, Host, Host) {
    let mut net = Network::new(1);
    let (server, client) = (net.host("server"), net.host("client"));
    let listen = Listen::tcp(("0.0.0.0", PORT)).options(options);
    net.start(server, Cores::new(1).listen(listen), move |_| handler()).expect("it starts");
    net.start(client, Cores::new(1), move |core| {
        let options = Options::with(|o| o.socket.receive_buffer_bytes = Some(4096));
        let connect = Connect::to(server.port(PORT)).options(options);
        let conn = core.io().connect(connect).expect("there is room");
        Client { conn: Some(conn), ..Client::default() }
    })
    .expect("it starts");
    (net, server, client)
}

/// What the client learns of a connection that its server ends with bytes still queued.
fn told(options: Options, end: fn(&mut Io, Conn, usize)) -> (usize, Option<Cause>) {
    let handler = move || {
        move |io: &mut Io, event: Event<'_>| match event {
            Event::Opened { conn, .. } => {
                io.send(conn, &[7; 500_000]).expect("there is room");
                end(io, conn, 0);
            }
            Event::Data { conn, bytes } => end(io, conn, bytes.len()),
            _ => {}
        }
    };
    let (mut net, _, client) = pair(options, handler);
    net.run_for(Duration::from_millis(100));
    net.with(client, |client: &mut Client, io| {
        let conn = client.conn.expect("it was connected");
        io.send(conn, b"hello").expect("it is open");
    });
    net.run_for(Duration::from_secs(2));
    net.with(client, |client: &mut Client, io| {
        let conn = client.conn.expect("it was connected");
        // It may have heard of the end already.
        let _ = io.resume(conn);
    });
    net.run_for(Duration::from_secs(5));
    let client = net.app::<Client>(client);
    (client.received, client.cause)
}

fn small_buffers() -> Options {
    Options::with(|options| {
        options.socket.send_buffer_bytes = Some(4096);
        options.self_throttle = false;
        options.timeouts.read = Some(Duration::from_millis(500));
    })
}

#[test]
fn a_frame_too_large_with_bytes_queued_does_not_end_the_stream_in_good_order() {
    let (received, cause) = told(small_buffers(), |io, conn, came| {
        if came > 0 {
            assert!(io.keep_until(conn, 1, usize::MAX).is_err());
        }
    });
    assert!(received < 500_000 && cause == Some(Cause::Reset), "{received} {cause:?}");
}

#[test]
fn a_read_timeout_with_bytes_queued_does_not_end_the_stream_in_good_order() {
    let (received, cause) = told(small_buffers(), |io, conn, came| {
        if came > 0 {
            io.expect(conn).expect("it is open");
        }
    });
    assert!(received < 500_000 && cause == Some(Cause::Reset), "{received} {cause:?}");
}

#[test]
fn what_was_corked_when_a_connection_fails_does_not_end_in_good_order() {
    let handler = || {
        |io: &mut Io, event: Event<'_>| {
            if let Event::Data { conn, .. } = event {
                io.send(conn, b"an answer that never leaves").expect("there is room");
                assert!(io.keep_until(conn, 1, usize::MAX).is_err());
            }
        }
    };
    let (mut net, _, client) = pair(Options::default(), handler);
    net.run_for(Duration::from_millis(100));
    net.with(client, |client: &mut Client, io| {
        let conn = client.conn.expect("it was connected");
        io.resume(conn).expect("it is open");
        io.send(conn, b"hello").expect("it is open");
    });
    net.run_for(Duration::from_secs(1));
    let client = net.app::<Client>(client);
    assert_eq!((client.received, client.cause), (0, Some(Cause::Reset)));
}

/// A network of two hosts 10 ms apart: one listens, the other has just asked for a connection to `port`.
fn asked(port: u16) -> (Network, Host, Host) {
    let mut net = Network::new(1);
    net.link(Link::new(Latency::Fixed(Duration::from_millis(10))));
    let (server, client) = (net.host("server"), net.host("client"));
    let cores = Cores::new(1).listen(Listen::tcp(("0.0.0.0", PORT)));
    net.start(server, cores, |_| |_: &mut Io, _: Event<'_>| {}).expect("it starts");
    net.start(client, Cores::new(1), move |core| {
        core.io().connect(Connect::to(server.port(port))).expect("there is room");
        Client::default()
    })
    .expect("it starts");
    (net, server, client)
}

#[test]
fn a_request_whose_asker_is_not_heard_of_again_is_forgotten_by_the_host_that_answered() {
    let (mut net, server, client) = asked(PORT);
    net.run_for(Duration::from_millis(15));
    // Its reset does not get through.
    net.inflict(Fault::Partition(vec![server], vec![client]));
    net.inflict(Fault::Crash(client));
    net.run_for(Duration::from_secs(62));
    assert_eq!(net.open_connections(), 1);
    net.run_for(Duration::from_secs(2));
    assert_eq!(net.open_connections(), 0);
}

#[test]
fn a_request_refused_while_its_asker_has_lost_power_leaves_nothing() {
    let (mut net, _, client) = asked(PORT + 1);
    net.run_for(Duration::from_millis(15));
    net.inflict(Fault::PowerOff(client));
    net.run_for(Duration::from_secs(1));
    assert_eq!(net.open_connections(), 0);
    assert_eq!(net.descriptors(client), 0);
}

#[test]
fn an_expired_session_whose_peer_does_not_end_its_side_is_over_after_the_drain_timeout() {
    let keys = [(); 2].map(|()| KeyPair::generate().expect("a key"));
    let responder = Noise::responder(&keys[0]).session_max(Some(Duration::from_secs(1)));
    let initiator = Noise::initiator(&keys[1], keys[0].public());
    let mut net = Network::new(1);
    let (server, client) = (net.host("server"), net.host("client"));
    let listen = Listen::tcp(("0.0.0.0", PORT)).noise(&responder);
    net.start(server, Cores::new(1).listen(listen), |_| Client::default()).expect("it starts");
    net.start(client, Cores::new(1), move |core| {
        core.io().connect(Connect::to(server.port(PORT)).noise(&initiator)).expect("there is room");
        Client::default()
    })
    .expect("it starts");
    net.run_for(Duration::from_millis(500));
    net.inflict(Fault::Partition(vec![server], vec![client]));
    let closed = |net: &Network| net.app::<Client>(server).cause;
    // A second until it expires, and five to drain.
    net.run_for(Duration::from_secs(5));
    assert_eq!(closed(&net), None);
    net.run_for(Duration::from_secs(2));
    assert_eq!(closed(&net), Some(Cause::SessionExpired));
}
