//! What can be set on a socket before it carries bytes.

use socket2::SockRef;
use std::io;
use std::time::Duration;

/// Options of a TCP socket. Those that a Unix socket does not have are ignored there.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct SocketOptions {
    /// Send small segments at once instead of waiting for acknowledgements (`TCP_NODELAY`). Default: on,
    /// because the reactor coalesces what one handler call sends.
    pub nodelay: bool,
    /// Probe a silent peer (`SO_KEEPALIVE`). Default: off; the keep-alive timeout closes idle connections.
    pub keep_alive: Option<KeepAlive>,
    /// How long sent data may stay unacknowledged before the kernel gives up (`TCP_USER_TIMEOUT`, Linux).
    /// Default: the kernel's own, about 15 minutes.
    pub user_timeout: Option<Duration>,
    /// Kernel send buffer in bytes (`SO_SNDBUF`). Default: the kernel's autotuning.
    pub send_buffer_bytes: Option<usize>,
    /// Kernel receive buffer in bytes (`SO_RCVBUF`). Default: the kernel's autotuning.
    pub receive_buffer_bytes: Option<usize>,
    /// How long closing the descriptor waits for unsent data (`SO_LINGER`); zero resets instead. Default:
    /// none, the kernel goes on sending in the background.
    pub linger: Option<Duration>,
}

impl Default for SocketOptions {
    fn default() -> SocketOptions {
        SocketOptions {
            nodelay: true,
            keep_alive: None,
            user_timeout: None,
            send_buffer_bytes: None,
            receive_buffer_bytes: None,
            linger: None,
        }
    }
}

/// How TCP probes a silent peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeepAlive {
    /// Silence before the first probe; whole seconds.
    pub idle: Duration,
    /// Pause between probes; whole seconds.
    pub interval: Duration,
    /// Unanswered probes before the kernel gives up.
    pub probes: u32,
}

impl SocketOptions {
    /// Applies what differs from the kernel's defaults; on a listener, what Linux lets accepted sockets
    /// inherit, so that accepting costs no further system call.
    pub(crate) fn apply(&self, socket: &SockRef<'_>, tcp: bool) -> io::Result<()> {
        if let Some(bytes) = self.send_buffer_bytes {
            socket.set_send_buffer_size(bytes)?;
        }
        if let Some(bytes) = self.receive_buffer_bytes {
            socket.set_recv_buffer_size(bytes)?;
        }
        if self.linger.is_some() {
            socket.set_linger(self.linger)?;
        }
        if !tcp {
            return Ok(());
        }
        if self.nodelay {
            socket.set_tcp_nodelay(true)?;
        }
        if let Some(probe) = self.keep_alive {
            let params = socket2::TcpKeepalive::new()
                .with_time(probe.idle)
                .with_interval(probe.interval)
                .with_retries(probe.probes);
            socket.set_tcp_keepalive(&params)?;
        }
        #[cfg(target_os = "linux")]
        if self.user_timeout.is_some() {
            socket.set_tcp_user_timeout(self.user_timeout)?;
        }
        Ok(())
    }
}
