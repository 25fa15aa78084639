//! What a command that cannot be parsed was meant to be.

use std::ffi::OsString;
use std::path::Path;

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, Error};

use crate::commands::newest::named_alike;
use crate::commands::shell::quoted;
use crate::settings::key_named;

/// What other programs call commands, and what does the same here.
const FOREIGN: [(&str, &str); 26] = [
    ("benchmark", "kiln bench"),
    ("compare", "kiln report"),
    ("complete", "kiln generate"),
    ("convert", "kiln export"),
    ("decode", "kiln tokenize decode"),
    ("encode", "kiln tokenize encode"),
    ("evaluate", "kiln eval"),
    ("fit", "kiln train"),
    ("infer", "kiln generate"),
    ("init", "kiln config --file"),
    ("inspect", "kiln info"),
    ("perplexity", "kiln eval"),
    ("plot", "kiln report"),
    ("prepare", "kiln data prepare"),
    ("pretrain", "kiln train"),
    ("ps", "kiln runs"),
    ("quantize", "kiln export"),
    ("resume", "kiln train --resume"),
    ("run", "kiln generate"),
    ("sample", "kiln generate"),
    ("settings", "kiln config"),
    ("show", "kiln info"),
    ("status", "kiln info"),
    ("talk", "kiln chat"),
    ("test", "kiln eval"),
    ("version", "kiln --version"),
];

/// What goes before a word that was typed alone.
const OPTIONS: [(&str, &str); 9] = [
    ("score", "--model"),
    ("export", "--model"),
    ("tokenize encode", "--text"),
    ("tokenize decode", "--tokens"),
    ("tokenize train", "--data"),
    ("data prepare", "--data"),
    ("bench decode", "--model"),
    ("bench prefill", "--model"),
    ("bench tokenize", "--file"),
];

/// The error with a tip, where what was typed has a meaning.
pub fn advise(mut error: Error, cli: &Command, arguments: &[OsString]) -> Error {
    let words: Vec<String> = arguments.iter().skip(1).map(|word| word.to_string_lossy().into()).collect();
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    };
    let tip = match error.kind() {
        ErrorKind::InvalidSubcommand => {
            text(ContextKind::InvalidSubcommand).and_then(|word| of_command(&word, &words))
        }
        ErrorKind::UnknownArgument => {
            text(ContextKind::InvalidArg).and_then(|argument| of_argument(&argument, cli, &words))
        }
        _ => None,
    };
    if error.kind() == ErrorKind::UnknownArgument {
        // That `--` makes a value of it, which no one means who misspells an option.
        error.remove(ContextKind::Suggested);
    }
    if let Some(tip) = tip {
        // What merely looks alike.
        error.remove(ContextKind::SuggestedSubcommand);
        error.remove(ContextKind::SuggestedArg);
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![StyledStr::from(tip)]));
    }
    error
}

/// Of a word where a command was expected.
fn of_command(word: &str, words: &[String]) -> Option<String> {
    if words.first().is_none_or(|first| first != word) {
        return None;
    }
    if let Some((_, ours)) = FOREIGN.iter().find(|(theirs, _)| *theirs == word.to_lowercase()) {
        return Some(format!("`{ours}` does that"));
    }
    if word.contains(char::is_whitespace) {
        return Some(format!("to continue a text: `kiln generate -p {}`", quoted(word)));
    }
    if let Some(run) = named_alike(Path::new(word)) {
        let run = quoted(&run);
        return Some(format!("{run} is a run: `kiln info {run}`, `kiln generate {run}`"));
    }
    let is_path = word.contains(['/', '.']);
    is_path.then(|| format!("to train on a text: `kiln train {}`; but there is no such file", quoted(word)))
}

/// Of an argument that the command does not have.
fn of_argument(argument: &str, cli: &Command, words: &[String]) -> Option<String> {
    let command = command_of(cli, words);
    if !argument.starts_with('-') {
        return of_word(argument, &command);
    }
    let name = argument.trim_start_matches('-');
    let typed = words.iter().position(|word| word.split('=').next() == Some(argument));
    let value = typed.and_then(|at| match words[at].split_once('=') {
        Some((_, value)) => Some(value.to_owned()),
        None => words.get(at + 1).filter(|next| !next.starts_with("--")).cloned(),
    });
    let value = value.unwrap_or_else(|| "VALUE".to_owned());
    if ["train", "sweep"].contains(&command.as_str())
        && let Some(key) = key_of(name)
    {
        return Some(format!(
            "`--set {}` sets that; `kiln config` lists all keys",
            quoted(&format!("{key}={value}"))
        ));
    }
    let others = commands_with(cli, name);
    (!others.is_empty()).then(|| format!("`{argument}` belongs to {}", others.join(", ")))
}

/// The key of the configuration that is called so, here or elsewhere, or as `section.key`.
fn key_of(name: &str) -> Option<String> {
    let name = name.replace('-', "_");
    match name.split_once('.') {
        Some((section, key)) => key_named(key).filter(|found| found.starts_with(section)),
        None => key_named(&name),
    }
}

/// Of a word that no option goes before.
fn of_word(word: &str, command: &str) -> Option<String> {
    let word = quoted(word);
    if let Some((_, option)) = OPTIONS.iter().find(|(name, _)| *name == command) {
        return Some(format!("`{option} {word}`"));
    }
    Some(match command {
        "generate" => format!("a prompt goes after -p, in quotes: `-p {word}`"),
        "train" => "one file or folder is trained on; `kiln data prepare --data A --data B …` makes one corpus of several".to_owned(),
        "sweep" => format!("`--set data.path={word}` names the text"),
        "eval" => format!("`--data {word}` names the text"),
        _ => return None,
    })
}

/// The words that name the command.
fn command_of(cli: &Command, words: &[String]) -> String {
    let (mut command, mut path) = (cli, Vec::new());
    for word in words {
        let Some(found) = command.find_subcommand(word) else { break };
        path.push(found.get_name());
        command = found;
    }
    path.join(" ")
}

/// The commands that have an option of this name.
fn commands_with(cli: &Command, option: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut look = vec![(String::from("kiln"), cli)];
    while let Some((name, command)) = look.pop() {
        let called = |argument: &clap::Arg| {
            argument.get_long_and_visible_aliases().is_some_and(|names| names.contains(&option))
                || argument.get_short().is_some_and(|short| option.chars().eq([short]))
        };
        if command.get_arguments().any(called) {
            found.push(format!("`{name}`"));
        }
        let inside = command.get_subcommands().filter(|inside| inside.get_name() != "help");
        look.extend(inside.map(|inside| (format!("{name} {}", inside.get_name()), inside)));
    }
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn told(words: &[&str]) -> String {
        let arguments: Vec<OsString> = words.iter().map(OsString::from).collect();
        let cli = crate::Cli::command();
        let error = cli.clone().try_get_matches_from(&arguments).expect_err("nonsense");
        advise(error, &cli, &arguments).to_string()
    }

    #[test]
    fn what_other_programs_call_it_leads_to_what_it_is_called_here() {
        for (words, tip) in [
            (&["kiln", "sample"][..], "`kiln generate` does that"),
            (&["kiln", "resume", "runs/tales"], "`kiln train --resume`"),
            (&["kiln", "First Citizen"], "`kiln generate -p 'First Citizen'`"),
            (&["kiln", "nowhere.txt"], "`kiln train nowhere.txt`"),
            (&["kiln", "train", "--n_layer=3"], "`--set model.n_layers=3`"),
            (&["kiln", "train", "--dropout", "0.2"], "`--set model.dropout=0.2`"),
            (&["kiln", "train", "--training.seed=7"], "`--set training.seed=7`"),
            (&["kiln", "train", "--stop", "a"], "belongs to `kiln chat`, `kiln generate`"),
            (&["kiln", "train", "-p", "a"], "`-p` belongs to `kiln generate`"),
            (&["kiln", "train", "a.txt", "b.txt"], "`kiln data prepare --data A --data B"),
            (&["kiln", "generate", "tales", "Once upon"], "-p 'Once upon'"),
            (&["kiln", "score", "tales"], "`--model tales`"),
            (&["kiln", "tokenize", "encode", "a b"], "`--text 'a b'`"),
            (&["kiln", "trainn"], "'train'"),
            (&["kiln", "generate", "--top-kk", "1"], "'--top-k'"),
        ] {
            let told = told(words);
            assert!(told.contains(tip), "{words:?}: {told}");
        }
        assert!(!told(&["kiln", "generate", "--ctx-size", "9"]).contains("as a value"));
    }

    #[test]
    fn every_command_that_is_advised_exists() {
        let cli = crate::Cli::command();
        for (theirs, ours) in FOREIGN {
            assert!(cli.find_subcommand(theirs).is_none(), "{theirs} is a command by now");
            let words: Vec<&str> = ours.split(' ').collect();
            assert!(words[1].starts_with('-') || cli.find_subcommand(words[1]).is_some(), "{ours}");
        }
    }
}
