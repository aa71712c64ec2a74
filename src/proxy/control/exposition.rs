//! What `GET /metrics` answers: the proxies' own figures, and the bytes once more under Toxiproxy's names, for the
//! dashboards that there are.

use crate::proxy::{Direction, Proxies, Proxy, ProxyFigures};
use std::fmt::Write;

/// Toxiproxy's series: name, what it counts, and which figures those are.
type Series = (&'static str, &'static str, fn(&ProxyFigures) -> [u64; 2]);

const SERIES: [Series; 2] = [
    ("toxiproxy_proxy_received_bytes_total", "Bytes received on a proxy link.", |figures| {
        figures.received_bytes
    }),
    ("toxiproxy_proxy_sent_bytes_total", "Bytes sent on a proxy link.", |figures| figures.sent_bytes),
];

/// The text format that Prometheus reads (version 0.0.4).
pub fn text(proxies: &Proxies) -> String {
    let snapshot = proxies.snapshot();
    let mut text = snapshot.to_prometheus();
    for (name, help, bytes) in SERIES {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} counter");
        for figures in &snapshot.proxies {
            let Some(plan) = proxies.get(&figures.name).map(Proxy::plan) else { continue };
            let [listener, proxy, upstream] =
                [&plan.listen, &plan.name, &plan.upstream].map(|value| escaped(value));
            for direction in Direction::ALL {
                let count = bytes(figures)[direction as usize];
                let _ = writeln!(
                    text,
                    "{name}{{direction=\"{direction}\",listener=\"{listener}\",proxy=\"{proxy}\",upstream=\"{upstream}\"}} \
                     {count}"
                );
            }
        }
    }
    text
}

/// A label's value as the format wants it.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
