//! Which alert rustls told the peer of an error with. It does not say, but what it sends shows it: in the clear by its
//! number, and once it is encrypted by its length and the error.

use super::failures;
use super::handshake::{ALERT, APPLICATION_DATA, HEADER_BYTES};
use crate::metrics::TlsAlert;
use crate::secure::{Failure, Told};
use rustls::{AlertDescription, Error};

/// What an alert of TLS 1.3 has after its header when it is encrypted: level, description, type, tag. No handshake
/// message is as short.
const SEALED_BYTES: usize = 2 + 1 + 16;

/// The failure of an error, with the alert that stands last in `reply`, which is what rustls had to say since.
pub(super) fn answered(error: &Error, reply: &[u8]) -> Failure {
    let failure = failures::of(error);
    match failure.told {
        Some(_) => failure,
        None => failure.told(last_alert(error, reply).map(Told::ByUs)),
    }
}

fn last_alert(error: &Error, reply: &[u8]) -> Option<TlsAlert> {
    let (mut rest, mut last) = (reply, None);
    while let Some(&[kind, _, _, high, low]) = rest.first_chunk::<HEADER_BYTES>() {
        let (body, behind) =
            rest[HEADER_BYTES..].split_at_checked(usize::from(u16::from_be_bytes([high, low])))?;
        (rest, last) = (behind, Some((kind, body)));
    }
    match last? {
        (ALERT, &[_, description]) => Some(TlsAlert::of_number(description)),
        // TLS 1.2 leaves the type of an encrypted record in the clear.
        (ALERT, _) => Some(encrypted(error)),
        (APPLICATION_DATA, body) if body.len() == SEALED_BYTES => Some(encrypted(error)),
        _ => None,
    }
}

/// What rustls 0.23 sends in an encrypted alert for an error. Where several would do, it is not told which.
fn encrypted(error: &Error) -> TlsAlert {
    let description = match error {
        Error::InvalidCertificate(error) => AlertDescription::from(error.clone()),
        Error::InvalidMessage(error) => AlertDescription::from(*error),
        Error::NoCertificatesPresented => AlertDescription::CertificateRequired,
        Error::NoApplicationProtocol => AlertDescription::NoApplicationProtocol,
        Error::PeerIncompatible(_) => AlertDescription::HandshakeFailure,
        Error::PeerSentOversizedRecord => AlertDescription::RecordOverflow,
        // A Finished that is false would be told by another, but nobody without the keys can have one decrypted.
        Error::DecryptError => AlertDescription::BadRecordMac,
        _ => return TlsAlert::Other,
    };
    TlsAlert::of_number(description.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::CertificateError;

    #[test]
    fn an_alert_is_found_behind_whatever_went_before_it() {
        let error = Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let told = |reply: &[u8]| answered(&error, reply).told;
        assert_eq!(told(&[]), None);
        assert_eq!(told(&[22, 3, 3, 0, 1, 9]), None);
        assert_eq!(told(&[21, 3, 3, 0, 2, 2, 40]), Some(Told::ByUs(TlsAlert::HandshakeFailure)));
        let change_cipher = [20, 3, 3, 0, 1, 1];
        let sealed = [&change_cipher[..], &[23, 3, 3, 0, 19], &[7; 19]].concat();
        assert_eq!(told(&sealed), Some(Told::ByUs(TlsAlert::UnknownCa)));
        assert_eq!(told(&[&sealed[..], &change_cipher].concat()), None);
        let received = Error::AlertReceived(AlertDescription::AccessDenied);
        assert_eq!(answered(&received, &sealed).told, Some(Told::ByPeer(TlsAlert::AccessDenied)));
    }
}
