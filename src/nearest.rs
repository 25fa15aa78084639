//! What a name that does not exist was meant to be.

/// The one of `names` that is most like what was typed, if it is alike: one letter in four may be mistaken, at most
/// three. Capitals, dashes and underscores make no difference.
pub fn nearest<'a>(typed: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |name: &str| name.to_lowercase().replace(['-', '_'], "");
    let typed = plain(typed);
    let most = typed.chars().count().div_ceil(4).min(3);
    names
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&typed, &plain(name)), name))
        .filter(|(distance, _)| *distance <= most)
        .min()
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alike_is_what_a_hurried_hand_types() {
        let names = ["gpt2", "cl100k_base", "tinyshakespeare"];
        for (typed, meant) in [
            ("GPT-2", Some("gpt2")),
            ("gtp2", Some("gpt2")),
            ("cl100k-base", Some("cl100k_base")),
            ("tinyshakespear", Some("tinyshakespeare")),
            ("llama", None),
            ("", None),
        ] {
            assert_eq!(nearest(typed, names), meant, "{typed}");
        }
    }
}
