//! Handshakes and sessions that must not succeed, and what each says.

use super::*;

/// Both sides after a conversation that one of them, or neither, has broken off.
fn attempt(initiator: &Noise, responder: &Noise) -> (Side, Side, Result<(), Failure>) {
    let (mut a, mut b) = (Side::connecting(initiator), Side::accepting(responder));
    let outcome = converse(&mut a, &mut b);
    (a, b, outcome)
}

#[track_caller]
fn refused(initiator: &Noise, responder: &Noise) -> Failure {
    let (a, b, outcome) = attempt(initiator, responder);
    assert!(!(a.done && b.done), "both opened");
    outcome.expect_err("it must be refused")
}

#[test]
fn a_wrong_key_prologue_or_secret_is_tampering() {
    for (initiator, responder) in all_patterns() {
        let failure = refused(&initiator.clone().prologue(b"another/1"), &responder);
        assert_eq!(failure.cause, Cause::Tampered);
        let detail = failure.detail.expect("says what may be wrong");
        assert!(detail.contains("another key, pre-shared key, pattern or prologue"), "{detail}");
        if initiator.protocol_name().contains("psk2") {
            assert_eq!(refused(&initiator.clone().psk(2, &[1; 32]), &responder).cause, Cause::Tampered);
        }
    }
    let mistaken = Noise::initiator(&keys(1), keys(3).public());
    assert_eq!(refused(&mistaken, &defaults().1).cause, Cause::Tampered);
    assert_eq!(
        refused(&mistaken.pattern(Pattern::IK), &defaults().1.pattern(Pattern::IK)).cause,
        Cause::Tampered
    );
}

#[test]
fn every_other_protocol_is_tampering() {
    let all = all_patterns();
    for (at, (initiator, _)) in all.iter().enumerate() {
        for (_, (_, responder)) in all.iter().enumerate().filter(|(other, _)| *other != at) {
            assert_eq!(refused(initiator, responder).cause, Cause::Tampered);
        }
        let (_, responder) = &all[at];
        for other in [responder.clone().cipher(Cipher::ChaChaPoly), responder.clone().hash(Hash::Blake2s)] {
            assert_eq!(refused(initiator, &other).cause, Cause::Tampered);
        }
    }
}

#[test]
fn keys_that_are_not_allowed_are_named() {
    let stranger = Noise::initiator(&keys(3), keys(2).public());
    for pattern in [Pattern::XK, Pattern::XX, Pattern::IK] {
        let failure = refused(&stranger.clone().pattern(pattern), &defaults().1.pattern(pattern));
        assert_eq!(failure.cause, Cause::KeyNotAllowed);
        let detail = failure.detail.expect("says whose key");
        assert!(detail.contains(&keys(3).public().to_string()), "{detail}");
    }
    let choosy = Noise::responder(&keys(2)).check(|_| false);
    assert_eq!(refused(&defaults().0, &choosy).cause, Cause::KeyNotAllowed);
    let closed = Noise::responder(&keys(2)).allow([]);
    assert_eq!(refused(&defaults().0, &closed).cause, Cause::KeyNotAllowed);
}

#[test]
fn an_initiator_shows_its_key_to_no_responder_that_is_not_pinned() {
    let initiator = Noise::initiator(&keys(1), keys(3).public()).pattern(Pattern::XX);
    let (mut a, _, outcome) = attempt(&initiator, &Noise::responder(&keys(2)).pattern(Pattern::XX));
    assert_eq!(outcome.expect_err("not pinned").cause, Cause::KeyNotAllowed);
    assert!(a.said().is_empty(), "the message with its key");
}

#[test]
fn a_responder_answers_no_ik_initiator_that_is_not_allowed() {
    let stranger = Noise::initiator(&keys(3), keys(2).public()).pattern(Pattern::IK);
    let (_, mut b, outcome) = attempt(&stranger, &defaults().1.pattern(Pattern::IK));
    assert_eq!(outcome.expect_err("not allowed").cause, Cause::KeyNotAllowed);
    assert!(b.said().is_empty());
}

/// Lets two sides talk with one bit of one handshake message turned over.
fn attempt_with_flip(initiator: &Noise, responder: &Noise, at: usize) -> (bool, Result<bool, Failure>) {
    let (mut a, mut b) = (Side::connecting(initiator), Side::accepting(responder));
    let (mut passed, mut flipped) = (0, false);
    let mut outcome = a.begin();
    while outcome.is_ok() {
        let from_a = !a.reply.is_empty();
        let mut bytes = if from_a { a.said() } else { b.said() };
        if bytes.is_empty() {
            break;
        }
        if let Some(byte) = at.checked_sub(passed).and_then(|within| bytes.get_mut(within)) {
            *byte ^= 1 << (at % 8);
            flipped = true;
        }
        passed += bytes.len();
        outcome = if from_a { b.hear(&bytes) } else { a.hear(&bytes) };
    }
    (flipped, outcome.map(|()| a.done && b.done))
}

#[test]
fn every_byte_of_every_handshake_message_counts() {
    for (initiator, responder) in all_patterns() {
        let mut at = 0;
        loop {
            let (flipped, outcome) = attempt_with_flip(&initiator, &responder, at);
            match outcome {
                Ok(both_open) if flipped => assert!(!both_open, "byte {at}"),
                Ok(both_open) => {
                    assert!(both_open);
                    break;
                }
                Err(failure) => assert!(
                    matches!(failure.cause, Cause::Tampered | Cause::NotSecured | Cause::ProtocolViolation),
                    "byte {at}: {failure:?}"
                ),
            }
            at += crate::thorough::thorough(1, 7);
        }
        assert!(at >= 2 * 34, "{at} bytes tried");
    }
}

#[test]
fn every_byte_of_a_message_counts() {
    let (initiator, responder) = defaults();
    for cipher in [Cipher::AesGcm, Cipher::ChaChaPoly] {
        let length = open_pair(&initiator, &responder).0.seal(b"to the letter").len();
        for at in 0..length {
            let (mut a, mut b) =
                open_pair(&initiator.clone().cipher(cipher), &responder.clone().cipher(cipher));
            let first = a.seal(b"first");
            let mut sealed = a.seal(b"to the letter");
            sealed[at] ^= 1 << (at % 8);
            let (plain, failure) = b.open(&[first, sealed].concat());
            assert_eq!(plain, b"first", "what was authenticated before is delivered, and nothing else");
            match failure {
                Some(failure) => {
                    assert!(
                        matches!(failure.cause, Cause::Tampered | Cause::ProtocolViolation),
                        "{failure:?}"
                    );
                }
                // A length that has grown waits for what never comes.
                None => assert_eq!(b.layer.end_of_stream(b.wire.len()), Some(Failure::new(Cause::Truncated))),
            }
        }
    }
}

#[test]
fn messages_that_are_repeated_swapped_or_left_out_are_tampering() {
    let (initiator, responder) = defaults();
    for order in [vec![0, 0], vec![1, 0], vec![0, 2]] {
        let (mut a, mut b) = open_pair(&initiator, &responder);
        let sealed = [a.seal(b"zero"), a.seal(b"one"), a.seal(b"two")];
        let wire: Vec<u8> = order.iter().flat_map(|nth| sealed[*nth].clone()).collect();
        assert_eq!(b.open(&wire).1.expect("out of order").cause, Cause::Tampered);
    }
    let (mut a, _) = open_pair(&initiator, &responder);
    let echo = a.seal(b"to itself");
    assert_eq!(a.open(&echo).1.expect("the other direction has another key").cause, Cause::Tampered);
}

/// All that an initiator says in a handshake with a responder of its own, and its first message after it.
fn recorded(initiator: &Noise, responder: &Noise) -> Vec<Vec<u8>> {
    let (mut a, mut b) = (Side::connecting(initiator), Side::accepting(responder));
    let mut said = Vec::new();
    a.begin().expect("it speaks");
    while !(a.done && b.done) {
        said.push(a.said());
        b.hear(said.last().expect("just now")).expect("a good handshake");
        let back = b.said();
        if !back.is_empty() {
            a.hear(&back).expect("a good handshake");
        }
    }
    said.push(a.seal(b"transfer everything"));
    said
}

#[test]
fn a_replayed_first_message_opens_nothing_where_a_third_is_due() {
    for pattern in [Pattern::XK, Pattern::XX] {
        let (initiator, responder) = (defaults().0.pattern(pattern), defaults().1.pattern(pattern));
        let recording = recorded(&initiator, &responder);
        let mut b = Side::accepting(&responder);
        b.hear(&recording[0]).expect("the first message alone tells nothing");
        assert!(!b.done);
        let failure = b.hear(&recording[1]).expect_err("made for another handshake");
        assert_eq!(failure.cause, Cause::Tampered);
        assert!(!b.done);
    }
}

#[test]
fn what_follows_a_replayed_first_message_is_tampering_in_short_patterns() {
    for pattern in [Pattern::IK, Pattern::KK] {
        let (initiator, responder) = (defaults().0.pattern(pattern), defaults().1.pattern(pattern));
        let recording = recorded(&initiator, &responder);
        let mut b = Side::accepting(&responder);
        b.hear(&recording[0]).expect("nothing in it is of this handshake");
        assert!(b.done, "this is why the docs warn of these patterns");
        let (plain, failure) = b.open(&recording[1]);
        assert!(plain.is_empty());
        assert_eq!(failure.expect("sealed with another key").cause, Cause::Tampered);
    }
}

#[test]
fn peers_that_speak_something_else_are_not_secured() {
    let http = b"GET / HTTP/1.1\r\n\r\n".as_slice();
    let client_hello = [0x16, 3, 1, 2, 0, 1].as_slice();
    for said in [http, client_hello, b"SSH-2.0-", b"PI", b"\xff\xff"] {
        for (initiator, responder) in all_patterns() {
            let failure = Side::accepting(&responder).hear(said).expect_err("not Noise");
            assert_eq!(failure.cause, Cause::NotSecured);
            let mut a = Side::connecting(&initiator);
            a.begin().expect("it speaks");
            assert_eq!(a.hear(said).expect_err("not Noise").cause, Cause::NotSecured);
        }
    }
}

#[test]
fn handshake_messages_are_refused_by_their_length_before_they_come() {
    let (initiator, responder) = defaults();
    let (mut a, mut b) = (Side::connecting(&initiator), Side::accepting(&responder));
    a.begin().expect("it speaks");
    b.hear(&a.said()).expect("a good first message");
    a.hear(&b.said()).expect("a good second message");
    let failure = b.hear(&[0, 97]).expect_err("longer than any");
    assert_eq!(failure.cause, Cause::ProtocolViolation, "Noise it is, as the first message was good");
    for length in [0, 47, 49, 96] {
        let failure = Side::accepting(&responder).hear(&[0, length]).expect_err("XK begins with 48 bytes");
        assert_eq!(failure.cause, Cause::Tampered);
        assert!(failure.detail.expect("says what is due").contains("has 48 bytes"));
    }
}

#[test]
fn payloads_in_the_handshake_are_refused() {
    let (initiator, responder) = defaults();
    let mut foreign = Wanted::connecting(&initiator).expect("consistent").plan.start().expect("all it needs");
    let mut message = [0; 96];
    let length = foreign.write_message(b"hello", &mut message[2..]).expect("a short payload");
    message[1] = u8::try_from(length).expect("53 bytes");
    let failure = Side::accepting(&responder).hear(&message[..2 + length]).expect_err("a payload");
    assert_eq!(failure.cause, Cause::Tampered);
    assert!(failure.detail.expect("says why").contains("payload"));
}

#[test]
fn a_public_key_of_low_order_is_refused() {
    let mut first = [0; 2 + 48];
    first[1] = 48;
    let failure = Side::accepting(&defaults().1).hear(&first).expect_err("the shared secret would be zero");
    assert_eq!(failure.cause, Cause::ProtocolViolation);
}

#[test]
fn the_end_of_the_stream_is_named_by_where_it_comes() {
    let (initiator, responder) = defaults();
    let (mut a, mut b) = (Side::connecting(&initiator), Side::accepting(&responder));
    assert_eq!(b.layer.end_of_stream(0).expect("too early").cause, Cause::HandshakeCut);
    a.begin().expect("it speaks");
    assert_eq!(b.layer.end_of_stream(1).expect("too early").cause, Cause::HandshakeCut);
    b.hear(&a.said()).expect("a good first message");
    assert_eq!(b.layer.end_of_stream(0).expect("too early").cause, Cause::HandshakeCut);
    let refused = a.layer.end_of_stream(0).expect("too early");
    assert_eq!(refused.cause, Cause::HandshakeCut);
    assert!(refused.detail.expect("says what may be wrong").contains("does not allow our key"));
    a.hear(&b.said()).expect("a good second message");
    b.hear(&a.said()).expect("a good third message");
    assert_eq!(a.layer.end_of_stream(0), None);
    let sealed = a.seal(b"cut");
    assert_eq!(b.opened(&sealed[..sealed.len() - 1]), b"");
    assert_eq!(b.layer.end_of_stream(b.wire.len()).expect("in a message").cause, Cause::Truncated);
    let mut mark = Vec::new();
    a.layer.finish(&mut mark);
    assert!(mark.is_empty(), "Noise has no end mark");
}
