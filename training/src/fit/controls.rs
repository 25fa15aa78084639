//! What a person at the keyboard, or a signal, asks of a run.

use std::sync::mpsc::Receiver;

use super::run::Stopped;
use super::stop::Stop;
use crate::view::Command;

/// Keys and signals, looked at between steps and between the batches of an evaluation.
pub(super) struct Controls {
    keys: Receiver<Command>,
    stop: Stop,
    quit: Option<Stopped>,
    save: bool,
    paused: bool,
}

impl Controls {
    pub(super) fn new(keys: Receiver<Command>, stop: Stop) -> Self {
        Self { keys, stop, quit: None, save: false, paused: false }
    }

    /// Why the run is to end now, if it is.
    pub(super) fn stop(&mut self) -> Option<Stopped> {
        while let Ok(key) = self.keys.try_recv() {
            match key {
                Command::Quit => self.quit = Some(Stopped::Quit),
                Command::Next => self.quit = Some(Stopped::Next),
                Command::Save => self.save = true,
                Command::Pause => self.paused = !self.paused,
            }
        }
        if self.stop.is_asked() { Some(Stopped::Interrupted) } else { self.quit }
    }

    /// Whether the run is to wait.
    pub(super) fn paused(&self) -> bool {
        self.paused
    }

    /// Whether a checkpoint was asked for since the last call.
    pub(super) fn take_save(&mut self) -> bool {
        std::mem::take(&mut self.save)
    }
}
