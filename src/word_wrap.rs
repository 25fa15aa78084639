//! Text for a terminal: lines break between words.

use std::io::{self, Write};

use console::Term;
use unicode_width::UnicodeWidthChar;

/// Passes text on and breaks its lines between words; where the width is not known, as it is. The last word is held back
/// until it is over, or [`finish`](Self::finish) is called.
pub struct WordWrap<W> {
    out: W,
    /// Cells of a line, if lines are to break.
    width: Option<usize>,
    /// Cells written on this line.
    column: usize,
    /// White space before the word.
    gap: String,
    word: String,
    word_width: usize,
}

impl<W: Write> WordWrap<W> {
    /// Breaks lines at the width of the terminal that standard output is, if it is one.
    pub fn to_terminal(out: W) -> Self {
        let terminal = Term::stdout();
        let width = terminal.is_term().then(|| terminal.size_checked()).flatten();
        Self::new(out, width.map(|(_, columns)| usize::from(columns)))
    }

    fn new(out: W, width: Option<usize>) -> Self {
        Self { out, width, column: 0, gap: String::new(), word: String::new(), word_width: 0 }
    }

    /// More text.
    pub fn push(&mut self, text: &str) -> io::Result<()> {
        if self.width.is_none() {
            self.out.write_all(text.as_bytes())?;
            return self.out.flush();
        }
        for letter in text.chars() {
            let width = letter.width().unwrap_or_default();
            match letter {
                '\n' => {
                    self.place()?;
                    self.gap.clear();
                    self.column = 0;
                    writeln!(self.out)?;
                }
                space if space.is_whitespace() => {
                    self.place()?;
                    self.gap.push(space);
                }
                letter => {
                    self.word.push(letter);
                    self.word_width += width;
                    // Chinese and its kin have no spaces: lines break between any two of their letters.
                    if width > 1 {
                        self.place()?;
                    }
                }
            }
        }
        self.out.flush()
    }

    /// The text is over: what was held back is written.
    pub fn finish(&mut self) -> io::Result<()> {
        self.place()?;
        self.gap.clear();
        self.column = 0;
        self.out.flush()
    }

    /// Writes the word, on this line or on the next.
    fn place(&mut self) -> io::Result<()> {
        if self.word.is_empty() {
            return Ok(());
        }
        let width = self.width.unwrap_or(usize::MAX);
        if self.column > 0 && self.column + self.gap.len() + self.word_width > width {
            writeln!(self.out)?;
            self.column = 0;
        } else {
            write!(self.out, "{}", self.gap)?;
            self.column += self.gap.len();
        }
        write!(self.out, "{}", self.word)?;
        self.column += self.word_width;
        self.gap.clear();
        self.word.clear();
        self.word_width = 0;
        Ok(())
    }
}

impl<W: Write> Write for WordWrap<W> {
    /// Writes beside the text, as it is.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrapped(pieces: &[&str], width: Option<usize>) -> String {
        let mut wrap = WordWrap::new(Vec::new(), width);
        for piece in pieces {
            wrap.push(piece).expect("memory takes it");
        }
        wrap.finish().expect("memory takes it");
        String::from_utf8(wrap.out).expect("text")
    }

    #[test]
    fn lines_break_between_words_wherever_the_pieces_do() {
        let text = "Once upon a time, a fox\n\n  and a hen met.";
        let expected = "Once upon\na time, a\nfox\n\n  and a\nhen met.";
        assert_eq!(wrapped(&[text], Some(9)), expected);
        let letters: Vec<String> = text.chars().map(String::from).collect();
        let letters: Vec<&str> = letters.iter().map(String::as_str).collect();
        assert_eq!(wrapped(&letters, Some(9)), expected);
        assert_eq!(wrapped(&[text], None), text);
    }

    #[test]
    fn wide_letters_and_words_beyond_the_line_have_their_place() {
        assert_eq!(wrapped(&["日本語"], Some(4)), "日本\n語");
        assert_eq!(wrapped(&["a incomprehensible b"], Some(5)), "a\nincomprehensible\nb");
    }
}
