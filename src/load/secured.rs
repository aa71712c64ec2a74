//! What the handshakes of one thread agreed on, counted by kind.

use super::record::{Agreed, Mode, Run, Security};
use crate::secure::Session;

/// Kinds that are told apart; more count with the last one.
const KINDS_MAX: usize = 16;

/// What kind of handshakes a run of them measured, `full` or `resumed`, so that the two are not set beside each other;
/// nothing of other runs.
pub(super) fn kind(run: &Run) -> &'static str {
    match &run.security {
        Some(security) if run.workload.mode == Mode::Handshakes => {
            if security.resumed_fraction() < 0.5 {
                "full"
            } else {
                "resumed"
            }
        }
        _ => "",
    }
}

/// The handshakes so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Handshakes {
    full: u64,
    resumed: u64,
    kinds: Vec<Agreed>,
}

/// Whether a handshake resumed an earlier session.
pub(super) fn is_resumed(session: &Session) -> bool {
    session.tls.as_ref().is_some_and(|tls| tls.resumed)
}

impl Handshakes {
    /// Counts one.
    pub(super) fn count(&mut self, session: &Session) {
        if is_resumed(session) {
            self.resumed += 1;
        } else {
            self.full += 1;
        }
        let known = self.kinds.iter_mut().find(|kind| says_the_same(kind, session));
        match known {
            Some(kind) => kind.handshakes += 1,
            None => self.add(Agreed { handshakes: 1, ..agreed(session) }),
        }
    }

    fn add(&mut self, kind: Agreed) {
        match self.kinds.len() {
            KINDS_MAX => self.kinds[KINDS_MAX - 1].handshakes += kind.handshakes,
            _ => self.kinds.push(kind),
        }
    }

    /// Those of all threads.
    pub(super) fn merged<'a>(all: impl Iterator<Item = &'a Handshakes>) -> Security {
        let mut sum = Handshakes::default();
        for one in all {
            sum.full += one.full;
            sum.resumed += one.resumed;
            for kind in &one.kinds {
                let same = |known: &&mut Agreed| {
                    Agreed { handshakes: kind.handshakes, ..(**known).clone() } == *kind
                };
                match sum.kinds.iter_mut().find(same) {
                    Some(known) => known.handshakes += kind.handshakes,
                    None => sum.add(kind.clone()),
                }
            }
        }
        sum.kinds.sort_by_key(|kind| std::cmp::Reverse(kind.handshakes));
        Security { full: sum.full, resumed: sum.resumed, agreed: sum.kinds }
    }
}

/// Compared in place: a handshake of a kind that is known allocates nothing here.
fn says_the_same(kind: &Agreed, session: &Session) -> bool {
    let tls = session.tls.as_ref();
    let alpn = tls.and_then(|tls| tls.alpn.as_deref());
    kind.tls_version.as_deref() == tls.map(|tls| tls.version)
        && kind.cipher_suite.as_deref() == tls.map(|tls| tls.cipher_suite)
        && kind.key_exchange.as_deref() == tls.map(|tls| tls.key_exchange)
        && kind.alpn.as_deref().map(str::as_bytes) == alpn
        && kind.noise_protocol.as_deref() == session.noise.as_ref().map(|noise| noise.protocol.as_str())
}

fn agreed(session: &Session) -> Agreed {
    let tls = session.tls.as_ref();
    Agreed {
        tls_version: tls.map(|tls| tls.version.to_owned()),
        cipher_suite: tls.map(|tls| tls.cipher_suite.to_owned()),
        key_exchange: tls.map(|tls| tls.key_exchange.to_owned()),
        // What we offer is text, and nothing else can be agreed on.
        alpn: tls.and_then(|tls| tls.alpn.as_deref()).map(|alpn| String::from_utf8_lossy(alpn).into_owned()),
        noise_protocol: session.noise.as_ref().map(|noise| noise.protocol.clone()),
        handshakes: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secure::{NoiseSession, TlsSession};

    fn tls(suite: &'static str, resumed: bool) -> Session {
        let tls = TlsSession {
            version: "TLS 1.3",
            cipher_suite: suite,
            alpn: Some(b"http/1.1".to_vec()),
            resumed,
            ..TlsSession::default()
        };
        Session { tls: Some(tls), ..Session::default() }
    }

    #[test]
    fn kinds_are_counted_apart_and_over_all_threads() {
        let (mut one, mut other) = (Handshakes::default(), Handshakes::default());
        one.count(&tls("A", false));
        one.count(&tls("A", true));
        other.count(&tls("B", false));
        other.count(&tls("A", true));
        let all = Handshakes::merged([&one, &other].into_iter());
        assert_eq!((all.full, all.resumed, all.resumed_fraction()), (2, 2, 0.5));
        let told: Vec<_> =
            all.agreed.iter().map(|kind| (kind.cipher_suite.as_deref(), kind.handshakes)).collect();
        assert_eq!(told, [(Some("A"), 3), (Some("B"), 1)], "the most frequent first");
        assert_eq!(all.agreed[0].alpn.as_deref(), Some("http/1.1"));
    }

    #[test]
    fn a_target_with_ever_new_kinds_fills_no_memory() {
        let mut all = Handshakes::default();
        for n in 0..1_000 {
            let noise = NoiseSession { protocol: format!("Noise_{n}"), ..NoiseSession::default() };
            all.count(&Session { noise: Some(noise), ..Session::default() });
        }
        let told = Handshakes::merged([&all].into_iter());
        assert_eq!((told.full, told.agreed.len()), (1_000, KINDS_MAX));
        assert_eq!(told.agreed.iter().map(|kind| kind.handshakes).sum::<u64>(), 1_000);
    }
}
