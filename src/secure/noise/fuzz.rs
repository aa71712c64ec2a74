//! A fuzz target for the Noise layer and its framing, run as a randomised test as well: any bytes are a program of what
//! two ends say to each other, and of what becomes of it on the way.

use super::ends::{Side, all_patterns};

/// Feeds both sides what `script` says: good messages, damaged ones, and bytes from nowhere. Nothing may panic,
/// and nothing may come out that was not sealed.
pub(super) fn fuzz(script: &[u8]) {
    let Some((choice, steps)) = script.split_first() else { return };
    let mut patterns = all_patterns();
    let (initiator, responder) = patterns.swap_remove(usize::from(*choice) % patterns.len());
    let (mut a, mut b) = (Side::connecting(&initiator), Side::accepting(&responder));
    a.begin().expect("it speaks");
    for step in steps.chunks(4) {
        let &[kind, from, to, value] = step else { return };
        if kind & 1 == 0 {
            (a, b) = (b, a);
        }
        let mut bytes =
            if a.done && b.done { a.seal(&step.repeat(1 + usize::from(value))) } else { a.said() };
        let intact = kind & 0b110 != 0;
        if !intact {
            let from = usize::from(from) % (bytes.len() + 1);
            bytes.splice(from.., step.iter().copied().cycle().take(usize::from(to)));
        }
        if b.done {
            let (plain, failure) = b.open(&bytes);
            assert!(plain.iter().all(|byte| steps.contains(byte)), "only what was sealed");
            if failure.is_some() {
                return;
            }
        } else if b.hear(&bytes).is_err() {
            return;
        }
    }
}
