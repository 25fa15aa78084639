//! Pairs of answers, of which one is better, in any of the forms.

use serde_json::Value;

use super::conversation::{asked, said};
use super::conversations::{check, instruction, side};
use super::encoded::{EncodedExamples, EncodedPair};
use super::fields::{Fields, list, messages, text, wrong};
use super::fitting::Fitting;
use super::records::read_examples;
use super::{Conversation, ExampleEncoder, Flaw, Form, Message, Provenance, Role};
use crate::error::Result;
use crate::source::{ReadOptions, Source};

/// A prompt with two answers to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Preference {
    /// The turns before.
    pub prompt: Vec<Message>,
    /// The turns of the better answer.
    pub chosen: Vec<Message>,
    /// Those of the worse one.
    pub rejected: Vec<Message>,
    /// Programs that the model may call, as JSON schemas.
    pub tools: Vec<Value>,
    /// Where it stands.
    pub provenance: Provenance,
}

/// The preferences of a source.
#[derive(Clone, Debug, PartialEq)]
pub struct Preferences {
    /// The form that all of them have.
    pub form: Form,
    /// In the order of the file.
    pub preferences: Vec<Preference>,
}

impl Preferences {
    /// Reads all preferences, whatever their form.
    ///
    /// # Errors
    ///
    /// As [`Conversations::read`](super::Conversations::read); here conversations are refused.
    pub fn read(source: &Source, options: &ReadOptions) -> Result<Self> {
        let (form, preferences) = read_examples(source, options, |form, fields, provenance| {
            let (mut prompt, chosen, rejected) = preference(form, fields)?;
            prompt.iter_mut().for_each(|message| message.trained = false);
            check(&chosen).and_then(|()| check(&rejected))?;
            let tools = match form {
                Form::OpenAiPreference => list(input(fields)?, "tools")?,
                _ => list(fields, "tools")?,
            };
            Ok(Preference { prompt, chosen, rejected, tools, provenance })
        })?;
        Ok(Self { form, preferences })
    }
}

impl Preference {
    /// All that is said, as one text: what two preferences have in common if they are the same.
    pub fn text(&self) -> String {
        said(self.prompt.iter().chain(&self.chosen).chain(&self.rejected))
    }

    /// The prompt as one text, or all that is said where it asks nothing: what [`Conversation::group`] is.
    pub fn group(&self) -> String {
        asked(&self.prompt).unwrap_or_else(|| self.text())
    }

    /// The prompt with one of its answers.
    pub fn with(&self, answer: &[Message]) -> Conversation {
        let messages = [&self.prompt, answer].concat();
        Conversation { messages, tools: self.tools.clone(), provenance: self.provenance.clone() }
    }
}

impl ExampleEncoder {
    /// Preferences to learn from. Pairs of answers that are the same, whole or in what the context has room for, are left
    /// out.
    ///
    /// # Errors
    ///
    /// As [`encode_all`](Self::encode_all).
    pub fn encode_pairs(&self, preferences: &[Preference]) -> Result<EncodedExamples<EncodedPair>> {
        let mut fitting = Fitting::new(self.context_length(), preferences.len());
        for preference in preferences {
            let mut chosen = self.encode(&preference.with(&preference.chosen))?;
            let mut rejected = self.encode(&preference.with(&preference.rejected))?;
            if !fitting.take([&mut chosen, &mut rejected]) {
                continue;
            }
            match chosen.tokens == rejected.tokens {
                true => fitting.identical += 1,
                false => fitting.examples.push(EncodedPair { chosen, rejected }),
            }
        }
        fitting.finish()
    }
}

/// A prompt, the better answer, and the worse one.
type Parts = (Vec<Message>, Vec<Message>, Vec<Message>);

fn preference(form: Form, fields: &Fields) -> Result<Parts, Flaw> {
    let answer = |key| side(fields, key, Role::Assistant);
    match form {
        Form::AlpacaPreference => Ok((instruction(fields)?, answer("chosen")?, answer("rejected")?)),
        Form::Preference => {
            let prompt = side(fields, "prompt", Role::User)?;
            let [chosen, rejected] = ["chosen", "rejected"].map(answer);
            let (chosen, rejected) = (chosen?, rejected?);
            // UltraFeedback's answers begin with the prompt.
            let asks = |turns: &[Message]| turns.first().is_some_and(|turn| turn.role != Role::Assistant);
            match asks(&chosen) && asks(&rejected) {
                true => parted(chosen, rejected),
                false => Ok((prompt, chosen, rejected)),
            }
        }
        Form::ImplicitPreference => parted(messages(fields, "chosen")?, messages(fields, "rejected")?),
        Form::Transcripts => parted(transcript(fields, "chosen")?, transcript(fields, "rejected")?),
        Form::OpenAiPreference => {
            let prompt = messages(input(fields)?, "messages")?;
            Ok((prompt, messages(fields, "preferred_output")?, messages(fields, "non_preferred_output")?))
        }
        found => Err(Flaw::OtherForm { expected: "preferences", found }),
    }
}

/// Where OpenAI's preferences keep the prompt and the tools.
fn input(fields: &Fields) -> Result<&Fields, Flaw> {
    let input = fields.get("input").and_then(Value::as_object);
    input.ok_or_else(|| wrong("input", "not an object with `messages`"))
}

/// What both begin with is the prompt; it leaves each an answer.
fn parted(mut chosen: Vec<Message>, mut rejected: Vec<Message>) -> Result<Parts, Flaw> {
    let alike = chosen.iter().zip(&rejected).take_while(|(chosen, rejected)| chosen == rejected).count();
    let shorter = chosen.len().min(rejected.len());
    let mut prompt = chosen.clone();
    prompt.truncate(alike.min(shorter.saturating_sub(1)));
    if prompt.is_empty() {
        return Err(wrong("chosen", "it has no turn in common with `rejected`, which would be the prompt"));
    }
    Ok((prompt.clone(), chosen.split_off(prompt.len()), rejected.split_off(prompt.len())))
}

/// The turns of a transcript.
fn transcript(fields: &Fields, key: &str) -> Result<Vec<Message>, Flaw> {
    const TURNS: [(&str, Role); 2] = [("\n\nHuman:", Role::User), ("\n\nAssistant:", Role::Assistant)];
    let whole = text(fields, key)?;
    let next = |text: &str| {
        let found = TURNS.into_iter().filter_map(|(name, role)| Some((text.find(name)?, name.len(), role)));
        found.min_by_key(|(at, ..)| *at)
    };
    let mut rest = whole.as_str();
    let mut turns = Vec::new();
    while let Some((at, length, role)) = next(rest) {
        if turns.is_empty() && !rest[..at].trim().is_empty() {
            break;
        }
        let said = &rest[at + length..];
        let end = next(said).map_or(said.len(), |(at, ..)| at);
        turns.push(Message::new(role, said[..end].trim()));
        rest = &said[end..];
    }
    match turns.is_empty() {
        true => Err(wrong(
            key,
            "a text without a `prompt` beside it and without turns of `Human:` and `Assistant:`",
        )),
        false => Ok(turns),
    }
}
