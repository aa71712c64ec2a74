//! Against stock rustls as the peer.
