//! How fast the simulated network is: `cargo bench --bench sim_mesh --features scenario`.
//!
//! 10, 100 and 1,000 nodes, each talking to 8 others 10 times a second, for 60 virtual seconds. `-- 100` plays just one
//! size.

use windlass::scenario::{Plan, Scenario, play};

fn main() {
    let asked = std::env::args().find_map(|argument| argument.parse::<usize>().ok());
    let sizes = asked.map_or_else(|| vec![10, 100, 1_000], |nodes| vec![nodes]);
    for nodes in sizes {
        let mut plan = Plan::new(Scenario::Mesh);
        plan.nodes = nodes;
        let record = play(&plan, &mut |_| true).expect("the plan is one of our own");
        let wall = record.wall;
        println!(
            "{nodes:>5} nodes  {:>6.2} s wall  {:>9} events  {:>5.0} ns/event  {:>6.1} MiB",
            wall.wall_s,
            record.events,
            wall.ns_per_event,
            wall.peak_memory_bytes.unwrap_or(0) as f64 / f64::from(1 << 20)
        );
    }
}
