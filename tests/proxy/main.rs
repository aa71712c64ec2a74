//! The fault proxy between real sockets: what passes, what does not, and that nothing else is changed by it.
//!
//! Times are only ever asserted as lower bounds that follow from a toxic itself.

mod changes;
mod hostile;
mod plain;
mod rig;
mod swarm;
mod toxics;
mod values;
