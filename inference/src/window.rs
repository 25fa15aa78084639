//! What the model sees of a text: its newest tokens, and their keys and values.

use kiln_model::{Backend, GptModel, KvCache, token_tensor};

use crate::error::{Error, Result};
use crate::logits::check_finite;
use crate::tokens::{check_tokens, upload};

/// The tokens that the model sees, with the cache that saves computing them twice.
#[derive(Debug)]
pub(crate) struct Window<'a, B: Backend> {
    model: &'a GptModel<B>,
    tokens: Vec<u32>,
    /// Tokens of the text that the model no longer sees.
    passed: usize,
    cache: Option<KvCache<B>>,
}

impl<'a, B: Backend> Window<'a, B> {
    /// A window on `prompt`, with a cache or without.
    ///
    /// # Errors
    ///
    /// [`Error::EmptyPrompt`], or [`Error::UnknownToken`] for a prompt that the model cannot read.
    pub(crate) fn open(model: &'a GptModel<B>, prompt: &[u32], kv_cache: bool) -> Result<Self> {
        check_tokens(model, prompt)?;
        if prompt.is_empty() {
            return Err(Error::EmptyPrompt);
        }
        let cache = kv_cache.then(|| KvCache::new(model.config(), 1, &model.device()));
        let mut window = Self { model, tokens: prompt.to_vec(), passed: 0, cache };
        window.shorten();
        Ok(window)
    }

    /// Logits of the next token.
    ///
    /// # Errors
    ///
    /// [`Error::NotFinite`].
    pub(crate) fn logits(&mut self) -> Result<Vec<f32>> {
        let logits = match &mut self.cache {
            Some(cache) => self.model.forward_cached(upload(self.model, &self.tokens[cache.len()..]), cache),
            None => {
                let logits = self.model.forward(upload(self.model, &self.tokens)); // [1, tokens, vocab]
                let [_, length, vocab] = logits.dims();
                logits.narrow(1, length - 1, 1).reshape([1, vocab])
            }
        };
        let logits: Vec<f32> = logits.into_data().convert::<f32>().into_vec().expect("converted to f32");
        self.check(&logits)?;
        Ok(logits)
    }

    fn check(&self, logits: &[f32]) -> Result<()> {
        check_finite(logits, logits.len(), self.passed + self.tokens.len() - 1)
    }

    /// Appends a token.
    pub(crate) fn push(&mut self, token: u32) {
        self.tokens.push(token);
        self.shorten();
    }

    /// Makes room when the context is full.
    fn shorten(&mut self) {
        let context_length = self.model.config().context_length;
        if self.tokens.len() > context_length {
            // Half at a time: the cache must be built again, and doing so for every token would make it
            // useless.
            let kept = context_length.div_ceil(2);
            let dropped = self.tokens.len() - kept;
            self.tokens.drain(..dropped);
            self.passed += dropped;
            if let Some(cache) = &mut self.cache {
                cache.truncate(0);
            }
        }
    }
}

/// Logits of the next token of each window. Windows that lack just their last token share one forward pass.
///
/// # Errors
///
/// [`Error::NotFinite`] of the first window that has such logits.
pub(crate) fn batched_logits<B: Backend>(
    model: &GptModel<B>,
    mut windows: Vec<&mut Window<'_, B>>,
) -> Result<Vec<Vec<f32>>> {
    if let [window] = &mut windows[..] {
        return Ok(vec![window.logits()?]);
    }
    let mut logits = vec![Vec::new(); windows.len()];
    let mut together = Vec::new();
    for (row, window) in windows.into_iter().enumerate() {
        match window.cache.take_if(|cache| cache.len() + 1 == window.tokens.len()) {
            Some(cache) => together.push((row, window, cache)),
            None => logits[row] = window.logits()?,
        }
    }
    if together.is_empty() {
        return Ok(logits);
    }
    let last: Vec<u32> =
        together.iter().map(|(_, window, _)| window.tokens[window.tokens.len() - 1]).collect();
    let last = token_tensor(last, [together.len(), 1], &model.device());
    let (rows, caches): (Vec<_>, Vec<_>) =
        together.into_iter().map(|(row, window, cache)| ((row, window), cache)).unzip();
    let mut cache = KvCache::stack(caches);
    let output = model.forward_cached(last, &mut cache);
    let [_, vocab] = output.dims();
    let values: Vec<f32> = output.into_data().iter::<f32>().collect();
    for (((row, window), cache), values) in rows.into_iter().zip(cache.unstack()).zip(values.chunks(vocab)) {
        window.cache = Some(cache);
        window.check(values)?;
        logits[row] = values.to_vec();
    }
    Ok(logits)
}
