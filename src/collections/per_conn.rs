//! Storage for the user's own state of each connection.

use super::Conn;

/// A dense map from [`Conn`] to `S`: a vector by index, checked by generation.
///
/// State left behind by a closed connection is never seen by the next one in its place: it reads as absent,
/// and is dropped when the newcomer's state is inserted. Best is to `remove` it when `Closed` comes.
#[derive(Debug)]
pub struct PerConn<S> {
    places: Vec<Option<(Conn, S)>>,
    len: usize,
}

impl<S> PerConn<S> {
    /// An empty map; allocates nothing.
    #[must_use]
    pub const fn new() -> PerConn<S> {
        PerConn { places: Vec::new(), len: 0 }
    }

    /// Stores `state` for `conn` and returns what was stored for that same connection before.
    pub fn insert(&mut self, conn: Conn, state: S) -> Option<S> {
        let index = conn.index() as usize;
        if index >= self.places.len() {
            self.places.resize_with(index + 1, || None);
        }
        match self.places[index].replace((conn, state)) {
            None => {
                self.len += 1;
                None
            }
            Some((before, old)) => (before == conn).then_some(old),
        }
    }

    /// The state of `conn`.
    #[inline]
    #[must_use]
    pub fn get(&self, conn: Conn) -> Option<&S> {
        match self.places.get(conn.index() as usize) {
            Some(Some((whose, state))) if *whose == conn => Some(state),
            _ => None,
        }
    }

    /// The state of `conn`.
    #[inline]
    #[must_use]
    pub fn get_mut(&mut self, conn: Conn) -> Option<&mut S> {
        match self.places.get_mut(conn.index() as usize) {
            Some(Some((whose, state))) if *whose == conn => Some(state),
            _ => None,
        }
    }

    /// Takes the state of `conn` out.
    pub fn remove(&mut self, conn: Conn) -> Option<S> {
        self.get(conn)?;
        self.len -= 1;
        self.places[conn.index() as usize].take().map(|(_, state)| state)
    }

    /// How many connections have state here.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether no connection has state here.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Every connection with its state, in order of their places.
    pub fn iter(&self) -> impl Iterator<Item = (Conn, &S)> {
        self.places.iter().flatten().map(|(conn, state)| (*conn, state))
    }

    /// Every connection with its state, in order of their places.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Conn, &mut S)> {
        self.places.iter_mut().flatten().map(|(conn, state)| (*conn, state))
    }
}

impl<S> Default for PerConn<S> {
    fn default() -> Self {
        PerConn::new()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Handle, Owner};
    use super::*;

    fn conn(index: u32, generation: u32) -> Conn {
        Conn::new(Handle::new(index, generation), Owner::APP)
    }

    #[test]
    fn state_of_a_closed_connection_is_not_seen_by_its_successor() {
        let mut map = PerConn::new();
        assert_eq!(map.insert(conn(3, 0), "old"), None);
        assert_eq!(map.get(conn(3, 1)), None);
        assert_eq!(map.remove(conn(3, 1)), None);
        assert_eq!(map.insert(conn(3, 1), "new"), None, "the old state is not the newcomer's");
        assert_eq!(map.get(conn(3, 0)), None);
        assert_eq!(map.get_mut(conn(3, 1)), Some(&mut "new"));
        assert_eq!(map.insert(conn(3, 1), "newer"), Some("new"));
        assert_eq!((map.len(), map.iter().count()), (1, 1));
        assert_eq!(map.remove(conn(3, 1)), Some("newer"));
        assert!(map.is_empty());
    }
}
