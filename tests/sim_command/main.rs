//! `windlass sim` from outside: every scenario at a small size, the same seed twice, what is refused, and what is written.

mod plays;
mod refusals;
mod results;
mod rig;
