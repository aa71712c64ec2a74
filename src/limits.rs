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

/// Consecutive TLS records without content. Each costs us a decryption and the peer next to nothing; OpenSSL and
/// BoringSSL draw the line here too.
#[cfg(feature = "tls")]
pub(crate) const TLS_EMPTY_RECORDS_MAX: u8 = 32;

/// TLS key updates of the peer without data between them. Each makes us derive a key; BoringSSL and rustls draw the
/// line here too.
#[cfg(feature = "tls")]
pub(crate) const TLS_KEY_UPDATES_MAX: u8 = 32;

/// Session tickets of a TLS server without data between them. Servers send one or two.
#[cfg(feature = "tls")]
pub(crate) const TLS_TICKETS_MAX: u8 = 32;

/// Alerts of one TLS connection that mean nothing: `user_canceled`, which some peers send before they close.
/// BoringSSL and rustls draw the line here too.
#[cfg(feature = "tls")]
pub(crate) const TLS_IDLE_ALERTS_MAX: u8 = 4;

/// A handshake message after the TLS handshake, in bytes, which may come in fragments and is then kept. Only session
/// tickets are of any length; BoringSSL draws the line here too.
#[cfg(feature = "tls")]
pub(crate) const TLS_LATE_MESSAGE_BYTES_MAX: usize = 16 * KIB;

/// Records sealed under one AES-GCM key before we change it. RFC 8446, section 5.5, allows 2^24.5 records of full
/// length.
#[cfg(feature = "tls")]
pub(crate) const TLS_AES_GCM_RECORDS_MAX: u64 = 1 << 24;

/// Records sealed under one ChaCha20-Poly1305 key before we change it. The cipher itself sets no bound (RFC 8446,
/// section 5.5); the sequence number does, and rustls changes the key at the same distance from its end.
#[cfg(feature = "tls")]
pub(crate) const TLS_CHACHA20_RECORDS_MAX: u64 = u64::MAX - 0xffff;

/// Spare 4 KiB chunks that a pool holds for reuse, in bytes. A put beyond that frees the chunk.
pub const POOL_FREE_SMALL_BYTES_MAX: usize = 4 * MIB;

/// Spare 64 KiB chunks that a pool holds for reuse, in bytes. A put beyond that frees the chunk.
pub const POOL_FREE_MEDIUM_BYTES_MAX: usize = 8 * MIB;

/// Spare 1 MiB chunks that a pool holds for reuse, in bytes. A put beyond that frees the chunk. It also
/// bounds how long a trim takes, because unmapping touched pages is most of what a trim costs.
pub const POOL_FREE_LARGE_BYTES_MAX: usize = 16 * MIB;

/// Bytes that small sends of one handler call gather before they are written.
pub const CORK_BYTES: usize = 16 * KIB;

/// Sends of this many bytes or more are written at once from the caller's slice. Measured: below it the copy
/// into the cork is cheaper than a system call of its own.
pub const DIRECT_SEND_BYTES_MIN: usize = 4 * KIB;

/// Plaintext sealed in one go, and written with one call if nothing waits before it: four records of 16 KiB.
pub(crate) const SEAL_BYTES: usize = 64 * KIB;

/// Plaintext sealed in one go into a queue: three records, which fit a pooled chunk of 64 KiB with what sealing adds.
/// Four would each take one of 1 MiB.
pub(crate) const QUEUED_SEAL_BYTES: usize = 48 * KIB;

/// Accepted connections of a reactor that may be shaking hands at once by default; more are reset when they come.
pub const HANDSHAKES_MAX: usize = 16_384;

/// Connections that a secured listener takes in during one turn while others stand in line for their handshake.
pub(crate) const ACCEPTS_WHILE_SHAKING: usize = 4;

/// Handles that the line for handshakes may hold of connections that are gone, besides as many as there are
/// connections.
pub(crate) const GONE_SHAKERS_MAX: usize = 1024;

/// Slices offered to the kernel in one gathered write.
pub(crate) const GATHER_SLICES_MAX: usize = 64;

/// Emptied outbound queues held for reuse.
pub(crate) const SPARE_QUEUES_MAX: usize = 1024;

/// Reads of 4 KiB by which one event may discard what a closing connection still receives.
pub(crate) const LINGER_READS_MAX: usize = 64;

/// Bytes over all outbound queues and kept tails of one reactor by default.
pub const BUFFER_BYTES_MAX: usize = 256 * MIB;

/// Readiness events taken from the kernel in one turn by default.
pub const EVENTS_MAX: usize = 1024;

/// Mailboxes of one reactor: each has a bit in the reactor's bell.
pub const MAILBOXES_MAX: usize = 60;

/// Listeners of one reactor.
pub const LISTENERS_MAX: usize = 1024;

/// Components of one reactor that may have an owner of their own.
pub const OWNERS_MAX: u16 = u16::MAX;

/// Addresses that admission control remembers at once.
pub const ADMISSION_ADDRESSES_MAX: usize = 65_536;

/// Connections shed from the backlog in one go, when descriptors have run out for a while.
pub(crate) const SHED_AT_ONCE_MAX: usize = 16;

/// Sockets on their way from the accepting core to another.
pub(crate) const HAND_OFF_MAX: usize = 4096;

/// The longest TLS record, header included: 16 KiB of plaintext and the 256 bytes that TLS 1.3 allows on top of it
/// (RFC 8446, section 5.2). A longer one is refused by its header, before it is waited for.
#[cfg(feature = "tls")]
pub(crate) const TLS_RECORD_BYTES_MAX: usize = 5 + 16 * KIB + 256;

/// Bytes that a TLS handshake may take from the peer: rustls' own bound for one message, and four times what a
/// chain of certificates usually needs. Early data does not count.
#[cfg(feature = "tls")]
pub const TLS_HANDSHAKE_BYTES_MAX: usize = 64 * KIB;

/// Servers whose sessions a client keeps by default, for the next connection to each.
#[cfg(feature = "tls")]
pub const TLS_SESSIONS_MAX: usize = 1024;

/// Sessions that a server remembers at once for early data. The oldest is forgotten first; who comes back with a
/// forgotten one makes a full handshake.
#[cfg(feature = "tls")]
pub const TLS_EARLY_SESSIONS_MAX: usize = 16_384;

/// Bytes that a file with a Noise key may have: 64 hex digits, and room for white space around them.
#[cfg(feature = "noise")]
pub(crate) const NOISE_KEY_FILE_BYTES_MAX: usize = 256;

/// Bytes of the longest handshake message of any Noise pattern that we have: two keys and two tags. A longer one
/// is refused by its length alone.
#[cfg(feature = "noise")]
pub(crate) const NOISE_HANDSHAKE_MESSAGE_BYTES_MAX: usize = 96;

/// Plaintext in one Noise message that we send, in bytes. The protocol allows nearly 64 KiB; at 16 KiB the cost
/// per message is already small, and the receiver can open it that much earlier.
#[cfg(feature = "noise")]
pub(crate) const NOISE_PLAINTEXT_BYTES_MAX: usize = 16 * KIB;

/// The same inside TLS: as much as makes one whole TLS record with the length and the tag of the message.
#[cfg(all(feature = "noise", feature = "tls"))]
pub(crate) const NOISE_PLAINTEXT_INSIDE_TLS_BYTES_MAX: usize = 16 * KIB - 18;

/// Noise messages without content that are ignored in a row. Some protocols pad or probe with a few; more only
/// cost their receiver time.
#[cfg(feature = "noise")]
pub(crate) const NOISE_EMPTY_MESSAGES_MAX: u8 = 32;

/// Noise messages after which a direction changes its key, by default.
#[cfg(feature = "noise")]
pub(crate) const NOISE_REKEY_MESSAGES: u64 = 1 << 20;

/// Proxies of one [`Proxies`](crate::proxy::Proxies): each may be a listener.
#[cfg(feature = "proxy")]
pub const PROXIES_MAX: usize = LISTENERS_MAX;

/// Toxics of one proxy.
#[cfg(feature = "proxy")]
pub const PROXY_TOXICS_MAX: usize = 64;

/// Bytes in the name of a proxy or a toxic.
#[cfg(feature = "proxy")]
pub const PROXY_NAME_BYTES_MAX: usize = 255;

/// Bytes that the toxics of one direction of a proxied connection hold before its sender is not read any more, each
/// piece with what it costs to keep it. One receive buffer may come on top. About what the kernel's largest receive
/// window is by default (6 MiB): a latency of 100 ms lets 60 MB/s through.
#[cfg(feature = "proxy")]
pub const PROXY_HELD_BYTES_MAX: usize = 6 * MIB;

/// The same for all proxied connections of a reactor together. Beyond it, whoever has bytes held is not read;
/// from each of the others one receive buffer may come on top.
#[cfg(feature = "proxy")]
pub const PROXY_HELD_ALL_BYTES_MAX: usize = 256 * MIB;

/// Descriptors of one simulated host, unless it is given fewer: what Linux allows a process at most by default
/// (`fs.nr_open`).
#[cfg(feature = "sim")]
pub const SIM_DESCRIPTORS_MAX: usize = 1 << 20;

/// Runs that a failing simulation is shrunk with, at most: twenty faults of which two matter take about fifty.
#[cfg(feature = "sim")]
pub const SIM_SHRINK_RUNS_MAX: usize = 1000;

/// Faults that one drawing of chaos has, at most.
#[cfg(feature = "sim")]
pub const SIM_CHAOS_FAULTS_MAX: usize = 10_000;

/// Lines that the recording of a simulation holds, at most: the last ones.
#[cfg(feature = "sim")]
pub const SIM_RECORDED_LINES_MAX: usize = 1 << 20;
