//! Keys and changes of size, from a terminal that may go away.

#[cfg(unix)]
use std::fs::File;
use std::io;
#[cfg(unix)]
use std::io::IsTerminal as _;
#[cfg(unix)]
use std::os::fd::{AsFd as _, BorrowedFd};
use std::thread;
use std::time::Duration;

use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
#[cfg(unix)]
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Waits at most `timeout` and calls `handle` with what has come in.
///
/// # Errors
///
/// [`io::ErrorKind::UnexpectedEof`] once the terminal is gone, and what `handle` says. Of a terminal that is gone, crossterm would
/// never return.
pub(super) fn listen(timeout: Duration, mut handle: impl FnMut(&Event) -> io::Result<()>) -> io::Result<()> {
    if !is_ready(timeout)? {
        // crossterm cannot be asked without waiting: the terminal's size may have changed meanwhile.
        return if event::poll(Duration::ZERO)? { handle(&event::read()?) } else { Ok(()) };
    }
    let mut heard = false;
    while event::poll(Duration::ZERO)? {
        heard = true;
        handle(&event::read()?)?;
    }
    if !heard {
        // Half a sequence, or a key that crossterm notices only with the next one: it came together with a change of size.
        thread::sleep(timeout);
    }
    Ok(())
}

/// Whether the terminal of standard error is gone.
#[cfg(unix)]
pub(super) fn is_gone() -> bool {
    wait(io::stderr().as_fd(), Duration::ZERO)
        .is_err_and(|error| error.kind() == io::ErrorKind::UnexpectedEof)
}

/// Waits until the terminal has something to read.
#[cfg(unix)]
fn is_ready(timeout: Duration) -> io::Result<bool> {
    // Where crossterm reads.
    if io::stdin().is_terminal() {
        wait(io::stdin().as_fd(), timeout)
    } else {
        wait(File::open("/dev/tty")?.as_fd(), timeout)
    }
}

/// Waits until there is something to read from a terminal.
#[cfg(unix)]
fn wait(terminal: BorrowedFd<'_>, timeout: Duration) -> io::Result<bool> {
    let mut polled = [PollFd::from_borrowed_fd(terminal, PollFlags::IN)];
    let timeout = Timespec::try_from(timeout).map_err(io::Error::other)?;
    match poll(&mut polled, Some(&timeout)) {
        Err(rustix::io::Errno::INTR) => return Ok(false),
        polled => polled?,
    };
    let found = polled[0].revents();
    if found.intersects(PollFlags::HUP | PollFlags::ERR) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(found.contains(PollFlags::IN))
}

/// Waits until there is an event.
#[cfg(not(unix))]
fn is_ready(timeout: Duration) -> io::Result<bool> {
    event::poll(timeout)
}

/// Whether a key goes down, and not up.
pub(super) fn is_press(key: &KeyEvent) -> bool {
    key.kind == KeyEventKind::Press
}

/// Whether a letter is typed, large or small.
pub(super) fn is_letter(key: &KeyEvent, letter: char) -> bool {
    is_char(key, letter) && !key.modifiers.contains(KeyModifiers::CONTROL)
}

/// Whether a letter is typed together with Control.
pub(super) fn is_control(key: &KeyEvent, letter: char) -> bool {
    is_char(key, letter) && key.modifiers.contains(KeyModifiers::CONTROL)
}

fn is_char(key: &KeyEvent, letter: char) -> bool {
    let KeyCode::Char(typed) = key.code else { return false };
    is_press(key) && typed.eq_ignore_ascii_case(&letter) && !key.modifiers.contains(KeyModifiers::ALT)
}
