//! Alpaca: an instruction, perhaps an input, and a response, each under its heading.

use super::rendering::{Asked, Rendering};
use crate::examples::Role;

/// What stands before the first instruction, where no system message takes its place.
const PREAMBLE: &str = "Below is an instruction that describes a task. Write a response that appropriately completes the \
                        request.";

/// The same as a Jinja template, which knows no inputs apart from instructions.
pub(super) const JINJA: &str = concat!(
    "{% for message in messages %}{% if message.role == 'user' %}{% if loop.first %}",
    "Below is an instruction that describes a task. Write a response that appropriately completes the request.",
    r"{% endif %}{{ '\n\n### Instruction:\n' ~ message.content ~ '\n\n### Response:\n' }}",
    "{% elif message.role == 'assistant' %}{{ message.content ~ eos_token }}{% else %}{{ message.content }}{% endif %}{% endfor %}",
);

/// `preamble`, `### Instruction:`, perhaps `### Input:`, and `### Response:`, with blank lines between; a response ends
/// with `turn_end`, whose text this is.
pub(super) fn render(asked: &Asked<'_>, turn_end: &str) -> Result<Rendering, String> {
    let (mut text, mut answers, mut before) = (String::new(), Vec::new(), None);
    for message in asked.messages {
        match (before, message.role) {
            (None, Role::System) => text.push_str(&message.content),
            (None | Some(Role::System | Role::Assistant), Role::User) => {
                if before.is_none() {
                    text.push_str(PREAMBLE);
                }
                text.push_str("\n\n### Instruction:\n");
                text.push_str(&message.content);
                if let Some(input) = &message.input {
                    text.push_str("\n\n### Input:\n");
                    text.push_str(input);
                }
                text.push_str("\n\n### Response:\n");
            }
            (Some(Role::User), Role::Assistant) => {
                let start = text.len();
                text.push_str(&message.content);
                text.push_str(turn_end);
                answers.push(start..text.len());
            }
            (before, role) => {
                let before =
                    before.map_or("at the beginning".to_owned(), |role| format!("after {}", role.name()));
                return Err(format!("it has no place for a turn of {} {before}", role.name()));
            }
        }
        before = Some(message.role);
    }
    if asked.open && before != Some(Role::User) {
        return Err("there is no instruction to answer".to_owned());
    }
    Ok(Rendering { text, answers })
}
