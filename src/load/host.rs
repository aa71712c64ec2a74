//! What the generator's machine is, and how fast it happens to be at the moment.

use super::record::Host;
use crate::reactor::processors::{pin_to, processors};
use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

/// Round trips in a batch, of which the quickest counts: short enough that a busy neighbour spares some.
const BATCH: usize = 16;

/// How often the machine is looked at for one reference.
const LOOKS: usize = 4;

/// How long a reference measurement takes at most, unless the machine stands still.
const REFERENCE_TIME_MAX: Duration = Duration::from_millis(50);

/// When a single round trip is given up. A machine this slow has no reference.
const ROUND_TRIP_MAX: Duration = Duration::from_secs(1);

impl Host {
    /// Describes this machine. What the system does not tell is absent: outside Linux most of it.
    #[must_use]
    pub fn read() -> Host {
        let kernel = |name: &str| read_line(&format!("/proc/sys/kernel/{name}"));
        Host {
            processors: thread::available_parallelism()
                .map_or(1, |n| u32::try_from(n.get()).unwrap_or(u32::MAX)),
            processor_model: fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| processor_model(&text)),
            kernel: match (kernel("ostype"), kernel("osrelease")) {
                (Some(name), Some(release)) => format!("{name} {release}"),
                _ => std::env::consts::OS.into(),
            },
            governor: read_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
            memory_bytes: fs::read_to_string("/proc/meminfo").ok().and_then(|text| memory_bytes(&text)),
            reference_round_trip_ns: Vec::new(),
            processor_wait_fraction: None,
        }
    }
}

fn read_line(path: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().next()?.trim();
    (!line.is_empty()).then(|| line.into())
}

/// The value behind `key` and a colon in the tables of `/proc`.
pub(super) fn field<'a>(table: &'a str, key: &str) -> Option<&'a str> {
    table.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == key).then(|| value.trim())
    })
}

/// A value such as `24576000 kB`, in bytes.
pub(super) fn kilobytes(value: &str) -> Option<u64> {
    value.strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// x86 calls it `model name`; Arm names the board under `Model` or nothing at all.
fn processor_model(cpuinfo: &str) -> Option<String> {
    let model = field(cpuinfo, "model name").or_else(|| field(cpuinfo, "Model"))?;
    (!model.is_empty()).then(|| model.into())
}

fn memory_bytes(meminfo: &str) -> Option<u64> {
    kilobytes(field(meminfo, "MemTotal")?)
}

/// The machine's own speed: the round trip of one byte between two threads that block on a loopback connection, in
/// nanoseconds.
///
/// The threads sit on different processors where there are two, as a target and its generator do: what it takes to wake a
/// sleeping processor was seen to change by 10 us within a minute on a virtual machine, while round trips within
/// one processor stayed the same. Of four looks, each of at most `samples` round trips or 50 ms, the quickest is taken,
/// and of one look the median over the quickest of each batch of 16: what a neighbour does in between disturbs some
/// round trips of a batch and seldom all.
/// `None` if the connection could not be made or nothing came back in time; a run goes on without.
#[must_use]
pub fn reference_round_trip_ns(samples: usize) -> Option<u64> {
    let processors = processors();
    let (first, last) = (*processors.first()?, *processors.last()?);
    (0..LOOKS).filter_map(|_| look(first, last, samples)).min()
}

/// The round trip between two processors.
fn look(first: usize, last: usize, samples: usize) -> Option<u64> {
    let (mut near, mut far) = loopback_pair().ok()?;
    let name = || thread::Builder::new().name("windlass-reference".into());
    let echo = name().spawn(move || {
        pin_to(first);
        let mut byte = [0];
        while far.read_exact(&mut byte).is_ok() && far.write_all(&byte).is_ok() {}
    });
    // A thread of its own asks too, because the caller's processors are not ours to change. When it returns, the
    // other one sees the end of the stream.
    let ask = name().spawn(move || {
        pin_to(last);
        batches(&mut near, samples)
    });
    let (quickest, echoed) = (ask.ok()?.join().ok()?, echo.ok()?.join());
    echoed.ok().and(median(quickest))
}

/// Two ends of a connection over loopback.
fn loopback_pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let near = TcpStream::connect_timeout(&listener.local_addr()?, ROUND_TRIP_MAX)?;
    let (far, peer) = listener.accept()?;
    if peer != near.local_addr()? {
        return Err(io::Error::other("somebody else came first"));
    }
    for end in [&near, &far] {
        end.set_nodelay(true)?;
        end.set_read_timeout(Some(ROUND_TRIP_MAX))?;
        end.set_write_timeout(Some(ROUND_TRIP_MAX))?;
    }
    Ok((near, far))
}

/// The quickest round trip of each batch, in nanoseconds.
fn batches(near: &mut TcpStream, samples: usize) -> Vec<u64> {
    let began = Instant::now();
    let mut quickest = Vec::new();
    let mut byte = [1];
    for _ in 0..samples.div_ceil(BATCH) {
        let mut least = Duration::MAX;
        for _ in 0..BATCH {
            let sent = Instant::now();
            if near.write_all(&byte).is_err() || near.read_exact(&mut byte).is_err() {
                return quickest;
            }
            least = least.min(sent.elapsed());
        }
        quickest.push(least.as_nanos() as u64);
        if began.elapsed() >= REFERENCE_TIME_MAX {
            break;
        }
    }
    quickest
}

fn median(mut values: Vec<u64>) -> Option<u64> {
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_the_kernel_are_read() {
        let cpuinfo =
            "processor\t: 0\nmodel name\t: Some CPU @ 2.80GHz\nmodel\t\t: 85\n\nmodel name\t: Other\n";
        assert_eq!(processor_model(cpuinfo).as_deref(), Some("Some CPU @ 2.80GHz"));
        assert_eq!(
            processor_model("processor : 0\nModel : Raspberry Pi 5\n").as_deref(),
            Some("Raspberry Pi 5")
        );
        assert_eq!(processor_model("processor : 0\nmodel name :\n"), None);
        assert_eq!(memory_bytes("MemTotal:       24576000 kB\nMemFree: 1 kB\n"), Some(24_576_000 * 1024));
        for strange in ["", "MemTotal", "MemTotal: x kB", "MemTotal: 5", "MemTotal: 99999999999999999999 kB"]
        {
            assert_eq!(memory_bytes(strange), None, "{strange}");
        }
    }

    #[test]
    fn this_machine_has_processors_and_a_kernel() {
        let host = Host::read();
        assert!(host.processors >= 1 && !host.kernel.is_empty());
        if cfg!(target_os = "linux") {
            assert!(host.kernel.starts_with("Linux ") && host.memory_bytes.unwrap() > 1 << 20, "{host:?}");
        }
    }

    #[test]
    fn the_reference_is_measured_or_absent() {
        assert_eq!(reference_round_trip_ns(0), None);
        assert!(reference_round_trip_ns(40).unwrap() > 0);
        assert_eq!(median(vec![9, 1, 5]), Some(5));
    }
}
