//! Signals that end a run: the first one with a checkpoint, a second one at once.

use std::num::NonZeroU8;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use kiln_training::Stop;
#[cfg(unix)]
use signal_hook::consts::{SIGHUP, SIGXFSZ};
use signal_hook::consts::{SIGINT, SIGTERM};

/// Signals that ask a run to end.
#[cfg(unix)]
const ENDING: [i32; 3] = [SIGINT, SIGTERM, SIGHUP];
#[cfg(not(unix))]
const ENDING: [i32; 2] = [SIGINT, SIGTERM];

/// How long a signal may go unnoticed. Those that arrive within this time of each other count as one.
const POLL: Duration = Duration::from_millis(20);

/// What a shell reports of a program that a signal ended: 130 for Control-C, 143 for SIGTERM, 129 for SIGHUP.
pub fn exit_code(signal: NonZeroU8) -> ExitCode {
    ExitCode::from(128 + signal.get())
}

/// From now on, a signal asks the run to stop, with its number as the reason; a second one ends the process.
pub fn handle() -> Result<Stop> {
    let register = |signal| {
        let arrived = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(signal, Arc::clone(&arrived))
            .context("a signal handler could not be set")?;
        anyhow::Ok((signal, arrived))
    };
    // A file that grows beyond its limit is an error that the writer reports, not the end of the process.
    #[cfg(unix)]
    register(SIGXFSZ)?;
    let signals = ENDING.into_iter().map(register).collect::<Result<Vec<_>>>()?;
    let stop = Stop::default();
    let asked = stop.clone();
    let watch = move || {
        loop {
            for (signal, arrived) in &signals {
                if arrived.swap(false, Ordering::Relaxed) {
                    act(*signal, &asked);
                }
            }
            std::thread::sleep(POLL);
        }
    };
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(watch)
        .context("a thread could not be started")?;
    Ok(stop)
}

fn act(signal: i32, stop: &Stop) {
    let reason = u8::try_from(signal).ok().and_then(NonZeroU8::new).expect("signals are small numbers");
    if stop.ask(reason) {
        return;
    }
    // A terminal that goes away says so more than once; nobody is in a hurry then.
    #[cfg(unix)]
    if signal == SIGHUP {
        return;
    }
    kiln_training::restore_terminal();
    signal_hook::low_level::exit(128 + signal);
}
