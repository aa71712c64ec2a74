//! Tests of HTTP: requests and URLs by example, answers by example, in pieces and damaged.

use super::super::pieces::{self, Found};
use super::*;
use crate::thorough::thorough;
use proptest::prelude::*;

fn http(change: impl FnOnce(&mut HttpRequest)) -> Result<Http, Error> {
    let mut request = HttpRequest::get("localhost", "/");
    change(&mut request);
    Http::new(&request)
}

fn encoded(change: impl FnOnce(&mut HttpRequest)) -> String {
    let mut out = Vec::new();
    http(change).unwrap().request(&mut Draw::seeded(1), &mut out);
    String::from_utf8(out).unwrap()
}

/// What becomes of `bytes` as the answers to `requests` GETs.
fn answers(requests: usize, bytes: &[u8]) -> Found {
    pieces::feed(http(|_| ()).unwrap(), requests, bytes, &[])
}

/// The one answer in `text`, and whether it is the last.
#[track_caller]
fn one(text: &str) -> (Answer, bool) {
    let found = answers(1, text.as_bytes());
    assert!(found.malformed.is_none() && found.answers.len() == 1, "{found:?}");
    found.answers[0].clone()
}

#[track_caller]
fn malformed(text: &str) -> String {
    answers(1, text.as_bytes()).malformed.expect("malformed").0
}

fn refused(kind: &str) -> Answer {
    Answer::Refused(kind.into())
}

#[test]
fn requests_are_encoded_as_they_were_asked_for() {
    assert_eq!(encoded(|_| ()), "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let post = encoded(|request| {
        request.method = "POST".into();
        request.path = "/a?b=%20".into();
        request.headers = vec![("Accept".into(), "*/*".into()), ("host".into(), "elsewhere".into())];
        request.body = b"x\r\n\r\ny".to_vec();
    });
    assert_eq!(
        post,
        "POST /a?b=%20 HTTP/1.1\r\nAccept: */*\r\nhost: elsewhere\r\nContent-Length: 6\r\n\r\nx\r\n\r\ny"
    );
    assert!(encoded(|request| request.method = "PUT".into()).contains("\r\nContent-Length: 0\r\n"));
}

#[test]
fn requests_that_could_be_read_as_two_are_refused() {
    let field = |name: &str, value: &str| http(|r| r.headers = vec![(name.into(), value.into())]);
    let refused = [
        field("X", "a\r\nEvil: b"),
        field("X", "a\nb"),
        field("X", "a\0"),
        field("X\r\nY", "a"),
        field("X Y", "a"),
        field("", "a"),
        field("Content-Length", "3"),
        field("transfer-encoding", "chunked"),
        http(|r| r.headers = vec![("Host".into(), "a".into()), ("HOST".into(), "b".into())]),
        http(|r| r.host = "a\r\nb".into()),
        http(|r| r.path = "/a b".into()),
        http(|r| r.path = "/a\r\nb".into()),
        http(|r| r.path = "/\u{e9}".into()),
        http(|r| r.path = "/a#b".into()),
        http(|r| r.path = "a".into()),
        http(|r| r.path = String::new()),
        http(|r| r.method = "GET /x".into()),
        http(|r| r.method = "CONNECT".into()),
        http(|r| r.method = String::new()),
        http(|r| r.headers = vec![("X".into(), "x".repeat(70_000))]),
        http(|r| r.body = vec![0; (16 << 20) + 1]),
    ];
    for (place, refusal) in refused.into_iter().enumerate() {
        let Err(Error::Config(sentence)) = refusal else { panic!("case {place} is accepted") };
        assert!(!sentence.contains(['\r', '\n', '\0']), "case {place}: {sentence:?}");
    }
}

#[test]
fn urls_say_where_to_connect_and_what_to_ask() {
    for (url, host, port, named, path) in [
        ("http://localhost", "localhost", 80, "localhost", "/"),
        ("HTTP://Example.com/", "Example.com", 80, "Example.com", "/"),
        ("http://10.0.0.1:8080/a/b?c=d/e?f", "10.0.0.1", 8080, "10.0.0.1:8080", "/a/b?c=d/e?f"),
        ("http://host?q=1#part", "host", 80, "host", "/?q=1"),
        ("http://host#part", "host", 80, "host", "/"),
        ("http://host:/x", "host", 80, "host", "/x"),
        ("http://[::1]:7000/x", "::1", 7000, "[::1]:7000", "/x"),
        ("http://[fe80::1]", "fe80::1", 80, "[fe80::1]", "/"),
        ("http://host/a@b:c", "host", 80, "host", "/a@b:c"),
        ("https://host/x", "host", 443, "host", "/x"),
        ("https://host:80/", "host", 80, "host:80", "/"),
    ] {
        let request = HttpRequest::get(named, path);
        assert_eq!(HttpRequest::from_url(url).unwrap(), (host.into(), port, request), "{url}");
    }
}

#[test]
fn urls_that_make_no_sense_are_refused_with_a_sentence() {
    for (url, why) in [
        ("localhost:80", "is no URL"),
        ("", "is no URL"),
        ("ftp://host/", "no URL of HTTP"),
        ("http://", "no host name"),
        ("http:///path", "no host name"),
        ("http://:80/", "no host name"),
        ("http://user:secret@host/", "user name"),
        ("http://host:0/", "between 1 and 65535"),
        ("http://host:65536/", "between 1 and 65535"),
        ("http://host:+80/", "no number"),
        ("http://host:8a/", "no number"),
        ("http://::1/", "in brackets"),
        ("http://[::1/", "never closed"),
        ("http://[::1]x/", "behind its bracket"),
        ("http://[host]/", "no IPv6 address"),
        ("http://[::1%25eth0]/", "no IPv6 address"),
        ("http://h%6fst/", "no host name"),
        ("http://h ost/", "no host name"),
        ("http://h\u{f6}st/", "no host name"),
        ("http://host/a b", "%20"),
        ("http://host/a\r\nEvil: x", "%0D"),
        ("http://host/\u{e9}", "%C3"),
    ] {
        let refusal = HttpRequest::from_url(url).unwrap_err().to_string();
        assert!(refusal.contains(why) && !refusal.contains('\n'), "{url:?}: {refusal}");
    }
}

#[test]
fn lengths_chunks_and_statuses_end_an_answer() {
    let good = (Answer::Good, false);
    assert_eq!(one("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"), good);
    assert_eq!(one("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"), good);
    assert_eq!(one("HTTP/1.1 200\r\nContent-Length:3\r\nContent-Length: 3\r\n\r\nabc"), good);
    assert_eq!(one("HTTP/1.1 204 No Content\r\n\r\n"), good);
    assert_eq!(one("HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n"), good);
    assert_eq!(one("HTTP/1.1 301 Moved\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n"), good);
    assert_eq!(
        one("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 -\r\n\r\n"),
        good
    );
    let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for body in [
        "0\r\n\r\n",
        "3\r\nabc\r\n0\r\n\r\n",
        "a;name=\"v;\"\r\n0123456789\r\n000A \r\n0123456789\r\n00;x\r\nTrailer: x\r\nMore: y\r\n\r\n",
        "2\n\r\n\n0\n\n",
    ] {
        assert_eq!(one(&format!("{chunks}{body}")), good);
    }
    assert_eq!(one("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n0\r\n\r\n"), good);
    for status in [400, 404, 500, 503, 999] {
        let text = format!("HTTP/1.1 {status} No\r\nContent-Length: 2\r\n\r\nno");
        assert_eq!(one(&text), (refused(&format!("HTTP {status}")), false));
    }
}

#[test]
fn answers_to_head_have_no_body() {
    let head = http(|request| request.method = "HEAD".into()).unwrap();
    let text =
        "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nHTTP/1.1 404 -\r\nTransfer-Encoding: chunked\r\n\r\n";
    let expected = Found::answers([Answer::Good, refused("HTTP 404")]);
    assert_eq!(pieces::feed(head, 2, text.as_bytes(), &[]), expected);
}

#[test]
fn the_last_answer_of_a_connection_is_known() {
    let last = |head: &str| one(&format!("{head}\r\nContent-Length: 0\r\n\r\n")).1;
    assert!(last("HTTP/1.1 200 OK\r\nConnection: close"));
    assert!(last("HTTP/1.1 200 OK\r\nconnection: upgrade , Close"));
    assert!(!last("HTTP/1.1 200 OK\r\nConnection: keep-alive"));
    assert!(last("HTTP/1.0 200 OK"));
    assert!(!last("HTTP/1.0 200 OK\r\nConnection: Keep-Alive"));
    let closing = http(|request| request.headers = vec![("Connection".into(), "close".into())]).unwrap();
    let found = pieces::feed(closing, 2, b"HTTP/1.1 204 -\r\n\r\n", &[]);
    assert_eq!(found.answers, [(Answer::Good, true)]);
}

#[test]
fn a_body_without_a_length_ends_with_the_connection() {
    let found = answers(1, b"HTTP/1.1 200 OK\r\n\r\nwhatever comes");
    assert_eq!((found.answers.len(), found.ended), (0, Some(Answer::Good)));
    let found = answers(1, b"HTTP/1.1 502 -\r\nTransfer-Encoding: gzip\r\n\r\n");
    assert_eq!(found.ended, Some(refused("HTTP 502")));
    for cut_short in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab"[..],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"",
    ] {
        assert_eq!(answers(1, cut_short).ended, None);
    }
}

#[test]
fn lengths_that_conflict_or_make_no_sense_are_malformed() {
    for fields in [
        "Content-Length: 1\r\nContent-Length: 2",
        "Content-Length: 1\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip\r\nContent-Length: 1",
        "Content-Length: -1",
        "Content-Length: +1",
        "Content-Length: 1, 1",
        "Content-Length:",
        "Content-Length: 0x10",
        "Content-Length: 1099511627777",
        "Content-Length: 99999999999999999999",
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    ] {
        let sentence = malformed(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n"));
        assert!(sentence.contains("announced"), "{fields}: {sentence}");
    }
    assert!(malformed("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").contains("not allow"));
    for body in [
        "\r\n",
        "x\r\n",
        "+1\r\n",
        "-1\r\n",
        "10000000001\r\n",
        "11111111111111111\r\n",
        "3\r\nabcd\r\n",
        "3\r\nabcd",
    ] {
        let text = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
        assert!(malformed(&text).contains("chunk"), "{body:?}");
    }
}

#[test]
fn what_is_no_http_is_malformed() {
    for text in ["-ERR wrong\r\n", "+", "HTTP/2.0 200 OK\r\n\r\n", "SSH-2.0-OpenSSH\r\n", "HTTQ"] {
        assert!(malformed(text).contains("is not HTTP/1.1"), "{text}");
    }
    assert!(malformed("\x15\x03\x01\x00\x02").contains("https"));
    assert!(malformed("HTTP/1.1 2x0 OK\r\n\r\n").contains("broken head"));
    assert!(malformed("HTTP/1.1 200 OK\r\nNo colon\r\n\r\n").contains("broken head"));
    assert!(malformed("HTTP/1.1 099 OK\r\n\r\n").contains("status 099"));
    assert!(malformed("HTTP/1.1 101 Switching\r\n\r\n").contains("status 101"));
}

#[test]
fn what_is_kept_is_bounded() {
    let head = |fields: usize, value: usize| {
        format!("HTTP/1.1 204 -\r\n{}\r\n", format!("X: {}\r\n", "x".repeat(value)).repeat(fields))
    };
    assert_eq!(one(&head(FIELDS_MAX, 600)), (Answer::Good, false));
    assert!(malformed(&head(FIELDS_MAX + 1, 1)).contains("more than 100"));
    assert!(malformed(&head(FIELDS_MAX, 700)).contains("more than 65536 bytes"));
    let endless = format!("HTTP/1.1 204 -\r\nX: {}", "x".repeat(HEAD_BYTES_MAX));
    assert!(malformed(&endless).contains("more than 65536 bytes"));
    let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert!(malformed(&format!("{chunks}1;{}", "x".repeat(10_000))).contains("does not end"));
    assert!(malformed(&format!("{chunks}0\r\nT: {}", "x".repeat(10_000))).contains("does not end"));
}

/// Valid answers to GET that do not end the connection.
fn answer() -> impl Strategy<Value = Vec<u8>> {
    let status = prop_oneof![Just(200u16), Just(302), Just(404), Just(500), Just(204)];
    let fields = prop::collection::vec("[A-Z][a-z-]{0,20}: [ -~]{0,40}", 0..6);
    let chunks = prop::collection::vec((prop::collection::vec(any::<u8>(), 1..60), "(;[a-z]{1,9})?"), 0..6);
    let trailers = prop::collection::vec("T[a-z]{0,9}: [ -~]{0,20}\r\n", 0..3);
    let body = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..300)
            .prop_map(|body| (format!("Content-Length: {}", body.len()), body)),
        (chunks, trailers).prop_map(|(chunks, trailers)| {
            let mut body = Vec::new();
            for (data, extension) in chunks {
                body.extend_from_slice(format!("{:x}{extension}\r\n", data.len()).as_bytes());
                body.extend_from_slice(&data);
                body.extend_from_slice(b"\r\n");
            }
            body.extend_from_slice(format!("0\r\n{}\r\n", trailers.concat()).as_bytes());
            ("Transfer-Encoding: chunked".to_owned(), body)
        }),
    ];
    (status, fields, body, any::<bool>()).prop_map(|(status, fields, (framing, body), interim)| {
        let interim = if interim { "HTTP/1.1 100 Continue\r\n\r\n" } else { "" };
        let (framing, body) = if status == 204 { ("X: y".to_owned(), Vec::new()) } else { (framing, body) };
        let fields: String = fields.iter().map(|field| format!("X-{field}\r\n")).collect();
        let head = format!("{interim}HTTP/1.1 {status} Some reason\r\n{fields}{framing}\r\n\r\n");
        [head.as_bytes(), &body].concat()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(thorough(256, 24)))]

    #[test]
    fn cuts_change_nothing(
        texts in prop::collection::vec(answer(), 1..10), cuts in prop::collection::vec(1..60usize, 0..99),
    ) {
        let bytes = texts.concat();
        let whole = answers(texts.len(), &bytes);
        prop_assert_eq!(whole.answers.len(), texts.len());
        prop_assert!(whole.malformed.is_none());
        prop_assert_eq!(pieces::feed(http(|_| ()).unwrap(), texts.len(), &bytes, &cuts), whole);
    }

    #[test]
    fn mutations_neither_panic_nor_depend_on_cuts(
        texts in prop::collection::vec(answer(), 1..5),
        mutations in pieces::mutations(),
        cuts in prop::collection::vec(1..60usize, 1..99),
    ) {
        let bytes = pieces::mutate(texts.concat(), &mutations);
        let whole = answers(texts.len(), &bytes);
        let pieces = pieces::feed(http(|_| ()).unwrap(), texts.len(), &bytes, &cuts);
        prop_assert_eq!(pieces.without_sentence(), whole.without_sentence());
    }

    #[test]
    fn noise_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..2000), cut in 1..99usize) {
        pieces::feed(http(|_| ()).unwrap(), 3, &bytes, &[cut]);
        let headed = [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", &bytes[..]].concat();
        pieces::feed(http(|_| ()).unwrap(), 3, &headed, &[cut]);
    }

    #[test]
    fn urls_never_panic(url in "(http://)?[ -~é]{0,40}") {
        if let Ok((_, _, request)) = HttpRequest::from_url(&url) {
            prop_assert!(Http::new(&request).is_ok(), "{:?}", request);
        }
    }
}
