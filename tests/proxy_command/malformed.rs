//! The control as a server of HTTP: connections that stay, requests in pieces and in rows, and requests that are none.

use crate::rig::{Answer, Proxy, Upstream, dial, say};
use std::io::{Read, Write};
use std::net::TcpStream;

const VERSION: &[u8] = b"GET /version HTTP/1.1\r\nHost: a\r\n\r\n";

/// One answer with a length from a connection that stays.
fn answer(stream: &mut TcpStream) -> Answer {
    let mut all = Vec::new();
    while !all.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a head");
        all.push(byte[0]);
    }
    let mut answer = Answer::parse(std::str::from_utf8(&all).expect("text"));
    let length = answer.head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().expect("a number"))];
    stream.read_exact(&mut body).expect("a body");
    answer.body = String::from_utf8(body).expect("text");
    answer
}

#[test]
fn connections_stay_and_requests_may_come_in_pieces() {
    let proxy = Proxy::empty();
    let mut stream = dial(&proxy.control);
    for byte in VERSION {
        stream.write_all(&[*byte]).expect("it is there");
    }
    assert_eq!(answer(&mut stream).status, 200);
    stream.write_all(b"DELETE /proxies/none HTTP/1.1\r\nHost: a\r\n\r\n").expect("it is there");
    assert_eq!(answer(&mut stream).status, 404);
    stream.write_all(b"POST /reset HTTP/1.1\r\nHost: a\r\n\r\n").expect("after a refusal too");
    assert_eq!(answer(&mut stream).status, 204);
}

#[test]
fn many_requests_in_a_row_are_answered_in_order() {
    let proxy = Proxy::empty();
    let upstream = Upstream::start();
    let mut text = Vec::new();
    let rounds = 200;
    for round in 0..rounds {
        let body = format!(r#"{{"name": "p{round}", "upstream": "{}", "enabled": false}}"#, upstream.address);
        let length = body.len();
        text.extend(
            format!("POST /proxies HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}").bytes(),
        );
        text.extend(b"GET /proxies HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    let mut stream = dial(&proxy.control);
    let mut writer = stream.try_clone().expect("a second handle");
    // Answers come to some megabytes: who does not read them while writing is made to wait.
    let writing = std::thread::spawn(move || writer.write_all(&text).expect("it takes all"));
    for round in 0..rounds {
        assert_eq!(answer(&mut stream).json()["name"], format!("p{round}"));
        assert_eq!(answer(&mut stream).json().as_object().map(serde_json::Map::len), Some(round + 1));
    }
    writing.join().expect("the writer ends well");
}

#[test]
fn chunked_bodies_and_waiting_for_a_word_work() {
    let proxy = Proxy::empty();
    let mut stream = dial(&proxy.control);
    let head =
        "POST /populate HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).expect("it is there");
    let mut word = [0; 25];
    stream.read_exact(&mut word).expect("a word");
    assert_eq!(&word, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"1\r\n[\r\n1\r\n]\r\n0\r\n\r\n").expect("it is there");
    assert_eq!(answer(&mut stream).body, r#"{"proxies":[]}"#);
}

#[test]
fn old_clients_get_an_end_unless_they_ask_for_more() {
    let proxy = Proxy::empty();
    let told = Answer::parse(&proxy.raw(b"GET /version HTTP/1.0\r\n\r\n"));
    assert!(told.status == 200 && told.head.contains("Connection: close"), "{}", told.head);
    let mut stream = dial(&proxy.control);
    stream.write_all(b"GET /version HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").expect("it is there");
    assert!(answer(&mut stream).head.contains("Connection: keep-alive"));
    stream.write_all(VERSION).expect("it stayed");
    assert_eq!(answer(&mut stream).status, 200);
}

#[test]
fn whatever_is_no_request_gets_a_status_and_a_sentence_and_nobody_else_notices() {
    let (proxy, upstream) = (Proxy::empty(), Upstream::start());
    let listen = proxy.create("echo", &upstream.address);
    let mut open = dial(&listen);
    say(&mut open, b"before");
    let post = |fields: &str| format!("POST /proxies HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n").into_bytes();
    let with_long_field = post(&format!("X: {}", "x".repeat(100_000)));
    let with_many_fields = post(&"X: x\r\n".repeat(200));
    let mut with_long_chunks = post("Transfer-Encoding: chunked");
    with_long_chunks.extend(format!("ffff\r\n{}\r\n", "x".repeat(0xffff)).repeat(20).bytes());
    let tests: [(&[u8], u16, &str); 13] = [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, "not HTTP"),
        (b"hello\r\n\r\n", 400, "not HTTP"),
        (b"GET /version HTTP/1.1\r\n\r\n", 400, "Host"),
        (b"GET /version HTTP/2.0\r\n\r\n", 505, "HTTP/1.1"),
        (b"BREW /version HTTP/1.1\r\nHost: a\r\n\r\n", 501, "method"),
        (&post("Transfer-Encoding: gzip"), 501, "chunked"),
        (&post("Expect: miracles"), 417, "100-continue"),
        (&post("Content-Length: -1"), 400, "no number"),
        (&post("Content-Length: 2000000"), 413, "1048576"),
        (&with_long_chunks, 413, "1048576"),
        (&with_long_field, 431, "16384"),
        (&with_many_fields, 431, "64"),
        (
            b"GET /version HTTP/1.1\r\nHost: a\r\nUser-Agent: Mozilla/5.0 (X11)\r\nConnection: close\r\n\r\n",
            403,
            "User agent",
        ),
    ];
    for (bytes, status, words) in tests {
        let told = Answer::parse(&proxy.raw(bytes));
        let sentence = told.json()["error"].as_str().expect("a sentence").to_owned();
        assert_eq!(told.status, status, "{sentence}");
        assert!(sentence.contains(words), "'{words}' is missing in '{sentence}'");
    }
    say(&mut open, b"nobody's connection was touched");
}

#[test]
fn clients_beyond_the_most_there_may_be_are_told_so() {
    let proxy = Proxy::empty();
    let mut clients: Vec<TcpStream> = (0..128).map(|_| dial(&proxy.control)).collect();
    // Connections are taken in the order in which they came.
    clients.iter_mut().for_each(|client| {
        client.write_all(VERSION).expect("it is there");
        assert_eq!(answer(client).status, 200);
    });
    let told = Answer::parse(&proxy.raw(b""));
    assert_eq!(told.status, 503, "{}", told.body);
    drop(clients.pop());
    // The end of a connection may be seen later than the beginning of the next.
    let served = (0..10_000).any(|_| proxy.ask("GET", "/version", "").status == 200);
    assert!(served, "a place that got free is given to the next");
}
