//! SIGINT and SIGTERM: the first ends the run and keeps its results, the second ends the process.

use crate::exit::Failure;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use windlass::load::StopRun;

/// The code of a process that the second signal ends.
const ENDED_AT_ONCE: i32 = 130;

/// Whether somebody wants the command to end.
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    wanted: Arc<AtomicBool>,
    /// The run in progress.
    run: Arc<Mutex<Option<StopRun>>>,
}

impl Interrupt {
    /// Begins to listen for the signals, on a thread that does nothing else.
    pub fn watch() -> Result<Interrupt, Failure> {
        let failed = |error| Failure::failed(format!("watching for signals: {error}"));
        let interrupt = Interrupt::default();
        let (mut told, teller) = UnixStream::pair().map_err(failed)?;
        for signal in [SIGINT, SIGTERM] {
            // In this order: the first signal finds the flag unset, and sets it.
            let wanted = || Arc::clone(&interrupt.wanted);
            signal_hook::flag::register_conditional_shutdown(signal, ENDED_AT_ONCE, wanted())
                .map_err(failed)?;
            signal_hook::flag::register(signal, wanted()).map_err(failed)?;
            let teller = teller.try_clone().map_err(failed)?;
            signal_hook::low_level::pipe::register(signal, teller).map_err(failed)?;
        }
        let theirs = interrupt.clone();
        let watcher = std::thread::Builder::new().name("windlass-signals".into());
        watcher
            .spawn(move || {
                let mut byte = [0];
                while told.read_exact(&mut byte).is_ok() {
                    theirs.stop_run();
                }
            })
            .map_err(failed)?;
        Ok(interrupt)
    }

    /// Whether the command shall end.
    pub fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::SeqCst)
    }

    /// Ends what is being measured, as a signal would.
    pub fn now(&self) {
        self.wanted.store(true, Ordering::SeqCst);
        self.stop_run();
    }

    /// From now on an interrupt ends this run.
    pub fn ends(&self, run: StopRun) {
        *self.run.lock().unwrap_or_else(PoisonError::into_inner) = Some(run);
        // A signal that came before there was a run to end.
        if self.is_wanted() {
            self.stop_run();
        }
    }

    fn stop_run(&self) {
        if let Some(run) = self.run.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            run.stop();
        }
    }
}
