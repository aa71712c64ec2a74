//! What the proxies did, in numbers: plain values, and the text that Prometheus reads.

use super::plan::{Direction, ToxicKind};
use std::fmt::Write;

/// What one proxy did since it was made.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct ProxyFigures {
    /// Its name.
    pub name: String,
    /// Connections accepted.
    pub accepted: u64,
    /// Connections being forwarded now.
    pub active: u64,
    /// Connections whose upstream could not be reached.
    pub unreachable: u64,
    /// Bytes received, by [`Direction`]: from clients, and from the upstream.
    pub received_bytes: [u64; 2],
    /// Bytes handed on, by [`Direction`]: to the upstream, and to clients.
    pub sent_bytes: [u64; 2],
    /// Connections that a toxic was applied to, by [`ToxicKind::number`].
    pub applied: [u64; ToxicKind::TYPES.len()],
    /// Bytes that toxics hold now.
    pub held_bytes: u64,
}

impl ProxyFigures {
    /// Adds what another one did, and not what it is doing.
    pub(super) fn add(&mut self, other: &ProxyFigures) {
        self.accepted += other.accepted;
        self.unreachable += other.unreachable;
        for place in 0..2 {
            self.received_bytes[place] += other.received_bytes[place];
            self.sent_bytes[place] += other.sent_bytes[place];
        }
        for (sum, one) in self.applied.iter_mut().zip(other.applied) {
            *sum += one;
        }
    }
}

/// What all proxies did, by name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Snapshot {
    /// One for each proxy, in the order of their names.
    pub proxies: Vec<ProxyFigures>,
    /// What those did that were taken away, all together and without a name.
    pub removed: ProxyFigures,
}

impl Snapshot {
    /// The text format that Prometheus reads (version 0.0.4).
    #[must_use]
    pub fn to_prometheus(&self) -> String {
        let mut text = String::new();
        self.one(&mut text, "accepted_total", "counter", "Connections accepted.", |p| p.accepted);
        self.one(&mut text, "connections_active", "gauge", "Connections being forwarded.", |p| p.active);
        self.one(
            &mut text,
            "unreachable_total",
            "counter",
            "Connections whose upstream was not reached.",
            |p| p.unreachable,
        );
        self.one(&mut text, "held_bytes", "gauge", "Bytes that toxics hold.", |p| p.held_bytes);
        self.both(&mut text, "received_bytes_total", "Bytes received.", |p| p.received_bytes);
        self.both(&mut text, "sent_bytes_total", "Bytes handed on.", |p| p.sent_bytes);
        head(&mut text, "toxics_applied_total", "counter", "Connections that a toxic was applied to.");
        for proxy in &self.proxies {
            for (kind, applied) in ToxicKind::TYPES.iter().zip(proxy.applied) {
                line(&mut text, "toxics_applied_total", &proxy.name, &format!("type=\"{kind}\""), applied);
            }
        }
        text
    }

    fn both(&self, text: &mut String, name: &str, help: &str, bytes: fn(&ProxyFigures) -> [u64; 2]) {
        head(text, name, "counter", help);
        for proxy in &self.proxies {
            for direction in Direction::ALL {
                let label = format!("direction=\"{direction}\"");
                line(text, name, &proxy.name, &label, bytes(proxy)[direction as usize]);
            }
        }
    }

    fn one(&self, text: &mut String, name: &str, kind: &str, help: &str, value: fn(&ProxyFigures) -> u64) {
        head(text, name, kind, help);
        for proxy in &self.proxies {
            line(text, name, &proxy.name, "", value(proxy));
        }
    }
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# HELP windlass_proxy_{name} {help}\n# TYPE windlass_proxy_{name} {kind}");
}

fn line(text: &mut String, name: &str, proxy: &str, label: &str, value: u64) {
    let proxy = proxy.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let comma = if label.is_empty() { "" } else { "," };
    let _ = writeln!(text, "windlass_proxy_{name}{{proxy=\"{proxy}\"{comma}{label}}} {value}");
}
