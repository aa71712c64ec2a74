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
        play(&plan, &mut |_| true).expect("the plan is one of our own");
    }
}
