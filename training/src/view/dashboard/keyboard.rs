//! Keys and changes of size, from a terminal that may go away.

use std::io;
use std::time::Duration;

use ratatui::crossterm::event::{self, Event};

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
    while event::poll(Duration::ZERO)? {
        handle(&event::read()?)?;
    }
    Ok(())
}

/// Whether the terminal is gone.
#[cfg(unix)]
pub(super) fn is_gone() -> bool {
    is_ready(Duration::ZERO).is_err_and(|error| error.kind() == io::ErrorKind::UnexpectedEof)
}

/// Waits until the terminal has something to read.
#[cfg(unix)]
fn is_ready(timeout: Duration) -> io::Result<bool> {
    use std::fs::File;
    use std::io::IsTerminal as _;
    use std::os::fd::AsFd as _;

    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    let (stdin, terminal);
    // Where crossterm reads.
    let fd = if io::stdin().is_terminal() {
        stdin = io::stdin();
        stdin.as_fd()
    } else {
        terminal = File::open("/dev/tty")?;
        terminal.as_fd()
    };
    let mut polled = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
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
