//! Colours and frames: one accent, and as little else as possible.

use ratatui::layout::Alignment;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, BorderType, Padding};

/// The accent, and colour of everything about the training loss.
pub(super) const ACCENT: Color = Color::Cyan;
/// Colour of everything about the validation loss.
pub(super) const VALID: Color = Color::Yellow;
/// Colour of a loss that no model can beat.
pub(super) const FLOOR: Color = Color::Green;
/// What someone has to see.
pub(super) const ALERT: Color = Color::LightRed;
/// Single values behind a smoothed curve.
pub(super) const RAW: Color = Color::Indexed(240);
/// Labels and other text in the second row.
pub(super) const DIM: Style = Style::new().fg(Color::Indexed(246));
/// Frames and axes.
pub(super) const FAINT: Style = Style::new().fg(Color::Indexed(240));
/// Keys, names and the numbers that count most.
pub(super) const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);

/// A frame with its title.
pub(super) fn panel(title: String) -> Block<'static> {
    // Its own colour, or it would have that of the frame.
    let title = Line::styled(format!(" {title} "), Color::Reset);
    Block::bordered()
        .border_type(BorderType::Rounded)
        .border_style(FAINT)
        .title_top(title)
        .padding(Padding::horizontal(1))
}

/// A frame that says at its lower edge what of its text is out of sight.
pub(super) fn with_hint(block: Block<'static>, hint: Option<String>) -> Block<'static> {
    match hint {
        Some(hint) => block.title_bottom(Line::styled(format!(" {hint} "), DIM).alignment(Alignment::Right)),
        None => block,
    }
}
