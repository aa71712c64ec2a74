//! Certificates, keys and revocation lists out of PEM.

use super::super::pem::Pem;
use crate::error::Error;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, RootCertStore};

/// All certificates in `source`; at least one.
pub(super) fn certificates(source: &Pem) -> Result<Vec<CertificateDer<'static>>, Error> {
    let text = source.read("certificates")?;
    all(source, CertificateDer::pem_slice_iter(&text), "certificate", "-----BEGIN CERTIFICATE-----")
}

/// All revocation lists in `source`; at least one.
pub(super) fn revocation_lists(source: &Pem) -> Result<Vec<CertificateRevocationListDer<'static>>, Error> {
    let text = source.read("revocation lists")?;
    all(
        source,
        CertificateRevocationListDer::pem_slice_iter(&text),
        "revocation list",
        "-----BEGIN X509 CRL-----",
    )
}

fn all<T>(
    source: &Pem,
    items: impl Iterator<Item = Result<T, pem::Error>>,
    what: &str,
    begins: &str,
) -> Result<Vec<T>, Error> {
    let items: Vec<T> = items.collect::<Result<_, _>>().map_err(|error| broken(source, &error))?;
    if items.is_empty() {
        return Err(Error::Config(format!("no {what} in {source}: a line '{begins}' must open it (PEM)")));
    }
    Ok(items)
}

fn broken(source: &Pem, error: &pem::Error) -> Error {
    Error::Config(format!("{source} is not whole PEM ({error}): write the file anew, from its source"))
}

/// A chain with the key that belongs to its first certificate, checked to match.
pub(super) fn certified_key(
    chain: &Pem,
    key: &Pem,
    provider: &rustls::crypto::CryptoProvider,
) -> Result<CertifiedKey, Error> {
    let certificates = certificates(chain)?;
    let text = key.read("the private key")?;
    let der = PrivateKeyDer::from_pem_slice(&text).map_err(|error| match error {
        pem::Error::NoItemsFound => Error::Config(format!(
            "no private key in {key}: PKCS#8, PKCS#1 and SEC1 in PEM are read; decrypt an encrypted one first, \
             with `openssl pkey -in KEY -out PLAIN`"
        )),
        error => broken(key, &error),
    })?;
    let signer = provider.key_provider.load_private_key(der).map_err(|error| {
        Error::Config(format!(
            "the private key in {key} is of no usable kind: RSA, ECDSA or Ed25519 ({error})"
        ))
    })?;
    let certified = CertifiedKey::new(certificates, signer);
    match certified.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(certified),
        Err(rustls::Error::InconsistentKeys(_)) => Err(Error::Config(format!(
            "the private key in {key} does not belong to the first certificate in {chain}: put the server's own \
             certificate first, and give the key it was made with"
        ))),
        Err(error) => Err(Error::Config(format!("the first certificate in {chain} cannot be read: {error}"))),
    }
}

/// Roots out of `sources`.
pub(super) fn roots(sources: &[Pem]) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for source in sources {
        for certificate in certificates(source)? {
            roots.add(certificate).map_err(|error| {
                Error::Config(format!("a certificate in {source} cannot be a root: {error}"))
            })?;
        }
    }
    Ok(roots)
}
