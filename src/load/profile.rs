//! What a server's process takes while it is given so many messages: memory, processor time, descriptors, wake-ups.

use super::record::Resources;
use crate::error::Error;
use crate::units::parse_rate;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// How a server is profiled: at rest, at a rate of messages, or at the three usual steps one after the other.
///
/// From text: `idle`, a rate such as `1000` or `10k`, `all`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Profile {
    /// No messages.
    Idle,
    /// So many messages per second.
    Rate(f64),
    /// At rest, at 1,000 and at 10,000 messages per second.
    All,
}

impl Profile {
    /// The single steps.
    #[must_use]
    pub fn steps(self) -> Vec<Profile> {
        match self {
            Profile::All => vec![Profile::Idle, Profile::Rate(1_000.0), Profile::Rate(10_000.0)],
            step => vec![step],
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Profile::Idle => f.write_str("idle"),
            Profile::Rate(per_s) => write!(f, "{per_s}"),
            Profile::All => f.write_str("all"),
        }
    }
}

impl FromStr for Profile {
    type Err = Error;

    fn from_str(text: &str) -> Result<Profile, Error> {
        match text.trim() {
            "idle" => Ok(Profile::Idle),
            "all" => Ok(Profile::All),
            rate => match parse_rate(rate) {
                Ok(per_s) if per_s > 0.0 => Ok(Profile::Rate(per_s)),
                Ok(_) => Err(Error::Config(format!("profile '{text}': for no messages write idle"))),
                Err(_) => Err(Error::Config(format!(
                    "profile '{text}' is unknown: write idle, messages per second such as 1000 or 10k, or all"
                ))),
            },
        }
    }
}

/// What went through the server while it was watched.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Traffic {
    /// How long it was watched.
    pub wall: Duration,
    /// Messages that it answered.
    pub messages: u64,
    /// Bytes that it received.
    pub received_bytes: u64,
    /// Bytes that it sent.
    pub sent_bytes: u64,
}

/// Watches a process from [`start`](Self::start) to [`finish`](Self::finish).
#[derive(Clone, Debug)]
pub struct Sampler {
    pid: u32,
    began: Usage,
}

/// What a process has taken since it started, and what it holds.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
struct Usage {
    memory_bytes: u64,
    processor_s: f64,
    descriptors: u64,
    wakeups: u64,
}

impl Sampler {
    /// Begins to watch the process `pid`, which must be this user's.
    ///
    /// # Errors
    /// [`Error::Unsupported`] outside Linux; [`Error::Io`] if there is no such process or it may not be looked at.
    pub fn start(pid: u32) -> Result<Sampler, Error> {
        Ok(Sampler { pid, began: usage(pid)? })
    }

    /// Says what the process took since the start and what it holds now. Threads that ended meanwhile are missing
    /// from the wake-ups; processor time comes in hundredths of a second.
    ///
    /// # Errors
    /// As [`start`](Self::start): the process may be gone.
    pub fn finish(self, profile: Profile, traffic: &Traffic) -> Result<Resources, Error> {
        let ended = usage(self.pid)?;
        let seconds = traffic.wall.as_secs_f64();
        let per_s = |count: u64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
        let processor_s = (ended.processor_s - self.began.processor_s).max(0.0);
        Ok(Resources {
            profile: profile.to_string(),
            messages_per_s: per_s(traffic.messages),
            memory_bytes: ended.memory_bytes,
            processor_fraction: if seconds > 0.0 { processor_s / seconds } else { 0.0 },
            descriptors: ended.descriptors,
            received_bytes_per_s: per_s(traffic.received_bytes),
            sent_bytes_per_s: per_s(traffic.sent_bytes),
            wakeups_per_s: per_s(ended.wakeups.saturating_sub(self.began.wakeups)),
        })
    }
}

#[cfg(not(target_os = "linux"))]
fn usage(_pid: u32) -> Result<Usage, Error> {
    Err(Error::Unsupported("the resources of a process are read from /proc"))
}

#[cfg(target_os = "linux")]
fn usage(pid: u32) -> Result<Usage, Error> {
    linux::usage(pid)
}

/// `/proc/PID`: see proc(5).
#[cfg(target_os = "linux")]
mod linux {
    use super::super::host::{field, kilobytes};
    use super::{Error, Usage};
    use std::fs;
    use std::io;

    pub(super) fn usage(pid: u32) -> Result<Usage, Error> {
        let folder = format!("/proc/{pid}");
        let read = |path: &str| fs::read_to_string(path).map_err(|error| failed(pid, error));
        let strange = || failed(pid, io::Error::other("/proc looks unlike what proc(5) describes"));
        let status = read(&format!("{folder}/status"))?;
        let ticks = processor_ticks(&read(&format!("{folder}/stat"))?).ok_or_else(strange)?;
        Ok(Usage {
            memory_bytes: field(&status, "VmRSS").and_then(kilobytes).ok_or_else(strange)?,
            processor_s: ticks as f64 / rustix::param::clock_ticks_per_second() as f64,
            descriptors: fs::read_dir(format!("{folder}/fd")).map_err(|error| failed(pid, error))?.count()
                as u64,
            wakeups: wakeups(&format!("{folder}/task")).map_err(|error| failed(pid, error))?,
        })
    }

    fn failed(pid: u32, error: io::Error) -> Error {
        Error::io(format!("reading the resources of process {pid}"), error)
    }

    /// `utime` and `stime`, fields 14 and 15. The second field is the name in parentheses and may hold anything, so
    /// counting starts behind its last parenthesis.
    pub(super) fn processor_ticks(stat: &str) -> Option<u64> {
        let (_, behind_name) = stat.rsplit_once(')')?;
        let mut fields = behind_name.split_whitespace().skip(11);
        let mut next = || fields.next()?.parse::<u64>().ok();
        next()?.checked_add(next()?)
    }

    /// How often all threads that there are gave up a processor of their own accord.
    fn wakeups(tasks: &str) -> io::Result<u64> {
        let mut sum = 0;
        for task in fs::read_dir(tasks)?.flatten() {
            // A thread may end between the listing and the reading.
            let Ok(status) = fs::read_to_string(task.path().join("status")) else { continue };
            sum += field(&status, "voluntary_ctxt_switches").and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
        }
        Ok(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_read_back_as_they_print() {
        for (text, printed) in
            [("idle", "idle"), ("1000", "1000"), ("10k", "10000"), ("all", "all"), ("0.5", "0.5")]
        {
            assert_eq!(text.parse::<Profile>().unwrap().to_string(), printed);
        }
        assert_eq!(Profile::All.steps().len(), 3);
        assert_eq!(Profile::Idle.steps(), [Profile::Idle]);
        for (text, advice) in [("0", "write idle"), ("fast", "or all"), ("", "or all"), ("-1", "or all")] {
            let sentence = text.parse::<Profile>().unwrap_err().to_string();
            assert!(sentence.contains(advice), "{text}: {sentence}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn processor_time_is_read_behind_any_name() {
        let stat = "12 (a) b (c) R 1 2 3 4 5 6 7 8 9 10 250 125 0 0 20 0 1 0 5 6 7";
        assert_eq!(linux::processor_ticks(stat), Some(375));
        for strange in ["", "12", "12 (a) R", "12 (a) R 1 2 3 4 5 6 7 8 9 10 x 5"] {
            assert_eq!(linux::processor_ticks(strange), None, "{strange}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_this_process_takes_is_seen() {
        let sampler = Sampler::start(std::process::id()).unwrap();
        let held: Vec<_> = (0..20).map(|_| std::net::UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        // Blocks in a read until the other thread has answered, so each round gives up the processor.
        let (ask, asked) = std::sync::mpsc::sync_channel(0);
        let (answer, answered) = std::sync::mpsc::sync_channel(0);
        let echo = std::thread::spawn(move || asked.iter().for_each(|n: u32| answer.send(n).unwrap()));
        (0..50).for_each(|n| {
            ask.send(n).unwrap();
            assert_eq!(answered.recv(), Ok(n));
        });
        let traffic =
            Traffic { wall: Duration::from_secs(2), messages: 50, received_bytes: 100, sent_bytes: 300 };
        let seen = sampler.finish(Profile::Rate(25.0), &traffic).unwrap();
        drop(ask);
        echo.join().unwrap();
        assert!(seen.memory_bytes > 1 << 20 && seen.descriptors >= held.len() as u64, "{seen:?}");
        assert!(seen.wakeups_per_s > 0.0 && seen.processor_fraction >= 0.0, "{seen:?}");
        assert_eq!((seen.profile.as_str(), seen.messages_per_s), ("25", 25.0));
        assert_eq!((seen.received_bytes_per_s, seen.sent_bytes_per_s), (50.0, 150.0));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_that_is_not_there_is_named() {
        // Process ids end at 4,194,304.
        let sentence = Sampler::start(u32::MAX).unwrap_err().to_string();
        assert!(sentence.starts_with("reading the resources of process 4294967295: "), "{sentence}");
    }
}
