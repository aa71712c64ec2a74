//! Descriptors: whether the process may have as many as a run needs, asked before anything is opened.

use crate::error::Error;

/// Descriptors beside the connections: standard streams, pollers, wakers, files.
const BESIDE: u64 = 32;

/// Makes sure that the process may open `connections` descriptors more, raising its soft limit if it may.
///
/// # Errors
/// [`Error::Config`] that names the limit and the command that raises it.
pub fn reserve(connections: usize) -> Result<(), Error> {
    let open = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count) as u64;
    let needed = connections as u64 + open + BESIDE;
    let mut limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let allowed = |bound: Option<u64>| bound.is_none_or(|bound| bound >= needed);
    if allowed(limit.current) {
        return Ok(());
    }
    let had = limit.current.unwrap_or(u64::MAX);
    if allowed(limit.maximum) {
        limit.current = Some(needed);
        if rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).is_ok() {
            return Ok(());
        }
    }
    Err(Error::Config(format!(
        "{connections} connections need {needed} descriptors, and this process may have {had}: raise the limit with \
         `ulimit -n {needed}`, or ask for fewer --connections"
    )))
}
