//! What TLS alerts say, as counters are labelled by it.

use super::counter::Label;

/// Declares each alert once, with its number in the registry and its name there.
macro_rules! alerts {
    ($($(#[$doc:meta])* $alert:ident = $number:literal $name:literal,)*) => {
        /// What a TLS alert said that ended a connection (RFC 8446, section 6).
        ///
        /// `close_notify` is not among them, and neither is `user_canceled`, which only comes before it: a connection
        /// that ends in good order is told by its [`Cause`](crate::Cause).
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[non_exhaustive]
        pub enum TlsAlert {
            $($(#[$doc])* $alert,)*
            /// Any other number, of an older version or of no standard. Also an alert of ours that rustls has
            /// encrypted without saying which it is: in the middle of a handshake, where the cause does not tell.
            Other,
        }

        impl TlsAlert {
            /// The alert with that number.
            #[cfg(feature = "tls")]
            pub(crate) const fn of_number(number: u8) -> TlsAlert {
                match number {
                    $($number => TlsAlert::$alert,)*
                    _ => TlsAlert::Other,
                }
            }
        }

        impl Label for TlsAlert {
            const ALL: &'static [TlsAlert] = &[$(TlsAlert::$alert,)* TlsAlert::Other];

            #[inline]
            fn index(self) -> usize {
                self as usize
            }

            fn name(self) -> &'static str {
                match self {
                    $(TlsAlert::$alert => $name,)*
                    TlsAlert::Other => "other",
                }
            }
        }
    };
}

alerts! {
    /// A message that may not come now.
    UnexpectedMessage = 10 "unexpected_message",
    /// A record could not be authenticated.
    BadRecordMac = 20 "bad_record_mac",
    /// A record was longer than any may be.
    RecordOverflow = 22 "record_overflow",
    /// No set of parameters suits both ends.
    HandshakeFailure = 40 "handshake_failure",
    /// A certificate is broken, or for another name.
    BadCertificate = 42 "bad_certificate",
    /// A certificate is of a kind that is not taken.
    UnsupportedCertificate = 43 "unsupported_certificate",
    /// A certificate was revoked by who signed it.
    CertificateRevoked = 44 "certificate_revoked",
    /// A certificate has expired or is not valid yet.
    CertificateExpired = 45 "certificate_expired",
    /// A certificate is not accepted for another reason.
    CertificateUnknown = 46 "certificate_unknown",
    /// A field that contradicts others or is out of range.
    IllegalParameter = 47 "illegal_parameter",
    /// A certificate is from nobody trusted.
    UnknownCa = 48 "unknown_ca",
    /// A certificate is good and yet not let in.
    AccessDenied = 49 "access_denied",
    /// A message could not be read.
    DecodeError = 50 "decode_error",
    /// A signature, a binder or a Finished is false.
    DecryptError = 51 "decrypt_error",
    /// No version in common.
    ProtocolVersion = 70 "protocol_version",
    /// Nothing strong enough was offered.
    InsufficientSecurity = 71 "insufficient_security",
    /// A fault of its own of whoever sent it.
    InternalError = 80 "internal_error",
    /// A client tried an older version without need (RFC 7507).
    InappropriateFallback = 86 "inappropriate_fallback",
    /// A hello lacks an extension that must be there.
    MissingExtension = 109 "missing_extension",
    /// An extension that was not asked for.
    UnsupportedExtension = 110 "unsupported_extension",
    /// No server of the name that was asked for (RFC 6066).
    UnrecognizedName = 112 "unrecognized_name",
    /// An OCSP response is of no use.
    BadCertificateStatusResponse = 113 "bad_certificate_status_response",
    /// No pre-shared key of that name.
    UnknownPskIdentity = 115 "unknown_psk_identity",
    /// A certificate is required and none was shown.
    CertificateRequired = 116 "certificate_required",
    /// No application protocol in common (RFC 7301).
    NoApplicationProtocol = 120 "no_application_protocol",
}

#[cfg(all(test, feature = "tls"))]
mod tests {
    use super::*;

    #[test]
    fn alerts_are_known_by_their_numbers() {
        assert_eq!(TlsAlert::of_number(48), TlsAlert::UnknownCa);
        assert_eq!(TlsAlert::of_number(120).name(), "no_application_protocol");
        for close_or_unknown in [0, 90, 255] {
            assert_eq!(TlsAlert::of_number(close_or_unknown), TlsAlert::Other);
        }
    }
}
