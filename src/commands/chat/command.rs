//! What a typed line means: something to say, or a command.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::nearest::nearest;

/// Stand around a text of several lines.
pub const QUOTES: &str = "\"\"\"";

/// The commands, with what each does.
pub const COMMANDS: [(&str, &str); 10] = [
    ("/help", "shows this"),
    ("/set KEY VALUE", "changes how replies are made: /show lists the keys"),
    ("/show", "shows the model, the settings, and how long the conversation is"),
    ("/system TEXT", "says how the model is to behave; without TEXT, as it was trained"),
    ("/clear", "forgets the conversation; the system text stays"),
    ("/undo", "takes back the last question and its answer"),
    ("/retry", "asks the last question again"),
    ("/save FILE", "writes conversation and settings as JSON"),
    ("/load FILE", "goes on with a conversation that was saved"),
    ("/bye", "leaves, as Control-D does"),
];

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    Nothing,
    Say(String),
    Help,
    Set { key: String, value: String },
    Show,
    System(Option<String>),
    Clear,
    Undo,
    Retry,
    Save(PathBuf),
    Load(PathBuf),
    Bye,
}

/// Reads a line. What begins with a slash is a command.
pub fn parse(line: &str) -> Result<Command> {
    let line = line.trim();
    if line.is_empty() {
        return Ok(Command::Nothing);
    }
    if !line.starts_with('/') {
        return Ok(Command::Say(unquoted(line).to_owned()));
    }
    let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim();
    Ok(match name {
        "/help" | "/?" => Command::Help,
        "/set" => match rest.split_once(char::is_whitespace) {
            Some((key, value)) => Command::Set { key: key.to_owned(), value: value.trim().to_owned() },
            None => bail!("/set takes a key and a value, for instance /set temperature 0.5"),
        },
        "/show" => Command::Show,
        "/system" => Command::System(Some(unquoted(rest).to_owned()).filter(|text| !text.is_empty())),
        "/clear" => Command::Clear,
        "/undo" => Command::Undo,
        "/retry" => Command::Retry,
        "/save" | "/load" if rest.is_empty() => bail!("{name} takes the name of a file"),
        "/save" => Command::Save(rest.into()),
        "/load" => Command::Load(rest.into()),
        "/bye" | "/exit" | "/quit" => Command::Bye,
        unknown => return unknown_command(unknown),
    })
}

/// A text without the quotes around it.
fn unquoted(text: &str) -> &str {
    let inside = text.strip_prefix(QUOTES).and_then(|rest| rest.strip_suffix(QUOTES));
    inside.map_or(text, |inside| inside.trim_matches('\n'))
}

fn unknown_command(typed: &str) -> Result<Command> {
    let names = || COMMANDS.iter().filter_map(|(usage, _)| usage.split(' ').next());
    let begun: Vec<&str> = names().filter(|name| typed.len() > 1 && name.starts_with(typed)).collect();
    let meant = match &begun[..] {
        [] => nearest(typed, names()).map(str::to_owned),
        begun => Some(begun.join(" or ")),
    };
    let meant = meant.map_or("/help lists the commands".to_owned(), |meant| format!("did you mean {meant}?"));
    bail!(
        "{typed}: there is no such command\nhint: {meant} A text that begins with a slash goes between {QUOTES} and {QUOTES}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_of_the_help_is_one() {
        for (usage, _) in COMMANDS {
            parse(&usage.replace("KEY", "top_k")).unwrap_or_else(|error| panic!("{usage}: {error}"));
        }
    }

    #[test]
    fn lines_are_texts_or_commands() {
        let say = |text: &str| Command::Say(text.to_owned());
        for (line, command) in [
            ("", Command::Nothing),
            ("  ", Command::Nothing),
            (" Hello. ", say("Hello.")),
            ("two\nlines", say("two\nlines")),
            ("\"\"\"two\nlines\"\"\"", say("two\nlines")),
            ("\"\"\"\n  two\nlines\n\"\"\"", say("  two\nlines")),
            ("\"\"\"/usr\"\"\"", say("/usr")),
            ("say \"\"\"", say("say \"\"\"")),
            ("/system Be brief. ", Command::System(Some("Be brief.".into()))),
            ("/system \"\"\"a\nb\"\"\"", Command::System(Some("a\nb".into()))),
            ("/system", Command::System(None)),
            ("/set  top_k  5", Command::Set { key: "top_k".into(), value: "5".into() }),
            ("/save my chat.json", Command::Save("my chat.json".into())),
        ] {
            assert_eq!(parse(line).expect("understood"), command, "{line}");
        }
    }

    #[test]
    fn what_is_no_command_is_told_with_what_was_meant() {
        for (line, meant) in [
            ("/rettry", "/retry"),
            ("/s", "/set or /show or /system or /save"),
            ("/usr/bin is what?", "/help"),
            ("/", "/help"),
            ("/set top_k", "/set temperature 0.5"),
            ("/load", "the name of a file"),
        ] {
            let told = parse(line).expect_err("no command").to_string();
            assert!(told.contains(meant), "{told}");
        }
    }
}
