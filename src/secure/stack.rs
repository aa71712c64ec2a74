//! The layers of one connection, one or two of them, and what they hold between reads and writes.

use super::{Failure, Opened, Session, Shaken, Then, Transformer};
use crate::buffer::{Chunk, OutQueue, Pool};
use crate::error::{Cause, Error};
use crate::time::Instant;
use std::sync::Arc;

/// What the bytes of a connection pass through.
#[derive(Debug, Default)]
pub(crate) enum Layer {
    /// Nothing: they pass as they are.
    #[default]
    Plain,
    /// One transformer or two.
    Secured(Box<Secured>),
}

impl Layer {
    /// The security, if there is any. Builds that know none compile this, and what hangs on it, to nothing.
    #[inline]
    pub(crate) fn secured(&mut self) -> Option<&mut Secured> {
        match self {
            Layer::Plain => None,
            Layer::Secured(secured) => match secured.outer {
                #[cfg(any(feature = "tls", feature = "noise"))]
                _ => Some(secured),
            },
        }
    }

    /// The same to look at.
    #[inline]
    pub(crate) fn held(&self) -> Option<&Secured> {
        match self {
            Layer::Plain => None,
            Layer::Secured(secured) => match secured.outer {
                #[cfg(any(feature = "tls", feature = "noise"))]
                _ => Some(secured),
            },
        }
    }

    /// Whether bytes pass as they are.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        self.held().is_none()
    }

    /// Bytes that were sent but are not sealed yet.
    #[inline]
    pub(crate) fn staged_bytes(&self) -> usize {
        self.held().map_or(0, |secured| secured.staged.len())
    }

    /// Whether the beginning of a record is held.
    #[inline]
    pub(crate) fn holds_partial(&self) -> bool {
        self.held().is_some_and(Secured::holds_partial)
    }

    /// Whether the handshake left something that is still to be opened: whole records perhaps, or the end of the
    /// outer layer's stream.
    #[inline]
    pub(crate) fn holds_unopened(&self) -> bool {
        self.held().is_some_and(|s| s.unopened && (s.outer_finished || s.holds_partial()))
    }

    /// Whether a handshake is on its way: its peer said something that was answered, or that is about to be looked at.
    pub(crate) fn is_shaking(&self) -> bool {
        self.held().is_some_and(|secured| secured.begun && (secured.answered || secured.in_shake_queue))
    }

    /// When the session has lived as long as it may.
    #[inline]
    pub(crate) fn expires_at(&self) -> Instant {
        self.held().map_or(Instant::FAR_FUTURE, |secured| secured.expires_at)
    }
}

/// What a connection is to be secured with. The default is nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Security {
    /// What was wrong with what was asked for; said when it is to be used.
    pub(crate) refused: Option<Arc<str>>,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<super::tls::Wanted>,
    #[cfg(feature = "noise")]
    pub(crate) noise: Option<super::noise::Wanted>,
}

#[cfg(feature = "tls")]
impl Security {
    pub(crate) fn accept_tls(&mut self, tls: &super::tls::ServerTls) {
        self.tls = Some(super::tls::Wanted::server(tls));
    }

    pub(crate) fn connect_tls(&mut self, tls: &super::tls::ClientTls, server_name: &str) {
        match super::tls::Wanted::client(tls, server_name) {
            Ok(wanted) => self.tls = Some(wanted),
            Err(error) => self.refused = Some(error.to_string().into()),
        }
    }
}

#[cfg(feature = "noise")]
impl Security {
    pub(crate) fn accept_noise(&mut self, noise: &super::noise::Noise) {
        self.want_noise(super::noise::Wanted::accepting(noise));
    }

    pub(crate) fn connect_noise(&mut self, noise: &super::noise::Noise) {
        self.want_noise(super::noise::Wanted::connecting(noise));
    }

    /// Noise messages that are sent inside TLS are made to fit its records.
    fn fitted(&self, wanted: &super::noise::Wanted) -> super::noise::Wanted {
        #[cfg(feature = "tls")]
        if self.tls.is_some() {
            return wanted.clone().inside_tls();
        }
        wanted.clone()
    }

    fn want_noise(&mut self, wanted: Result<super::noise::Wanted, Error>) {
        match wanted {
            Ok(wanted) => self.noise = Some(wanted),
            Err(error) => self.refused = Some(error.to_string().into()),
        }
    }
}

impl Security {
    /// Whether a connection is to stay plain.
    pub(crate) fn is_none(&self) -> bool {
        #[cfg(feature = "tls")]
        if self.tls.is_some() {
            return false;
        }
        #[cfg(feature = "noise")]
        if self.noise.is_some() {
            return false;
        }
        true
    }

    /// Whether it can be had.
    ///
    /// # Errors
    /// [`Error::Config`] with what was wrong with what was asked for.
    pub(crate) fn check(&self) -> Result<(), Error> {
        #[cfg(all(feature = "noise", feature = "tls"))]
        if self.noise.is_some() && self.tls.as_ref().is_some_and(super::tls::Wanted::takes_early_data) {
            return Err(Error::Config(
                "early data would pass by the Noise inside: give this listener a ServerTls without early_data"
                    .to_owned(),
            ));
        }
        match &self.refused {
            Some(refused) => Err(Error::Config(refused.to_string())),
            None => Ok(()),
        }
    }

    /// The layers of a new connection. Cheap: the costly part of a handshake comes with its first step.
    #[cfg_attr(not(any(feature = "tls", feature = "noise")), allow(unreachable_code))]
    pub(crate) fn begin(&self) -> Layer {
        let layers: [Option<Transformer>; 2] = [
            #[cfg(feature = "tls")]
            self.tls.as_ref().map(|wanted| Transformer::Tls(wanted.begin())),
            #[cfg(not(feature = "tls"))]
            None,
            #[cfg(feature = "noise")]
            self.noise.as_ref().map(|wanted| Transformer::Noise(self.fitted(wanted).begin())),
            #[cfg(not(feature = "noise"))]
            None,
        ];
        match layers {
            [None, None] => Layer::Plain,
            [Some(outer), inner] | [inner @ None, Some(outer)] => {
                Layer::Secured(Box::new(Secured::new(outer, inner)))
            }
        }
    }
}

/// Buffers of a reactor that sealing and two layers need for the length of a call. Made on first use.
#[derive(Debug, Default)]
pub(crate) struct Workspace {
    /// What must go to the peer; the caller empties it.
    pub(crate) reply: Vec<u8>,
    /// Between the outer and the inner layer, on the way in.
    middle: Vec<u8>,
    /// The same on the way out.
    inner_sealed: Vec<u8>,
    inner_reply: Vec<u8>,
}

/// The layers of a secured connection.
#[derive(Debug)]
pub(crate) struct Secured {
    outer: Transformer,
    inner: Option<Transformer>,
    /// The outer handshake is over.
    outer_done: bool,
    /// The outer layer's stream ended with the inner one's handshake.
    outer_finished: bool,
    /// We began the handshake, or are to begin it.
    pub(crate) initiator: bool,
    /// The handshake was begun.
    pub(crate) begun: bool,
    /// It had its first step.
    pub(crate) spoke: bool,
    /// The peer's first message was whole.
    pub(crate) answered: bool,
    /// Waits to be given its turn to shake hands.
    pub(crate) in_shake_queue: bool,
    /// What is held may contain whole records: the handshake left it.
    pub(crate) unopened: bool,
    /// The peer's end in good order was opened while the connection was not to be read; it is told when it is.
    pub(crate) end_waits: bool,
    /// What is sent can be sealed: from the end of the handshake to that of our side.
    pub(crate) open: bool,
    /// All that is queued is the layers' last words, an end mark or an alert. Why the connection ends is known: that
    /// nobody is there to hear them changes nothing.
    pub(crate) last_words: bool,
    /// The beginning of a record whose end has not come.
    rest: Option<Chunk>,
    /// The same of the inner layer.
    inner_rest: Option<Chunk>,
    /// What was sent and is sealed with the next flush, or when the handshake is over.
    pub(crate) staged: OutQueue,
    expires_at: Instant,
    /// Particulars of the failure that ends the connection.
    pub(crate) detail: Option<Box<str>>,
}

impl Secured {
    fn new(outer: Transformer, inner: Option<Transformer>) -> Secured {
        let initiator = outer.speaks_first();
        Secured {
            initiator,
            outer,
            inner,
            outer_done: false,
            outer_finished: false,
            begun: false,
            spoke: false,
            answered: false,
            in_shake_queue: false,
            unopened: false,
            end_waits: false,
            open: false,
            last_words: false,
            rest: None,
            inner_rest: None,
            staged: OutQueue::new(),
            expires_at: Instant::FAR_FUTURE,
            detail: None,
        }
    }

    /// Takes the handshakes as far as `wire` goes; the reply goes to `work`.
    pub(crate) fn shake(
        &mut self,
        now: Instant,
        wire: &mut [u8],
        plain: &mut [u8],
        work: &mut Workspace,
        pool: &mut Pool,
    ) -> Result<Shaken, Failure> {
        let mut shaken = Shaken::default();
        if !self.outer_done {
            shaken = self.outer.shake(now, wire, plain, &mut work.reply)?;
            self.outer_done = shaken.done;
        }
        #[cfg(all(feature = "noise", feature = "tls"))]
        if shaken.early > 0 && self.inner.is_some() {
            // It would reach the handler from somebody whom the inner layer has not met.
            return Err(Failure::because(Cause::ProtocolViolation, "early data around another layer"));
        }
        if self.outer_done && self.inner.is_some() {
            let before = shaken.consumed;
            shaken = self.shake_inner(now, &mut wire[before..], plain, work, pool)?;
            shaken.consumed += before;
        }
        if shaken.done {
            let inner = self.inner.as_ref().map_or(Instant::FAR_FUTURE, Transformer::expires_at);
            self.expires_at = self.outer.expires_at().min(inner);
        }
        Ok(shaken)
    }

    fn shake_inner(
        &mut self,
        now: Instant,
        wire: &mut [u8],
        plain: &mut [u8],
        work: &mut Workspace,
        pool: &mut Pool,
    ) -> Result<Shaken, Failure> {
        let (opened, there) = self.open_outer(wire, work, pool);
        let Some(inner) = self.inner.as_mut() else { return Ok(Shaken::default()) };
        work.inner_reply.clear();
        let shaken = inner.shake(now, &mut work.middle[..there], plain, &mut work.inner_reply);
        let (outer, reply) = (&mut self.outer, &mut work.reply);
        seal_onto(outer, &work.inner_reply, reply)?;
        let mut shaken = shaken?;
        self.inner_rest = store(pool, &work.middle[shaken.consumed..there]);
        shaken.consumed = opened.consumed;
        match opened.then {
            Then::Failed(failure) => Err(failure),
            Then::Finished if !shaken.done => Err(Failure::new(Cause::HandshakeCut)),
            then => {
                self.outer_finished = matches!(then, Then::Finished);
                Ok(shaken)
            }
        }
    }

    /// Opens whole records of the outer layer into the middle, behind what the inner one has not used. Says how
    /// much is there.
    fn open_outer(&mut self, wire: &mut [u8], work: &mut Workspace, pool: &mut Pool) -> (Opened, usize) {
        let rest = self.inner_rest.take();
        let before = rest.as_ref().map_or(0, Chunk::len);
        if work.middle.len() < before + wire.len() {
            work.middle.resize(before + wire.len(), 0);
        }
        if let Some(rest) = rest {
            work.middle[..before].copy_from_slice(rest.filled());
            pool.put(rest);
        }
        let opened = self.outer.open(wire, &mut work.middle[before..], &mut work.reply);
        let there = before + opened.produced;
        (opened, there)
    }

    /// What the handshakes agreed on; forgotten here.
    pub(crate) fn describe(&mut self) -> Session {
        let mut session = Session::default();
        self.outer.describe(&mut session);
        if let Some(inner) = &mut self.inner {
            inner.describe(&mut session);
        }
        session
    }

    /// Opens all whole records in `wire` into `plain`, which is at least as long as the wire and what is held of
    /// the inner layer; the reply goes to `work`.
    pub(crate) fn open(
        &mut self,
        wire: &mut [u8],
        plain: &mut [u8],
        work: &mut Workspace,
        pool: &mut Pool,
    ) -> Opened {
        if self.inner.is_none() {
            return self.outer.open(wire, plain, &mut work.reply);
        }
        let (outer, there) = self.open_outer(wire, work, pool);
        let Some(inner) = self.inner.as_mut() else { return outer };
        let mut opened = inner.open(&mut work.middle[..there], plain, &mut work.inner_reply);
        self.inner_rest = store(pool, &work.middle[opened.consumed..there]);
        opened.consumed = outer.consumed;
        if matches!(opened.then, Then::More) {
            opened.then = match outer.then {
                Then::Finished if self.inner_rest.is_some() => Then::Failed(Failure::new(Cause::Truncated)),
                then => then,
            };
        }
        opened
    }

    /// The most bytes that sealing `plain_bytes` in one go takes.
    pub(crate) fn sealed_bytes_max(&self, plain_bytes: usize) -> usize {
        let inner = self.inner.as_ref().map_or(plain_bytes, |inner| inner.sealed_bytes_max(plain_bytes));
        self.outer.sealed_bytes_max(inner)
    }

    /// Seals all of `plain` into `sealed`, which has room for [`Secured::sealed_bytes_max`].
    pub(crate) fn seal(
        &mut self,
        plain: &[u8],
        sealed: &mut [u8],
        work: &mut Workspace,
    ) -> Result<usize, Failure> {
        let Some(inner) = &mut self.inner else { return self.outer.seal(plain, sealed) };
        let room = inner.sealed_bytes_max(plain.len());
        if work.inner_sealed.len() < room {
            work.inner_sealed.resize(room, 0);
        }
        let n = inner.seal(plain, &mut work.inner_sealed)?;
        self.outer.seal(&work.inner_sealed[..n], sealed)
    }

    /// Puts the marks that end our side in good order into the reply.
    pub(crate) fn finish(&mut self, work: &mut Workspace) {
        if !self.outer_done {
            return;
        }
        if let Some(inner) = &mut self.inner {
            work.inner_reply.clear();
            inner.finish(&mut work.inner_reply);
            if seal_onto(&mut self.outer, &work.inner_reply, &mut work.reply).is_err() {
                return;
            }
        }
        self.outer.finish(&mut work.reply);
    }

    /// What the end of the stream means now: `None` if it was to be expected.
    pub(crate) fn end_of_stream(&mut self) -> Option<Failure> {
        let inner_bytes = self.inner_rest.as_ref().map_or(0, Chunk::len);
        let inner = self.inner.as_mut().and_then(|inner| inner.end_of_stream(inner_bytes));
        // A peer that gives up in the inner handshake need not end the outer stream in good order.
        match inner.filter(|failure| self.outer_done && failure.cause == Cause::HandshakeCut) {
            None => self.outer.end_of_stream(self.rest_bytes()),
            cut => cut,
        }
    }

    // ---- what is held between reads

    fn holds_partial(&self) -> bool {
        self.rest.is_some() || self.inner_rest.is_some()
    }

    /// How much is held of an unfinished record.
    pub(crate) fn rest_bytes(&self) -> usize {
        self.rest.as_ref().map_or(0, Chunk::len)
    }

    /// Takes what is held of an unfinished record.
    pub(crate) fn take_rest(&mut self) -> Option<Chunk> {
        self.rest.take()
    }

    /// Holds the beginning of a record.
    pub(crate) fn store_rest(&mut self, pool: &mut Pool, rest: &[u8]) {
        self.rest = store(pool, rest);
    }

    /// Gives everything held back to the pool.
    pub(crate) fn drop_buffers(&mut self, pool: &mut Pool) {
        for chunk in [self.rest.take(), self.inner_rest.take()].into_iter().flatten() {
            pool.put(chunk);
        }
        self.staged.clear(pool);
    }
}

fn store(pool: &mut Pool, rest: &[u8]) -> Option<Chunk> {
    if rest.is_empty() {
        return None;
    }
    let mut chunk = pool.take(rest.len());
    chunk.append(rest);
    Some(chunk)
}

/// Seals `plain` at the end of `reply`.
fn seal_onto(outer: &mut Transformer, plain: &[u8], reply: &mut Vec<u8>) -> Result<(), Failure> {
    if plain.is_empty() {
        return Ok(());
    }
    let before = reply.len();
    reply.resize(before + outer.sealed_bytes_max(plain.len()), 0);
    let sealed = outer.seal(plain, &mut reply[before..]);
    reply.truncate(before + sealed.as_ref().copied().unwrap_or(0));
    sealed.map(drop)
}
