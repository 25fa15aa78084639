//! The whole model: tokens in, a score for every possible next token out.

use burn::module::Module;
use burn::tensor::{Int, Tensor, TensorData};

use crate::linear::Initializer;
use crate::{Backend, Block, Embedding, GptConfig, KvCache, LayerNorm, backend};

/// A GPT-2 style language model (<https://cdn.openai.com/better-language-models/language_models_are_unsupervised_multitask_learners.pdf>).
///
/// Fields are named as in GPT-2's checkpoints, so a parameter's path is its name in the file.
#[derive(Module, Debug)]
pub struct GptModel<B: Backend> {
    /// Token embedding, `[vocab, d_model]`; also the head that scores tokens, unless `lm_head` is set.
    pub wte: Embedding<B>,
    /// Position embedding, `[context_length, d_model]`.
    pub wpe: Embedding<B>,
    /// The stack of blocks.
    pub h: Vec<Block<B>>,
    /// Normalises the stream before the head reads it.
    pub ln_f: LayerNorm<B>,
    /// A head of its own, `[vocab, d_model]`; `None` when it is tied to `wte`.
    pub lm_head: Option<Embedding<B>>,
    #[module(skip)]
    config: GptConfig,
}

impl<B: Backend> GptModel<B> {
    /// A model with GPT-2's initial weights.
    pub(crate) fn new(config: &GptConfig, seed: u64, device: &B::Device) -> Self {
        Self::build(config, &mut Initializer::normal(seed, config.init_std), device)
    }

    /// A model whose matrices are still to be filled.
    pub(crate) fn uninitialised(config: &GptConfig, device: &B::Device) -> Self {
        Self::build(config, &mut Initializer::Absent, device)
    }

    fn build(config: &GptConfig, initializer: &mut Initializer, device: &B::Device) -> Self {
        let vocabulary = |initializer: &mut Initializer| {
            Embedding::new(config.vocab_size, config.d_model, initializer, device)
        };
        Self {
            wte: vocabulary(initializer),
            wpe: Embedding::new(config.context_length, config.d_model, initializer, device),
            h: (0..config.n_layers).map(|layer| Block::new(config, layer, initializer, device)).collect(),
            ln_f: LayerNorm::new(config.d_model, config.bias, config.layer_norm_epsilon, device),
            lm_head: (!config.tied_head).then(|| vocabulary(initializer)),
            config: config.clone(),
        }
    }

    /// The configuration the model was made from.
    pub fn config(&self) -> &GptConfig {
        &self.config
    }

    /// The same model with another dropout probability, for training on.
    pub fn with_dropout(mut self, dropout: f64) -> Self {
        self.config.dropout = dropout;
        for block in &mut self.h {
            block.attn.set_dropout(dropout);
            block.mlp.set_dropout(dropout);
        }
        self
    }

    /// The same model for shorter sequences: the embeddings of later positions are dropped.
    ///
    /// # Panics
    ///
    /// If `context_length` is 0 or longer than the model's.
    pub fn with_context_length(mut self, context_length: usize) -> Self {
        let longest = self.config.context_length;
        assert!((1..=longest).contains(&context_length), "a context of {context_length} out of {longest}");
        if context_length < longest {
            // Detached, or the gradient would stop at the longer table, which is no parameter any more.
            self.wpe.weight =
                self.wpe.weight.map(|weight| weight.narrow(0, 0, context_length).detach().require_grad());
            self.config.context_length = context_length;
        }
        self
    }

    /// Scores every token of the vocabulary as the successor of each position.
    ///
    /// # Shapes
    ///
    /// - tokens: `[batch, seq]`
    /// - output: logits, `[batch, seq, vocab]`
    ///
    /// # Panics
    ///
    /// If `seq` exceeds the context length.
    pub fn forward(&self, tokens: Tensor<B, 2, Int>) -> Tensor<B, 3> {
        backend::head(self.hidden(tokens), self.head())
    }

    /// Mean cross-entropy, in nats, of predicting `targets[b, t]` from `tokens[b, ..=t]`.
    ///
    /// The logits are never held as a whole: head and loss are one operation.
    ///
    /// # Shapes
    ///
    /// - tokens, targets: `[batch, seq]`
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// If `seq` exceeds the context length.
    pub fn loss(&self, tokens: Tensor<B, 2, Int>, targets: Tensor<B, 2, Int>) -> Tensor<B, 1> {
        backend::head_cross_entropy(self.hidden(tokens), self.head(), targets)
    }

    /// Logits of the position after the last of `tokens`, which follow those already in the cache; sequences may
    /// differ in how many those are.
    ///
    /// # Shapes
    ///
    /// - tokens: `[batch, new]`
    /// - output: `[batch, vocab]`
    ///
    /// # Panics
    ///
    /// If the cache has no room for `new` more positions, or is one of another number of sequences.
    pub fn forward_cached(&self, tokens: Tensor<B, 2, Int>, cache: &mut KvCache<B>) -> Tensor<B, 2> {
        let [batch, new] = tokens.dims();
        let (start, capacity) = (cache.len(), cache.capacity());
        assert!(
            start + new <= capacity,
            "{start} cached and {new} new positions exceed the context of {capacity}"
        );

        let lengths = cache.lengths();
        assert_eq!(lengths.len(), batch, "the cache must have one sequence for each of the batch");
        let mut stream = self.embed(tokens, &lengths);
        for (block, layer) in self.h.iter().zip(&mut cache.layers) {
            stream = block.forward_cached(stream, layer);
        }
        let last = stream.narrow(1, new - 1, 1); // [batch, 1, d_model]
        let logits = backend::head(self.ln_f.forward(last), self.head()); // [batch, 1, vocab]
        logits.reshape([batch, self.config.vocab_size])
    }

    /// The residual stream after the last block, normalised: what the head reads.
    ///
    /// # Shapes
    ///
    /// - tokens: `[batch, seq]`
    /// - output: `[batch, seq, d_model]`
    pub fn hidden(&self, tokens: Tensor<B, 2, Int>) -> Tensor<B, 3> {
        let [_, seq] = tokens.dims();
        let context = self.config.context_length;
        assert!(seq <= context, "a sequence of {seq} tokens exceeds the context of {context}");

        let mut stream = backend::dropout(self.embed(tokens, &[0]), self.config.dropout);
        for block in &self.h {
            stream = block.forward(stream);
        }
        self.ln_f.forward(stream)
    }

    /// Token plus position embedding, positions counted from `starts`, one for each sequence or one for all:
    /// `[batch, seq] → [batch, seq, d_model]`.
    fn embed(&self, tokens: Tensor<B, 2, Int>, starts: &[usize]) -> Tensor<B, 3> {
        let [_, seq] = tokens.dims();
        let positions: Vec<i64> =
            starts.iter().flat_map(|start| (*start..start + seq).map(|position| position as i64)).collect();
        let positions = TensorData::new(positions, [starts.len(), seq]);
        self.wte.forward(tokens.clone()) + self.wpe.forward(Tensor::from_data(positions, &tokens.device()))
    }

    /// The matrix that scores tokens, `[vocab, d_model]`.
    fn head(&self) -> Tensor<B, 2> {
        self.lm_head.as_ref().unwrap_or(&self.wte).weight.val()
    }
}
