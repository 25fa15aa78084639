//! Which template a conversation has.

use std::path::Path;

use anyhow::{Context, Result, bail};
use kiln_datasets::Tokenizer;
use kiln_datasets::examples::Template;

use crate::commands::shell::quoted;

/// The named template, else the model's own: what its authors or its fine-tuning stored. A model without one only continues
/// texts.
pub fn choose(named: Option<&str>, tokenizer: &Tokenizer, model: &Path) -> Result<Template> {
    let names = Template::NAMES.join(", ");
    match named {
        Some(name) => Template::open(name, tokenizer)
            .with_context(|| format!("--template {name}: none of {names}, nor a template")),
        None if tokenizer.chat_template().is_some() => Ok(Template::of(tokenizer, None)?),
        None => {
            let path = quoted(&model.to_string_lossy());
            bail!(
                "{}: a base model, which continues texts and has no template for conversations\n\
                 hint: `kiln finetune instruct --model {path} --data FILE` teaches it to answer, `kiln generate --model {path}` \
                 continues a text, and --template tries it as it is ({names}, or a Jinja file)",
                model.display()
            )
        }
    }
}
