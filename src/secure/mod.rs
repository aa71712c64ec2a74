//! Byte transformers between the socket and the handler. Today there is the plain one, which changes nothing
//! and costs nothing; TLS and Noise become further variants of [`Layer`].
//!
//! A layer never touches a socket or a clock: received bytes are opened in place inside the reactor's receive
//! buffer, outgoing bytes are sealed into the connection's queue.

/// The security layer of one connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Layer {
    /// Bytes pass as they are.
    Plain,
}

/// How far a layer's handshake is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Handshake {
    /// Data may flow.
    Done,
}

impl Layer {
    /// Moves the handshake on as far as it goes without further bytes from the peer.
    #[inline]
    pub(crate) fn handshake(&mut self) -> Handshake {
        match self {
            Layer::Plain => Handshake::Done,
        }
    }

    /// Turns what was received into what the handler sees, in place, and says how much that is.
    #[inline]
    pub(crate) fn open(&mut self, received: &mut [u8]) -> usize {
        match self {
            Layer::Plain => received.len(),
        }
    }
}
