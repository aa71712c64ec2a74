//! What the two foreign examples do: count the names that come in as UDP datagrams.

use mio::net::UdpSocket;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, ErrorKind};
use windlass::Address;

/// Datagrams taken in one go, so that a flood of them does not keep the rest of the program waiting.
const BATCH_MAX: usize = 64;
/// Names that are remembered; further ones are not counted.
const NAMES_MAX: usize = 1000;
/// A longer datagram is cut off here.
const NAME_BYTES_MAX: usize = 64;

#[derive(Default)]
pub struct Totals(BTreeMap<String, u64>);

/// A socket at the address of the server if that is one of the internet.
pub fn bind(address: &Address) -> io::Result<UdpSocket> {
    UdpSocket::bind(address.as_inet().unwrap_or(([127, 0, 0, 1], 0).into()))
}

impl Totals {
    /// Counts what has come, at most a batch; `true` if there may be more.
    pub fn count(&mut self, socket: &UdpSocket) -> io::Result<bool> {
        let mut datagram = [0; NAME_BYTES_MAX];
        for _ in 0..BATCH_MAX {
            let length = match socket.recv(&mut datagram) {
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            };
            let name = String::from_utf8_lossy(&datagram[..length]);
            if let Some(count) = self.0.get_mut(&*name) {
                *count += 1;
            } else if self.0.len() < NAMES_MAX {
                self.0.insert(name.into_owned(), 1);
            }
        }
        Ok(true)
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(name, count)| writeln!(f, "{name} {count}"))
    }
}
