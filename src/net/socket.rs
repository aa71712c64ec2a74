//! One connected (or connecting) stream socket of either world.
//!
//! Bytes move through `recv`, `send` and `sendmsg` with `MSG_NOSIGNAL`, so that a peer that went away is an
//! error and never a signal, also inside programs that are not Rust.

#[cfg(feature = "sim")]
use super::sim;
use super::{Poller, SocketOptions, World};
use crate::error::Address;
use mio::{Interest, Token};
use rustix::io::retry_on_intr;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags};
use socket2::{Domain, SockAddr, SockRef, Type};
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// A stream socket on its way in (`Io::adopt`) or out (`Io::release`).
#[derive(Debug)]
#[non_exhaustive]
pub enum Stream {
    /// A TCP connection.
    Tcp(std::net::TcpStream),
    /// A Unix stream connection.
    Unix(std::os::unix::net::UnixStream),
    /// A connection of a simulated host: it can go to another core of its host, and nowhere else.
    #[cfg(feature = "sim")]
    Simulated(sim::Socket),
}

impl From<std::net::TcpStream> for Stream {
    fn from(stream: std::net::TcpStream) -> Stream {
        Stream::Tcp(stream)
    }
}

impl From<std::os::unix::net::UnixStream> for Stream {
    fn from(stream: std::os::unix::net::UnixStream) -> Stream {
        Stream::Unix(stream)
    }
}

#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(mio::net::TcpStream),
    Unix(mio::net::UnixStream),
    /// Boxed, so that real sockets take no more room for it.
    #[cfg(feature = "sim")]
    Sim(Box<sim::Socket>),
    /// Already closed or handed out; the slot only waits for its last event.
    Gone,
}

/// What dialling came to before the first event.
pub(crate) enum Dialled {
    /// The kernel is at it (or already done): the first writable event tells.
    Pending(Socket),
    /// It refused at once.
    Failed(io::Error),
}

impl Socket {
    /// Starts a non-blocking connect.
    pub(crate) fn dial(
        world: &World,
        to: &Address,
        from: Option<&Address>,
        options: &SocketOptions,
    ) -> Dialled {
        let dialled = match world {
            World::Os => Self::try_dial(to, from, options),
            #[cfg(feature = "sim")]
            World::Sim(port) => port
                .dial(to, from, options)
                .map(|socket| Socket::Sim(Box::new(socket)))
                .map_err(io::Error::from),
        };
        match dialled {
            Ok(socket) => Dialled::Pending(socket),
            Err(error) => Dialled::Failed(error),
        }
    }

    fn try_dial(to: &Address, from: Option<&Address>, options: &SocketOptions) -> io::Result<Socket> {
        let target = sock_addr(to)?;
        let socket = new_socket(target.domain())?;
        options.apply(&SockRef::from(&socket), to.as_inet().is_some())?;
        if let Some(from) = from {
            socket.bind(&sock_addr(from)?)?;
        }
        match socket.connect(&target) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {}
            Err(error) => return Err(error),
        }
        let fd = OwnedFd::from(socket);
        Ok(match to {
            Address::Inet(_) => Socket::Tcp(mio::net::TcpStream::from_std(fd.into())),
            Address::Unix(_) => Socket::Unix(mio::net::UnixStream::from_std(fd.into())),
        })
    }

    /// Takes over a stream made elsewhere and makes it non-blocking.
    pub(crate) fn adopt(world: &World, stream: Stream, options: &SocketOptions) -> io::Result<Socket> {
        #[cfg(feature = "sim")]
        if let World::Sim(port) = world {
            return match stream {
                Stream::Simulated(socket) if port.may_adopt(&socket) => Ok(Socket::Sim(Box::new(socket))),
                _ => Err(super::world::unsupported()),
            };
        }
        #[cfg(not(feature = "sim"))]
        let World::Os = world;
        match stream {
            #[cfg(feature = "sim")]
            Stream::Simulated(_) => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "a simulated connection stays in its simulation",
            )),
            Stream::Tcp(stream) => {
                stream.set_nonblocking(true)?;
                options.apply(&SockRef::from(&stream), true)?;
                Ok(Socket::Tcp(mio::net::TcpStream::from_std(stream)))
            }
            Stream::Unix(stream) => {
                stream.set_nonblocking(true)?;
                options.apply(&SockRef::from(&stream), false)?;
                Ok(Socket::Unix(mio::net::UnixStream::from_std(stream)))
            }
        }
    }

    /// Gives the stream away; `None` if it is gone already. It stays non-blocking.
    pub(crate) fn into_stream(self) -> Option<Stream> {
        match self {
            Socket::Tcp(stream) => Some(Stream::Tcp(OwnedFd::from(stream).into())),
            Socket::Unix(stream) => Some(Stream::Unix(OwnedFd::from(stream).into())),
            #[cfg(feature = "sim")]
            Socket::Sim(socket) => Some(Stream::Simulated(*socket)),
            Socket::Gone => None,
        }
    }

    #[inline]
    fn fd(&self) -> rustix::io::Result<BorrowedFd<'_>> {
        match self {
            Socket::Tcp(stream) => Ok(stream.as_fd()),
            Socket::Unix(stream) => Ok(stream.as_fd()),
            // Whoever asks for the descriptor has asked for the simulated socket before.
            #[cfg(feature = "sim")]
            Socket::Sim(_) => Err(rustix::io::Errno::BADF),
            Socket::Gone => Err(rustix::io::Errno::NOTCONN),
        }
    }

    /// Reads once. Zero bytes mean that the peer finished.
    #[inline]
    pub(crate) fn read(&self, into: &mut [u8]) -> rustix::io::Result<usize> {
        #[cfg(feature = "sim")]
        if let Socket::Sim(socket) = self {
            return socket.read(into);
        }
        let fd = self.fd()?;
        retry_on_intr(|| rustix::net::recv(fd, &mut *into, RecvFlags::empty())).map(|(_, n)| n)
    }

    /// Writes once from one slice; cheaper than a gather of one.
    #[inline]
    pub(crate) fn write(&self, from: &[u8]) -> rustix::io::Result<usize> {
        #[cfg(feature = "sim")]
        if let Socket::Sim(socket) = self {
            return socket.write(&[IoSlice::new(from)]);
        }
        let fd = self.fd()?;
        retry_on_intr(|| rustix::net::send(fd, from, SendFlags::NOSIGNAL))
    }

    /// Writes once from many slices.
    pub(crate) fn write_gathered(&self, from: &[IoSlice<'_>]) -> rustix::io::Result<usize> {
        #[cfg(feature = "sim")]
        if let Socket::Sim(socket) = self {
            return socket.write(from);
        }
        let fd = self.fd()?;
        retry_on_intr(|| {
            rustix::net::sendmsg(fd, from, &mut SendAncillaryBuffer::default(), SendFlags::NOSIGNAL)
        })
    }

    /// Tells the peer that nothing more will come.
    pub(crate) fn shutdown_write(&self) -> io::Result<()> {
        match self {
            Socket::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Socket::Unix(stream) => stream.shutdown(Shutdown::Write),
            #[cfg(feature = "sim")]
            Socket::Sim(socket) => socket.finish().map_err(io::Error::from),
            Socket::Gone => Ok(()),
        }
    }

    /// The error that the kernel holds for this socket, once.
    pub(crate) fn take_error(&self) -> io::Result<Option<io::Error>> {
        match self {
            Socket::Tcp(stream) => stream.take_error(),
            Socket::Unix(stream) => stream.take_error(),
            #[cfg(feature = "sim")]
            Socket::Sim(socket) => Ok(socket.take_error().map(io::Error::from)),
            Socket::Gone => Ok(None),
        }
    }

    /// Whether the handshake of TCP is done: the kernel knows the peer only then.
    pub(crate) fn is_connected(&self) -> bool {
        #[cfg(feature = "sim")]
        if let Socket::Sim(socket) = self {
            return socket.is_connected();
        }
        self.fd().is_ok_and(|fd| rustix::net::getpeername(fd).is_ok())
    }

    pub(crate) fn peer(&self) -> Option<Address> {
        match self {
            Socket::Tcp(stream) => stream.peer_addr().ok().map(Address::Inet),
            Socket::Unix(stream) => stream.peer_addr().ok().map(|address| unix_address(&address)),
            #[cfg(feature = "sim")]
            Socket::Sim(socket) => Some(socket.peer()),
            Socket::Gone => None,
        }
    }

    pub(crate) fn local(&self) -> Option<Address> {
        match self {
            Socket::Tcp(stream) => stream.local_addr().ok().map(Address::Inet),
            Socket::Unix(stream) => stream.local_addr().ok().map(|address| unix_address(&address)),
            #[cfg(feature = "sim")]
            Socket::Sim(socket) => Some(socket.local()),
            Socket::Gone => None,
        }
    }

    /// Makes the coming close a reset: the peer learns that what it missed is lost.
    pub(crate) fn reset_on_close(&self) {
        #[cfg(feature = "sim")]
        if let Socket::Sim(socket) = self {
            return socket.reset_on_close();
        }
        if let (Socket::Tcp(_), Ok(fd)) = (self, self.fd()) {
            // Best effort: if it fails the peer sees an ordinary end instead of a reset.
            let _ = SockRef::from(&fd).set_linger(Some(Duration::ZERO));
        }
    }

    /// Registers for both directions, once and for all.
    pub(crate) fn register(&mut self, poller: &Poller, token: Token) -> io::Result<()> {
        const BOTH: Interest = Interest::READABLE.add(Interest::WRITABLE);
        // Urgent data makes reads short that have not emptied the socket: the event has to say that it is there.
        #[cfg(any(target_os = "linux", target_os = "android"))]
        const BOTH_AND_URGENT: Interest = BOTH.add(Interest::PRIORITY);
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        const BOTH_AND_URGENT: Interest = BOTH;
        match self {
            Socket::Tcp(stream) => poller.registry()?.register(stream, token, BOTH_AND_URGENT),
            Socket::Unix(stream) => poller.registry()?.register(stream, token, BOTH),
            #[cfg(feature = "sim")]
            Socket::Sim(socket) => poller.watch(socket, token),
            Socket::Gone => Ok(()),
        }
    }

    pub(crate) fn deregister(&mut self, poller: &Poller) -> io::Result<()> {
        match self {
            Socket::Tcp(stream) => poller.registry()?.deregister(stream),
            Socket::Unix(stream) => poller.registry()?.deregister(stream),
            #[cfg(feature = "sim")]
            Socket::Sim(socket) => {
                socket.unwatch();
                Ok(())
            }
            Socket::Gone => Ok(()),
        }
    }
}

pub(super) fn new_socket(domain: Domain) -> io::Result<socket2::Socket> {
    let socket = socket2::Socket::new(domain, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

pub(super) fn sock_addr(address: &Address) -> io::Result<SockAddr> {
    match address {
        Address::Inet(address) => Ok((*address).into()),
        Address::Unix(path) => SockAddr::unix(path),
    }
}

fn unix_address(address: &std::os::unix::net::SocketAddr) -> Address {
    Address::Unix(address.as_pathname().unwrap_or(std::path::Path::new("")).into())
}
