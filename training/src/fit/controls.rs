//! What a person at the keyboard, or a signal, asks of a run.

use std::sync::mpsc::Receiver;

use burn_train::Interrupter;

use crate::Stopped;
use crate::view::Command;

/// Keys and signals, looked at between steps and between the batches of an evaluation.
pub(crate) struct Controls {
    keys: Receiver<Command>,
    interrupter: Interrupter,
    quit: bool,
    save: bool,
    paused: bool,
}

impl Controls {
    pub(crate) fn new(keys: Receiver<Command>, interrupter: Interrupter) -> Self {
        Self { keys, interrupter, quit: false, save: false, paused: false }
    }

    /// Why the run is to end now, if it is.
    pub(crate) fn stop(&mut self) -> Option<Stopped> {
        while let Ok(key) = self.keys.try_recv() {
            match key {
                Command::Quit => self.quit = true,
                Command::Save => self.save = true,
                Command::Pause => self.paused = !self.paused,
            }
        }
        if self.interrupter.should_stop() {
            Some(Stopped::Interrupted)
        } else {
            self.quit.then_some(Stopped::Quit)
        }
    }

    /// Whether the run is to wait.
    pub(crate) fn paused(&self) -> bool {
        self.paused
    }

    /// Whether a checkpoint was asked for since the last call.
    pub(crate) fn take_save(&mut self) -> bool {
        std::mem::take(&mut self.save)
    }
}
