//! Generational slots: a `slab` whose keys know when what they named is gone.

use super::Handle;
use slab::Slab;

/// Dense storage that hands out a [`Handle`] for each entry. Insert, look-up and remove are O(1).
///
/// Each place counts its tenants. A place whose count is used up (4 billion tenants) is retired instead of
/// reused, so a stale handle never comes to name a later entry.
#[derive(Debug)]
pub struct Slots<T> {
    entries: Slab<Slot<T>>,
    /// The generation that the next tenant of each place gets. Written on removal, read on insertion.
    next_generations: Vec<u32>,
    retired: usize,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    /// `None` only in a retired place.
    value: Option<T>,
}

impl<T> Slots<T> {
    /// An empty table; allocates nothing.
    #[must_use]
    pub const fn new() -> Slots<T> {
        Slots { entries: Slab::new(), next_generations: Vec::new(), retired: 0 }
    }

    /// Stores `value` in the lowest-cost free place.
    ///
    /// # Panics
    /// When more than `u32::MAX` entries are live.
    pub fn insert(&mut self, value: T) -> Handle {
        self.insert_with(|_| value)
    }

    /// Like [`Slots::insert`], for a value that must know its own handle.
    ///
    /// # Panics
    /// When more than `u32::MAX` entries are live.
    pub fn insert_with(&mut self, make: impl FnOnce(Handle) -> T) -> Handle {
        let vacant = self.entries.vacant_entry();
        let index = vacant.key();
        if index == self.next_generations.len() {
            self.next_generations.push(0);
        }
        let generation = self.next_generations[index];
        let handle = Handle::new(u32::try_from(index).expect("more than u32::MAX slots"), generation);
        vacant.insert(Slot { generation, value: Some(make(handle)) });
        handle
    }

    /// The entry, unless it is gone.
    #[inline]
    #[must_use]
    pub fn get(&self, handle: Handle) -> Option<&T> {
        let slot = self.entries.get(handle.index() as usize)?;
        if slot.generation == handle.generation() { slot.value.as_ref() } else { None }
    }

    /// The entry, unless it is gone.
    #[inline]
    #[must_use]
    pub fn get_mut(&mut self, handle: Handle) -> Option<&mut T> {
        let slot = self.entries.get_mut(handle.index() as usize)?;
        if slot.generation == handle.generation() { slot.value.as_mut() } else { None }
    }

    /// Whoever lives at `index` now, with its handle.
    #[inline]
    #[must_use]
    pub fn at_index_mut(&mut self, index: u32) -> Option<(Handle, &mut T)> {
        let slot = self.entries.get_mut(index as usize)?;
        let handle = Handle::new(index, slot.generation);
        slot.value.as_mut().map(|value| (handle, value))
    }

    /// Takes the entry out; its handle is stale from now on.
    pub fn remove(&mut self, handle: Handle) -> Option<T> {
        self.get(handle)?;
        let index = handle.index() as usize;
        match handle.generation().checked_add(1) {
            Some(next) => {
                self.next_generations[index] = next;
                self.entries.remove(index).value
            }
            None => {
                self.retired += 1;
                self.entries[index].value.take()
            }
        }
    }

    /// How many entries are live.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len() - self.retired
    }

    /// Whether no entry is live.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All live entries in order of their places.
    pub fn iter(&self) -> impl Iterator<Item = (Handle, &T)> {
        self.entries.iter().filter_map(|(index, slot)| {
            let handle = Handle::new(index as u32, slot.generation);
            slot.value.as_ref().map(|value| (handle, value))
        })
    }

    /// All live entries in order of their places.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.entries.iter_mut().filter_map(|(_, slot)| slot.value.as_mut())
    }

    /// Bytes of heap that the table holds, live or not.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.entries.capacity() * std::mem::size_of::<Slot<T>>() + self.next_generations.capacity() * 4
    }
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Slots::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_place_whose_generations_are_used_up_is_retired() {
        let mut slots = Slots::new();
        let first = slots.insert("first");
        slots.remove(first);
        slots.next_generations[0] = u32::MAX;
        let last = slots.insert("last tenant");
        assert_eq!((last.index(), last.generation()), (0, u32::MAX));
        assert_eq!(slots.remove(last), Some("last tenant"));
        assert_eq!(slots.remove(last), None);
        assert_eq!(slots.len(), 0);

        let elsewhere = slots.insert("elsewhere");
        assert_eq!(elsewhere.index(), 1, "the used-up place must not be given out again");
        assert_eq!(slots.get(last), None);
        assert!(slots.at_index_mut(0).is_none());
        assert_eq!(slots.iter().count(), 1);
    }

    proptest! {
        /// Against a plain list of (handle, value): a live handle finds its own value, a stale one nothing.
        #[test]
        fn behaves_like_a_list_of_everything_ever_inserted(ops in prop::collection::vec((0u8..3, any::<u16>()), 0..400)) {
            let mut slots = Slots::new();
            let mut all: Vec<(Handle, Option<u16>)> = Vec::new();
            for (op, x) in ops {
                match op {
                    0 => all.push((slots.insert(x), Some(x))),
                    _ if all.is_empty() => {}
                    1 => {
                        let pick = x as usize % all.len();
                        let (handle, expected) = &mut all[pick];
                        prop_assert_eq!(slots.remove(*handle), expected.take());
                    }
                    _ => {
                        let pick = x as usize % all.len();
                        let (handle, expected) = &mut all[pick];
                        if let Some(value) = slots.get_mut(*handle) {
                            *value = x;
                            *expected = Some(x);
                        }
                    }
                }
                prop_assert_eq!(slots.len(), all.iter().filter(|(_, v)| v.is_some()).count());
            }
            for (handle, expected) in &all {
                prop_assert_eq!(slots.get(*handle), expected.as_ref());
            }
            prop_assert_eq!(slots.iter().count(), slots.len());
        }
    }
}
