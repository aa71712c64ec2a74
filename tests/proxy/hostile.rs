//! Peers that do not read, go away in the middle, come in thousands; and that memory stays within its bounds.

use crate::rig::{End, Rig, hear, hear_to_end, pattern, reset, say_what_is_taken};
use std::io::Write;
use std::net::Shutdown;
use windlass::limits::{PROXY_HELD_ALL_BYTES_MAX, PROXY_HELD_BYTES_MAX, RECEIVE_BUFFER_BYTES};
use windlass::proxy::{Toxic, ToxicKind};

/// Sends 100 MB to a client that reads slowly, through `toxics`; says how much was held at most.
fn send_to_a_slow_reader(toxics: &[Toxic]) -> (u64, u64) {
    const BYTES: usize = 100_000_000;
    const STEP: usize = 1_000_000;
    let rig = Rig::new();
    for toxic in toxics {
        rig.proxy.add(toxic.clone()).unwrap();
    }
    let (mut client, mut served) = rig.pair();
    let said = pattern(0, BYTES);
    let (mut held_max, mut pooled_max) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            served.write_all(&said).expect("it is taken");
            served.shutdown(Shutdown::Write).expect("it is open");
        });
        for expected in said.chunks(STEP) {
            // Each question lets the proxy do all that it can.
            for _ in 0..10 {
                held_max = held_max.max(rig.figures().held_bytes);
                let snapshot = rig.proxy.metrics().snapshot(rig.now());
                pooled_max = pooled_max.max(snapshot.total.pool_bytes_taken);
            }
            assert!(hear(&mut client, STEP) == expected, "as it was said");
        }
    });
    assert_eq!(hear_to_end(&mut client), (Vec::new(), End::InOrder));
    (held_max, pooled_max)
}

#[test]
fn a_slow_reader_of_100_mb_costs_a_queue_and_no_more() {
    let (held, pooled) = send_to_a_slow_reader(&[]);
    assert_eq!(held, 0);
    assert!(pooled <= 1 << 20, "{pooled} bytes queued");
}

#[test]
fn behind_toxics_a_slow_reader_costs_what_they_may_hold() {
    let slicer = ToxicKind::Slicer { average_size: 5000, size_variation: 1000, delay_us: 0 };
    let (held, _) = send_to_a_slow_reader(&[Toxic::latency_ms(1), Toxic::new(slicer)]);
    assert!(held > 0 && held <= (PROXY_HELD_BYTES_MAX + RECEIVE_BUFFER_BYTES) as u64, "{held} bytes held");
}

#[test]
fn a_black_hole_holds_so_much_and_then_holds_the_sender_back() {
    let rig = Rig::new();
    rig.proxy.add(Toxic::black_hole()).unwrap();
    let (mut client, served) = rig.pair();
    let said = pattern(0, 64 << 20);
    std::thread::scope(|scope| {
        let talker = scope.spawn(|| (&served).write_all(&said).expect("it is taken"));
        let full = (PROXY_HELD_BYTES_MAX / 10 * 9) as u64;
        rig.until("the hole is full", |figures| figures.held_bytes >= full);
        for _ in 0..1000 {
            let held = rig.figures().held_bytes;
            assert!(held <= (PROXY_HELD_BYTES_MAX + RECEIVE_BUFFER_BYTES) as u64, "{held} bytes held");
        }
        assert!(!talker.is_finished());
        rig.proxy.remove("timeout_downstream").unwrap();
        assert!(hear(&mut client, said.len()) == said, "all that was held, and the rest");
    });
}

/// Fifty black holes could hold 300 MiB between them.
#[test]
fn all_connections_together_hold_so_much_and_no_more() {
    const CONNECTIONS: usize = 50;
    const BYTES: usize = 8 << 20;
    let rig = Rig::new();
    rig.proxy.add(Toxic::black_hole().named("hole")).unwrap();
    let pairs: Vec<_> = (0..CONNECTIONS).map(|_| rig.pair()).collect();
    let said = pattern(0, BYTES);
    std::thread::scope(|scope| {
        for (_, served) in &pairs {
            scope.spawn(|| (&*served).write_all(&said).expect("it is taken"));
        }
        let bound = (PROXY_HELD_ALL_BYTES_MAX + CONNECTIONS * RECEIVE_BUFFER_BYTES) as u64;
        let full = (PROXY_HELD_ALL_BYTES_MAX / 100 * 95) as u64;
        rig.until("they hold as much as they may", |figures| {
            assert!(figures.held_bytes <= bound, "{} bytes held", figures.held_bytes);
            figures.held_bytes >= full
        });
        for _ in 0..100 {
            assert!(rig.figures().held_bytes <= bound);
        }
        rig.proxy.remove("hole").unwrap();
        for (client, _) in &pairs {
            scope.spawn(|| assert!(hear(&mut &*client, BYTES) == said, "all that was held, and the rest"));
        }
    });
    assert_eq!(rig.figures().held_bytes, 0);
}

#[test]
fn a_thousand_connections_at_once() {
    const CONNECTIONS: usize = 1000;
    let rig = Rig::new();
    rig.proxy.add(Toxic::latency_ms(5).jitter_ms(5)).unwrap();
    rig.proxy.add(Toxic::latency_ms(5).jitter_ms(5).upstream().toxicity(0.5)).unwrap();
    let mut pairs: Vec<_> = (0..CONNECTIONS).map(|_| rig.pair()).collect();
    assert_eq!(rig.figures().active, CONNECTIONS as u64);
    for round in 0..3u64 {
        for (number, (client, _)) in pairs.iter_mut().enumerate() {
            client.write_all(&(number as u64 + round).to_le_bytes()).unwrap();
        }
        for (number, (_, served)) in pairs.iter_mut().enumerate() {
            assert_eq!(hear(served, 8), (number as u64 + round).to_le_bytes());
            served.write_all(&(round << 32 | number as u64).to_le_bytes()).unwrap();
        }
        for (number, (client, _)) in pairs.iter_mut().enumerate() {
            assert_eq!(hear(client, 8), (round << 32 | number as u64).to_le_bytes());
        }
    }
    drop(pairs);
    let figures = rig.until("all are over", |figures| figures.active == 0);
    assert_eq!(figures.accepted, CONNECTIONS as u64);
    assert_eq!(figures.received_bytes, [CONNECTIONS as u64 * 24; 2]);
    assert_eq!(figures.sent_bytes, figures.received_bytes);
    assert_eq!(rig.proxy.metrics().snapshot(rig.now()).total.connections_active, 0);
}

#[test]
fn an_upstream_that_dies_takes_its_clients_along() {
    let rig = Rig::new();
    rig.proxy.add(Toxic::latency_ms(3)).unwrap();
    let (clients, served): (Vec<_>, Vec<_>) = (0..20).map(|_| rig.pair()).unzip();
    for mut served in served {
        served.write_all(b"last words").unwrap();
        reset(served);
    }
    for mut client in clients {
        let (heard, end) = hear_to_end(&mut client);
        assert!(b"last words".starts_with(&heard[..]), "{heard:?}");
        assert_eq!(end, End::Reset);
    }
    rig.until("all are over", |figures| figures.active == 0);
}

#[test]
fn half_closed_both_ways_everything_still_arrives() {
    let rig = Rig::new();
    rig.proxy.add(Toxic::latency_ms(5)).unwrap();
    rig.proxy.add(Toxic::bandwidth_kb_per_s(5000).upstream()).unwrap();
    let (mut client, mut served) = rig.pair();
    for (talker, from) in [(&mut client, 0), (&mut served, 1000)] {
        talker.write_all(&pattern(from, 100_000)).unwrap();
        talker.shutdown(Shutdown::Write).unwrap();
    }
    assert!(hear_to_end(&mut served) == (pattern(0, 100_000), End::InOrder));
    assert!(hear_to_end(&mut client) == (pattern(1000, 100_000), End::InOrder));
    rig.until("the end", |figures| figures.active == 0);
}

/// Connections that go away at once, in every way, some before their upstream is connected.
#[test]
fn those_who_do_not_stay_leave_nothing_behind() {
    let rig = Rig::new();
    rig.proxy.add(Toxic::latency_ms(2)).unwrap();
    rig.proxy.add(Toxic::latency_ms(2).upstream().toxicity(0.5)).unwrap();
    for number in 0..300 {
        let mut client = rig.client();
        match number % 4 {
            0 => drop(client),
            1 => reset(client),
            2 => {
                say_what_is_taken(&mut client, b"hello");
                client.shutdown(Shutdown::Write).unwrap();
            }
            _ => {
                say_what_is_taken(&mut client, b"hello");
                reset(client);
            }
        }
    }
    rig.server.set_nonblocking(true).unwrap();
    let figures = rig.until("all are over", |figures| {
        while rig.server.accept().is_ok() {}
        figures.active == 0 && figures.accepted == 300
    });
    assert_eq!(figures.held_bytes, 0);
}
