//! Memory for bytes that must wait: a pool of chunks for each core, and the outbound queue of a connection.
//!
//! Most bytes never come here. What arrives is lent from the reactor's one receive buffer, and what is sent
//! mostly fits the kernel's. Only what the kernel refused, or what a handler wants to see again, is copied
//! into a [`Chunk`] of the core's [`Pool`]; it goes back as soon as it is empty, so a connection with
//! nothing pending owns no buffer.
//!
//! ```
//! use windlass::buffer::{OutQueue, Pool};
//!
//! let mut pool = Pool::new();
//! let mut queue = OutQueue::new();
//! queue.append(&mut pool, b"refused by the kernel");
//! queue.consume(&mut pool, 8); // it took 8 bytes after all
//! assert_eq!(queue.front(), b"by the kernel");
//! queue.clear(&mut pool);
//! assert_eq!(pool.bytes_taken(), 0);
//! ```

mod chunk;
mod leaks;
mod pool;
mod queue;
mod watermarks;

pub use chunk::Chunk;
pub use leaks::Leak;
pub use pool::{
    CLASS_BYTES, ClassStats, LARGE_CHUNK_BYTES, MEDIUM_CHUNK_BYTES, OversizeStats, Pool, PoolStats,
    SMALL_CHUNK_BYTES,
};
pub use queue::{OutQueue, SHARED_BYTES_MIN};
pub use watermarks::Watermarks;
