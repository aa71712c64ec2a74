//! What `GET /metrics` answers: the proxies' own figures, and the bytes once more under Toxiproxy's name, for the
//! dashboards that there are.

use crate::proxy::{Direction, Proxies, Proxy};
use std::fmt::Write;

/// Toxiproxy's name for the bytes that came.
const RECEIVED: &str = "toxiproxy_proxy_received_bytes_total";

/// The text format that Prometheus reads (version 0.0.4).
pub fn text(proxies: &Proxies) -> String {
    let snapshot = proxies.snapshot();
    let mut text = snapshot.to_prometheus();
    let _ = writeln!(text, "# HELP {RECEIVED} Bytes received on a proxy link.\n# TYPE {RECEIVED} counter");
    for figures in &snapshot.proxies {
        let Some(plan) = proxies.get(&figures.name).map(Proxy::plan) else { continue };
        let [listener, proxy, upstream] =
            [&plan.listen, &plan.name, &plan.upstream].map(|value| escaped(value));
        for direction in Direction::ALL {
            let bytes = figures.received_bytes[direction as usize];
            let _ = writeln!(
                text,
                "{RECEIVED}{{direction=\"{direction}\",listener=\"{listener}\",proxy=\"{proxy}\",upstream=\"{upstream}\"}} \
                 {bytes}"
            );
        }
    }
    text
}

/// A label's value as the format wants it.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
