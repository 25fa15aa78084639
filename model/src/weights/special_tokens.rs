//! The tokens that begin, end and fill up texts.

use std::path::Path;

use serde_json::{Value, json};

use super::{CONFIG, GENERATION, gguf, json_file};
use crate::error::{Error, Result};

/// Tokens with a meaning of their own, as the files of a model directory number them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpecialTokens {
    /// Begins a text: `bos_token_id`.
    pub begin: Option<u32>,
    /// Each of them ends a text: `eos_token_id`, a number or a list.
    pub end: Vec<u32>,
    /// Fills up texts in a batch: `pad_token_id`.
    pub padding: Option<u32>,
}

impl SpecialTokens {
    /// Those of a tokenizer that has one token between texts, or none.
    pub fn of_end_of_text(token: Option<u32>) -> Self {
        Self { begin: token, end: token.into_iter().collect(), padding: None }
    }

    /// Those in `config.json`, or in a GGUF file; none where there is no such file.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] with the key, if one is neither a token nor null.
    pub fn of_config(directory: &Path) -> Result<Self> {
        if gguf::is_gguf(directory) {
            return gguf::load_special_tokens(directory);
        }
        Self::read(&directory.join(CONFIG))
    }

    /// Those that `transformers` generates by: of `generation_config.json`, or of `config.json` where that leaves
    /// one out.
    ///
    /// # Errors
    ///
    /// As [`of_config`](Self::of_config).
    pub fn of_generation(directory: &Path) -> Result<Self> {
        let (generation, config) = (Self::read(&directory.join(GENERATION))?, Self::of_config(directory)?);
        Ok(Self {
            begin: generation.begin.or(config.begin),
            end: if generation.end.is_empty() { config.end } else { generation.end },
            padding: generation.padding.or(config.padding),
        })
    }

    fn read(path: &Path) -> Result<Self> {
        if !path.is_file() {
            return Ok(Self::default());
        }
        let file = json_file::read(path)?;
        let tokens = |key| {
            tokens(&file[key]).ok_or_else(|| {
                Error::format(path, format!("{key} = {}: expected a token id, or several", file[key]))
            })
        };
        Ok(Self {
            begin: tokens("bos_token_id")?.first().copied(),
            end: tokens("eos_token_id")?,
            padding: tokens("pad_token_id")?.first().copied(),
        })
    }

    /// The value of a key of `config.json`.
    pub(super) fn value(&self, key: &str) -> Value {
        match key {
            "bos_token_id" => json!(self.begin),
            "eos_token_id" => match self.end[..] {
                [] => Value::Null,
                [token] => json!(token),
                _ => json!(self.end),
            },
            "pad_token_id" => json!(self.padding),
            other => panic!("{other} is no special token"),
        }
    }
}

/// Some programs write -1 for none.
fn tokens(value: &Value) -> Option<Vec<u32>> {
    match value {
        Value::Null => Some(Vec::new()),
        Value::Array(list) => list
            .iter()
            .map(|one| tokens(one).filter(|_| !one.is_array()))
            .collect::<Option<Vec<_>>>()
            .map(|all| all.concat()),
        Value::Number(number) if number.as_i64().is_some_and(|id| id < 0) => Some(Vec::new()),
        other => Some(vec![u32::try_from(other.as_u64()?).ok()?]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_numbers_or_lists_and_the_generation_config_comes_first() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let path = folder.path();
        let write = |name: &str, text: &str| std::fs::write(path.join(name), text).expect("writable");
        assert_eq!(SpecialTokens::of_generation(path).expect("no files"), SpecialTokens::default());
        write(CONFIG, r#"{"bos_token_id": 5, "eos_token_id": [0, 70], "pad_token_id": -1, "x": NaN}"#);
        let expected = SpecialTokens { begin: Some(5), end: vec![0, 70], padding: None };
        assert_eq!(SpecialTokens::of_generation(path).expect("sound"), expected);
        write(GENERATION, r#"{"bos_token_id": null, "eos_token_id": 7, "pad_token_id": 8}"#);
        let expected = SpecialTokens { begin: Some(5), end: vec![7], padding: Some(8) };
        assert_eq!(SpecialTokens::of_generation(path).expect("sound"), expected);
        assert_eq!(SpecialTokens::of_config(path).expect("sound").end, [0, 70]);
        for wrong in ["\"7\"", "1.5", "[[1]]", "4294967296", "{}"] {
            write(GENERATION, &format!("{{\"eos_token_id\": {wrong}}}"));
            let refused = SpecialTokens::of_generation(path).expect_err("no token").to_string();
            assert!(refused.contains(GENERATION) && refused.contains("eos_token_id"), "{refused}");
        }
    }

    #[test]
    fn what_is_written_is_a_number_where_one_is_enough() {
        let none = SpecialTokens::of_end_of_text(None);
        let one = SpecialTokens::of_end_of_text(Some(3));
        let two = SpecialTokens { end: vec![1, 2], ..one.clone() };
        let ends = [none, one, two].map(|tokens| tokens.value("eos_token_id"));
        assert_eq!(ends, [Value::Null, json!(3), json!([1, 2])]);
    }
}
