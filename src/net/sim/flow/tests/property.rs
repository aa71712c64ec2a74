//! Whatever is done to a flow: what is read is what was written, in order, and all of it once the network is whole.

use super::*;
use crate::thorough::thorough;
use proptest::prelude::*;

/// Something that happens to a flow and its paths.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Write(usize),
    Read(usize),
    Wait(u64),
    Block { forward: bool, back: bool },
    Clog { forward: bool, millis: u64 },
    Burst { probability: f64, millis: u64 },
    Relink { latency_ms: u64, jitter_ms: u64 },
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        4 => (0..40_000_usize).prop_map(Deed::Write),
        4 => (1..30_000_usize).prop_map(Deed::Read),
        6 => (0..400_u64).prop_map(Deed::Wait),
        1 => (any::<bool>(), any::<bool>()).prop_map(|(forward, back)| Deed::Block { forward, back }),
        1 => (any::<bool>(), 0..2_000_u64).prop_map(|(forward, millis)| Deed::Clog { forward, millis }),
        1 => (0.0..1.0, 0..1_000_u64).prop_map(|(probability, millis)| Deed::Burst { probability, millis }),
        1 => (0..300_u64, 0..50_u64)
            .prop_map(|(latency_ms, jitter_ms)| Deed::Relink { latency_ms, jitter_ms }),
    ]
}

fn settings() -> impl Strategy<Value = FlowSettings> {
    (100..3_000_u16, 1..60_000_u32, 1..60_000_u32, 0.0..0.4, 0.0..0.4).prop_map(
        |(mss, send_buffer_bytes, receive_buffer_bytes, short_read, short_write)| FlowSettings {
            mss,
            send_buffer_bytes,
            receive_buffer_bytes,
            user_timeout: None,
            short_read,
            short_write,
        },
    )
}

fn byte(index: u64) -> u8 {
    (index.wrapping_mul(0x9e37_79b9) >> 11) as u8
}

/// A flow with a writer and a reader that keep count.
struct Run {
    world: World,
    written: u64,
    read: u64,
    failed: bool,
}

impl Run {
    fn write(&mut self, len: usize) {
        let bytes: Vec<u8> = (self.written..self.written + len as u64).map(byte).collect();
        self.written += self.world.write(&bytes) as u64;
    }

    fn read(&mut self, len: usize) {
        let mut into = vec![0; len];
        let count = self.world.flow.read(&mut into);
        self.world.pump();
        let wanted = (self.read..).map(byte);
        assert!(into[..count].iter().copied().eq(wanted.take(count)), "not what was written");
        self.read += count as u64;
        assert!(self.read <= self.written);
    }

    fn wait(&mut self, duration: Duration) {
        self.failed |= self.world.run_for(duration).failed.is_some();
        let flow = &self.world.flow;
        assert!(flow.readable() <= flow.settings.receive_buffer_bytes as usize);
        assert!(flow.written - flow.bytes_acked() <= u64::from(flow.settings.send_buffer_bytes));
    }

    fn act(&mut self, deed: Deed) {
        let now = self.world.now;
        let later = |millis| now + Duration::from_millis(millis);
        match deed {
            Deed::Write(len) => self.write(len),
            Deed::Read(len) => self.read(len),
            Deed::Wait(millis) => self.wait(Duration::from_millis(millis)),
            Deed::Block { forward, back } => {
                self.world.forward.set_blocked(forward);
                self.world.back.set_blocked(back);
            }
            Deed::Clog { forward: true, millis } => self.world.forward.clog_until(later(millis)),
            Deed::Clog { forward: false, millis } => self.world.back.clog_until(later(millis)),
            Deed::Burst { probability, millis } => {
                self.world.forward.burst_loss(probability, later(millis));
                self.world.back.burst_loss(probability, later(millis));
            }
            Deed::Relink { latency_ms, jitter_ms } => {
                let link = fixed(latency_ms).jitter(Duration::from_millis(jitter_ms)).loss(0.02);
                self.world.forward.set(&link);
                self.world.back.set(&link);
            }
        }
    }

    /// Heals everything, and lets writer and reader go on until the end has arrived and is known to have.
    fn complete(&mut self) {
        self.world.forward.set_blocked(false);
        self.world.back.set_blocked(false);
        self.world.flow.finish();
        self.world.pump();
        for _ in 0..100_000 {
            self.read(1 << 20);
            if self.world.flow.at_end() && self.world.flow.is_done() {
                break;
            }
            let change = self.world.step().expect("it does not stop before the end");
            assert_eq!(change.failed, None);
        }
        assert_eq!(self.read, self.written);
        assert!(self.world.flow.at_end() && self.world.flow.is_done());
        while self.world.step().is_some() {}
        let flow = &self.world.flow;
        assert_eq!(flow.buffered(), 0);
        assert!(!flow.stream.owns_memory() && flow.in_flight.is_empty() && flow.in_flight.bytes() == 0);
        assert!(flow.repair.as_ref().is_none_or(|repair| repair.lost.is_empty()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(thorough(2_000, 100)))]

    #[test]
    fn bytes_are_late_and_in_order_and_never_missing(
        settings in settings(),
        loss in prop_oneof![Just(0.0), 0.0..0.3],
        bandwidth in prop_oneof![Just(None), (50_000..50_000_000_u64).prop_map(Some)],
        queue in 0..100_000_usize,
        deeds in prop::collection::vec(deed(), 1..60),
        seed in any::<u32>(),
    ) {
        let mut link = fixed(20).loss(loss).queue(queue);
        link.bandwidth_bits_per_s = bandwidth;
        let world = World::new(settings, &link, &link, u64::from(seed));
        let mut run = Run { world, written: 0, read: 0, failed: false };
        for deed in deeds {
            run.act(deed);
        }
        // Nothing above lasts long enough for anybody to give up.
        prop_assert!(!run.failed);
        run.complete();
    }
}
