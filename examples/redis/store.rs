//! The keys of one core, what they hold and when they expire.

use crate::failure::Failure;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use windlass::time::Instant;

pub type Text = Vec<u8>;
pub type List = VecDeque<Box<[u8]>>;
pub type Hash = HashMap<Box<[u8]>, Vec<u8>>;

/// How many keys a sweep looks at in one go; if more than a quarter of them had expired it goes on.
const SWEEP_SAMPLE: usize = 20;
/// How often a sweep goes on, so that it never keeps the clients waiting.
const SWEEP_ROUNDS_MAX: usize = 16;

/// What a key holds.
pub enum Value {
    Text(Text),
    List(List),
    Set(Set),
    Hash(Hash),
}

impl Value {
    /// As TYPE names it.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Text(_) => "string",
            Value::List(_) => "list",
            Value::Set(_) => "set",
            Value::Hash(_) => "hash",
        }
    }
}

/// One of the things that a key may hold.
pub trait Kind: Default + Into<Value> {
    fn of(value: &Value) -> Option<&Self>;
    fn of_mut(value: &mut Value) -> Option<&mut Self>;
    fn is_empty(&self) -> bool;
}

macro_rules! kind {
    ($kind:ident) => {
        impl From<$kind> for Value {
            fn from(value: $kind) -> Value {
                Value::$kind(value)
            }
        }

        impl Kind for $kind {
            fn of(value: &Value) -> Option<&$kind> {
                if let Value::$kind(value) = value { Some(value) } else { None }
            }

            fn of_mut(value: &mut Value) -> Option<&mut $kind> {
                if let Value::$kind(value) = value { Some(value) } else { None }
            }

            fn is_empty(&self) -> bool {
                self.len() == 0
            }
        }
    };
}

kind!(Text);
kind!(List);
kind!(Set);
kind!(Hash);

/// A key's value and its end; [`Instant::FAR_FUTURE`] is no end.
pub struct Entry {
    pub value: Value,
    pub expires_at: Instant,
}

/// All keys of one core. Reads skip what has expired, writes remove it, and a sweep now and then removes what
/// nobody asks for any more.
pub struct Store {
    entries: HashMap<Box<[u8]>, Entry>,
    expiring: Set,
    now: Instant,
    random: u64,
}

impl Store {
    /// `seed` decides which members are popped and which keys are swept.
    pub fn new(seed: u64) -> Store {
        Store { entries: HashMap::new(), expiring: Set::default(), now: Instant::ZERO, random: seed | 1 }
    }

    /// What time it is until told otherwise: that of the turn being served.
    pub fn set_now(&mut self, now: Instant) {
        self.now = now;
    }

    pub fn now(&self) -> Instant {
        self.now
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Keys that will expire.
    pub fn expiring(&self) -> usize {
        self.expiring.len()
    }

    pub fn clear(&mut self) {
        self.entries.clear();
        self.expiring = Set::default();
    }

    /// The entry of a key that has not expired.
    #[inline]
    pub fn entry(&self, key: &[u8]) -> Option<&Entry> {
        self.entries.get(key).filter(|entry| entry.expires_at > self.now)
    }

    #[inline]
    pub fn entry_mut(&mut self, key: &[u8]) -> Option<&mut Entry> {
        self.forget_if_expired(key);
        self.entries.get_mut(key)
    }

    /// What the key holds, which must be a `K`.
    #[inline]
    pub fn get<K: Kind>(&self, key: &[u8]) -> Result<Option<&K>, Failure> {
        self.entry(key).map(|entry| K::of(&entry.value).ok_or(Failure::WrongType)).transpose()
    }

    #[inline]
    pub fn get_mut<K: Kind>(&mut self, key: &[u8]) -> Result<Option<&mut K>, Failure> {
        self.entry_mut(key).map(|entry| K::of_mut(&mut entry.value).ok_or(Failure::WrongType)).transpose()
    }

    /// What the key holds, which must be a `K`; an empty one if it does not exist yet.
    pub fn get_or_create<K: Kind>(&mut self, key: &[u8]) -> Result<&mut K, Failure> {
        self.forget_if_expired(key);
        if !self.entries.contains_key(key) {
            let entry = Entry { value: K::default().into(), expires_at: Instant::FAR_FUTURE };
            self.entries.insert(key.into(), entry);
        }
        let entry = self.entries.get_mut(key).ok_or(Failure::WrongType)?;
        K::of_mut(&mut entry.value).ok_or(Failure::WrongType)
    }

    /// Lets the key hold `text`, whatever it held before. An old text makes room for the new one.
    pub fn set(&mut self, key: &[u8], text: &[u8], keep_expiry: bool) {
        if let Some(entry) = self.entry_mut(key) {
            match &mut entry.value {
                Value::Text(old) => {
                    old.clear();
                    old.extend_from_slice(text);
                }
                other => *other = Value::Text(text.to_vec()),
            }
            if !keep_expiry && entry.expires_at != Instant::FAR_FUTURE {
                self.expire_at(key, Instant::FAR_FUTURE);
            }
        } else {
            let entry = Entry { value: Value::Text(text.to_vec()), expires_at: Instant::FAR_FUTURE };
            self.entries.insert(key.into(), entry);
        }
    }

    /// Removes the key; whether it was there.
    pub fn remove(&mut self, key: &[u8]) -> bool {
        let Some(entry) = self.entries.remove(key) else { return false };
        if entry.expires_at != Instant::FAR_FUTURE {
            self.expiring.remove(key);
        }
        entry.expires_at > self.now
    }

    /// A collection that has become empty does not exist any more.
    pub fn remove_if_empty<K: Kind>(&mut self, key: &[u8]) {
        if self.get::<K>(key).is_ok_and(|held| held.is_some_and(K::is_empty)) {
            self.remove(key);
        }
    }

    /// Sets the end of a key, [`Instant::FAR_FUTURE`] for none; whether the key exists.
    pub fn expire_at(&mut self, key: &[u8], at: Instant) -> bool {
        let Some(entry) = self.entry_mut(key) else { return false };
        entry.expires_at = at;
        if at <= self.now {
            self.remove(key);
        } else if at == Instant::FAR_FUTURE {
            self.expiring.remove(key);
        } else {
            self.expiring.insert(key);
        }
        true
    }

    #[inline]
    fn forget_if_expired(&mut self, key: &[u8]) {
        if self.expiring.len() > 0 && self.entries.get(key).is_some_and(|entry| entry.expires_at <= self.now)
        {
            self.remove(key);
        }
    }

    /// Removes expired keys among some picked at random, longer where there are many of them. What is left
    /// over costs memory, nothing else: nobody gets to see it.
    pub fn sweep(&mut self) {
        for _ in 0..SWEEP_ROUNDS_MAX {
            let sample = SWEEP_SAMPLE.min(self.expiring.len());
            let mut expired = 0;
            for _ in 0..sample {
                let picked = self.random_below(self.expiring.len());
                let Some(key) = self.expiring.at(picked).cloned() else { break };
                if self.entry(&key).is_none() {
                    self.remove(&key);
                    expired += 1;
                }
            }
            if expired * 4 <= sample {
                return;
            }
        }
    }

    /// A number below `bound`, or 0: xorshift64*, good enough to pick members.
    pub fn random_below(&mut self, bound: usize) -> usize {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        let number = self.random.wrapping_mul(0x2545_f491_4f6c_dd1d);
        ((u128::from(number) * bound as u128) >> 64) as usize
    }
}

/// A set that can name its members by number, so that one can be picked at random.
#[derive(Default)]
pub struct Set {
    members: Vec<Rc<[u8]>>,
    places: HashMap<Rc<[u8]>, usize>,
}

impl Set {
    pub fn len(&self) -> usize {
        self.members.len()
    }

    pub fn contains(&self, member: &[u8]) -> bool {
        self.places.contains_key(member)
    }

    pub fn at(&self, place: usize) -> Option<&Rc<[u8]>> {
        self.members.get(place)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Rc<[u8]>> {
        self.members.iter()
    }

    /// Whether it is new.
    pub fn insert(&mut self, member: &[u8]) -> bool {
        if self.contains(member) {
            return false;
        }
        let member: Rc<[u8]> = member.into();
        self.places.insert(Rc::clone(&member), self.members.len());
        self.members.push(member);
        true
    }

    /// Whether it was there. The last member takes its place.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        let Some(place) = self.places.remove(member) else { return false };
        self.members.swap_remove(place);
        if let Some(moved) = self.members.get(place) {
            self.places.insert(Rc::clone(moved), place);
        }
        true
    }
}
