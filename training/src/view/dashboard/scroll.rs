//! A text that is longer than its place on the screen.

use ratatui::crossterm::event::KeyCode;

/// How far a text is scrolled, in lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Scroll {
    /// Lines above what is seen.
    above: usize,
    /// Lines below.
    below: usize,
    /// Lines that are seen.
    page: usize,
}

impl Scroll {
    /// Whether `key` scrolls, and then does it.
    pub(super) fn handle(&mut self, key: KeyCode) -> bool {
        let page = self.page.saturating_sub(1).max(1);
        let above = match key {
            KeyCode::Up => self.above.saturating_sub(1),
            KeyCode::Down => self.above + 1,
            KeyCode::PageUp => self.above.saturating_sub(page),
            KeyCode::PageDown => self.above + page,
            KeyCode::Home => 0,
            KeyCode::End => self.above + self.below,
            _ => return false,
        };
        let lines = self.above + self.below;
        (self.above, self.below) = (above.min(lines), lines - above.min(lines));
        true
    }

    /// The lines of a text that are seen on a page of this many rows.
    pub(super) fn seen<'a, T>(&mut self, lines: &'a [T], rows: u16) -> &'a [T] {
        self.page = usize::from(rows);
        let beyond = lines.len().saturating_sub(self.page);
        self.above = self.above.min(beyond);
        self.below = beyond - self.above;
        &lines[self.above..lines.len() - self.below]
    }

    /// What is out of sight, where something is.
    pub(super) fn hint(&self) -> Option<String> {
        let lines = |n: usize| if n == 1 { "line" } else { "lines" };
        match (self.above, self.below) {
            (0, 0) => None,
            (0, below) => Some(format!("↓ {below} more {}", lines(below))),
            (above, 0) => Some(format!("↑ {above} {}", lines(above))),
            (above, below) => Some(format!("↑ {above}  ↓ {below} {}", lines(below))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scrolls_within_the_text_and_says_what_is_out_of_sight() {
        let lines: Vec<usize> = (0..10).collect();
        let mut scroll = Scroll::default();
        assert_eq!((scroll.seen(&lines, 4), scroll.hint().as_deref()), (&lines[..4], Some("↓ 6 more lines")));
        assert!(scroll.handle(KeyCode::Down) && !scroll.handle(KeyCode::Left));
        assert_eq!(
            (scroll.seen(&lines, 4), scroll.hint().as_deref()),
            (&lines[1..5], Some("↑ 1  ↓ 5 lines"))
        );
        assert!(scroll.handle(KeyCode::PageDown) && scroll.handle(KeyCode::PageDown));
        assert_eq!((scroll.seen(&lines, 4), scroll.hint().as_deref()), (&lines[6..], Some("↑ 6 lines")));
        assert!(scroll.handle(KeyCode::Up) && scroll.seen(&lines, 4) == &lines[5..9]);
        assert!(scroll.handle(KeyCode::End) && scroll.seen(&lines, 4) == &lines[6..]);
        assert!(scroll.handle(KeyCode::Home) && scroll.seen(&lines, 4) == &lines[..4]);
        // A page that grows, and a text that is shorter than it.
        assert_eq!((scroll.seen(&lines, 20), scroll.hint()), (&lines[..], None));
        assert!(scroll.handle(KeyCode::PageDown) && scroll.seen(&lines, 20) == &lines[..]);
        assert!(scroll.seen(&lines, 0).is_empty() && scroll.seen::<usize>(&[], 3).is_empty());
    }
}
