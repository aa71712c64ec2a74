//! How a mio token names what it is about: kind, index and generation in one word.
//!
//! The generation is what keeps an event for something that closed earlier in the same batch from reaching
//! whatever took its place.

use crate::collections::Handle;
use mio::Token;

#[cfg(not(target_pointer_width = "64"))]
compile_error!("windlass keeps kind, index and generation in one token and needs 64-bit words");

const KIND_SHIFT: u32 = 62;
const INDEX_SHIFT: u32 = 32;
const INDEX_MASK: usize = (1 << (KIND_SHIFT - INDEX_SHIFT)) - 1;

pub(super) const WAKER: Token = Token(3 << KIND_SHIFT);

/// What an event is about.
pub(super) enum Subject {
    Conn(Handle),
    Listener(Handle),
    Source(Handle),
    Waker,
}

#[inline]
fn pack(kind: usize, handle: Handle) -> Token {
    debug_assert!(handle.index() as usize <= INDEX_MASK, "2^30 places suffice for any table");
    Token(kind << KIND_SHIFT | (handle.index() as usize) << INDEX_SHIFT | handle.generation() as usize)
}

pub(super) fn of_conn(handle: Handle) -> Token {
    pack(0, handle)
}

pub(super) fn of_listener(handle: Handle) -> Token {
    pack(1, handle)
}

pub(super) fn of_source(handle: Handle) -> Token {
    pack(2, handle)
}

#[inline]
pub(super) fn subject(token: Token) -> Subject {
    let handle = Handle::new((token.0 >> INDEX_SHIFT & INDEX_MASK) as u32, token.0 as u32);
    match token.0 >> KIND_SHIFT {
        0 => Subject::Conn(handle),
        1 => Subject::Listener(handle),
        2 => Subject::Source(handle),
        _ => Subject::Waker,
    }
}
