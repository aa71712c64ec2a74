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
    /// Connections that a toxic was applied to, by [`ToxicKind::number`].
    pub applied: [u64; ToxicKind::TYPES.len()],
    /// Bytes that toxics hold now.
    pub held_bytes: u64,
}

/// What all proxies did, by name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Snapshot {
    /// One for each proxy, in the order of their names.
    pub proxies: Vec<ProxyFigures>,
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
        head(&mut text, "received_bytes_total", "counter", "Bytes received.");
        for proxy in &self.proxies {
            for direction in Direction::ALL {
                let bytes = proxy.received_bytes[direction as usize];
                let label = format!("direction=\"{direction}\"");
                line(&mut text, "received_bytes_total", &proxy.name, &label, bytes);
            }
        }
        head(&mut text, "toxics_applied_total", "counter", "Connections that a toxic was applied to.");
        for proxy in &self.proxies {
            for (kind, applied) in ToxicKind::TYPES.iter().zip(proxy.applied) {
                line(&mut text, "toxics_applied_total", &proxy.name, &format!("type=\"{kind}\""), applied);
            }
        }
        text
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
