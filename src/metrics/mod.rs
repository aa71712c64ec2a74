//! Measuring without disturbing: cells and histograms that one thread writes and any thread reads, a registry
//! of them for each core, and one merged picture for the process.
//!
//! Nothing here locks and no reader ever makes a writer wait. A writer loads, adds and stores its own cell
//! without a locked instruction, which is why there may be only one; readers load the cells and reset nothing,
//! so what happened in an interval is the difference of two snapshots.
//!
//! ```
//! let (recorder, reader) = windlass::metrics::histogram();
//! for micros in 1..=1_000 {
//!     recorder.record(micros * 1_000);
//! }
//! let seen = reader.snapshot();
//! let p99 = seen.percentile(0.99).unwrap();
//! assert_eq!(seen.count(), 1_000);
//! assert!(p99.abs_diff(990_000) * 128 <= 990_000);
//! ```

mod alert;
mod counter;
mod export;
mod first_values;
mod histogram;
mod registry;
mod report;
mod slowest_turn;
mod snapshot;
mod text;

pub use alert::TlsAlert;
pub use counter::{By, Counter, Gauge, Label};
pub use export::HistogramLog;
pub use histogram::{HistogramReader, Recorder, histogram, histogram_up_to};
pub use registry::{
    AcceptFailure, Budget, CoreCells, CoreMetrics, CoreView, Figures, HandshakeKind, Refusal,
};
pub use report::{CoreSnapshot, Metrics, Snapshot};
pub use slowest_turn::{SlowestTurn, SlowestTurnCell, TurnWork};
pub use snapshot::{Bucket, HistogramSnapshot};
