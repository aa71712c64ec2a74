//! The timeouts of section 4, each with its own cause, never early; and exact timers.
//!
//! The reactor sleeps on its own deadlines, so these tests take as long as the timeouts that they set.

use crate::net::{End, Rig, Seen, config, drink, ignore, options};
use std::io::Write;
use std::net::TcpListener;
use std::time::Duration;
use windlass::time::Instant;
use windlass::{Cause, Conn, Connect, Event, Io, Options, Owner, Timeouts, Wait};

const SHORT: Duration = Duration::from_millis(30);

/// Only the timeouts that `change` sets.
fn only(change: impl FnOnce(&mut Timeouts)) -> Options {
    options(|o| {
        let t = &mut o.timeouts;
        (t.connect, t.handshake, t.read) = (None, None, None);
        (t.write, t.keep_alive, t.drain) = (None, None, None);
        change(t);
    })
}

/// When the connection ended, on the reactor's clock.
fn ended_at(rig: &Rig, conn: Conn) -> Instant {
    rig.closed(conn).expect("it is closed").at()
}

/// A listener whose backlog is full, so that a further handshake never completes; and what fills it.
fn silent_listener() -> (TcpListener, Vec<std::net::TcpStream>) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let any: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
    socket.bind(&any.into()).unwrap();
    socket.listen(0).unwrap();
    let listener = TcpListener::from(socket);
    let first = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (listener, vec![first])
}

#[test]
fn connect_timeout_when_tcp_is_not_established() {
    let (listener, _full) = silent_listener();
    let mut rig = Rig::new();
    let to = Connect::to(listener.local_addr().unwrap()).options(only(|t| t.connect = Some(SHORT)));
    let began = rig.io().now();
    let conn = rig.io().connect(to).unwrap();
    assert_eq!(rig.until_closed(conn, ignore), Cause::ConnectTimeout);
    assert!(ended_at(&rig, conn) >= began + SHORT);
    assert_eq!(rig.words(conn), ["closed"]);
    assert_eq!(rig.figures().connections_failed[Cause::ConnectTimeout], 1);
}

#[test]
fn the_total_deadline_and_a_close_end_a_connect_too() {
    let (listener, _full) = silent_listener();
    let mut rig = Rig::new();
    let to = Connect::to(listener.local_addr().unwrap()).options(only(|_| ()));
    let (one, two) = (rig.io().connect(to.clone()).unwrap(), rig.io().connect(to).unwrap());
    let at = rig.io().now() + SHORT;
    rig.io().deadline(one, Some(at)).unwrap();
    assert!(rig.io().close(two));
    assert_eq!(rig.until_closed(one, ignore), Cause::DeadlineExceeded);
    assert!(ended_at(&rig, one) >= at);
    assert_eq!(rig.until_closed(two, ignore), Cause::Closed);
    assert_eq!((rig.words(one), rig.words(two)), (vec!["closed"], vec!["closed"]));
}

#[test]
fn keep_alive_timeout_when_no_byte_moves() {
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer_with(only(|t| t.keep_alive = Some(SHORT)));
    let opened = rig.io().now();
    let (_, end) = rig.receive_to_end(&mut peer, ignore);
    assert_eq!(rig.until_closed(conn, ignore), Cause::IdleTimeout);
    assert!(ended_at(&rig, conn) >= opened && end != End::None);
}

/// Calls `drop` whenever `every` has passed, `times` times or until a connection closes, and says when the turn of
/// the last call was. A stalled machine may let the timeout come in between, rightly; never before that time has
/// passed since the last drop.
fn drip(rig: &mut Rig, times: usize, every: Duration, mut drop: impl FnMut(&mut Io)) -> Instant {
    let mut last = rig.io().now();
    for tag in 0..times as u64 {
        let at = rig.io().now() + every;
        rig.io().timer_at(at, tag);
        let mut fired = None;
        let noting = |io: &mut Io, event: Event<'_>| {
            if let Event::Timer { .. } = event {
                fired = Some(io.now());
            }
        };
        let before = rig.count("timer");
        rig.until("the next drop", noting, |rig| rig.count("timer") > before || rig.count("closed") > 0);
        if rig.count("closed") > 0 {
            break;
        }
        last = fired.expect("the timer has fired");
        drop(rig.io());
    }
    last
}

/// Bytes of either direction restart it; it would have come several times over otherwise.
#[test]
fn traffic_either_way_restarts_keep_alive() {
    const IDLE: Duration = Duration::from_millis(60);
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer_with(only(|t| t.keep_alive = Some(IDLE)));
    let mut out = false;
    let last = drip(&mut rig, 8, IDLE / 4, |io| {
        out = !out;
        if out {
            io.send(conn, b"x").unwrap();
        } else {
            peer.write_all(b"x").unwrap();
        }
    });
    assert_eq!(rig.until_closed(conn, ignore), Cause::IdleTimeout);
    assert!(ended_at(&rig, conn) >= last + IDLE);
}

#[test]
fn read_timeout_while_bytes_are_kept() {
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer_with(only(|t| t.read = Some(SHORT)));
    peer.write_all(b"half a mess").unwrap();
    let mut kept_at = None;
    let cause = rig.until_closed(conn, |io, event| {
        if let Event::Data { conn, bytes } = event {
            io.keep(conn, bytes.len()).unwrap();
            kept_at = Some(io.now());
        }
    });
    assert_eq!((cause, rig.count("data")), (Cause::ReadTimeout, 1));
    assert!(ended_at(&rig, conn) >= kept_at.unwrap() + SHORT);
}

#[test]
fn read_timeout_while_an_answer_is_expected_and_not_otherwise() {
    let mut rig = Rig::new();
    let (idle, _peer) = rig.peer_with(only(|t| t.read = Some(SHORT)));
    let (conn, _other) = rig.peer_with(only(|t| t.read = Some(SHORT)));
    let since = rig.io().now();
    rig.io().expect(conn).unwrap();
    assert_eq!(rig.until_closed(conn, ignore), Cause::ReadTimeout);
    assert!(ended_at(&rig, conn) >= since + SHORT);
    assert!(rig.closed(idle).is_none(), "nothing was owed");
}

#[test]
fn an_answer_ends_the_expectation() {
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer_with(only(|t| t.read = Some(SHORT)));
    rig.io().expect(conn).unwrap();
    peer.write_all(b"answer").unwrap();
    rig.until_data(conn, 6, ignore);
    assert_eq!(rig.figures().deadlines_expired, 0);
    let late = rig.io().now() + SHORT * 2;
    rig.io().timer_at(late, 1);
    rig.until("more than the timeout has passed", ignore, |rig| rig.count("timer") == 1);
    assert!(rig.io().is_open(conn));
}

#[test]
fn progress_restarts_the_read_timeout() {
    const READ: Duration = Duration::from_millis(60);
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer_with(only(|t| t.read = Some(READ)));
    let mut keep = |io: &mut Io, event: Event<'_>| {
        if let Event::Data { conn, .. } = event {
            io.keep_until(conn, 1, 100).unwrap();
        }
    };
    peer.write_all(b"x").unwrap();
    rig.until_data(conn, 1, &mut keep);
    let last = drip(&mut rig, 8, READ / 4, |_| {
        peer.write_all(b"x").unwrap();
    });
    assert_eq!(rig.until_closed(conn, keep), Cause::ReadTimeout);
    assert!(ended_at(&rig, conn) >= last + READ);
    assert_eq!(rig.data(conn).len(), 1, "what was wanted never came");
}

/// When nothing is owed any more the keep-alive timeout applies, even if it is shorter than the read timeout
/// that the wheel had been set for; it was looked at only when that one would have come.
#[test]
fn keep_alive_applies_as_soon_as_no_input_is_owed_any_more() {
    for half_close in [false, true] {
        let mut rig = Rig::new();
        let mut both = only(|t| (t.keep_alive, t.read) = (Some(SHORT), Some(Duration::from_secs(3600))));
        both.half_close = half_close;
        let (conn, mut peer) = rig.peer_with(both);
        rig.io().expect(conn).unwrap();
        let late = rig.io().now() + SHORT * 2;
        rig.io().timer_at(late, 1);
        rig.until("the wheel has been by", ignore, |rig| rig.count("timer") == 1);
        assert!(rig.io().is_open(conn), "an answer is owed, so it is not idle");
        if half_close {
            peer.shutdown(std::net::Shutdown::Write).unwrap();
        } else {
            peer.write_all(b"answer").unwrap();
        }
        assert_eq!(rig.until_closed(conn, ignore), Cause::IdleTimeout);
    }
}

#[test]
fn write_timeout_while_the_peer_takes_nothing() {
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer_with(only(|t| t.write = Some(SHORT)));
    rig.clog(conn);
    let since = rig.io().now();
    rig.io().send(conn, b"more").unwrap();
    assert_eq!(rig.until_closed(conn, ignore), Cause::WriteTimeout);
    assert!(ended_at(&rig, conn) >= since + SHORT);
    assert_eq!(rig.receive_to_end(&mut peer, ignore).1, End::Reset, "the peer learns that something is lost");
}

#[test]
fn bytes_that_the_kernel_takes_restart_the_write_timeout() {
    const WRITE: Duration = Duration::from_millis(60);
    let mut rig = Rig::new();
    // A small kernel buffer, so that what the peer takes at a time is little of what is queued; and a Unix
    // socket, because TCP may take its time to say that there is room.
    let mut small = only(|t| t.write = Some(WRITE));
    small.socket.send_buffer_bytes = Some(16 * 1024);
    let (ours, mut peer) = std::os::unix::net::UnixStream::pair().unwrap();
    peer.set_nonblocking(true).unwrap();
    let conn = rig.io().adopt(windlass::Adopt::stream(ours).options(small)).unwrap();
    rig.until("it opens", ignore, |rig| rig.count("opened") == 1);
    rig.io().send(conn, &[0; 1_000_000]).unwrap();
    let last = drip(&mut rig, 8, WRITE / 4, |_| {
        let mut got = Vec::new();
        drink(&mut peer, &mut got, usize::MAX);
        assert!(!got.is_empty());
    });
    assert_eq!(rig.until_closed(conn, ignore), Cause::WriteTimeout);
    assert!(ended_at(&rig, conn) >= last + WRITE);
}

#[test]
fn drain_timeout_when_a_close_can_not_flush() {
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer_with(only(|t| t.drain = Some(SHORT)));
    rig.clog(conn);
    let since = rig.io().now();
    rig.io().close(conn);
    assert_eq!(rig.until_closed(conn, ignore), Cause::DrainTimeout);
    assert!(ended_at(&rig, conn) >= since + SHORT);
    assert_eq!(rig.receive_to_end(&mut peer, ignore).1, End::Reset);
}

/// All that we had to say was said: a peer that merely stays does not make the close fail.
#[test]
fn a_peer_that_never_ends_its_side_is_left_after_the_drain_timeout() {
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer_with(only(|t| t.drain = Some(SHORT)));
    rig.io().send(conn, b"bye").unwrap();
    rig.io().close(conn);
    assert_eq!(rig.receive_to_end(&mut peer, ignore), (b"bye".to_vec(), End::InOrder));
    assert_eq!(rig.until_closed(conn, ignore), Cause::Closed);
}

#[test]
fn the_total_deadline_is_never_extended_by_traffic() {
    const TOTAL: Duration = Duration::from_millis(80);
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer_with(only(|t| t.keep_alive = Some(TOTAL)));
    let at = rig.io().now() + TOTAL;
    rig.io().deadline(conn, Some(at)).unwrap();
    let mut bytes = 0;
    while rig.closed(conn).is_none() {
        // A peer that sends a byte at a time, whenever the last one was taken.
        bytes += usize::from(peer.write_all(b"x").is_ok());
        let taken = rig.count("data");
        rig.until("it is taken", ignore, |rig| rig.count("data") > taken || rig.closed(conn).is_some());
    }
    assert_eq!(rig.closed(conn).unwrap().cause(), Cause::DeadlineExceeded);
    assert!(ended_at(&rig, conn) >= at && bytes > 0, "{bytes} bytes");
}

#[test]
fn a_total_deadline_can_be_taken_away() {
    let mut rig = Rig::new();
    let (conn, _peer) = rig.peer_with(only(|_| ()));
    let at = rig.io().now() + SHORT;
    rig.io().deadline(conn, Some(at)).unwrap();
    rig.io().deadline(conn, None).unwrap();
    rig.io().timer_at(at + SHORT, 1);
    rig.until("it would have come", ignore, |rig| rig.count("timer") == 1);
    assert!(rig.io().is_open(conn));
}

#[test]
fn timeouts_of_one_connection_change_at_run_time() {
    let mut rig = Rig::new();
    let (conn, _peer) = rig.peer_with(only(|t| t.keep_alive = Some(Duration::from_secs(3600))));
    let (other, _its_peer) = rig.peer();
    let since = rig.io().now();
    rig.io().set_options(conn, only(|t| t.keep_alive = Some(SHORT))).unwrap();
    assert_eq!(rig.until_closed(conn, ignore), Cause::IdleTimeout);
    assert!(ended_at(&rig, conn) >= since);
    assert!(rig.closed(other).is_none());
}

#[test]
fn a_timeout_made_longer_at_run_time_does_not_come_early() {
    let mut rig = Rig::new();
    let (conn, _peer) = rig.peer_with(only(|t| t.keep_alive = Some(SHORT)));
    rig.io().set_options(conn, only(|t| t.keep_alive = Some(SHORT * 3))).unwrap();
    let since = rig.io().now();
    assert_eq!(rig.until_closed(conn, ignore), Cause::IdleTimeout);
    assert!(ended_at(&rig, conn) + Duration::from_millis(10) >= since + SHORT * 2);
}

#[test]
fn default_timeouts_change_for_all_that_use_them_and_for_nobody_else() {
    let mut rig = Rig::with(config(|c| c.options = only(|_| ())));
    let (uses, _a) = rig.peer_of(Owner::APP, None);
    let (own, _b) = rig.peer_with(only(|_| ()));
    rig.io().set_default_options(only(|t| t.keep_alive = Some(SHORT))).unwrap();
    let (later, _c) = rig.peer_of(Owner::APP, None);
    assert_eq!(rig.until_closed(uses, ignore), Cause::IdleTimeout);
    assert_eq!(rig.until_closed(later, ignore), Cause::IdleTimeout);
    assert!(rig.closed(own).is_none());
}

#[test]
fn options_that_make_no_sense_are_refused_and_change_nothing() {
    let mut rig = Rig::new();
    let (conn, _peer) = rig.peer();
    let before = rig.io().options(conn).unwrap().clone();
    let senseless = options(|o| o.queue.low_bytes = o.queue.high_bytes);
    assert!(rig.io().set_options(conn, senseless.clone()).is_err());
    assert!(rig.io().set_default_options(senseless).is_err());
    assert_eq!(rig.io().options(conn), Some(&before));
}

#[test]
fn timers_fire_in_the_order_of_their_times_and_never_early() {
    let mut rig = Rig::new();
    let start = rig.io().clock();
    let delays = [12, 3, 7, 3, 0, 20, 1];
    let at = |tag: u64| start + Duration::from_millis(delays[tag as usize]);
    for tag in 0..delays.len() as u64 {
        rig.io().timer_at(at(tag), tag);
    }
    rig.until(
        "all fire",
        |io, event| {
            if let Event::Timer { tag, .. } = event {
                assert!(io.now() >= at(tag), "timer {tag} came early");
            }
        },
        |rig| rig.count("timer") == delays.len(),
    );
    let tags: Vec<_> =
        rig.seen.iter().map(|seen| if let Seen::Timer(_, tag) = seen { *tag } else { 99 }).collect();
    assert_eq!(tags, [4, 6, 1, 3, 2, 0, 5]);
}

#[test]
fn a_cancelled_timer_does_not_fire_and_a_moved_one_fires_at_its_new_time() {
    let mut rig = Rig::new();
    let now = rig.io().clock();
    let gone = rig.io().timer_at(now, 1);
    let later = rig.io().timer_at(now, 2);
    let sooner = rig.io().timer_after(Duration::from_secs(3600), 3);
    assert!(rig.io().cancel(gone));
    assert!(rig.io().reschedule(later, now + SHORT) && rig.io().reschedule(sooner, now + SHORT / 2));
    let mut fired = Vec::new();
    rig.until(
        "both fire",
        |io, event| {
            if let Event::Timer { timer, tag } = event {
                assert!(!io.cancel(timer), "it is stale when it fires");
                fired.push((tag, io.now()));
            }
        },
        |rig| rig.count("timer") == 2,
    );
    assert_eq!([fired[0].0, fired[1].0], [3, 2]);
    assert!(fired[0].1 >= now + SHORT / 2 && fired[1].1 >= now + SHORT);
}

#[test]
fn timer_after_counts_from_the_start_of_the_turn() {
    let mut rig = Rig::new();
    rig.io().timer_after(Duration::ZERO, 1);
    let mut set = None;
    rig.turn(Wait::No, |io, _| {
        io.timer_after(SHORT, 2);
        set = Some(io.now());
    });
    let at = set.expect("the first one has fired") + SHORT;
    assert_eq!(rig.reactor.next_deadline(), Some(at));
    let fired = |io: &mut Io, _: Event<'_>| assert!(io.now() >= at);
    rig.until("the second one fires", fired, |rig| rig.count("timer") == 2);
    assert_eq!(rig.figures().timers_fired, 2);
}

#[test]
fn bytes_that_we_hold_back_are_no_silence_of_the_peers() {
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer_with(only(|t| t.keep_alive = Some(SHORT)));
    rig.io().pause(conn).unwrap();
    peer.write_all(b"later").unwrap();
    let late = rig.io().now() + SHORT * 3;
    rig.io().timer_at(late, 1);
    rig.until("three timeouts have passed", ignore, |rig| rig.count("timer") == 1);
    assert!(rig.io().is_open(conn), "it was us who did not read");
    rig.io().resume(conn).unwrap();
    let resumed = rig.io().now();
    assert_eq!(rig.until_closed(conn, ignore), Cause::IdleTimeout);
    assert_eq!(rig.count("data"), 1);
    assert!(ended_at(&rig, conn) >= resumed + SHORT, "the timeout counts from the resumption");
}

#[test]
fn a_timer_for_now_fires_in_the_next_turn_and_not_again_and_again_in_this_one() {
    let mut rig = Rig::new();
    let mut fired_in = Vec::new();
    let now = rig.io().now();
    rig.io().timer_at(now, 0);
    let again = |io: &mut Io, event: Event<'_>| {
        if let Event::Timer { tag, .. } = event {
            fired_in.push(io.now());
            io.timer_at(io.now(), tag + 1);
        }
    };
    rig.until("three have fired", again, |rig| rig.count("timer") == 3);
    assert!(fired_in.windows(2).all(|two| two[0] < two[1]), "{fired_in:?}");
}

#[test]
fn kept_tails_that_fill_the_memory_still_time_out() {
    let mut rig = Rig::with(config(|c| c.buffer_bytes_max = 1 << 20));
    let options = only(|t| t.read = Some(Duration::from_millis(300)));
    let keep = |io: &mut Io, event: Event<'_>| {
        if let Event::Data { conn, bytes } = event {
            io.keep(conn, bytes.len()).unwrap();
        }
    };
    let mut peers: Vec<_> = (0..20).map(|_| rig.peer_with(options.clone())).collect();
    for (_, peer) in &mut peers {
        peer.write_all(&[7; 60_000]).unwrap();
    }
    for _ in 0..20 {
        rig.turn(Wait::For(Duration::from_millis(2)), keep);
    }
    for (_, peer) in &mut peers {
        peer.write_all(b"more").unwrap();
    }
    rig.until("the tails time out", keep, |rig| rig.count("closed") > 0);
}

#[test]
fn a_paused_connection_whose_peer_left_falls_idle() {
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer_with(only(|t| t.keep_alive = Some(SHORT)));
    rig.io().pause(conn).unwrap();
    peer.write_all(b"unread").unwrap();
    for _ in 0..40 {
        rig.turn(Wait::For(Duration::from_millis(5)), ignore);
    }
    assert!(rig.closed(conn).is_none());
    drop(peer);
    assert_eq!(rig.until_closed(conn, ignore), Cause::IdleTimeout);
}

#[test]
fn granting_on_a_timer_does_not_stop_the_clock() {
    let mut rig = Rig::new();
    let (conn, _peer) = rig.peer_with(only(|t| t.read = Some(SHORT)));
    rig.io().grant_read(conn, Some(100)).unwrap();
    rig.io().expect(conn).unwrap();
    rig.io().timer_after(Duration::from_millis(5), 0);
    let cause = rig.until_closed(conn, |io, event| {
        if let Event::Timer { .. } = event {
            let _ = io.grant_read(conn, Some(100));
            io.timer_after(Duration::from_millis(5), 0);
        }
    });
    assert_eq!(cause, Cause::ReadTimeout);
}

#[test]
fn granting_write_on_a_timer_does_not_stop_the_clock() {
    let mut rig = Rig::new();
    let (conn, _peer) = rig.peer_with(only(|t| t.write = Some(SHORT)));
    rig.clog(conn);
    rig.io().grant_write(conn, Some(100)).unwrap();
    rig.io().timer_after(Duration::from_millis(5), 0);
    let cause = rig.until_closed(conn, |io, event| {
        if let Event::Timer { .. } = event {
            let _ = io.grant_write(conn, Some(100));
            io.timer_after(Duration::from_millis(5), 0);
        }
    });
    assert_eq!(cause, Cause::WriteTimeout);
}

#[test]
fn a_finished_connection_falls_idle_after_its_queue_has_left() {
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer_with(only(|t| t.keep_alive = Some(SHORT)));
    rig.clog(conn);
    rig.io().finish(conn).unwrap();
    for _ in 0..40 {
        rig.turn(Wait::For(Duration::from_millis(5)), ignore);
    }
    assert!(rig.closed(conn).is_none());
    peer.set_nonblocking(true).unwrap();
    let mut got = Vec::new();
    rig.until("it falls idle", ignore, |rig| {
        drink(&mut peer, &mut got, usize::MAX);
        rig.closed(conn).is_some()
    });
}

#[test]
fn relend_with_nothing_kept_leaves_the_want() {
    let mut rig = Rig::new();
    let (conn, mut peer) = rig.peer_with(Options::default());
    peer.write_all(b"a").unwrap();
    let want = |io: &mut Io, event: Event<'_>| {
        if let Event::Data { conn, .. } = event {
            io.keep_until(conn, 0, 4).unwrap();
        }
    };
    rig.until("data", want, |rig| rig.count("data") == 1);
    rig.io().relend(conn).unwrap();
    rig.settle(ignore);
    peer.write_all(b"bc").unwrap();
    rig.settle(ignore);
    assert_eq!(rig.count("data"), 1);
}
