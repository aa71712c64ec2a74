//! TLS and Noise with software that none of us wrote: openssl, curl, nginx, and Python's noiseprotocol.
//!
//! Where a program is missing its tests say so and pass; where CI is set they fail.

mod certificates;
mod openssl;
mod rig;
mod rigs;
