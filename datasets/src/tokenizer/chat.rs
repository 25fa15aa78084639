//! What a tokenizer knows of conversations: tokens for their turns, and a template.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::char::CharTokenizer;
use super::companions::{CONFIG, Companions, added_token};
use super::directory::{OURS, TOKENIZER, of_document, parse_json};
use super::document::{bytes_document, document};
use super::special::SpecialTokens;
use super::{Kind, Tokenizer};
use crate::error::Result;

/// Tokens that a conversation in ChatML needs: one that begins a turn, one that ends it, and one that fills up.
pub const CHAT_TOKENS: [&str; 3] = ["<|im_start|>", TURN_END, "<|pad|>"];

const TURN_END: &str = "<|im_end|>";

/// ChatML as a Jinja template: `<|im_start|>user\n…<|im_end|>\n`, turn by turn. On one line, so that it says the same
/// whatever a renderer does with line breaks behind blocks.
pub const CHATML: &str = concat!(
    "{% for message in messages %}",
    r"{{ '<|im_start|>' ~ message.role ~ '\n' ~ message.content ~ '<|im_end|>\n' }}",
    "{% endfor %}",
    r"{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
);

impl Tokenizer {
    /// The same tokenizer with the [`CHAT_TOKENS`] behind its own, with [`CHATML`] as its template, and with `<|im_end|>`
    /// as its `eos_token`: for a model that is to learn, later on, to answer and to stop. Documents are separated by
    /// `<|endoftext|>` where there is one.
    ///
    /// # Errors
    ///
    /// [`Error::Format`](crate::Error::Format) from a damaged tokenizer.
    pub fn with_chat_tokens(&self) -> Result<Self> {
        let special = self.special_tokens();
        let new = CHAT_TOKENS.into_iter().filter(|token| !special.iter().any(|(text, _)| text == token));
        let config = self.chat_config()?;
        if let Kind::Char(characters) = &self.kind {
            let own = characters.special().map(|token| token.content.as_str());
            let special: Vec<&str> = own.chain(new).collect();
            let kind = Kind::Char(CharTokenizer::new(characters.characters().to_vec(), &special));
            return with_config(kind, config);
        }
        let mut json: Value = match &self.kind {
            Kind::Byte => bytes_document(),
            _ => parse_json(TOKENIZER.as_ref(), &document(self)?)?,
        };
        let added = (self.vocab_size() as u32..).zip(new).map(|(id, token)| added_token(token, id, true));
        if let Some(tokens) = json["added_tokens"].as_array_mut() {
            tokens.extend(added);
        }
        let text = json.to_string();
        of_document(json, Some(text), Companions::of_config(config), TOKENIZER.as_ref())
    }

    /// The same tokenizer with another template for conversations, which [`save`](Self::save) writes beside it.
    ///
    /// # Errors
    ///
    /// [`Error::Format`](crate::Error::Format) from a damaged tokenizer.
    pub fn with_chat_template(&self, template: &str) -> Result<Self> {
        let mut special = (*self.special).clone();
        special.config = super::directory::config(self)?;
        special.config.insert("chat_template".to_owned(), json!(template));
        Ok(Self { kind: self.kind.clone(), special: Arc::new(special) })
    }

    /// Its `tokenizer_config.json` with the tokens and the template of conversations.
    fn chat_config(&self) -> Result<Map<String, Value>> {
        let mut config = super::directory::config(self)?;
        if !matches!(self.kind, Kind::Char(_)) {
            config.remove(OURS);
        }
        for (key, value) in
            [("eos_token", TURN_END), ("pad_token", CHAT_TOKENS[2]), ("chat_template", CHATML)]
        {
            config.insert(key.to_owned(), json!(value));
        }
        Ok(config)
    }

    /// How a conversation becomes a text, as a Jinja template, where the files of the tokenizer say it. Of several, the
    /// one that is called `default`.
    pub fn chat_template(&self) -> Option<&str> {
        match self.special.config.get("chat_template")? {
            Value::Array(named) => {
                named.iter().find(|template| template["name"] == "default")?["template"].as_str()
            }
            template => template.as_str(),
        }
    }

    /// The token that ends an answer: the `eos_token`, or else the one that separates documents.
    pub fn turn_end(&self) -> Option<u32> {
        self.special_token("eos_token").or_else(|| self.end_of_text())
    }

    /// Tokens that stand for no text, as they are written, with their ids.
    pub fn special_tokens(&self) -> Vec<(String, u32)> {
        let mut special: Vec<(String, u32)> = match &self.kind {
            Kind::Byte => Vec::new(),
            Kind::Char(tokenizer) => {
                tokenizer.special().map(|token| (token.content.clone(), token.id)).collect()
            }
            Kind::Bpe(tokenizer) => {
                let special = tokenizer.added.iter().filter(|token| token.special);
                special.map(|token| (token.content.clone(), token.id)).collect()
            }
            Kind::HuggingFace(tokenizer) => tokenizer.special_tokens(),
        };
        // A token may have a role without being listed.
        for token in self.start_of_text().iter().copied().chain(self.turn_end()) {
            if special.iter().all(|(_, known)| *known != token) {
                special.extend(self.decode(&[token]).ok().map(|text| (text, token)));
            }
        }
        special
    }

    /// The same tokenizer for texts in which nothing is special: one of the `tokenizers` crate finds special tokens
    /// otherwise.
    #[cfg(feature = "prepare")]
    pub(crate) fn of_plain_text(&self) -> Self {
        let mut plain = self.clone();
        if let Kind::HuggingFace(theirs) = &mut plain.kind {
            theirs.find_no_special_tokens();
        }
        plain
    }

    /// Whether this token ends turns in ChatML.
    pub(super) fn ends_turns(&self, token: u32) -> bool {
        self.decode(&[token]).is_ok_and(|text| text == TURN_END)
    }
}

/// One of our own kinds, with what its `tokenizer_config.json` says if that is about conversations.
pub(super) fn with_config(kind: Kind, mut config: Map<String, Value>) -> Result<Tokenizer> {
    let plain = Tokenizer::from(kind);
    if !config.contains_key("chat_template") {
        return Ok(plain);
    }
    config.insert(OURS.to_owned(), json!(plain.name()));
    let json = parse_json(CONFIG.as_ref(), &document(&plain)?)?;
    let special = SpecialTokens::of(&json, Companions::of_config(config));
    Ok(Tokenizer { special: Arc::new(special), ..plain })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BpeTrainer;

    const TEXT: &str = "user\nassistant: so it goes, so it goes";

    fn every() -> [Tokenizer; 4] {
        let mut trainer = BpeTrainer::default();
        trainer.add(TEXT);
        let learned = trainer.train_with_chat_tokens(270).expect("room");
        assert_eq!(learned.vocab_size(), 270);
        let with_chat_tokens = |tokenizer: Tokenizer| tokenizer.with_chat_tokens().expect("sound");
        [
            learned,
            with_chat_tokens(Tokenizer::characters_of(TEXT)),
            with_chat_tokens(Tokenizer::open("byte").expect("embedded")),
            with_chat_tokens(Tokenizer::open("gpt2").expect("embedded")),
        ]
    }

    #[test]
    fn chat_tokens_are_the_last_and_return_from_a_directory() {
        for tokenizer in every() {
            let name = tokenizer.name().to_owned();
            let size = tokenizer.vocab_size() as u32;
            let text = format!("so {}it{} goes{}", CHAT_TOKENS[0], CHAT_TOKENS[1], CHAT_TOKENS[2]);
            let folder = tempfile::tempdir().expect("a temporary directory");
            tokenizer.save(folder.path()).expect("writable");
            let read = Tokenizer::from_directory(folder.path()).expect("just written");
            for tokenizer in [&tokenizer, &read, &read.with_chat_tokens().expect("it has them")] {
                let tokens = tokenizer.encode_with_special_tokens(&text).expect("known characters");
                let special: Vec<u32> = tokens.iter().copied().filter(|token| *token >= size - 3).collect();
                assert_eq!(special, [size - 3, size - 2, size - 1], "{name}");
                assert_eq!(tokenizer.decode(&tokens).expect("own tokens"), text, "{name}");
                assert_eq!(tokenizer.vocab_size(), size as usize, "{name}");
                assert_eq!(tokenizer.turn_end(), Some(size - 2), "{name}");
                assert_eq!(tokenizer.special_token("pad_token"), Some(size - 1), "{name}");
                assert_eq!(tokenizer.chat_template(), Some(CHATML), "{name}");
                let has_end = tokenizer.special_tokens().iter().any(|(text, _)| text == "<|endoftext|>");
                assert_eq!(tokenizer.end_of_text() == tokenizer.turn_end(), !has_end, "{name}");
            }
            assert_eq!(read.fingerprint(), tokenizer.fingerprint(), "{name}");
            let template = std::fs::read_to_string(folder.path().join("chat_template.jinja"));
            assert_eq!(template.expect("written"), CHATML);
        }
    }

    #[test]
    fn the_ids_of_a_text_stay_and_special_tokens_in_it_are_text() {
        for name in ["byte", "gpt2"] {
            let plain = Tokenizer::open(name).expect("embedded");
            let chat = plain.with_chat_tokens().expect("sound");
            for text in [TEXT, "<|im_end|> naïve 🦀\n\n x"] {
                assert_eq!(chat.encode(text).expect("any"), plain.encode(text).expect("any"), "{name}");
            }
        }
        let chat = Tokenizer::characters_of("<|im_end|>").with_chat_tokens().expect("sound");
        assert_eq!(chat.encode("<|im_end|>").expect("known").len(), 10);
        assert!(chat.encode_with_special_tokens("x<|im_end|>").is_err());
    }

    #[test]
    fn a_vocabulary_without_room_for_them_is_refused() {
        let refused = BpeTrainer::default().train_with_chat_tokens(259).expect_err("no room");
        assert!(matches!(refused, crate::Error::VocabSize { vocab_size: 259, least: 260 }), "{refused}");
    }

    #[test]
    fn the_file_of_a_template_wins_and_of_several_the_default_is_taken() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        every()[0].save(folder.path()).expect("writable");
        let path = folder.path().join(CONFIG);
        std::fs::write(folder.path().join("chat_template.jinja"), "from its file").expect("writable");
        let read = Tokenizer::from_directory(folder.path()).expect("sound");
        assert_eq!(read.chat_template(), Some("from its file"));
        std::fs::remove_file(folder.path().join("chat_template.jinja")).expect("there");
        let mut config: Value =
            parse_json(&path, &std::fs::read_to_string(&path).expect("there")).expect("JSON");
        config["chat_template"] =
            json!([{"name": "rag", "template": "a"}, {"name": "default", "template": "b"}]);
        std::fs::write(&path, config.to_string()).expect("writable");
        assert_eq!(Tokenizer::from_directory(folder.path()).expect("sound").chat_template(), Some("b"));
    }
}
