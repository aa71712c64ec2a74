//! What to listen on and what to connect to, said in one expression.

use crate::collections::Owner;
use crate::conn::Options;
use crate::error::Address;
use crate::net::{Acceptor, Stream};
use crate::secure::Security;
#[cfg(feature = "noise")]
use crate::secure::noise::Noise;
#[cfg(feature = "tls")]
use crate::secure::tls::{ClientTls, ServerTls};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;

/// A listener to be: `Listen::tcp("127.0.0.1:7000")`.
#[derive(Debug)]
pub struct Listen {
    pub(crate) place: Place,
    pub(crate) options: Option<Options>,
    pub(crate) security: Security,
    pub(crate) owner: Owner,
    pub(crate) backlog: i32,
    pub(crate) reuse_port: bool,
    pub(crate) only_v6: bool,
}

#[derive(Debug)]
pub(crate) enum Place {
    Address(Address),
    Unresolved(String, std::io::Error),
    Tcp(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener),
    /// Connections come from another core.
    Elsewhere(Address, Arc<super::handoff::Load>),
    /// Bound already; its connections may be spread over cores.
    Bound(Acceptor, Option<super::handoff::HandOff>),
}

impl Listen {
    /// A TCP listener. A host name is resolved here and now, which may block; the first address counts.
    /// Whatever is wrong with the address is said when the reactor is asked to listen.
    #[must_use]
    pub fn tcp(address: impl ToSocketAddrs + std::fmt::Debug) -> Listen {
        let text = format!("{address:?}");
        let resolved = address
            .to_socket_addrs()
            .and_then(|mut all| all.next().ok_or_else(|| std::io::Error::other("the name has no address")));
        Listen::new(match resolved {
            Ok(address) => Place::Address(address.into()),
            Err(error) => Place::Unresolved(text, error),
        })
    }

    /// A Unix stream listener. Its socket file is removed when it closes; a file left behind by a server
    /// that is gone is replaced.
    #[must_use]
    pub fn unix(path: impl Into<PathBuf>) -> Listen {
        Listen::new(Place::Address(path.into().into()))
    }

    /// A listener at an address of either kind.
    #[must_use]
    pub fn at(address: Address) -> Listen {
        Listen::new(Place::Address(address))
    }

    /// A TCP listener made elsewhere: inherited from a parent, or with options of its own.
    #[must_use]
    pub fn from_std(listener: std::net::TcpListener) -> Listen {
        Listen::new(Place::Tcp(listener))
    }

    /// A Unix listener made elsewhere. Its socket file stays the caller's.
    #[must_use]
    pub fn from_std_unix(listener: std::os::unix::net::UnixListener) -> Listen {
        Listen::new(Place::Unix(listener))
    }

    pub(crate) fn new(place: Place) -> Listen {
        Listen {
            place,
            options: None,
            security: Security::default(),
            owner: Owner::APP,
            backlog: 4096,
            reuse_port: false,
            only_v6: true,
        }
    }

    /// A listener in every way like this one, but whose place is still to be said.
    pub(crate) fn like(&self) -> Listen {
        let place = Place::Address(Address::Unix(std::path::Path::new("").into()));
        Listen { place, options: self.options.clone(), security: self.security.clone(), ..*self }
    }

    /// Options of the connections it accepts, instead of the reactor's.
    #[must_use]
    pub fn options(mut self, options: Options) -> Listen {
        self.options = Some(options);
        self
    }

    /// Whom the listener and its connections belong to.
    #[must_use]
    pub fn owner(mut self, owner: Owner) -> Listen {
        self.owner = owner;
        self
    }

    /// Connections that may wait to be accepted; the kernel caps it at `net.core.somaxconn`. Default 4,096.
    ///
    /// Beyond it Linux drops the last step of a TCP handshake, and the client tries again. A flood of SYN packets from
    /// addresses that never answer does not get that far: it is the kernel's to meet, which answers with SYN cookies
    /// once its own queue of half-open connections is full (`net.ipv4.tcp_syncookies`, on by default; leave it on).
    #[must_use]
    pub fn backlog(mut self, backlog: u16) -> Listen {
        self.backlog = i32::from(backlog);
        self
    }

    /// Lets several listeners share the address (`SO_REUSEPORT`); the kernel spreads connections over them.
    #[must_use]
    pub fn reuse_port(mut self, reuse_port: bool) -> Listen {
        self.reuse_port = reuse_port;
        self
    }

    /// Whether an IPv6 listener leaves IPv4 alone. Default: yes.
    #[must_use]
    pub fn only_v6(mut self, only_v6: bool) -> Listen {
        self.only_v6 = only_v6;
        self
    }
}

/// A connection to be: `Connect::to(address)`.
#[derive(Clone, Debug)]
pub struct Connect {
    pub(crate) to: Address,
    pub(crate) from: Option<Address>,
    pub(crate) options: Option<Options>,
    pub(crate) security: Security,
    pub(crate) owner: Owner,
}

impl Connect {
    /// A connection to an internet address, or to a Unix socket ([`Address`] from a path). Names are not
    /// resolved here: that would block the loop.
    #[must_use]
    pub fn to(address: impl Into<Address>) -> Connect {
        Connect {
            to: address.into(),
            from: None,
            options: None,
            security: Security::default(),
            owner: Owner::APP,
        }
    }

    /// The local address to connect from.
    #[must_use]
    pub fn from(mut self, address: SocketAddr) -> Connect {
        self.from = Some(address.into());
        self
    }

    /// Options instead of the reactor's.
    #[must_use]
    pub fn options(mut self, options: Options) -> Connect {
        self.options = Some(options);
        self
    }

    /// Whom the connection belongs to.
    #[must_use]
    pub fn owner(mut self, owner: Owner) -> Connect {
        self.owner = owner;
        self
    }
}

/// A stream made elsewhere, to be taken over: `Adopt::stream(stream).owner(mine)`.
#[derive(Debug)]
pub struct Adopt {
    pub(crate) stream: Stream,
    pub(crate) options: Option<Options>,
    pub(crate) security: Security,
    pub(crate) owner: Owner,
}

impl Adopt {
    /// A connected stream.
    #[must_use]
    pub fn stream(stream: impl Into<Stream>) -> Adopt {
        Adopt { stream: stream.into(), options: None, security: Security::default(), owner: Owner::APP }
    }

    /// Options instead of the reactor's.
    #[must_use]
    pub fn options(mut self, options: Options) -> Adopt {
        self.options = Some(options);
        self
    }

    /// Whom the connection belongs to.
    #[must_use]
    pub fn owner(mut self, owner: Owner) -> Adopt {
        self.owner = owner;
        self
    }
}

impl<S: Into<Stream>> From<S> for Adopt {
    fn from(stream: S) -> Adopt {
        Adopt::stream(stream)
    }
}

#[cfg(feature = "tls")]
impl Listen {
    /// Secures its connections with TLS: [`Event::Opened`](crate::Event::Opened) comes after the handshake, and
    /// nothing else changes for the handler.
    #[must_use]
    pub fn tls(mut self, tls: &ServerTls) -> Listen {
        self.security.accept_tls(tls);
        self
    }
}

#[cfg(feature = "noise")]
impl Listen {
    /// Secures its connections with Noise; together with `tls`, inside it. The two are not bound to each other: see
    /// [`noise`](crate::noise).
    #[must_use]
    pub fn noise(mut self, noise: &Noise) -> Listen {
        self.security.accept_noise(noise);
        self
    }
}

#[cfg(feature = "tls")]
impl Connect {
    /// Secures the connection with TLS. The server's certificate must be for `server_name`, a DNS name or an IP
    /// address; one that is neither is refused when the reactor is asked to connect.
    #[must_use]
    pub fn tls(mut self, tls: &ClientTls, server_name: &str) -> Connect {
        self.security.connect_tls(tls, server_name);
        self
    }
}

#[cfg(feature = "noise")]
impl Connect {
    /// Secures the connection with Noise; together with `tls`, inside it.
    #[must_use]
    pub fn noise(mut self, noise: &Noise) -> Connect {
        self.security.connect_noise(noise);
        self
    }
}

#[cfg(feature = "tls")]
impl Adopt {
    /// Secures it with TLS, as the server.
    #[must_use]
    pub fn accept_tls(mut self, tls: &ServerTls) -> Adopt {
        self.security.accept_tls(tls);
        self
    }

    /// Secures it with TLS, as the client of a server that is called `server_name`.
    #[must_use]
    pub fn connect_tls(mut self, tls: &ClientTls, server_name: &str) -> Adopt {
        self.security.connect_tls(tls, server_name);
        self
    }
}

#[cfg(feature = "noise")]
impl Adopt {
    /// Secures it with Noise, as the responder.
    #[must_use]
    pub fn accept_noise(mut self, noise: &Noise) -> Adopt {
        self.security.accept_noise(noise);
        self
    }

    /// Secures it with Noise, as the initiator.
    #[must_use]
    pub fn connect_noise(mut self, noise: &Noise) -> Adopt {
        self.security.connect_noise(noise);
        self
    }
}
