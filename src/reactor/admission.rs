//! Who is let in: connections and accepts per second of one address.

use super::config::Admission;
use crate::error::Address;
use crate::limits::ADMISSION_ADDRESSES_MAX;
use crate::metrics::Refusal;
use crate::time::Instant;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

/// Keeps count per address; keeps nothing while no limit per address is set.
#[derive(Debug)]
pub(super) struct AdmissionControl {
    limits: Admission,
    addresses: HashMap<IpAddr, Guest>,
}

/// What is known of one address. Accepts are limited by a token bucket that holds one second's worth.
#[derive(Debug)]
struct Guest {
    live: u32,
    tokens: f64,
    filled_at: Instant,
}

impl AdmissionControl {
    pub(super) fn new(limits: Admission) -> AdmissionControl {
        AdmissionControl { limits, addresses: HashMap::new() }
    }

    fn counts_addresses(&self) -> bool {
        self.limits.per_address_max.is_some() || self.limits.accepts_per_second_per_address.is_some()
    }

    /// Whether the reactor has room for one more connection.
    pub(super) fn has_room(&self, connections: usize) -> bool {
        self.limits.connections_max.is_none_or(|max| connections < max)
    }

    /// Whether one more connection may begin to shake hands beside `shaking` others.
    pub(super) fn may_shake(&self, shaking: usize) -> bool {
        self.limits.handshakes_max.is_none_or(|max| shaking < max)
    }

    /// Lets a connection in, or says which limit it exceeds.
    pub(super) fn admit(&mut self, peer: &Address, now: Instant) -> Result<(), Refusal> {
        let Some(key) = key_of(peer).filter(|_| self.counts_addresses()) else { return Ok(()) };
        if self.addresses.len() >= ADMISSION_ADDRESSES_MAX && !self.addresses.contains_key(&key) {
            self.forget_departed(now);
            if self.addresses.len() >= ADMISSION_ADDRESSES_MAX {
                return Err(Refusal::PerAddress);
            }
        }
        let rate = self.limits.accepts_per_second_per_address.map(f64::from);
        let guest = self.addresses.entry(key).or_insert_with(|| Guest {
            live: 0,
            tokens: rate.unwrap_or(0.0),
            filled_at: now,
        });
        if self.limits.per_address_max.is_some_and(|max| guest.live >= max) {
            return Err(Refusal::PerAddress);
        }
        if let Some(rate) = rate {
            guest.fill(rate, now);
            if guest.tokens < 1.0 {
                return Err(Refusal::AcceptRate);
            }
            guest.tokens -= 1.0;
        }
        guest.live += 1;
        Ok(())
    }

    /// An admitted connection has closed.
    pub(super) fn left(&mut self, peer: Option<&Address>) {
        let Some(key) = peer.and_then(key_of) else { return };
        if let Some(guest) = self.addresses.get_mut(&key) {
            guest.live -= 1;
            if guest.live == 0 && self.limits.accepts_per_second_per_address.is_none() {
                self.addresses.remove(&key);
            }
        }
    }

    /// Forgets addresses without connections whose bucket is full again: they start afresh anyway.
    fn forget_departed(&mut self, now: Instant) {
        let rate = self.limits.accepts_per_second_per_address.map_or(0.0, f64::from);
        self.addresses.retain(|_, guest| {
            guest.fill(rate, now);
            guest.live > 0 || guest.tokens < rate
        });
    }
}

impl Guest {
    fn fill(&mut self, rate: f64, now: Instant) {
        self.tokens = (self.tokens + now.since(self.filled_at).as_secs_f64() * rate).min(rate);
        self.filled_at = now;
    }
}

/// IPv6 hosts own a /64 and may change the rest at will, so that is what counts as one address.
fn key_of(peer: &Address) -> Option<IpAddr> {
    match peer.as_inet()?.ip() {
        IpAddr::V6(v6) => Some(match v6.to_ipv4_mapped() {
            Some(v4) => v4.into(),
            None => Ipv6Addr::from(u128::from(v6) >> 64 << 64).into(),
        }),
        v4 => Some(v4),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control(per_address: Option<u32>, rate: Option<u32>) -> AdmissionControl {
        AdmissionControl::new(Admission {
            handshakes_max: None,
            connections_max: Some(2),
            per_address_max: per_address,
            accepts_per_second_per_address: rate,
        })
    }

    #[test]
    fn an_address_gets_its_share_and_a_whole_ipv6_prefix_counts_as_one() {
        let mut control = control(Some(2), None);
        let (a, b) = ("[2001:db8::1]:1".parse().unwrap(), "[2001:db8::ffff:2]:9".parse().unwrap());
        let other: Address = "10.0.0.1:1".parse().unwrap();
        assert_eq!(control.admit(&a, Instant::ZERO), Ok(()));
        assert_eq!(control.admit(&b, Instant::ZERO), Ok(()));
        assert_eq!(control.admit(&a, Instant::ZERO), Err(Refusal::PerAddress));
        assert_eq!(control.admit(&other, Instant::ZERO), Ok(()));
        control.left(Some(&b));
        assert_eq!(control.admit(&a, Instant::ZERO), Ok(()));
        for peer in [&a, &a, &other] {
            control.left(Some(peer));
        }
        assert!(control.addresses.is_empty(), "nothing is remembered of who has left");
        assert!(control.has_room(1) && !control.has_room(2));
    }

    #[test]
    fn accepts_per_second_are_a_token_bucket_of_one_second() {
        let mut control = control(None, Some(2));
        let peer: Address = "10.0.0.1:1".parse().unwrap();
        let mut admitted = |ms| control.admit(&peer, Instant::from_millis(ms)).is_ok();
        let answers = [admitted(0), admitted(0), admitted(0), admitted(499), admitted(500), admitted(501)];
        assert_eq!(answers, [true, true, false, false, true, false]);
    }
}
