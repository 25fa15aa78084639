//! Commands that are printed to be pasted into a shell.

/// One argument of a command, quoted where a shell would change it. Control characters are written as in `$'\n'`,
/// which bash, zsh and ksh know, so that a command stays on one line.
pub fn quoted(argument: &str) -> String {
    let is_plain = |character: char| character.is_alphanumeric() || "_-./,:=+@%".contains(character);
    if !argument.is_empty() && argument.chars().all(is_plain) {
        return argument.to_owned();
    }
    if !argument.contains(char::is_control) {
        return format!("'{}'", argument.replace('\'', r"'\''"));
    }
    let mut quoted = "$'".to_owned();
    for character in argument.chars() {
        match character {
            '\n' => quoted.push_str(r"\n"),
            '\r' => quoted.push_str(r"\r"),
            '\t' => quoted.push_str(r"\t"),
            '\'' | '\\' => quoted.extend(['\\', character]),
            _ if character.is_control() => {
                let mut bytes = [0; 4];
                for byte in character.encode_utf8(&mut bytes).bytes() {
                    quoted.push_str(&format!(r"\x{byte:02x}"));
                }
            }
            _ => quoted.push(character),
        }
    }
    quoted + "'"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_arguments_stay_as_they_are() {
        assert_eq!(quoted("runs/my-book.2"), "runs/my-book.2");
        assert_eq!(quoted("Once upon a time"), "'Once upon a time'");
        assert_eq!(quoted("\n"), r"$'\n'");
    }

    #[cfg(unix)]
    #[test]
    fn a_shell_gives_every_argument_back() {
        let arguments = [
            "",
            " ",
            "my run",
            "\n",
            "it's",
            "$HOME `ls` \"x\" \\n !",
            "<a>|b&c;(d)*?[e]{f}~#",
            "\t'\\\r\n",
            "\u{1}\u{85}é",
            "~",
            "#",
            "é ü",
            "-x",
        ];
        for argument in arguments {
            let script = format!("printf %s {}", quoted(argument));
            assert!(!script.contains('\n'), "{script}");
            let output =
                std::process::Command::new("bash").args(["-c", &script]).output().expect("bash is there");
            assert_eq!(String::from_utf8_lossy(&output.stdout), argument, "{script}");
        }
    }
}
