//! The exact timers beside what a user would pick instead.
//!
//! `cargo bench --bench timers` runs Criterion. `cargo bench --bench timers -- --ratios` interleaves the heap
//! and each rival in short rounds and prints ratios, which hold on a noisy machine too.

mod rivals;

use criterion::Criterion;
use rivals::{Delays, LazyHeap, Timers};

fn main() {
    let _runtime = rivals::enter_tokio();
    if std::env::args().any(|argument| argument == "--ratios") {
        rivals::print_heading("TimerHeap");
        rivals::ratios::<Timers, Delays>();
        rivals::ratios::<Timers, LazyHeap>();
        return;
    }
    let mut criterion = Criterion::default().configure_from_args();
    rivals::bench::<Timers>(&mut criterion);
    rivals::bench::<Delays>(&mut criterion);
    rivals::bench::<LazyHeap>(&mut criterion);
    criterion.final_summary();
}
