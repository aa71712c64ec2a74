//! Tests that must take seconds, because they wait for time itself or for other programs, and that others stand in for
//! at a developer's desk.

use crate::thorough::thorough;

/// Whether such a test is left out here, and says so.
pub fn left_out() -> bool {
    let left_out = thorough(false, true);
    if left_out {
        eprintln!("skipped: it takes seconds; with WINDLASS_THOROUGH=1 (or CI) it runs");
    }
    left_out
}
