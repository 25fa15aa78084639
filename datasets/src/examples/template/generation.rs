//! `{% generation %} … {% endgeneration %}`, with which a template says where its answers are.
//!
//! To the engine it is a scope that begins and ends with a mark.

use super::marks::{END, START};
use super::rendering::Rendering;

/// The template with marks in place of the blocks, and whether it has one.
pub(super) fn with_marks(template: &str) -> (String, bool) {
    let (mut changed, mut rest, mut any) = (String::with_capacity(template.len()), template, false);
    while let Some(at) = rest.find(['{']) {
        let (before, tag) = rest.split_at(at);
        changed.push_str(before);
        let length = length(tag);
        let (tag, behind) = tag.split_at(length);
        match marked(tag) {
            Some(marked) => {
                any = true;
                changed.push_str(&marked);
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
    let (mut quote, mut escaped) = (None, false);
    for (at, character) in text.char_indices().skip(2) {
        match (quote, character) {
            _ if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (None, '"' | '\'') => quote = Some(character),
            (Some(open), _) if open == character => quote = None,
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

/// What stands in place of a block's tag, if it is one of these. The mark is within a condition, as line breaks and
/// blanks next to a block are the engine's to remove.
fn marked(tag: &str) -> Option<String> {
    let (word, marked) = match word(tag)? {
        word @ "generation" => (word, format!("with %}}{{% if true %}}{START}{{% endif")),
        word @ "endgeneration" => (word, format!("if true %}}{END}{{% endif %}}{{% endwith")),
        _ => return None,
    };
    Some(tag.replacen(word, &marked, 1))
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
        let (start, end) =
            ("with %}{% if true %}\u{FDD1}{% endif", "if true %}\u{FDD2}{% endif %}{% endwith");
        for (template, expected) in [
            ("a{% generation %}b{% endgeneration %}", format!("a{{% {start} %}}b{{% {end} %}}")),
            (
                "{%- generation -%}{{ x }}{%-endgeneration+%}",
                format!("{{%- {start} -%}}{{{{ x }}}}{{%-{end}+%}}"),
            ),
            ("{{ '\\'}}\\\\' }}{% generation %}", format!("{{{{ '\\'}}}}\\\\' }}}}{{% {start} %}}")),
        ] {
            assert_eq!(with_marks(template), (expected, true), "{template}");
        }
        for template in [
            "{{ '{% generation %}' }}{# {% generation %} #}",
            "{% raw %}{% generation %}{% endraw %}",
            "{% if generation %}{ {\"}}\"}{% endif %}",
            "{",
        ] {
            assert_eq!(with_marks(template), (template.to_owned(), false));
        }
    }
}
