//! Keys that change: on either side, at the peer's request, at once on both sides, and because they are worn.

use super::*;

#[track_caller]
fn assert_understand_each_other(one: &mut End, other: &mut End) {
    assert_eq!(other.open(&one.seal(b"ping")).data, b"ping");
    assert_eq!(one.open(&other.seal(b"pong")).data, b"pong");
}

#[test]
fn data_on_both_sides_of_a_key_update_survives_it() {
    for suite in SUITES {
        for is_client in CLIENT_AND_SERVER {
            let (mut us, mut peer) = (End::new(suite, is_client), End::new(suite, !is_client));
            let mut wire = peer.seal(b"before, ");
            wire.extend(peer.update_key(0));
            wire.extend(peer.seal(b"after, "));
            wire.extend(peer.update_key(0));
            wire.extend(peer.seal(b"and after that"));
            let got = us.open(&wire);
            assert_eq!(got.data, b"before, after, and after that");
            assert_eq!(got.reply, [0_u8; 0], "it did not ask");
            assert_understand_each_other(&mut us, &mut peer);
        }
    }
}

#[test]
fn a_requested_key_update_is_answered_under_the_old_key_before_anything_under_the_new_one() {
    for suite in SUITES {
        let (mut us, mut peer) = pair(suite);
        let got = us.open(&peer.update_key(1));
        assert_eq!(got.reply.len(), KEY_UPDATE_RECORD_BYTES);
        assert_eq!((peer.schedule.receiving, us.schedule.sending), (0, 1));
        let data = us.seal(b"new");
        assert_eq!(peer.open(&[got.reply, data].concat()).data, b"new");
        assert_eq!((peer.schedule.receiving, us.schedule.sending), (1, 1), "the answer asks for nothing");
        assert_understand_each_other(&mut us, &mut peer);
    }
}

#[test]
fn requests_that_come_while_we_are_silent_are_answered_once() {
    let (mut us, mut peer) = pair(Suite::Aes128Gcm);
    let mut replies = Vec::new();
    for _ in 0..20 {
        let mut wire = peer.update_key(1);
        wire.extend(peer.seal(b"."));
        replies.extend(us.open(&wire).reply);
    }
    assert_eq!(replies.len(), KEY_UPDATE_RECORD_BYTES, "or the peer makes us queue without end");
    assert_eq!(peer.open(&replies).then, Next::More);
    assert_understand_each_other(&mut us, &mut peer);
    assert_eq!(
        us.open(&peer.update_key(1)).reply.len(),
        KEY_UPDATE_RECORD_BYTES,
        "we spoke, so it is due again"
    );
}

#[test]
fn key_updates_that_cross_on_the_wire_confuse_nobody() {
    let (mut client, mut server) = pair(Suite::Aes256Gcm);
    let (to_server, to_client) = (client.update_key(1), server.update_key(1));
    let (from_server, from_client) = (server.open(&to_server).reply, client.open(&to_client).reply);
    assert_eq!((from_server.len(), from_client.len()), (KEY_UPDATE_RECORD_BYTES, KEY_UPDATE_RECORD_BYTES));
    assert_eq!(server.open(&from_client).reply, [0_u8; 0]);
    assert_eq!(client.open(&from_server).reply, [0_u8; 0]);
    assert_eq!((client.schedule.sending, client.schedule.receiving), (2, 2));
    assert_understand_each_other(&mut client, &mut server);
}

#[test]
fn a_key_update_in_fragments_works_if_its_last_fragment_ends_its_record() {
    let (mut us, mut peer) = pair(Suite::Aes128Gcm);
    for byte in [24, 0, 0, 1, 0] {
        assert_eq!(us.open(&peer.forge(direction::HANDSHAKE, &[byte], 0)).then, Next::More);
    }
    peer.records.sending = Direction::new(peer.schedule.next_sending().unwrap());
    assert_understand_each_other(&mut us, &mut peer);

    assert_eq!(us.open(&peer.forge(direction::HANDSHAKE, &[24, 0], 0)).then, Next::More);
    let got = us.open(&peer.forge(direction::HANDSHAKE, &[0, 1, 0, 24], 0));
    assert!(matches!(got.then, Next::Failed(Cause::ProtocolViolation, _)), "{:?}", got.then);
}

#[test]
fn the_old_key_opens_nothing_after_a_key_update() {
    let (mut us, mut peer) = pair(Suite::Aes128Gcm);
    let update = peer.forge(direction::HANDSHAKE, &[24, 0, 0, 1, 0], 0);
    let late = peer.seal(b"under the old key");
    assert_eq!(us.open(&[update, late].concat()).then, Next::Failed(Cause::Tampered, String::new()));
}

#[test]
fn no_aes_key_seals_more_records_than_it_may() {
    for suite in [Suite::Aes128Gcm, Suite::Aes256Gcm] {
        for distance in 1..5 {
            let (mut us, mut peer) = pair(suite);
            let start = limits::TLS_AES_GCM_RECORDS_MAX - distance;
            us.records.sending.sequence = start;
            peer.records.receiving.sequence = start;
            let data = pattern(3 * 16_384 + 5, 1);
            let sealed = us.seal(&data);
            assert_eq!(sealed.len(), data.len() + 4 * 22 + KEY_UPDATE_RECORD_BYTES);
            assert_eq!(sealed.len(), us.records.sealed_bytes_max(data.len()), "room was promised for it");
            // The key update itself is the last record under the old key.
            assert_eq!(us.records.sending.sequence, 4 - (distance - 1), "records under the new key");
            let got = peer.open(&sealed);
            assert!(got.data == data && got.reply.is_empty());
            assert_eq!(peer.schedule.receiving, 1);
        }
    }
}

#[test]
fn a_chacha_key_lasts_until_its_numbers_run_out_and_never_repeats_one() {
    let (mut us, mut peer) = pair(Suite::ChaCha20Poly1305);
    us.records.sending.sequence = limits::TLS_AES_GCM_RECORDS_MAX;
    peer.records.receiving.sequence = limits::TLS_AES_GCM_RECORDS_MAX;
    assert_understand_each_other(&mut us, &mut peer);
    assert_eq!(us.schedule.sending, 0);

    us.records.sending.sequence = limits::TLS_CHACHA20_RECORDS_MAX;
    peer.records.receiving.sequence = limits::TLS_CHACHA20_RECORDS_MAX;
    assert_understand_each_other(&mut us, &mut peer);
    assert_eq!(us.schedule.sending, 1);
}

#[test]
fn a_sequence_number_never_wraps() {
    for suite in SUITES {
        let (mut us, mut peer) = pair(suite);
        us.records.sending.sequence = u64::MAX;
        assert_eq!(us.try_seal(b"x").unwrap_err().cause, Cause::NonceExhausted);
        assert_eq!(us.try_seal(b"x").unwrap_err().cause, Cause::NonceExhausted);
        assert_eq!(us.finish(), [0_u8; 0]);

        let (mut us, _) = pair(suite);
        us.records.receiving.sequence = u64::MAX;
        let got = us.open(&peer.seal(b"x"));
        assert_eq!(got.then, Next::Failed(Cause::NonceExhausted, String::new()));
        assert_eq!(peer.try_seal(b"").unwrap(), [0_u8; 0]);

        let (mut us, mut peer) = pair(suite);
        us.records.sending.sequence = u64::MAX;
        let got = us.open(&peer.forge(direction::HANDSHAKE, &[], 0));
        assert!(matches!(got.then, Next::Failed(Cause::ProtocolViolation, _)));
        assert_eq!(got.reply, [0_u8; 0], "no number is left to tell the peer with");

        let (mut us, mut peer) = pair(suite);
        us.records.sending.sequence = u64::MAX;
        let got = us.open(&peer.update_key(1));
        assert_eq!(got.then, Next::Failed(Cause::NonceExhausted, String::new()));
        assert_eq!(got.reply, [0_u8; 0], "nor to answer it with");
    }
}

#[test]
fn a_key_schedule_that_fails_ends_the_connection_with_its_cause() {
    let (mut us, mut peer) = pair(Suite::Aes128Gcm);
    us.schedule.fault = Some(Cause::System);
    let got = us.open(&peer.update_key(1));
    assert_eq!(got.then, Next::Failed(Cause::System, String::new()));
    assert_eq!(peer.open(&got.reply).then, Next::Failed(Cause::PeerRefused, "internal_error".into()));

    let (mut us, _) = pair(Suite::Aes128Gcm);
    us.schedule.fault = Some(Cause::System);
    us.records.sending.sequence = limits::TLS_AES_GCM_RECORDS_MAX - 1;
    assert_eq!(us.try_seal(b"x").unwrap_err().cause, Cause::System);
    us.schedule.fault = None;
    assert_eq!(us.try_seal(b"x").unwrap_err().cause, Cause::System, "the first failure is final");
}
