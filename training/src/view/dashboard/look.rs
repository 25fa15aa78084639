//! What the person at the keyboard wants to see of the run.

use ratatui::crossterm::event::{KeyCode, KeyEvent};

use super::keyboard::{is_letter, is_press};
use super::scroll::Scroll;

/// How the run is looked at; keys change it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) tab: Tab,
    pub(super) zoom: Zoom,
    /// Whether the axis of the losses is logarithmic.
    pub(super) logarithmic: bool,
    /// Whether the help is open.
    pub(super) help: bool,
    pub(super) sample_scroll: Scroll,
    /// Step of the sample that is scrolled: the next one is read from its beginning.
    pub(super) sample_step: usize,
    pub(super) help_scroll: Scroll,
}

/// What stands beside the numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Tab {
    /// The losses, and the sample where it has no place of its own.
    #[default]
    Loss,
    /// Learning rate, gradient norm, speed and memory.
    Charts,
}

/// The part of the run that charts show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Zoom {
    /// All steps, on an axis that fits the last nine tenths: a loss falls so steeply at first that the rest would be a
    /// flat line otherwise.
    #[default]
    Run,
    /// The second half of the steps.
    LastHalf,
    /// The last fifth of the steps.
    LastFifth,
    /// All steps, whatever height they take.
    FullHeight,
}

impl Look {
    /// Whether `key` changes what is seen, and then does it.
    pub(super) fn handle(&mut self, key: &KeyEvent) -> bool {
        if !is_press(key) {
            return false;
        }
        if self.help {
            // Whoever presses `q` here wants to leave the help, not the run.
            if key.code == KeyCode::Esc || ['?', 'h', 'q'].into_iter().any(|letter| is_letter(key, letter)) {
                self.help = false;
                return true;
            }
            return self.help_scroll.handle(key.code);
        }
        match key.code {
            KeyCode::Tab | KeyCode::BackTab => self.tab = self.tab.other(),
            _ if is_letter(key, '1') => self.tab = Tab::Loss,
            _ if is_letter(key, '2') => self.tab = Tab::Charts,
            _ if is_letter(key, 'l') => self.logarithmic = !self.logarithmic,
            _ if is_letter(key, 'z') => self.zoom = self.zoom.next(),
            _ if is_letter(key, '?') || is_letter(key, 'h') => {
                (self.help, self.help_scroll) = (true, Scroll::default());
            }
            code => return self.sample_scroll.handle(code),
        }
        true
    }
}

impl Tab {
    /// The one that is not shown.
    pub(super) fn other(self) -> Self {
        match self {
            Self::Loss => Self::Charts,
            Self::Charts => Self::Loss,
        }
    }
}

impl Zoom {
    fn next(self) -> Self {
        match self {
            Self::Run => Self::LastHalf,
            Self::LastHalf => Self::LastFifth,
            Self::LastFifth => Self::FullHeight,
            Self::FullHeight => Self::Run,
        }
    }

    /// What is not the usual about it.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Run => "",
            Self::LastHalf => "last half",
            Self::LastFifth => "last fifth",
            Self::FullHeight => "full height",
        }
    }

    /// The first step that is shown of `first..=last`.
    pub(super) fn start(self, first: f64, last: f64) -> f64 {
        match self {
            Self::Run | Self::FullHeight => first,
            Self::LastHalf => last - 0.5 * (last - first),
            Self::LastFifth => last - 0.2 * (last - first),
        }
    }

    /// The first step whose value has to fit, of those from `start` to `last`.
    pub(super) fn fits_from(self, start: f64, last: f64) -> f64 {
        if self == Self::Run { start + 0.1 * (last - start) } else { start }
    }
}

#[cfg(test)]
mod tests {
    use ratatui::crossterm::event::KeyModifiers;

    use super::*;

    fn look(keys: &[KeyCode]) -> Look {
        let mut look = Look::default();
        for key in keys {
            assert!(look.handle(&KeyEvent::new(*key, KeyModifiers::NONE)), "{key:?}");
        }
        look
    }

    #[test]
    fn keys_change_what_is_seen() {
        use KeyCode::{Char, Esc, Tab as TabKey};
        assert_eq!(look(&[TabKey]).tab, Tab::Charts);
        assert_eq!(look(&[TabKey, TabKey]), Look::default());
        assert_eq!((look(&[Char('2')]).tab, look(&[Char('2'), Char('1')]).tab), (Tab::Charts, Tab::Loss));
        assert!(look(&[Char('l')]).logarithmic && !look(&[Char('l'), Char('L')]).logarithmic);
        let zooms: Vec<Zoom> = (0..5).map(|n| look(&vec![Char('z'); n]).zoom).collect();
        assert_eq!(zooms, [Zoom::Run, Zoom::LastHalf, Zoom::LastFifth, Zoom::FullHeight, Zoom::Run]);
        for closing in [Esc, Char('?'), Char('h'), Char('q')] {
            assert!(look(&[Char('?')]).help && !look(&[Char('h'), closing]).help);
        }
        // The help covers the rest.
        let mut open = look(&[Char('?')]);
        for key in [TabKey, Char('z'), Char('l'), Char('s')] {
            assert!(!open.handle(&KeyEvent::new(key, KeyModifiers::NONE)));
        }
        let mut plain = Look::default();
        for (key, modifiers) in
            [('z', KeyModifiers::CONTROL), ('l', KeyModifiers::ALT), ('x', KeyModifiers::NONE)]
        {
            assert!(!plain.handle(&KeyEvent::new(Char(key), modifiers)));
        }
        assert_eq!(plain, Look::default());
    }
}
