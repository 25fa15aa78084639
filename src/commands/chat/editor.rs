//! The line that somebody types.

use std::io::IsTerminal;

use anyhow::Result;
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Behavior, Config, Editor, Helper};

use super::command::QUOTES;

const PROMPT: &str = "> ";

/// What came from the terminal.
pub enum Typed {
    /// A line, or several between quotes or from the clipboard.
    Line(String),
    /// Control-C: never mind.
    Nothing,
    /// Control-D.
    End,
}

/// An editor with the lines of before in its memory.
pub struct LineEditor(Editor<OpenQuotes, DefaultHistory>);

impl LineEditor {
    pub fn new() -> Result<Self> {
        // Where standard output is a pipe, the prompt goes to the terminal all the same.
        let piped = !std::io::stdout().is_terminal();
        let behavior = if piped { Behavior::PreferTerm } else { Behavior::default() };
        let config = Config::builder().auto_add_history(true).behavior(behavior).build();
        let mut editor = Editor::with_config(config)?;
        editor.set_helper(Some(OpenQuotes));
        Ok(Self(editor))
    }

    pub fn read(&mut self) -> Result<Typed> {
        match self.0.readline(PROMPT) {
            Ok(line) => Ok(Typed::Line(line)),
            Err(ReadlineError::Eof) => Ok(Typed::End),
            Err(ReadlineError::Interrupted | ReadlineError::Signal(_)) => Ok(Typed::Nothing),
            Err(error) => Err(error.into()),
        }
    }
}

/// Lets a text go on over line breaks until its quotes are closed.
struct OpenQuotes;

impl Validator for OpenQuotes {
    fn validate(&self, context: &mut ValidationContext) -> rustyline::Result<ValidationResult> {
        Ok(match is_open(context.input()) {
            true => ValidationResult::Incomplete,
            false => ValidationResult::Valid(None),
        })
    }
}

impl Completer for OpenQuotes {
    type Candidate = String;
}

impl Hinter for OpenQuotes {
    type Hint = String;
}

impl Highlighter for OpenQuotes {}

impl Helper for OpenQuotes {}

/// Whether a text begins with quotes, perhaps behind a command, that are not closed.
fn is_open(text: &str) -> bool {
    let text = text.trim_start();
    let command = if text.starts_with('/') { text.find(char::is_whitespace).unwrap_or(0) } else { 0 };
    text[command..].trim_start().strip_prefix(QUOTES).is_some_and(|rest| !rest.contains(QUOTES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_goes_on_until_its_quotes_are_closed() {
        for open in ["\"\"\"", "\"\"\"a\nb", " \"\"\"a", "/system \"\"\"Be\nbrief."] {
            assert!(is_open(open), "{open}");
        }
        for closed in
            ["", "a", "\"\"\"a\nb\"\"\"", "\"\"\"\"\"\"", "say \"\"\"a", "/", "/system", "/system a"]
        {
            assert!(!is_open(closed), "{closed}");
        }
    }
}
