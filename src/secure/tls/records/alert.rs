//! Alerts by their numbers and names (RFC 8446, section 6 and appendix B.2).

use crate::metrics::TlsAlert;

/// The description of an alert: what became of the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) struct Alert(pub(in super::super) u8);

/// The level of `close_notify` and `user_canceled`.
pub(super) const WARNING: u8 = 1;
/// The level of every other alert.
pub(super) const FATAL: u8 = 2;

impl Alert {
    pub(in super::super) const CLOSE_NOTIFY: Alert = Alert(0);
    pub(super) const UNEXPECTED_MESSAGE: Alert = Alert(10);
    pub(super) const BAD_RECORD_MAC: Alert = Alert(20);
    pub(super) const RECORD_OVERFLOW: Alert = Alert(22);
    pub(super) const ILLEGAL_PARAMETER: Alert = Alert(47);
    pub(super) const DECODE_ERROR: Alert = Alert(50);
    pub(super) const INTERNAL_ERROR: Alert = Alert(80);
    pub(super) const USER_CANCELED: Alert = Alert(90);

    /// Its content on the wire.
    pub(super) const fn message(self) -> [u8; 2] {
        match self {
            Alert::CLOSE_NOTIFY => [WARNING, self.0],
            _ => [FATAL, self.0],
        }
    }

    /// What counters know it by.
    pub(in super::super) const fn label(self) -> TlsAlert {
        TlsAlert::of_number(self.0)
    }

    /// Its name in the registry of TLS alerts; those of older versions are among them, as peers still send them.
    pub(in super::super) fn name(self) -> String {
        let name = match self.0 {
            0 => "close_notify",
            10 => "unexpected_message",
            20 => "bad_record_mac",
            21 => "decryption_failed",
            22 => "record_overflow",
            30 => "decompression_failure",
            40 => "handshake_failure",
            41 => "no_certificate",
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
            60 => "export_restriction",
            70 => "protocol_version",
            71 => "insufficient_security",
            80 => "internal_error",
            86 => "inappropriate_fallback",
            90 => "user_canceled",
            100 => "no_renegotiation",
            109 => "missing_extension",
            110 => "unsupported_extension",
            111 => "certificate_unobtainable",
            112 => "unrecognized_name",
            113 => "bad_certificate_status_response",
            114 => "bad_certificate_hash_value",
            115 => "unknown_psk_identity",
            116 => "certificate_required",
            120 => "no_application_protocol",
            121 => "ech_required",
            number => return format!("alert {number}"),
        };
        name.to_owned()
    }
}
