//! Streams of data that arrive whole, in pieces, cut short, or after their end.

use super::*;
use crate::thorough::thorough;
use proptest::prelude::*;

/// Feeds `wire` in pieces and keeps what is left of each, as the reactor does.
fn open_in_pieces(end: &mut End, wire: &[u8], pieces: &[usize]) -> (Vec<u8>, usize) {
    let (mut data, mut held, mut rest) = (Vec::new(), Vec::new(), wire);
    let mut lengths = pieces.iter().copied().cycle();
    while !rest.is_empty() {
        let piece = lengths.next().unwrap_or(usize::MAX).clamp(1, rest.len());
        held.extend_from_slice(&rest[..piece]);
        rest = &rest[piece..];
        let got = end.open(&held);
        assert_eq!(got.then, Next::More);
        assert!(got.reply.is_empty(), "data wants no reply");
        held.drain(..got.consumed);
        data.extend_from_slice(&got.data);
    }
    (data, held.len())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(thorough(64, 8)))]

    #[test]
    fn no_split_of_the_wire_changes_or_loses_data(
        suite in 0..3usize,
        writes in prop::collection::vec(prop_oneof![0..80usize, 0..40_000usize, 16_380..16_390usize], 0..8),
        pieces in prop::collection::vec(prop_oneof![1..40usize, 1..40_000usize], 1..6),
    ) {
        let (mut client, mut server) = pair(SUITES[suite]);
        let (mut sent, mut wire) = (Vec::new(), Vec::new());
        for (i, &bytes) in writes.iter().enumerate() {
            let data = pattern(bytes, i as u8);
            wire.extend(client.seal(&data));
            sent.extend(data);
        }
        let (data, left) = open_in_pieces(&mut server, &wire, &pieces);
        prop_assert_eq!(left, 0);
        prop_assert!(data == sent, "{} bytes came of {}", data.len(), sent.len());
        prop_assert!(server.records.end_of_stream(0).is_some());
        prop_assert_eq!(server.open(&client.finish()).then, Next::Finished);
        prop_assert_eq!(server.records.end_of_stream(0), None);
    }
}

#[test]
fn what_is_sealed_fits_where_it_was_promised_to_and_no_record_is_too_long() {
    for suite in SUITES {
        for bytes in [0, 1, 16_383, 16_384, 16_385, 32_768, 100_000] {
            let (mut client, _) = pair(suite);
            let sealed = client.seal(&pattern(bytes, 0));
            let records = bytes.div_ceil(16_384);
            assert_eq!(sealed.len(), bytes + records * 22, "nothing is sealed for nothing");
            assert!(sealed.len() <= client.records.sealed_bytes_max(bytes));
        }
    }
}

#[test]
fn a_stream_that_is_cut_anywhere_is_never_taken_for_one_that_ended() {
    let (mut client, _) = pair(Suite::Aes128Gcm);
    let parts = [pattern(40, 1), pattern(1, 2), pattern(90, 3)];
    let mut wire = Vec::new();
    let mut ends_at = Vec::new();
    for part in &parts {
        wire.extend(client.seal(part));
        ends_at.push(wire.len());
    }
    wire.extend(client.finish());
    for cut in 0..wire.len() {
        let mut server = End::new(Suite::Aes128Gcm, false);
        let got = server.open(&wire[..cut]);
        let whole = ends_at.iter().filter(|&&end| end <= cut).count();
        assert_eq!(got.data, parts[..whole].concat(), "cut at {cut}");
        assert_eq!(got.then, Next::More);
        let failure = server.records.end_of_stream(cut - got.consumed).expect("it was cut");
        assert_eq!(failure.cause, Cause::Truncated);

        let rest = server.open(&wire[got.consumed..]);
        assert_eq!((rest.data, rest.then), (parts[whole..].concat(), Next::Finished));
    }
}

#[test]
fn nothing_after_the_peers_close_notify_is_opened_or_answered() {
    let (mut client, mut server) = pair(Suite::Aes256Gcm);
    let mut wire = client.seal(b"last words");
    wire.extend(client.finish());
    let end = wire.len();
    client.records.finished = false;
    wire.extend(client.seal(b"not for anybody"));
    wire.extend([0x15, 3, 3, 0, 2, 2, 40]);
    assert!(end < wire.len());

    let got = server.open(&wire);
    assert_eq!((&got.data[..], got.consumed, got.then), (&b"last words"[..], wire.len(), Next::Finished));
    let again = server.open(&wire[end..]);
    assert_eq!(again, Got { data: vec![], consumed: wire.len() - end, then: Next::Finished, reply: vec![] });
    assert_eq!(server.records.end_of_stream(7), None, "what is beyond the end does not matter");
}

#[test]
fn an_end_that_was_told_to_finish_still_hears_the_other_and_says_nothing_more() {
    let (mut client, mut server) = pair(Suite::ChaCha20Poly1305);
    assert_eq!(server.open(&client.finish()).then, Next::Finished);
    assert_eq!(client.finish(), [0_u8; 0], "close_notify goes once");
    assert_eq!(client.try_seal(b"more").unwrap_err().cause, Cause::Closed);
    assert_eq!(client.try_seal(b"").unwrap_err().cause, Cause::Closed);

    let mut wire = server.seal(b"answer");
    wire.extend(server.update_key(1));
    wire.extend(server.seal(b" under the next key"));
    let got = client.open(&wire);
    assert_eq!((&got.data[..], got.reply), (&b"answer under the next key"[..], vec![]));

    let got = client.open(&server.forge(direction::HANDSHAKE, &[], 0));
    assert!(matches!(got.then, Next::Failed(Cause::ProtocolViolation, _)));
    assert_eq!(got.reply, [0_u8; 0], "nothing follows close_notify, not even an alert");
}

#[test]
fn a_broken_connection_stays_broken_in_both_directions() {
    let (mut client, mut server) = pair(Suite::Aes128Gcm);
    let good = client.seal(b"good");
    let mut bad = client.seal(b"bad");
    *bad.last_mut().unwrap() ^= 1;
    let after = client.seal(b"after");

    let got = server.open(&[&good[..], &bad, &after].concat());
    assert_eq!((&got.data[..], got.consumed), (&b"good"[..], good.len() + bad.len() + after.len()));
    assert_eq!(got.then, Next::Failed(Cause::Tampered, String::new()));
    assert_eq!(client.open(&got.reply).then, Next::Failed(Cause::PeerRefused, "bad_record_mac".into()));

    for end in [&mut client, &mut server] {
        let ignored = end.open(&after);
        assert_eq!(ignored, Got { data: vec![], consumed: after.len(), then: Next::Finished, reply: vec![] });
        assert_eq!(end.finish(), [0_u8; 0], "a failure is never followed by close_notify");
        assert!(end.records.end_of_stream(0).is_some());
    }
    assert_eq!(server.try_seal(b"x").unwrap_err().cause, Cause::Tampered);
    assert_eq!(client.try_seal(b"x").unwrap_err().cause, Cause::PeerRefused);
}

#[test]
fn equal_data_never_looks_equal_on_the_wire() {
    let (mut client, mut server) = pair(Suite::Aes128Gcm);
    let records: Vec<_> = (0..100).map(|_| client.seal(b"same")).collect();
    for (i, record) in records.iter().enumerate() {
        assert!(!records[..i].contains(record), "a nonce was used twice");
    }
    assert_eq!(server.open(&records.concat()).data, b"same".repeat(100));
}

#[test]
fn no_key_shows_in_the_debug_output() {
    let end = End::new(Suite::Aes128Gcm, true);
    let text = format!("{:?}", end.records);
    assert!(text.contains("Direction(Aes128Gcm, record 0)"), "{text}");
    let key = end.schedule.key(true, 0);
    for secret in [&key.key()[..4], &key.iv[..4]] {
        let list = format!("{secret:?}");
        assert!(!text.contains(list.trim_matches(['[', ']'])), "{text}");
    }
}

#[test]
fn an_idle_connection_stays_small() {
    assert!(size_of::<Records>() <= 136, "{} bytes", size_of::<Records>());
}
