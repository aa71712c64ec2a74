//! The `windlass` command: what it can do and how it ends.

mod advice;
mod args;
mod bench;
mod embedded;
mod exit;
mod files;
mod interrupt;
mod job;
mod measure;
mod out;
mod output;
mod profiling;
mod progress;
mod proxy;
mod report;
mod security;
mod serve;
mod sim;
mod spoken;
mod target;
mod transport;
mod words;

use clap::{CommandFactory, Parser, Subcommand};
use exit::{CODES, Exit, Failure};
use std::process::ExitCode;

/// A synchronous networking core, from the command line: measures latency, serves, injects faults, reports.
#[derive(Parser)]
#[command(name = "windlass", version, arg_required_else_help = true, max_term_width = 110, after_help = CODES)]
struct Command {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    Bench(Box<bench::Bench>),
    Load(Box<bench::Load>),
    Serve(serve::Serve),
    Proxy(Box<proxy::ProxyCommand>),
    Sim(Box<sim::Sim>),
    Report(report::Report),
    Completions(Completions),
}

/// Prints the completions for a shell.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  windlass completions bash > ~/.local/share/bash-completion/completions/windlass
  windlass completions zsh > ~/.zfunc/_windlass
  windlass completions fish > ~/.config/fish/completions/windlass.fish")]
struct Completions {
    /// Which shell.
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

impl Completions {
    fn run(&self) -> Result<Exit, Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Command::command(), "windlass", &mut script);
        out::Out::default().write(&String::from_utf8_lossy(&script))?;
        Ok(Exit::Good)
    }
}

fn main() -> ExitCode {
    let outcome = match Command::parse().what {
        What::Bench(bench) => bench.run(),
        What::Load(load) => load.run(),
        What::Serve(serve) => serve.run(),
        What::Proxy(proxy) => proxy.run(),
        What::Sim(sim) => sim.run(),
        What::Report(report) => report.run(),
        What::Completions(completions) => completions.run(),
    };
    match outcome {
        Ok(exit) => exit.into(),
        Err(failure) => {
            eprintln!("windlass: {failure}");
            failure.exit.into()
        }
    }
}
