//! The template that a model has learned to answer by.

use std::path::Path;

use kiln_datasets::Tokenizer;
use kiln_datasets::examples::{Conversation, ExampleEncoder, Message, Provenance, Role, Template};
use kiln_model::SpecialTokens;

use crate::error::{Error, Result};

/// The template in the files of a model, if the model has learned to answer by it: what its authors or its fine-tuning stored.
///
/// # Errors
///
/// [`Error::NoTemplate`] if there is none; [`Error::UnusedTemplate`] if it ends answers at a token where the model does not end a
/// text, as it is with models that are yet to be fine-tuned; [`Error::Data`] if it is no template.
pub fn chat_template(tokenizer: &Tokenizer, special_tokens: &SpecialTokens) -> Result<Template> {
    if tokenizer.chat_template().is_none() {
        return Err(Error::NoTemplate);
    }
    let template = Template::of(tokenizer, None)?;
    let encoder = ExampleEncoder::new(tokenizer, template.clone(), usize::MAX, false)?;
    match turn_end(&encoder, tokenizer) {
        Some(token) if !special_tokens.end.is_empty() && !special_tokens.end.contains(&token) => {
            Err(Error::UnusedTemplate { turn_end: tokenizer.decode(&[token])? })
        }
        _ => Ok(template),
    }
}

/// The token that ends an answer in the template of `encoder`, where it is a special one.
pub(super) fn turn_end(encoder: &ExampleEncoder, tokenizer: &Tokenizer) -> Option<u32> {
    let nothing = vec![Message::new(Role::User, ""), Message::new(Role::Assistant, "")];
    // A template that refuses this one says so when something is said.
    let token = encoder.turn_end(&conversation(nothing)).ok().flatten()?;
    tokenizer.special_tokens().iter().any(|(_, special)| *special == token).then_some(token)
}

/// Messages as the encoder takes them.
pub(super) fn conversation(messages: Vec<Message>) -> Conversation {
    let provenance = Provenance::of_file(Path::new("the conversation"));
    Conversation { messages, tools: Vec::new(), provenance }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_that_the_model_has_not_learned_is_told_from_one_that_it_has() {
        let learned = Tokenizer::train_bpe(["so it goes, so it goes"], 270).expect("room");
        let ending = |tokens: &[u32]| SpecialTokens { end: tokens.to_vec(), ..SpecialTokens::default() };
        assert!(matches!(chat_template(&learned, &ending(&[0])), Err(Error::NoTemplate)));
        let chat = learned.with_chat_tokens().expect("room");
        let turn_end = chat.turn_end().expect("<|im_end|>");
        // A tokenizer that is ready for conversations, and a model that has learned to end documents alone.
        match chat_template(&chat, &ending(&[0])) {
            Err(Error::UnusedTemplate { turn_end }) => assert_eq!(turn_end, "<|im_end|>"),
            other => panic!("{other:?}"),
        }
        for ends in [vec![turn_end], vec![turn_end, 0], vec![]] {
            assert!(chat_template(&chat, &ending(&ends)).is_ok(), "{ends:?}");
        }
        let plain = chat.with_chat_template("{{ messages[0].content }}").expect("a tokenizer");
        assert!(chat_template(&plain, &ending(&[0])).is_ok(), "it ends answers at no token that is known");
    }
}
