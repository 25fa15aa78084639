//! A model with its tokenizer: text in, text out.

use std::path::Path;

use kiln_datasets::{StreamDecoder, Tokenizer};
use kiln_model::{Backend, GptModel, Precision};

use crate::error::Result;
use crate::files::ModelFiles;
use crate::generate::{GeneratedTokens, generate};
use crate::request::{GenerateOptions, Request};

/// A language model that reads and writes text.
///
/// ```
/// use burn_ndarray::NdArray;
/// use kiln_inference::{GenerateOptions, TextModel};
///
/// # let folder = tempfile::tempdir()?;
/// # let directory = folder.path();
/// # let tokenizer = kiln_datasets::Tokenizer::characters_of("Once upon a time, a fox.");
/// # let mut config = kiln_model::GptConfig::new(1, 2, 8);
/// # (config.vocab_size, config.context_length) = (tokenizer.vocab_size(), 32);
/// # let model = config.init::<NdArray>(1, &Default::default())?;
/// # kiln_model::save(&model, directory, kiln_model::Dtype::F32, None)?;
/// # tokenizer.save(directory)?;
/// let model = TextModel::<NdArray>::open(directory, &Default::default())?;
/// let options = GenerateOptions { max_tokens: 50, ..Default::default() };
/// for piece in model.generate("Once upon a time", &options)? {
///     print!("{piece}");
/// }
/// # let options = GenerateOptions { seed: 1, ..options };
/// # let (one, same) = (model.generate("Once", &options)?, model.generate("Once", &options)?);
/// # assert_eq!(one.collect::<String>(), same.collect::<String>());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct TextModel<B: Backend> {
    model: GptModel<B>,
    tokenizer: Tokenizer,
}

impl<B: Backend> TextModel<B> {
    /// Opens a model directory, or the `model/` of a run directory, with its tokenizer and its weights in
    /// f32.
    ///
    /// For other number formats, open it by hand with [`ModelFiles`].
    ///
    /// # Errors
    ///
    /// [`Error::Model`](crate::Error::Model) or [`Error::Data`](crate::Error::Data) if there is no model, no
    /// tokenizer, or one of them cannot be used.
    pub fn open(path: impl AsRef<Path>, device: &B::Device) -> Result<Self> {
        let files = ModelFiles::open(path)?;
        let tokenizer = files.tokenizer()?;
        Ok(Self::new(files.load_with_precision(device, Precision::F32)?, tokenizer))
    }

    /// Joins a model and the tokenizer that it was trained with.
    pub fn new(model: GptModel<B>, tokenizer: Tokenizer) -> Self {
        Self { model, tokenizer }
    }

    /// Continues `prompt`, piece by piece: each is computed when the iterator is asked for it. The text ends
    /// at the tokenizer's end-of-text token, where it has one, or at a token of `options.stop`.
    ///
    /// Special tokens that are written out in the prompt, such as `<|endoftext|>`, are encoded as what they
    /// are.
    ///
    /// # Errors
    ///
    /// [`Error::Data`](crate::Error::Data) if the prompt cannot be encoded, else those of [`generate`].
    pub fn generate(&self, prompt: &str, options: &GenerateOptions) -> Result<GeneratedText<'_, B>> {
        self.generate_from(&self.tokenizer.encode_with_special_tokens(prompt)?, options)
    }

    /// [`generate`](Self::generate) from a prompt that is encoded already.
    ///
    /// # Errors
    ///
    /// Those of [`generate`].
    pub fn generate_from(&self, prompt: &[u32], options: &GenerateOptions) -> Result<GeneratedText<'_, B>> {
        let mut options = options.clone();
        options.stop.extend(self.tokenizer.end_of_text());
        Ok(GeneratedText {
            source: generate(&self.model, &Request { prompt: prompt.to_vec(), options })?,
            tokenizer: &self.tokenizer,
            decoder: StreamDecoder::default(),
            tokens: Vec::new(),
        })
    }
}

/// The pieces of one text: what each token adds, in whole characters; made by [`TextModel::generate`].
#[derive(Debug)]
pub struct GeneratedText<'a, B: Backend> {
    source: GeneratedTokens<'a, B>,
    tokenizer: &'a Tokenizer,
    decoder: StreamDecoder,
    tokens: Vec<u32>,
}

impl<B: Backend> GeneratedText<'_, B> {
    /// The tokens of the text so far, without the prompt's.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }
}

impl<B: Backend> Iterator for GeneratedText<'_, B> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        for token in self.source.by_ref() {
            self.tokens.push(token);
            // A model may have more tokens than its tokenizer, to round its matrices up: these have no text.
            let bytes = self.tokenizer.decode_bytes(&[token]).unwrap_or_default();
            let piece = self.decoder.push(&bytes);
            if !piece.is_empty() {
                return Some(piece);
            }
        }
        Some(self.decoder.finish()).filter(|piece| !piece.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Sampling;
    use burn_ndarray::NdArray;
    use kiln_model::{Dtype, GptConfig};

    fn config(vocab_size: usize) -> GptConfig {
        GptConfig { vocab_size, context_length: 16, init_std: 0.3, ..GptConfig::new(1, 2, 8) }
    }

    #[test]
    fn pieces_are_whole_characters_and_join_to_the_text_of_the_tokens() {
        let tokenizer = Tokenizer::open("byte").expect("built in");
        // More tokens than bytes: those beyond have no text.
        let model: GptModel<NdArray> = config(300).init(7, &Default::default()).expect("valid");
        let model = TextModel::new(model, tokenizer.clone());
        let sampling = Sampling { temperature: 5.0, ..Sampling::default() };
        let options = GenerateOptions { max_tokens: 400, sampling, ..Default::default() };
        let mut text = model.generate("é", &options).expect("readable");
        let joined: String = text.by_ref().collect();
        assert_eq!(text.tokens().len(), 400);
        let known: Vec<u32> = text.tokens().iter().copied().filter(|token| *token < 256).collect();
        assert!(known.len() < 400, "some tokens have no text");
        assert_eq!(joined, tokenizer.decode(&known).expect("bytes"));
    }

    #[test]
    fn a_run_directory_opens_as_its_model_does() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let inside = folder.path().join("model");
        let tokenizer = Tokenizer::characters_of("abc");
        let model: GptModel<NdArray> =
            config(tokenizer.vocab_size()).init(7, &Default::default()).expect("valid");
        kiln_model::save(&model, &inside, Dtype::F32, None).expect("writable");
        assert!(TextModel::<NdArray>::open(&inside, &Default::default()).is_err(), "there is no tokenizer");
        tokenizer.save(&inside).expect("writable");
        let text = |path: &Path| {
            let model = TextModel::<NdArray>::open(path, &Default::default()).expect("a model");
            let options = GenerateOptions { max_tokens: 20, ..Default::default() };
            let text: String = model.generate("ab", &options).expect("readable").collect();
            assert_eq!(text.len(), 20);
            assert!(model.generate("x", &options).is_err(), "the tokenizer does not know it");
            text
        };
        assert_eq!(text(folder.path()), text(&inside));
    }
}
