//! Each toxic between real sockets: what it lets through, in which order, and not before when.

use crate::rig::{End, Rig, hear, hear_to_end, hears_nothing, pattern, say_what_is_taken};
use std::io::Write;
use std::net::Shutdown;
use std::time::Duration;
use windlass::proxy::{Toxic, ToxicKind};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn latency_delays_each_way_by_itself() {
    let rig = Rig::new();
    rig.proxy.add(Toxic::latency_ms(50)).unwrap();
    rig.proxy.add(Toxic::latency_ms(30).upstream()).unwrap();
    let (mut client, mut served) = rig.pair();
    for _ in 0..5 {
        let asked = rig.now();
        client.write_all(b"?").unwrap();
        assert_eq!(hear(&mut served, 1), b"?");
        let answered = rig.now();
        assert!(answered.since(asked) >= ms(30), "{:?}", answered.since(asked));
        served.write_all(b"!").unwrap();
        assert_eq!(hear(&mut client, 1), b"!");
        assert!(rig.now().since(answered) >= ms(50), "{:?}", rig.now().since(answered));
    }
    let closing = rig.now();
    served.shutdown(Shutdown::Write).unwrap();
    assert_eq!(hear_to_end(&mut client), (Vec::new(), End::InOrder));
    assert!(rig.now().since(closing) >= ms(50), "the end takes the same way");
}

#[test]
fn jitter_never_changes_the_order() {
    let rig = Rig::new();
    rig.proxy.add(Toxic::latency_ms(3).jitter_ms(3)).unwrap();
    let (mut client, mut served) = rig.pair();
    let talker = std::thread::spawn(move || {
        for word in pattern(0, 30_000).chunks(10) {
            served.write_all(word).unwrap();
        }
    });
    assert!(hear_to_end(&mut client) == (pattern(0, 30_000), End::InOrder));
    talker.join().unwrap();
}

#[test]
fn bandwidth_takes_its_time() {
    let rig = Rig::new();
    rig.proxy.add(Toxic::bandwidth_kb_per_s(500).upstream()).unwrap();
    let (mut client, mut served) = rig.pair();
    let began = rig.now();
    client.write_all(&pattern(0, 100_000)).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(hear_to_end(&mut served), (pattern(0, 100_000), End::InOrder));
    assert!(rig.now().since(began) >= ms(200), "{:?}", rig.now().since(began));
}

#[test]
fn slow_close_holds_the_end_back_and_not_the_bytes() {
    let rig = Rig::new();
    rig.proxy.add(Toxic::new(ToxicKind::SlowClose { delay_ms: 100 })).unwrap();
    let (mut client, mut served) = rig.pair();
    served.write_all(b"last words").unwrap();
    let closing = rig.now();
    drop(served);
    assert_eq!(hear(&mut client, 10), b"last words");
    assert_eq!(hear_to_end(&mut client), (Vec::new(), End::InOrder));
    assert!(rig.now().since(closing) >= ms(100));
}

#[test]
fn a_timeout_lets_nothing_through_and_closes_both_ends() {
    let rig = Rig::new();
    rig.proxy.add(Toxic::new(ToxicKind::Timeout { timeout_ms: 80 })).unwrap();
    let began = rig.now();
    let (mut client, mut served) = rig.pair();
    served.write_all(b"never heard").unwrap();
    assert_eq!(hear_to_end(&mut client), (Vec::new(), End::InOrder));
    assert!(rig.now().since(began) >= ms(80));
    assert_eq!(hear_to_end(&mut served), (Vec::new(), End::InOrder));
    drop((client, served));
    rig.until("the end", |figures| figures.active == 0);
}

#[test]
fn a_black_hole_holds_and_lets_go_when_it_is_removed() {
    let rig = Rig::new();
    let (mut client, mut served) = rig.pair();
    rig.proxy.add(Toxic::black_hole().upstream()).unwrap();
    client.write_all(b"held").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    served.write_all(b"the other way is free").unwrap();
    assert_eq!(hear(&mut client, 21), b"the other way is free");
    rig.until("four bytes are held", |figures| figures.held_bytes == 4);
    assert!(hears_nothing(&mut served));
    rig.proxy.remove("timeout_upstream").unwrap();
    assert_eq!(hear_to_end(&mut served), (b"held".to_vec(), End::InOrder));
}

#[test]
fn reset_peer_resets_both_ends_once_something_comes() {
    let rig = Rig::new();
    rig.proxy.add(Toxic::new(ToxicKind::ResetPeer { timeout_ms: 40 }).upstream()).unwrap();
    let (mut client, mut served) = rig.pair();
    served.write_all(b"free until then").unwrap();
    assert_eq!(hear(&mut client, 15), b"free until then");
    let began = rig.now();
    client.write_all(b"never heard").unwrap();
    assert_eq!(hear_to_end(&mut served), (Vec::new(), End::Reset));
    assert!(rig.now().since(began) >= ms(40));
    assert_eq!(hear_to_end(&mut client), (Vec::new(), End::Reset));
}

#[test]
fn a_slicer_writes_many_small_pieces_with_pauses() {
    let rig = Rig::new();
    let slicer = ToxicKind::Slicer { average_size: 20, size_variation: 10, delay_us: 500 };
    rig.proxy.add(Toxic::new(slicer)).unwrap();
    let (mut client, mut served) = rig.pair();
    let sends_before = rig.proxy.metrics().snapshot(rig.now()).total.messages_out;
    let began = rig.now();
    served.write_all(&pattern(0, 3000)).unwrap();
    assert_eq!(hear(&mut client, 3000), pattern(0, 3000));
    let sends = rig.proxy.metrics().snapshot(rig.now()).total.messages_out - sends_before;
    // The last piece may be shorter, and so may one at each place where what was written was read in two.
    assert!((100..=320).contains(&sends), "{sends} writes of 10 to 30 bytes for 3,000");
    assert!(rig.now().since(began) >= Duration::from_micros(99 * 500), "{:?}", rig.now().since(began));
}

#[test]
fn a_slicer_of_single_bytes_without_a_pause_gets_everything_through() {
    let rig = Rig::new();
    let slicer = ToxicKind::Slicer { average_size: 1, size_variation: 0, delay_us: 0 };
    rig.proxy.add(Toxic::new(slicer)).unwrap();
    rig.proxy.add(Toxic::latency_ms(1)).unwrap();
    let (mut client, mut served) = rig.pair();
    let talker = std::thread::spawn(move || served.write_all(&pattern(0, 200_000)).unwrap());
    assert!(hear_to_end(&mut client) == (pattern(0, 200_000), End::InOrder));
    talker.join().unwrap();
}

#[test]
fn limit_data_cuts_at_the_byte() {
    let rig = Rig::new();
    rig.proxy.add(Toxic::new(ToxicKind::LimitData { bytes: 1000 })).unwrap();
    let (mut client, mut served) = rig.pair();
    served.write_all(&pattern(0, 600)).unwrap();
    assert_eq!(hear(&mut client, 600), pattern(0, 600));
    say_what_is_taken(&mut served, &pattern(600, 5000));
    assert_eq!(hear_to_end(&mut client), (pattern(600, 400), End::InOrder));
    assert_eq!(hear_to_end(&mut served).0, b"");
}

#[test]
fn down_resets_those_there_are_and_those_that_come() {
    let rig = Rig::new();
    let (mut client, mut served) = rig.pair();
    rig.proxy.add(Toxic::new(ToxicKind::Down)).unwrap();
    assert_eq!(hear_to_end(&mut client), (Vec::new(), End::Reset));
    assert_eq!(hear_to_end(&mut served), (Vec::new(), End::Reset));
    let mut refused = rig.client();
    assert_eq!(hear_to_end(&mut refused), (Vec::new(), End::Reset));
    rig.proxy.remove("down_downstream").unwrap();
    let (mut client, mut served) = rig.pair();
    served.write_all(b"up").unwrap();
    assert_eq!(hear(&mut client, 2), b"up");
    let figures = rig.figures();
    assert_eq!(figures.applied[ToxicKind::Down.number()], 2);
}

fn corrupted(seed: u64) -> Vec<u8> {
    let rig = Rig::seeded(seed);
    rig.proxy.add(Toxic::new(ToxicKind::Corrupt { probability: 0.001 })).unwrap();
    let (mut client, mut served) = rig.pair();
    let talker = std::thread::spawn(move || served.write_all(&pattern(0, 100_000)).unwrap());
    let heard = hear_to_end(&mut client).0;
    talker.join().unwrap();
    heard
}

#[test]
fn corruption_hits_the_same_bytes_with_the_same_seed() {
    let (first, again, other) = (corrupted(11), corrupted(11), corrupted(12));
    assert!(first == again, "one seed, one outcome");
    assert!(first != other, "another seed, another outcome");
    let hit = first.iter().zip(pattern(0, 100_000)).filter(|(heard, said)| *heard != said).count();
    assert!((50..200).contains(&hit), "{hit} of 100,000 bytes at one in 1,000");
}

#[test]
fn loss_stalls_and_loses_nothing() {
    let rig = Rig::new();
    rig.proxy.add(Toxic::new(ToxicKind::Loss { probability: 0.02, rtt_ms: 3 })).unwrap();
    let (mut client, mut served) = rig.pair();
    let talker = std::thread::spawn(move || served.write_all(&pattern(0, 500_000)).unwrap());
    assert!(hear_to_end(&mut client) == (pattern(0, 500_000), End::InOrder));
    talker.join().unwrap();
}

#[test]
fn a_partition_silences_one_way_and_heals() {
    let rig = Rig::new();
    let (mut client, mut served) = rig.pair();
    rig.proxy.add(Toxic::new(ToxicKind::Partition).named("cut")).unwrap();
    client.write_all(b"are you there?").unwrap();
    assert_eq!(hear(&mut served, 14), b"are you there?");
    served.write_all(b"yes").unwrap();
    drop(served);
    rig.until("three bytes are held", |figures| figures.held_bytes == 3);
    assert!(hears_nothing(&mut client));
    rig.proxy.remove("cut").unwrap();
    assert_eq!(hear_to_end(&mut client), (b"yes".to_vec(), End::InOrder));
}

#[test]
fn who_is_not_read_is_held_back_by_the_kernel() {
    let rig = Rig::new();
    rig.proxy.add(Toxic::new(ToxicKind::StopReading).upstream().named("hung")).unwrap();
    let (mut client, mut served) = rig.pair();
    client.set_nonblocking(true).unwrap();
    let said = pattern(0, 64 << 20);
    let mut taken = 0;
    while let Ok(n) = client.write(&said[taken..]) {
        taken += n;
    }
    assert!(taken < said.len(), "the kernel's buffers are smaller than this");
    assert_eq!(rig.figures().received_bytes[0], 0);
    served.write_all(b"the other way is free").unwrap();
    client.set_nonblocking(false).unwrap();
    assert_eq!(hear(&mut client, 21), b"the other way is free");
    rig.proxy.remove("hung").unwrap();
    assert!(hear(&mut served, taken) == said[..taken], "all that was taken comes");
}
