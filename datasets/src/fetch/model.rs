//! Models of the Hugging Face hub by name, and where they lie in the cache.

use std::fmt;

use super::destination::Destination;
use super::repository::{HubRepository, MAIN, SCHEME, is_name};
use super::{FetchOptions, LocalModel};
use crate::error::{Error, Result};

/// The address of the hub's pages, which people copy.
const PAGES: &str = "https://huggingface.co/";

/// Models that were named before names had owners, and what they are called now.
const RENAMED: [(&str, &str); 5] = [
    ("gpt2", "openai-community/gpt2"),
    ("gpt2-medium", "openai-community/gpt2-medium"),
    ("gpt2-large", "openai-community/gpt2-large"),
    ("gpt2-xl", "openai-community/gpt2-xl"),
    ("distilgpt2", "distilbert/distilgpt2"),
];

/// A model of the hub: `NAME` or `OWNER/NAME`, with `@REVISION` if it is not the newest.
///
/// ```
/// use kiln_datasets::HubModel;
///
/// let model = HubModel::parse("hf://openai-community/gpt2@main")?;
/// assert_eq!(model.to_string(), "openai-community/gpt2");
/// # Ok::<(), kiln_datasets::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubModel {
    /// `NAME` or `OWNER/NAME`.
    pub name: String,
    /// Branch, tag or commit.
    pub revision: String,
}

impl HubModel {
    /// Reads a name, also after `hf://` or as the address of the model's page.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownModel`] if it is none.
    pub fn parse(address: &str) -> Result<Self> {
        let refuse = || Error::UnknownModel { name: address.to_owned() };
        let bare = address.strip_prefix(SCHEME).or(address.strip_prefix(PAGES)).unwrap_or(address);
        let (name, revision) = bare.split_once('@').or(bare.split_once("/tree/")).unwrap_or((bare, MAIN));
        let parts: Vec<&str> = name.split('/').collect();
        // The cache writes `/` as `--`.
        let is_part = |part: &&str| is_name(part) && !part.contains("--");
        let is_model = parts.len() <= 2 && parts.iter().all(is_part) && parts[0] != "datasets";
        if !is_model || !revision.split('/').all(is_name) {
            return Err(refuse());
        }
        Ok(Self { name: name.to_owned(), revision: revision.to_owned() })
    }

    /// The model, if it has been fetched into the cache, by whatever program. One that is not complete is found
    /// where no other is.
    pub fn in_cache(&self, options: &FetchOptions) -> Option<LocalModel> {
        let found = self.repositories().into_iter().filter_map(|repository| {
            let root = Destination::of(&repository, None, options).last_root();
            root.is_dir().then(|| LocalModel::of(&root))
        });
        found.min_by_key(|model| model.missing.is_some())
    }

    /// The repository as it is named, and under its other name if it has one.
    pub(super) fn repositories(&self) -> Vec<HubRepository> {
        let other = RENAMED.iter().find_map(|(old, new)| match self.name.as_str() {
            name if name == *old => Some(*new),
            name if name == *new => Some(*old),
            _ => None,
        });
        let names = [Some(self.name.as_str()), other].into_iter().flatten();
        names.map(|name| HubRepository::model(name, &self.revision)).collect()
    }
}

impl fmt::Display for HubModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.revision.as_str() {
            MAIN => f.write_str(&self.name),
            revision => write!(f, "{}@{revision}", self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_every_form() {
        let read = |address: &str| HubModel::parse(address).expect("a name").to_string();
        for (address, name) in [
            ("gpt2", "gpt2"),
            ("openai-community/gpt2@main", "openai-community/gpt2"),
            ("hf://HuggingFaceTB/SmolLM2-135M@v1.0", "HuggingFaceTB/SmolLM2-135M@v1.0"),
            (
                "https://huggingface.co/distilbert/distilgpt2/tree/refs/pr/3",
                "distilbert/distilgpt2@refs/pr/3",
            ),
        ] {
            assert_eq!(read(address), name);
        }
        for wrong in [
            "",
            "/",
            "/gpt2",
            "gpt2/",
            "a/b/c",
            "..",
            "../gpt2",
            "./gpt2",
            "a b",
            "a--b",
            "gpt2@",
            "gpt2@../x",
            "hf://datasets/a",
            "runs\\x",
            "-x",
        ] {
            assert!(HubModel::parse(wrong).is_err(), "{wrong}");
        }
    }
}
