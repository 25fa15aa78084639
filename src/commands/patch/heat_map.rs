//! A grid of numbers in a terminal: coloured where there are colours.

use std::io::Write;

use anyhow::Result;
use console::{Style, Term};
use unicode_width::UnicodeWidthStr;

/// Cells of a number.
const NUMBER: usize = 6;

/// Backgrounds of a terminal of 256 colours, from little to much.
const UPWARDS: [u8; 5] = [230, 223, 216, 209, 202];
const DOWNWARDS: [u8; 5] = [195, 153, 111, 75, 33];

/// Rows with names, and columns with numbers.
pub struct HeatMap<'a> {
    /// What the columns are.
    pub columns: &'a str,
    /// The name of each row.
    pub rows: &'a [String],
    /// The number in each column of each row: `[columns][rows]`.
    pub values: &'a [Vec<f64>],
    /// The number that has no colour.
    pub neutral: f64,
}

impl HeatMap<'_> {
    /// Writes it, in as many parts as the terminal is too narrow for.
    pub fn write(&self, out: &mut impl Write) -> Result<()> {
        let terminal = Term::stdout();
        let width = terminal.is_term().then(|| terminal.size_checked()).flatten();
        self.write_within(out, width.map(|(_, columns)| usize::from(columns)))
    }

    fn write_within(&self, out: &mut impl Write, width: Option<usize>) -> Result<()> {
        let name = self.rows.iter().map(|row| row.width()).max().unwrap_or(0).max(self.columns.width());
        let fitting = width.map_or(usize::MAX, |width| (width.saturating_sub(name) / NUMBER).max(1));
        for (part, columns) in self.values.chunks(fitting.min(self.values.len().max(1))).enumerate() {
            let first = part * fitting;
            write!(out, "{}", padded(self.columns, name))?;
            for column in 0..columns.len() {
                write!(out, "{:>NUMBER$}", first + column)?;
            }
            writeln!(out)?;
            for (row, label) in self.rows.iter().enumerate() {
                write!(out, "{}", padded(label, name))?;
                for column in columns {
                    write!(out, "{}", self.cell(column[row]))?;
                }
                writeln!(out)?;
            }
        }
        Ok(())
    }

    fn cell(&self, value: f64) -> String {
        let text = format!("{:>NUMBER$}", shown(value));
        let strength = value - self.neutral;
        let ramp = if strength < 0.0 { DOWNWARDS } else { UPWARDS };
        // 0.1 is the least that has a colour, 1 has all of it.
        let step = (strength.abs().min(1.0) * ramp.len() as f64).round() as usize;
        if !value.is_finite() || step == 0 {
            return text;
        }
        Style::new().color256(16).on_color256(ramp[step - 1]).apply_to(text).to_string()
    }
}

/// Two decimals; nothing is less than zero and shown as zero.
pub fn shown(value: f64) -> String {
    match format!("{value:.2}") {
        _ if !value.is_finite() => "–".to_owned(),
        number if number == "-0.00" => "0.00".to_owned(),
        number => number,
    }
}

fn padded(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.width())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_that_do_not_fit_follow_below() {
        let rows = ["0 a".to_owned(), "1 bb".to_owned()];
        let values = [vec![-0.001, 1.0], vec![0.25, -0.5], vec![f64::NAN, 12.0]];
        let map = HeatMap { columns: "layer", rows: &rows, values: &values, neutral: 0.0 };
        let shown = |width| {
            let mut out = Vec::new();
            map.write_within(&mut out, width).expect("memory takes it");
            String::from_utf8(out).expect("text")
        };
        console::set_colors_enabled(false);
        let whole = "layer     0     1     2\n0 a    0.00  0.25     –\n1 bb   1.00 -0.50 12.00\n";
        assert_eq!(shown(None), whole);
        assert_eq!(shown(Some(23)), whole);
        let parts = "layer     0     1\n0 a    0.00  0.25\n1 bb   1.00 -0.50\nlayer     2\n0 a       –\n1 bb  12.00\n";
        assert_eq!(shown(Some(22)), parts);
        console::set_colors_enabled(true);
        let coloured = shown(None);
        assert!(coloured.contains("\u{1b}[38;5;16m\u{1b}[48;5;202m  1.00\u{1b}[0m"), "{coloured:?}");
        assert!(coloured.contains("0 a    0.00\u{1b}"), "{coloured:?}");
    }
}
