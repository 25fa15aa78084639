//! What the program prints: results to standard output, messages to standard error.

use std::fmt::{self, Display};
use std::io::{self, ErrorKind, Stdout, Write};

/// Standard output for results. Unlike `println!`, it gives an error where nobody reads any more or the disk is full.
pub fn stdout() -> Output {
    Output(io::stdout())
}

/// [`stdout()`]
pub struct Output(Stdout);

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(Refused::explain)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(Refused::explain)
    }
}

/// Standard output took no more.
#[derive(Debug)]
struct Refused(io::Error);

impl Refused {
    /// The same kind of error, which says where it happened.
    fn explain(error: io::Error) -> io::Error {
        // The library's `write_all` goes on after this one by itself.
        if error.kind() == ErrorKind::Interrupted { error } else { io::Error::new(error.kind(), Self(error)) }
    }
}

impl Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "standard output: {}", self.0)
    }
}

impl std::error::Error for Refused {}

/// Whether whoever read our results has seen enough.
pub fn is_closed(error: &anyhow::Error) -> bool {
    let refused = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    refused
        .and_then(|error| error.downcast_ref())
        .is_some_and(|Refused(error)| error.kind() == ErrorKind::BrokenPipe)
}

/// Prints a message to the person at the terminal, who may have left: that is no reason to stop.
pub fn print_message(message: impl Display) {
    let _ = writeln!(io::stderr(), "{message}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_pipe_is_told_from_a_full_disk_and_from_other_pipes() {
        let refused = |kind| anyhow::Error::from(Refused::explain(ErrorKind::into(kind)));
        assert!(is_closed(&refused(ErrorKind::BrokenPipe)));
        assert!(!is_closed(&refused(ErrorKind::StorageFull)));
        assert!(refused(ErrorKind::StorageFull).to_string().starts_with("standard output: "));
        assert!(!is_closed(&io::Error::from(ErrorKind::BrokenPipe).into()), "a connection, perhaps");
    }
}
