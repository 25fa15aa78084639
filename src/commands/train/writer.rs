//! The samples of a run.

use std::path::Path;

use kiln_datasets::Tokenizer;
use kiln_datasets::tales::SEPARATOR;
use kiln_inference::{Completion, GenerateOptions, Request, encode_prompt, generate, generate_batch};
use kiln_model::{Backend, GptModel, SpecialTokens};

use crate::commands::shell::quoted;
use crate::settings::{DataSource, Settings};

/// How the title of many a story of the embedded corpus begins.
const BEGINNING: &str = "Lily and the";

/// Texts that are drawn at most where one comes out empty.
const DRAWS: u64 = 4;

/// Writes the samples of a run.
#[derive(Clone)]
pub struct Writer {
    pub settings: Settings,
    pub tokenizer: Tokenizer,
}

impl Writer {
    /// A text from the run's prompt on; for the embedded corpus, a whole story. It ends with a whole word. Breaks off when
    /// `stop` says so.
    pub fn write<B: Backend>(
        &self,
        model: &GptModel<B>,
        seed: u64,
        stop: &mut dyn FnMut() -> bool,
    ) -> String {
        let mut texts = (0..DRAWS).map(|draw| self.draw(model, seed + (draw << 32), stop));
        texts.find(|text| !text.is_empty()).unwrap_or_default()
    }

    fn draw<B: Backend>(&self, model: &GptModel<B>, seed: u64, stop: &mut dyn FnMut() -> bool) -> String {
        let generation = &self.settings.generation;
        let tales = self.settings.data.source == DataSource::Tales;
        let prompt = if tales { "" } else { generation.prompt.as_str() };
        // A corpus may lack even a line break; its first token will do.
        let encoded = encode_prompt(prompt, &self.tokenizer, &SpecialTokens::default());
        let request = Request { prompt: encoded.unwrap_or_else(|_| vec![0]), options: self.options(seed) };
        let (mut tokens, mut bytes) = (Vec::new(), Vec::new());
        // A model that computes no numbers yet, or no longer, writes nothing.
        for token in generate(model, &request).into_iter().flatten().map_while(Result::ok) {
            tokens.push(token);
            bytes.extend(self.tokenizer.decode_bytes(&[token]).unwrap_or_default());
            // Where a tokenizer has no token between two stories, a blank line is.
            let story_is_over = tales && bytes.ends_with(SEPARATOR.as_bytes());
            if story_is_over || stop() {
                break;
            }
        }
        let text = self.tokenizer.decode(&tokens).unwrap_or_default();
        let cut_off = tokens.len() == generation.max_tokens;
        format!("{prompt}{}", if cut_off { whole_words(&text) } else { &text }).trim().to_owned()
    }

    /// What [`command`](Self::command) writes for the embedded corpus, once for each of the `seeds`, side by side; `None` if
    /// the model computes no numbers or its tokenizer lacks the prompt. Breaks off when `stop` says so.
    pub fn stories<B: Backend>(
        &self,
        model: &GptModel<B>,
        seeds: &[u64],
        stop: &mut dyn FnMut() -> bool,
    ) -> Option<Vec<String>> {
        let prompt = encode_prompt(BEGINNING, &self.tokenizer, &SpecialTokens::default()).ok()?;
        let request = |seed: &u64| Request { prompt: prompt.clone(), options: self.options(*seed) };
        let requests: Vec<Request> = seeds.iter().map(request).collect();
        let written = generate_batch(model, &requests, |_, _| !stop()).ok()?;
        let text = |one: &Completion| self.tokenizer.decode(&one.tokens).unwrap_or_default();
        Some(written.iter().map(|one| format!("{BEGINNING}{}", text(one)).trim_end().to_owned()).collect())
    }

    fn options(&self, seed: u64) -> GenerateOptions {
        let generation = &self.settings.generation;
        GenerateOptions {
            max_tokens: generation.max_tokens,
            stop: self.tokenizer.end_of_text().into_iter().collect(),
            vocab_size: Some(self.tokenizer.vocab_size()),
            sampling: generation.sampling(),
            seed,
            ..GenerateOptions::default()
        }
    }

    /// What to type for another sample.
    pub fn command(&self, folder: &Path) -> String {
        let generation = &self.settings.generation;
        let prompt = match self.settings.data.source {
            DataSource::Tales => BEGINNING,
            // A corpus may lack even a line break; an empty prompt is the beginning of any text.
            _ if self.tokenizer.encode(&generation.prompt).is_err() => "",
            DataSource::Path | DataSource::Cargo | DataSource::Repeats => generation.prompt.as_str(),
        };
        let folder = folder.to_string_lossy();
        let mut command = format!(
            "kiln generate --model {} --prompt {} --max-tokens {} --temperature {}",
            quoted(&folder),
            quoted(prompt),
            generation.max_tokens,
            generation.temperature
        );
        if generation.top_k > 0 {
            command += &format!(" --top-k {}", generation.top_k);
        }
        if generation.top_p < 1.0 {
            command += &format!(" --top-p {}", generation.top_p);
        }
        command
    }
}

/// The text without its last word, which may be half of one; a single word stays.
fn whole_words(text: &str) -> &str {
    text.trim_end().rfind(char::is_whitespace).map_or(text, |end| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_word_is_left_out() {
        for (text, whole) in
            [("once upon a ti", "once upon a"), ("one", "one"), ("so it goes ", "so it"), ("", "")]
        {
            assert_eq!(whole_words(text), whole);
        }
    }
}
