//! Heat maps, bars and token texts in a terminal.

use std::io::Write;

use anyhow::Result;
use console::{Style, Term};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Colours of the 256 of a terminal, from dark to light, that those who do not tell red from green tell apart too.
const RAMP: [u8; 10] = [234, 17, 18, 24, 60, 66, 102, 143, 179, 227];
/// What stands for them without colour.
const SHADES: [char; 5] = [' ', '░', '▒', '▓', '█'];
/// Width of a row's name.
const NAME: usize = 14;

/// A token's text on one line: spaces and line breaks are seen, and nothing of it moves the cursor.
pub fn visible(text: &str) -> String {
    let mut shown = String::new();
    for letter in text.chars() {
        match letter {
            ' ' => shown.push('·'),
            '\n' => shown.push('⏎'),
            '\t' => shown.push('⇥'),
            letter if letter.is_control() => shown.extend(letter.escape_default()),
            // Marks that turn the direction of the line around, or take no room.
            '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => {
                shown.extend(letter.escape_unicode());
            }
            letter => shown.push(letter),
        }
    }
    shown
}

/// A token's text in exactly so many cells.
pub fn fitted(text: &str, width: usize) -> String {
    fit(&visible(text), width)
}

/// A text that is [visible] already, in exactly so many cells.
pub fn fit(text: &str, width: usize) -> String {
    let mut shown = String::new();
    let mut left = width;
    let room = if text.width() > width { width.saturating_sub(1) } else { width };
    for letter in text.chars() {
        let cells = letter.width().unwrap_or(0);
        if width - left + cells > room {
            break;
        }
        shown.push(letter);
        left -= cells;
    }
    if text.width() > width && left > 0 {
        shown.push('…');
        left -= 1;
    }
    shown + &" ".repeat(left)
}

/// A bar of at most `width` cells for a number between 0 and `most`.
pub fn bar(value: f32, most: f32, width: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let share = if most > 0.0 { (value / most).clamp(0.0, 1.0) } else { 0.0 };
    let eighths = (share * (width * 8) as f32).round() as usize;
    "█".repeat(eighths / 8) + EIGHTHS[eighths % 8]
}

/// A number in about six characters.
pub fn number(value: f32) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if !(1e-3..1e5).contains(&size) => format!("{value:.2e}"),
        size if size >= 100.0 => format!("{value:.1}"),
        size if size >= 10.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

/// A table of numbers between 0 and 1, as percentages on colours that get lighter. `None` is left empty.
pub struct HeatMap<'a> {
    /// What the columns are called; the last characters that fit are shown.
    pub columns: &'a [String],
    /// What the rows are called.
    pub rows: &'a [String],
}

impl HeatMap<'_> {
    /// Prints it: the value in each row and column.
    pub fn print(&self, out: &mut impl Write, value: impl Fn(usize, usize) -> Option<f32>) -> Result<()> {
        let room = Term::stdout().size_checked().map(|(_, columns)| usize::from(columns));
        let fits = room.is_none_or(|room| NAME + 1 + 3 * self.columns.len() <= room);
        let cell = if fits { 3 } else { 1 };
        if fits {
            let heads: String = self.columns.iter().map(|name| format!("{:>3}", last(name, 2))).collect();
            writeln!(out, "{:NAME$} {heads}", "")?;
        }
        for (row, name) in self.rows.iter().enumerate() {
            let cells = (0..self.columns.len()).map(|column| shaded(value(row, column), cell));
            let line: String = cells.collect();
            writeln!(out, "{} {}", fit(name, NAME), line.trim_end_matches(' '))?;
        }
        Ok(())
    }
}

/// The last characters of a text.
fn last(text: &str, count: usize) -> String {
    let length = text.chars().count();
    text.chars().skip(length.saturating_sub(count)).collect()
}

/// One cell, 1 or 3 wide.
fn shaded(value: Option<f32>, width: usize) -> String {
    let Some(value) = value else { return " ".repeat(width) };
    let share = if value.is_finite() { value.clamp(0.0, 1.0) } else { 0.0 };
    let step = |count: usize| ((share * count as f32) as usize).min(count - 1);
    if !console::colors_enabled() {
        return match width {
            1 => SHADES[step(SHADES.len())].to_string(),
            _ => format!("{:>3}", (share * 100.0).round() as u32),
        };
    }
    let text = match width {
        1 => " ".to_owned(),
        _ => format!("{:>3}", (share * 100.0).round() as u32),
    };
    let step = step(RAMP.len());
    let ink = if step >= 6 { 16 } else { 252 };
    Style::new().color256(ink).on_color256(RAMP[step]).apply_to(text).to_string()
}

/// A heading.
pub fn heading(out: &mut impl Write, text: &str) -> Result<()> {
    writeln!(out, "{}", console::style(text).bold())?;
    Ok(())
}

/// A remark.
pub fn remark(out: &mut impl Write, text: &str) -> Result<()> {
    writeln!(out, "{}", console::style(text).dim())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_fit_and_nothing_moves_the_cursor() {
        assert_eq!(visible(" a\n\u{1b}[31m\u{202e}"), "·a⏎\\u{1b}[31m\\u{202e}");
        for (text, fits) in
            [("ab", "ab  "), ("abcde", "abc…"), ("日本語", "日… "), ("", "    "), ("日本", "日本")]
        {
            assert_eq!(fitted(text, 4), fits);
        }
    }

    #[test]
    fn bars_are_as_long_as_their_numbers() {
        assert_eq!(
            [bar(0.0, 1.0, 4), bar(0.5, 1.0, 4), bar(9.0, 1.0, 4), bar(1.0, 0.0, 4)],
            ["", "██", "████", ""]
        );
    }
}
