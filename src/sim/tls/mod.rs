//! Certificates for simulated hosts, the same in every run, for any time that a simulated clock can show.
//!
//! Lengths must not differ between two runs of one seed, or they would part. So the key is Ed25519, whose signatures all
//! have 64 bytes, and authority, certificate and key are made once and are the same for everybody, which makes them
//! good for simulations and for nothing else: **their keys are public**.
//!
//! The certificate is for `*.sim.test` and holds from 1970 to the end of 9998, for servers and clients alike.
//!
//! ```
//! use windlass::sim::{Network, tls};
//! use windlass::{Connect, Cores, Event, Io, Listen};
//!
//! # fn main() -> Result<(), windlass::Error> {
//! let mut net = Network::new(1);
//! let (server, client) = (net.host("server"), net.host("client"));
//! let listen = Listen::tcp("0.0.0.0:443").tls(&tls::server().build()?);
//! net.start(server, Cores::new(1).listen(listen), |_core| |_: &mut Io, _: Event<'_>| {})?;
//! let roots = tls::client().build()?;
//! net.start(client, Cores::new(1), move |core| {
//!     core.io().connect(Connect::to(server.port(443)).tls(&roots, "server.sim.test")).expect("an address");
//!     |_: &mut Io, event: Event<'_>| println!("{event:?}")
//! })?;
//! # net.run_for(std::time::Duration::from_secs(1));
//! # Ok(())
//! # }
//! ```

use crate::secure::tls::{ClientTls, ClientTlsBuilder, ServerTls, ServerTlsBuilder};

/// The authority's certificate, in PEM: what a simulated client trusts.
pub const AUTHORITY_PEM: &str = include_str!("authority.pem");
/// A certificate for `*.sim.test`, in PEM.
pub const CERTIFICATE_PEM: &str = include_str!("certificate.pem");
/// Its key, in PEM. It is no secret.
pub const KEY_PEM: &str = include_str!("key.pem");

/// A server's TLS with the certificate for `*.sim.test`; add what the test needs, and build it. One that asks for client
/// certificates wants [`AUTHORITY_PEM`] as their root.
pub fn server() -> ServerTlsBuilder {
    ServerTls::builder().certificate_pem(CERTIFICATE_PEM, KEY_PEM)
}

/// A client's TLS that trusts the authority, and shows the certificate itself to a server that asks for one; connect to
/// any name under `sim.test`.
pub fn client() -> ClientTlsBuilder {
    ClientTls::builder().roots_pem(AUTHORITY_PEM).identity_pem(CERTIFICATE_PEM, KEY_PEM)
}
