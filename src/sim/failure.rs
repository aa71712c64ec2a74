//! What a failing run says of itself, and which seeds a test runs with.

use super::fault::{Fault, Rust};
use super::network::Network;
use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The variable of the environment that makes [`seeds`] answer with one seed.
pub const SEED_VARIABLE: &str = "WINDLASS_SIM_SEED";

/// Hosts that a failing run lists by name.
const HOSTS_LISTED_MAX: usize = 32;
/// Recorded lines that a failing run prints: the last ones.
const LINES_PRINTED_MAX: usize = 60;

/// The seeds of a test: `usual`, or the one that the variable `WINDLASS_SIM_SEED` names, to run again what failed.
///
/// ```
/// for seed in windlass::sim::seeds(1..=3) {
///     let net = windlass::sim::Network::new(seed);
///     assert_eq!(net.seed(), seed);
/// }
/// ```
///
/// # Panics
/// If the variable holds something else than a number.
pub fn seeds(usual: impl IntoIterator<Item = u64>) -> impl Iterator<Item = u64> {
    let named = std::env::var(SEED_VARIABLE).ok().map(|word| {
        let seed = word.trim().parse::<u64>();
        seed.unwrap_or_else(|error| panic!("{SEED_VARIABLE}={word} is not a seed: {error}"))
    });
    let usual = if named.is_some() { None } else { Some(usual) };
    named.into_iter().chain(usual.into_iter().flatten())
}

/// Says on standard error how a network came to where a test panicked, unless somebody asked for quiet.
pub(super) fn tell(net: &Network) {
    if !super::shrink::is_quiet() {
        eprintln!("{}", report(net));
    }
}

pub(super) fn report(net: &Network) -> String {
    Failure(net).to_string()
}

struct Failure<'a>(&'a Network);

impl fmt::Display for Failure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let net = self.0;
        let thread = std::thread::current();
        writeln!(f, "\nsimulated network of {}:", thread.name().unwrap_or("a thread without a name"))?;
        writeln!(
            f,
            "  seed    {} (if the test asks `sim::seeds`, {SEED_VARIABLE} runs it again)",
            net.seed()
        )?;
        if let Some(commit) = commit() {
            writeln!(f, "  commit  {commit}")?;
        }
        writeln!(
            f,
            "  ended   after {:?} and {} events, trace {:016x}",
            net.age(),
            net.events(),
            net.trace()
        )?;
        let names: Vec<_> = net.hosts.iter().take(HOSTS_LISTED_MAX).map(|host| host.name.as_str()).collect();
        let more = net.hosts.len().saturating_sub(HOSTS_LISTED_MAX);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        writeln!(f, "  hosts   {}{more}", names.join(", "))?;
        writeln!(f, "  faults  {}", net.inflicted().len())?;
        if !net.inflicted().is_empty() {
            write!(
                f,
                "\nnet.schedule(&{});\n",
                List { faults: net.inflicted(), indent: 0, names: Some(net) }
            )?;
        }
        let lines = net.recorded();
        if !lines.is_empty() {
            writeln!(f, "\nthe last that was recorded:")?;
        }
        for line in &lines[lines.len().saturating_sub(LINES_PRINTED_MAX)..] {
            writeln!(f, "  {line}")?;
        }
        Ok(())
    }
}

/// Faults as an array of Rust, one a line, numbered.
pub(super) struct List<'a> {
    pub(super) faults: &'a [(Duration, Fault)],
    pub(super) indent: usize,
    /// Says what the hosts of each are called.
    pub(super) names: Option<&'a Network>,
}

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let indent = self.indent;
        f.write_str("[\n")?;
        for (number, (at, fault)) in self.faults.iter().enumerate() {
            write!(f, "{:indent$}    ({}, {fault}), // {}", "", Rust(at), number + 1)?;
            if let Some(net) = self.names {
                let names: Vec<_> = fault.hosts().take(8).map(|host| net.name(host)).collect();
                write!(f, " {}", names.join(", "))?;
            }
            f.write_char('\n')?;
        }
        write!(f, "{:indent$}]", "")
    }
}

/// What git says is checked out where the test runs; `None` if it does not say.
pub(super) fn commit() -> Option<String> {
    let here = std::env::current_dir().ok()?;
    let git = here.ancestors().map(|folder| folder.join(".git")).find(|git| git.exists())?;
    // In a worktree this is a file that says where the folder is.
    let folder = match std::fs::read_to_string(&git) {
        Ok(pointer) => git.parent()?.join(pointer.strip_prefix("gitdir:")?.trim()),
        Err(_) => git,
    };
    let head = std::fs::read_to_string(folder.join("HEAD")).ok()?;
    let Some(name) = head.trim().strip_prefix("ref:") else { return Some(head.trim().to_owned()) };
    let common = std::fs::read_to_string(folder.join("commondir"));
    let common = common.map_or_else(|_| folder.clone(), |path| folder.join(path.trim()));
    reference(&folder, name.trim()).or_else(|| reference(&common, name.trim()))
}

fn reference(git: &Path, name: &str) -> Option<String> {
    let path: PathBuf = git.join(name);
    if let Ok(commit) = std::fs::read_to_string(path) {
        return Some(commit.trim().to_owned());
    }
    let packed = std::fs::read_to_string(git.join("packed-refs")).ok()?;
    packed.lines().find_map(|line| line.strip_suffix(name)?.split(' ').next().map(str::to_owned))
}
