//! TLS on connections: what users configure it with, and the transformer behind it.

mod keys;
mod records;

use super::{Failure, Opened, Session, Shaken};
use crate::time::Instant;

/// The TLS layer of one connection.
#[derive(Debug)]
pub(crate) struct TlsTransformer;

/// What a connection's TLS is to be.
#[derive(Clone, Debug)]
pub(crate) struct Wanted;

impl Wanted {
    pub(crate) fn begin(&self) -> TlsTransformer {
        TlsTransformer
    }
}

#[expect(unused_variables, reason = "the contract stands before its implementation")]
impl TlsTransformer {
    pub(crate) fn speaks_first(&self) -> bool {
        unimplemented!()
    }
    pub(crate) fn shake(
        &mut self,
        now: Instant,
        wire: &mut [u8],
        plain: &mut [u8],
        reply: &mut Vec<u8>,
    ) -> Result<Shaken, Failure> {
        unimplemented!()
    }
    pub(crate) fn describe(&mut self, session: &mut Session) {
        unimplemented!()
    }
    pub(crate) fn open(&mut self, wire: &mut [u8], plain: &mut [u8], reply: &mut Vec<u8>) -> Opened {
        unimplemented!()
    }
    pub(crate) fn sealed_bytes_max(&self, plain_bytes: usize) -> usize {
        unimplemented!()
    }
    pub(crate) fn seal(&mut self, plain: &[u8], sealed: &mut [u8]) -> Result<usize, Failure> {
        unimplemented!()
    }
    pub(crate) fn finish(&mut self, reply: &mut Vec<u8>) {
        unimplemented!()
    }
    pub(crate) fn end_of_stream(&self, bytes_left: usize) -> Option<Failure> {
        unimplemented!()
    }
    pub(crate) fn expires_at(&self) -> Instant {
        unimplemented!()
    }
}
