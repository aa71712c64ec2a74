//! Every bound that keeps memory finite, by name, with the reason for its value.
//!
//! A peer can make nothing here grow past these. They are defaults where an option exists to change them,
//! and constants where none does.

/// One kibibyte.
const KIB: usize = 1024;
/// One mebibyte.
const MIB: usize = 1024 * KIB;

/// The receive buffer that all connections of a reactor share, in bytes. 256 KiB streams 35 % faster than
/// 64 KiB; 512 KiB was no better.
pub const RECEIVE_BUFFER_BYTES: usize = 256 * KIB;

/// The most a connection may keep of what it was lent, in bytes: the length of an incomplete frame.
pub const KEPT_BYTES_MAX: usize = 64 * KIB;

/// Default low watermark of an outbound queue, in bytes.
pub const OUT_QUEUE_LOW_BYTES: usize = 64 * KIB;

/// Default high watermark of an outbound queue, in bytes.
pub const OUT_QUEUE_HIGH_BYTES: usize = 256 * KIB;

/// Default hard bound of an outbound queue, in bytes. Above the high watermark there must be room for the
/// echo of everything that one more read can deliver; [`Watermarks::validate`](crate::buffer::Watermarks::validate)
/// has the sum.
pub const OUT_QUEUE_BYTES_MAX: usize = MIB;

/// How many parts an outbound queue that has run empty keeps room for: 4 KiB on 64-bit machines. A queue
/// that grew longer, of many small shared parts for instance, gives its list back when it has drained.
pub const OUT_QUEUE_PARTS_KEPT_MAX: usize = 128;

/// Spare 4 KiB chunks that a pool holds for reuse, in bytes. A put beyond that frees the chunk.
pub const POOL_FREE_SMALL_BYTES_MAX: usize = 4 * MIB;

/// Spare 64 KiB chunks that a pool holds for reuse, in bytes. A put beyond that frees the chunk.
pub const POOL_FREE_MEDIUM_BYTES_MAX: usize = 8 * MIB;

/// Spare 1 MiB chunks that a pool holds for reuse, in bytes. A put beyond that frees the chunk. It also
/// bounds how long a trim takes, because unmapping touched pages is most of what a trim costs.
pub const POOL_FREE_LARGE_BYTES_MAX: usize = 16 * MIB;
