//! The test that `failing` prints for its planted bug, pasted: the bug is mended here, so it passes.

use super::failing::mended as run;

#[test]
fn seed_7_still_works() {
    // safe were 12 bytes, and the backup has 7
    use std::time::Duration;
    use windlass::sim::{Fault, Host};
    let faults = [
        (Duration::from_millis(7750), Fault::Partition(vec![Host::nth(1)], vec![Host::nth(0)]).lasting(Duration::from_secs(8))), // 1
        (Duration::from_millis(12_750), Fault::Crash(Host::nth(1))), // 2
    ];
    run(7, &faults);
}
