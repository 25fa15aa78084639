//! Where in a TOML text something stands.

/// One-based line of a byte position.
pub fn line_of(text: &str, position: usize) -> usize {
    text.as_bytes()[..position.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1
}

/// `section.key` of the line that a byte position is in, as far as the lines tell.
pub fn key_at(text: &str, position: usize) -> Option<String> {
    let line = line_of(text, position);
    let mut section = None;
    for (number, content) in text.lines().enumerate().take(line) {
        let content = content.trim();
        if let Some(name) = content.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            section = Some(name.trim().to_owned());
        }
        if number + 1 == line
            && let Some((key, _)) = content.split_once('=')
        {
            let key = key.trim();
            return Some(section.map_or(key.to_owned(), |section| format!("{section}.{key}")));
        }
    }
    section
}

/// One-based line of `section.key`.
pub fn line_of_key(text: &str, section: &str, key: &str) -> Option<usize> {
    let mut inside = false;
    for (number, content) in text.lines().enumerate() {
        let content = content.trim();
        if let Some(name) = content.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            inside = name.trim() == section;
        } else if inside && content.split_once('=').is_some_and(|(found, _)| found.trim() == key) {
            return Some(number + 1);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# a run\n[model]\nd_model = 8\n\n[training]\nsteps = \"many\"\n";

    #[test]
    fn keys_and_lines_are_found() {
        let position = TEXT.find("\"many\"").expect("it is there");
        assert_eq!(line_of(TEXT, position), 6);
        assert_eq!(key_at(TEXT, position).as_deref(), Some("training.steps"));
        assert_eq!(line_of_key(TEXT, "model", "d_model"), Some(3));
        assert_eq!(line_of_key(TEXT, "training", "d_model"), None);
    }
}
