//! The samples of a run.

use std::path::Path;

use kiln_datasets::Tokenizer;
use kiln_datasets::tales::SEPARATOR;
use kiln_inference::{GenerateOptions, Request, generate};
use kiln_model::{Backend, GptModel};

use crate::commands::shell::quoted;
use crate::settings::{DataSource, Settings};

/// How many a story of the embedded corpus begins.
const BEGINNING: &str = "Once upon a time";

/// Writes the samples of a run.
#[derive(Clone)]
pub struct Writer {
    pub settings: Settings,
    pub tokenizer: Tokenizer,
}

impl Writer {
    /// A text that continues the run's prompt; for the embedded corpus, one whole story. Breaks off when `stop` says so.
    pub fn write<B: Backend>(
        &self,
        model: &GptModel<B>,
        seed: u64,
        stop: &mut dyn FnMut() -> bool,
    ) -> String {
        let generation = &self.settings.generation;
        let tales = self.settings.data.source == DataSource::Tales;
        // Between two stories even a young model may end the next one at once; after this it has something to tell.
        let prompt = if tales { format!("{SEPARATOR}{BEGINNING}") } else { generation.prompt.clone() };
        let encoded = self.tokenizer.encode(&prompt).ok().filter(|tokens| !tokens.is_empty());
        let options = GenerateOptions {
            max_tokens: generation.max_tokens,
            stop: self.tokenizer.end_of_text().into_iter().collect(),
            vocab_size: Some(self.tokenizer.vocab_size()),
            sampling: generation.sampling(),
            seed,
            ..GenerateOptions::default()
        };
        // A corpus may lack even a line break; its first token will do.
        let request = Request { prompt: encoded.unwrap_or_else(|| vec![0]), options };
        let (mut tokens, mut bytes) = (Vec::new(), Vec::new());
        // A model that computes no numbers yet, or no longer, writes nothing.
        for token in generate(model, &request).into_iter().flatten().map_while(Result::ok) {
            tokens.push(token);
            bytes.extend(self.tokenizer.decode_bytes(&[token]).unwrap_or_default());
            let story_is_over = tales && bytes.ends_with(SEPARATOR.as_bytes());
            if story_is_over || stop() {
                break;
            }
        }
        let text = self.tokenizer.decode(&tokens).unwrap_or_default();
        format!("{prompt}{text}").trim().to_owned()
    }

    /// What to type for another sample.
    pub fn command(&self, folder: &Path) -> String {
        let generation = &self.settings.generation;
        let prompt = match self.settings.data.source {
            DataSource::Tales => BEGINNING,
            // A corpus may lack even a line break; an empty prompt is the beginning of any text.
            _ if self.tokenizer.encode(&generation.prompt).is_err() => "",
            DataSource::Path | DataSource::Cargo => generation.prompt.as_str(),
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
