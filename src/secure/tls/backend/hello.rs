//! Looks into a ClientHello for what rustls does not tell: whether early data follows it, and whether its sender is
//! older than TLS 1.2.

/// `early_data` (RFC 8446, section 4.2).
const EARLY_DATA: u16 = 42;

/// Header of a record, then type and length of the message.
const BEFORE_VERSION: usize = 5 + 4;

/// Then version and random.
const BEFORE_SESSION_ID: usize = BEFORE_VERSION + 2 + 32;

/// Whether the record is a ClientHello that announces early data. A hello that spans records is taken to announce
/// none.
pub(super) fn offers_early_data(record: &[u8]) -> bool {
    let mut rest = Fields(record.get(BEFORE_SESSION_ID..).unwrap_or_default());
    let extensions = (|| {
        rest.vector(1)?;
        rest.vector(2)?;
        rest.vector(1)?;
        rest.vector(2)
    })();
    let mut extensions = Fields(extensions.unwrap_or_default());
    while let Some(kind) = extensions.take(2) {
        if kind == EARLY_DATA.to_be_bytes() {
            return true;
        }
        if extensions.vector(2).is_none() {
            break;
        }
    }
    false
}

/// Whether the record is a ClientHello of TLS 1.1 or older. The sender of such a one is to hear `protocol_version`
/// (RFC 8446, appendix D.2), but rustls misses an extension first that came with TLS 1.2, and complains of that.
pub(super) fn is_older_than_tls12(record: &[u8]) -> bool {
    const CLIENT_HELLO: u8 = 1;
    let version = record.get(BEFORE_VERSION..BEFORE_VERSION + 2);
    record.get(5) == Some(&CLIENT_HELLO) && matches!(version, Some([3, 0..=2]))
}

/// What is left of a message.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    /// A field that says its own length in its first `length_bytes`.
    fn vector(&mut self, length_bytes: usize) -> Option<&'a [u8]> {
        let length = self.take(length_bytes)?.iter().fold(0, |sum, &byte| sum << 8 | usize::from(byte));
        self.take(length)
    }
}
