//! What a person at the keyboard, or a signal, asks of a run.

use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::run::Stopped;
use super::stop::Stop;
use crate::view::Command;

/// Keys and signals, looked at between steps, between the micro-batches of a large one and between the batches of an
/// evaluation.
#[derive(Clone)]
pub(super) struct Controls(Arc<Mutex<Asked>>);

/// What was asked for so far.
struct Asked {
    keys: Receiver<Command>,
    stop: Stop,
    quit: Option<Stopped>,
    save: bool,
    paused: bool,
}

impl Controls {
    pub(super) fn new(keys: Receiver<Command>, stop: Stop) -> Self {
        Self(Arc::new(Mutex::new(Asked { keys, stop, quit: None, save: false, paused: false })))
    }

    /// Why the run is to end now, if it is.
    pub(super) fn stop(&self) -> Option<Stopped> {
        let mut asked = self.asked();
        while let Ok(key) = asked.keys.try_recv() {
            match key {
                Command::Quit => asked.quit = Some(Stopped::Quit),
                Command::Next => asked.quit = Some(Stopped::Next),
                Command::Save => asked.save = true,
                Command::Pause => asked.paused = !asked.paused,
            }
        }
        if asked.stop.is_asked() { Some(Stopped::Interrupted) } else { asked.quit }
    }

    /// Whether the run is to wait.
    pub(super) fn paused(&self) -> bool {
        self.asked().paused
    }

    /// Whether a checkpoint was asked for since the last call.
    pub(super) fn take_save(&self) -> bool {
        std::mem::take(&mut self.asked().save)
    }

    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
