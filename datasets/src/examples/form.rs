//! Which form of example a record is, by its keys.

use std::fmt;

use serde_json::{Map, Value};

/// A layout of keys that examples come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Form {
    /// `instruction`, `output`; perhaps `input`, `system`, `history`.
    Alpaca,
    /// `messages`, each with `role` and `content`, as OpenAI has them; perhaps `tools`, and a `weight` for each message.
    Messages,
    /// `conversations`, each with `from` and `value`.
    ShareGpt,
    /// `prompt` and `completion`: two strings, or two lists of messages.
    PromptCompletion,
    /// `text`, which is learned whole.
    Text,
    /// `instruction`, `chosen`, `rejected`; perhaps `input`, `system`.
    AlpacaPreference,
    /// `prompt`, `chosen`, `rejected`: strings, or lists of messages, which may repeat the prompt, as UltraFeedback's do.
    Preference,
    /// `chosen`, `rejected`: two lists of messages that begin alike.
    ImplicitPreference,
    /// `chosen`, `rejected`: two transcripts with `\n\nHuman:` and `\n\nAssistant:`, as in HH-RLHF.
    Transcripts,
    /// `input.messages`, `preferred_output`, `non_preferred_output`, as OpenAI has them; perhaps `input.tools`.
    OpenAiPreference,
}

impl Form {
    /// Every form.
    pub const ALL: [Self; 10] = [
        Self::Alpaca,
        Self::Messages,
        Self::ShareGpt,
        Self::PromptCompletion,
        Self::Text,
        Self::AlpacaPreference,
        Self::Preference,
        Self::ImplicitPreference,
        Self::Transcripts,
        Self::OpenAiPreference,
    ];

    /// The form of a record, if it has the keys of one. What tells preferences comes first: such records have other
    /// keys as well.
    pub fn of(fields: &Map<String, Value>) -> Option<Self> {
        let has = |keys: &[&str]| keys.iter().all(|key| fields.contains_key(*key));
        let is_text = |key: &str| fields.get(key).is_some_and(Value::is_string);
        Some(match () {
            () if has(&["input", "preferred_output", "non_preferred_output"]) => Self::OpenAiPreference,
            () if has(&["instruction", "chosen", "rejected"]) => Self::AlpacaPreference,
            () if has(&["prompt", "chosen", "rejected"]) => Self::Preference,
            () if has(&["chosen", "rejected"]) && is_text("chosen") => Self::Transcripts,
            () if has(&["chosen", "rejected"]) => Self::ImplicitPreference,
            () if has(&["messages"]) => Self::Messages,
            () if has(&["conversations"]) => Self::ShareGpt,
            () if has(&["instruction", "output"]) => Self::Alpaca,
            () if has(&["prompt", "completion"]) => Self::PromptCompletion,
            () if has(&["text"]) => Self::Text,
            () => return None,
        })
    }

    /// Whether its examples are pairs of answers.
    pub fn is_preference(self) -> bool {
        matches!(
            self,
            Self::AlpacaPreference
                | Self::Preference
                | Self::ImplicitPreference
                | Self::Transcripts
                | Self::OpenAiPreference
        )
    }

    /// Its keys, as messages name them.
    pub fn keys(self) -> &'static str {
        match self {
            Self::Alpaca => "`instruction`, `output`",
            Self::Messages => "`messages`",
            Self::ShareGpt => "`conversations`",
            Self::PromptCompletion => "`prompt`, `completion`",
            Self::Text => "`text`",
            Self::AlpacaPreference => "`instruction`, `chosen`, `rejected`",
            Self::Preference => "`prompt`, `chosen`, `rejected`",
            Self::ImplicitPreference | Self::Transcripts => "`chosen`, `rejected`",
            Self::OpenAiPreference => "`input`, `preferred_output`, `non_preferred_output`",
        }
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Alpaca => "instructions",
            Self::Messages => "conversations",
            Self::ShareGpt => "ShareGPT conversations",
            Self::PromptCompletion => "prompts with completions",
            Self::Text => "texts",
            Self::AlpacaPreference => "instructions with two answers",
            Self::Preference => "prompts with two answers",
            Self::ImplicitPreference => "pairs of conversations",
            Self::Transcripts => "pairs of transcripts",
            Self::OpenAiPreference => "OpenAI's preferences",
        };
        write!(f, "{name} ({})", self.keys())
    }
}
