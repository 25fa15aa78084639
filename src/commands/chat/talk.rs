//! A conversation at the terminal.

use anyhow::Result;
use kiln_inference::{ChatSession, Reply};
use kiln_model::Backend;

use super::command::{COMMANDS, Command, parse};
use super::editor::{LineEditor, Typed};
use super::interrupt::Interrupt;
use super::{settings, speech};
use crate::failure::{self, Reading};
use crate::output::{self, print_message};

/// Reads, answers, and reads again. Standard output has the replies and nothing else.
pub struct Talk<'a, B: Backend> {
    session: ChatSession<'a, B>,
    editor: LineEditor,
    /// The model, in words.
    about: String,
    verbose: bool,
    /// Turns of which it was told that the model no longer sees them.
    forgotten: usize,
}

impl<'a, B: Backend> Talk<'a, B> {
    pub fn new(session: ChatSession<'a, B>, about: String, verbose: bool) -> Result<Self> {
        Ok(Self { session, editor: LineEditor::new()?, about, verbose, forgotten: 0 })
    }

    /// Talks until somebody leaves.
    pub fn run(mut self) -> Result<()> {
        print_message(format_args!("{}\n/help lists the commands; Control-D leaves", self.about));
        loop {
            let done = match self.editor.read()? {
                Typed::Line(line) => parse(&line).and_then(|command| self.follow(command)),
                Typed::Nothing => Ok(false),
                Typed::End => Ok(true),
            };
            match done {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) if output::is_closed(&error) => return Err(error),
                Err(error) => {
                    print_message(format_args!("error: {}", failure::message(&error, Reading::Fixed)))
                }
            }
        }
    }

    /// Does as it is told; says whether that was the last.
    fn follow(&mut self, command: Command) -> Result<bool> {
        match command {
            Command::Nothing => {}
            Command::Say(text) => {
                let reply = self.session.say(&text)?;
                answer(reply, self.verbose, &mut self.forgotten)?;
            }
            Command::Retry => match self.session.retry()? {
                Some(reply) => answer(reply, self.verbose, &mut self.forgotten)?,
                None => print_message("(there is no question yet)"),
            },
            Command::Help => help(),
            Command::Set { key, value } => self.set(&key, &value)?,
            Command::Show => self.show()?,
            Command::System(text) => {
                print_message(if text.is_some() { "(system text set)" } else { "(no system text)" });
                self.session.set_system(text);
            }
            Command::Clear => {
                self.session.clear();
                self.forgotten = 0;
                print_message("(conversation forgotten)");
            }
            Command::Undo => match self.session.undo() {
                Some(turn) => print_message(format_args!("(taken back: {})", shortened(&turn.user))),
                None => print_message("(there is no question yet)"),
            },
            Command::Save(path) => {
                self.session.save(&path)?;
                print_message(format_args!("(saved to {})", path.display()));
            }
            Command::Load(path) => {
                self.session.load(&path)?;
                self.forgotten = 0;
                print_message(format_args!("(questions so far: {})", self.session.history().turns.len()));
            }
            Command::Bye => return Ok(true),
        }
        Ok(false)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        if key == "verbose" {
            self.verbose = matches!(value, "on" | "true" | "1" | "yes");
            print_message(if self.verbose { "(verbose = on)" } else { "(verbose = off)" });
            return Ok(());
        }
        let settings = settings::changed(self.session.settings(), key, value)?;
        self.session.set_settings(settings)?;
        print_message(format_args!("({key} = {value})"));
        Ok(())
    }

    fn show(&self) -> Result<()> {
        let history = self.session.history();
        print_message(&self.about);
        print_message(format_args!("system = {}", history.system.as_deref().unwrap_or("none")));
        print_message(format_args!("questions so far: {}", history.turns.len()));
        for (key, value) in settings::list(self.session.settings())? {
            let value = if value.is_null() { "none".to_owned() } else { value.to_string() };
            print_message(format_args!("{key} = {value}"));
        }
        print_message(format_args!("verbose = {}", if self.verbose { "on" } else { "off" }));
        Ok(())
    }
}

/// Prints a reply, which Control-C stops, and says when the model sees fewer turns than before.
fn answer<B: Backend>(reply: Reply<'_, '_, B>, verbose: bool, told: &mut usize) -> Result<()> {
    let forgotten = reply.forgotten();
    if forgotten > *told {
        print_message(format_args!(
            "(the context of {} tokens is full: the model no longer sees the oldest {forgotten} questions and answers)",
            reply.context_length()
        ));
    }
    *told = forgotten;
    let interrupt = Interrupt::watch()?;
    speech::print(reply, verbose, || interrupt.asked())
}

fn help() {
    for (usage, what) in COMMANDS {
        print_message(format_args!("{usage:<16}{what}"));
    }
    print_message(
        "\nControl-C stops a reply, which is kept as far as it came. A text of several lines stands between \"\"\" and \"\"\".",
    );
}

/// The beginning of a text, on one line.
fn shortened(text: &str) -> String {
    const MOST: usize = 50;
    let line = text.lines().next().unwrap_or_default();
    match line.chars().count() > MOST || line.len() < text.len() {
        true => format!("{}…", line.chars().take(MOST).collect::<String>()),
        false => line.to_owned(),
    }
}
