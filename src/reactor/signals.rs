//! SIGINT and SIGTERM as an event of the first core: the signal handler writes into a pipe, the reactor reads
//! it. The first signal begins a graceful shutdown of all cores, the second cuts everything off.

use super::Io;
use super::cores::StopAll;
use crate::error::Error;
use std::io::Read;
use std::time::Duration;

/// The reading end of the pipe, and what a signal starts.
#[derive(Debug)]
pub(super) struct Signals {
    pipe: mio::net::UnixStream,
    everyone: StopAll,
    within: Duration,
    seen: bool,
}

#[cfg(feature = "signals")]
pub(super) fn watch(io: &mut Io, everyone: StopAll, within: Duration) -> Result<(), Error> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    let failed = |e| Error::io("watching for signals", e);
    let (pipe, writer) = std::os::unix::net::UnixStream::pair().map_err(failed)?;
    pipe.set_nonblocking(true).map_err(failed)?;
    for signal in [SIGINT, SIGTERM] {
        signal_hook::low_level::pipe::register(signal, writer.try_clone().map_err(failed)?)
            .map_err(failed)?;
    }
    let mut pipe = mio::net::UnixStream::from_std(pipe);
    io.register_source(&mut pipe, super::Interest::Readable, crate::collections::Owner::RUNTIME)?;
    io.signals = Some(Signals { pipe, everyone, within, seen: false });
    Ok(())
}

#[cfg(not(feature = "signals"))]
pub(super) fn watch(_: &mut Io, _: StopAll, _: Duration) -> Result<(), Error> {
    Err(Error::Unsupported("signals without the feature `signals`"))
}

impl Io {
    /// Reads the pipe and does what signals stand for.
    pub(super) fn take_signals(&mut self) {
        let Some(signals) = self.signals.as_mut() else { return };
        let mut bytes = [0; 64];
        while let Ok(n @ 1..) = signals.pipe.read(&mut bytes) {
            for _ in 0..n {
                let within = if signals.seen { Duration::ZERO } else { signals.within };
                signals.seen = true;
                signals.everyone.shutdown(within);
            }
        }
    }
}
