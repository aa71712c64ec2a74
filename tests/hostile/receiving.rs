//! Inbound bytes: ends of stream in awkward places, kept tails, urgent data, and events for what is gone.

use crate::rig::{Rig, Script, Seen, config, echo, options, pattern, reset, silent};
use crate::thorough::thorough;
use rustix::net::SendFlags;
use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use windlass::{Cause, Conn, Event, Io, KeepError};

/// How many ends of stream each way of racing tries; `FIN_TRIALS` for more.
fn trials() -> usize {
    std::env::var("FIN_TRIALS").map_or(thorough(100_000, 5_000), |trials| trials.parse().unwrap())
}

/// Every connection delivered its bytes and then its end.
fn assert_all_ended(script: &Script<impl FnMut(&mut Io, &Event<'_>)>, connections: usize) {
    assert_eq!(script.opened().len(), connections);
    assert_eq!(script.causes(), vec![Cause::PeerClosed; connections]);
    assert_eq!(script.received().len(), connections * 5, "every connection sent five bytes");
}

#[test]
fn an_end_of_stream_queued_behind_data_is_never_lost() {
    let mut rig = Rig::new();
    for batch in 0..trials() / 100 {
        let mut script = silent();
        let mut peers: Vec<TcpStream> = (0..100).map(|_| rig.peer()).collect();
        if batch % 2 == 0 {
            rig.until(&mut script, |script| script.opened().len() == 100);
            rig.settle(&mut script);
        }
        for peer in &mut peers {
            peer.write_all(b"bytes").unwrap();
            peer.shutdown(Shutdown::Write).unwrap();
        }
        rig.until(&mut script, |script| script.causes().len() == 100);
        assert_all_ended(&script, 100);
    }
    rig.assert_nothing_left();
}

#[test]
fn an_end_of_stream_racing_with_the_read_is_never_lost() {
    let mut rig = Rig::new();
    let address = rig.address;
    let mut left = trials();
    while left > 0 {
        let connections = left.min(5_000);
        left -= connections;
        let peers = std::thread::spawn(move || {
            for _ in 0..connections {
                let mut peer = TcpStream::connect(address).unwrap();
                peer.write_all(b"by").unwrap();
                peer.write_all(b"tes").unwrap();
                peer.shutdown(Shutdown::Write).unwrap();
            }
        });
        let mut script = silent();
        rig.until(&mut script, |script| script.causes().len() == connections);
        peers.join().unwrap();
        assert_all_ended(&script, connections);
    }
    rig.assert_nothing_left();
}

#[test]
fn kept_bytes_are_lent_once_more_at_the_end_of_the_stream() {
    for half_close in [false, true] {
        let mut rig = Rig::with(config(|c| c.options.half_close = half_close));
        let mut peer = rig.peer();
        let mut script = Script::new(|io: &mut Io, event: &Event<'_>| match event {
            Event::Data { conn, bytes } => io.keep(*conn, bytes.len() - 1).unwrap(),
            Event::PeerFinished { conn } => assert!(io.close(*conn)),
            _ => {}
        });
        peer.write_all(b"abc").unwrap();
        rig.until(&mut script, |script| script.received() == b"abc");
        peer.shutdown(Shutdown::Write).unwrap();
        rig.until(&mut script, |script| !script.causes().is_empty());
        let conn = script.opened()[0];
        let mut expected = vec![Seen::Data(conn, b"abc".to_vec()), Seen::Data(conn, b"bc".to_vec())];
        if half_close {
            expected.push(Seen::Finished(conn));
        }
        assert_eq!(script.log[2..script.log.len() - 1], expected);
        rig.assert_nothing_left();
    }
}

#[test]
fn keeping_beyond_the_bound_closes_and_keeping_nonsense_is_an_error() {
    let mut rig = Rig::with(config(|c| c.options.kept_bytes_max = 10));
    let mut peer = rig.peer();
    let mut other = None;
    let mut answers = Vec::new();
    let mut script = Script::new(|io: &mut Io, event: &Event<'_>| match event {
        Event::Opened { conn, .. } => {
            other = Some(*conn);
            answers.push(io.keep(*conn, 0));
        }
        Event::Data { conn, bytes } => {
            answers.push(io.keep(*conn, bytes.len() + 1));
            answers.push(io.keep(*conn, usize::MAX));
            answers.push(io.keep_until(*conn, 1, 12));
            answers.push(io.keep(*conn, 1));
        }
        _ => {}
    });
    peer.write_all(b"12345").unwrap();
    rig.until(&mut script, |script| script.causes() == [Cause::FrameTooLarge]);
    drop(script);
    let not_lent = Err(KeepError::NotLent);
    assert_eq!(answers[..4], [not_lent, not_lent, not_lent, Err(KeepError::TooLarge)]);
    assert!(answers[4].is_err(), "the connection is closed");
    rig.assert_nothing_left();
}

#[test]
fn a_frame_at_the_bound_arrives_whole_byte_by_byte() {
    let mut rig = Rig::with(config(|c| c.options.kept_bytes_max = 100));
    let mut peer = rig.peer();
    let mut frames = Vec::new();
    let mut script = Script::new(|io: &mut Io, event: &Event<'_>| {
        if let Event::Data { conn, bytes } = event {
            match bytes.len() {
                101.. => frames.push(bytes.to_vec()),
                short => io.keep_until(*conn, short, 101).unwrap(),
            }
        }
    });
    for byte in pattern(101) {
        peer.write_all(&[byte]).unwrap();
        rig.turn(&mut script);
    }
    rig.until(&mut script, |script| script.received().len() >= 102);
    drop(script);
    assert_eq!(frames, [pattern(101)]);
}

#[test]
fn a_half_closed_peer_is_announced_once_and_the_loop_sleeps() {
    let mut rig = Rig::with(config(|c| {
        c.options.half_close = true;
        c.options.socket.send_buffer_bytes = Some(16 * 1024);
    }));
    let mut peers: Vec<TcpStream> = (0..20).map(|_| rig.peer()).collect();
    let answer = pattern(900_000);
    let mut script = Script::new(|io: &mut Io, event: &Event<'_>| {
        if let Event::PeerFinished { conn } = event {
            io.send(*conn, &answer).unwrap();
        }
    });
    rig.until(&mut script, |script| script.opened().len() == 20);
    peers.iter().for_each(|peer| peer.shutdown(Shutdown::Write).unwrap());
    rig.until(&mut script, |script| script.count(|seen| matches!(seen, Seen::Finished(_))) == 20);
    let mut got = vec![0; answer.len()];
    for peer in &mut peers {
        peer.set_nonblocking(true).unwrap();
        let mut filled = 0;
        while filled < got.len() {
            match peer.read(&mut got[filled..]) {
                Ok(n) => filled += n,
                Err(_) => _ = rig.turn(&mut script),
            }
        }
        assert!(got == answer);
    }
    rig.settle(&mut script);
    let turns = rig.figures().turns;
    let conns = script.opened();
    rig.settle(&mut script);
    assert!(rig.figures().turns - turns <= 2, "hung-up peers keep the loop awake");
    assert_eq!(script.causes(), [], "sending still works");
    conns.iter().for_each(|conn| rig.reactor.io().finish(*conn).unwrap());
    rig.until(&mut script, |script| script.causes() == [Cause::PeerClosed; 20]);
    rig.assert_nothing_left();
}

#[test]
fn peers_that_end_do_not_pile_up_half_closed() {
    let mut rig = Rig::new();
    let mut script = echo();
    for _ in 0..50 {
        let peers: Vec<TcpStream> = (0..20).map(|_| rig.peer()).collect();
        peers.iter().for_each(|peer| peer.shutdown(Shutdown::Write).unwrap());
        rig.until(&mut script, |script| script.causes().len() == script.opened().len());
    }
    rig.until(&mut script, |script| script.causes().len() == 1000);
    assert_eq!(script.causes(), [Cause::PeerClosed; 1000]);
    rig.assert_nothing_left();
}

#[test]
fn a_handle_reused_within_one_batch_gets_nothing_of_its_predecessor() {
    let mut rig = Rig::new();
    let mut script = silent();
    let mut peers = [rig.peer(), rig.peer()];
    rig.until(&mut script, |script| script.opened().len() == 2);
    rig.settle(&mut script);
    let (mine, mut theirs) = UnixStream::pair().unwrap();
    let mut mine = Some(mine);
    let conns: Vec<Conn> = script.opened();
    let mut fresh = Vec::new();
    let mut seen = Vec::new();
    let mut handler = |io: &mut Io, event: Event<'_>| {
        if let Event::Data { conn, bytes } = event {
            seen.push((conn, bytes.to_vec()));
            let Some(mine) = mine.take() else { return };
            let other = *conns.iter().find(|other| **other != conn).unwrap();
            let released = io.release(other).unwrap();
            fresh.push(io.adopt(mine).unwrap());
            drop(released);
        }
    };
    peers.iter_mut().for_each(|peer| peer.write_all(b"for an old handle").unwrap());
    rig.settle(&mut handler);
    theirs.write_all(b"for the new handle").unwrap();
    rig.settle(&mut handler);
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert_eq!(seen[1], (fresh[0], b"for the new handle".to_vec()));
    assert_eq!(rig.reactor.io().connections(), 2);
}

#[test]
fn a_connection_aborted_in_anothers_event_hears_nothing_of_the_same_batch() {
    let mut rig = Rig::new();
    let mut peers: Vec<TcpStream> = (0..50).map(|_| rig.peer()).collect();
    let mut conns = HashSet::new();
    let mut script = Script::new(|io: &mut Io, event: &Event<'_>| match event {
        Event::Opened { conn, .. } => _ = conns.insert(*conn),
        Event::Data { conn, .. } => {
            conns.iter().filter(|other| **other != *conn).for_each(|other| _ = io.abort(*other));
        }
        _ => {}
    });
    rig.until(&mut script, |script| script.opened().len() == 50);
    rig.settle(&mut script);
    peers.iter_mut().for_each(|peer| peer.write_all(b"x").unwrap());
    rig.until(&mut script, |script| script.causes().len() == 49);
    assert_eq!(script.received(), b"x", "only the first one of the batch is heard");
    assert_eq!(rig.reactor.io().connections(), 1);
}

#[test]
fn bytes_behind_an_urgent_mark_are_not_stranded() {
    let mut rig = Rig::new();
    let mut peer = rig.peer();
    peer.write_all(b"before").unwrap();
    rustix::net::send(&peer, b"!", SendFlags::OOB).unwrap();
    peer.write_all(b"behind").unwrap();
    let mut script = silent();
    rig.until(&mut script, |script| !script.received().is_empty());
    rig.settle(&mut script);
    assert_eq!(String::from_utf8(script.received()).unwrap(), "beforebehind");
}

#[test]
fn an_adopted_stream_that_is_dead_already_is_closed() {
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    for unread in [false, true] {
        let mut rig = Rig::new();
        let dead = TcpStream::connect(other.local_addr().unwrap()).unwrap();
        let (mut far, _) = other.accept().unwrap();
        if unread {
            far.write_all(b"unread").unwrap();
        }
        // Both sides end, ours last: the kernel has forgotten the peer, but not what is unread.
        far.shutdown(Shutdown::Write).unwrap();
        let mut end = [0; 1];
        if !unread {
            assert_eq!((&dead).read(&mut end).unwrap(), 0);
        }
        dead.shutdown(Shutdown::Write).unwrap();
        assert_eq!(far.read(&mut end).unwrap(), 0);
        rig.reactor.io().adopt(dead).unwrap();
        let mut script = silent();
        rig.until(&mut script, |script| !script.causes().is_empty());
        assert_eq!(script.received(), if unread { &b"unread"[..] } else { b"" });
        rig.assert_nothing_left();
    }
}

#[test]
fn an_adopted_stream_that_was_reset_is_closed() {
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut rig = Rig::new();
    let dead = TcpStream::connect(other.local_addr().unwrap()).unwrap();
    reset(other.accept().unwrap().0);
    // The error is consumed before the reactor sees the socket.
    assert!((&dead).read(&mut [0; 1]).is_err());
    rig.reactor.io().adopt(dead).unwrap();
    let mut script = silent();
    rig.until(&mut script, |script| !script.causes().is_empty());
    rig.assert_nothing_left();
}

#[test]
fn paused_bytes_come_after_resume_and_an_end_behind_them_too() {
    let mut rig = Rig::new();
    let mut peer = rig.peer();
    let mut script = Script::new(|io: &mut Io, event: &Event<'_>| {
        if let Event::Opened { conn, .. } = event {
            io.pause(*conn).unwrap();
        }
    });
    peer.write_all(b"held back").unwrap();
    drop(peer);
    rig.until(&mut script, |script| !script.opened().is_empty());
    rig.settle(&mut script);
    assert_eq!(script.received(), b"");
    let conn = script.opened()[0];
    rig.reactor.io().resume(conn).unwrap();
    rig.until(&mut script, |script| script.causes() == [Cause::PeerClosed]);
    assert_eq!(script.received(), b"held back");
}

#[test]
fn read_credit_is_spent_to_the_byte() {
    let mut rig = Rig::new();
    let mut peer = rig.peer();
    let mut script = Script::new(|io: &mut Io, event: &Event<'_>| {
        if let Event::Opened { conn, .. } = event {
            io.grant_read(*conn, Some(0)).unwrap();
        }
    });
    rig.until(&mut script, |script| !script.opened().is_empty());
    peer.write_all(&pattern(1000)).unwrap();
    drop(peer);
    rig.settle(&mut script);
    let conn = script.opened()[0];
    for n in 1..=100 {
        rig.reactor.io().grant_read(conn, Some(10)).unwrap();
        rig.settle(&mut script);
        assert_eq!(script.received(), pattern(n * 10));
    }
    rig.reactor.io().grant_read(conn, None).unwrap();
    rig.until(&mut script, |script| script.causes() == [Cause::PeerClosed]);
}

#[test]
fn a_released_connection_takes_its_kept_bytes_along_and_leaves_nothing() {
    let mut rig = Rig::with(config(|c| c.admission.per_address_max = Some(1)));
    for _ in 0..5 {
        let mut peer = rig.peer();
        let mut script = Script::new(|io: &mut Io, event: &Event<'_>| {
            if let Event::Data { conn, bytes } = event {
                io.keep(*conn, bytes.len()).unwrap();
            }
        });
        peer.write_all(b"kept").unwrap();
        rig.until(&mut script, |script| script.received() == b"kept" || !script.causes().is_empty());
        assert_eq!(script.causes(), []);
        let released = rig.reactor.io().release(script.opened()[0]).unwrap();
        assert_eq!(released.unread, b"kept");
        rig.settle(&mut script);
        rig.assert_nothing_left();
    }
    let quiet = options(|_| {});
    assert_eq!(rig.reactor.io().set_default_options(quiet).ok(), Some(()));
}
