//! Against stock rustls: as its peer, and as its double that is fed the same wire.

use super::super::super::keys::Suite;
use super::stock::{self, Kernel, Stock, traffic_key};
use super::*;
use crate::thorough::thorough;
use proptest::prelude::*;
use rustls::{Connection, HandshakeKind};
use std::collections::VecDeque;

/// Our record layer at one end, stock rustls at the other.
struct Ours {
    records: Records,
    kernel: Kernel,
}

impl Ours {
    /// Also gives what stock rustls has sent already: a server its tickets.
    fn new(stock: &Stock, is_client: bool) -> (Ours, Connection, Vec<u8>) {
        let (secrets, kernel, theirs, wire) = stock.shake(is_client);
        let records = Records::new(traffic_key(&secrets.rx), traffic_key(&secrets.tx), is_client);
        (Ours { records, kernel }, theirs, wire)
    }

    fn open(&mut self, wire: &[u8]) -> Got {
        open(&mut self.records, &mut self.kernel, wire)
    }

    fn seal(&mut self, plain: &[u8]) -> Vec<u8> {
        let mut sealed = vec![0; self.records.sealed_bytes_max(plain.len())];
        let bytes = self.records.seal(&mut self.kernel, plain, &mut sealed).unwrap();
        sealed.truncate(bytes);
        sealed
    }

    #[track_caller]
    fn assert_understood(&mut self, theirs: &mut Connection, bytes: usize) {
        let data = pattern(bytes, bytes as u8);
        assert!(stock::deliver(theirs, &self.seal(&data)) == Ok(data.clone()), "{bytes} bytes to rustls");
        assert!(self.open(&stock::sealed_by(theirs, &data)).data == data, "{bytes} bytes from rustls");
    }
}

#[test]
fn stock_rustls_understands_us_and_we_it_through_key_updates_and_to_the_end() {
    for suite in SUITES {
        let stock = Stock::new(suite);
        for is_client in CLIENT_AND_SERVER {
            let (mut ours, mut theirs, wire) = Ours::new(&stock, is_client);
            assert_eq!(ours.open(&wire).then, Next::More, "its tickets");
            for bytes in [1, 300, 16_384, 16_385, 60_000] {
                ours.assert_understood(&mut theirs, bytes);
            }

            // It updates its key and asks for ours.
            theirs.refresh_traffic_keys().unwrap();
            let got = ours.open(&stock::sealed_by(&mut theirs, b"its new key"));
            assert_eq!((&got.data[..], got.reply.len()), (&b"its new key"[..], KEY_UPDATE_RECORD_BYTES));
            assert_eq!(stock::deliver(&mut theirs, &got.reply), Ok(vec![]));
            ours.assert_understood(&mut theirs, 500);

            // We update ours, and while it is under way it updates its own.
            let mut update = vec![0; KEY_UPDATE_RECORD_BYTES];
            ours.records.update_sending(&mut ours.kernel, &mut update).unwrap();
            theirs.refresh_traffic_keys().unwrap();
            let crossing = stock::sealed_by(&mut theirs, b"crossing");
            assert_eq!(stock::deliver(&mut theirs, &update), Ok(vec![]));
            let got = ours.open(&crossing);
            assert_eq!(got.data, b"crossing");
            assert_eq!(stock::deliver(&mut theirs, &got.reply), Ok(vec![]));
            ours.assert_understood(&mut theirs, 500);

            // It ends its side, we go on and then end ours.
            theirs.send_close_notify();
            let mut wire = Vec::new();
            stock::collect(&mut theirs, &mut wire);
            assert_eq!(ours.open(&wire).then, Next::Finished);
            let mut wire = ours.seal(b"half closed");
            ours.records.finish(&mut wire);
            assert_eq!(stock::deliver(&mut theirs, &wire), Ok(b"half closed".to_vec()));
            assert!(theirs.process_new_packets().unwrap().peer_has_closed());
        }
    }
}

#[test]
fn a_ticket_that_we_took_resumes_the_session() {
    let stock = Stock::new(Suite::Aes256Gcm);
    let (mut ours, theirs, wire) = Ours::new(&stock, true);
    assert_eq!(theirs.handshake_kind(), Some(HandshakeKind::Full));
    assert!(!wire.is_empty() && ours.open(&wire).then == Next::More);
    let (_, theirs, _) = Ours::new(&stock, true);
    assert_eq!(theirs.handshake_kind(), Some(HandshakeKind::Resumed));
}

#[test]
fn stock_rustls_reads_our_alerts() {
    for is_client in CLIENT_AND_SERVER {
        let (mut ours, mut theirs, wire) = Ours::new(&Stock::new(Suite::Aes128Gcm), is_client);
        ours.open(&wire);
        let mut wire = stock::sealed_by(&mut theirs, b"hello");
        wire[7] ^= 1;
        let got = ours.open(&wire);
        assert_eq!(got.then, Next::Failed(Cause::Tampered, String::new()));
        theirs.read_tls(&mut &got.reply[..]).unwrap();
        let error = theirs.process_new_packets().unwrap_err();
        assert_eq!(error, rustls::Error::AlertReceived(rustls::AlertDescription::BadRecordMac));
    }
}

// ---- our double

/// Key updates of one program, beyond which the peer makes none.
const UPDATES_MAX: usize = 40;

/// Next keys, derived ahead: the record layer and whoever seals for it both need them.
struct Ahead {
    receiving: VecDeque<TrafficKey>,
    sending: VecDeque<TrafficKey>,
}

impl KeySchedule for Ahead {
    fn next_sending(&mut self) -> Result<TrafficKey, Failure> {
        Ok(self.sending.pop_front().expect("the peer makes no more updates than this"))
    }

    fn next_receiving(&mut self) -> Result<TrafficKey, Failure> {
        Ok(self.receiving.pop_front().expect("the peer makes no more updates than this"))
    }

    fn ticket(&mut self, _: &[u8]) -> Result<(), Failure> {
        Ok(())
    }
}

/// What a peer seals.
#[derive(Clone, Debug)]
enum Sealed {
    Data(usize, usize),
    KeyUpdate(u8),
    /// A key update in fragments of so many bytes.
    Pieces(usize),
    Ticket(usize),
    /// An alert, or what looks like one.
    Alert(Vec<u8>),
    Odd(u8, Vec<u8>),
}

fn sealed() -> impl Strategy<Value = Sealed> {
    prop_oneof![
        6 => (prop_oneof![Just(0), 1..200usize, 16_380..16_386usize], prop_oneof![9 => Just(0), 1 => 0..300usize])
            .prop_map(|(bytes, padding)| Sealed::Data(bytes, padding)),
        3 => prop_oneof![9 => 0..2u8, 1 => Just(2)].prop_map(Sealed::KeyUpdate),
        1 => (1..6usize).prop_map(Sealed::Pieces),
        2 => (1..120usize).prop_map(Sealed::Ticket),
        1 => (0..4u8, prop_oneof![Just(0), Just(90), any::<u8>()]).prop_map(|(level, what)| Sealed::Alert(vec![level, what])),
        1 => (18..26u8, prop::collection::vec(0..25u8, 0..7)).prop_map(|(kind, content)| Sealed::Odd(kind, content)),
    ]
}

/// What somebody on the wire does to it; numbers are taken modulo what there is.
#[derive(Clone, Debug)]
enum Damage {
    Flip(usize, u8),
    /// In the header of the record with this number.
    FlipHeader(usize, usize, u8),
    Insert(usize, Vec<u8>),
    Remove(usize, usize),
    Cut(usize),
    Repeat(usize),
    Swap(usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    let any_bit = || (0..8u32).prop_map(|bit| 1u8 << bit);
    prop_oneof![
        (any::<usize>(), any_bit()).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        (any::<usize>(), 0..5usize, any_bit())
            .prop_map(|(record, at, bit)| Damage::FlipHeader(record, at, bit)),
        (any::<usize>(), prop::collection::vec(any::<u8>(), 1..8))
            .prop_map(|(at, new)| Damage::Insert(at, new)),
        (any::<usize>(), 1..40usize).prop_map(|(at, bytes)| Damage::Remove(at, bytes)),
        any::<usize>().prop_map(Damage::Cut),
        any::<usize>().prop_map(Damage::Repeat),
        any::<usize>().prop_map(Damage::Swap),
    ]
}

/// The records of `program`, sealed with the peer's keys.
fn seal_all(program: &[Sealed], first: TrafficKey, mut later: VecDeque<TrafficKey>) -> Vec<Vec<u8>> {
    let mut with = Direction::new(first);
    let mut records = Vec::new();
    for step in program {
        let mut seal = |kind, content: &[u8], padding| records.push(forge(&mut with, kind, content, padding));
        match step {
            Sealed::Data(bytes, padding) => seal(direction::APPLICATION_DATA, &pattern(*bytes, 5), *padding),
            Sealed::KeyUpdate(kind) => seal(direction::HANDSHAKE, &[24, 0, 0, 1, *kind], 0),
            Sealed::Pieces(bytes) => {
                [24, 0, 0, 1, 0].chunks(*bytes).for_each(|piece| seal(direction::HANDSHAKE, piece, 0));
            }
            Sealed::Ticket(bytes) => {
                ticket().chunks(*bytes).for_each(|piece| seal(direction::HANDSHAKE, piece, 0));
            }
            Sealed::Alert(content) => seal(direction::ALERT, content, 0),
            Sealed::Odd(kind, content) => seal(*kind, content, 0),
        }
        if matches!(step, Sealed::KeyUpdate(_) | Sealed::Pieces(_)) {
            with = Direction::new(later.pop_front().expect("a program is shorter than this"));
        }
    }
    records
}

/// A NewSessionTicket in good order: lifetime, age_add, nonce, ticket, no extensions.
fn ticket() -> Vec<u8> {
    let mut message = vec![4, 0, 0, 23, 0, 0, 1, 0, 1, 2, 3, 4, 1, 9, 0, 9];
    message.extend([7; 9]);
    message.extend([0, 0]);
    message
}

fn damaged(mut records: Vec<Vec<u8>>, damage: Option<&Damage>) -> Vec<u8> {
    let count = records.len().max(1);
    match damage {
        Some(Damage::FlipHeader(record, at, bit)) => {
            if let Some(record) = records.get_mut(record % count) {
                record[*at] ^= bit;
            }
        }
        Some(Damage::Repeat(record)) => {
            if let Some(again) = records.get(record % count).cloned() {
                records.insert(record % count, again);
            }
        }
        Some(Damage::Swap(record)) if records.len() > 1 => {
            records.swap(record % count, (record % count + 1) % count)
        }
        _ => {}
    }
    let mut wire = records.concat();
    let bytes = wire.len().max(1);
    match damage {
        Some(Damage::Flip(at, bit)) if !wire.is_empty() => wire[at % bytes] ^= bit,
        Some(Damage::Insert(at, new)) => {
            drop(wire.splice(at % bytes..at % bytes, new.iter().copied()).collect::<Vec<_>>())
        }
        Some(Damage::Remove(at, more)) => {
            let from = at % bytes;
            wire.drain(from..(from + more).min(wire.len()));
        }
        Some(Damage::Cut(at)) => wire.truncate(at % bytes),
        _ => {}
    }
    wire
}

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Open,
    Finished,
    Refused(String),
}

fn rustls_on(reference: &mut Connection, wire: &[u8], piece: usize) -> (Vec<u8>, Outcome) {
    let mut data = Vec::new();
    for piece in wire.chunks(piece) {
        match stock::deliver(reference, piece) {
            Ok(more) => data.extend(more),
            Err(last) => {
                data.extend(last);
                return (data, Outcome::Refused(String::new()));
            }
        }
    }
    let closed = reference.process_new_packets().unwrap().peer_has_closed();
    (data, if closed { Outcome::Finished } else { Outcome::Open })
}

fn we_on(records: &mut Records, schedule: &mut Ahead, wire: &[u8], piece: usize) -> (Vec<u8>, Outcome) {
    let (mut data, mut held) = (Vec::new(), Vec::new());
    for piece in wire.chunks(piece) {
        held.extend_from_slice(piece);
        let got = open(records, schedule, &held);
        held.drain(..got.consumed);
        data.extend(got.data);
        match got.then {
            Next::More => {}
            Next::Finished => return (data, Outcome::Finished),
            Next::Failed(cause, detail) => return (data, Outcome::Refused(format!("{cause:?} {detail}"))),
        }
    }
    (data, Outcome::Open)
}

/// What we refuse although stock rustls takes it, or goes on waiting for the rest of it.
fn is_stricter(why: &str, wire: &[u8], theirs: &Outcome) -> bool {
    match why.strip_prefix("ProtocolViolation ") {
        // Rustls waits for the whole message before it looks at its type and length.
        Some("a handshake message afterwards" | "a request for a certificate afterwards") => {
            *theirs == Outcome::Open
        }
        Some("a key update of a wrong length" | "a session ticket beyond its bound") => {
            *theirs == Outcome::Open
        }
        // Rustls opens a sealed record under whatever outer type, and wants all of it before it looks at its length.
        Some("a record in the clear after the handshake" | "a record longer than any may be") => true,
        // Rustls counts it as an empty record.
        Some("an empty handshake record") => true,
        Some(_) => false,
        // We authenticate the version in a record's header as it came, rustls what it should have been.
        None => why.starts_with("Tampered") && has_odd_version(wire),
    }
}

/// Whether a record claims another version than it must.
fn has_odd_version(wire: &[u8]) -> bool {
    let mut at = 0;
    let headers = std::iter::from_fn(|| {
        let &[_, major, minor, ref rest @ ..] = wire.get(at..)? else { return None };
        let body_bytes = rest.first_chunk().map_or(0, |&bytes| usize::from(u16::from_be_bytes(bytes)));
        at += direction::HEADER_BYTES + body_bytes;
        Some([major, minor])
    });
    headers.into_iter().any(|version| version != [3, 3])
}

fn check_double(stock: &Stock, is_client: bool, program: &[Sealed], damage: Option<&Damage>, piece: usize) {
    let (secrets, mut kernel, mut reference, already) = stock.shake(!is_client);
    assert!(is_client || !already.is_empty(), "a server has sent its tickets");
    let first = traffic_key(&secrets.tx);
    let [mut later, mut ahead] = [VecDeque::new(), VecDeque::new()];
    let mut sending = VecDeque::new();
    for _ in 0..UPDATES_MAX {
        let next = kernel.update_sending();
        later.push_back(traffic_key(&next));
        ahead.push_back(traffic_key(&next));
        sending.push_back(traffic_key(&kernel.update_receiving()));
    }
    let wire = damaged(seal_all(program, first, later), damage);
    let mut records = Records::new(traffic_key(&secrets.tx), traffic_key(&secrets.rx), is_client);
    let mut schedule = Ahead { receiving: ahead, sending };

    let (our_data, ours) = we_on(&mut records, &mut schedule, &wire, piece);
    let (their_data, theirs) = rustls_on(&mut reference, &wire, piece);
    match (&ours, &theirs) {
        (Outcome::Refused(why), Outcome::Open | Outcome::Finished) => {
            assert!(is_stricter(why, &wire, &theirs), "only we refuse, and not for a known reason: {why}");
            assert!(their_data.starts_with(&our_data), "data that rustls did not see: {why}");
        }
        (Outcome::Refused(why), Outcome::Refused(_)) if is_stricter(why, &wire, &theirs) => {
            assert!(their_data.starts_with(&our_data), "data that rustls did not see: {why}");
        }
        (Outcome::Refused(_), Outcome::Refused(_)) => assert!(our_data == their_data, "other data"),
        // Rustls refuses the header for its version, we the record when it is whole.
        (Outcome::Open, Outcome::Refused(_)) if has_odd_version(&wire) => assert!(our_data == their_data),
        _ => {
            assert_eq!(ours, theirs);
            assert!(our_data == their_data, "other data");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(thorough(256, 32)))]

    #[test]
    fn what_stock_rustls_refuses_we_refuse_and_what_both_take_is_the_same(
        is_client in any::<bool>(),
        program in prop::collection::vec(sealed(), 0..12),
        damage in prop::option::of(damage()),
        piece in prop_oneof![Just(usize::MAX), 1..50usize, 1..20_000usize],
    ) {
        thread_local! {
            static STOCK: Stock = Stock::new(Suite::Aes128Gcm);
        }
        STOCK.with(|stock| check_double(stock, is_client, &program, damage.as_ref(), piece));
    }
}

#[test]
fn floods_end_for_us_where_they_end_for_stock_rustls() {
    let stock = Stock::new(Suite::ChaCha20Poly1305);
    for is_client in CLIENT_AND_SERVER {
        for flood in
            [Sealed::Data(0, 3), Sealed::KeyUpdate(0), Sealed::KeyUpdate(1), Sealed::Alert(vec![1, 90])]
        {
            for count in [4, 5, 31, 32, 33] {
                check_double(&stock, is_client, &vec![flood.clone(); count], None, usize::MAX);
            }
        }
    }
}
