//! The `windlass` command: what it can do and how it ends.

mod demo;
mod serve;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// A synchronous networking core, from the command line.
#[derive(Parser)]
#[command(name = "windlass", version, about, arg_required_else_help = true)]
struct Command {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    Serve(serve::Serve),
}

/// Exit codes: 0 good, 1 failed, 2 usage (clap's own).
fn main() -> ExitCode {
    let outcome = match Command::parse().what {
        What::Serve(serve) => serve.run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("windlass: {error}");
            ExitCode::FAILURE
        }
    }
}
