//! Tests of Redis: commands and replies by example, replies in pieces and damaged.

use super::super::pieces::{self, Found};
use super::*;
use crate::thorough::thorough;
use proptest::prelude::*;

fn redis(change: impl FnOnce(&mut RedisCommands)) -> Result<Redis, Error> {
    let mut commands = RedisCommands::default();
    change(&mut commands);
    Redis::new(&commands)
}

fn custom(words: &[&str]) -> Redis {
    let words = words.iter().map(|word| word.as_bytes().to_vec()).collect();
    redis(|commands| (commands.command, commands.key_count) = (Some(words), 1)).unwrap()
}

/// What becomes of `bytes` as the answers to `requests`.
fn answers(requests: usize, bytes: &[u8]) -> Found {
    pieces::feed(redis(|_| ()).unwrap(), requests, bytes, &[])
}

fn good(bytes: &[u8]) {
    assert_eq!(answers(1, bytes), Found::answers([Answer::Good]), "{}", bytes.escape_ascii());
}

fn refused(bytes: &[u8]) -> String {
    match &answers(1, bytes).answers[..] {
        [(Answer::Refused(kind), false)] => kind.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn requests_are_what_redis_benchmark_sends() {
    let (mut draw, mut out) = (Draw::seeded(1), Vec::new());
    let mut sets = redis(|c| {
        (c.get_fraction, c.key_count, c.values) = (0.0, 1, Sizes::Fixed(3));
    });
    sets.as_mut().unwrap().request(&mut draw, &mut out);
    assert_eq!(out, b"*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000000\r\n$3\r\nabc\r\n");
    out.clear();
    let mut gets = redis(|c| (c.get_fraction, c.key_count) = (1.0, KEYS_MAX)).unwrap();
    gets.request(&mut draw, &mut out);
    let key = out.strip_prefix(b"*2\r\n$3\r\nGET\r\n$16\r\nkey:").unwrap().strip_suffix(b"\r\n").unwrap();
    assert!(key.len() == KEY_DIGITS && key.iter().all(u8::is_ascii_digit) && key[0] != b'0');
    out.clear();
    custom(&["HSET", "h:__key__", "f__key____key__", ""]).request(&mut draw, &mut out);
    let key = "key:000000000000";
    let expected = format!("*4\r\n$4\r\nHSET\r\n$18\r\nh:{key}\r\n$33\r\nf{key}{key}\r\n$0\r\n\r\n");
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[test]
fn keys_and_commands_are_drawn_evenly() {
    let mut redis = redis(|c| (c.get_fraction, c.key_count) = (0.25, 4)).unwrap();
    let (mut draw, mut out) = (Draw::seeded(9), Vec::new());
    let (mut gets, mut keys) = (0, [0; 4]);
    for _ in 0..40_000 {
        out.clear();
        redis.request(&mut draw, &mut out);
        gets += u64::from(out.starts_with(b"*2"));
        let digit = out.windows(4).position(|part| part == b"key:").unwrap() + 4 + KEY_DIGITS - 1;
        keys[usize::from(out[digit] - b'0')] += 1;
    }
    assert!((9_500..10_500).contains(&gets), "{gets} GETs in 40,000");
    assert!(keys.iter().all(|times| (9_500..10_500).contains(times)), "{keys:?}");
}

#[test]
fn absurd_numbers_are_refused_with_a_sentence() {
    let refused = [
        redis(|c| c.get_fraction = f64::NAN),
        redis(|c| c.get_fraction = 1.01),
        redis(|c| c.get_fraction = -0.01),
        redis(|c| c.key_count = 0),
        redis(|c| c.key_count = KEYS_MAX + 1),
        redis(|c| c.key_prefix = "k".repeat(KEY_PREFIX_BYTES_MAX + 1)),
        redis(|c| c.values = Sizes::Fixed(0)),
        redis(|c| c.command = Some(vec![])),
        redis(|c| c.command = Some(vec![vec![]])),
        redis(|c| c.command = Some(vec![b"GET".to_vec(), KEY_MARK.repeat(1 << 20)])),
        redis(|c| c.command = Some(vec![b"x".to_vec(); COMMAND_WORDS_MAX + 1])),
    ];
    for (place, refusal) in refused.into_iter().enumerate() {
        assert!(matches!(refusal, Err(Error::Config(_))), "case {place}");
    }
}

#[test]
fn every_kind_of_reply_is_an_answer() {
    good(b"+OK\r\n");
    good(b"+\r\n");
    good(b":1000\r\n");
    good(b":-1\r\n");
    good(b"$-1\r\n");
    good(b"$0\r\n\r\n");
    good(b"$2\r\n\r\n\r\n");
    good(b"*0\r\n");
    good(b"*-1\r\n");
    good(b"*3\r\n$1\r\na\r\n*2\r\n:1\r\n*-1\r\n+b\r\n");
    good(&b"*1\r\n".repeat(100_000).into_iter().chain(*b":1\r\n").collect::<Vec<u8>>());
}

#[test]
fn errors_are_counted_by_kind() {
    assert_eq!(
        refused(b"-ERR unknown command 'FOO', with args beginning with: 'a'\r\n"),
        "ERR unknown command"
    );
    assert_eq!(refused(b"-MOVED 3999 127.0.0.1:6381\r\n"), "MOVED");
    assert_eq!(refused(b"-NOAUTH Authentication required.\r\n"), "NOAUTH Authentication required");
    assert_eq!(
        refused(b"-OOM command not allowed when used memory > 'maxmemory'.\r\n"),
        "OOM command not allowed when used memory"
    );
    assert_eq!(refused(b"*2\r\n:1\r\n-ERR no\r\n"), "ERR no");
    assert_eq!(refused(b"-\r\n"), "an error");
    assert_eq!(refused(b"-\xff\xfe\r\n"), "an error");
    let long = [&b"-"[..], &b"word ".repeat(1000), b"\r\n"].concat();
    assert_eq!(refused(&long).len(), 49);
}

#[test]
fn what_no_redis_says_is_malformed() {
    for bytes in [
        &b"HTTP/1.1 400 Bad Request\r\n"[..],
        b"\x15\x03\x01",
        b"OK\r\n",
        b"+OK\n",
        b":12x\r\n",
        b":\r\n",
        b"$-2\r\n",
        b"$x\r\n",
        b"$+1\r\n",
        b"$99999999999999999999\r\n",
        b"$99999999999\r\n",
        b"$3\r\nabcd\r\n",
        b"$3\r\nabc\rx",
        b"*4294967295\r\n*4294967295\r\n",
        b"$000000000000000000000000000000000000000000",
    ] {
        let sentence = answers(1, bytes).malformed.expect("malformed").0;
        assert!(sentence.contains("no Redis server") && sentence.contains('"'), "{sentence}");
    }
    assert!(answers(1, &b"+".repeat(LINE_BYTES_MAX)).malformed.is_some());
}

#[test]
fn long_strings_are_used_as_they_come() {
    let mut redis = redis(|_| ()).unwrap();
    redis.request(&mut Draw::seeded(1), &mut Vec::new());
    assert_eq!(redis.answer(b"$4294967296\r\n"), Ok(Step::Partial { used: 13 }));
    let piece = vec![b'x'; 1 << 20];
    for _ in 0..4096 {
        assert_eq!(redis.answer(&piece), Ok(Step::Partial { used: 1 << 20 }));
    }
    assert_eq!(redis.answer(b"\r"), Ok(Step::Partial { used: 0 }));
    assert_eq!(redis.answer(b"\r\n"), Ok(Step::Answered { used: 2, answer: Answer::Good, last: false }));
}

/// Valid replies, nested up to four deep.
fn reply() -> impl Strategy<Value = Vec<u8>> {
    let leaf = prop_oneof![
        "[ -~]{0,20}".prop_map(|text| format!("+{text}\r\n").into_bytes()),
        "[A-Z]{1,9}( [a-z0-9']{1,9}){0,5}".prop_map(|text| format!("-{text}\r\n").into_bytes()),
        any::<i64>().prop_map(|number| format!(":{number}\r\n").into_bytes()),
        Just(b"$-1\r\n".to_vec()),
        Just(b"*-1\r\n".to_vec()),
        prop::collection::vec(any::<u8>(), 0..200).prop_map(|body| [
            format!("${}\r\n", body.len()).as_bytes(),
            &body,
            b"\r\n"
        ]
        .concat()),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop::collection::vec(inner, 0..6)
            .prop_map(|items| [format!("*{}\r\n", items.len()).as_bytes(), &items.concat()].concat())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(thorough(256, 24)))]

    #[test]
    fn cuts_change_nothing(
        replies in prop::collection::vec(reply(), 1..20), cuts in prop::collection::vec(1..40usize, 0..99),
    ) {
        let bytes = replies.concat();
        let whole = answers(replies.len(), &bytes);
        prop_assert_eq!(whole.answers.len(), replies.len());
        prop_assert!(whole.malformed.is_none());
        prop_assert_eq!(pieces::feed(redis(|_| ()).unwrap(), replies.len(), &bytes, &cuts), whole);
    }

    #[test]
    fn mutations_neither_panic_nor_depend_on_cuts(
        replies in prop::collection::vec(reply(), 1..8),
        mutations in pieces::mutations(),
        cuts in prop::collection::vec(1..40usize, 1..99),
    ) {
        let bytes = pieces::mutate(replies.concat(), &mutations);
        let whole = answers(replies.len(), &bytes);
        let pieces = pieces::feed(redis(|_| ()).unwrap(), replies.len(), &bytes, &cuts);
        prop_assert_eq!(pieces.without_sentence(), whole.without_sentence());
    }

    #[test]
    fn noise_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..2000), cut in 1..99usize) {
        pieces::feed(redis(|_| ()).unwrap(), 3, &bytes, &[cut]);
    }
}
