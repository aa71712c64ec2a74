//! Signals while the reactor waits.

#[cfg(all(feature = "signals", target_os = "linux"))]
#[test]
fn a_signal_storm_during_wait_causes_no_error() {
    use crate::rig::{Rig, echo, in_a_child};
    use rustix::process::{Pid, Signal, kill_process};
    use std::io::{Read, Write};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    if !in_a_child("signals::a_signal_storm_during_wait_causes_no_error") {
        return;
    }
    let handled = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGUSR1, Arc::clone(&handled)).unwrap();
    // The kernel gives a signal for a process to the thread whose number was named, if it takes signals.
    let thread: Pid = rustix::thread::gettid();
    let done = Arc::new(AtomicBool::new(false));
    let storm = std::thread::spawn({
        let done = Arc::clone(&done);
        move || {
            let mut sent = 0;
            while !done.load(Ordering::Relaxed) {
                kill_process(thread, Signal::USR1).unwrap();
                sent += 1;
            }
            sent
        }
    });
    let mut rig = Rig::new();
    let address = rig.address;
    let client = std::thread::spawn(move || {
        for _ in 0..20 {
            let mut peer = std::net::TcpStream::connect(address).unwrap();
            let mut got = [0; 100];
            for _ in 0..20 {
                peer.write_all(&[7; 100]).unwrap();
                peer.read_exact(&mut got).unwrap();
            }
        }
    });
    let mut script = echo();
    rig.until(&mut script, |script| script.causes().len() == 20);
    client.join().unwrap();
    // Nothing to do but to be interrupted.
    let until = rig.reactor.io().now() + std::time::Duration::from_millis(100);
    rig.reactor.run_until(until, &mut script).unwrap();
    done.store(true, Ordering::Relaxed);
    let sent: u64 = storm.join().unwrap();
    assert!(sent > 100 && handled.load(Ordering::Relaxed), "{sent} signals");
    let figures = rig.figures();
    assert_eq!((figures.errors_recoverable, figures.errors_critical), (0, 0));
    assert_eq!(script.causes(), [windlass::Cause::PeerClosed; 20]);
    rig.assert_nothing_left();
}
