//! The dashboard's thread: draws when something changed, listens to keys, and leaves the terminal as it was.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::Event;
#[cfg(unix)]
use signal_hook::consts::SIGHUP;
use signal_hook::consts::SIGINT;

use super::alternate_screen::{self, Frames, restore};
use super::command::Command;
use super::draw::draw;
use super::keyboard::{self, is_control};
use super::look::Look;
use crate::view::progress::Progress;

/// Least time between two pictures.
const FRAME: Duration = Duration::from_millis(250);
/// How long the end of the dashboard waits for its thread.
const PATIENCE: Duration = Duration::from_secs(1);
/// Most time between two pictures: the clocks run where nothing else changes.
const CLOCK: Duration = Duration::from_secs(1);

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
            let look = Look::default();
            let mut painter = Painter { terminal, shared, commands, look, stop: Arc::clone(&stop) };
            let thread = thread::Builder::new().name("dashboard".into()).spawn(move || {
                let ended = painter.run();
                // Before the painter goes, which would still write to a terminal that may be gone.
                restore();
                drop(painter);
                // The system says so too, but only to the process that leads the terminal's session. Whoever handles
                // the signal decides what becomes of the run.
                #[cfg(unix)]
                if ended.is_err() && keyboard::is_gone() {
                    let _ = signal_hook::low_level::raise(SIGHUP);
                }
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
        let Some(thread) = self.thread.take() else { return };
        // A write to a terminal that is gone, or held by Control-S, may never return; the end of the process ends it.
        let end = Instant::now() + PATIENCE;
        while !thread.is_finished() && Instant::now() < end {
            thread::sleep(Duration::from_millis(5));
        }
    }
}

struct Painter {
    terminal: Terminal<CrosstermBackend<Frames>>,
    shared: Arc<Mutex<Progress>>,
    commands: Sender<Command>,
    look: Look,
    stop: Arc<AtomicBool>,
}

impl Painter {
    fn run(&mut self) -> io::Result<()> {
        let mut drawn: Option<(Instant, u64)> = None;
        while !self.stop.load(Ordering::Relaxed) && alternate_screen::is_ours() {
            if drawn.is_none_or(|(at, revision)| self.is_due(at, revision)) {
                // Copied, so that the trainer never waits for a picture.
                let progress = self.shared.lock().unwrap_or_else(PoisonError::into_inner).clone();
                drawn = Some((Instant::now(), progress.revision()));
                let look = &mut self.look;
                self.terminal.draw(|frame| draw(frame, &progress, look))?;
            }
            keyboard::listen(FRAME, |event| {
                if self.handle(event)? {
                    drawn = None;
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    fn is_due(&self, at: Instant, revision: u64) -> bool {
        let age = at.elapsed();
        let changed = || self.shared.lock().unwrap_or_else(PoisonError::into_inner).revision() != revision;
        age >= CLOCK || (age >= FRAME && changed())
    }

    /// Whether the run can do it.
    fn is_offered(&self, command: Command) -> bool {
        let progress = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        command != Command::Next || progress.info().part.is_some()
    }

    /// Whether the picture has to be drawn at once.
    fn handle(&mut self, event: &Event) -> io::Result<bool> {
        match event {
            Event::Resize(..) => return Ok(true),
            Event::Key(key) if is_control(key, 'l') => {
                self.terminal.clear()?;
                return Ok(true);
            }
            // A key like any other while the terminal is ours; whoever handles the signal handles both.
            Event::Key(key) if is_control(key, 'c') => signal_hook::low_level::raise(SIGINT)?,
            Event::Key(key) if self.look.handle(key) => return Ok(true),
            // The help covers the keys as well.
            Event::Key(key) if !self.look.help => {
                if let Some(command) = Command::of(key).filter(|command| self.is_offered(*command)) {
                    // Nobody listens any more where the run is coming to its end.
                    let _ = self.commands.send(command);
                }
            }
            _ => {}
        }
        Ok(false)
    }
}
