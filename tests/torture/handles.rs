//! Slots and descriptors that are given out again while the kernel's batch still names their last owner.

use crate::rig::{Rig, in_a_child};
use crate::thorough::thorough;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use windlass::{Conn, Event, Handler, Io, Stream, Turn};

const CONNECTIONS: usize = 32;

/// Replaces, in every event, a connection whose own event is still to come, by one with the same slot and the same
/// descriptor; and knows what each connection may hear.
#[derive(Default)]
struct Replacing {
    /// What the peer of a connection says.
    words: BTreeMap<Conn, u64>,
    peers: BTreeMap<Conn, UnixStream>,
    /// Those whose event of this batch is still to come.
    expected: BTreeSet<Conn>,
    words_given: u64,
    replaced: usize,
    slots_reused: usize,
    descriptors_reused: usize,
}

impl Replacing {
    fn adopt(&mut self, io: &mut Io, mine: UnixStream, theirs: UnixStream) -> Conn {
        let conn = io.adopt(mine).unwrap();
        self.words_given += 1;
        self.words.insert(conn, self.words_given);
        assert!(self.peers.insert(conn, theirs).is_none(), "{conn:?} was given out twice");
        conn
    }

    fn replace(&mut self, io: &mut Io, victim: Conn) {
        let released = io.release(victim).unwrap();
        let Stream::Unix(stream) = released.stream else { unreachable!("all of them are Unix sockets") };
        let descriptor = stream.as_raw_fd();
        drop((stream, self.peers.remove(&victim), self.words.remove(&victim)));
        // The lowest descriptors that are free are the two that have just become so.
        let (one, other) = UnixStream::pair().unwrap();
        let (mine, theirs) = if other.as_raw_fd() == descriptor { (other, one) } else { (one, other) };
        self.replaced += 1;
        self.descriptors_reused += usize::from(mine.as_raw_fd() == descriptor);
        let fresh = self.adopt(io, mine, theirs);
        self.slots_reused += usize::from(fresh.index() == victim.index());
        let word = self.words[&fresh];
        (&self.peers[&fresh]).write_all(&word.to_le_bytes()).unwrap();
    }
}

impl Handler for Replacing {
    fn handle(&mut self, io: &mut Io, event: Event<'_>) {
        match event {
            Event::Data { conn, bytes } => {
                let word = *self.words.get(&conn).expect("an event of a connection that has left");
                for heard in bytes.chunks(8) {
                    assert_eq!(heard, word.to_le_bytes(), "{conn:?} hears what was said to another");
                }
                self.expected.remove(&conn);
                if let Some(victim) = self.expected.pop_last() {
                    self.replace(io, victim);
                }
            }
            Event::Opened { conn, .. } => assert!(self.words.contains_key(&conn)),
            other => panic!("{other:?}: nobody ends, nobody is let in"),
        }
    }
}

#[test]
fn what_takes_a_slot_and_a_descriptor_within_one_batch_hears_nothing_meant_for_the_last_owner() {
    if !in_a_child(
        "handles::what_takes_a_slot_and_a_descriptor_within_one_batch_hears_nothing_meant_for_the_last_owner",
    ) {
        return;
    }
    let mut rig = Rig::new();
    let mut all = Replacing::default();
    for _ in 0..CONNECTIONS {
        let (mine, theirs) = UnixStream::pair().unwrap();
        all.adopt(rig.reactor.io(), mine, theirs);
    }
    rig.settle(&mut all);
    for _ in 0..thorough(5_000, 300) {
        all.expected = all.peers.keys().copied().collect();
        for (conn, peer) in &mut all.peers {
            peer.write_all(&all.words[conn].to_le_bytes()).unwrap();
        }
        // Unix sockets deliver at once: what a turn does not find does not come.
        while rig.turn(&mut all) != Turn::default() {}
        assert_eq!(rig.reactor.io().connections(), CONNECTIONS);
    }
    assert_eq!((all.slots_reused, all.descriptors_reused), (all.replaced, all.replaced));
    assert!(all.replaced > 1000, "{} replaced", all.replaced);
}
