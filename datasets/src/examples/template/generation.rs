//! `{% generation %} … {% endgeneration %}`, with which a template says where its answers are.
//!
//! To the engine it is a call of a function that puts marks around what it encloses.

use minijinja::value::Kwargs;
use minijinja::{Environment, Error, State, Value};

use super::marks::{END, START};
use super::rendering::Rendering;

const FUNCTION: &str = "kiln_generation";

/// Adds the function.
pub(super) fn add_to(environment: &mut Environment<'_>) {
    environment.add_function(FUNCTION, |state: &State<'_, '_>, arguments: Kwargs| -> Result<String, Error> {
        let caller: Value = arguments.get("caller")?;
        Ok(format!("{START}{}{END}", caller.call(state, &[])?))
    });
}

/// The template with calls in place of the blocks, and whether it has one.
pub(super) fn as_calls(template: &str) -> (String, bool) {
    let (mut changed, mut rest, mut any) = (String::with_capacity(template.len()), template, false);
    while let Some(at) = rest.find(['{']) {
        let (before, tag) = rest.split_at(at);
        changed.push_str(before);
        let length = length(tag);
        let (tag, behind) = tag.split_at(length);
        match call(tag) {
            Some(call) => {
                any = true;
                changed.push_str(&call);
            }
            None => changed.push_str(tag),
        }
        rest = behind;
    }
    changed.push_str(rest);
    (changed, any)
}

/// How long the tag is with which `text` begins: to its end, outside of strings. What only looks like one is a brace.
fn length(text: &str) -> usize {
    let end = |closing: &str| text.find(closing).map_or(text.len(), |at| at + closing.len());
    let closing = match text.get(..2) {
        Some("{#") => return end("#}"),
        Some("{%") if word(text) == Some("raw") => {
            let close = text.match_indices("{%").skip(1).find(|(at, _)| word(&text[*at..]) == Some("endraw"));
            return close.map_or(text.len(), |(at, _)| at);
        }
        Some("{%") => "%}",
        Some("{{") => "}}",
        _ => return 1,
    };
    let mut quote = None;
    for (at, character) in text.char_indices().skip(2) {
        match (quote, character) {
            (None, '"' | '\'') => quote = Some(character),
            (Some(open), _) if open == character && !text[..at].ends_with('\\') => quote = None,
            (None, _) if text[at..].starts_with(closing) => return at + 2,
            _ => {}
        }
    }
    text.len()
}

/// The first word of a block's tag.
fn word(tag: &str) -> Option<&str> {
    let inside = tag.strip_prefix("{%")?.trim_start_matches(['-', '+']).trim_start();
    let end = inside.find(|character: char| !character.is_alphanumeric() && character != '_');
    Some(&inside[..end.unwrap_or(inside.len())])
}

/// The call in place of a block's tag, if it is one of these.
fn call(tag: &str) -> Option<String> {
    let (word, call) = match word(tag)? {
        word @ "generation" => (word, format!("call {FUNCTION}()")),
        word @ "endgeneration" => (word, "endcall".to_owned()),
        _ => return None,
    };
    Some(tag.replacen(word, &call, 1))
}

/// The text without the marks, and what they enclose.
pub(super) fn without_marks(marked: &str) -> Rendering {
    let (mut text, mut answers, mut start) = (String::with_capacity(marked.len()), Vec::new(), 0);
    for character in marked.chars() {
        match character {
            START => start = text.len(),
            END => answers.push(start..text.len()),
            _ => text.push(character),
        }
    }
    Rendering { text, answers }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tags_of_blocks_are_changed() {
        for (template, changed) in [
            ("a{% generation %}b{% endgeneration %}", "a{% call kiln_generation() %}b{% endcall %}"),
            (
                "{%- generation -%}{{ x }}{%-endgeneration+%}",
                "{%- call kiln_generation() -%}{{ x }}{%-endcall+%}",
            ),
            (
                "{{ '{% generation %}' }}{# {% generation %} #}",
                "{{ '{% generation %}' }}{# {% generation %} #}",
            ),
            ("{% raw %}{% generation %}{% endraw %}", "{% raw %}{% generation %}{% endraw %}"),
            ("{% if generation %}{ {\"}}\"}{% endif %}", "{% if generation %}{ {\"}}\"}{% endif %}"),
            ("{{ '\\'}}' }}{% generation %}", "{{ '\\'}}' }}{% call kiln_generation() %}"),
            ("{", "{"),
        ] {
            assert_eq!(as_calls(template), (changed.to_owned(), changed.contains("call ")), "{template}");
        }
    }
}
