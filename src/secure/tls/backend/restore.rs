//! Gives rustls a session of an earlier process.
//!
//! rustls 0.23 makes sessions only out of tickets that reach it on a connection, and has no form of them that could
//! be stored. So one is made: a handshake within this thread, in memory, between the client's own configuration and
//! a server for the moment, which shows the certificates that were saved. They are verified as any server's are:
//! roots, name, dates, revocation, pins. Only the proof that the server has their key cannot be given; in its place
//! stands the proof that it has the key made for the moment. Then the ticket is handed in as if it had just come,
//! with its age set right, and with the key it was saved with (see [`tap`]).

use super::handshake::{Asks, Machine, Sink};
use super::sessions::{Arriving, Chain, Portable, now_s};
use super::{provider, tap, versions, wall};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key};
use rustls::kernel::KernelConnection;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer};
use rustls::server::{ClientHello, ResolvesServerCert, UnbufferedServerConnection};
use rustls::sign::CertifiedKey;
use rustls::{CipherSuite, ClientConfig, DigitallySignedStruct, Error, ServerConfig};
use std::cell::RefCell;
use std::sync::Arc;

/// Exchanges after which a handshake with ourselves would be over many times.
const EXCHANGES_MAX: usize = 8;

thread_local! {
    /// The key made for the moment, while a session is being restored on this thread.
    static FOR_THE_MOMENT: RefCell<Option<SubjectPublicKeyInfoDer<'static>>> = const { RefCell::new(None) };
}

/// Whether a session is being restored on this thread.
pub(super) fn under_way() -> bool {
    FOR_THE_MOMENT.with_borrow(Option::is_some)
}

/// Checks a server's signature with the key made for the moment; `None` if no session is being restored.
pub(super) fn verify_signature(
    message: &[u8],
    signed: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Option<Result<rustls::client::danger::HandshakeSignatureValid, Error>> {
    FOR_THE_MOMENT.with_borrow(|key| {
        let key = key.as_ref()?;
        Some(verify_tls13_signature_with_raw_key(message, key, signed, algorithms))
    })
}

/// Makes sessions of `saved` that a connection of `config` to `name` can resume. Those whose time is over, or whose
/// certificates are not trusted any more, are dropped: a full handshake takes their place.
pub(super) fn restore(config: &Arc<ClientConfig>, name: &ServerName<'static>, saved: Vec<Portable>) {
    let mut made: Option<(CipherSuite, Chain, KernelConnection<ClientConnectionData>)> = None;
    for portable in saved {
        let Some(ticket) = aged(&portable.ticket, portable.received_s, now_s()) else { continue };
        let (suite, chain) = (portable.suite(), portable.origin.chain.clone());
        let fits = made.as_ref().is_some_and(|(known, same, _)| *known == suite && *same == chain);
        if !fits {
            made = shake_with_ourselves(config, name, suite, &chain).map(|kept| (suite, chain, kept));
        }
        let Some((_, _, kept)) = &mut made else { continue };
        let Portable { received_s, psk, origin, ticket: original, .. } = portable;
        let arriving = Arriving { ticket: original, received_s, origin };
        // A ticket that rustls refuses is dropped like one that is too old.
        let _ = arriving.during(|| tap::inject(psk, || kept.handle_new_session_ticket(&ticket)));
    }
}

/// The message that brought a ticket as it would be if it came now: it lives for the rest of its time, and the age
/// that rustls counts from now begins with the age it has. `None` if its time is over.
fn aged(ticket: &[u8], received_s: u64, now_s: u64) -> Option<Vec<u8>> {
    let mut ticket = ticket.to_vec();
    let age_s = u32::try_from(now_s.saturating_sub(received_s)).ok()?;
    let (lifetime, rest) = ticket.split_first_chunk_mut::<4>()?;
    let left_s = u32::from_be_bytes(*lifetime).checked_sub(age_s).filter(|left_s| *left_s > 0)?;
    *lifetime = left_s.to_be_bytes();
    let age_add = rest.first_chunk_mut::<4>()?;
    *age_add = u32::from_be_bytes(*age_add).wrapping_add(age_s.wrapping_mul(1000)).to_be_bytes();
    Some(ticket)
}

/// A handshake of `config` with a server for the moment that shows `chain`. Gives what rustls keeps of it.
fn shake_with_ourselves(
    config: &Arc<ClientConfig>,
    name: &ServerName<'static>,
    suite: CipherSuite,
    chain: &Chain,
) -> Option<KernelConnection<ClientConnectionData>> {
    let (server, key) = server_for_the_moment(suite, chain)?;
    let _moment = Moment::new(key);
    let mut client = Machine::Client(UnbufferedClientConnection::new(config.clone(), name.clone()).ok()?);
    let mut server = Machine::Server(UnbufferedServerConnection::new(server).ok()?);
    let (mut to_client, mut to_server) = (Vec::new(), Vec::new());
    for _ in 0..EXCHANGES_MAX {
        work(&mut client, &mut to_client, &mut to_server)?;
        if !client.state().is_handshaking() {
            let Machine::Client(client) = client else { return None };
            return client.dangerous_into_kernel_connection().ok().map(|(_, kept)| kept);
        }
        work(&mut server, &mut to_server, &mut to_client)?;
    }
    None
}

/// Lets one end take what there is and say what it has to.
fn work(end: &mut Machine, wire: &mut Vec<u8>, reply: &mut Vec<u8>) -> Option<()> {
    loop {
        let (discard, asks) = end.ask(wire, &mut Sink::none(), reply);
        wire.drain(..discard);
        match asks.ok()? {
            Asks::Again => {}
            Asks::Input => return Some(()),
            Asks::Over => return None,
        }
    }
}

/// A server that shows `chain` without having its key, and the key it has instead.
fn server_for_the_moment(
    suite: CipherSuite,
    chain: &Chain,
) -> Option<(Arc<ServerConfig>, SubjectPublicKeyInfoDer<'static>)> {
    let mut cryptography = (*provider()).clone();
    cryptography.cipher_suites.retain(|known| known.suite() == suite);
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).ok()?;
    let pkcs8 = pair.to_pkcs8v1().ok()?;
    let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pkcs8.as_ref()));
    let signer = cryptography.key_provider.load_private_key(der.clone_key()).ok()?;
    let key = signer.public_key()?.into_owned();
    let config = ServerConfig::builder_with_details(Arc::new(cryptography), wall::clock());
    let config = config.with_protocol_versions(versions(false)).ok()?.with_no_client_auth();
    let shown = Shown(Arc::new(CertifiedKey::new(chain.to_vec(), signer)));
    let mut config = config.with_cert_resolver(Arc::new(shown));
    config.send_tls13_tickets = 0;
    Some((Arc::new(config), key))
}

/// Shows the same to everyone.
#[derive(Debug)]
struct Shown(Arc<CertifiedKey>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

/// The time in which the key made for the moment counts. It ends when this goes, whatever happens in between.
struct Moment;

impl Moment {
    fn new(key: SubjectPublicKeyInfoDer<'static>) -> Moment {
        FOR_THE_MOMENT.set(Some(key));
        Moment
    }
}

impl Drop for Moment {
    fn drop(&mut self) {
        FOR_THE_MOMENT.set(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_ages_while_it_is_stored() {
        let ticket = [0, 0, 0, 100, 0xff, 0xff, 0xff, 0xff, 9];
        assert_eq!(aged(&ticket, 1000, 1000).as_deref(), Some(&ticket[..]));
        assert_eq!(aged(&ticket, 1000, 1002).as_deref(), Some(&[0, 0, 0, 98, 0, 0, 7, 0xcf, 9][..]));
        assert_eq!(aged(&ticket, 1000, 1100), None);
        assert_eq!(aged(&ticket, 1000, u64::MAX), None);
        assert_eq!(aged(&ticket, 1000, 990).as_deref(), Some(&ticket[..]), "a clock that was set back");
        assert_eq!(aged(&ticket[..7], 1000, 1000), None);
    }
}
