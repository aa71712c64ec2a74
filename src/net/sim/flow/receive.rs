//! The receiving end: what has arrived, what has arrived too early, and the window that is offered.

use super::{Change, Flow, HEADER_BYTES, Step, Wire};

/// Where the receiver stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inbound {
    /// First byte that has not arrived.
    arrived: u64,
    /// First byte that is not read.
    read: u64,
    /// First byte that no acknowledgement has offered room for.
    offered: u64,
}

impl Inbound {
    pub(super) fn new(buffer_bytes: u32) -> Inbound {
        Inbound { arrived: 0, read: 0, offered: u64::from(buffer_bytes) }
    }

    pub(super) fn arrived(&self) -> u64 {
        self.arrived
    }

    pub(super) fn read(&self) -> u64 {
        self.read
    }

    /// The reader has taken `count` bytes more.
    pub(super) fn take(&mut self, count: u64) {
        self.read += count;
    }
}

impl Flow {
    /// A segment arrives, and its acknowledgement sets out.
    pub(super) fn receive(&mut self, wire: &mut Wire<'_, '_>, seq: u64, serial: u32, len: u16) -> Change {
        let (before, ended) = (self.readable(), self.end_arrived());
        let arrived = self.inbound.arrived;
        self.accept(seq, seq + u64::from(len));
        if let Some(chaos) = &mut self.chaos
            && let Some(at) = chaos.arrive(&self.settings, wire.now, arrived, self.inbound.arrived)
        {
            wire.out.push((at, Step::Rest));
        }
        self.acknowledge(wire, serial);
        Change { readable: self.readable() > before, end: self.end_arrived() && !ended, ..Change::default() }
    }

    /// What a short read hid becomes visible.
    pub(super) fn reveal(&mut self) -> Change {
        let (before, ended) = (self.readable(), self.end_arrived());
        self.chaos.iter_mut().for_each(|chaos| chaos.reveal());
        Change { readable: self.readable() > before, end: self.end_arrived() && !ended, ..Change::default() }
    }

    /// Notes the bytes from `from` to `to`, in order or not.
    fn accept(&mut self, from: u64, to: u64) {
        if from > self.inbound.arrived {
            self.repair.get_or_insert_default().early.insert(from, to);
            return;
        }
        self.inbound.arrived = self.inbound.arrived.max(to);
        if let Some(repair) = &mut self.repair {
            self.inbound.arrived = repair.early.take_up_to(self.inbound.arrived);
        }
    }

    /// Room up to this byte can be offered.
    fn offer(&self) -> u64 {
        self.inbound.read + u64::from(self.settings.receive_buffer_bytes)
    }

    /// Bytes that the sender may send, as far as it was told.
    fn window_told(&self) -> u64 {
        self.inbound.offered.saturating_sub(self.inbound.arrived)
    }

    fn acknowledge(&mut self, wire: &mut Wire<'_, '_>, serial: u32) {
        self.inbound.offered = self.offer().max(self.inbound.offered);
        let ack_at = wire.paths.back.carry_spared(wire.now, HEADER_BYTES).arrival();
        self.in_flight.arrived(serial, ack_at, self.inbound.arrived, self.window_told() as u32);
        match ack_at {
            Some(at) if at <= self.timer_due() => {}
            _ => self.arm(wire.now, wire.out),
        }
        self.await_acks(wire);
    }

    /// Tells the sender of room, if it was last told that there is little, and if there is now twice as much and
    /// enough for a segment (Linux's `tcp_cleanup_rbuf`; RFC 1122 on silly windows).
    pub(super) fn update_window(&mut self, wire: &mut Wire<'_, '_>) {
        let told = self.window_told();
        let buffer_bytes = u64::from(self.settings.receive_buffer_bytes);
        if 2 * told > buffer_bytes || self.inbound.arrived > self.written {
            return;
        }
        let window = self.offer() - self.inbound.arrived;
        if window <= told || window < 2 * told || window < u64::from(self.settings.mss).min(buffer_bytes / 2)
        {
            return;
        }
        self.inbound.offered = self.offer();
        match wire.paths.back.carry_spared(wire.now, HEADER_BYTES).arrival() {
            Some(at) => wire.out.push((at, Step::Window { edge: self.inbound.offered })),
            None => self.arm(wire.now, wire.out),
        }
    }
}
