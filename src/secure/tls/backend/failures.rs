//! What rustls' errors mean: the cause a connection closes with, and the words that go with it.

use super::super::records::Alert;
use super::verify::PinMismatch;
use crate::error::Cause;
use crate::secure::{Failure, Told};
use rustls::{AlertDescription, CertificateError, Error, PeerMisbehaved};

/// The failure that an error of a handshake, or of what follows it, stands for.
pub(super) fn of(error: &Error) -> Failure {
    let cause = match error {
        Error::InvalidCertificate(error) => of_certificate(error),
        Error::InvalidCertRevocationList(_) => Cause::CertificateInvalid,
        Error::NoCertificatesPresented => Cause::CertificateMissing,
        Error::NoApplicationProtocol => Cause::AlpnMismatch,
        Error::PeerIncompatible(_) => Cause::NothingInCommon,
        Error::DecryptError => Cause::Tampered,
        Error::PeerMisbehaved(error) => of_misbehaviour(error),
        Error::AlertReceived(alert) => return of_alert(*alert),
        Error::EncryptError
        | Error::General(_)
        | Error::FailedToGetCurrentTime
        | Error::FailedToGetRandomBytes
        | Error::Other(_) => Cause::System,
        _ => Cause::ProtocolViolation,
    };
    Failure::because(cause, words_of(error))
}

/// What rustls says, but for a mistake that `openssl req -x509` makes for everybody, and for verifiers that speak for
/// themselves, whose words rustls would show as code.
fn words_of(error: &Error) -> String {
    let Error::InvalidCertificate(CertificateError::Other(other)) = error else { return error.to_string() };
    match other.0.downcast_ref() {
        Some(webpki::Error::CaUsedAsEndEntity) => {
            "it is marked as that of an authority; `openssl req -x509` wants to be told \
             `-addext basicConstraints=critical,CA:FALSE`"
                .to_owned()
        }
        _ => other.to_string(),
    }
}

fn of_certificate(error: &CertificateError) -> Cause {
    match error {
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            Cause::CertificateName
        }
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => Cause::CertificateExpired,
        CertificateError::UnknownIssuer => Cause::CertificateUnknown,
        CertificateError::Revoked => Cause::CertificateRevoked,
        CertificateError::Other(other) if other.0.is::<PinMismatch>() => Cause::KeyNotAllowed,
        _ => Cause::CertificateInvalid,
    }
}

/// A false signature, binder or Finished is what an altered or forged handshake looks like. A version offered
/// below what both ends have is the mark of one too (RFC 8446, section 4.1.3).
fn of_misbehaviour(error: &PeerMisbehaved) -> Cause {
    match error {
        PeerMisbehaved::IncorrectBinder | PeerMisbehaved::AttemptedDowngradeToTls12WhenTls13IsSupported => {
            Cause::Tampered
        }
        _ => Cause::ProtocolViolation,
    }
}

/// What the peer tells with an alert. Those that say that two configurations do not meet are the same failure on
/// both ends; in all others the peer has found fault with us.
fn of_alert(alert: AlertDescription) -> Failure {
    let cause = match alert {
        AlertDescription::NoApplicationProtocol => Cause::AlpnMismatch,
        AlertDescription::ProtocolVersion
        | AlertDescription::HandshakeFailure
        | AlertDescription::InsufficientSecurity => Cause::NothingInCommon,
        AlertDescription::CloseNotify => Cause::HandshakeCut,
        _ => Cause::PeerRefused,
    };
    let alert = Alert(alert.into());
    let failure = Failure::because(cause, format!("the peer sent the alert {}", alert.name()));
    match alert {
        Alert::CLOSE_NOTIFY => failure,
        _ => failure.told(Told::ByPeer(alert.label())),
    }
}
