//! Which template makes texts of conversations.

use anyhow::Result;
use kiln_datasets::Tokenizer;
use kiln_datasets::examples::{Form, Template};

use crate::output::print_message;

/// The model's own template by name.
pub const OWN: &str = "model";

/// The template that `name` names, or, where it is empty, one that fits the model and the examples. Says which it is.
pub fn choose(name: &str, tokenizer: &Tokenizer, form: Option<Form>) -> Result<Template> {
    let template = match name {
        "" => Template::of(tokenizer, form)?,
        OWN => Template::of(tokenizer, None)?,
        name => Template::open(name, tokenizer)?,
    };
    print_message(format_args!("template: {}", template.name()));
    Ok(template)
}
