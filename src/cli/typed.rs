//! The command line before it is parsed.

use std::ffi::OsString;
use std::path::Path;

use clap::{Command, CommandFactory as _};

/// The arguments of this process. `kiln --set …` is `kiln train --set …` and `kiln my-book.txt` is `kiln train my-book.txt`, as
/// `kiln` alone is `kiln train`.
pub fn arguments() -> Vec<OsString> {
    with_command(std::env::args_os().collect(), |first| Path::new(first).exists())
}

fn with_command(mut arguments: Vec<OsString>, is_file: impl Fn(&str) -> bool) -> Vec<OsString> {
    let first = arguments.get(1).and_then(|first| first.to_str()).unwrap_or_default();
    let option = first.starts_with('-') && !["-h", "--help", "-V", "--version"].contains(&first);
    let is_command = || {
        let mut commands = crate::Cli::command();
        commands.build();
        commands.find_subcommand(first).is_some()
    };
    if option || (is_file(first) && !is_command()) {
        arguments.insert(1, "train".into());
    }
    arguments
}

/// Takes `-1` after an option for its value, to be refused with the option's name where it must not be negative.
pub fn accept_negative_numbers(command: Command) -> Command {
    let command = command.mut_args(|argument| match argument.get_action().takes_values() {
        true => argument.allow_negative_numbers(true),
        false => argument,
    });
    command.mut_subcommands(accept_negative_numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_without_a_command_are_those_of_train() {
        let is_file = |name: &str| ["my-book.txt", "data"].contains(&name);
        let typed = |words: &[&str]| with_command(words.iter().map(OsString::from).collect(), is_file);
        assert_eq!(typed(&["kiln", "my-book.txt"])[1], "train");
        assert_eq!(typed(&["kiln", "--set", "a.b=1"])[1], "train");
        for words in [
            &["kiln"][..],
            &["kiln", "info"],
            &["kiln", "data", "info"],
            &["kiln", "none.txt"],
            &["kiln", "--help"],
            &["kiln", "-V"],
        ] {
            assert_eq!(typed(words), words, "{words:?}");
        }
    }

    #[test]
    fn a_negative_number_is_a_value() {
        let command = accept_negative_numbers(crate::Cli::command());
        let words = ["kiln", "data", "prepare", "--data", "a", "--tokenizer", "byte", "--out", "b"];
        let refused =
            command.try_get_matches_from(words.into_iter().chain(["--threads", "-1"])).expect_err("negative");
        assert!(refused.to_string().contains("invalid value '-1' for '--threads"), "{refused}");
    }

    #[test]
    fn the_command_line_is_consistent() {
        accept_negative_numbers(crate::Cli::command()).debug_assert();
    }
}
