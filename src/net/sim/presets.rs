//! Links that everybody has met, with where their numbers come from.

use super::link::{Latency, Link};
use std::time::Duration;

const fn micros(micros: u64) -> Duration {
    Duration::from_micros(micros)
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const MBIT: u64 = 1_000_000;
const GBIT: u64 = 1_000 * MBIT;
const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// Round trips between regions of the large clouds in milliseconds, rounded: what their status pages and public
/// monitors show for pairs of North America, Europe, East and South Asia, Australia, South America and Africa.
const WORLD_ROUND_TRIPS_MS: [u64; 16] =
    [60, 70, 80, 90, 100, 120, 130, 140, 150, 170, 180, 200, 220, 240, 270, 310];

/// Only [`mobile`](Link::mobile) and [`bad_wifi`](Link::bad_wifi) lose anything: what is slow elsewhere is slow by
/// distance and rate alone. A single connection has a window of 3 MiB by default, which limits it where the way is long.
impl Link {
    /// Two programs on one machine: 10 µs each way, which is a wake-up of the other thread, and 40 Gbit/s, about what
    /// one core copies in and out of the kernel. Frames are those of Ethernet, not the 64 KiB of Linux's `lo`.
    #[must_use]
    pub fn loopback() -> Link {
        Link::new(micros(10)).bandwidth(40 * GBIT).queue(16 * MIB)
    }

    /// Two machines at one switch: 25 µs each way, the "tens of microseconds" of a data centre (Barroso et al.,
    /// "Attack of the Killer Microseconds", 2017), 10 Gbit/s, and the 12 MiB that common switches buffer.
    #[must_use]
    pub fn rack() -> Link {
        Link::new(micros(25)).bandwidth(10 * GBIT).queue(12 * MIB)
    }

    /// Two zones of one cloud region: round trips of 0.5 to 2 ms, and the 5 Gbit/s that EC2 documents as the most
    /// that a single connection gets outside a placement group.
    #[must_use]
    pub fn region() -> Link {
        let latency = Latency::Uniform { min: micros(250), max: micros(1_000) };
        Link::new(latency).jitter(micros(50)).bandwidth(5 * GBIT).queue(16 * MIB)
    }

    /// Two places on one continent: round trips of 10 to 80 ms. Light in fibre needs 10 ms for 1,000 km there and
    /// back; neighbouring cloud regions are that far apart, the coasts of North America 60 to 70 ms.
    #[must_use]
    pub fn continent() -> Link {
        let latency = Latency::Uniform { min: millis(5), max: millis(40) };
        Link::new(latency).jitter(micros(500)).bandwidth(GBIT).queue(16 * MIB)
    }

    /// Two continents: round trips of 60 to 310 ms, drawn from what public monitors show between cloud regions.
    #[must_use]
    pub fn world() -> Link {
        let latency = Latency::Table(WORLD_ROUND_TRIPS_MS.map(|round_trip| millis(round_trip) / 2).into());
        Link::new(latency).jitter(millis(1)).bandwidth(GBIT).queue(32 * MIB)
    }

    /// A telephone on LTE: round trips around 70 ms and 13 Mbit/s, the medians of Huang et al. (MobiSys 2012), with
    /// the deep queue of half a second that the same authors found in 2013. Scheduling in the cell varies from segment
    /// to segment, and hand-overs lose some.
    #[must_use]
    pub fn mobile() -> Link {
        let latency = Latency::LogNormal { median: millis(30), sigma: 0.25 };
        Link::new(latency).jitter(millis(10)).bandwidth(13 * MBIT).queue(800 * KIB).loss(0.002)
    }

    /// A wireless network at the edge of its range among many others: the way is short, but repetitions on the air
    /// delay a segment by up to 40 ms, and 2 % get lost in spite of them. A guess, meant to be unpleasant.
    #[must_use]
    pub fn bad_wifi() -> Link {
        Link::new(millis(5)).jitter(millis(40)).bandwidth(5 * MBIT).queue(256 * KIB).loss(0.02)
    }

    /// A geostationary satellite: 35,786 km up and down is 239 ms for light; with what the ground adds, round trips of
    /// 600 ms at 25 Mbit/s, as the FCC's "Measuring Broadband America" reports for such subscribers. Error correction
    /// leaves next to no losses (DVB-S2, ETSI EN 302 307: "quasi error free").
    #[must_use]
    pub fn satellite() -> Link {
        Link::new(millis(300)).jitter(millis(5)).bandwidth(25 * MBIT).queue(4 * MIB)
    }

    /// All presets by name, from the nearest to the worst.
    #[must_use]
    pub fn presets() -> [(&'static str, Link); 8] {
        [
            ("loopback", Link::loopback()),
            ("rack", Link::rack()),
            ("region", Link::region()),
            ("continent", Link::continent()),
            ("world", Link::world()),
            ("mobile", Link::mobile()),
            ("bad_wifi", Link::bad_wifi()),
            ("satellite", Link::satellite()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_make_sense() {
        for (name, link) in Link::presets() {
            link.validate().unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }
}
