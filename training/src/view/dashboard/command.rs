//! What the person at the keyboard asks of the run.

use ratatui::crossterm::event::KeyEvent;

use super::keyboard::is_letter;

/// What the person at the keyboard asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Stop after this step, with a checkpoint (`q`).
    Quit,
    /// Stop after this step, with a checkpoint, and start the next of several runs (`n`).
    Next,
    /// Write a checkpoint now (`s`).
    Save,
    /// Pause, or end a pause (`p`).
    Pause,
}

impl Command {
    /// What `key` asks for.
    pub(super) fn of(key: &KeyEvent) -> Option<Self> {
        let keys = [('q', Self::Quit), ('n', Self::Next), ('s', Self::Save), ('p', Self::Pause)];
        keys.into_iter().find(|(letter, _)| is_letter(key, *letter)).map(|(_, command)| command)
    }
}

#[cfg(test)]
mod tests {
    use ratatui::crossterm::event::{KeyCode, KeyModifiers};

    use super::*;

    #[test]
    fn keys_are_commands() {
        let press = |letter, modifiers| Command::of(&KeyEvent::new(KeyCode::Char(letter), modifiers));
        let (none, control) = (KeyModifiers::NONE, KeyModifiers::CONTROL);
        assert_eq!(press('q', none), Some(Command::Quit));
        assert_eq!(press('Q', KeyModifiers::SHIFT), Some(Command::Quit));
        assert_eq!(press('n', none), Some(Command::Next));
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
