//! What physics allows: the least time that something takes on a link, whatever the software does.

use crate::sim::Link;
use std::time::Duration;

/// Payload of a full segment.
const SEGMENT_BYTES: u64 = 1460;

/// Bytes of IPv4 and TCP headers of a segment.
const HEADER_BYTES: u64 = 40;

/// How long the link's bottleneck takes for so many bytes and their headers.
pub fn serialization(link: &Link, bytes: u64) -> Duration {
    let on_the_wire = bytes + bytes.div_ceil(SEGMENT_BYTES) * HEADER_BYTES;
    link.bandwidth_bits_per_s
        .map_or(Duration::ZERO, |rate| Duration::from_secs_f64(on_the_wire as f64 * 8.0 / rate.max(1) as f64))
}
