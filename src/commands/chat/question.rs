//! The one question of somebody who does not sit at a terminal, or has only one.

use std::io::IsTerminal;
use std::path::Path;

use anyhow::{Result, bail};

use crate::files::{STDIN, read_prompt};

/// The prompt of the command, and below it what is piped in; `None` where neither is there.
pub fn read(prompt: Option<String>) -> Result<Option<String>> {
    let piped = match std::io::stdin().is_terminal() {
        true => None,
        false => Some(read_prompt(Path::new(STDIN))?),
    };
    match (prompt, piped) {
        (None, Some(piped)) if piped.trim().is_empty() => bail!(
            "nothing is said: standard input is empty\nhint: name a prompt, pipe one in, or start `kiln chat` at a terminal"
        ),
        (prompt, piped) => Ok(joined(prompt, piped)),
    }
}

fn joined(prompt: Option<String>, piped: Option<String>) -> Option<String> {
    match (prompt, piped.filter(|piped| !piped.is_empty())) {
        (Some(prompt), Some(piped)) => Some(format!("{prompt}\n\n{piped}")),
        (prompt, piped) => prompt.or(piped),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_piped_in_stands_below_the_prompt() {
        let joined = |prompt: Option<&str>, piped: Option<&str>| {
            super::joined(prompt.map(str::to_owned), piped.map(str::to_owned))
        };
        assert_eq!(joined(Some("Sum up:"), Some("a\nb")).as_deref(), Some("Sum up:\n\na\nb"));
        assert_eq!(joined(Some("Hello"), Some("")).as_deref(), Some("Hello"));
        assert_eq!(joined(Some("Hello"), None).as_deref(), Some("Hello"));
        assert_eq!(joined(None, Some("Hello")).as_deref(), Some("Hello"));
        assert_eq!(joined(None, None), None);
    }
}
