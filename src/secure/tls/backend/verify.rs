//! How a client verifies a server: the chain and the name, pins on top of them, or pins alone.

use super::restore;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};
use std::fmt;
use std::sync::Arc;

/// The SHA-256 of a SubjectPublicKeyInfo.
pub(crate) type Pin = [u8; 32];

/// The server's key is none of those that are pinned.
#[derive(Debug)]
pub(super) struct PinMismatch(Pin);

impl fmt::Display for PinMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the SHA-256 of its public key is ")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(", which is not pinned")
    }
}

impl std::error::Error for PinMismatch {}

/// The pin of a certificate.
pub(super) fn pin_of(certificate: &CertificateDer<'_>) -> Result<Pin, Error> {
    let key = ParsedCertificate::try_from(certificate)?.subject_public_key_info();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &key);
    digest.as_ref().try_into().map_err(|_| Error::General("SHA-256 is not 32 bytes long".into()))
}

/// Checks what `chain` checks, and that the server's key is pinned if any are. Without `chain` only the pin counts,
/// with the proof that the server has the key.
#[derive(Debug)]
pub(super) struct Verifier {
    pub(super) chain: Option<Arc<dyn ServerCertVerifier>>,
    pub(super) pins: Vec<Pin>,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(chain) = &self.chain {
            let verified =
                chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)?;
            if self.pins.is_empty() {
                return Ok(verified);
            }
        }
        let pin = pin_of(end_entity)?;
        if self.pins.contains(&pin) {
            return Ok(ServerCertVerified::assertion());
        }
        let mismatch = OtherError(Arc::new(PinMismatch(pin)));
        Err(Error::InvalidCertificate(CertificateError::Other(mismatch)))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        restore::verify_signature(message, signed, &self.algorithms)
            .unwrap_or_else(|| verify_tls13_signature(message, certificate, signed, &self.algorithms))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
