//! No template: what is said, one after the other, as it stands.

use super::rendering::{Asked, Rendering};
use crate::examples::Role;

/// The same as a Jinja template.
pub(super) const JINJA: &str = "{% for message in messages %}{{ message.content }}{% if message.role == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}";

/// The texts as they are; an answer ends with `turn_end`, whose text this is.
pub(super) fn render(asked: &Asked<'_>, turn_end: &str) -> Rendering {
    let (mut text, mut answers) = (String::new(), Vec::new());
    for message in asked.messages {
        let start = text.len();
        text.push_str(&message.text());
        if message.role == Role::Assistant {
            text.push_str(turn_end);
            answers.push(start..text.len());
        }
    }
    Rendering { text, answers }
}
