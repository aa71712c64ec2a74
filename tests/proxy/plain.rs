//! Without a toxic: what one end says and does, the other one hears and sees.

use crate::rig::{End, PATIENCE, Rig, hear, hear_to_end, pattern, reset};
use std::io::Write;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use windlass::proxy::{Plan, spawn, spawn_with};

#[test]
fn bytes_pass_both_ways_at_once() {
    const BYTES: usize = 8 << 20;
    let rig = Rig::new();
    let (client, served) = rig.pair();
    std::thread::scope(|scope| {
        for (mut talker, from) in [(&client, 0), (&served, BYTES)] {
            scope.spawn(move || talker.write_all(&pattern(from, BYTES)).expect("it is taken"));
        }
        for (mut hearer, from) in [(&served, 0), (&client, BYTES)] {
            scope.spawn(move || assert!(hear(&mut hearer, BYTES) == pattern(from, BYTES), "as it was said"));
        }
    });
    let figures = rig.figures();
    assert_eq!((figures.accepted, figures.active), (1, 1));
    assert_eq!((figures.received_bytes, figures.sent_bytes), ([BYTES as u64; 2], [BYTES as u64; 2]));
    drop((client, served));
    let figures = rig.until("the end", |figures| figures.active == 0);
    assert_eq!((figures.received_bytes, figures.held_bytes), ([BYTES as u64; 2], 0));
}

#[test]
fn each_side_ends_by_itself() {
    let rig = Rig::new();
    let (mut client, mut served) = rig.pair();
    client.write_all(b"question").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(hear_to_end(&mut served), (b"question".to_vec(), End::InOrder));
    served.write_all(b"answer").unwrap();
    assert_eq!(hear(&mut client, 6), b"answer");
    served.shutdown(Shutdown::Write).unwrap();
    assert_eq!(hear_to_end(&mut client), (Vec::new(), End::InOrder));
    rig.until("the end", |figures| figures.active == 0);
}

#[test]
fn a_reset_passes_as_a_reset_and_an_end_as_an_end() {
    let rig = Rig::new();
    let (client, mut served) = rig.pair();
    reset(client);
    assert_eq!(hear_to_end(&mut served), (Vec::new(), End::Reset));
    let (mut client, served) = rig.pair();
    reset(served);
    assert_eq!(hear_to_end(&mut client), (Vec::new(), End::Reset));
    let (mut client, served) = rig.pair();
    drop(served);
    assert_eq!(hear_to_end(&mut client), (Vec::new(), End::InOrder));
    drop(client);
    rig.until("the end", |figures| figures.active == 0);
}

#[test]
fn a_client_whose_upstream_is_not_there_sees_the_end() {
    let gone = TcpListener::bind("127.0.101.4:0").unwrap();
    let address = gone.local_addr().unwrap();
    drop(gone);
    let proxy = spawn(address).unwrap();
    let mut client = TcpStream::connect(proxy.address()).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(hear_to_end(&mut client), (Vec::new(), End::InOrder));
    drop(client);
    let figures = proxy.figures().unwrap();
    assert_eq!(figures.accepted, 1);
}

/// `localhost` may name an IPv6 address first, where nobody listens; the client's words wait until somebody does.
#[test]
fn the_next_address_of_a_name_is_tried_and_no_word_is_lost() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = spawn(format!("localhost:{}", server.local_addr().unwrap().port())).unwrap();
    let mut client = TcpStream::connect(proxy.address()).unwrap();
    client.write_all(b"hello").unwrap();
    let (mut served, _) = server.accept().unwrap();
    served.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(hear(&mut served, 5), b"hello");
}

#[test]
fn unix_sockets_serve_on_both_sides() {
    let folder = std::env::temp_dir().join(format!("windlass-proxy-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (front, back) = (folder.join("front"), folder.join("back"));
    let server = UnixListener::bind(&back).unwrap();
    let listen = format!("unix:{}", front.display());
    let upstream = format!("unix:{}", back.display());
    let plan = Plan { listen: listen.clone(), ..Plan::to("unix", upstream) };
    let proxy = spawn_with(plan, 1).unwrap();
    assert_eq!(proxy.address(), listen);
    let mut client = UnixStream::connect(&front).unwrap();
    let (mut served, _) = server.accept().unwrap();
    client.write_all(b"question").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(hear_to_end(&mut served), (b"question".to_vec(), End::InOrder));
    served.write_all(b"answer").unwrap();
    drop(served);
    assert_eq!(hear_to_end(&mut client), (b"answer".to_vec(), End::InOrder));
    drop(proxy);
    assert!(!front.exists(), "its socket file goes with it");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_proxy_that_is_dropped_is_gone() {
    let rig = Rig::at("127.0.101.2", 7);
    let (mut client, mut served) = rig.pair();
    let address = rig.proxy.address().to_owned();
    let Rig { proxy, .. } = rig;
    drop(proxy);
    assert!(TcpStream::connect(address).is_err(), "nobody listens");
    hear_to_end(&mut client);
    hear_to_end(&mut served);
}
