//! The recipes of configs/, which are in the program as well: they go by their names where there is no checkout.

use std::path::Path;

/// Each recipe and its text.
const RECIPES: [(&str, &str); 5] = [
    ("book-gpt2-bpe", include_str!("../../configs/book-gpt2-bpe.toml")),
    ("fast-shakespeare-char", include_str!("../../configs/fast-shakespeare-char.toml")),
    ("induction", include_str!("../../configs/induction.toml")),
    ("shakespeare-char-cpu", include_str!("../../configs/shakespeare-char-cpu.toml")),
    ("tales-instruct", include_str!("../../configs/tales-instruct.toml")),
];

/// The recipe that a path such as `shakespeare-char-cpu` or `configs/shakespeare-char-cpu.toml` names.
pub fn find(path: &Path) -> Option<(&'static str, &'static str)> {
    let name = path.file_stem()?;
    RECIPES.into_iter().find(|(recipe, _)| name == *recipe)
}

/// The names of all recipes.
pub fn names() -> String {
    RECIPES.map(|(name, _)| name).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_recipe_is_in_the_program() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs");
        let files = std::fs::read_dir(folder).expect("the folder is there");
        let files: Vec<_> = files.map(|entry| entry.expect("readable").path()).collect();
        assert_eq!(files.len(), RECIPES.len());
        assert!(files.iter().all(|file| find(file).is_some()), "{files:?}");
        assert!(find(Path::new("shakespeare-char-cpu")).is_some() && find(Path::new("nope.toml")).is_none());
    }
}
