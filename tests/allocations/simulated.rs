//! How much memory a simulated host holds that has nothing to do: a thousand of them shall fit in one process with room
//! for what they are to be tested with. Counted is everything on the heap, the network's own share included.

use crate::bytes_held_after;
use std::time::Duration;
use windlass::sim::{Host, Network};
use windlass::{Connect, Cores, Event, Handler, Io, Listen};

const HOSTS: u32 = 1000;
/// What a host with one reactor may hold.
const IDLE_BYTES_MAX: isize = 64 * 1024;

#[derive(Default)]
struct Echo {
    opened: usize,
    received: usize,
}

impl Handler for Echo {
    fn handle(&mut self, io: &mut Io, event: Event<'_>) {
        match event {
            Event::Opened { .. } => self.opened += 1,
            Event::Data { conn, bytes } if self.received == 0 => {
                self.received += bytes.len();
                let _ = io.send(conn, bytes);
            }
            _ => {}
        }
    }
}

#[test]
fn a_thousand_simulated_hosts_are_small() {
    let mut net = Network::new(1);
    let idle = bytes_held_after(|| {
        for number in 0..HOSTS {
            let host = net.host(format!("host {number}"));
            let cores = Cores::new(1).listen(Listen::tcp(("0.0.0.0", 7000)));
            net.start(host, cores, |_| Echo::default()).expect("it starts");
        }
        net.run_for(Duration::from_secs(1));
    }) / HOSTS as isize;

    // Each talks to the next, once.
    let talked = bytes_held_after(|| {
        for number in 0..HOSTS {
            let next = Host::nth((number + 1) % HOSTS).port(7000);
            net.with(Host::nth(number), |_: &mut Echo, io| {
                let conn = io.connect(Connect::to(next)).expect("a socket");
                io.send(conn, b"hello").expect("room for a greeting");
            });
        }
        net.run_for(Duration::from_secs(1));
    }) / HOSTS as isize;
    for number in 0..HOSTS {
        let echo = net.app::<Echo>(Host::nth(number));
        assert_eq!((echo.opened, echo.received), (2, 5), "host {number}");
    }
    println!("a host holds {idle} bytes idle, and {talked} more with two open connections");
    assert!(idle <= IDLE_BYTES_MAX, "{idle} bytes");
    assert!(idle + talked <= IDLE_BYTES_MAX, "{idle} bytes, and {talked} for two connections");
}
