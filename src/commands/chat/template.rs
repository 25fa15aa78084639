//! Which template a conversation has.

use anyhow::{Context, Result};
use kiln_datasets::Tokenizer;
use kiln_datasets::examples::Template;
use kiln_inference::{ModelFiles, chat_template};

/// The named template, else that of the model.
pub fn choose(named: Option<&str>, tokenizer: &Tokenizer, files: &ModelFiles) -> Result<Template> {
    match named {
        Some(name) => Template::open(name, tokenizer).with_context(|| {
            format!("--template {name}: neither one of {} nor a Jinja file", Template::NAMES.join(", "))
        }),
        None => {
            let template = chat_template(tokenizer, files.special_tokens());
            template.with_context(|| files.path().display().to_string())
        }
    }
}
