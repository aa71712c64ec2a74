//! What rustls keeps of a finished handshake: the key schedule, for key updates and tickets.

use super::super::keys::{KeySchedule, Suite, TrafficKey};
use super::sessions::{Arriving, Origin, now_s};
use super::{failures, tap};
use crate::error::Cause;
use crate::secure::Failure;
use rustls::ConnectionTrafficSecrets;
use rustls::client::ClientConnectionData;
use rustls::kernel::KernelConnection;
use rustls::server::ServerConnectionData;
use std::fmt;

/// The key schedule of one end.
pub(crate) enum Schedule {
    /// With what its sessions come from, if they are kept.
    Client(KernelConnection<ClientConnectionData>, Option<Origin>),
    Server(KernelConnection<ServerConnectionData>),
}

impl KeySchedule for Schedule {
    fn next_sending(&mut self) -> Result<TrafficKey, Failure> {
        let secrets = match self {
            Schedule::Client(kept, _) => kept.update_tx_secret(),
            Schedule::Server(kept) => kept.update_tx_secret(),
        };
        secrets.map_err(|error| failures::of(&error)).and_then(traffic_key)
    }

    fn next_receiving(&mut self) -> Result<TrafficKey, Failure> {
        let secrets = match self {
            Schedule::Client(kept, _) => kept.update_rx_secret(),
            Schedule::Server(kept) => kept.update_rx_secret(),
        };
        secrets.map_err(|error| failures::of(&error)).and_then(traffic_key)
    }

    fn ticket(&mut self, payload: &[u8]) -> Result<(), Failure> {
        match self {
            Schedule::Client(kept, Some(origin)) => {
                let (ticket, received_s) = (payload.to_vec(), now_s());
                let arriving = Arriving { ticket, received_s, origin: origin.clone() };
                let handle = || kept.handle_new_session_ticket(payload);
                arriving.during(|| tap::capture(handle).0).map_err(|error| failures::of(&error))
            }
            Schedule::Client(kept, None) => {
                kept.handle_new_session_ticket(payload).map_err(|error| failures::of(&error))
            }
            Schedule::Server(_) => Err(Failure::because(Cause::ProtocolViolation, "a client sent a ticket")),
        }
    }
}

/// Says nothing of the keys.
impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Schedule::Client(..) => "Schedule::Client",
            Schedule::Server(_) => "Schedule::Server",
        })
    }
}

/// The key of one direction as our record layer wants it.
pub(super) fn traffic_key(
    (sequence, secrets): (u64, ConnectionTrafficSecrets),
) -> Result<TrafficKey, Failure> {
    let (suite, key, iv) = match &secrets {
        ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (Suite::Aes128Gcm, key, iv),
        ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (Suite::Aes256Gcm, key, iv),
        ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (Suite::ChaCha20Poly1305, key, iv),
        _ => return Err(unknown_suite()),
    };
    let iv: Option<[u8; 12]> = iv.as_ref().try_into().ok();
    iv.and_then(|iv| TrafficKey::new(suite, key.as_ref(), iv, sequence)).ok_or_else(unknown_suite)
}

fn unknown_suite() -> Failure {
    Failure::because(Cause::NothingInCommon, "a cipher suite that the record layer does not have")
}
