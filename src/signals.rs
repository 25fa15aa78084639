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

/// The exit code of a run that someone ended.
pub const INTERRUPTED: u8 = 128 + SIGINT as u8;

/// What a shell reports of a program that a signal ended: 130 for Control-C, 143 for SIGTERM, 129 for SIGHUP.
pub fn exit_code(signal: NonZeroU8) -> ExitCode {
    ExitCode::from(128 + signal.get())
}

/// From now on, a file that grows beyond its limit is an error that the writer reports, not the end of the process.
pub fn catch_file_size_limit() -> Result<()> {
    #[cfg(unix)]
    register(SIGXFSZ)?;
    Ok(())
}

/// From now on, a signal asks the run to stop, with its number as the reason; a second one ends the process.
pub fn handle() -> Result<Stop> {
    #[cfg(unix)]
    let ending = ENDING.into_iter().filter(|signal| *signal != SIGHUP || !outlives_terminal());
    #[cfg(not(unix))]
    let ending = ENDING.into_iter();
    let signals = ending.map(register).collect::<Result<Vec<_>>>()?;
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

/// Asks the run to stop when its standard input ends: when the program at its other end does, however it ends.
pub fn end_with_standard_input(stop: Stop) -> Result<()> {
    let watch = move || {
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        stop.ask(NonZeroU8::new(SIGTERM as u8).expect("it is 15"));
    };
    let thread = std::thread::Builder::new().name("sweep".into()).spawn(watch);
    thread.map(drop).context("a thread could not be started")
}

/// Whether this program was told to outlive its terminal, as `nohup` does.
#[cfg(unix)]
fn outlives_terminal() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask & (1 << (SIGHUP - 1)) != 0)
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

/// A signal with a flag that says whether it arrived.
fn register(signal: i32) -> Result<(i32, Arc<AtomicBool>)> {
    let arrived = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal, Arc::clone(&arrived)).context("a signal handler could not be set")?;
    Ok((signal, arrived))
}
