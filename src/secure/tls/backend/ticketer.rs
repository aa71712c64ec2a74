//! Session tickets that a server can forget: sealed under keys that rotate and are written nowhere.

use super::sessions::now_s;
use crate::error::Error;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand;
use rustls::crypto::GetRandomFailed;
use rustls::server::ProducesTickets;
use std::sync::{Arc, PoisonError, RwLock};

/// A key's name stands at the front of its tickets, so that one of another key is told apart without a try.
const NAME_BYTES: usize = 16;

/// Makes and reads tickets for one `lifetime_s`: a key is used for half of it and then kept for the other half.
pub(super) fn rotating(lifetime_s: u32) -> Result<Arc<dyn ProducesTickets>, Error> {
    let rotating = Rotating::new((lifetime_s / 2).max(1));
    Ok(Arc::new(
        rotating.map_err(|_| Error::Config("no key for session tickets: no randomness to be had".into()))?,
    ))
}

/// Tickets under keys that take turns, with the time of their sealing in them: keys rotate only when they are used, so
/// that on a server that nobody visited for days the last key would still open its old tickets.
///
/// rustls has a rotator too, but that one reads the machine's clock, which is not the time where time is virtual.
#[derive(Debug)]
struct Rotating {
    /// How long a key makes tickets. It reads them for as long again.
    key_lifetime_s: u32,
    keys: RwLock<Keys>,
}

#[derive(Debug)]
struct Keys {
    current: Sealer,
    previous: Option<Sealer>,
    /// Until when `current` makes tickets; none before its first use.
    until_s: Option<u64>,
}

impl Keys {
    fn are_due(&self, now_s: u64) -> bool {
        self.until_s.is_none_or(|until_s| now_s > until_s)
    }
}

impl Rotating {
    fn new(key_lifetime_s: u32) -> Result<Rotating, GetRandomFailed> {
        let keys = Keys { current: Sealer::new()?, previous: None, until_s: None };
        Ok(Rotating { key_lifetime_s, keys: RwLock::new(keys) })
    }

    /// Lets `call` have the keys of the time `now_s`.
    fn with_keys<T>(&self, now_s: u64, call: impl FnOnce(&Keys) -> Option<T>) -> Option<T> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        if !keys.are_due(now_s) {
            return call(&keys);
        }
        drop(keys);
        let next = Sealer::new().ok()?;
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        // Another core may have been faster.
        if keys.are_due(now_s) {
            if keys.until_s.is_some() {
                keys.previous = Some(std::mem::replace(&mut keys.current, next));
            }
            keys.until_s = Some(now_s.saturating_add(u64::from(self.key_lifetime_s)));
        }
        call(&keys)
    }

    fn encrypt_at(&self, plain: &[u8], now_s: u64) -> Option<Vec<u8>> {
        let dated = zeroize::Zeroizing::new([&now_s.to_be_bytes()[..], plain].concat());
        self.with_keys(now_s, |keys| keys.current.encrypt(&dated))
    }

    fn decrypt_at(&self, ticket: &[u8], now_s: u64) -> Option<Vec<u8>> {
        let dated = self.with_keys(now_s, |keys| {
            keys.current.decrypt(ticket).or_else(|| keys.previous.as_ref()?.decrypt(ticket))
        })?;
        let dated = zeroize::Zeroizing::new(dated);
        let (sealed_at, plain) = dated.split_first_chunk()?;
        let age_s = now_s.saturating_sub(u64::from_be_bytes(*sealed_at));
        (age_s <= u64::from(self.lifetime())).then(|| plain.to_vec())
    }
}

impl ProducesTickets for Rotating {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        self.key_lifetime_s.saturating_mul(2)
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.encrypt_at(plain, now_s())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        self.decrypt_at(ticket, now_s())
    }
}

/// One key. Nonces are random: at the 2^32 tickets that AES-GCM allows with these, twelve hours would need a
/// hundred thousand handshakes a second.
struct Sealer {
    key: LessSafeKey,
    name: [u8; NAME_BYTES],
}

impl Sealer {
    fn new() -> Result<Sealer, GetRandomFailed> {
        let (mut key, mut name) = (zeroize::Zeroizing::new([0; 32]), [0; NAME_BYTES]);
        rand::fill(&mut *key).map_err(|_| GetRandomFailed)?;
        rand::fill(&mut name).map_err(|_| GetRandomFailed)?;
        let key = UnboundKey::new(&AES_256_GCM, &*key).map_err(|_| GetRandomFailed)?;
        Ok(Sealer { key: LessSafeKey::new(key), name })
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).ok()?;
        let mut ticket = Vec::with_capacity(NAME_BYTES + NONCE_LEN + plain.len() + AES_256_GCM.tag_len());
        ticket.extend_from_slice(&self.name);
        ticket.extend_from_slice(&nonce);
        ticket.extend_from_slice(plain);
        let (head, body) = ticket.split_at_mut(NAME_BYTES + NONCE_LEN);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self.key.seal_in_place_separate_tag(nonce, Aad::from(&head[..NAME_BYTES]), body).ok()?;
        ticket.extend_from_slice(tag.as_ref());
        Some(ticket)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_at_checked(NAME_BYTES)?;
        let (nonce, sealed) = rest.split_at_checked(NONCE_LEN)?;
        if name != self.name {
            return None;
        }
        let mut plain = sealed.to_vec();
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let bytes = self.key.open_in_place(nonce, Aad::from(name), &mut plain).ok()?.len();
        plain.truncate(bytes);
        Some(plain)
    }
}

/// Says nothing of the key.
impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_read_by_its_own_key_and_unaltered_only() {
        let (mine, other) = (Sealer::new().unwrap(), Sealer::new().unwrap());
        let ticket = mine.encrypt(b"a session").unwrap();
        assert_eq!(mine.decrypt(&ticket).as_deref(), Some(&b"a session"[..]));
        assert_eq!(other.decrypt(&ticket), None);
        assert_ne!(mine.encrypt(b"a session").unwrap(), ticket, "nonces differ");
        for place in 0..ticket.len() {
            let mut altered = ticket.clone();
            altered[place] ^= 1;
            assert_eq!(mine.decrypt(&altered), None, "byte {place}");
            assert_eq!(mine.decrypt(&ticket[..place]), None, "cut at {place}");
        }
    }

    #[test]
    fn a_ticket_is_not_read_beyond_its_lifetime_also_where_its_key_was_kept() {
        let ticketer = Rotating::new(3600).unwrap();
        let ticket = ticketer.encrypt_at(b"a session", 1_000).unwrap();
        assert_eq!(ticketer.decrypt_at(&ticket, 1_000 + 7200).as_deref(), Some(&b"a session"[..]));
        assert_eq!(ticketer.decrypt_at(&ticket, 1_001 + 7200), None);
    }

    #[test]
    fn keys_take_turns_and_the_one_before_the_last_is_forgotten() {
        let ticketer = Rotating::new(100).unwrap();
        let key = || ticketer.keys.read().unwrap().current.name;
        let first = ticketer.encrypt_at(b"a session", 1_000).unwrap();
        assert_eq!(first[..NAME_BYTES], key());
        assert_eq!(ticketer.encrypt_at(b"a session", 1_100).unwrap()[..NAME_BYTES], key());
        let second = ticketer.encrypt_at(b"a session", 1_101).unwrap();
        assert_ne!(first[..NAME_BYTES], second[..NAME_BYTES]);
        assert!(
            ticketer.decrypt_at(&first, 1_150).is_some() && ticketer.decrypt_at(&second, 1_150).is_some()
        );
        assert_eq!(ticketer.encrypt_at(b"a session", 500).unwrap()[..NAME_BYTES], key(), "a clock set back");
        let third = ticketer.encrypt_at(b"a session", 1_202).unwrap();
        assert!(ticketer.decrypt_at(&first, 1_150).is_none(), "its key is gone");
        assert!(
            ticketer.decrypt_at(&second, 1_250).is_some() && ticketer.decrypt_at(&third, 1_250).is_some()
        );
    }

    #[test]
    fn a_rotating_ticketer_promises_the_lifetime_it_was_given() {
        for lifetime_s in [2, 3600, 12 * 60 * 60] {
            let ticketer = rotating(lifetime_s).unwrap();
            assert_eq!((ticketer.enabled(), ticketer.lifetime()), (true, lifetime_s));
            let ticket = ticketer.encrypt(b"a session").unwrap();
            assert_eq!(ticketer.decrypt(&ticket).as_deref(), Some(&b"a session"[..]));
        }
    }
}
