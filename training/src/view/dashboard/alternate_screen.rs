//! The terminal taken over and given back: once each, from whichever thread comes first.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError, TryLockError};
use std::time::{Duration, Instant};
use std::{panic, thread};

use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};

/// Whether the terminal is in our hands.
static OURS: AtomicBool = AtomicBool::new(false);
/// Held while something is written, so that no half picture follows the restored terminal.
static WRITING: Mutex<()> = Mutex::new(());
/// How long [`restore`] waits for a write to end. A terminal may block for ever, after Control-S for example.
const PATIENCE: Duration = Duration::from_millis(300);

/// Switches to raw mode and the alternate screen, and makes a panic give both back before it is reported.
pub(super) fn enter() -> io::Result<()> {
    static HOOK: Once = Once::new();
    if !io::stderr().is_terminal() {
        return Err(io::Error::new(io::ErrorKind::Unsupported, "standard error is no terminal"));
    }
    if OURS.swap(true, Ordering::SeqCst) {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "another dashboard has the terminal"));
    }
    HOOK.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            restore();
            previous(info);
        }));
    });
    let entered = enable_raw_mode().and_then(|()| execute!(io::stderr(), EnterAlternateScreen, Hide));
    entered.inspect_err(|_| restore())
}

/// Gives the terminal back as it was; does nothing where it is not taken.
///
/// May be called from any thread at any time, such as one that waits for signals, and returns
/// within a third of a second. It takes locks, so it is not for a raw `sigaction` handler.
pub fn restore() {
    // The lock first: whoever comes second returns when the terminal is restored, not while it is.
    let _writing = lock_within(PATIENCE);
    if !OURS.swap(false, Ordering::SeqCst) {
        return;
    }
    let _ = execute!(io::stderr(), LeaveAlternateScreen, Show);
    let _ = disable_raw_mode();
}

/// Whether the terminal is still taken.
pub(super) fn is_ours() -> bool {
    OURS.load(Ordering::SeqCst)
}

fn lock_within(patience: Duration) -> Option<MutexGuard<'static, ()>> {
    let end = Instant::now() + patience;
    loop {
        match WRITING.try_lock() {
            Ok(guard) => return Some(guard),
            Err(TryLockError::Poisoned(guard)) => return Some(guard.into_inner()),
            Err(TryLockError::WouldBlock) if Instant::now() >= end => return None,
            Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// Standard error, a picture at a time; what comes after [`restore`] is dropped.
#[derive(Debug, Default)]
pub(super) struct Frames {
    picture: Vec<u8>,
}

impl Write for Frames {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.picture.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let _writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
        let written = if is_ours() { io::stderr().write_all(&self.picture) } else { Ok(()) };
        self.picture.clear();
        written
    }
}
