//! The records of RFC 8448, section 3 ("Simple 1-RTT Handshake"), from the first one under application keys on.

use super::super::super::keys::{Suite, TrafficKey};
use super::*;

const CLIENT_KEY: &str = "17422dda596ed5d9acd890e3c63f5051";
const CLIENT_IV: &str = "5b78923dee08579033e523d9";
const SERVER_KEY: &str = "9f02283b6c9c07efc26bb9f2ac92e356";
const SERVER_IV: &str = "cf782b88dd83549aadf1e984";

const SERVER_TICKET: &str = "17030300de\
    3a6b8f90414a97d6959c3487680de5134a2b240e6cffac116e95d41d6af8f6b580dcf3d11d63c758db289a015940252f55713e061dc13e07\
    8891a38efbcf5753ad8ef170ad3c7353d16d9da773b9ca7f2b9fa1b6c0d4a3d03f75e09c30ba1e62972ac46f75f7b981be63439b2999ce13\
    064615139891d5e4c5b406f16e3fc181a77ca475840025db2f0a77f81b5ab05b94c01346755f69232c86519d86cbeeac87aac347d143f960\
    5d64f650db4d023e70e952ca49fe5137121c74bc2697687e248746d6df353005f3bce18696129c8153556b3b6c6779b37bf15985684f";
const TICKET: &str = "\
    0000001efad6aac502000000b22c035d829359ee5ff7af4ec900000000262a6494dc486d2c8a34cb33fa90bf1b0070ad3c498883c9367c09\
    a2be785abc55cd226097a3a982117283f82a03a143efd3ff5dd36d64e861be7fd61d2827db279cce145077d454a3664d4e6da4d29ee03725\
    a6a4dafcd0fc67d2aea70529513e3da2677fa5906c5b3f7d8f92f228bda40dda721470f9fbf297b5aea617646fac5c03272e970727c621a7\
    9141ef5f7de6505e5bfbc388e93343694093934ae4d3570008002a000400000400";
const CLIENT_DATA: &str = "1703030043\
    a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5b46b395bd54a9a20441e2b62974e1f5a6292a2977014bd1e\
    3deae63aeebb21694915e4";
const SERVER_DATA: &str = "1703030043\
    2e937e11ef4ac740e538ad36005fc4a46932fc3225d05f82aa1b36e30efaf97d90e6dffc602dcb501a59a8fcc49c4bf2e5f0a21c0047c2ab\
    f332540dd032e167c2955d";
const CLIENT_CLOSE: &str = "1703030013c9872760655666b74d7ff1153efd6db6d0b0e3";
const SERVER_CLOSE: &str = "1703030013b58fd67166ebf599d24720cfbe7efa7a8864a9";

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn key(key: &str, iv: &str) -> TrafficKey {
    let iv = *bytes(iv).first_chunk().unwrap();
    TrafficKey::new(Suite::Aes128Gcm, &bytes(key), iv, 0).unwrap()
}

/// Both ends of the trace; it has no key updates, so the schedule only keeps tickets.
fn ends() -> (End, End) {
    let (mut client, mut server) = pair(Suite::Aes128Gcm);
    client.records = Records::new(key(SERVER_KEY, SERVER_IV), key(CLIENT_KEY, CLIENT_IV), true);
    server.records = Records::new(key(CLIENT_KEY, CLIENT_IV), key(SERVER_KEY, SERVER_IV), false);
    (client, server)
}

#[test]
fn the_clients_side_of_the_trace_opens_and_seals_to_the_bit() {
    let (mut client, _) = ends();
    let data: Vec<u8> = (0..50).collect();

    let got = client.open(&[bytes(SERVER_TICKET), bytes(SERVER_DATA)].concat());
    assert_eq!((got.data, got.then), (data.clone(), Next::More));
    assert_eq!(client.schedule.tickets, [bytes(TICKET)]);

    assert_eq!(client.seal(&data), bytes(CLIENT_DATA));
    assert_eq!(client.finish(), bytes(CLIENT_CLOSE));
    assert_eq!(client.open(&bytes(SERVER_CLOSE)).then, Next::Finished);
    assert_eq!(client.records.end_of_stream(0), None);
}

#[test]
fn the_servers_side_of_the_trace_opens_and_seals_to_the_bit() {
    let (_, mut server) = ends();
    let data: Vec<u8> = (0..50).collect();

    let ticket = [&[4, 0, 0, 201], &bytes(TICKET)[..]].concat();
    assert_eq!(server.forge(direction::HANDSHAKE, &ticket, 0), bytes(SERVER_TICKET));
    let got = server.open(&[bytes(CLIENT_DATA), bytes(CLIENT_CLOSE)].concat());
    assert_eq!((got.data, got.then), (data.clone(), Next::Finished));

    assert_eq!(server.seal(&data), bytes(SERVER_DATA));
    assert_eq!(server.finish(), bytes(SERVER_CLOSE));
}
