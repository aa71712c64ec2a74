//! What the proxies did, at the end, for people.

use std::fmt::Write;
use windlass::proxy::{Direction, ProxyFigures, Snapshot, ToxicKind};

/// One paragraph for all proxies, those that were taken away among them: connections, bytes each way, toxics applied.
pub fn text(snapshot: &Snapshot) -> String {
    let all = || snapshot.proxies.iter().chain([&snapshot.removed]);
    let sum = |figure: fn(&ProxyFigures) -> u64| all().map(figure).sum::<u64>();
    let accepted = sum(|figures| figures.accepted);
    let unreachable = sum(|figures| figures.unreachable);
    let mut text = format!("\n{accepted} connection{}", if accepted == 1 { "" } else { "s" });
    if unreachable > 0 {
        let _ = write!(text, ", {unreachable} of them without an upstream");
    }
    let bytes =
        |direction: Direction| all().map(|figures| figures.received_bytes[direction as usize]).sum::<u64>();
    let (up, down) = (bytes(Direction::Upstream), bytes(Direction::Downstream));
    let _ = writeln!(text, "; {up} bytes upstream, {down} bytes downstream");
    let applied = ToxicKind::TYPES.iter().enumerate().filter_map(|(number, name)| {
        let count: u64 = all().map(|figures| figures.applied[number]).sum();
        (count > 0).then(|| format!("{name} to {count}"))
    });
    let applied = applied.collect::<Vec<_>>().join(", ");
    if !applied.is_empty() {
        let _ = writeln!(text, "toxics applied: {applied}");
    }
    text
}
