//! What a peer that holds the keys may not do with them, and how often it may do what it may.

use super::*;

/// A record of the peer that must be refused, and how.
struct Forbidden {
    what: &'static str,
    content_type: u8,
    content: Vec<u8>,
    padding: usize,
    alert: Alert,
}

fn forbidden(what: &'static str, content_type: u8, content: &[u8], alert: Alert) -> Forbidden {
    Forbidden { what, content_type, content: content.to_vec(), padding: 0, alert }
}

#[track_caller]
fn assert_refused(us: &mut End, peer: &mut End, wire: &[u8], alert: Alert, what: &str) {
    let got = us.open(wire);
    assert!(matches!(got.then, Next::Failed(Cause::ProtocolViolation, _)), "{what}: {:?}", got.then);
    assert_eq!(got.data, [0_u8; 0], "{what}");
    let told = peer.open(&got.reply);
    assert_eq!(told.then, Next::Failed(Cause::PeerRefused, alert.name()), "{what}");
}

fn ticket(body_bytes: usize) -> Vec<u8> {
    let length = u32::try_from(body_bytes).unwrap().to_be_bytes();
    let mut message = vec![4, length[1], length[2], length[3]];
    message.resize(4 + body_bytes, 7);
    message
}

#[test]
fn a_sealed_record_that_breaks_a_rule_is_refused_with_the_alert_that_the_standard_names() {
    let everywhere = [
        Forbidden { padding: 9, ..forbidden("all zero", 0, &[], Alert::UNEXPECTED_MESSAGE) },
        forbidden("nothing at all but the type 0", 0, &[], Alert::UNEXPECTED_MESSAGE),
        forbidden("a sealed ChangeCipherSpec", 20, &[1], Alert::UNEXPECTED_MESSAGE),
        forbidden("a heartbeat", 24, b"\x01\x00\x01x", Alert::UNEXPECTED_MESSAGE),
        forbidden("an unknown type", 255, b"x", Alert::UNEXPECTED_MESSAGE),
        forbidden("an empty alert", 21, &[], Alert::UNEXPECTED_MESSAGE),
        forbidden("half an alert", 21, &[1], Alert::DECODE_ERROR),
        forbidden("two alerts in one", 21, &[1, 0, 1, 0], Alert::DECODE_ERROR),
        forbidden("an alert of no level", 21, &[3, 0], Alert::ILLEGAL_PARAMETER),
        forbidden("an empty handshake record", 22, &[], Alert::UNEXPECTED_MESSAGE),
        forbidden("a ClientHello", 22, &[1, 0, 0, 1, 0], Alert::UNEXPECTED_MESSAGE),
        forbidden("a Finished", 22, &[20, 0, 0, 1, 0], Alert::UNEXPECTED_MESSAGE),
        forbidden("a request for a certificate", 22, &[13, 0, 0, 3, 0, 0, 0], Alert::UNEXPECTED_MESSAGE),
        forbidden(
            "a certificate nobody asked for",
            22,
            &[11, 0, 0, 4, 0, 0, 0, 0],
            Alert::UNEXPECTED_MESSAGE,
        ),
        forbidden("a renegotiation", 22, &[0, 0, 0, 0], Alert::UNEXPECTED_MESSAGE),
        forbidden("only the header of what may not come", 22, &[11, 0, 0xff, 0], Alert::UNEXPECTED_MESSAGE),
        forbidden("a key update of a third kind", 22, &[24, 0, 0, 1, 2], Alert::ILLEGAL_PARAMETER),
        forbidden("an empty key update", 22, &[24, 0, 0, 0], Alert::DECODE_ERROR),
        forbidden("a long key update", 22, &[24, 0, 0, 2, 0, 0], Alert::DECODE_ERROR),
        forbidden(
            "two key updates at once",
            22,
            &[24, 0, 0, 1, 0, 24, 0, 0, 1, 0],
            Alert::UNEXPECTED_MESSAGE,
        ),
        forbidden("more begun under the old key", 22, &[24, 0, 0, 1, 0, 24], Alert::UNEXPECTED_MESSAGE),
        forbidden("16 KiB and one byte", 23, &[7; 16_385], Alert::RECORD_OVERFLOW),
        Forbidden { padding: 16_384, ..forbidden("too much padding", 23, b"x", Alert::RECORD_OVERFLOW) },
    ];
    for rule in everywhere {
        for suite in SUITES {
            for is_client in CLIENT_AND_SERVER {
                let (mut us, mut peer) = (End::new(suite, is_client), End::new(suite, !is_client));
                let wire = peer.forge(rule.content_type, &rule.content, rule.padding);
                assert_refused(&mut us, &mut peer, &wire, rule.alert, rule.what);
            }
        }
    }
}

#[test]
fn records_as_long_as_they_may_be_are_not_refused() {
    let (mut us, mut peer) = pair(Suite::Aes128Gcm);
    for (bytes, padding) in [(16_384, 0), (1, 16_383), (16_000, 384), (0, 16_384)] {
        let content = pattern(bytes, 3);
        let got = us.open(&peer.forge(direction::APPLICATION_DATA, &content, padding));
        assert_eq!((got.data, got.then), (content, Next::More), "{bytes} and {padding}");
    }
}

#[test]
fn padding_is_taken_off_and_zeros_that_are_data_are_not() {
    let (mut us, mut peer) = pair(Suite::ChaCha20Poly1305);
    let mut wire = peer.forge(direction::APPLICATION_DATA, b"one\0\0", 100);
    wire.extend(peer.forge(direction::APPLICATION_DATA, &[0; 40], 1));
    wire.extend(peer.forge(direction::HANDSHAKE, &[24, 0, 0, 1, 0], 50));
    peer.records.sending = Direction::new(peer.schedule.next_sending().unwrap());
    wire.extend(peer.seal(b"two"));
    assert_eq!(us.open(&wire).data, [&b"one\0\0"[..], &[0; 40], b"two"].concat());
}

#[test]
fn records_in_the_clear_are_refused_by_their_first_byte() {
    for outer_type in (0..=255).filter(|&outer| outer != 0x17) {
        let (mut us, mut peer) = pair(Suite::Aes128Gcm);
        assert_refused(&mut us, &mut peer, &[outer_type], Alert::UNEXPECTED_MESSAGE, "clear");
    }
    // The harmless ChangeCipherSpec of middlebox compatibility has no place after the handshake.
    let (mut us, mut peer) = pair(Suite::Aes128Gcm);
    assert_refused(&mut us, &mut peer, &[0x14, 3, 3, 0, 1, 1], Alert::UNEXPECTED_MESSAGE, "ChangeCipherSpec");
}

#[test]
fn a_record_beyond_its_length_is_refused_before_it_has_come() {
    for length in [16_641_u16, 18_432, 65_535] {
        let (mut us, mut peer) = pair(Suite::Aes128Gcm);
        let [high, low] = length.to_be_bytes();
        assert_refused(&mut us, &mut peer, &[0x17, 3, 3, high, low], Alert::RECORD_OVERFLOW, "by its header");
    }
    let (mut us, _) = pair(Suite::Aes128Gcm);
    let mut longest = vec![0x17, 3, 3, 0x41, 0];
    longest.resize(5 + 16_640, 0x55);
    assert_eq!(us.open(&longest).then, Next::Failed(Cause::Tampered, String::new()));
}

#[test]
fn a_record_too_short_for_its_tag_is_refused() {
    for length in 0..=16 {
        let (mut us, _) = pair(Suite::Aes128Gcm);
        let mut wire = vec![0x17, 3, 3, 0, length];
        wire.resize(5 + usize::from(length), 9);
        assert_eq!(us.open(&wire).then, Next::Failed(Cause::Tampered, String::new()), "{length}");
    }
}

#[test]
fn every_alert_of_the_peer_but_two_ends_the_connection_without_an_answer() {
    for description in (1..=255).filter(|&description| description != 90) {
        for level in [1, 2] {
            let (mut us, mut peer) = pair(Suite::Aes128Gcm);
            let got = us.open(&peer.forge(direction::ALERT, &[level, description], 0));
            assert_eq!(got.then, Next::Failed(Cause::PeerRefused, Alert(description).name()));
            assert_eq!(got.reply, [0_u8; 0], "an alert is not answered with an alert");
        }
    }
    let (mut us, mut peer) = pair(Suite::Aes128Gcm);
    assert_eq!(us.open(&peer.forge(direction::ALERT, &[2, 0], 0)).then, Next::Finished);
    let (mut us, mut peer) = pair(Suite::Aes128Gcm);
    let got = us.open(&peer.forge(direction::ALERT, &[2, 90], 0));
    assert_eq!(got.then, Next::Failed(Cause::PeerRefused, "user_canceled".into()), "it is one that ends");
}

#[test]
fn user_canceled_is_passed_over_a_few_times_only() {
    let (mut us, mut peer) = pair(Suite::Aes128Gcm);
    for _ in 0..limits::TLS_IDLE_ALERTS_MAX {
        let mut wire = peer.forge(direction::ALERT, &[1, 90], 0);
        wire.extend(peer.seal(b"still here"));
        assert_eq!(us.open(&wire).data, b"still here");
    }
    let wire = peer.forge(direction::ALERT, &[1, 90], 0);
    assert_refused(&mut us, &mut peer, &wire, Alert::UNEXPECTED_MESSAGE, "too many");
}

#[test]
fn empty_records_do_not_keep_us_busy_for_ever() {
    let (mut us, mut peer) = pair(Suite::Aes128Gcm);
    for _ in 0..3 {
        let mut wire: Vec<u8> = Vec::new();
        for i in 0..limits::TLS_EMPTY_RECORDS_MAX {
            wire.extend(peer.forge(direction::APPLICATION_DATA, &[], usize::from(i)));
        }
        wire.extend(peer.seal(b"x"));
        assert_eq!(us.open(&wire).data, b"x");
    }
    for _ in 0..limits::TLS_EMPTY_RECORDS_MAX {
        assert_eq!(us.open(&peer.forge(direction::APPLICATION_DATA, &[], 0)).then, Next::More);
    }
    let wire = peer.forge(direction::APPLICATION_DATA, &[], 0);
    assert_refused(&mut us, &mut peer, &wire, Alert::UNEXPECTED_MESSAGE, "one too many");
}

#[test]
fn empty_records_with_something_between_them_are_not_too_many() {
    let (mut us, mut peer) = pair(Suite::Aes128Gcm);
    let mut wire = Vec::new();
    for between in [0, 1, 0, 1] {
        for _ in 0..limits::TLS_EMPTY_RECORDS_MAX {
            wire.extend(peer.forge(direction::APPLICATION_DATA, &[], 0));
        }
        match between {
            0 => wire.extend(peer.update_key(0)),
            _ => wire.extend(peer.forge(direction::ALERT, &[1, 90], 0)),
        }
    }
    wire.extend(peer.seal(b"data"));
    assert_eq!(us.open(&wire).data, b"data");
}

#[test]
fn key_updates_do_not_keep_us_busy_for_ever() {
    let (mut us, mut peer) = pair(Suite::Aes128Gcm);
    for _ in 0..3 {
        for _ in 0..limits::TLS_KEY_UPDATES_MAX {
            let mut wire = peer.update_key(0);
            wire.extend(peer.forge(direction::APPLICATION_DATA, &[], 0));
            assert_eq!(us.open(&wire).then, Next::More);
        }
        assert_eq!(us.open(&peer.seal(b"x")).data, b"x");
    }
    for _ in 0..limits::TLS_KEY_UPDATES_MAX {
        assert_eq!(us.open(&peer.update_key(0)).then, Next::More);
    }
    let wire = peer.update_key(0);
    assert_refused(&mut us, &mut peer, &wire, Alert::UNEXPECTED_MESSAGE, "one too many");
}

#[test]
fn tickets_do_not_keep_us_busy_for_ever() {
    let (mut us, mut peer) = pair(Suite::Aes128Gcm);
    let max = usize::from(limits::TLS_TICKETS_MAX);
    assert_eq!(us.open(&peer.forge(direction::HANDSHAKE, &ticket(20).repeat(max), 0)).then, Next::More);
    assert_eq!(us.schedule.tickets, vec![vec![7; 20]; max]);
    assert_eq!(us.open(&peer.seal(b"x")).data, b"x");
    let wire = peer.forge(direction::HANDSHAKE, &ticket(20).repeat(max + 1), 0);
    assert_refused(&mut us, &mut peer, &wire, Alert::UNEXPECTED_MESSAGE, "one too many");
    assert_eq!(us.schedule.tickets.len(), 2 * max);
}

#[test]
fn a_server_takes_no_tickets() {
    let (mut peer, mut us) = pair(Suite::Aes128Gcm);
    let wire = peer.forge(direction::HANDSHAKE, &ticket(20), 0);
    assert_refused(&mut us, &mut peer, &wire, Alert::UNEXPECTED_MESSAGE, "a ticket for a server");
    assert!(us.schedule.tickets.is_empty());
}

#[test]
fn tickets_arrive_whole_however_they_are_cut() {
    let messages = [ticket(300), ticket(0), ticket(1), ticket(5000)].concat();
    for fragment_bytes in [1, 2, 3, 4, 5, 7, 303, 304, 305, 308, 4000, 16_384] {
        let (mut us, mut peer) = pair(Suite::Aes128Gcm);
        for fragment in messages.chunks(fragment_bytes) {
            let got = us.open(&peer.forge(direction::HANDSHAKE, fragment, 0));
            assert_eq!((got.data.len(), got.then, got.reply.len()), (0, Next::More, 0));
        }
        let lengths: Vec<usize> = us.schedule.tickets.iter().map(Vec::len).collect();
        assert_eq!(lengths, [300, 0, 1, 5000], "in fragments of {fragment_bytes}");
        assert!(us.schedule.tickets.iter().flatten().all(|&byte| byte == 7));
        assert_eq!(us.records.fragment.0.capacity(), 0, "nothing is held once the messages are whole");
        assert_eq!(us.open(&peer.seal(b"data")).data, b"data");
    }
}

#[test]
fn the_beginning_of_a_message_is_kept_only_up_to_its_bound() {
    let (mut us, mut peer) = pair(Suite::Aes128Gcm);
    let longest = ticket(limits::TLS_LATE_MESSAGE_BYTES_MAX);
    for fragment in longest.chunks(1000) {
        assert_eq!(us.open(&peer.forge(direction::HANDSHAKE, fragment, 0)).then, Next::More);
    }
    assert_eq!(us.schedule.tickets.pop().unwrap().len(), limits::TLS_LATE_MESSAGE_BYTES_MAX);

    let header = &ticket(limits::TLS_LATE_MESSAGE_BYTES_MAX + 1)[..4];
    let wire = peer.forge(direction::HANDSHAKE, header, 0);
    assert_refused(&mut us, &mut peer, &wire, Alert::ILLEGAL_PARAMETER, "by its header");
    assert_eq!(us.records.fragment.0.len(), 0);
}

#[test]
fn nothing_comes_between_the_fragments_of_a_message() {
    let between: [(u8, &[u8]); 4] = [
        (direction::APPLICATION_DATA, b"x"),
        (direction::APPLICATION_DATA, b""),
        (21, &[1, 0]),
        (21, &[1, 90]),
    ];
    for (content_type, content) in between {
        for begun in [1, 4, 20] {
            let (mut us, mut peer) = pair(Suite::Aes128Gcm);
            let first = peer.forge(direction::HANDSHAKE, &ticket(30)[..begun], 0);
            assert_eq!(us.open(&first).then, Next::More);
            let wire = peer.forge(content_type, content, 0);
            assert_refused(&mut us, &mut peer, &wire, Alert::UNEXPECTED_MESSAGE, "between fragments");
        }
    }
}

#[test]
fn a_ticket_that_cannot_be_kept_is_told_to_the_server() {
    for (cause, alert) in
        [(Cause::ProtocolViolation, Alert::DECODE_ERROR), (Cause::System, Alert::INTERNAL_ERROR)]
    {
        let (mut us, mut peer) = pair(Suite::Aes128Gcm);
        us.schedule.fault = Some(cause);
        let got = us.open(&peer.forge(direction::HANDSHAKE, &ticket(20), 0));
        assert_eq!(got.then, Next::Failed(cause, String::new()));
        assert_eq!(peer.open(&got.reply).then, Next::Failed(Cause::PeerRefused, alert.name()));
    }
}
