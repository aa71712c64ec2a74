//! The report for people: what a process did, how fast, and what went wrong, in aligned columns.

use super::counter::{By, Label};
use super::registry::Figures;
use super::report::Snapshot;
use super::slowest_turn::TurnWork;
use super::snapshot::HistogramSnapshot;
use crate::time::nanos_of;
use std::fmt;
use std::time::Duration;

/// Sections without anything to tell are left out, and so are causes that never occurred. A percentile with
/// fewer than ten samples beyond it is shown as `-`.
impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let covered = if self.interval == self.uptime {
            "figures since the start".to_string()
        } else {
            format!("figures of the last {}", span(self.interval))
        };
        let cores = self.cores.len();
        let plural = if cores == 1 { "" } else { "s" };
        writeln!(f, "{cores} core{plural}, up {}, {covered}", span(self.uptime))?;
        self.connections(f)?;
        self.handshakes(f)?;
        self.traffic(f)?;
        self.latencies(f)?;
        self.troubles(f)?;
        self.resources(f)?;
        self.per_core(f)?;
        self.slowest_turn(f)
    }
}

impl Snapshot {
    fn connections(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = &self.total;
        self.heading(f, "Connections")?;
        writeln!(f, "  {:<26}{:>14}", "active", grouped(total.connections_active))?;
        writeln!(f, "  {:<26}{:>14}", "listeners", grouped(total.listeners))?;
        self.row(f, "  attempted", total.connections_attempted)?;
        self.row(f, "  accepted", total.connections_accepted)?;
        self.row(f, "  opened", total.connections_opened)?;
        self.row(f, "  closed", total.connections_closed.total())?;
        self.kinds(f, "    ", &total.connections_closed)?;
        if total.connections_failed.total() > 0 {
            self.row(f, "  failed to open", total.connections_failed.total())?;
            self.kinds(f, "    ", &total.connections_failed)?;
        }
        Ok(())
    }

    fn handshakes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = &self.total;
        let failed = total.handshakes_failed.total();
        let alerts = total.alerts_sent.total() + total.alerts_received.total();
        if total.handshakes.total() + failed + alerts + total.handshakes_pending == 0 {
            return Ok(());
        }
        self.heading(f, "Handshakes")?;
        writeln!(f, "  {:<26}{:>14}", "pending", grouped(total.handshakes_pending))?;
        self.kinds(f, "  ", &total.handshakes)?;
        if failed > 0 {
            self.row(f, "  failed", failed)?;
            self.kinds(f, "    ", &total.handshakes_failed)?;
        }
        self.kinds(f, "  told: ", &total.alerts_sent)?;
        self.kinds(f, "  heard: ", &total.alerts_received)
    }

    fn traffic(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = &self.total;
        self.heading(f, "Traffic")?;
        self.row(f, "  messages in", total.messages_in)?;
        self.row(f, "  messages out", total.messages_out)?;
        self.bytes_row(f, "  bytes in", total.bytes_in)?;
        self.bytes_row(f, "  bytes out", total.bytes_out)?;
        self.row(f, "  events", total.events)?;
        self.row(f, "  turns", total.turns)?;
        self.row(f, "  timers fired", total.timers_fired)?;
        self.row(f, "  deadlines expired", total.deadlines_expired)?;
        self.row(f, "  mail", total.mail_events)
    }

    fn latencies(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Figures {
            connect_latency_nanos,
            handshake_latency_nanos,
            turn_latency_nanos,
            timer_lateness_nanos,
            events_per_turn,
            ..
        } = &self.total;
        let all = [
            ("connect", connect_latency_nanos, time as fn(f64) -> String),
            ("handshake", handshake_latency_nanos, time),
            ("turn", turn_latency_nanos, time),
            ("timer lateness", timer_lateness_nanos, time),
            ("events per turn", events_per_turn, |n| grouped(n as u64)),
        ];
        if all.iter().all(|(_, histogram, _)| histogram.is_empty()) {
            return Ok(());
        }
        writeln!(f)?;
        write!(f, "{:<18}{:>14}", "Distributions", "count")?;
        for column in ["p50", "p90", "p99", "p99.9", "max"] {
            write!(f, "{column:>10}")?;
        }
        writeln!(f)?;
        for (name, histogram, unit) in all.into_iter().filter(|(_, histogram, _)| !histogram.is_empty()) {
            distribution(f, name, histogram, unit)?;
        }
        Ok(())
    }

    fn troubles(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = &self.total;
        let single = [
            ("  sends refused, queue full", total.sends_refused_full),
            ("  reads stopped by memory", total.reads_stopped_by_memory),
            ("  errors, recoverable", total.errors_recoverable),
            ("  errors, critical", total.errors_critical),
            ("  handler panics", total.handler_panics),
        ];
        let tallies =
            total.budgets_exhausted.total() + total.accept_errors.total() + total.admissions_refused.total();
        if tallies == 0 && single.iter().all(|(_, n)| *n == 0) {
            return Ok(());
        }
        self.heading(f, "Troubles")?;
        for (name, n) in single.into_iter().filter(|(_, n)| *n > 0) {
            self.row(f, name, n)?;
        }
        self.kinds(f, "  budget spent: ", &total.budgets_exhausted)?;
        self.kinds(f, "  accept failed: ", &total.accept_errors)?;
        self.kinds(f, "  refused: ", &total.admissions_refused)
    }

    fn resources(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = &self.total;
        writeln!(f, "\nHeld now")?;
        for (name, value) in [
            ("buffered bytes", bytes(total.buffered_bytes as f64)),
            ("pool in use", bytes(total.pool_bytes_taken as f64)),
            ("pool free", bytes(total.pool_bytes_free as f64)),
            ("timers", grouped(total.timers_armed)),
            ("deadlines", grouped(total.deadlines_armed)),
        ] {
            writeln!(f, "  {name:<26}{value:>14}")?;
        }
        Ok(())
    }

    fn per_core(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{:<18}{:>14}{:>10}{:>20}{:>20}", "Loop", "busy", "active", "messages in", "bytes in")?;
        for core in &self.cores {
            let name = format!("core {}", core.core);
            self.core_row(f, &name, &core.figures)?;
        }
        if self.cores.len() > 1 {
            self.core_row(f, "all", &self.total)?;
        }
        Ok(())
    }

    fn core_row(&self, f: &mut fmt::Formatter<'_>, name: &str, figures: &Figures) -> fmt::Result {
        let busy = figures.busy_fraction().map_or("-".to_string(), |busy| format!("{:.1} %", busy * 100.0));
        let active = grouped(figures.connections_active);
        let messages = self.rate(figures.messages_in, three_digits);
        let bytes_in = self.rate(figures.bytes_in, bytes);
        writeln!(f, "  {name:<16}{busy:>14}{active:>10}{messages:>20}{bytes_in:>20}")
    }

    fn slowest_turn(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(turn) = self.total.slowest_turn else { return Ok(()) };
        let ago = span(self.taken_at.since(turn.at));
        let took = time(turn.nanos as f64);
        writeln!(f, "\nSlowest turn      {took}, {ago} ago on core {}: {}", turn.core, turn.work)
    }

    fn heading(&self, f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
        writeln!(f, "\n{name:<28}{:>14}{:>16}", "count", "rate")
    }

    fn row(&self, f: &mut fmt::Formatter<'_>, name: &str, n: u64) -> fmt::Result {
        writeln!(f, "{name:<28}{:>14}{:>16}", grouped(n), self.rate(n, three_digits))
    }

    fn bytes_row(&self, f: &mut fmt::Formatter<'_>, name: &str, n: u64) -> fmt::Result {
        writeln!(f, "{name:<28}{:>14}{:>16}", bytes(n as f64), self.rate(n, bytes))
    }

    fn kinds<K: Label, const N: usize>(
        &self,
        f: &mut fmt::Formatter<'_>,
        prefix: &str,
        tally: &By<K, u64, N>,
    ) -> fmt::Result {
        for (kind, n) in tally.nonzero() {
            self.row(f, &format!("{prefix}{}", kind.name()), n)?;
        }
        Ok(())
    }

    /// How many a second; a dash for none, so that what happened stands out.
    fn rate(&self, n: u64, unit: fn(f64) -> String) -> String {
        if n == 0 || self.interval.is_zero() {
            return "-".to_string();
        }
        format!("{}/s", unit(n as f64 / self.interval.as_secs_f64()))
    }
}

fn distribution(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    histogram: &HistogramSnapshot,
    unit: fn(f64) -> String,
) -> fmt::Result {
    write!(f, "  {name:<16}{:>14}", grouped(histogram.count()))?;
    for p in [0.5, 0.9, 0.99, 0.999] {
        let value = histogram.percentile(p).filter(|_| histogram.is_supported(p));
        write!(f, "{:>10}", value.map_or("-".to_string(), |value| unit(value as f64)))?;
    }
    write!(f, "{:>10}", histogram.max().map_or("-".to_string(), |max| unit(max as f64)))?;
    match histogram.clamped() {
        0 => writeln!(f),
        n => writeln!(f, "  ({} beyond the range)", grouped(n)),
    }
}

impl fmt::Display for TurnWork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = [
            (self.events, "events"),
            (self.accepts, "accepts"),
            (self.timers, "timers"),
            (self.deadlines, "deadlines"),
            (self.mail, "mail"),
        ];
        let mut parts: Vec<String> = counts
            .into_iter()
            .filter(|(n, _)| *n > 0)
            .map(|(n, what)| format!("{} {what}", grouped(n)))
            .collect();
        if self.bytes > 0 {
            parts.push(bytes(self.bytes as f64));
        }
        f.write_str(if parts.is_empty() { "nothing" } else { "" })?;
        f.write_str(&parts.join(", "))
    }
}

/// Digits in groups of three: `1 234 567`.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// Three digits that count, more where the number is larger.
fn three_digits(x: f64) -> String {
    if x > 0.0 && x < 0.005 {
        "<0.01".to_string()
    } else if x < 9.995 {
        format!("{x:.2}")
    } else if x < 99.95 {
        format!("{x:.1}")
    } else {
        grouped(x.round() as u64)
    }
}

/// Picks the largest unit that leaves at least 1 before the point. `units` are (size, name), smallest first.
fn scaled(x: f64, units: &[(f64, &str)]) -> String {
    // 999.5 would be shown as 1 000 of the smaller unit.
    let (size, name) = units.iter().rfind(|(size, _)| x >= size * 0.9995).unwrap_or(&units[0]);
    let whole = *size == 1.0 && x.fract() == 0.0;
    format!("{} {name}", if whole { grouped(x as u64) } else { three_digits(x / size) })
}

fn time(nanos: f64) -> String {
    scaled(nanos, &[(1.0, "ns"), (1e3, "µs"), (1e6, "ms"), (1e9, "s")])
}

fn bytes(n: f64) -> String {
    scaled(n, &[(1.0, "B"), (1e3, "kB"), (1e6, "MB"), (1e9, "GB"), (1e12, "TB")])
}

fn span(span: Duration) -> String {
    let secs = span.as_secs();
    let (days, hours, minutes) = (secs / 86_400, secs / 3_600 % 24, secs / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => time(nanos_of(span) as f64),
        (0, 0, _) => format!("{minutes} min {} s", secs % 60),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{AcceptFailure, Budget, CoreMetrics, HandshakeKind, Metrics, Refusal, TlsAlert};
    use super::*;
    use crate::error::Cause;
    use crate::time::Instant;

    fn busy_core(core: usize) -> CoreMetrics {
        let metrics = CoreMetrics::new(core, Instant::ZERO);
        metrics.connections_attempted.add(40);
        metrics.connections_accepted.add(1_200);
        metrics.connections_opened.add(1_228);
        metrics.connections_closed[Cause::PeerClosed].add(700);
        metrics.connections_closed[Cause::Refused].add(12);
        metrics.connections_failed[Cause::Refused].add(12);
        metrics.handshakes[HandshakeKind::TlsServerFull].add(300);
        metrics.handshakes[HandshakeKind::TlsServerResumed].add(900);
        metrics.handshakes_failed[Cause::CertificateExpired].add(3);
        metrics.alerts_sent[TlsAlert::CertificateExpired].add(3);
        metrics.alerts_received[TlsAlert::UnknownCa].add(1);
        metrics.handshakes_pending.set(2);
        (1..=1_200).for_each(|i| metrics.handshake_latency_nanos.record(i * 1_000));
        metrics.connections_active.set(516);
        metrics.listeners.set(1);
        metrics.messages_in.add(1_234_567);
        metrics.messages_out.add(1_234_500);
        metrics.bytes_in.add(79_012_288);
        metrics.bytes_out.add(79_008_000);
        metrics.turns.add(40_000);
        metrics.events.add(1_240_000);
        metrics.busy_nanos.add(6_000_000_000);
        metrics.idle_nanos.add(4_000_000_000);
        metrics.budgets_exhausted[Budget::Bytes].add(17);
        metrics.accept_errors[AcceptFailure::Descriptors].add(2);
        metrics.admissions_refused[Refusal::PerAddress].add(5);
        metrics.buffered_bytes.set(1_200_000);
        metrics.pool_bytes_taken.set(2_097_152);
        metrics.deadlines_armed.set(516);
        for i in 0..20_000u64 {
            metrics.turn_latency_nanos.record(2_000 + i * 37 % 150_000);
            metrics.events_per_turn.record(1 + i % 64);
        }
        (1..=40).for_each(|i| metrics.connect_latency_nanos.record(i * 30_000));
        let work = TurnWork { events: 512, bytes: 33_000_000, timers: 64, ..TurnWork::default() };
        let (at, nanos) = (Instant::from_millis(4_000 + core as u64), 8_100_000 + core as u64);
        metrics.slowest_turn.offer(at, nanos, work);
        metrics
    }

    #[test]
    fn the_report_reads_like_this() {
        let metrics = Metrics::new([busy_core(0), busy_core(1)].iter().map(CoreMetrics::view).collect());
        let report = metrics.snapshot(Instant::from_millis(200_000)).to_string();
        assert_eq!(report, include_str!("report.txt"), "\n{report}");
    }

    #[test]
    fn a_quiet_core_has_a_short_report() {
        let metrics = Metrics::new(vec![CoreMetrics::new(0, Instant::ZERO).view()]);
        let start = metrics.snapshot(Instant::from_millis(0));
        assert!(start.to_string().starts_with("1 core, up 0 ns, figures since the start\n"));
        let later = metrics.snapshot(Instant::from_millis(1_500)).since(&start).to_string();
        assert!(later.starts_with("1 core, up 1.50 s, figures since the start\n"), "{later}");
        for absent in ["Distributions", "Troubles", "Slowest", "failed"] {
            assert!(!later.contains(absent), "{later}");
        }
    }

    #[test]
    fn numbers_keep_three_digits_and_their_unit() {
        let shown = [0.0, 999.0, 1_000.0, 12_345.0, 999_499.0, 999_600.0, 2.41e6, 1.02e9, 3.7e13].map(time);
        assert_eq!(
            shown,
            ["0 ns", "999 ns", "1.00 µs", "12.3 µs", "999 µs", "1.00 ms", "2.41 ms", "1.02 s", "37 000 s"]
        );
        assert_eq!(
            [0.001, 8.0, 66.61, 1_999.6, 79e6].map(bytes),
            ["<0.01 B", "8 B", "66.6 B", "2.00 kB", "79.0 MB"]
        );
        assert_eq!(
            [75, 3_700, 90_061, 59].map(|secs| span(Duration::from_secs(secs))),
            ["1 min 15 s", "1 h 1 min", "1 d 1 h", "59.0 s"]
        );
        assert_eq!([0, 12, 123, 1_234, 1_234_567].map(grouped), ["0", "12", "123", "1 234", "1 234 567"]);
    }
}
