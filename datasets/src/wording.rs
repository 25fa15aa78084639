//! Parts of messages.

/// How much room a file needs, for a message.
pub(crate) fn of_bytes(size: Option<u64>) -> String {
    size.map_or_else(String::new, |size| format!("; the whole file has {:.1} MB", size as f64 / 1e6))
}

/// The first names of a list, for a message.
pub(crate) fn listed(names: &[String]) -> String {
    const SHOWN: usize = 12;
    let mut listed: Vec<_> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    if names.len() > SHOWN {
        listed.push("…".to_owned());
    }
    if listed.is_empty() { "nothing".to_owned() } else { listed.join(", ") }
}
