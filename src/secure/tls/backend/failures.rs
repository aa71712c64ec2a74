//! What rustls' errors mean: the cause a connection closes with, and the words that go with it.

use super::verify::PinMismatch;
use crate::error::Cause;
use crate::secure::Failure;
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
    Failure::because(cause, error.to_string())
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
    Failure::because(cause, format!("the peer sent the alert {}", alert_name(alert.into())))
}

/// An alert's name as in RFC 8446, section 6.
pub(crate) fn alert_name(code: u8) -> &'static str {
    match code {
        0 => "close_notify",
        10 => "unexpected_message",
        20 => "bad_record_mac",
        22 => "record_overflow",
        40 => "handshake_failure",
        42 => "bad_certificate",
        43 => "unsupported_certificate",
        44 => "certificate_revoked",
        45 => "certificate_expired",
        46 => "certificate_unknown",
        47 => "illegal_parameter",
        48 => "unknown_ca",
        49 => "access_denied",
        50 => "decode_error",
        51 => "decrypt_error",
        70 => "protocol_version",
        71 => "insufficient_security",
        80 => "internal_error",
        86 => "inappropriate_fallback",
        90 => "user_canceled",
        109 => "missing_extension",
        110 => "unsupported_extension",
        112 => "unrecognized_name",
        113 => "bad_certificate_status_response",
        115 => "unknown_psk_identity",
        116 => "certificate_required",
        120 => "no_application_protocol",
        _ => "of a number that no standard knows",
    }
}
