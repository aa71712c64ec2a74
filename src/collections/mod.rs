//! Containers the reactor is built from: generational slots, per-connection storage, the deadline wheel and
//! the timer heap. None of them reads a clock, locks or starts a thread, and each is usable alone.

mod handle;
mod per_conn;
mod slots;
mod timers;
mod wheel;

pub use handle::{Conn, Handle, Owner};
pub use per_conn::PerConn;
pub use slots::Slots;
pub use timers::TimerHeap;
pub use wheel::{Advance, DeadlineWheel};
