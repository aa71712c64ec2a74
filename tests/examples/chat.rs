//! `chat`: lines cross cores, and who does not read is put out without the others noticing.

use super::process::{Server, patient};
use socket2::{Domain, Socket, Type};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

struct Chatter {
    name: String,
    lines: BufReader<TcpStream>,
}

impl Chatter {
    fn join(server: &Server) -> Chatter {
        let stream = server.connect();
        Chatter { name: stream.local_addr().expect("connected").to_string(), lines: BufReader::new(stream) }
    }

    fn say(&mut self, words: &str) {
        self.lines.get_mut().write_all(words.as_bytes()).expect("open");
    }

    fn hears(&mut self, whom: &Chatter, words: &str) {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("open");
        assert_eq!(line, format!("{}: {words}\n", whom.name));
    }

    /// Says something until the other hears it: before that the other may not have been let in yet.
    fn meet(&mut self, other: &mut Chatter) {
        other.lines.get_ref().set_read_timeout(Some(std::time::Duration::from_millis(50))).expect("set");
        let mut line = String::new();
        while other.lines.read_line(&mut line).is_err() {
            self.say("hello?\n");
        }
        self.say("hello!\n");
        while !line.ends_with("hello!\n") {
            if line.ends_with('\n') {
                line.clear();
            }
            // A time-out here is only the machine being slow; what has come of the line stays.
            let _ = other.lines.read_line(&mut line);
        }
        patient(other.lines.get_ref().try_clone().expect("a descriptor"));
    }
}

fn lines_cross(cores: &str) {
    let server = Server::start("chat", &["--cores", cores]);
    let (mut ann, mut bob) = (Chatter::join(&server), Chatter::join(&server));
    ann.meet(&mut bob);
    bob.meet(&mut ann);
    ann.say("one line\nand ano");
    bob.hears(&ann, "one line");
    ann.say("ther\n");
    bob.hears(&ann, "and another");
    bob.say("seen\n");
    ann.hears(&bob, "seen");
}

#[test]
fn chat_carries_lines_between_clients_of_one_core() {
    lines_cross("1");
}

/// The second client is handed to the core with fewer connections, which is the other one.
#[test]
fn chat_carries_lines_across_cores() {
    lines_cross("2");
}

#[test]
fn chat_puts_out_who_never_reads_and_the_others_go_on() {
    const LINES_MAX: usize = 2000;
    let server = Server::start("chat", &["--cores", "2"]);
    let (mut ann, mut bob) = (Chatter::join(&server), Chatter::join(&server));
    let sleeper = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a descriptor");
    sleeper.set_recv_buffer_size(16 * 1024).expect("before it is connected");
    sleeper.connect(&server.address.into()).expect("listening");
    let mut sleeper = patient(sleeper.into());
    ann.meet(&mut bob);
    bob.meet(&mut ann);

    // In step with each other, so that neither is ever behind: 8 MB, a multiple of all buffers on the way.
    let words = "z".repeat(4000);
    for _ in 0..LINES_MAX {
        ann.say(&format!("{words}\n"));
        bob.hears(&ann, &words);
    }
    let mut got = Vec::new();
    let end = sleeper.read_to_end(&mut got);
    assert!(end.is_err(), "put out by a reset, not {end:?}");
    assert!(got.len() < LINES_MAX * words.len() / 2, "{} bytes waited for it", got.len());
    bob.say("still here\n");
    ann.hears(&bob, "still here");
}
