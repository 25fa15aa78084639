//! A template of any kind.

use std::path::Path;

use serde_json::json;

use super::marks::Guard;
use super::rendering::{Asked, Rendering};
use super::{ChatTemplate, alpaca, plain};
use crate::error::{Error, Result};
use crate::examples::Form;
use crate::{CHAT_TOKENS, CHATML, Tokenizer};

/// How a conversation becomes a text.
#[derive(Clone, Debug)]
pub enum Template {
    /// A Jinja template, which may be the model's own, or [`CHATML`].
    Chat(ChatTemplate),
    /// `### Instruction:`, `### Input:` and `### Response:`, as for Alpaca; a response ends with the end-of-text token.
    Alpaca,
    /// Nothing but what is said; an answer ends with the end-of-text token.
    Plain,
}

impl Template {
    /// Names of templates that need no file.
    pub const NAMES: [&str; 3] = ["chatml", "alpaca", "plain"];

    /// The template of that name (see [`NAMES`](Self::NAMES)), or the Jinja file of that path, for `tokenizer`.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] for a file that cannot be read, [`Error::Format`] for one that is no template.
    pub fn open(name: &str, tokenizer: &Tokenizer) -> Result<Self> {
        match name {
            "chatml" => Self::parse(CHATML, name, tokenizer),
            "alpaca" => Ok(Self::Alpaca),
            "plain" => Ok(Self::Plain),
            path => {
                let source = std::fs::read_to_string(path).map_err(Error::io(path))?;
                Self::parse(&source, path, tokenizer)
            }
        }
    }

    /// The template for examples of this form where none is named. Texts have none. The model's own comes first; with
    /// the tokens of ChatML it is that; otherwise Alpaca's.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] if the model's own is no template.
    pub fn of(tokenizer: &Tokenizer, form: Option<Form>) -> Result<Self> {
        let chat_tokens = &CHAT_TOKENS[..2];
        let special = tokenizer.special_tokens();
        match tokenizer.chat_template() {
            _ if form == Some(Form::Text) => Ok(Self::Plain),
            Some(source) => Self::parse(source, "of the model", tokenizer),
            None if chat_tokens.iter().all(|token| special.iter().any(|(text, _)| text == token)) => {
                Self::open("chatml", tokenizer)
            }
            None => Ok(Self::Alpaca),
        }
    }

    fn parse(source: &str, name: &str, tokenizer: &Tokenizer) -> Result<Self> {
        let template = ChatTemplate::parse(source, name);
        let template =
            template.map_err(|reason| Error::format(Path::new(name), format!("not a template: {reason}")))?;
        Ok(Self::Chat(template.with_tokens_of(tokenizer)))
    }

    /// What messages call it.
    pub fn name(&self) -> &str {
        match self {
            Self::Chat(template) => template.name(),
            Self::Alpaca => "alpaca",
            Self::Plain => "plain",
        }
    }

    /// The template as a Jinja template, for the files of a model that has learned by it with `tokenizer`. It writes out
    /// what the tokenizer puts before every text.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] from a tokenizer that is damaged.
    pub fn jinja(&self, tokenizer: &Tokenizer) -> Result<String> {
        let source = match self {
            Self::Chat(template) => return Ok(template.source().to_owned()),
            Self::Alpaca => alpaca::JINJA,
            Self::Plain => plain::JINJA,
        };
        let start = tokenizer.start_of_text().iter().map(|token| tokenizer.decode(&[*token]));
        Ok(match start.collect::<Result<String>>()? {
            start if start.is_empty() => source.to_owned(),
            start => format!("{{{{ {} }}}}{source}", json!(start)),
        })
    }

    /// Whether it needs a token of the tokenizer that ends an answer; others bring their own.
    pub(in crate::examples) fn needs_turn_end(&self) -> bool {
        !matches!(self, Self::Chat(_))
    }

    /// A conversation as text. `turn_end` is what ends an answer where the template does not say it, `special` knows the
    /// special tokens.
    pub(in crate::examples) fn render(
        &self,
        asked: &Asked<'_>,
        turn_end: &str,
        special: &Guard,
    ) -> Result<Rendering, String> {
        match self {
            Self::Chat(template) => template.render(asked, special),
            Self::Alpaca => alpaca::render(asked, turn_end),
            Self::Plain => Ok(plain::render(asked, turn_end)),
        }
    }
}
