//! The rigs against each other, with nothing of ours between: what the other tests wait for is what these programs say.

use crate::openssl;

#[test]
fn openssl_talks_to_itself() {
    let Some((folder, _, pair)) = openssl::prepared() else { return };
    let (mut server, address) = openssl::server(&pair, &[]);
    let session = folder.file("session");
    let mut client = openssl::client(&folder, address, &["-sess_out", &session]);
    client.says("\nNew, TLSv1.3");
    client.type_line("first");
    server.says("first");
    client.type_line("K");
    client.says("KEYUPDATE");
    client.type_line("second");
    server.says("second");
    server.type_line("K");
    server.says("SSL_do_handshake -> 1");
    server.type_line("third");
    client.says("third");
    client.type_line("Q");
    assert!(client.ends_well().contains("Verification: OK"));
    let mut client = openssl::client(&folder, address, &["-sess_in", &session]);
    client.says("\nReused, TLSv1.3");
    client.type_line("Q");
    client.ends_well();
}
