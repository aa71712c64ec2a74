//! TLS and Noise with software that none of us wrote: openssl, gnutls, curl, nginx, redis-cli, and
//! Python's noiseprotocol.
//!
//! Where a program is missing its tests say so and pass; where CI is set they fail.

mod certificates;
mod curl;
mod example;
mod gnutls;
mod nginx;
mod noise;
mod openssl;
mod openssl_client;
mod openssl_files;
mod openssl_server;
mod ours;
mod redis;
mod reload;
mod rig;
mod rigs;
mod rustls;
#[path = "../../src/thorough.rs"]
mod thorough;
