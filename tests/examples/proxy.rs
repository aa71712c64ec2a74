//! `proxy`: every byte arrives, each direction ends by itself, nobody's slowness costs memory, and a failure on one
//! side is one on the other.

use super::process::{Server, patient};
use socket2::{Domain, SockRef, Socket, Type};
use std::hash::{DefaultHasher, Hasher};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use windlass::buffer::Watermarks;
use windlass::limits::RECEIVE_BUFFER_BYTES;

const BYTES: usize = 50 << 20;
const BLOCK_BYTES: usize = 64 << 10;

/// A client and the upstream's end of one connection through a proxy.
fn through_proxy(cores: &str) -> (Server, TcpStream, TcpStream) {
    let upstream = TcpListener::bind("127.0.0.1:0").expect("bound");
    let to = upstream.local_addr().expect("bound").to_string();
    let server = Server::start("proxy", &["--to", &to, "--cores", cores]);
    let client = server.connect();
    let (served, _) = upstream.accept().expect("the proxy connects");
    (server, client, patient(served))
}

/// Block number `n` of the stream that `seed` stands for.
fn block(seed: u64, n: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (n + 1);
    let words = (0..BLOCK_BYTES / 8).flat_map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.collect()
}

/// Writes a stream, ends it, and hashes it.
fn write_all(mut to: TcpStream, seed: u64) -> JoinHandle<u64> {
    thread::spawn(move || {
        let mut hasher = DefaultHasher::new();
        for n in 0..(BYTES / BLOCK_BYTES) as u64 {
            let block = block(seed, n);
            hasher.write(&block);
            to.write_all(&block).expect("open");
        }
        to.shutdown(Shutdown::Write).expect("open");
        hasher.finish()
    })
}

/// Reads a stream to its end and hashes it, in pieces as long as the blocks that the writer hashed.
fn read_all(mut from: TcpStream) -> u64 {
    let mut hasher = DefaultHasher::new();
    let mut block = vec![0; BLOCK_BYTES];
    for _ in 0..BYTES / BLOCK_BYTES {
        from.read_exact(&mut block).expect("open");
        hasher.write(&block);
    }
    assert_eq!(from.read(&mut block).expect("closed in good order"), 0, "and nothing more");
    hasher.finish()
}

fn copy(stream: &TcpStream) -> TcpStream {
    stream.try_clone().expect("a descriptor")
}

#[test]
fn proxy_forwards_fifty_megabytes_both_ways_at_once() {
    let (_server, client, upstream) = through_proxy("2");
    println!("seeds 1 (up) and 2 (down)");
    let (up, down) = (write_all(copy(&client), 1), write_all(copy(&upstream), 2));
    let at_upstream = thread::spawn(|| read_all(upstream));
    assert_eq!(read_all(client), down.join().expect("written"));
    assert_eq!(at_upstream.join().expect("read"), up.join().expect("written"));
}

fn ends_first(mut first: TcpStream, mut second: TcpStream) {
    first.write_all(b"that is all").expect("open");
    first.shutdown(Shutdown::Write).expect("open");
    let mut said = String::new();
    second.read_to_string(&mut said).expect("ended in good order");
    assert_eq!(said, "that is all");
    second.write_all(b"and I say").expect("open for writing still");
    drop(second);
    let mut answer = String::new();
    first.read_to_string(&mut answer).expect("ended in good order");
    assert_eq!(answer, "and I say");
}

#[test]
fn proxy_passes_the_end_of_the_client_on_and_the_answer_back() {
    let (_server, client, upstream) = through_proxy("1");
    ends_first(client, upstream);
}

#[test]
fn proxy_passes_the_end_of_the_upstream_on_and_the_clients_last_words_back() {
    let (_server, client, upstream) = through_proxy("1");
    ends_first(upstream, client);
}

/// Writes until nothing has been taken for a while: all buffers on the way are full.
fn write_until_stuck(to: &mut TcpStream) -> usize {
    let usual = to.write_timeout().expect("a socket");
    to.set_write_timeout(Some(Duration::from_millis(300))).expect("above zero");
    let mut written = 0;
    loop {
        match to.write(&[b'x'; BLOCK_BYTES]) {
            Ok(n) => written += n,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => panic!("{error}"),
        }
        assert!(written < 2 * BYTES, "somebody holds {written} bytes that nobody reads");
    }
    to.set_write_timeout(usual).expect("above zero");
    written
}

#[test]
fn proxy_holds_no_more_for_a_slow_reader_than_its_bound() {
    let (mut server, client, mut upstream) = through_proxy("1");
    let stuck = write_until_stuck(&mut upstream);
    let rest = thread::spawn(move || {
        for _ in 0..BYTES / BLOCK_BYTES {
            upstream.write_all(&[b'x'; BLOCK_BYTES]).expect("open");
        }
    });
    let mut got = 0;
    let mut client_reads = client.try_clone().expect("a descriptor");
    let mut page = [0; 4096];
    loop {
        match client_reads.read(&mut page).expect("open") {
            0 => break,
            n => got += n,
        }
    }
    rest.join().expect("written");
    assert_eq!(got, stuck + BYTES / BLOCK_BYTES * BLOCK_BYTES);
    #[cfg(target_os = "linux")]
    assert!(server.memory_bytes_max() < BYTES / 2, "{} bytes of memory", server.memory_bytes_max());

    drop((client, client_reads));
    let lines = [server.line(), server.line()];
    let line = lines.iter().find(|line| line.starts_with("client ")).expect("both ends are told of");
    let waited =
        line.strip_suffix(" waited").and_then(|line| line.rsplit(' ').next()).expect("at most N waited");
    let waited: usize = waited.parse().expect("a number");
    assert!(waited <= Watermarks::DEFAULT.high_bytes + RECEIVE_BUFFER_BYTES, "{line}");
    assert!(line.contains(&format!("; {got} bytes sent,")), "{line}");
}

fn is_reset(outcome: io::Result<usize>) -> bool {
    outcome.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset)
}

#[test]
fn proxy_resets_the_client_when_nobody_listens_upstream() {
    // Bound, so that nobody else takes the port, but not listening.
    let nobody = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a descriptor");
    nobody.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("bound");
    let to = nobody.local_addr().ok().and_then(|address| address.as_socket()).expect("bound").to_string();
    let mut server = Server::start("proxy", &["--to", &to]);
    let mut client = server.connect();
    assert!(is_reset(client.read(&mut [0])), "an end in good order would look like an empty answer");
    assert!(server.line().starts_with(&format!("upstream {to}: refused")));
}

#[test]
fn proxy_passes_a_reset_on_both_ways() {
    for upstream_resets in [true, false] {
        let (_server, client, upstream) = through_proxy("1");
        let (resets, mut other) = if upstream_resets { (upstream, client) } else { (client, upstream) };
        SockRef::from(&resets).set_linger(Some(Duration::ZERO)).expect("set");
        drop(resets);
        assert!(is_reset(other.read(&mut [0])), "upstream_resets: {upstream_resets}");
    }
}
