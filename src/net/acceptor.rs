//! One listening socket of either world, and what its errors mean.

#[cfg(feature = "sim")]
use super::sim;
use super::socket::{Socket, new_socket, sock_addr};
use super::{Poller, SocketOptions, World};
use crate::error::Address;
use mio::{Interest, Token};
use rustix::io::Errno;
use socket2::SockRef;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::Arc;

#[derive(Debug)]
pub(crate) struct Acceptor {
    listening: Listening,
    /// The socket file we made and therefore remove.
    owned_path: Option<Arc<Path>>,
    /// Errors that the next accepts answer with, so that every kind can be tested over a real listener.
    #[cfg(test)]
    pub(crate) injected: std::collections::VecDeque<Errno>,
}

#[derive(Debug)]
enum Listening {
    Tcp(mio::net::TcpListener),
    Unix(mio::net::UnixListener),
    #[cfg(feature = "sim")]
    Sim(sim::Listener),
}

/// How to bind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bind<'a> {
    pub(crate) backlog: i32,
    pub(crate) reuse_port: bool,
    pub(crate) only_v6: bool,
    pub(crate) options: &'a SocketOptions,
}

/// What a failed accept means for the listener.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum AcceptFault {
    /// Nobody waits; the next edge tells.
    Empty,
    /// This one connection is lost; others may wait.
    Aborted,
    /// Out of descriptors: pause and retry.
    Descriptors,
    /// Out of memory or buffers: pause and retry.
    Memory,
    /// The listener itself is unusable.
    Fatal,
}

impl AcceptFault {
    /// Sorts the errors of accept(2); those that Linux passes through from the network count as one aborted
    /// connection, as its manual page asks: also `EOPNOTSUPP`, which would otherwise mean a socket that is no stream.
    pub(crate) fn of(errno: Errno) -> AcceptFault {
        match errno {
            Errno::AGAIN => AcceptFault::Empty,
            Errno::MFILE | Errno::NFILE => AcceptFault::Descriptors,
            Errno::NOBUFS | Errno::NOMEM => AcceptFault::Memory,
            Errno::BADF | Errno::INVAL | Errno::NOTSOCK | Errno::FAULT => AcceptFault::Fatal,
            _ => AcceptFault::Aborted,
        }
    }
}

impl Acceptor {
    pub(crate) fn bind(world: &World, address: &Address, how: Bind<'_>) -> io::Result<Acceptor> {
        match world {
            World::Os => Self::bind_real(address, how),
            #[cfg(feature = "sim")]
            World::Sim(port) => {
                let listener = port.listen(address, how)?;
                Ok(Self::new(Listening::Sim(listener), None))
            }
        }
    }

    fn bind_real(address: &Address, how: Bind<'_>) -> io::Result<Acceptor> {
        let target = sock_addr(address)?;
        let socket = new_socket(target.domain())?;
        if target.is_ipv6() {
            socket.set_only_v6(how.only_v6)?;
        }
        match address {
            Address::Inet(_) => {
                socket.set_reuse_address(true)?;
                if how.reuse_port {
                    socket.set_reuse_port(true)?;
                }
                socket.bind(&target)?;
            }
            Address::Unix(path) => bind_unix(&socket, &target, path)?,
        }
        how.options.apply(&SockRef::from(&socket), address.as_inet().is_some())?;
        socket.listen(how.backlog)?;
        let fd = OwnedFd::from(socket);
        Ok(match address {
            Address::Inet(_) => Self::new(Listening::Tcp(mio::net::TcpListener::from_std(fd.into())), None),
            Address::Unix(path) => Self::new(
                Listening::Unix(mio::net::UnixListener::from_std(fd.into())),
                Some(Arc::clone(path)),
            ),
        })
    }

    /// Takes over a listener made elsewhere and makes it non-blocking.
    pub(crate) fn from_tcp(listener: std::net::TcpListener, options: &SocketOptions) -> io::Result<Acceptor> {
        listener.set_nonblocking(true)?;
        options.apply(&SockRef::from(&listener), true)?;
        Ok(Self::new(Listening::Tcp(mio::net::TcpListener::from_std(listener)), None))
    }

    /// The same for a Unix listener; its socket file stays the caller's.
    pub(crate) fn from_unix(listener: std::os::unix::net::UnixListener) -> io::Result<Acceptor> {
        listener.set_nonblocking(true)?;
        Ok(Self::new(Listening::Unix(mio::net::UnixListener::from_std(listener)), None))
    }

    fn new(listening: Listening, owned_path: Option<Arc<Path>>) -> Acceptor {
        Acceptor {
            listening,
            owned_path,
            #[cfg(test)]
            injected: std::collections::VecDeque::new(),
        }
    }

    pub(crate) fn accept(&mut self) -> Result<(Socket, Address), Errno> {
        #[cfg(test)]
        if let Some(errno) = self.injected.pop_front() {
            return Err(errno);
        }
        let accepted = match &self.listening {
            #[cfg(feature = "sim")]
            Listening::Sim(listener) => {
                return listener.accept().map(|(socket, peer)| (Socket::Sim(Box::new(socket)), peer));
            }
            Listening::Tcp(listener) => {
                listener.accept().map(|(stream, peer)| (Socket::Tcp(stream), Address::Inet(peer)))
            }
            Listening::Unix(listener) => listener
                .accept()
                .map(|(stream, _)| (Socket::Unix(stream), Address::Unix(Path::new("").into()))),
        };
        accepted.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::INVAL))
    }

    /// Prepares an accepted socket. Linux copies a listener's options to it; elsewhere they are set again.
    pub(crate) fn prepare(world: &World, socket: Socket, options: &SocketOptions) -> io::Result<Socket> {
        if cfg!(target_os = "linux") {
            return Ok(socket);
        }
        match socket.into_stream() {
            Some(stream) => Socket::adopt(world, stream, options),
            None => Ok(Socket::Gone),
        }
    }

    pub(crate) fn local(&self) -> io::Result<Address> {
        match &self.listening {
            Listening::Tcp(listener) => listener.local_addr().map(Address::Inet),
            Listening::Unix(listener) => listener
                .local_addr()
                .map(|address| Address::Unix(address.as_pathname().unwrap_or(Path::new("")).into())),
            #[cfg(feature = "sim")]
            Listening::Sim(listener) => Ok(listener.local()),
        }
    }

    pub(crate) fn register(&mut self, poller: &Poller, token: Token) -> io::Result<()> {
        match &mut self.listening {
            Listening::Tcp(listener) => poller.registry()?.register(listener, token, Interest::READABLE),
            Listening::Unix(listener) => poller.registry()?.register(listener, token, Interest::READABLE),
            #[cfg(feature = "sim")]
            Listening::Sim(listener) => poller.watch_listener(listener, token),
        }
    }
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        if let Some(path) = &self.owned_path {
            // Best effort: whoever binds next also recognises a file that nobody listens on.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Binds a Unix socket; a socket left behind by a server that is gone is replaced, a live server's is not. Nor is a file
/// of any other kind: connecting to one is refused as well, and it is somebody's data.
fn bind_unix(socket: &socket2::Socket, target: &socket2::SockAddr, path: &Path) -> io::Result<()> {
    match socket.bind(target) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_socket(path) => {
            let probe = new_socket(target.domain())?;
            match probe.connect(target) {
                Err(refused) if refused.kind() == io::ErrorKind::ConnectionRefused => {
                    std::fs::remove_file(path)?;
                    socket.bind(target)
                }
                _ => Err(error),
            }
        }
        bound => bound,
    }
}

/// Whether the file itself is a socket; a link to one is not.
fn is_socket(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|file| file.file_type().is_socket())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_socket_is_not_removed_to_listen_in_its_place() {
        let dir = std::env::temp_dir().join(format!("windlass-acceptor-{}", std::process::id()));
        std::fs::create_dir(&dir).expect("a directory of its own");
        let (kept, link, gone) = (dir.join("kept"), dir.join("link"), dir.join("gone"));
        std::fs::write(&kept, "data").expect("a file");
        drop(std::os::unix::net::UnixListener::bind(&gone).expect("a server that leaves its socket behind"));
        std::os::unix::fs::symlink(&gone, &link).expect("a link");
        let bind = |path: &Path| {
            let socket = new_socket(socket2::Domain::UNIX).expect("a socket");
            bind_unix(&socket, &socket2::SockAddr::unix(path).expect("an address"), path)
        };
        for path in [&kept, &link] {
            assert_eq!(bind(path).map_err(|error| error.kind()), Err(io::ErrorKind::AddrInUse), "{path:?}");
        }
        assert_eq!(std::fs::read(&kept).expect("still there"), b"data");
        assert!(link.is_symlink());
        bind(&gone).expect("what was left behind is replaced");
        std::fs::remove_dir_all(&dir).expect("cleaned up");
    }

    #[test]
    fn every_accept_error_has_its_meaning() {
        let expected = [
            (Errno::AGAIN, AcceptFault::Empty),
            (Errno::MFILE, AcceptFault::Descriptors),
            (Errno::NFILE, AcceptFault::Descriptors),
            (Errno::NOBUFS, AcceptFault::Memory),
            (Errno::NOMEM, AcceptFault::Memory),
            (Errno::CONNABORTED, AcceptFault::Aborted),
            (Errno::PROTO, AcceptFault::Aborted),
            (Errno::PERM, AcceptFault::Aborted),
            (Errno::INTR, AcceptFault::Aborted),
            (Errno::NETDOWN, AcceptFault::Aborted),
            (Errno::HOSTUNREACH, AcceptFault::Aborted),
            (Errno::OPNOTSUPP, AcceptFault::Aborted),
            (Errno::BADF, AcceptFault::Fatal),
            (Errno::INVAL, AcceptFault::Fatal),
        ];
        for (errno, meaning) in expected {
            assert_eq!(AcceptFault::of(errno), meaning, "{errno:?}");
        }
    }

    #[test]
    fn a_socket_file_left_behind_is_replaced_but_a_live_servers_is_not() {
        let path = std::env::temp_dir().join(format!("windlass-acceptor-{}.sock", std::process::id()));
        let address = Address::from(path.clone());
        let options = SocketOptions::default();
        let how = Bind { backlog: 16, reuse_port: false, only_v6: false, options: &options };
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "std leaves the file behind");
        let live = Acceptor::bind(&World::Os, &address, how).unwrap();
        assert_eq!(Acceptor::bind(&World::Os, &address, how).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert_eq!(live.local().unwrap(), address);
        drop(live);
        assert!(!path.exists(), "we remove our own");
    }
}
