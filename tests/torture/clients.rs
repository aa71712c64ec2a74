//! Clients in a process of their own, so that their descriptors are not the server's.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

/// What a process of clients is told to do: `ADDRESS COUNT HOW`.
const TASK: &str = "TORTURE_CLIENTS";
const CONNECTED: &str = "clients are connected";
const ENDED: &str = "clients have ended: ";
const QUESTION: &[u8; 8] = b"question";

/// What clients do when they were answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Then {
    /// Each goes at once.
    Leave,
    /// All stay until [`Clients::end`].
    Stay,
}

/// How the clients fared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fates {
    pub answered: usize,
    pub reset: usize,
}

/// Clients that ask something and wait for the echo.
pub struct Clients {
    process: Child,
    output: BufReader<ChildStdout>,
    input: Option<ChildStdin>,
}

impl Clients {
    pub fn start(address: SocketAddr, count: usize, then: Then) -> Clients {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["clients::what_a_process_of_clients_does", "--exact", "--nocapture"])
            .env_remove("HOSTILE_CHILD")
            .env(TASK, format!("{address} {count} {then:?}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().expect("piped"));
        let input = process.stdin.take();
        Clients { process, output, input }
    }

    /// What stands behind `mark` in the first line that has it.
    fn wait_for(&mut self, mark: &str) -> String {
        loop {
            let mut line = String::new();
            assert!(self.output.read_line(&mut line).unwrap() > 0, "the clients ended before \"{mark}\"");
            if let Some((_, rest)) = line.split_once(mark) {
                return rest.trim().to_owned();
            }
        }
    }

    /// Returns when the kernel has completed every connection.
    pub fn wait_until_connected(&mut self) {
        self.wait_for(CONNECTED);
    }

    /// Returns when every client was answered or reset; those that leave have left.
    pub fn wait_until_answered(&mut self) -> Fates {
        let fates = self.wait_for(ENDED);
        let (answered, reset) = fates.split_once(' ').expect("two numbers");
        Fates { answered: answered.parse().unwrap(), reset: reset.parse().unwrap() }
    }

    /// Whether the process is still there, for a server that serves it on this thread.
    pub fn are_there(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }

    /// Lets go of those that stayed, and returns when the process has ended.
    pub fn end(mut self) {
        drop(self.input.take());
        assert!(self.process.wait().unwrap().success(), "clients failed");
    }
}

/// Not a test by itself: what [`Clients::start`] runs.
#[test]
fn what_a_process_of_clients_does() {
    let Ok(task) = std::env::var(TASK) else { return };
    let mut words = task.split(' ');
    let mut next = || words.next().expect("three words");
    let (address, count): (SocketAddr, usize) = (next().parse().unwrap(), next().parse().unwrap());
    let stay = next() == format!("{:?}", Then::Stay);
    crate::rig::raise_descriptor_limit();
    let mut peers: Vec<TcpStream> = (0..count).map(|_| TcpStream::connect(address).unwrap()).collect();
    for peer in &mut peers {
        // One that is turned away learns it when it reads.
        let _ = peer.write_all(QUESTION);
    }
    println!("{CONNECTED}");
    let mut fates = Fates { answered: 0, reset: 0 };
    let mut staying = Vec::new();
    for mut peer in peers {
        peer.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut answer = [0; QUESTION.len()];
        match peer.read_exact(&mut answer) {
            Ok(()) => {
                assert_eq!(&answer, QUESTION);
                fates.answered += 1;
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => fates.reset += 1,
            Err(error) => panic!("somebody was stranded: {error}"),
        }
        if stay {
            staying.push(peer);
        }
    }
    println!("{ENDED}{} {}", fates.answered, fates.reset);
    if stay {
        std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    }
}
