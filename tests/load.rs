//! The load generator over real sockets: what it counts is what the target saw, and every way a target can fail it ends
//! in a record with a sentence.

#[path = "rig/slow.rs"]
mod slow;
#[path = "../src/thorough.rs"]
mod thorough;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use windlass::load::record::{self, Outcome, Verdict};
use windlass::load::{
    self, Answer, Draw, Echo, Malformed, Mode, Pace, Plan, Progress, Protocol, Run, Sizes, Spacing, Step,
};
use windlass::{Address, Connect, Cores, Event, Io, Listen, Running};

/// An echo server that counts the bytes it was sent and the connections it saw.
struct Server {
    running: Option<Running>,
    address: Address,
    bytes: Arc<AtomicU64>,
    accepted: Arc<AtomicU64>,
}

impl Server {
    fn start(listen: Listen) -> Server {
        let (bytes, accepted) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (seen, taken) = (Arc::clone(&bytes), Arc::clone(&accepted));
        let running = Cores::new(1)
            .listen(listen)
            .start(move |_core| {
                let (seen, taken) = (Arc::clone(&seen), Arc::clone(&taken));
                move |io: &mut Io, event: Event<'_>| match event {
                    Event::Accepted { .. } => drop(taken.fetch_add(1, Relaxed)),
                    Event::Data { conn, bytes } => {
                        seen.fetch_add(bytes.len() as u64, Relaxed);
                        let _ = io.send(conn, bytes);
                    }
                    _ => {}
                }
            })
            .expect("an echo server starts");
        let address = running.addresses()[0].clone();
        Server { running: Some(running), address, bytes, accepted }
    }

    fn tcp() -> Server {
        Server::start(Listen::tcp("127.0.0.1:0"))
    }

    fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.shutdown(Duration::ZERO);
            running.join().expect("the server ends well");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn plan(target: &Address) -> Plan {
    let mut plan = Plan::new(target.clone());
    plan.connections = 8;
    plan.pace = Pace::constant(2_000.0);
    (plan.warm_up, plan.duration) = (Duration::from_millis(50), Duration::from_millis(300));
    (plan.timeout, plan.connect_timeout) = (Duration::from_millis(400), Duration::from_secs(2));
    plan.interval = Some(Duration::from_millis(50));
    plan
}

fn echo() -> Echo {
    Echo::new(Sizes::Fixed(64))
}

#[track_caller]
fn assert_whole(run: &Run) {
    assert_eq!((run.outcome, &run.failure), (Outcome::Complete, &None), "{:?}", run.failures);
    assert_adds_up(run);
}

#[track_caller]
fn assert_adds_up(run: &Run) {
    let totals = &run.totals;
    assert_eq!(totals.answered + totals.failed(), totals.asked);
    assert_eq!(run.response.histogram.count(), totals.asked);
    assert_eq!(run.service.histogram.count(), totals.asked - totals.unsent);
    let over_time: u64 = run.intervals.iter().map(|interval| interval.response.histogram.count()).sum();
    assert_eq!(over_time, totals.asked);
    assert_eq!(run.intervals.iter().map(|interval| interval.answered).sum::<u64>(), totals.answered);
    let reasons: u64 = run.failures.iter().map(|kind| kind.count).sum();
    assert_eq!(reasons, totals.failed(), "{:?}", run.failures);
}

#[test]
fn an_open_loop_asks_for_what_was_planned_and_counts_what_the_target_saw() {
    let mut server = Server::tcp();
    let run = load::run(&plan(&server.address), echo()).unwrap();
    assert_whole(&run);
    assert_eq!((run.totals.asked, run.totals.answered), (600, 600));
    assert_eq!((run.totals.connected, run.connect.histogram.count()), (8, 8));
    // Nothing that came after the end is in the rates, nor the time it took.
    let covered: f64 = run.intervals.iter().map(|interval| interval.length_s).sum();
    assert!(run.totals.answered_per_s <= 600.0 / 0.3 && covered > 0.2999, "{:?}", run.totals);
    assert!(run.handshake.is_none());
    server.stop();
    // The warm-up's hundred are in what the target saw and not in what was counted.
    assert_eq!((server.bytes.load(Relaxed), run.totals.sent_bytes), (700 * 64, 600 * 64));
    assert_eq!(server.accepted.load(Relaxed), 8);
}

#[test]
fn a_handshake_is_a_connection_for_each_request() {
    let mut server = Server::tcp();
    let mut plan = plan(&server.address);
    (plan.mode, plan.connections, plan.pace) = (Mode::Handshakes, 4, Pace::constant(200.0));
    let run = load::run(&plan, echo()).unwrap();
    assert_whole(&run);
    assert_eq!((run.totals.asked, run.workload.mode), (60, record::Mode::Handshakes));
    // Each place for a request tries the target first, and the warm-up's ten have theirs too.
    assert_eq!((run.totals.connected, run.connect.histogram.count()), (4 + 10 + 60, 60));
    assert!(run.handshake.is_none() && run.security.is_none(), "nothing is secured here");
    server.stop();
    assert_eq!((server.accepted.load(Relaxed), server.bytes.load(Relaxed)), (4 + 10 + 60, 70 * 64));
}

#[test]
fn handshakes_in_a_closed_loop_go_as_fast_as_they_can_and_rest_as_asked() {
    if slow::left_out() {
        return;
    }
    let server = Server::tcp();
    let mut plan = plan(&server.address);
    (plan.mode, plan.pace) = (Mode::Handshakes, Pace::Closed);
    let fast = load::run(&plan, echo()).unwrap();
    assert_whole(&fast);
    assert_eq!(fast.totals.answered, fast.connect.histogram.count());
    plan.think = Duration::from_millis(100);
    let slow = load::run(&plan, echo()).unwrap();
    assert_whole(&slow);
    assert!(slow.totals.answered <= 8 * 4, "a place rests before its next: {:?}", slow.totals);
}

#[test]
fn handshakes_that_are_cut_short_are_lost_and_the_target_is_not_stormed() {
    // Every third connection is closed before it is answered.
    let seen = AtomicU64::new(0);
    let target = messages(move |_, stream, message| {
        seen.fetch_add(1, Relaxed) % 3 != 2 && stream.write_all(message).is_ok()
    });
    let mut plan = plan(&target);
    (plan.mode, plan.connections, plan.pace) = (Mode::Handshakes, 2, Pace::constant(100.0));
    let run = load::run(&plan, echo()).unwrap();
    assert_eq!(run.outcome, Outcome::Complete, "{:?}", run.failure);
    assert_adds_up(&run);
    assert!(run.totals.lost > 0 && run.totals.answered > 0, "{:?}", run.totals);
}

#[test]
fn threads_share_connections_and_rate() {
    let server = Server::tcp();
    let mut plan = plan(&server.address);
    (plan.threads, plan.connections) = (3, 10);
    let run = load::run(&plan, echo()).unwrap();
    assert_whole(&run);
    assert_eq!((run.totals.asked, run.totals.connected), (600, 10));
}

#[test]
fn unix_sockets_poisson_ramps_and_pipelines_are_answered_in_full() {
    let folder = std::env::temp_dir().join(format!("windlass-load-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let server = Server::start(Listen::unix(folder.join("echo.sock")));
    let mut plan = plan(&server.address);
    plan.pace = Pace::Open { from_per_s: 500.0, to_per_s: 4_000.0, spacing: Spacing::Poisson };
    plan.depth = 4;
    let run = load::run(&plan, Echo::new("1..20000".parse().unwrap())).unwrap();
    assert_whole(&run);
    assert!((550..800).contains(&run.totals.asked), "{}", run.totals.asked);
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_closed_loop_keeps_its_depth_in_flight() {
    let server = Server::tcp();
    let mut plan = plan(&server.address);
    (plan.pace, plan.depth, plan.connections) = (Pace::Closed, 4, 2);
    let run = load::run(&plan, echo()).unwrap();
    assert_whole(&run);
    assert!(run.totals.answered > 100 && run.totals.unsent == 0, "{:?}", run.totals);
}

#[test]
fn connections_are_replaced_after_their_share() {
    let mut server = Server::tcp();
    let mut plan = plan(&server.address);
    plan.reconnect_every = Some(10);
    let run = load::run(&plan, echo()).unwrap();
    assert_whole(&run);
    server.stop();
    let accepted = server.accepted.load(Relaxed);
    assert!((70..=78).contains(&accepted), "700 requests, ten each, on eight connections: {accepted}");
    assert_eq!(run.totals.connected, run.connect.histogram.count());
}

#[test]
fn messages_larger_than_every_buffer_come_back_whole() {
    let server = Server::tcp();
    let mut plan = plan(&server.address);
    plan.pace = Pace::constant(40.0);
    let run = load::run(&plan, Echo::new(Sizes::Fixed(3 << 20))).unwrap();
    assert_whole(&run);
    assert_eq!(run.totals.received_bytes, run.totals.answered * (3 << 20));
}

#[test]
fn a_stopped_run_keeps_what_it_measured() {
    let server = Server::tcp();
    let mut plan = plan(&server.address);
    plan.duration = Duration::from_secs(100);
    let mut running = load::start(&plan, echo()).unwrap();
    let stopper = running.stopper();
    let mut measured = 0;
    while let Some(progress) = running.next() {
        if let Progress::Measuring(_) = progress {
            measured += 1;
            stopper.stop();
        }
    }
    assert!(measured >= 1);
    let run = running.finish().unwrap();
    assert_eq!((run.outcome, run.failure), (Outcome::Interrupted, None));
    assert!(run.totals.answered > 10 && run.measured_s < 50.0, "{:?}", run.totals);
}

#[test]
fn a_run_that_nobody_waits_for_ends() {
    let mut server = Server::tcp();
    drop(load::start(&plan(&server.address), echo()).unwrap());
    server.stop();
}

#[track_caller]
fn assert_failed(run: &Run, words: &str) {
    let failure = run.failure.as_deref().unwrap_or_else(|| panic!("it did not fail: {:?}", run.totals));
    assert!(failure.contains(words), "{failure}");
    assert_eq!(run.outcome, Outcome::Failed);
}

#[test]
fn a_target_that_refuses_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address::from(listener.local_addr().unwrap());
    drop(listener);
    let run = load::run(&plan(&address), echo()).unwrap();
    assert_failed(&run, &format!("cannot connect to {address}"));
    assert_eq!(run.totals.asked, 0);
    assert_eq!(run.generator.verdict, Verdict::Untrustworthy);
}

/// A target that does with each connection what `serve` does, on threads that end with the process.
fn target(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Address {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address::from(listener.local_addr().unwrap());
    let serve = Arc::new(serve);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = Arc::clone(&serve);
            std::thread::spawn(move || serve(stream));
        }
    });
    address
}

/// A target of 64-byte messages, to the n-th of which on a connection `answer` replies; it says whether to go on.
fn messages(answer: impl Fn(u64, &mut TcpStream, &[u8]) -> bool + Send + Sync + 'static) -> Address {
    target(move |mut stream| {
        let (mut message, mut n) = ([0; 64], 0);
        while stream.read_exact(&mut message).is_ok() && answer(n, &mut stream, &message) {
            n += 1;
        }
    })
}

/// Echoes so many messages on each connection, and then stands still.
fn stalls_after(answers: u64) -> Address {
    messages(move |n, stream, message| {
        if n >= answers {
            let _ = std::io::copy(stream, &mut std::io::sink());
            return false;
        }
        stream.write_all(message).is_ok()
    })
}

#[test]
fn requests_pipelined_behind_a_time_out_or_a_wrong_answer_are_lost_for_that_reason_and_once() {
    let mut plan = plan(&stalls_after(20));
    (plan.depth, plan.timeout) = (8, Duration::from_millis(60));
    let run = load::run(&plan, echo()).unwrap();
    assert_whole(&run);
    assert!(run.totals.timed_out > 0 && run.totals.lost > 0, "{:?}", run.totals);
    // On a busy machine the last ones may still be waiting when the run ends.
    assert!(run.failures.iter().all(|kind| kind.reason.contains("no answer")), "{:?}", run.failures);

    plan.connect = Connect::to(messages(|n, stream, message| {
        stream.write_all(if n < 20 { message } else { &[0; 64] }).is_ok()
    }));
    let run = load::run(&plan, echo()).unwrap();
    assert_whole(&run);
    assert!(run.totals.lost > 0, "{:?}", run.totals);
    assert!(run.failures.iter().all(|kind| kind.reason.contains("malformed")), "{:?}", run.failures);
}

#[test]
fn a_target_that_closes_what_it_accepts_is_not_stormed() {
    let accepted = AtomicU64::new(0);
    let address = target(move |mut stream| {
        let mut message = [0; 64];
        for _ in 0..if accepted.fetch_add(1, Relaxed) < 8 { 10 } else { 0 } {
            let _ = stream.read_exact(&mut message).and_then(|()| stream.write_all(&message));
        }
    });
    let run = load::run(&plan(&address), echo()).unwrap();
    assert_adds_up(&run);
    // Pauses double from 20 ms on: seven fit into the 750 ms that the run may last.
    assert!(run.totals.connected <= 8 * 8, "{:?}", run.totals);
}

#[test]
fn the_largest_value_is_no_request_too_large() {
    if slow::left_out() {
        return;
    }
    let mut commands = load::RedisCommands::default();
    (commands.get_fraction, commands.values) = (0.0, Sizes::Fixed(load::MESSAGE_BYTES_MAX));
    let protocol = load::Redis::new(&commands).unwrap();
    let mut request = Vec::new();
    protocol.clone().request(&mut Draw::seeded(1), &mut request);
    let bytes = request.len();
    let address = target(move |mut stream| {
        let mut request = vec![0; bytes];
        while stream.read_exact(&mut request).is_ok() && stream.write_all(b"+OK\r\n").is_ok() {}
    });
    let mut plan = plan(&address);
    (plan.pace, plan.timeout) = (Pace::constant(10.0), Duration::from_secs(20));
    assert_whole(&load::run(&plan, protocol).unwrap());
}

#[test]
fn waiting_for_the_last_answers_does_not_make_a_busy_generator_look_idle() {
    if slow::left_out() {
        return;
    }
    let accepted = AtomicU64::new(0);
    let address = target(move |mut stream| {
        let answers = if accepted.fetch_add(1, Relaxed) == 0 { 1 } else { u64::MAX };
        let mut message = [0; 64];
        for _ in 0..answers {
            if stream.read_exact(&mut message).and_then(|()| stream.write_all(&message)).is_err() {
                return;
            }
        }
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    let mut plan = plan(&address);
    (plan.pace, plan.timeout, plan.warm_up) = (Pace::Closed, Duration::from_secs(2), Duration::ZERO);
    let run = load::run(&plan, echo()).unwrap();
    assert_whole(&run);
    let in_time = run.intervals.iter().filter(|interval| interval.start_s < 0.299);
    let (busy_s, length_s) =
        in_time.fold((0.0, 0.0), |(b, l), i| (b + i.busy_fraction * i.length_s, l + i.length_s));
    let (told, busy) = (run.generator.busy_fraction, busy_s / length_s);
    assert!((told - busy).abs() < 0.05, "busy {busy} of the measured time, and it says {told}");
}

#[test]
fn the_intervals_of_an_interrupted_run_cover_what_was_measured() {
    if slow::left_out() {
        return;
    }
    let server = Server::tcp();
    let mut plan = plan(&server.address);
    (plan.duration, plan.interval) = (Duration::from_secs(100), Some(Duration::from_secs(1)));
    plan.warm_up = Duration::ZERO;
    let mut running = load::start(&plan, echo()).unwrap();
    let stopper = running.stopper();
    while let Some(progress) = running.next() {
        if let Progress::Measuring(_) = progress {
            // A good part of the next interval, but less than half of it.
            let stopper = stopper.clone();
            std::thread::spawn(move || {
                std::thread::park_timeout(Duration::from_millis(150));
                stopper.stop();
            });
        }
    }
    let run = running.finish().unwrap();
    assert_adds_up(&run);
    let covered: f64 = run.intervals.iter().map(|interval| interval.length_s).sum();
    assert!(covered >= run.measured_s - 0.001, "{covered} s of {} s", run.measured_s);
    let asked: f64 = run.intervals.iter().map(|interval| interval.asked).sum();
    assert!((asked - run.totals.asked as f64).abs() <= 2.0, "{asked} instead of {}", run.totals.asked);
}

/// Answers HTTP with a body that only the end of the connection ends, which is a reset if `reset`.
fn until_the_end(reset: bool) -> Address {
    target(move |mut stream| {
        // A request that is left unread in part makes the kernel reset on closing.
        let _ = stream.read(&mut vec![0; if reset { 8 } else { 4096 }]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nas far as it goes");
    })
}

#[test]
fn an_answer_cut_short_by_a_reset_is_lost() {
    let protocol = load::Http::new(&load::HttpRequest::get("localhost", "/")).unwrap();
    assert_whole(&load::run(&plan(&until_the_end(false)), protocol.clone()).unwrap());
    let run = load::run(&plan(&until_the_end(true)), protocol).unwrap();
    assert_eq!((run.outcome, run.totals.answered), (Outcome::Failed, 0), "{:?}", run.totals);
}

#[test]
fn a_stop_after_the_end_interrupts_nothing() {
    let server = Server::tcp();
    let mut running = load::start(&plan(&server.address), echo()).unwrap();
    let stopper = running.stopper();
    while running.next().is_some() {}
    stopper.stop();
    assert_whole(&running.finish().unwrap());
}

#[test]
fn an_interrupt_during_a_stall_keeps_those_who_waited() {
    if slow::left_out() {
        return;
    }
    let address = stalls_after(20);
    let mut plan = plan(&address);
    (plan.duration, plan.timeout) = (Duration::from_secs(100), Duration::from_secs(50));
    plan.warm_up = Duration::ZERO;
    let mut running = load::start(&plan, echo()).unwrap();
    let stopper = running.stopper();
    let mut measured = 0;
    while let Some(progress) = running.next() {
        measured += u32::from(matches!(progress, Progress::Measuring(_)));
        if measured == 8 {
            stopper.stop();
        }
    }
    let run = running.finish().unwrap();
    assert_eq!(run.outcome, Outcome::Interrupted);
    let totals = &run.totals;
    // Eight intervals of 50 ms at 2,000/s were asked for, of which 160 were answered.
    assert!(totals.asked as f64 >= 1_990.0 * run.measured_s && totals.answered == 160, "{totals:?}");
    assert!(totals.unsent > 400, "{totals:?}");
    assert_eq!(run.response.histogram.count(), totals.answered + totals.failed());
    assert_eq!(totals.asked - totals.answered - totals.failed(), 8, "in flight, and neither good nor bad");
    assert!(run.response.percentile_ns(0.5) >= Some(50_000_000_000), "the stall is what users felt");
}

#[test]
fn a_target_that_answers_nothing_is_found_out_by_the_time_out() {
    let address = target(|mut stream| drop(std::io::copy(&mut stream, &mut std::io::sink())));
    let mut plan = plan(&address);
    plan.duration = Duration::from_secs(100);
    let run = load::run(&plan, echo()).unwrap();
    assert_failed(&run, "did not answer a single request within 400ms");
}

#[test]
fn a_thread_whose_connections_are_left_waiting_does_not_speak_for_the_others() {
    if slow::left_out() {
        return;
    }
    let seen = AtomicU64::new(0);
    let address = target(move |mut stream| {
        // Only the first connection is served.
        let mut other_end = stream.try_clone().unwrap();
        match seen.fetch_add(1, Relaxed) {
            0 => drop(std::io::copy(&mut stream, &mut other_end)),
            _ => drop(std::io::copy(&mut stream, &mut std::io::sink())),
        }
    });
    let mut plan = plan(&address);
    (plan.threads, plan.connections) = (2, 2);
    plan.duration = Duration::from_millis(700);
    let run = load::run(&plan, echo()).unwrap();
    assert_eq!((run.outcome, run.failure.as_deref()), (Outcome::Complete, None));
    assert!(run.totals.answered > 100 && run.totals.failed() > 100, "{:?}", run.totals);
}

#[test]
fn a_target_that_speaks_something_else_is_quoted() {
    let address = target(|mut stream| {
        let _ = stream.write_all(b"220 mail.example ESMTP\r\n");
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    let mut plan = plan(&address);
    plan.duration = Duration::from_secs(100);
    let run = load::run(&plan, echo()).unwrap();
    assert_failed(&run, "220 mail.example ESMTP");
}

#[test]
fn a_target_that_hangs_up_unanswered_is_no_benchmark() {
    let address = target(|mut stream| drop(stream.read(&mut [0; 8])));
    let mut plan = plan(&address);
    plan.duration = Duration::from_secs(100);
    let run = load::run(&plan, echo()).unwrap();
    assert_failed(&run, "without answering a single request");
}

#[test]
fn a_target_that_vanishes_ends_the_run_and_keeps_what_came_before() {
    if slow::left_out() {
        return;
    }
    let mut server = Server::tcp();
    let mut plan = plan(&server.address);
    plan.duration = Duration::from_secs(100);
    let mut running = load::start(&plan, echo()).unwrap();
    while let Some(progress) = running.next() {
        if let Progress::Measuring(_) = progress {
            server.stop();
        }
    }
    let run = running.finish().unwrap();
    assert_failed(&run, "is gone");
    assert!(run.totals.answered > 10, "{:?}", run.totals);
    assert!(run.totals.unsent > 1_000, "two seconds without a target: {:?}", run.totals);
    assert!(run.measured_s < 50.0);
}

#[test]
fn what_a_target_refuses_after_answering_well_is_in_the_distribution() {
    #[derive(Clone)]
    struct EveryTenth(u64, Echo);
    impl Protocol for EveryTenth {
        fn name(&self) -> &'static str {
            "every tenth"
        }
        fn request(&mut self, draw: &mut Draw, out: &mut Vec<u8>) {
            self.1.request(draw, out);
        }
        fn answer(&mut self, bytes: &[u8]) -> Result<Step, Malformed> {
            let step = self.1.answer(bytes)?;
            Ok(match step {
                Step::Answered { used, last, .. } => {
                    self.0 += 1;
                    let refused = Answer::Refused("every tenth".into());
                    let answer = if self.0.is_multiple_of(10) { refused } else { Answer::Good };
                    Step::Answered { used, answer, last }
                }
                partial => partial,
            })
        }
    }
    let server = Server::tcp();
    let mut plan = plan(&server.address);
    (plan.connections, plan.warm_up) = (1, Duration::ZERO);
    let run = load::run(&plan, EveryTenth(0, echo())).unwrap();
    assert_whole(&run);
    assert_eq!((run.totals.answered, run.totals.refused), (540, 60));
    assert_eq!((run.failures[0].reason.as_str(), run.failures[0].count), ("every tenth", 60));
    assert!(
        run.response.histogram.percentile(0.95).unwrap() >= 400_000_000,
        "failures take the whole time-out"
    );
}

#[test]
fn a_protocol_that_panics_is_reported_and_ends_the_run() {
    #[derive(Clone)]
    struct Broken;
    impl Protocol for Broken {
        fn name(&self) -> &'static str {
            "broken"
        }
        fn request(&mut self, _: &mut Draw, _: &mut Vec<u8>) {
            panic!("no request today");
        }
        fn answer(&mut self, bytes: &[u8]) -> Result<Step, Malformed> {
            Ok(Step::Partial { used: bytes.len() })
        }
    }
    let server = Server::tcp();
    let error = load::run(&plan(&server.address), Broken).unwrap_err();
    assert!(error.to_string().contains("no request today"), "{error}");
}

#[test]
fn a_protocol_that_panics_on_one_of_several_threads_ends_them_all() {
    #[derive(Clone)]
    struct BreaksOnce(Arc<AtomicU64>, Echo);
    impl Protocol for BreaksOnce {
        fn name(&self) -> &'static str {
            "breaks once"
        }
        fn request(&mut self, draw: &mut Draw, out: &mut Vec<u8>) {
            assert_ne!(self.0.fetch_add(1, Relaxed), 50, "the fiftieth is too much");
            self.1.request(draw, out);
        }
        fn answer(&mut self, bytes: &[u8]) -> Result<Step, Malformed> {
            self.1.answer(bytes)
        }
    }
    let server = Server::tcp();
    let mut plan = plan(&server.address);
    (plan.threads, plan.duration) = (3, Duration::from_secs(300));
    let started = std::time::Instant::now();
    let error = load::run(&plan, BreaksOnce(Arc::default(), echo())).unwrap_err();
    assert!(error.to_string().contains("the fiftieth is too much"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(100), "the other threads went on");
}

/// Runs one test of this file in a process of its own, which may open so many descriptors.
fn alone_with_descriptors(test: &str, descriptors_max: u32) {
    let command = format!("ulimit -n {descriptors_max}; exec \"$0\" --exact {test} --nocapture");
    let own = std::env::current_exe().unwrap();
    let child =
        std::process::Command::new("sh").args(["-c", &command]).arg(own).env(ALONE, "1").output().unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
}

/// Set in the process that [`alone_with_descriptors`] starts.
const ALONE: &str = "WINDLASS_TEST_ALONE";

#[test]
fn a_start_that_fails_leaves_no_thread_behind() {
    if std::env::var_os(ALONE).is_none() {
        return alone_with_descriptors("a_start_that_fails_leaves_no_thread_behind", 115);
    }
    let mut plan = plan(&"127.0.0.1:1".parse().unwrap());
    (plan.threads, plan.connections) = (64, 64);
    assert!(load::start(&plan, echo()).is_err(), "64 pollers with their wakers do not fit");
    let threads = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let names = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("comm")).ok());
    assert_eq!(names.filter(|name| name.starts_with("windlass-load")).count(), 0);
}

/// A generator that is stopped for half a second while its only connection waits for an answer.
#[test]
fn a_generator_that_was_stopped_while_it_waited_is_not_trusted() {
    const TARGET: &str = "WINDLASS_TEST_TARGET";
    if let Ok(target) = std::env::var(TARGET) {
        let mut plan = plan(&target.parse().unwrap());
        (plan.connections, plan.pace, plan.warm_up) = (1, Pace::constant(8.0), Duration::ZERO);
        (plan.duration, plan.interval) = (Duration::from_secs(2), Some(Duration::from_millis(250)));
        plan.timeout = Duration::from_secs(5);
        let mut running = load::start(&plan, echo()).unwrap();
        while let Some(progress) = running.next() {
            if let Progress::Measuring(_) = progress {
                println!("measuring");
            }
        }
        let run = running.finish().unwrap();
        return println!("{:?}: {}", run.generator.verdict, run.generator.reason);
    }
    if slow::left_out() {
        return;
    }
    let address = messages(|_, stream, message| {
        std::thread::park_timeout(Duration::from_millis(100));
        stream.write_all(message).is_ok()
    });
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_generator_that_was_stopped_while_it_waited_is_not_trusted", "--nocapture"])
        .env(TARGET, address.to_string())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while std::io::BufRead::read_line(&mut told, &mut line).unwrap() > 0 && !line.contains("measuring") {}
    let process = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(process, rustix::process::Signal::STOP).unwrap();
    std::thread::park_timeout(Duration::from_millis(500));
    rustix::process::kill_process(process, rustix::process::Signal::CONT).unwrap();
    told.read_to_string(&mut line).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(line.contains("Untrustworthy"), "{line}");
}

/// A protocol that takes 20 ms over each request and counts them.
#[derive(Clone)]
struct Ponderous(Arc<AtomicU64>, Echo);

impl Protocol for Ponderous {
    fn name(&self) -> &'static str {
        "ponderous"
    }
    fn request(&mut self, draw: &mut Draw, out: &mut Vec<u8>) {
        std::thread::park_timeout(Duration::from_millis(20));
        self.0.fetch_add(1, Relaxed);
        self.1.request(draw, out);
    }
    fn answer(&mut self, bytes: &[u8]) -> Result<Step, Malformed> {
        self.1.answer(bytes)
    }
}

#[test]
fn a_request_leaves_when_it_is_called_sent() {
    let (made, made_at_first) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(u64::MAX)));
    let (seen, first) = (Arc::clone(&made), Arc::clone(&made_at_first));
    let address = messages(move |_, stream, message| {
        first.fetch_min(seen.load(Relaxed), Relaxed);
        stream.write_all(message).is_ok()
    });
    let mut plan = plan(&address);
    (plan.connections, plan.warm_up) = (16, Duration::ZERO);
    load::run(&plan, Ponderous(made, echo())).unwrap();
    let made = made_at_first.load(Relaxed);
    assert!(made < 8, "{made} requests were made before the first of them arrived");
}

#[test]
fn more_connections_than_descriptors_names_the_limit_and_the_command() {
    let error = load::reserve_descriptors(usize::MAX / 4).unwrap_err().to_string();
    assert!(error.contains("ulimit -n") && error.contains("descriptors"), "{error}");
}
