//! Bytes that are changed while they are read.

use std::io::{self, Read};

/// Turns bytes into others, piece by piece.
pub(super) trait Rewrite {
    /// Reads a piece and adds what comes of it to `ready`, which may be nothing yet. Whether there may be more.
    fn piece(&mut self, ready: &mut Vec<u8>) -> io::Result<bool>;
}

/// Reads what a [`Rewrite`] makes.
pub(super) struct Rewritten<T> {
    rewrite: T,
    ready: Vec<u8>,
    taken: usize,
}

impl<T: Rewrite> Rewritten<T> {
    pub(super) fn new(rewrite: T) -> Self {
        Self { rewrite, ready: Vec::new(), taken: 0 }
    }
}

impl<T: Rewrite> Read for Rewritten<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.ready.len() {
            self.ready.clear();
            self.taken = 0;
            while self.ready.is_empty() && self.rewrite.piece(&mut self.ready)? {}
        }
        let count = buffer.len().min(self.ready.len() - self.taken);
        buffer[..count].copy_from_slice(&self.ready[self.taken..self.taken + count]);
        self.taken += count;
        Ok(count)
    }
}
