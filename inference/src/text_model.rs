//! A model with its tokenizer: text in, text out.

use std::path::Path;

use kiln_datasets::Tokenizer;
use kiln_model::{Backend, GptModel, Precision, SpecialTokens};

use crate::batch::{Completion, generate_batch};
use crate::error::Result;
use crate::files::ModelFiles;
use crate::generate::{FinishReason, GeneratedTokens, generate};
use crate::logprobs::TokenLogprob;
use crate::prompt::encode_prompt;
use crate::request::{GenerateOptions, Request};
use crate::stop::StopStrings;
use crate::text_stream::TextStream;

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
/// # kiln_model::save(&model, directory, kiln_model::Dtype::F32, &Default::default())?;
/// # tokenizer.save(directory)?;
/// let model = TextModel::<NdArray>::open(directory, &Default::default())?;
/// let options = GenerateOptions { max_tokens: 50, ..Default::default() };
/// for piece in model.generate("Once upon a time", &options)? {
///     print!("{}", piece?);
/// }
/// # let options = GenerateOptions { seed: 1, ..options };
/// # let (one, same) = (model.generate("Once", &options)?, model.generate("Once", &options)?);
/// # assert_eq!(one.collect::<Result<String, _>>()?, same.collect::<Result<String, _>>()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct TextModel<B: Backend> {
    model: GptModel<B>,
    tokenizer: Tokenizer,
    special_tokens: SpecialTokens,
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
        let model = files.load_with_precision(device, Precision::F32)?;
        Ok(Self::new(model, tokenizer).with_special_tokens(files.special_tokens()))
    }

    /// Joins a model and the tokenizer that it was trained with.
    pub fn new(model: GptModel<B>, tokenizer: Tokenizer) -> Self {
        let special_tokens = SpecialTokens::of_end_of_text(tokenizer.end_of_text());
        Self { model, tokenizer, special_tokens }
    }

    /// Begins and ends texts at these tokens, as far as the model has them, instead of the tokenizer's end-of-text
    /// token.
    pub fn with_special_tokens(mut self, special_tokens: &SpecialTokens) -> Self {
        let known = |token: &u32| (*token as usize) < self.model.config().vocab_size;
        let end: Vec<u32> = special_tokens.end.iter().copied().filter(known).collect();
        let begin = special_tokens.begin.filter(known);
        self.special_tokens.begin = begin.or(self.special_tokens.begin);
        if !end.is_empty() {
            self.special_tokens.end = end;
        }
        self
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    pub(crate) fn model(&self) -> &GptModel<B> {
        &self.model
    }

    /// The model, the tokenizer, and the tokens that begin and end texts.
    #[cfg(feature = "serve")]
    pub(crate) fn into_parts(self) -> (GptModel<B>, Tokenizer, SpecialTokens) {
        (self.model, self.tokenizer, self.special_tokens)
    }

    /// The tokens of a prompt: see [`encode_prompt()`].
    ///
    /// # Errors
    ///
    /// [`Error::Data`](crate::Error::Data) if it cannot be encoded.
    pub fn encode_prompt(&self, prompt: &str) -> Result<Vec<u32>> {
        encode_prompt(prompt, &self.tokenizer, &self.special_tokens)
    }

    /// Continues `prompt`, piece by piece: each is computed when the iterator is asked for it. The text ends
    /// at an end-of-text token of the model, else of the tokenizer, or at a token of `options.stop`.
    ///
    /// # Errors
    ///
    /// Those of [`encode_prompt`](Self::encode_prompt) and [`generate`].
    pub fn generate(&self, prompt: &str, options: &GenerateOptions) -> Result<GeneratedText<'_, B>> {
        self.generate_from(&self.encode_prompt(prompt)?, options)
    }

    /// [`generate`](Self::generate) from a prompt that is encoded already.
    ///
    /// # Errors
    ///
    /// Those of [`generate`].
    pub fn generate_from(&self, prompt: &[u32], options: &GenerateOptions) -> Result<GeneratedText<'_, B>> {
        let request = self.request(Request { prompt: prompt.to_vec(), options: options.clone() });
        Ok(GeneratedText {
            source: generate(&self.model, &request)?,
            stream: TextStream::new(&self.tokenizer, StopStrings::default()),
            tokens: Vec::new(),
        })
    }

    /// Continues several prompts side by side, each as [`generate_from`](Self::generate_from) would, up to the
    /// first of the strings `until`: every weight is read once for all of them.
    ///
    /// # Errors
    ///
    /// Those of [`generate_batch`].
    pub fn generate_batch(
        &self,
        requests: &[Request],
        until: &[String],
    ) -> Result<Vec<(String, Completion)>> {
        let requests: Vec<Request> = requests.iter().cloned().map(|request| self.request(request)).collect();
        let stream = || TextStream::new(&self.tokenizer, StopStrings::new(until.iter().cloned()));
        let mut texts: Vec<_> = requests.iter().map(|_| (stream(), String::new())).collect();
        let completions = generate_batch(&self.model, &requests, |index, token| {
            let (stream, text) = &mut texts[index];
            text.push_str(&stream.push(token));
            !stream.is_over()
        })?;
        let texts = texts.into_iter().map(|(mut stream, text)| text + &stream.finish());
        Ok(texts.zip(completions).collect())
    }

    /// The request with what model and tokenizer add to it.
    pub(crate) fn request(&self, mut request: Request) -> Request {
        request.options.stop.extend(&self.special_tokens.end);
        // A tokenizer may leave out ids, which the model then has too; beyond its last one there is no text.
        request.options.vocab_size.get_or_insert(self.tokenizer.vocab_size());
        request
    }
}

/// The pieces of one text: what each token adds, in whole characters; made by [`TextModel::generate`].
#[derive(Debug)]
pub struct GeneratedText<'a, B: Backend> {
    source: GeneratedTokens<'a, B>,
    stream: TextStream<'a>,
    tokens: Vec<u32>,
}

impl<'a, B: Backend> GeneratedText<'a, B> {
    /// Ends the text before the first of these strings; what may be the start of one is held back until that is
    /// known. The tokens that made it remain in [`tokens`](Self::tokens).
    pub fn until(mut self, strings: &[String]) -> Self {
        self.stream = TextStream::new(self.stream.tokenizer(), StopStrings::new(strings.iter().cloned()));
        self
    }

    /// The tokens of the text so far, without the prompt's.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// Why the text is over; `None` while it is not.
    pub fn finish_reason(&self) -> Option<FinishReason> {
        if self.stream.is_over() { Some(FinishReason::Stop) } else { self.source.finish_reason() }
    }

    /// Log-probabilities of the tokens so far, where they were [asked for](GenerateOptions::logprobs).
    pub fn logprobs(&self) -> &[TokenLogprob] {
        self.source.logprobs()
    }

    /// What was generated so far, as tokens.
    pub fn into_completion(self) -> Completion {
        Completion {
            finish_reason: self.finish_reason().unwrap_or(FinishReason::Stop),
            tokens: self.tokens,
            logprobs: self.source.into_logprobs(),
        }
    }
}

impl<B: Backend> Iterator for GeneratedText<'_, B> {
    type Item = Result<String>;

    fn next(&mut self) -> Option<Result<String>> {
        while !self.stream.is_over() {
            let token = match self.source.next() {
                None => break,
                Some(Err(error)) => return Some(Err(error)),
                Some(Ok(token)) => token,
            };
            self.tokens.push(token);
            let piece = self.stream.push(token);
            if !piece.is_empty() {
                return Some(Ok(piece));
            }
        }
        Some(self.stream.finish()).filter(|piece| !piece.is_empty()).map(Ok)
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
        // More rows than bytes: those beyond are never chosen.
        let model: GptModel<NdArray> = config(300).init(7, &Default::default()).expect("valid");
        let model = TextModel::new(model, tokenizer.clone());
        let sampling = Sampling { temperature: 5.0, ..Sampling::default() };
        let options = GenerateOptions { max_tokens: 400, sampling, ..Default::default() };
        let mut text = model.generate("é", &options).expect("readable");
        let joined: String = text.by_ref().collect::<Result<_>>().expect("finite");
        assert_eq!(text.tokens().len(), 400);
        assert_eq!(joined, tokenizer.decode(text.tokens()).expect("bytes"));
        assert_eq!(text.finish_reason(), Some(FinishReason::Length));

        // The same text ends before a string of it, streamed or in a batch.
        let stop = joined.chars().skip(40).take(3).collect::<String>();
        let expected = joined.split(&stop).next().expect("the part before");
        let until = [String::from("not in it, most likely"), stop];
        let mut text = model.generate("é", &options).expect("readable").until(&until);
        let stopped: String = text.by_ref().collect::<Result<_>>().expect("finite");
        assert_eq!((stopped.as_str(), text.finish_reason()), (expected, Some(FinishReason::Stop)));
        let request = Request { prompt: model.encode_prompt("é").expect("bytes"), options };
        for (batched, completion) in
            model.generate_batch(&[request.clone(), request], &until).expect("readable")
        {
            assert_eq!((batched.as_str(), completion.finish_reason), (expected, FinishReason::Stop));
            assert_eq!(completion.tokens, text.tokens());
        }
    }

    #[test]
    fn a_run_directory_opens_as_its_model_does() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let inside = folder.path().join("model");
        let tokenizer = Tokenizer::characters_of("abc");
        let model: GptModel<NdArray> =
            config(tokenizer.vocab_size()).init(7, &Default::default()).expect("valid");
        kiln_model::save(&model, &inside, Dtype::F32, &SpecialTokens::default()).expect("writable");
        assert!(TextModel::<NdArray>::open(&inside, &Default::default()).is_err(), "there is no tokenizer");
        tokenizer.save(&inside).expect("writable");
        let text = |path: &Path| {
            let model = TextModel::<NdArray>::open(path, &Default::default()).expect("a model");
            let options = GenerateOptions { max_tokens: 20, ..Default::default() };
            let text = model.generate("ab", &options).expect("readable");
            let text: String = text.collect::<Result<_>>().expect("finite");
            assert_eq!(text.len(), 20);
            assert!(model.generate("x", &options).is_err(), "the tokenizer does not know it");
            text
        };
        assert_eq!(text(folder.path()), text(&inside));
    }

    #[test]
    fn the_files_of_a_model_say_where_a_text_ends() {
        let model: GptModel<NdArray> = config(300).init(7, &Default::default()).expect("valid");
        let learned = Tokenizer::train_bpe(["so it goes, so it goes"], 270).expect("room");
        let ends = |tokens: &[u32]| {
            let named = SpecialTokens { begin: Some(7), end: tokens.to_vec(), ..SpecialTokens::default() };
            let model = TextModel::new(model.clone(), learned.clone()).with_special_tokens(&named);
            assert_eq!(model.encode_prompt("").expect("any text"), [7]);
            model.request(Request::default()).options.stop
        };
        assert_eq!(ends(&[3, 4]), [3, 4]);
        assert_eq!(ends(&[]), [0], "the tokenizer's");
        assert_eq!(ends(&[50_256]), [0], "the model has no such token");
    }
}
