//! What goes wrong between hosts: partitions, routes, clogs, losses, resets, links that change, ends that close.

use crate::rig::{MS, PORT, Pair, Peer, SECOND, serve};
use std::time::Duration;
use windlass::sim::{Fault, Host, Link, Network};
use windlass::{Cause, Connect, Cores, Options};

#[test]
fn nobody_listens_so_the_connection_is_refused() {
    let mut pair = Pair::new(1);
    let to = pair.server.port(PORT + 1);
    pair.net.with(pair.client, |_: &mut Peer, io| io.connect(Connect::to(to)).unwrap());
    let closed = pair.closed_within(SECOND);
    assert_eq!(closed.cause, Cause::Refused);
    assert_eq!(closed.at.as_millis(), 20, "one round trip");
}

#[test]
fn an_address_without_a_host_is_unreachable() {
    let mut pair = Pair::new(1);
    let to = Host::nth(77).port(PORT);
    pair.net.with(pair.client, |_: &mut Peer, io| io.connect(Connect::to(to)).unwrap());
    assert_eq!(pair.closed_within(5 * SECOND).cause, Cause::Unreachable);
}

#[test]
fn a_partition_is_silent_until_the_connect_timeout() {
    let mut pair = Pair::new(1);
    pair.net.inflict(Fault::Partition(vec![pair.client], vec![pair.server]));
    pair.connect_with(Options::with(|o| o.timeouts.connect = Some(4 * SECOND)));
    assert_eq!(pair.closed_within(5 * SECOND).cause, Cause::ConnectTimeout);
}

/// Linux repeats a request six times, doubling from 1 s.
#[test]
fn a_partition_is_silent_until_the_kernel_gives_up() {
    let mut pair = Pair::new(1);
    pair.net.inflict(Fault::Partition(vec![pair.client], vec![pair.server]));
    pair.connect_with(Options::with(|o| o.timeouts.connect = None));
    let closed = pair.closed_within(200 * SECOND);
    assert_eq!(closed.at.as_secs(), 127);
    const ETIMEDOUT: i32 = 110;
    assert_eq!(closed.errno, Some(ETIMEDOUT), "{closed:?}");
}

#[test]
fn without_a_route_connecting_fails_at_once_and_a_connection_waits() {
    let mut pair = Pair::new(1);
    let conn = pair.connected(Options::default());
    pair.net.inflict(Fault::NoRoute(vec![pair.client], vec![pair.server]).lasting(5 * SECOND));
    let from = pair.net.elapsed();
    pair.connect();
    let closed = pair.closed_within(SECOND);
    assert_eq!(closed.cause, Cause::Unreachable);
    assert!(closed.at - from <= 20 * MS, "{closed:?}");
    pair.send(conn, b"patience");
    pair.net.run_for(15 * SECOND);
    assert_eq!(pair.seen_by_client().received, b"patience");
}

#[test]
fn a_route_that_goes_while_a_connection_is_asked_for_is_told_with_the_next_request() {
    let mut pair = Pair::new(1);
    pair.net.inflict(Fault::Partition(vec![pair.client], vec![pair.server]));
    pair.connect();
    pair.net.run_for(500 * MS);
    pair.net.inflict(Fault::NoRoute(vec![pair.client], vec![pair.server]));
    let closed = pair.closed_within(SECOND);
    assert_eq!((closed.cause, closed.at.as_millis()), (Cause::Unreachable, 1010));
}

#[test]
fn a_partition_stops_both_ways_and_what_was_sent_arrives_once_it_heals() {
    let mut pair = Pair::new(1);
    let conn = pair.connected(Options::default());
    pair.net.inflict(Fault::Partition(vec![pair.server], vec![pair.client]));
    pair.send(conn, b"into the void");
    pair.net.run_for(10 * SECOND);
    assert!(pair.seen_by_server().received.is_empty());
    pair.net.inflict(Fault::Heal);
    pair.net.run_for(15 * SECOND);
    assert_eq!(pair.seen_by_client().received, b"into the void");
    assert!(pair.seen_by_client().closed.is_empty());
}

#[test]
fn a_one_way_partition_lets_the_other_way_through() {
    let mut pair = Pair::new(1);
    let conn = pair.connected(Options::default());
    pair.net.inflict(Fault::PartitionOneWay(vec![pair.server], vec![pair.client]));
    pair.send(conn, b"heard");
    pair.net.run_for(5 * SECOND);
    assert_eq!(pair.seen_by_server().received, b"heard");
    assert!(pair.seen_by_client().received.is_empty());
    pair.net.inflict(Fault::Heal);
    pair.net.run_for(15 * SECOND);
    assert_eq!(pair.seen_by_client().received, b"heard");
    assert_eq!(pair.seen_by_server().received, b"heard", "what was repeated is not delivered twice");
}

/// Two partitions that overlap are two: the end of one is not the end of the other.
#[test]
fn a_partition_that_lasts_ends_alone() {
    let mut pair = Pair::new(1);
    let conn = pair.connected(Options::default());
    let (server, client) = (vec![pair.server], vec![pair.client]);
    pair.net.inflict(Fault::Partition(client.clone(), server.clone()).lasting(SECOND));
    pair.net.inflict(Fault::PartitionOneWay(client, server).lasting(5 * SECOND));
    pair.send(conn, b"x");
    pair.net.run_for(4 * SECOND);
    assert!(pair.seen_by_server().received.is_empty());
    pair.net.run_for(10 * SECOND);
    assert_eq!(pair.seen_by_client().received, b"x");
}

#[test]
fn a_clog_holds_everything_and_lets_it_go_in_order() {
    let mut pair = Pair::new(1);
    let conn = pair.connected(Options::default());
    pair.net.run_for(SECOND);
    pair.net.inflict(Fault::Clog(vec![pair.client], vec![pair.server], 3 * SECOND));
    let from = pair.net.elapsed();
    for word in [&b"one "[..], b"two ", b"three"] {
        pair.send(conn, word);
        pair.net.run_for(500 * MS);
    }
    assert!(pair.seen_by_server().received.is_empty());
    let server = pair.server;
    pair.net
        .expect_within(5 * SECOND, "it arrives", |net| net.app::<Peer>(server).received == b"one two three");
    assert!(pair.net.elapsed() - from >= 3 * SECOND);
}

#[test]
fn a_burst_of_losses_makes_late_and_loses_nothing() {
    let mut pair = Pair::new(1);
    let conn = pair.connected(Options::default());
    pair.net.inflict(Fault::LossBurst(vec![pair.client], vec![pair.server], 1.0, SECOND));
    pair.send(conn, b"x");
    pair.net.run_for(900 * MS);
    assert!(pair.seen_by_server().received.is_empty());
    pair.net.run_for(5 * SECOND);
    assert_eq!(pair.seen_by_client().received, b"x");
}

#[test]
fn a_reset_storm_resets_its_share_and_tells_both_ends() {
    for (share, least, most) in [(0.0, 0, 0), (0.5, 60, 140), (1.0, 200, 200)] {
        let mut pair = Pair::new(1);
        for _ in 0..200 {
            pair.connect();
        }
        pair.net.run_for(SECOND);
        assert_eq!(pair.seen_by_server().accepted, 200);
        pair.net.inflict(Fault::ResetStorm(vec![pair.server], vec![pair.client], share));
        pair.net.run_for(SECOND);
        let (ours, theirs) = (&pair.seen_by_client().closed, &pair.seen_by_server().closed);
        assert!((least..=most).contains(&ours.len()), "share {share}: {} of 200", ours.len());
        assert_eq!(ours.len(), theirs.len());
        assert!(ours.iter().chain(theirs).all(|closed| closed.cause == Cause::Reset));
    }
}

#[test]
fn a_link_that_changes_while_it_runs_is_slower_at_once_and_fast_again() {
    let mut pair = Pair::new(1);
    let conn = pair.connected(Options::default());
    let (client, both) = (pair.client, (vec![pair.client], vec![pair.server]));
    let round_trip = |pair: &mut Pair| {
        let (from, had) = (pair.net.elapsed(), pair.seen_by_client().received.len());
        pair.send(conn, b"x");
        pair.net.expect_within(5 * SECOND, "an answer", |net| net.app::<Peer>(client).received.len() > had);
        (pair.net.elapsed() - from).as_millis()
    };
    assert_eq!(round_trip(&mut pair), 20);
    let far = Link::new(100 * MS);
    pair.net.inflict(Fault::Relink(both.0, both.1, far).lasting(10 * SECOND));
    assert_eq!(round_trip(&mut pair), 110, "there by the new link, back by the old one");
    pair.net.run_for(10 * SECOND);
    assert_eq!(round_trip(&mut pair), 20);
}

#[test]
fn one_end_can_close_and_the_other_go_on() {
    let half = Options::with(|o| o.half_close = true);
    let mut pair = Pair::with(1, half.clone());
    let conn = pair.connected(half);
    pair.send(conn, b"the last that I say");
    pair.net.with(pair.client, |_: &mut Peer, io| io.finish(conn).unwrap());
    pair.net.run_for(SECOND);
    assert_eq!(pair.seen_by_server().finished, 1);
    assert_eq!(pair.seen_by_client().received, b"the last that I say");
    let theirs = pair.seen_by_server().opened[0];
    pair.net.with(pair.server, |_: &mut Peer, io| io.send(theirs, b" and more")).unwrap();
    pair.net.run_for(SECOND);
    assert_eq!(pair.seen_by_client().received, b"the last that I say and more");
    pair.net.with(pair.server, |_: &mut Peer, io| io.close(theirs));
    assert_eq!(pair.closed_within(SECOND).cause, Cause::PeerClosed);
}

/// After any trouble that heals, what was sent before it, during it and after it arrives, once and in order.
#[test]
fn a_connection_comes_back_after_any_trouble_between_its_ends() {
    let (a, b) = (|| vec![Host::nth(0)], || vec![Host::nth(1)]);
    let bad = Link::new(200 * MS).jitter(50 * MS).loss(0.3);
    for fault in [
        Fault::Partition(a(), b()).lasting(20 * SECOND),
        Fault::PartitionOneWay(a(), b()).lasting(20 * SECOND),
        Fault::PartitionOneWay(b(), a()).lasting(20 * SECOND),
        Fault::NoRoute(a(), b()).lasting(20 * SECOND),
        Fault::Clog(a(), b(), 20 * SECOND),
        Fault::LossBurst(b(), a(), 0.5, 20 * SECOND),
        Fault::Relink(a(), b(), bad).lasting(20 * SECOND),
        Fault::Pause(Host::nth(0), 20 * SECOND),
        Fault::Slow(Host::nth(0), 200 * MS).lasting(20 * SECOND),
    ] {
        let mut pair = Pair::new(1);
        let conn = pair.connected(Options::default());
        pair.net.at(2 * SECOND, fault.clone());
        let mut sent = Vec::new();
        for number in 0u32..60 {
            pair.send(conn, &number.to_le_bytes());
            sent.extend(number.to_le_bytes());
            pair.net.run_for(500 * MS);
        }
        let client = pair.client;
        pair.net.expect_within(90 * SECOND, &format!("all is back after {fault}"), |net| {
            net.app::<Peer>(client).received.len() == sent.len()
        });
        assert_eq!(pair.seen_by_client().received, sent, "{fault}");
        assert_eq!(pair.seen_by_server().received, sent, "{fault}");
    }
}

/// Faults happen when they were planned for, in the order of their times, whatever the order of planning.
#[test]
fn a_schedule_is_kept() {
    let mut net = Network::new(1);
    let (a, b) = (net.host("a"), net.host("b"));
    serve(&mut net, a, Options::default());
    net.start(b, Cores::new(1), |_| Peer::default()).unwrap();
    let plan =
        [(3 * SECOND, Fault::Restart(a)), (SECOND, Fault::Crash(a)), (2 * SECOND, Fault::Pause(b, MS))];
    net.schedule(&plan);
    net.run_for(1500 * MS);
    assert!(!net.is_running(a));
    net.run_for(2 * SECOND);
    assert!(net.is_running(a));
    let [restart, crash, pause] = plan;
    assert_eq!(net.inflicted(), [crash, pause, restart]);
    // What is late happens next.
    net.at(Duration::ZERO, Fault::Heal);
    net.run_for(MS);
    assert_eq!(net.inflicted().last().unwrap(), &(3500 * MS, Fault::Heal));
}

/// Wherever reads and writes are cut, the stream is the same.
#[test]
fn reads_and_writes_are_cut_short_where_the_seed_says() {
    let run = |seed, reads, writes| {
        let mut pair = Pair::new(seed);
        pair.net.cut_short(reads, writes);
        let conn = pair.connected(Options::default());
        let sent: Vec<u8> = (0..200_000u32).map(|number| number as u8).collect();
        pair.send(conn, &sent);
        let client = pair.client;
        pair.net.expect_within(60 * SECOND, "all of it comes back", |net| {
            net.app::<Peer>(client).received.len() == 200_000
        });
        assert!(pair.seen_by_client().received == sent, "and in order");
        pair.net.trace()
    };
    assert_eq!(run(1, 0.3, 0.3), run(1, 0.3, 0.3));
    let traces = [run(1, 0.0, 0.0), run(1, 0.3, 0.0), run(1, 0.0, 0.3), run(1, 1.0, 0.9), run(2, 0.3, 0.3)];
    for (number, trace) in traces.iter().enumerate() {
        assert!(!traces[..number].contains(trace), "{number}: {traces:?}");
    }
}

#[test]
#[should_panic(expected = "a bandwidth of 0 carries nothing")]
fn a_link_that_makes_no_sense_is_a_mistake() {
    let (a, b) = (Host::nth(0), Host::nth(1));
    Pair::new(1).net.inflict(Fault::Relink(vec![a], vec![b], Link::new(MS).bandwidth(0)));
}

/// Of two changes of one link that overlap, each is undone by itself, in whichever order they end.
#[test]
fn links_that_change_twice_are_what_they_were_in_the_end() {
    for (first, second) in [(4, 8), (8, 4)] {
        let mut pair = Pair::new(1);
        let conn = pair.connected(Options::default());
        let (client, server) = (pair.client, pair.server);
        let mut at = |second: u64, lasts: u32, latency: u32| {
            let fault =
                Fault::Relink(vec![client], vec![server], Link::new(latency * MS)).lasting(lasts * SECOND);
            pair.net.at(Duration::from_secs(second), fault);
        };
        at(2, first, 100);
        at(4, second, 200);
        let mut latencies = Vec::new();
        for second in [3u64, 5, 7, 9, 13] {
            pair.net.run_for(Duration::from_secs(second) - pair.net.elapsed());
            let (from, had) = (pair.net.elapsed(), pair.seen_by_server().received.len());
            pair.send(conn, b"x");
            pair.net.expect_within(SECOND, "it arrives", |net| net.app::<Peer>(server).received.len() > had);
            latencies.push((pair.net.elapsed() - from).as_millis());
        }
        let between = if first < second { 200 } else { 100 };
        assert_eq!(latencies, [100, 200, 200, between, 10], "{first} s and {second} s");
    }
}

/// Nor does a short clog let go what a long one holds.
#[test]
fn clogs_that_overlap_hold_until_the_last_ends() {
    let mut pair = Pair::new(1);
    let conn = pair.connected(Options::default());
    let (client, server) = (vec![pair.client], vec![pair.server]);
    pair.net.inflict(Fault::Clog(client.clone(), server.clone(), 5 * SECOND));
    pair.net.inflict(Fault::Clog(client, server, SECOND));
    pair.send(conn, b"x");
    pair.net.run_for(4 * SECOND);
    assert!(pair.seen_by_server().received.is_empty());
    pair.net.run_for(2 * SECOND);
    assert_eq!(pair.seen_by_server().received, b"x");
}

/// A clog and a burst of losses are of hosts, whether or not these have talked before.
#[test]
fn a_clog_holds_connections_that_are_asked_for_while_it_lasts() {
    let mut pair = Pair::new(1);
    let (client, server) = (vec![pair.client], vec![pair.server]);
    pair.net.inflict(Fault::Clog(client.clone(), server.clone(), SECOND / 2));
    pair.connect();
    let opened = |pair: &Pair| pair.seen_by_client().opened.len();
    pair.net.run_for(400 * MS);
    assert_eq!(opened(&pair), 0);
    pair.net.run_for(200 * MS);
    assert_eq!(opened(&pair), 1);

    let mut pair = Pair::new(1);
    pair.net.inflict(Fault::LossBurst(client, server, 1.0, 500 * MS));
    pair.connect();
    pair.net.run_for(900 * MS);
    assert_eq!(opened(&pair), 0);
    pair.net.run_for(200 * MS);
    assert_eq!(opened(&pair), 1, "the second request gets through");
}
