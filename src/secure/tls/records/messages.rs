//! Handshake messages after the handshake (RFC 8446, section 4.6), put together from the records they come in.

use super::Breach;
use super::alert::Alert;
use crate::limits;

/// Type and length in front of every handshake message.
const HEADER_BYTES: usize = 4;

const NEW_SESSION_TICKET: u8 = 4;
const CERTIFICATE_REQUEST: u8 = 13;
const KEY_UPDATE: u8 = 24;

/// The message that announces our next key and asks for nothing.
pub(super) const KEY_UPDATE_MESSAGE: [u8; 5] = [KEY_UPDATE, 0, 0, 1, 0];

/// A message that is whole.
#[derive(Debug)]
pub(super) enum Message<'a> {
    /// The peer seals its next record with its next key.
    KeyUpdate {
        /// So shall we.
        requested: bool,
    },
    /// What follows the header of a NewSessionTicket.
    Ticket(&'a [u8]),
}

/// The beginning of a message whose end has not come. It holds memory only then.
#[derive(Debug, Default)]
pub(super) struct Fragment(pub(super) Vec<u8>);

impl Fragment {
    /// Whether the next record must go on with a message.
    pub(super) fn is_pending(&self) -> bool {
        !self.0.is_empty()
    }

    /// Takes the content of a handshake record and hands every message that is now whole to `each`.
    pub(super) fn take(
        &mut self,
        is_client: bool,
        mut content: &[u8],
        mut each: impl FnMut(Message<'_>) -> Result<(), Breach>,
    ) -> Result<(), Breach> {
        if self.is_pending() {
            let Some(message) = self.complete(is_client, &mut content)? else { return Ok(()) };
            each(parse(&message, content.is_empty())?)?;
        }
        while let Some(bytes) = message_bytes(is_client, content)? {
            let Some((message, rest)) = content.split_at_checked(bytes) else { break };
            each(parse(message, rest.is_empty())?)?;
            content = rest;
        }
        self.0.extend_from_slice(content);
        Ok(())
    }

    /// Moves the next bytes of the pending message out of `content`; gives the message if that is all of it.
    fn complete(&mut self, is_client: bool, content: &mut &[u8]) -> Result<Option<Vec<u8>>, Breach> {
        self.fill(HEADER_BYTES, content);
        let Some(bytes) = message_bytes(is_client, &self.0)? else { return Ok(None) };
        self.fill(bytes, content);
        Ok((self.0.len() == bytes).then(|| std::mem::take(&mut self.0)))
    }

    /// Moves bytes out of `content` until `bytes` of the message are here.
    fn fill(&mut self, bytes: usize, content: &mut &[u8]) {
        let missing = bytes.saturating_sub(self.0.len()).min(content.len());
        let (more, rest) = content.split_at(missing);
        self.0.extend_from_slice(more);
        *content = rest;
    }
}

/// How long the message at the front of `content` is, header and all, once its header is there. One that may not
/// come is refused at once, so that nothing is kept of it.
fn message_bytes(is_client: bool, content: &[u8]) -> Result<Option<usize>, Breach> {
    let Some(&[message_type, high, middle, low]) = content.first_chunk::<HEADER_BYTES>() else {
        return Ok(None);
    };
    let body_bytes = u32::from_be_bytes([0, high, middle, low]) as usize;
    match message_type {
        KEY_UPDATE if body_bytes == 1 => {}
        KEY_UPDATE => return Err(Breach::violation(Alert::DECODE_ERROR, "a key update of a wrong length")),
        NEW_SESSION_TICKET if is_client && body_bytes <= limits::TLS_LATE_MESSAGE_BYTES_MAX => {}
        NEW_SESSION_TICKET if is_client => {
            return Err(Breach::violation(Alert::ILLEGAL_PARAMETER, "a session ticket beyond its bound"));
        }
        CERTIFICATE_REQUEST => {
            return Err(Breach::violation(
                Alert::UNEXPECTED_MESSAGE,
                "a request for a certificate afterwards",
            ));
        }
        _ => return Err(Breach::violation(Alert::UNEXPECTED_MESSAGE, "a handshake message afterwards")),
    }
    Ok(Some(HEADER_BYTES + body_bytes))
}

/// Reads a whole message, which [`message_bytes`] found no fault with.
fn parse(message: &[u8], ends_record: bool) -> Result<Message<'_>, Breach> {
    let body = &message[HEADER_BYTES..];
    match (message[0], body) {
        (KEY_UPDATE, _) if !ends_record => {
            Err(Breach::violation(Alert::UNEXPECTED_MESSAGE, "more under a key that its record gave up"))
        }
        (KEY_UPDATE, [0]) => Ok(Message::KeyUpdate { requested: false }),
        (KEY_UPDATE, [1]) => Ok(Message::KeyUpdate { requested: true }),
        (KEY_UPDATE, _) => Err(Breach::violation(Alert::ILLEGAL_PARAMETER, "a key update of no known kind")),
        (_, ticket) => Ok(Message::Ticket(ticket)),
    }
}
