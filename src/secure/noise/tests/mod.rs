//! What the tests of the Noise layer share: two transformers and the wires between them.

mod configuration;
mod failures;
mod handshakes;
mod measurements;
mod transport;
mod vectors;

use super::ends::*;
use super::{Cipher, Hash, KeyPair, Noise, NoiseTransformer, Pattern, Wanted};
use crate::error::Cause;
use crate::limits::{NOISE_EMPTY_MESSAGES_MAX, NOISE_HANDSHAKE_MESSAGE_BYTES_MAX};
use crate::secure::{Failure, Session};
use crate::time::Instant;
