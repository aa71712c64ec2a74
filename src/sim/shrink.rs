//! From a run that failed under many faults to a test with the few that matter.

use super::failure::{List, commit};
use super::fault::Fault;
use crate::limits::SIM_SHRINK_RUNS_MAX;
use std::any::{Any, type_name};
use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::time::Duration;

/// What is left of the faults of a failing run: see [`shrink`]. It prints as a report that ends in a test to paste.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Shrunk {
    /// The seed of all runs.
    pub seed: u64,
    /// The faults that the failure needs: without any one of them the run passes, unless the search was cut short.
    pub faults: Vec<(Duration, Fault)>,
    /// How many there were.
    pub faults_before: usize,
    /// What the last failing run panicked with.
    pub message: String,
    /// How often the network was run to find out.
    pub runs: usize,
    /// What the function that runs it is called.
    function: String,
}

impl Shrunk {
    /// A test of that name, ready to paste next to the function that was run.
    #[must_use]
    pub fn test(&self, name: &str) -> String {
        let Shrunk { seed, faults, function, .. } = self;
        let named = |name: &str| faults.iter().any(|(_, fault)| fault.to_string().contains(name));
        let names = ["Host", "Latency", "Link"].into_iter().filter(|name| named(&format!("{name}::")));
        let names = names.fold("Fault".to_owned(), |names, name| format!("{names}, {name}"));
        let names = if names.contains(',') { format!("{{{names}}}") } else { names };
        let message = self.message.lines().next().unwrap_or_default();
        let mut test = format!("#[test]\nfn {name}() {{\n    // {message}\n");
        if faults.is_empty() {
            test.push_str(&format!("    {function}({seed}, &[]);\n}}\n"));
            return test;
        }
        let list = List { faults, indent: 4, names: None };
        test.push_str(&format!("    use std::time::Duration;\n    use windlass::sim::{names};\n"));
        test.push_str(&format!("    let faults = {list};\n    {function}({seed}, &faults);\n}}\n"));
        test
    }
}

impl fmt::Display for Shrunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seed, left, before) = (self.seed, self.faults.len(), self.faults_before);
        writeln!(f, "seed {seed} fails with {left} of {before} faults, as {} runs show", self.runs)?;
        if let Some(commit) = commit() {
            writeln!(f, "at commit {commit}")?;
        }
        write!(f, "\n{}", self.test(&format!("seed_{seed}_still_works")))
    }
}

/// Reduces the faults of a failing run to those that matter: `run` builds a network from the seed, schedules the faults
/// that it is given, and panics if something is wrong. `None` if it passes with all of them.
///
/// Delta debugging (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002) finds a set of
/// faults from which none can be left out; then the sets of hosts that these name lose whom the failure does not need.
/// The network is run at most [`SIM_SHRINK_RUNS_MAX`](crate::limits::SIM_SHRINK_RUNS_MAX) times, quietly: what panics on
/// this thread meanwhile is not printed.
///
/// [`check`] is the same for a test to call.
pub fn shrink<R>(seed: u64, faults: &[(Duration, Fault)], run: R) -> Option<Shrunk>
where
    R: Fn(u64, &[(Duration, Fault)]),
{
    let function = type_name::<R>().rsplit("::").next().unwrap_or_default();
    let mut search = Search { seed, run: &run, runs: 0, message: String::new() };
    if !search.fails(faults) {
        return None;
    }
    let left = if search.fails(&[]) { Vec::new() } else { search.faults_that_matter(faults.to_vec()) };
    let left = search.hosts_that_matter(left);
    Some(Shrunk {
        seed,
        faults: left,
        faults_before: faults.len(),
        message: search.message,
        runs: search.runs,
        function: if function.contains('{') { "run".into() } else { function.into() },
    })
}

/// Runs a test under faults; if it fails, says how, shrinks the faults, and panics with a test to paste.
///
/// ```should_panic
/// use std::time::Duration;
/// use windlass::sim::{self, Chaos, Fault, Host, Network};
///
/// fn run(seed: u64, faults: &[(Duration, Fault)]) {
///     let mut net = Network::new(seed);
///     net.host("alone");
///     net.schedule(faults);
///     net.run_for(Duration::from_secs(60));
///     let jumped = |fault: &Fault| fault.to_string().contains("ClockJump");
///     assert!(!net.inflicted().iter().any(|(_, fault)| jumped(fault)), "clocks do not jump here");
/// }
///
/// for seed in sim::seeds(1..=50) {
///     let faults = Chaos::drawn(seed).faults(&[Host::nth(0)]);
///     sim::check(seed, &faults, run); // ends with the one jump that does it
/// }
/// ```
///
/// # Panics
/// If the run fails.
#[track_caller]
pub fn check<R>(seed: u64, faults: &[(Duration, Fault)], run: R)
where
    R: Fn(u64, &[(Duration, Fault)]),
{
    let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(seed, faults))) else { return };
    let Some(shrunk) = shrink(seed, faults, run) else {
        let message = message_of(&*panic);
        panic!(
            "seed {seed} failed once ({message}), and not when it was run again: something is not deterministic"
        );
    };
    panic!("{shrunk}");
}

/// The search for faults that matter.
struct Search<'a, R> {
    seed: u64,
    run: &'a R,
    runs: usize,
    message: String,
}

impl<R: Fn(u64, &[(Duration, Fault)])> Search<'_, R> {
    /// Whether a run with these faults fails; not any more once there were enough runs.
    fn fails(&mut self, faults: &[(Duration, Fault)]) -> bool {
        if self.runs == SIM_SHRINK_RUNS_MAX {
            return false;
        }
        self.runs += 1;
        match quietly(|| (self.run)(self.seed, faults)) {
            Ok(()) => false,
            Err(message) => {
                self.message = message;
                true
            }
        }
    }

    /// The minimizing delta debugging algorithm, `ddmin`.
    fn faults_that_matter(&mut self, mut faults: Vec<(Duration, Fault)>) -> Vec<(Duration, Fault)> {
        let mut parts = 2;
        while faults.len() > 1 {
            let length = faults.len().div_ceil(parts);
            if let Some(chunk) = faults.chunks(length).find(|chunk| self.fails(chunk)) {
                (faults, parts) = (chunk.to_vec(), 2);
                continue;
            }
            // Of two halves, each was tried just now.
            let halves = faults.len().div_ceil(length) == 2;
            let without = (0..faults.len()).step_by(length).find_map(|from| {
                let mut rest = faults.clone();
                rest.drain(from..faults.len().min(from + length));
                (!halves && self.fails(&rest)).then_some(rest)
            });
            match without {
                Some(rest) => (faults, parts) = (rest, parts - 1),
                None if parts >= faults.len() => break,
                None => parts = faults.len().min(2 * parts),
            }
        }
        faults
    }

    /// Takes hosts out of the sets that faults name, one at a time, as long as it still fails.
    fn hosts_that_matter(&mut self, mut faults: Vec<(Duration, Fault)>) -> Vec<(Duration, Fault)> {
        for at in 0..faults.len() {
            while let Some(smaller) = faults[at].1.smaller().into_iter().find(|smaller| {
                let mut tried = faults.clone();
                tried[at].1 = smaller.clone();
                self.fails(&tried)
            }) {
                faults[at].1 = smaller;
            }
        }
        faults
    }
}

// ---- panics that nobody needs to see

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Whether a panic of this thread is expected.
pub(super) fn is_quiet() -> bool {
    QUIET.get()
}

/// Runs `act`, and answers with the message of its panic, if any, which is not printed.
fn quietly(act: impl FnOnce()) -> Result<(), String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !is_quiet() {
                usual(info);
            }
        }));
    });
    let before = QUIET.replace(true);
    let outcome = catch_unwind(AssertUnwindSafe(act));
    QUIET.set(before);
    outcome.map_err(|panic| message_of(&*panic))
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words").to_owned()
}
