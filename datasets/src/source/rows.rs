//! Rows of comma- or tab-separated values, as RFC 4180 has them.
//!
//! Quotes are read strictly. A stray one would join all rows up to the next, or up to the end of the file, and the
//! csv crate takes that without a word.

use std::io::{self, BufRead};

/// The fields of a row.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    bytes: Vec<u8>,
    /// Where each field ends.
    ends: Vec<usize>,
    /// One-based line that it begins on.
    pub line: u64,
    /// Bytes of the file before it.
    pub offset: u64,
}

impl Row {
    /// Number of fields.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn get(&self, index: usize) -> Option<&[u8]> {
        let end = *self.ends.get(index)?;
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        Some(&self.bytes[start..end])
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).filter_map(|index| self.get(index))
    }
}

/// Why a row cannot be used.
#[derive(Debug)]
pub(super) enum BadRow {
    /// The file could not be read.
    Io(io::Error),
    /// A quote is out of place; the line it stands on.
    Quote { line: u64, reason: String },
}

/// The rows of a file, one after the other.
pub(super) struct Rows<R> {
    input: R,
    delimiter: u8,
    /// Whether `"` encloses fields.
    quoting: bool,
    line: u64,
    offset: u64,
}

/// Where in a field the next byte stands.
#[derive(Clone, Copy, PartialEq)]
enum State {
    Start,
    Bare,
    Quoted,
    /// Behind a quote that ends the field, unless another follows.
    Quote,
}

impl<R: BufRead> Rows<R> {
    /// The rows of `input`, which begins at byte `offset` of its file.
    pub(super) fn new(input: R, delimiter: u8, quoting: bool, offset: u64) -> Self {
        Self { input, delimiter, quoting, line: 1, offset }
    }

    /// Reads the next row, and returns whether there was one. Empty lines are none. After a bad row, the next
    /// call goes on behind it.
    pub(super) fn read(&mut self, row: &mut Row) -> Result<bool, BadRow> {
        row.bytes.clear();
        row.ends.clear();
        let mut reading = Reading { state: State::Start, opened: 0, fault: None };
        loop {
            let bytes = self.input.fill_buf().map_err(BadRow::Io)?;
            if bytes.is_empty() {
                break;
            }
            let (mut used, mut ended) = (0, false);
            while used < bytes.len() && !ended {
                let byte = bytes[used];
                used += 1;
                if reading.state == State::Start && row.ends.is_empty() {
                    (row.line, row.offset) = (self.line, self.offset + used as u64 - 1);
                }
                ended = reading.step(byte, row, self.line, self.delimiter, self.quoting);
                self.line += u64::from(byte == b'\n');
            }
            self.input.consume(used);
            self.offset += used as u64;
            if ended {
                return reading.finish(row);
            }
        }
        if reading.state == State::Quoted {
            let reason = "the quote that opens here is never closed".to_owned();
            reading.fault.get_or_insert(BadRow::Quote { line: reading.opened, reason });
        }
        if reading.state == State::Start && row.ends.is_empty() { Ok(false) } else { reading.finish(row) }
    }
}

/// A row that is being read.
struct Reading {
    state: State,
    /// Line of the quote that was opened last.
    opened: u64,
    fault: Option<BadRow>,
}

impl Reading {
    /// Takes a byte of `line`, and returns whether the row ends with it.
    fn step(&mut self, byte: u8, row: &mut Row, line: u64, delimiter: u8, quoting: bool) -> bool {
        match (self.state, byte) {
            (State::Quoted, b'"') => self.state = State::Quote,
            (State::Quoted, _) => row.bytes.push(byte),
            (State::Quote, b'"') => {
                row.bytes.push(byte);
                self.state = State::Quoted;
            }
            // The end of an empty line, or the second half of `\r\n`.
            (State::Start, b'\n' | b'\r') if row.ends.is_empty() => {}
            (_, b'\n' | b'\r') => return true,
            (_, byte) if byte == delimiter => {
                row.ends.push(row.bytes.len());
                self.state = State::Start;
            }
            (State::Start, b'"') if quoting => (self.state, self.opened) = (State::Quoted, line),
            (State::Start | State::Bare | State::Quote, _) => {
                if self.state == State::Quote {
                    self.fault.get_or_insert_with(|| misplaced(self.opened, line, byte));
                }
                row.bytes.push(byte);
                self.state = State::Bare;
            }
        }
        false
    }

    fn finish(self, row: &mut Row) -> Result<bool, BadRow> {
        row.ends.push(row.bytes.len());
        self.fault.map_or(Ok(true), Err)
    }
}

/// What is wrong with a `byte` behind the quotes of a field that were opened on line `opened`.
fn misplaced(opened: u64, line: u64, byte: u8) -> BadRow {
    let what = if byte.is_ascii_graphic() { format!("`{}`", char::from(byte)) } else { "text".to_owned() };
    let place = if line == opened { String::new() } else { format!(" on line {line}") };
    let reason = format!(
        "the quote that opens here is closed{place} and followed by {what}; one within a field is written twice"
    );
    BadRow::Quote { line: opened, reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str, quoting: bool) -> Result<Vec<Vec<String>>, (u64, String)> {
        let (mut rows, mut row) = (Rows::new(text.as_bytes(), b',', quoting, 0), Row::default());
        let mut all = Vec::new();
        loop {
            match rows.read(&mut row) {
                Ok(true) => all.push(row.iter().map(|field| String::from_utf8_lossy(field).into()).collect()),
                Ok(false) => return Ok(all),
                Err(BadRow::Quote { line, reason }) => return Err((line, reason)),
                Err(BadRow::Io(error)) => panic!("{error}"),
            }
        }
    }

    #[test]
    fn quotes_enclose_line_breaks_delimiters_and_doubled_quotes() {
        let rows = read("a,\"b\nc, \"\"d\"\"\"\r\n\r\n\"\",e\"f\"\rg", true).expect("whole");
        assert_eq!(rows, [vec!["a", "b\nc, \"d\""], vec!["", "e\"f\""], vec!["g"]]);
        assert_eq!(read("\"a,b\"\n\"", false).expect("whole"), [vec!["\"a", "b\""], vec!["\""]]);
    }

    #[test]
    fn a_quote_out_of_place_is_refused_where_it_opens() {
        for (text, line, words) in [
            ("a,b\n1,\"open\n2,x\n", 2, "never closed"),
            ("a,b\n1,\"open\n2,x\n3,\"y\"\n", 2, "closed on line 4 and followed by `y`"),
            ("a\n\"he said \\\"hi\\\" to me\"\n", 2, "followed by `h`"),
            ("a\n\n\n\"", 4, "never closed"),
        ] {
            let (at, reason) = read(text, true).expect_err("a stray quote");
            assert!(at == line && reason.contains(words), "{text:?}: line {at}: {reason}");
        }
    }

    #[test]
    fn reading_goes_on_behind_a_bad_row() {
        let (mut rows, mut row) = (Rows::new(&b"\"a\"b\nc\n"[..], b',', true, 0), Row::default());
        assert!(matches!(rows.read(&mut row), Err(BadRow::Quote { line: 1, .. })));
        assert!(rows.read(&mut row).expect("a sound row") && row.get(0) == Some(b"c"));
        assert_eq!((row.line, row.offset), (2, 5));
    }

    proptest! {
        #[test]
        fn what_is_written_by_the_rules_is_read_as_it_was(
            table in prop::collection::vec(prop::collection::vec("[ab,\"\n\r ]{0,4}", 2), 1..6),
        ) {
            let quoted = |field: &String| format!("\"{}\"", field.replace('"', "\"\""));
            let line = |row: &Vec<String>| row.iter().map(quoted).collect::<Vec<_>>().join(",");
            let text = table.iter().map(line).collect::<Vec<_>>().join("\r\n");
            prop_assert_eq!(read(&text, true).expect("by the rules"), table);
        }
    }
}
