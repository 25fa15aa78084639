//! Signals that end a run: the first one with a checkpoint, a second one at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use burn_train::Interrupter;
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

/// The signal that ended the run, once there was one.
#[derive(Clone, Debug, Default)]
pub struct Received(Arc<AtomicI32>);

impl Received {
    /// Whether there was one.
    pub fn any(&self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }

    /// What a shell reports of a program that a signal ended: 130 for Control-C, 143 for SIGTERM, 129 for SIGHUP.
    pub fn exit_code(&self) -> u8 {
        match self.0.load(Ordering::Relaxed) {
            0 => exit_code(SIGINT) as u8,
            signal => exit_code(signal) as u8,
        }
    }
}

fn exit_code(signal: i32) -> i32 {
    128 + signal
}

/// From now on, a signal stops `interrupter`, and a second one ends the process.
pub fn handle(interrupter: Interrupter) -> Result<Received> {
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
    let received = Received::default();
    let first = received.clone();
    let watch = move || {
        loop {
            for (signal, arrived) in &signals {
                if arrived.swap(false, Ordering::Relaxed) {
                    act(*signal, &first, &interrupter);
                }
            }
            std::thread::sleep(POLL);
        }
    };
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(watch)
        .context("a thread could not be started")?;
    Ok(received)
}

fn act(signal: i32, first: &Received, interrupter: &Interrupter) {
    if first.0.compare_exchange(0, signal, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
        interrupter.stop(Some("interrupted"));
        return;
    }
    // A terminal that goes away says so more than once; nobody is in a hurry then.
    #[cfg(unix)]
    if signal == SIGHUP {
        return;
    }
    kiln_training::restore_terminal();
    signal_hook::low_level::exit(exit_code(signal));
}
