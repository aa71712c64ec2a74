//! The one secret of a session that rustls neither shows nor takes: the key that its ticket resumes with.
//!
//! A client's cipher suites derive keys through [`Tapped`]. It is nothing but aws-lc-rs, except for the length of a
//! call that [`capture`] or [`inject`] wraps: then the key that rustls derives for a ticket (RFC 8446, section 4.6.1)
//! is noted, or replaced by one that was noted in an earlier process.

use rustls::crypto::tls13::{Hkdf, HkdfExpander, OkmBlock, OutputLengthError};
use rustls::crypto::{ActiveKeyExchange, hmac};
use rustls::{Error, SupportedCipherSuite, Tls13CipherSuite};
use std::cell::RefCell;
use zeroize::Zeroizing;

/// The label under which a ticket's key is derived.
const LABEL: &[u8] = b"resumption";

/// A ticket's key.
pub(super) type Psk = Zeroizing<Vec<u8>>;

thread_local! {
    static TAP: RefCell<Tap> = const { RefCell::new(Tap::Shut) };
}

enum Tap {
    Shut,
    Noting(Option<Psk>),
    Giving(Psk),
}

/// Runs `call` and gives the ticket key that was derived in it.
pub(super) fn capture<T>(call: impl FnOnce() -> T) -> (T, Option<Psk>) {
    let open = Open::new(Tap::Noting(None));
    let result = call();
    match open.shut() {
        Tap::Noting(psk) => (result, psk),
        _ => (result, None),
    }
}

/// Runs `call`, in which `psk` stands for every ticket key derived.
pub(super) fn inject<T>(psk: Psk, call: impl FnOnce() -> T) -> T {
    let _open = Open::new(Tap::Giving(psk));
    call()
}

/// What was noted so far in the capture under way.
pub(super) fn noted() -> Option<Psk> {
    TAP.with_borrow(|tap| match tap {
        Tap::Noting(psk) => psk.clone(),
        Tap::Giving(psk) => Some(psk.clone()),
        Tap::Shut => None,
    })
}

/// Shuts the tap when it goes, whatever happens in between.
struct Open;

impl Open {
    fn new(tap: Tap) -> Open {
        TAP.set(tap);
        Open
    }

    fn shut(self) -> Tap {
        TAP.replace(Tap::Shut)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        TAP.set(Tap::Shut);
    }
}

/// A suite of TLS 1.3 that derives its keys through a tap; `None` for one of another version.
pub(super) fn tapped(suite: SupportedCipherSuite) -> Option<Tls13CipherSuite> {
    let suite = suite.tls13()?;
    Some(Tls13CipherSuite {
        common: rustls::crypto::CipherSuiteCommon {
            suite: suite.common.suite,
            hash_provider: suite.common.hash_provider,
            confidentiality_limit: suite.common.confidentiality_limit,
        },
        hkdf_provider: Box::leak(Box::new(Tapped(suite.hkdf_provider))),
        aead_alg: suite.aead_alg,
        quic: None,
    })
}

/// Derives keys as the one inside does.
struct Tapped(&'static dyn Hkdf);

impl Hkdf for Tapped {
    fn extract_from_zero_ikm(&self, salt: Option<&[u8]>) -> Box<dyn HkdfExpander> {
        self.0.extract_from_zero_ikm(salt)
    }

    fn extract_from_secret(&self, salt: Option<&[u8]>, secret: &[u8]) -> Box<dyn HkdfExpander> {
        self.0.extract_from_secret(salt, secret)
    }

    fn extract_from_kx_shared_secret(
        &self,
        salt: Option<&[u8]>,
        kx: Box<dyn ActiveKeyExchange>,
        peer_pub_key: &[u8],
    ) -> Result<Box<dyn HkdfExpander>, Error> {
        self.0.extract_from_kx_shared_secret(salt, kx, peer_pub_key)
    }

    /// The only way that a ticket's key is derived.
    fn expander_for_okm(&self, okm: &OkmBlock) -> Box<dyn HkdfExpander> {
        let expander = self.0.expander_for_okm(okm);
        if TAP.with_borrow(|tap| matches!(tap, Tap::Shut)) {
            return expander;
        }
        Box::new(TappedExpander(expander))
    }

    fn hmac_sign(&self, key: &OkmBlock, message: &[u8]) -> hmac::Tag {
        self.0.hmac_sign(key, message)
    }

    fn fips(&self) -> bool {
        self.0.fips()
    }
}

struct TappedExpander(Box<dyn HkdfExpander>);

impl HkdfExpander for TappedExpander {
    fn expand_slice(&self, info: &[&[u8]], output: &mut [u8]) -> Result<(), OutputLengthError> {
        self.0.expand_slice(info, output)
    }

    fn expand_block(&self, info: &[&[u8]]) -> OkmBlock {
        if !info.contains(&LABEL) {
            return self.0.expand_block(info);
        }
        TAP.with_borrow_mut(|tap| match tap {
            Tap::Giving(psk) if psk.len() == self.hash_len() => OkmBlock::new(psk),
            Tap::Noting(noted) => {
                let block = self.0.expand_block(info);
                *noted = Some(Zeroizing::new(block.as_ref().to_vec()));
                block
            }
            _ => self.0.expand_block(info),
        })
    }

    fn hash_len(&self) -> usize {
        self.0.hash_len()
    }
}
