//! Addresses as people write them: `host:port`, `:port`, `unix:/path`; names are resolved when a proxy is made.

use super::error::ProxyError;
use crate::error::Address;
use std::net::ToSocketAddrs;
use std::path::{Path, PathBuf};

/// Addresses of one name that are tried, at most.
const ADDRESSES_MAX: usize = 16;

/// Where to listen. Of a name with several addresses an IPv4 one is taken first, as most programs do.
pub(super) fn listen(text: &str) -> Result<Address, ProxyError> {
    let mut all = resolve(text, "0.0.0.0", "listen")?;
    all.sort_by_key(|address| address.as_inet().is_some_and(|address| address.is_ipv6()));
    Ok(all.swap_remove(0))
}

/// Where to connect to, in the order to try them in; at least one.
pub(super) fn upstream(text: &str) -> Result<Vec<Address>, ProxyError> {
    let all = resolve(text, "127.0.0.1", "upstream")?;
    if all.iter().filter_map(Address::as_inet).any(|address| address.port() == 0) {
        return Err(ProxyError::Invalid(format!(
            "upstream '{text}' has port 0: nobody can be reached there"
        )));
    }
    Ok(all)
}

/// A proxy that connects to itself would do so without end.
pub(super) fn check_apart(listen: &Address, upstream: &[Address]) -> Result<(), ProxyError> {
    let same = |other: &Address| match (listen.as_inet(), other.as_inet()) {
        (Some(own), Some(other)) => {
            // An IPv4 address may be written as an IPv6 one, and means the same.
            let (port, own, other) =
                (own.port() == other.port(), own.ip().to_canonical(), other.ip().to_canonical());
            let everywhere = own.is_unspecified() && (other.is_loopback() || other.is_unspecified());
            port && (own == other || everywhere)
        }
        _ => listen == other,
    };
    match upstream.iter().find(|other| same(other)) {
        Some(other) => Err(ProxyError::Invalid(format!("upstream {other} is the proxy itself"))),
        None => Ok(()),
    }
}

fn resolve(text: &str, host_missing: &str, field: &str) -> Result<Vec<Address>, ProxyError> {
    if text.is_empty() {
        return Err(ProxyError::Invalid(format!("missing required field: {field}")));
    }
    if let Some(path) = text.strip_prefix("unix:") {
        return unix(path, text, field);
    }
    let whole = if text.starts_with(':') { format!("{host_missing}{text}") } else { text.to_owned() };
    let found = whole.to_socket_addrs().map_err(|error| {
        ProxyError::Invalid(format!("{field} '{text}' is no address: {error}; write host:port or unix:/path"))
    })?;
    let all: Vec<Address> = found.take(ADDRESSES_MAX).map(Address::from).collect();
    if all.is_empty() {
        return Err(ProxyError::Invalid(format!("{field} '{text}': the name has no address")));
    }
    Ok(all)
}

/// `unix:/path`, and `unix:///path` as some write it.
fn unix(path: &str, text: &str, field: &str) -> Result<Vec<Address>, ProxyError> {
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.is_empty() || Path::new(path).as_os_str().len() > UNIX_PATH_BYTES_MAX {
        return Err(ProxyError::Invalid(format!(
            "{field} '{text}' is no address: the path of a Unix socket has 1 to {UNIX_PATH_BYTES_MAX} bytes"
        )));
    }
    if path.contains('\0') {
        return Err(ProxyError::Invalid(format!("{field} {text:?} is no address: a path has no zero bytes")));
    }
    Ok(vec![Address::from(PathBuf::from(path))])
}

/// What `sockaddr_un` has room for on Linux, its terminating zero left out.
const UNIX_PATH_BYTES_MAX: usize = 107;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_itself_also_under_an_ipv4_address_written_as_ipv6() {
        let apart = |own: &str, other: &str| {
            check_apart(&listen(own).expect("an address"), &upstream(other).expect("an address")).is_ok()
        };
        for own in ["127.0.0.1:9", "0.0.0.0:9", "[::]:9", "[::ffff:127.0.0.1]:9"] {
            assert!(!apart(own, "127.0.0.1:9"), "{own}");
            assert!(!apart(own, "[::ffff:127.0.0.1]:9"), "{own}");
            assert!(apart(own, "[::ffff:127.0.0.1]:8"), "{own}");
        }
        assert!(apart("127.0.0.1:9", "127.0.0.2:9"));
    }

    #[test]
    fn a_unix_path_with_a_zero_byte_is_refused_before_anybody_connects_there() {
        for text in ["unix:/a\0b", "unix:\0a"] {
            assert!(matches!(upstream(text), Err(ProxyError::Invalid(_))), "{text:?}");
            assert!(matches!(listen(text), Err(ProxyError::Invalid(_))), "{text:?}");
        }
    }
}
