//! Clients of the control that take their time, in virtual time: how long each may, and what it gains nobody to trickle.

use std::time::Duration;
use windlass::proxy::{Control, Proxies};
use windlass::sim::{Host, Network};
use windlass::time::Instant;
use windlass::{Config, Conn, Connect, Cores, Event, Handler, Io, Listen, Options};

/// Deadlines are at most 16 ms late, and the simulated way there and back takes less than this.
const LATE_MAX: Duration = Duration::from_millis(20);

struct Server {
    control: Control,
    proxies: Proxies,
}

impl Handler for Server {
    fn handle(&mut self, io: &mut Io, event: Event<'_>) {
        let _not_the_controls = self.control.handle(io, &mut self.proxies, event);
    }
}

struct Client {
    conn: Conn,
    answers: usize,
    opened_at: Option<Instant>,
    closed_at: Option<Instant>,
}

impl Handler for Client {
    fn handle(&mut self, io: &mut Io, event: Event<'_>) {
        match event {
            Event::Opened { .. } => self.opened_at = Some(io.now()),
            Event::Data { bytes, .. } => {
                self.answers += bytes.windows(4).filter(|bytes| bytes == b"HTTP").count();
            }
            Event::Closed { .. } => self.closed_at = Some(io.now()),
            _ => {}
        }
    }
}

/// A control and a client that is connected to it.
struct Scene {
    net: Network,
    client: Host,
}

impl Scene {
    fn new() -> Scene {
        let mut net = Network::new(7);
        let (server, client) = (net.host("control"), net.host("client"));
        let place = server.port(8474);
        let control = move |io: &mut Io| Control::listen(io, Listen::at(place.into())).expect("it listens");
        net.start(server, Cores::new(1), move |core| Server {
            control: control(core.io()),
            proxies: Proxies::new(7),
        })
        .expect("the control starts");
        let patient = Options::with(|options| options.timeouts.keep_alive = None);
        let mut config = Config::default();
        config.options = patient;
        net.start(client, Cores::new(1).config(config), move |core| {
            let conn = core.io().connect(Connect::to(place)).expect("there is room");
            Client { conn, answers: 0, opened_at: None, closed_at: None }
        })
        .expect("the client starts");
        let open = |net: &Network| net.app::<Client>(client).opened_at.is_some();
        assert!(net.run_until(open, Duration::from_secs(1)), "it connects");
        Scene { net, client }
    }

    fn send(&mut self, text: &str) {
        self.net
            .with(self.client, |client: &mut Client, io| io.send(client.conn, text.as_bytes()).map(drop))
            .expect("the connection is there");
    }

    /// Sends a byte each so often, until the control has enough of it; how long that took.
    fn trickle(&mut self, every: Duration) -> Duration {
        let since = self.net.now();
        while self.closed_at().is_none() {
            let gone =
                self.net.with(self.client, |client: &mut Client, io| io.send(client.conn, b"x").is_err());
            if !gone {
                self.net.run_for(every);
            }
        }
        self.closed_at().expect("just seen").since(since)
    }

    /// Waits for the control to end the connection, and says how long that took.
    fn wait(&mut self) -> Duration {
        let since = self.net.now();
        let client = self.client;
        let closed = |net: &Network| net.app::<Client>(client).closed_at.is_some();
        assert!(self.net.run_until(closed, Duration::from_secs(3600)), "it is ended");
        self.closed_at().expect("just seen").since(since)
    }

    fn closed_at(&self) -> Option<Instant> {
        self.net.app::<Client>(self.client).closed_at
    }

    fn answers(&self) -> usize {
        self.net.app::<Client>(self.client).answers
    }
}

#[track_caller]
fn takes(took: Duration, expected: Duration) {
    assert!((expected..expected + LATE_MAX).contains(&took), "{took:?} instead of {expected:?}");
}

#[test]
fn a_head_takes_five_seconds_however_it_trickles() {
    let mut scene = Scene::new();
    scene.send("GET /version HTTP/1.1\r\nHost: ");
    takes(scene.wait(), Duration::from_secs(5));
    let mut scene = Scene::new();
    takes(scene.trickle(Duration::from_millis(1)), Duration::from_secs(5));
    assert_eq!(scene.answers(), 0);
}

#[test]
fn a_body_takes_fifteen_seconds_however_it_trickles() {
    let head = "POST /proxies HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n";
    let mut scene = Scene::new();
    scene.send(head);
    takes(scene.wait(), Duration::from_secs(15));
    let mut scene = Scene::new();
    scene.send(head);
    takes(scene.trickle(Duration::from_millis(1)), Duration::from_secs(15));
}

#[test]
fn a_connection_stays_a_minute_without_a_request() {
    let mut scene = Scene::new();
    for round in 1..=3 {
        scene.net.run_for(Duration::from_secs(50));
        scene.send("GET /version HTTP/1.1\r\nHost: a\r\n\r\n");
        scene.net.run_for(Duration::from_secs(5));
        assert_eq!((scene.answers(), scene.closed_at()), (round, None));
    }
    takes(scene.wait(), Duration::from_secs(55));
}
