//! Traffic for `windlass serve --demo`: a client reactor of its own that sends, waits for the answer and sends
//! again, and says at the end how long answers took.
//!
//! It asks only when it was answered, so a slow server is asked less often: good for a look, not for a
//! benchmark.

use std::time::Duration;
use windlass::metrics::{HistogramReader, Recorder, histogram};
use windlass::time::{Instant, nanos_of};
use windlass::{Address, Config, Conn, Connect, Error, Event, Handler, Io, PerConn, Reactor, StopAll};

const CONNECTIONS: usize = 16;
const MESSAGE: [u8; 64] = *b"windlass windlass windlass windlass windlass windlass windlass\r\n";

/// Drives the server at `address` for `duration`, then ends it.
pub fn start(address: Address, duration: Duration, server: StopAll) {
    std::thread::spawn(move || {
        match drive(address, duration) {
            Ok(times) => println!("{}", describe(&times)),
            Err(error) => eprintln!("windlass: the demo failed: {error}"),
        }
        server.shutdown(Duration::from_secs(1));
    });
}

fn drive(address: Address, duration: Duration) -> Result<HistogramReader, Error> {
    let mut reactor = Reactor::new(Config::default())?;
    let (recorder, times) = histogram();
    let mut client = Client { recorder, waiting: PerConn::new() };
    for _ in 0..CONNECTIONS {
        reactor.io().connect(Connect::to(address.clone()))?;
    }
    let end = reactor.io().clock() + duration;
    reactor.run_until(end, &mut client)?;
    Ok(times)
}

/// What is still missing of each connection's answer, and when it was asked for.
struct Client {
    recorder: Recorder,
    waiting: PerConn<(usize, Instant)>,
}

impl Client {
    fn ask(&mut self, io: &mut Io, conn: Conn) {
        self.waiting.insert(conn, (MESSAGE.len(), io.clock()));
        if io.send(conn, &MESSAGE).is_err() {
            self.waiting.remove(conn);
        }
    }
}

impl Handler for Client {
    fn handle(&mut self, io: &mut Io, event: Event<'_>) {
        match event {
            Event::Opened { conn, .. } => self.ask(io, conn),
            Event::Data { conn, bytes } => {
                let Some((missing, asked_at)) = self.waiting.get_mut(conn) else { return };
                *missing = missing.saturating_sub(bytes.len());
                if *missing == 0 {
                    self.recorder.record(nanos_of(io.clock().since(*asked_at)));
                    self.ask(io, conn);
                }
            }
            Event::Closed { reason, .. } => eprintln!("windlass: {reason}"),
            _ => {}
        }
    }
}

fn describe(times: &HistogramReader) -> String {
    let times = times.snapshot();
    let micros = |p: f64| times.percentile(p).unwrap_or(0) as f64 / 1e3;
    format!(
        "demo: {} answers over {CONNECTIONS} connections, round trip p50 {:.0} µs, p99 {:.0} µs, max {:.0} µs",
        times.count(),
        micros(0.5),
        micros(0.99),
        micros(1.0),
    )
}
