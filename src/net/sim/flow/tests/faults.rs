//! What links do to flows: partitions, clogs, bursts, dead hosts, short reads and writes.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_lost_message_comes_after_a_time_out() {
    let mut world = World::over(&fixed(50), 1);
    world.forward.set_blocked(true);
    world.write(b"hello");
    world.forward.set_blocked(false);
    while !world.step().expect("the timer is set").readable {}
    // The handshake is the only sample: 100 ms and four times half of that.
    assert_eq!(world.now, Instant::from_millis(350));
    assert_eq!((world.flow.retransmissions(), world.flow.timeouts()), (1, 1));
    assert_eq!(world.read(), b"hello");
    while world.step().is_some() {}
    assert_eq!(world.flow.bytes_acked(), 5);
}

#[test]
fn a_partition_is_silence_with_doubling_time_outs_until_the_flow_gives_up() {
    let mut world = World::over(&fixed(50), 1);
    world.write(b"hello");
    world.run_for(SECOND);
    world.forward.set_blocked(true);
    world.write(b"again");
    let from = world.now;
    let failed = loop {
        let change = world.step().expect("somebody gives up");
        if change.failed.is_some() {
            break change.failed;
        }
    };
    assert_eq!(failed, Some(Errno::TIMEDOUT));
    assert_eq!(world.now.since(from), Duration::from_millis(924_600));
    assert!((12..=16).contains(&world.flow.timeouts()), "{} time-outs", world.flow.timeouts());
    assert!(world.heap.is_empty());
    assert_eq!(world.flow.write(world.now, b"dead"), 0);
}

#[test]
fn the_user_timeout_is_kept_to_the_nanosecond() {
    let settings = FlowSettings { user_timeout: Some(5 * SECOND), ..FlowSettings::default() };
    for is_deaf in [true, false] {
        let mut world = World::new(settings.clone(), &fixed(50), &fixed(50), 1);
        world.forward.set_blocked(!is_deaf);
        world.deaf = is_deaf;
        world.write(b"hello");
        assert_eq!(world.run_until(Instant::from_nanos(4_999_999_999)).failed, None);
        assert_eq!(world.run_until(Instant::from_millis(5_000)).failed, Some(Errno::TIMEDOUT));
    }
}

#[test]
fn data_passes_a_partition_of_the_way_back() {
    let mut world = World::over(&fixed(50), 1);
    world.back.set_blocked(true);
    world.write(b"hello");
    world.run_for(10 * SECOND);
    assert_eq!(world.read(), b"hello");
    assert_eq!(world.flow.bytes_acked(), 0);
    assert!(world.flow.timeouts() >= 4);
    world.back.set_blocked(false);
    world.run_for(60 * SECOND);
    assert_eq!((world.flow.bytes_acked(), world.heap.len()), (5, 0));
    assert_eq!(world.flow.readable(), 0, "nothing arrives twice");
}

#[test]
fn a_clog_delays_and_loses_nothing() {
    let mut world = World::over(&fixed(50), 1);
    world.forward.clog_until(Instant::from_millis(10_000));
    world.write(&[1; 10_000]);
    world.run_until(Instant::from_millis(9_999));
    assert_eq!(world.flow.readable(), 0);
    assert!(world.flow.timeouts() > 3, "the sender cannot know");
    world.run_until(Instant::from_millis(10_000));
    assert_eq!(world.read().len(), 10_000);
    while world.step().is_some() {}
    assert_eq!((world.flow.buffered(), world.flow.readable()), (0, 0));
}

#[test]
fn a_loss_in_a_stream_is_repaired_without_a_time_out() {
    let mut world = World::over(&fixed(50), 1);
    world.forward.set_blocked(true);
    world.write(&[1; 1_460]);
    world.forward.set_blocked(false);
    world.write(&[2; 100_000]);
    world.run_until(Instant::from_millis(149));
    assert_eq!(world.flow.readable(), 0, "the repetition takes a second round trip");
    while world.flow.bytes_delivered() < 101_460 {
        world.step().expect("it goes on");
    }
    assert_eq!((world.flow.retransmissions(), world.flow.timeouts()), (1, 0));
    assert_eq!(world.read(), [vec![1; 1_460], vec![2; 100_000]].concat());
}

#[test]
fn a_window_update_that_is_lost_does_not_stop_the_flow() {
    let settings = FlowSettings { receive_buffer_bytes: 10_000, ..FlowSettings::default() };
    let mut world = World::new(settings, &fixed(50), &fixed(50), 1);
    world.write(&[1; 15_000]);
    world.run_for(SECOND);
    world.back.set_blocked(true);
    assert_eq!(world.read().len(), 10_000);
    world.back.set_blocked(false);
    world.run_for(120 * SECOND);
    assert_eq!(world.read().len(), 5_000);
    assert_eq!((world.flow.retransmissions(), world.flow.timeouts()), (0, 0));
}

#[test]
fn an_answering_reader_without_room_is_waited_for_and_a_silent_one_is_not() {
    let settings = FlowSettings { receive_buffer_bytes: 10_000, ..FlowSettings::default() };
    let mut world = World::new(settings, &fixed(50), &fixed(50), 1);
    world.write(&[1; 15_000]);
    assert_eq!(world.run_for(5_000 * SECOND).failed, None);
    world.forward.set_blocked(true);
    assert_eq!(world.run_for(1_100 * SECOND).failed, Some(Errno::TIMEDOUT));
}

#[test]
fn short_reads_come_in_two_portions() {
    let settings = FlowSettings { short_read: 1.0, ..FlowSettings::default() };
    let mut world = World::new(settings, &fixed(50), &fixed(50), 1);
    world.write(b"in two portions");
    world.finish();
    let first = world.step().expect("it arrives");
    assert!(first.readable && !first.end);
    let bytes = world.read();
    assert!(!bytes.is_empty() && bytes.len() < 15 && !world.flow.end_arrived());
    while !world.flow.end_arrived() {
        world.step().expect("the rest comes");
    }
    assert_eq!([bytes, world.read()].concat(), b"in two portions");
    assert!(world.now.since(Instant::from_millis(50)) <= Duration::from_millis(1));
}

#[test]
fn short_writes_are_over_in_a_moment() {
    let settings = FlowSettings { short_write: 1.0, ..FlowSettings::default() };
    let mut world = World::new(settings, &fixed(50), &fixed(50), 1);
    let mut written = 0;
    while written < 100 {
        let taken = world.write(&[1; 100][written..]);
        assert!(taken < 100 - written);
        assert_eq!(world.flow.write_room(world.now), 0);
        written += taken;
        if written == 99 {
            break;
        }
        while !world.step().expect("it is told of room").writable {}
        assert!(world.now < Instant::from_millis(100 * 50));
    }
    assert_eq!(written, 99, "the last byte is refused for ever at this probability");
}
