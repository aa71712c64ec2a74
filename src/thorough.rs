//! How much of the test suite a run does: all of it in CI, and what is done in seconds at a developer's desk.

/// `all` where the environment sets `CI` or `WINDLASS_THOROUGH`, `few` elsewhere.
///
/// A suite that takes minutes is not run before each commit. So what only adds rounds, seeds, cases or sizes to a test
/// that finds most mistakes with few of them is given both numbers, and `.ci/run` sees to it that the larger is used
/// before anything is merged.
pub fn thorough<T>(all: T, few: T) -> T {
    let wanted = ["CI", "WINDLASS_THOROUGH"].into_iter().any(|name| std::env::var_os(name).is_some());
    if wanted { all } else { few }
}
