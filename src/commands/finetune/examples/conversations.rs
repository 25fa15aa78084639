//! Conversations as the model reads them.

use std::path::Path;

use anyhow::{Result, bail};
use kiln_datasets::examples::{Conversation, Conversations, Encoded, ExampleEncoder, Form, Message, Role};
use kiln_datasets::tales::Request;
use kiln_datasets::{ReadOptions, Source, Tokenizer};
use kiln_inference::ModelFiles;
use kiln_training::Segment;

use super::parted::{check_not_empty, parted};
use super::read::{Read, TALES};
use super::turn_end::turn_end;
use super::{tales, templates};
use crate::commands::finetune::answers::{MOST, Prompt};
use crate::commands::finetune::instruct::Instructions;
use crate::commands::finetune::task_run::Parts;
use crate::output::print_message;
use crate::settings::Settings;

/// The conversations that the settings name, parted and encoded.
pub fn read(settings: &Settings, files: &ModelFiles, tokenizer: &Tokenizer) -> Result<Read<Instructions>> {
    let section = settings.finetune.clone().unwrap_or_default();
    let (form, parts) = if section.data == Path::new(TALES) {
        if let Some(other) = section.valid.as_ref().or(section.test.as_ref()) {
            bail!("{}: tales bring requests of their own to evaluate on and to test", other.display());
        }
        (None, tales::conversations(settings.training.seed, settings.data.tales_bytes)?)
    } else {
        from_files(settings)?
    };
    let template = templates::choose(&section.template, tokenizer, form)?;
    let jinja = template.jinja(tokenizer)?;
    let context = files.config().context_length;
    let encoder = ExampleEncoder::new(tokenizer, template, context, section.train_on_prompt)?;
    let encoded = Parts {
        train: encode(&encoder, &parts.train, "training")?,
        valid: encode(&encoder, &parts.valid, "validation")?,
        test: encode(&encoder, &parts.test, "test")?,
    };
    check_not_empty(&encoded, &section.data)?;
    let kept = if parts.test.is_empty() { &parts.valid } else { &parts.test };
    let prompts = kept
        .iter()
        .take(MOST)
        .map(|conversation| prompt(conversation, &encoder))
        .collect::<Result<Vec<_>>>()?;
    let prompts = prompts.into_iter().flatten().filter(|prompt| prompt.tokens.len() < context).collect();
    let turn_end = turn_end(&encoder, &parts.train)?;
    let examples = Instructions { parts: encoded.map(segment), prompts, turn_end };
    Ok(Read { examples, encoded: encoded.train, template: jinja })
}

/// Those of files.
fn from_files(settings: &Settings) -> Result<(Option<Form>, Parts<Conversation>)> {
    let options = ReadOptions { lossy: settings.data.lossy, ..ReadOptions::default() };
    let mut form = None;
    let read = |path: &Path| {
        let read = Conversations::read(&Source::new(path), &options)?;
        print_message(format_args!("{}: {} {}", path.display(), read.conversations.len(), read.form));
        form = form.or(Some(read.form));
        anyhow::Ok(read.conversations)
    };
    let parts = parted(settings, read, Conversation::group, Conversation::text)?;
    Ok((form, parts))
}

/// Encodes a part, and says what of it the context has no room for.
fn encode(encoder: &ExampleEncoder, conversations: &[Conversation], part: &str) -> Result<Vec<Encoded>> {
    let encoded = encoder.encode_all(conversations)?;
    let told = [
        (encoded.truncated, "lose their ends"),
        (encoded.dropped, "are left out, as not even their prompts fit"),
    ];
    for (count, what) in told.into_iter().filter(|(count, _)| *count > 0) {
        print_message(format_args!("{count} {part} examples are longer than the context, and {what}"));
    }
    Ok(encoded.examples)
}

/// The last answer of a conversation, as something to answer.
fn prompt(conversation: &Conversation, encoder: &ExampleEncoder) -> Result<Option<Prompt>> {
    let Some(answer) = conversation.messages.iter().rposition(Message::is_learned) else { return Ok(None) };
    let (before, answer) = (conversation.messages[..answer].to_vec(), &conversation.messages[answer]);
    let Some(asked) = before.iter().rfind(|message| message.role == Role::User) else { return Ok(None) };
    let tale = Request::parse(&asked.content);
    let expected = answer.content.clone();
    let open = Conversation { messages: before, ..conversation.clone() };
    Ok(Some(Prompt { tokens: encoder.prompt(&open)?, expected, tale }))
}

/// What is learned of an example.
pub fn segment(encoded: &Encoded) -> Segment {
    Segment::new(&encoded.tokens, &encoded.trained)
}
