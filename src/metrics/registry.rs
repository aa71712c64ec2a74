//! Everything a core counts, in one struct: the half its reactor writes and the half that others read.

use super::alert::TlsAlert;
use super::counter::{By, Counter, Gauge, Label};
use super::histogram::{HistogramReader, Recorder, histogram, histogram_up_to};
use super::slowest_turn::{SlowestTurn, SlowestTurnCell, slower};
use super::snapshot::HistogramSnapshot;
use crate::error::Cause;
use crate::time::Instant;
use std::ops::Deref;
use std::sync::Arc;

/// More events than this in one turn count as this many.
const EVENTS_PER_TURN_MAX: u64 = 65_536;

macro_rules! labels {
    ($(#[$doc:meta])* $name:ident { $($(#[$kind_doc:meta])* $kind:ident = $label:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum $name {
            $($(#[$kind_doc])* $kind,)*
        }

        impl Label for $name {
            const ALL: &'static [$name] = &[$($name::$kind,)*];

            #[inline]
            fn index(self) -> usize {
                self as usize
            }

            fn name(self) -> &'static str {
                match self {
                    $($name::$kind => $label,)*
                }
            }
        }
    };
}

labels! {
    /// The budgets of a turn. One that is exhausted leaves its rest to the next turn.
    Budget {
        /// Connections accepted from one listener.
        Accepts = "accepts",
        /// Bytes read from one connection.
        Bytes = "bytes",
        /// Steps of handshakes.
        Handshakes = "handshakes",
        /// Timers fired.
        Timers = "timers",
        /// Entries of the deadline wheel visited.
        Deadlines = "deadlines",
        /// Messages taken from one mailbox; counted once a turn that leaves or meanwhile gets some.
        Mail = "mail",
        /// Readiness events taken from the kernel.
        Events = "events",
    }
}

labels! {
    /// Why accepting failed.
    AcceptFailure {
        /// The connection was gone before it was accepted.
        Aborted = "aborted",
        /// The process or the system is out of descriptors.
        Descriptors = "descriptors",
        /// The kernel is out of buffer memory.
        Memory = "memory",
        /// Anything else.
        Other = "other",
    }
}

labels! {
    /// Which admission bound turned a connection away.
    Refusal {
        /// Connections from one address.
        PerAddress = "per_address",
        /// Accepts a second from one address.
        AcceptRate = "accept_rate",
        /// Connections of the reactor: its listeners paused.
        ConnectionsMax = "connections_max",
        /// Connections that are shaking hands.
        HandshakesMax = "handshakes_max",
    }
}

labels! {
    /// Handshakes of security layers, by what they were.
    HandshakeKind {
        /// A client's full TLS handshake with us.
        TlsServerFull = "tls_server_full",
        /// A client resumed a TLS session with us.
        TlsServerResumed = "tls_server_resumed",
        /// Our full TLS handshake with a server.
        TlsClientFull = "tls_client_full",
        /// We resumed a TLS session with a server.
        TlsClientResumed = "tls_client_resumed",
        /// A Noise handshake that the peer began.
        NoiseResponder = "noise_responder",
        /// A Noise handshake that we began.
        NoiseInitiator = "noise_initiator",
    }
}

impl Label for Cause {
    const ALL: &'static [Cause] = &Cause::ALL;

    #[inline]
    fn index(self) -> usize {
        self as usize
    }

    fn name(self) -> &'static str {
        Cause::name(self)
    }
}

/// Declares each number once, for the cells, the plain figures, their merging and their difference.
macro_rules! figures {
    (
        counters { $($(#[$counter_doc:meta])* $counter:ident,)* }
        tallies { $($(#[$tally_doc:meta])* $tally:ident: $kind:ty,)* }
        gauges { $($(#[$gauge_doc:meta])* $gauge:ident,)* }
        histograms { $($(#[$histogram_doc:meta])* $histogram:ident = $make:expr,)* }
    ) => {
        /// The cells of one core. The first eight are written for every event or turn and fill a cache line; all
        /// stand apart from other cores' by the two lines that processors fetch together.
        #[derive(Debug, Default)]
        #[repr(C, align(128))]
        pub struct CoreCells {
            $($(#[$counter_doc])* pub $counter: Counter,)*
            $($(#[$tally_doc])* pub $tally: By<$kind, Counter, { <$kind as Label>::ALL.len() }>,)*
            $($(#[$gauge_doc])* pub $gauge: Gauge,)*
            /// The longest turn so far.
            pub slowest_turn: SlowestTurnCell,
        }

        /// The figures of one core or of all together, as plain numbers.
        #[derive(Clone, PartialEq, Debug, Default)]
        pub struct Figures {
            $($(#[$counter_doc])* pub $counter: u64,)*
            $($(#[$tally_doc])* pub $tally: By<$kind, u64, { <$kind as Label>::ALL.len() }>,)*
            $($(#[$gauge_doc])* pub $gauge: u64,)*
            $($(#[$histogram_doc])* pub $histogram: HistogramSnapshot,)*
            /// The longest turn. In an interval: only if it was the longest since the start.
            pub slowest_turn: Option<SlowestTurn>,
        }

        /// The writing half of a core's metrics, owned by its reactor. It can move to another thread but not be
        /// shared. Every number is a field: `metrics.bytes_in.add(n)`.
        #[derive(Debug)]
        pub struct CoreMetrics {
            cells: Arc<CoreCells>,
            view: CoreView,
            $($(#[$histogram_doc])* pub $histogram: Recorder,)*
        }

        /// The reading half of a core's metrics: clone it, send it, read as often as you like.
        #[derive(Clone, Debug)]
        pub struct CoreView {
            core: usize,
            started_at: Instant,
            cells: Arc<CoreCells>,
            $($histogram: HistogramReader,)*
        }

        impl CoreMetrics {
            /// Metrics of the core with that number, all at zero. Takes about 4 KiB; a histogram takes more
            /// when it has seen many different values.
            #[must_use]
            pub fn new(core: usize, started_at: Instant) -> CoreMetrics {
                let cells = Arc::new(CoreCells::default());
                $(let $histogram = $make;)*
                CoreMetrics {
                    view: CoreView {
                        core,
                        started_at,
                        cells: Arc::clone(&cells),
                        $($histogram: $histogram.1,)*
                    },
                    cells,
                    $($histogram: $histogram.0,)*
                }
            }
        }

        impl CoreView {
            /// The figures as of now, added to `into`.
            pub fn add_to(&self, into: &mut Figures) {
                let cells = &*self.cells;
                $(into.$counter = into.$counter.wrapping_add(cells.$counter.get());)*
                $(into.$tally = into.$tally.zip_with(&cells.$tally.get(), u64::wrapping_add);)*
                $(into.$gauge = into.$gauge.wrapping_add(cells.$gauge.get());)*
                $(self.$histogram.add_to(&mut into.$histogram);)*
                into.slowest_turn = slower(into.slowest_turn, cells.slowest_turn.get(self.core));
            }
        }

        impl Figures {
            /// Adds `other`: counters and gauges add up, histograms merge, the slower turn stays.
            pub fn merge(&mut self, other: &Figures) {
                $(self.$counter = self.$counter.wrapping_add(other.$counter);)*
                $(self.$tally = self.$tally.zip_with(&other.$tally, u64::wrapping_add);)*
                $(self.$gauge = self.$gauge.wrapping_add(other.$gauge);)*
                $(self.$histogram.merge(&other.$histogram);)*
                self.slowest_turn = slower(self.slowest_turn, other.slowest_turn);
            }

            /// What was added after `earlier`, which must be of the same cores. Gauges stay as they are.
            #[must_use]
            pub fn since(&self, earlier: &Figures) -> Figures {
                Figures {
                    $($counter: self.$counter.wrapping_sub(earlier.$counter),)*
                    $($tally: self.$tally.zip_with(&earlier.$tally, u64::wrapping_sub),)*
                    $($gauge: self.$gauge,)*
                    $($histogram: self.$histogram.since(&earlier.$histogram),)*
                    slowest_turn: self.slowest_turn.filter(|turn| earlier.slowest_turn != Some(*turn)),
                }
            }
        }
    };
}

figures! {
    counters {
        /// Bytes read from connections.
        bytes_in,
        /// Bytes that the kernel took from us.
        bytes_out,
        /// `Data` events.
        messages_in,
        /// Sends accepted.
        messages_out,
        /// Turns of the loop.
        turns,
        /// Events handed to the handler.
        events,
        /// Nanoseconds that turns spent working.
        busy_nanos,
        /// Nanoseconds that turns spent waiting for something to do.
        idle_nanos,
        /// Connects begun.
        connections_attempted,
        /// Connections taken from listeners.
        connections_accepted,
        /// Connections that became ready for data.
        connections_opened,
        /// Sends refused because the queue was full.
        sends_refused_full,
        /// Exact timers fired.
        timers_fired,
        /// Connection deadlines that came.
        deadlines_expired,
        /// `Mail` events.
        mail_events,
        /// Errors after which everything else goes on.
        errors_recoverable,
        /// Errors that ended a listener or a core.
        errors_critical,
        /// How often reading stopped because buffers used up their memory.
        reads_stopped_by_memory,
        /// Panics of the handler.
        handler_panics,
    }
    tallies {
        /// Connections ended, by cause; those that failed before they opened among them.
        connections_closed: Cause,
        /// Connections that failed before they opened, by cause.
        connections_failed: Cause,
        /// Budgets used up, by kind.
        budgets_exhausted: Budget,
        /// Failed accepts, by class.
        accept_errors: AcceptFailure,
        /// Connections not admitted, by the bound that was reached.
        admissions_refused: Refusal,
        /// Handshakes of security layers that succeeded, by kind.
        handshakes: HandshakeKind,
        /// Connections that ended while they shook hands, by cause.
        handshakes_failed: Cause,
        /// TLS alerts by which we told peers why we end a connection.
        alerts_sent: TlsAlert,
        /// TLS alerts by which peers told us why they end a connection.
        alerts_received: TlsAlert,
    }
    gauges {
        /// Connections that exist.
        connections_active,
        /// Connections that are shaking hands or wait for their turn to, accepted ones and our own.
        handshakes_pending,
        /// Listeners that exist.
        listeners,
        /// Bytes of the buffer pool in use.
        pool_bytes_taken,
        /// Bytes of the buffer pool kept for later.
        pool_bytes_free,
        /// Bytes in outbound queues and kept tails.
        buffered_bytes,
        /// Exact timers pending.
        timers_armed,
        /// Connection deadlines pending.
        deadlines_armed,
    }
    histograms {
        /// From `connect` to `Opened`, in nanoseconds.
        connect_latency_nanos = histogram(),
        /// From the established connection to the end of all its handshakes, in nanoseconds.
        handshake_latency_nanos = histogram(),
        /// How long a turn worked, in nanoseconds, without its wait.
        turn_latency_nanos = histogram(),
        /// How long after its time a timer fired, in nanoseconds.
        timer_lateness_nanos = histogram(),
        /// Events handed to the handler in one turn.
        events_per_turn = histogram_up_to(EVENTS_PER_TURN_MAX),
    }
}

impl Deref for CoreMetrics {
    type Target = CoreCells;

    #[inline]
    fn deref(&self) -> &CoreCells {
        &self.cells
    }
}

impl CoreMetrics {
    /// A reading half.
    #[must_use]
    pub fn view(&self) -> CoreView {
        self.view.clone()
    }
}

impl CoreView {
    /// The core's number.
    #[must_use]
    pub const fn core(&self) -> usize {
        self.core
    }

    /// When the core started.
    #[must_use]
    pub const fn started_at(&self) -> Instant {
        self.started_at
    }

    /// The figures as of now.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let mut figures = Figures::default();
        self.add_to(&mut figures);
        figures
    }
}

impl Figures {
    /// The share of its time that the loop worked, 0 to 1; of all loops together where merged.
    #[must_use]
    pub fn busy_fraction(&self) -> Option<f64> {
        let total = self.busy_nanos.saturating_add(self.idle_nanos);
        (total > 0).then(|| self.busy_nanos as f64 / total as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::super::TurnWork;
    use super::*;
    use std::mem::offset_of;

    #[test]
    fn the_hot_cells_fill_one_cache_line() {
        assert_eq!(offset_of!(CoreCells, bytes_in), 0);
        assert_eq!(offset_of!(CoreCells, idle_nanos), 56);
        assert_eq!((align_of::<CoreCells>(), size_of::<CoreCells>()), (128, 1792));
    }

    #[test]
    fn halves_go_where_they_may() {
        fn moves<T: Send + 'static>() {}
        fn is_shared<T: Send + Sync + Clone + 'static>() {}
        moves::<CoreMetrics>();
        moves::<Recorder>();
        is_shared::<CoreView>();
        is_shared::<HistogramReader>();
    }

    #[test]
    fn labels_are_numbered_as_they_are_listed() {
        fn check<L: Label>() {
            for (i, label) in L::ALL.iter().enumerate() {
                assert_eq!(label.index(), i, "{}", label.name());
            }
        }
        check::<Cause>();
        check::<Budget>();
        check::<AcceptFailure>();
        check::<Refusal>();
        check::<HandshakeKind>();
        check::<TlsAlert>();
    }

    fn some_core(core: usize, scale: u64) -> CoreMetrics {
        let metrics = CoreMetrics::new(core, Instant::ZERO);
        metrics.bytes_in.add(100 * scale);
        metrics.connections_closed[Cause::Reset].add(scale);
        metrics.connections_active.set(7 * scale);
        metrics.turn_latency_nanos.record_n(1_000 * scale, scale);
        let work = TurnWork { events: scale, ..TurnWork::default() };
        metrics.slowest_turn.offer(Instant::from_nanos(5), 1_000 * scale, work);
        metrics
    }

    #[test]
    fn merged_figures_add_up_and_keep_the_slower_turn() {
        let (a, b) = (some_core(0, 3).view().figures(), some_core(1, 2).view().figures());
        let (mut ab, mut ba) = (a.clone(), b.clone());
        ab.merge(&b);
        ba.merge(&a);
        assert_eq!(ab, ba);
        assert_eq!((ab.bytes_in, ab.connections_closed[Cause::Reset], ab.connections_active), (500, 5, 35));
        assert_eq!(ab.turn_latency_nanos.count(), 5);
        assert_eq!(ab.slowest_turn.map(|turn| (turn.core, turn.work.events)), Some((0, 3)));
    }

    #[test]
    fn an_interval_has_new_counts_and_present_gauges() {
        let metrics = some_core(0, 3);
        let view = metrics.view();
        let earlier = view.figures();
        metrics.bytes_in.add(11);
        metrics.connections_closed[Cause::Refused].add(1);
        metrics.connections_active.sub(1);
        metrics.slowest_turn.offer(Instant::from_nanos(9), 2_999, TurnWork::default());
        let interval = view.figures().since(&earlier);
        assert_eq!((interval.bytes_in, interval.connections_active), (11, 20));
        assert_eq!(interval.connections_closed.nonzero().collect::<Vec<_>>(), [(Cause::Refused, 1)]);
        assert_eq!((interval.turn_latency_nanos.count(), interval.slowest_turn), (0, None));
    }
}
