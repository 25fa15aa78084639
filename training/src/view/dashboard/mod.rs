//! The dashboard's thread: draws when something changed, listens to keys, and leaves the terminal as it was.

mod alternate_screen;
mod chart;
mod draw;
mod panels;

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use signal_hook::consts::SIGINT;

use self::alternate_screen::Frames;
use self::draw::draw;
use crate::view::progress::Progress;

pub use self::alternate_screen::restore;

/// Least time between two pictures.
const FRAME: Duration = Duration::from_millis(250);
/// Most time between two pictures: the clocks run where nothing else changes.
const CLOCK: Duration = Duration::from_secs(1);

/// What the person at the keyboard asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Stop after this step, with a checkpoint (`q`).
    Quit,
    /// Write a checkpoint now (`s`).
    Save,
    /// Pause, or end a pause (`p`).
    Pause,
}

/// The dashboard on the screen, until it is dropped.
///
/// It is drawn to standard error on the terminal's alternate screen. However the process ends, by dropping
/// this, by a panic in any thread, or by a signal whose handler calls [`restore`], the terminal is as before,
/// and nothing is written to it by the dashboard afterwards. Control-C, which sends no signal in raw mode, is turned
/// into `SIGINT`.
#[derive(Debug)]
pub(crate) struct Dashboard {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Dashboard {
    /// Takes the terminal over and draws `shared` from a thread of its own.
    ///
    /// # Errors
    /// There is no terminal, it refuses raw mode, or another dashboard is on it.
    pub(crate) fn start(shared: Arc<Mutex<Progress>>, commands: Sender<Command>) -> io::Result<Self> {
        alternate_screen::enter()?;
        let start = || {
            let terminal = Terminal::new(CrosstermBackend::new(Frames::default()))?;
            let stop = Arc::new(AtomicBool::new(false));
            let painter = Painter { terminal, shared, commands, stop: Arc::clone(&stop) };
            let thread = thread::Builder::new().name("dashboard".into()).spawn(move || {
                // A terminal that is gone ends the display, not the run.
                let _ = painter.run();
                restore();
            })?;
            Ok(Self { stop, thread: Some(thread) })
        };
        start().inspect_err(|_| restore())
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        restore();
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported by the panic hook.
            let _ = thread.join();
        }
    }
}

struct Painter {
    terminal: Terminal<CrosstermBackend<Frames>>,
    shared: Arc<Mutex<Progress>>,
    commands: Sender<Command>,
    stop: Arc<AtomicBool>,
}

impl Painter {
    fn run(mut self) -> io::Result<()> {
        let mut drawn: Option<(Instant, u64)> = None;
        while !self.stop.load(Ordering::Relaxed) && alternate_screen::is_ours() {
            if drawn.is_none_or(|(at, revision)| self.is_due(at, revision)) {
                // Copied, so that the trainer never waits for a picture.
                let progress = self.shared.lock().unwrap_or_else(PoisonError::into_inner).clone();
                drawn = Some((Instant::now(), progress.revision()));
                self.terminal.draw(|frame| draw(frame, &progress))?;
            }
            if event::poll(FRAME)? && self.handle(&event::read()?)? {
                drawn = None;
            }
        }
        Ok(())
    }

    fn is_due(&self, at: Instant, revision: u64) -> bool {
        let age = at.elapsed();
        let changed = || self.shared.lock().unwrap_or_else(PoisonError::into_inner).revision() != revision;
        age >= CLOCK || (age >= FRAME && changed())
    }

    /// Whether the picture has to be drawn at once.
    fn handle(&mut self, event: &Event) -> io::Result<bool> {
        match event {
            Event::Resize(..) => return Ok(true),
            Event::Key(key) if is_key(key, 'l', true) => {
                self.terminal.clear()?;
                return Ok(true);
            }
            // A key like any other while the terminal is ours; whoever handles the signal handles both.
            Event::Key(key) if is_key(key, 'c', true) => signal_hook::low_level::raise(SIGINT)?,
            Event::Key(key) => {
                if let Some(command) = command(key) {
                    // Nobody listens any more where the run is coming to its end.
                    let _ = self.commands.send(command);
                }
            }
            _ => {}
        }
        Ok(false)
    }
}

fn command(key: &KeyEvent) -> Option<Command> {
    let keys = [('q', false, Command::Quit), ('s', false, Command::Save), ('p', false, Command::Pause)];
    keys.into_iter()
        .find(|(letter, control, _)| is_key(key, *letter, *control))
        .map(|(_, _, command)| command)
}

fn is_key(key: &KeyEvent, letter: char, control: bool) -> bool {
    let KeyCode::Char(typed) = key.code else { return false };
    key.kind == KeyEventKind::Press
        && typed.eq_ignore_ascii_case(&letter)
        && key.modifiers.contains(KeyModifiers::CONTROL) == control
        && !key.modifiers.contains(KeyModifiers::ALT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_commands() {
        let press = |letter, modifiers| command(&KeyEvent::new(KeyCode::Char(letter), modifiers));
        let (none, control) = (KeyModifiers::NONE, KeyModifiers::CONTROL);
        assert_eq!(press('q', none), Some(Command::Quit));
        assert_eq!(press('Q', KeyModifiers::SHIFT), Some(Command::Quit));
        assert_eq!(press('s', none), Some(Command::Save));
        assert_eq!(press('p', none), Some(Command::Pause));
        assert_eq!(
            [
                press('c', none),
                press('c', control),
                press('q', control),
                press('q', KeyModifiers::ALT),
                press('x', none)
            ],
            [None; 5]
        );
    }
}
