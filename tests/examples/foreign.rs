//! `foreign_loop` and `foreign_source`: both sides of each are served, whoever owns the loop.

use super::process::Server;
use std::io::Read;
use std::net::{Shutdown, UdpSocket};

/// More than one batch, so that what is left over has to be remembered, and less than the kernel holds.
const APPLES: u64 = 150;

/// Many more than the turns that all the datagrams take.
const ANSWERS_MAX: usize = 1000;

fn totals(server: &Server) -> String {
    let mut client = server.connect();
    client.shutdown(Shutdown::Write).expect("open");
    let mut totals = String::new();
    client.read_to_string(&mut totals).expect("closed in good order");
    totals
}

fn counts_datagrams_and_tells_totals(example: &str) {
    let mut server = Server::start(example, &["--cores", "1"]);
    let to = server.address_after("counting datagrams on ");
    assert_eq!(totals(&server), "");
    let socket = UdpSocket::bind("127.0.0.1:0").expect("bound");
    server.while_stopped(|| {
        for _ in 0..APPLES {
            assert_eq!(socket.send_to(b"apples", to).expect("sent"), 6);
        }
        socket.send_to(b"pears", to).expect("sent");
    });
    // Datagrams and connections come by different ways; the pear is the last of its own. Each answer costs the server
    // a turn, and a turn takes a batch.
    let mut answers = (0..ANSWERS_MAX).map(|_| totals(&server));
    let told = answers.find(|told| told.contains("pears")).expect("nothing is forgotten");
    assert_eq!(told, format!("apples {APPLES}\npears 1\n"));
}

#[test]
fn foreign_loop_serves_its_own_socket_and_the_reactors() {
    counts_datagrams_and_tells_totals("foreign_loop");
}

#[test]
fn foreign_source_serves_its_own_connections_and_a_socket_of_mio() {
    counts_datagrams_and_tells_totals("foreign_source");
}
