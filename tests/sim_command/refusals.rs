//! What is refused before anything is played: one sentence, exit code 2, nothing on standard output.

use crate::rig::sim;

#[track_caller]
fn refused(words: &[&str], said: &str) {
    let ended = sim(words).expect(2).says(said);
    assert!(ended.stdout.is_empty(), "{words:?} prints {}", ended.stdout);
    let sentence = ended.stderr.lines().next().unwrap_or_default();
    assert!(sentence.len() > 20 && !sentence.contains("invalid digit"), "{words:?}: {sentence}");
}

#[test]
fn absurd_values_get_a_sentence() {
    for flag in ["--nodes", "--peers", "--size", "--rate", "--duration", "--latency", "--loss", "--bandwidth"]
    {
        for value in ["-1", "1e30", "99999999999999999999999h", "", "x"] {
            refused(&["mesh", flag, value], "'");
        }
    }
    for (words, said) in [
        (&["mesh", "--nodes", "1"][..], "between 2 and"),
        (&["mesh", "--nodes", "100000"], "between 2 and"),
        (&["mesh", "--peers", "0"], "at least one other"),
        (&["mesh", "--size", "15"], "between 16 and"),
        (&["mesh", "--size", "1m"], "between 16 and"),
        (&["mesh", "--duration", "0"], "no time at all"),
        (&["mesh", "--duration", "25h"], "no more than a day"),
        (&["mesh", "--latency", "200ms..10ms"], "ends before it begins"),
        (&["mesh", "--latency", "100h"], "latency"),
        (&["mesh", "--loss", "2"], "2%"),
        (&["mesh", "--loss", "101%"], "0% to 100%"),
        (&["mesh", "--bandwidth", "1mb"], "100mbit"),
        (&["mesh", "--preset", "moon"], "satellite"),
        (&["mesh", "--secure", "rot13"], "noise"),
        (&["connect", "--nodes", "2000"], "--peers"),
        (&["transfer", "--size", "0"], "between 1 and"),
        (&["partition", "--duration", "10s", "--fault-lasts", "5s"], "a third"),
        (&["churn", "--fault-every", "1ns"], "faults: at most"),
        (&["mesh", "--nodes", "5000", "--peers", "4000"], "fewer --peers"),
        (&["churn", "--duration", "3s"], "so make it longer"),
        (&["dance"], "partition"),
    ] {
        refused(words, said);
    }
}

#[test]
fn flags_that_do_nothing_are_refused() {
    for (words, said) in [
        (&["transfer", "--nodes", "3"][..], "between two nodes"),
        (&["transfer", "--rate", "3"], "no rounds"),
        (&["broadcast", "--peers", "3"], "--peers does nothing in broadcast"),
        (&["connect", "--size", "100"], "16 bytes"),
        (&["mesh", "--fault-lasts", "1s"], "nothing goes wrong"),
        (&["partition", "--fault-every", "1s"], "only churn"),
        (&["mesh", "--real"], "a transfer is"),
        (&["transfer", "--real", "--secure", "tls"], "plain sockets"),
        (&["mesh", "--force"], "--out"),
    ] {
        refused(words, said);
    }
}
