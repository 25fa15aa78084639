//! Which template makes texts of conversations.

use anyhow::{Result, bail};
use kiln_datasets::Tokenizer;
use kiln_datasets::examples::{Form, Template};

use crate::output::print_message;

/// The model's own template by name.
pub const OWN: &str = "model";

/// The template that `name` names, or, where it is empty, one that fits the model and the examples. Says which it is.
pub fn choose(name: &str, tokenizer: &Tokenizer, form: Option<Form>) -> Result<Template> {
    let template = match name {
        "" => Template::of(tokenizer, form)?,
        OWN if tokenizer.chat_template().is_none() => bail!(
            "finetune.template = \"{OWN}\": the files of the model hold no template\nhint: name {}, or a Jinja file, or leave it empty",
            Template::NAMES.join(", ")
        ),
        OWN => Template::of(tokenizer, None)?,
        name => Template::open(name, tokenizer)?,
    };
    print_message(format_args!("template: {}", template.name()));
    Ok(template)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_without_a_template_has_none_of_its_own() {
        let byte = Tokenizer::open("byte").expect("embedded");
        let refused = choose(OWN, &byte, None).expect_err("it has none").to_string();
        assert!(refused.contains("\"model\"") && refused.contains("name chatml, alpaca, plain"), "{refused}");
        let chat = byte.with_chat_tokens().expect("sound");
        assert_eq!(choose(OWN, &chat, None).expect("it has one").name(), "of the model");
        assert_eq!(choose("", &byte, None).expect("any").name(), "alpaca");
    }
}
