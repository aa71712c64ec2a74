//! Whether system calls can be watched here.

use std::process::{Command, Stdio};

/// Whether strace is installed, as it must be in CI; says so if a test is skipped for want of it.
pub fn strace_is_here() -> bool {
    let here = Command::new("strace").arg("-V").stdout(Stdio::null()).status().is_ok();
    assert!(here || std::env::var_os("CI").is_none(), "strace is missing: CI must install it");
    if !here {
        eprintln!("skipped: strace is not installed");
    }
    here
}
