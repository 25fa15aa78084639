//! The whole model: tokens in, a score for every possible next token out.

use burn::module::Module;
use burn::tensor::{Element, Int, Tensor, TensorData};

use crate::linear::Initializer;
use crate::loss::cross_entropy;
use crate::rotary::Angles;
use crate::{
    Backend, Block, ComputePrecision, Embedding, GptConfig, KvCache, NoTap, Norm, NormSite, Positions, Site,
    Tap, Watch, backend,
};

/// A GPT-2 style language model (<https://cdn.openai.com/better-language-models/language_models_are_unsupervised_multitask_learners.pdf>).
///
/// Fields are named as in GPT-2's checkpoints, so a parameter's path is its name in the file.
#[derive(Module, Debug)]
pub struct GptModel<B: Backend> {
    /// Token embedding, `[vocab, d_model]`; also the head that scores tokens, unless `lm_head` is set.
    pub wte: Embedding<B>,
    /// Position embedding, `[context_length, d_model]`, where positions are learned.
    pub wpe: Option<Embedding<B>>,
    /// The stack of blocks.
    pub h: Vec<Block<B>>,
    /// Normalises the stream before the head reads it.
    pub ln_f: Norm<B>,
    /// A head of its own, `[vocab, d_model]`; `None` when it is tied to `wte`.
    pub lm_head: Option<Embedding<B>>,
    // Checkpoints know the field by this name.
    #[module(skip)]
    config: Description,
}

/// What a model was made from, and how it computes while it learns.
#[derive(Clone, Debug)]
struct Description {
    config: GptConfig,
    precision: ComputePrecision,
}

/// Where the tokens of a pass stand in their sequences.
struct Place<B: Backend> {
    /// Position of the first, one for each sequence or one for all.
    starts: Vec<usize>,
    /// By how much their queries and keys turn, where positions are rotary.
    angles: Option<Angles<B>>,
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
        let GptConfig { vocab_size, context_length, d_model, .. } = *config;
        let mut table = |rows, scale| Embedding::new([rows, d_model], scale, initializer, device);
        let wte = table(vocab_size, 1.0);
        let learned = config.positions == Positions::Learned;
        let wpe = learned.then(|| table(context_length, 1.0));
        let head_scale = if config.zero_init { 0.0 } else { 1.0 };
        Self {
            wte,
            wpe,
            h: (0..config.n_layers).map(|layer| Block::new(config, layer, initializer, device)).collect(),
            ln_f: Norm::new(config, device),
            lm_head: (!config.tied_head)
                .then(|| Embedding::new([vocab_size, d_model], head_scale, initializer, device)),
            config: Description { config: config.clone(), precision: ComputePrecision::default() },
        }
    }

    /// The configuration the model was made from.
    pub fn config(&self) -> &GptConfig {
        &self.config.config
    }

    pub(crate) fn set_compute_precision(&mut self, precision: ComputePrecision) {
        self.config.precision = precision;
    }

    /// Where its parameters are.
    pub fn device(&self) -> B::Device {
        self.wte.weight.device()
    }

    /// The same model with another dropout probability, for training on.
    pub fn with_dropout(mut self, dropout: f64) -> Self {
        self.config.config.dropout = dropout;
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
        let longest = self.config().context_length;
        assert!((1..=longest).contains(&context_length), "a context of {context_length} out of {longest}");
        if let Some(wpe) = self.wpe.take_if(|_| context_length < longest) {
            // Detached, or the gradient would stop at the longer table, which is no parameter any more.
            let weight = wpe.weight.map(|weight| weight.narrow(0, 0, context_length).detach().require_grad());
            self.wpe = Some(Embedding { weight });
        }
        self.config.config.context_length = context_length;
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
        self.forward_tapped(tokens, None, &mut NoTap)
    }

    /// [`forward`](Self::forward) with a tap, and from a cache if there is one: `tokens` then follow those in it.
    ///
    /// # Shapes
    ///
    /// - tokens: `[batch, seq]`
    /// - output: logits, `[batch, seq, vocab]`
    ///
    /// # Panics
    ///
    /// If the positions exceed the context length, or the cache is one of another number of sequences.
    pub fn forward_tapped(
        &self,
        tokens: Tensor<B, 2, Int>,
        cache: Option<&mut KvCache<B>>,
        tap: &mut impl Tap<B>,
    ) -> Tensor<B, 3> {
        let stream = self.stream(tokens, cache, tap);
        self.logits(stream, tap)
    }

    /// Mean cross-entropy, in nats, of predicting `targets[b, t]` from `tokens[b, ..=t]`. Negative targets are ignored.
    ///
    /// The logits are never held as a whole: head and loss are one operation. Computed in the precision of
    /// [`with_compute_precision`](Self::with_compute_precision).
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
        self.loss_tapped(tokens, targets, &mut NoTap)
    }

    /// [`loss`](Self::loss) with a tap. For one that watches everything, it is computed in the parameters' own type.
    ///
    /// # Shapes
    ///
    /// - tokens, targets: `[batch, seq]`
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// If `seq` exceeds the context length.
    pub fn loss_tapped(
        &self,
        tokens: Tensor<B, 2, Int>,
        targets: Tensor<B, 2, Int>,
        tap: &mut impl Tap<B>,
    ) -> Tensor<B, 1> {
        if tap.watches() == Watch::Everything {
            let stream = self.stream(tokens, None, tap); // [batch, seq, d_model]
            return cross_entropy(self.logits(stream, tap), targets);
        }
        let place = self.place(&tokens, None);
        let mut embedded = self.embed(tokens, &place, tap); // [batch, seq, d_model]
        if let Some(dtype) = self.config.precision.stream() {
            embedded = embedded.cast(dtype);
        }
        let stream = self.blocks(embedded, &place, None, tap); // [batch, seq, d_model]
        let hidden = self.ln_f.forward(stream, NormSite::Final, tap); // [batch, seq, d_model]
        backend::head_cross_entropy(hidden, self.head(), targets)
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
        let stream = self.stream(tokens, Some(cache), &mut NoTap); // [batch, new, d_model]
        let last = stream.narrow(1, new - 1, 1); // [batch, 1, d_model]
        self.logits(last, &mut NoTap).reshape([batch, self.config().vocab_size])
    }

    /// The residual stream after the last block, normalised: what the head reads.
    ///
    /// # Shapes
    ///
    /// - tokens: `[batch, seq]`
    /// - output: `[batch, seq, d_model]`
    ///
    /// # Panics
    ///
    /// If `seq` exceeds the context length.
    pub fn hidden(&self, tokens: Tensor<B, 2, Int>) -> Tensor<B, 3> {
        self.ln_f.forward(self.stream(tokens, None, &mut NoTap), NormSite::Final, &mut NoTap)
    }

    /// The residual stream: embeddings go in, each block reads it and adds to it.
    ///
    /// # Shapes
    ///
    /// - tokens: `[batch, seq]`
    /// - output: the stream after the last block, `[batch, seq, d_model]`
    ///
    /// # Panics
    ///
    /// If the positions exceed the context length, or the cache is one of another number of sequences.
    pub fn stream(
        &self,
        tokens: Tensor<B, 2, Int>,
        cache: Option<&mut KvCache<B>>,
        tap: &mut impl Tap<B>,
    ) -> Tensor<B, 3> {
        let place = self.place(&tokens, cache.as_deref());
        let embedded = self.embed(tokens, &place, tap); // [batch, seq, d_model]
        self.blocks(embedded, &place, cache, tap)
    }

    /// The blocks on what they read first: `[batch, seq, d_model] → [batch, seq, d_model]`.
    fn blocks(
        &self,
        embedded: Tensor<B, 3>,
        place: &Place<B>,
        mut cache: Option<&mut KvCache<B>>,
        tap: &mut impl Tap<B>,
    ) -> Tensor<B, 3> {
        let mut stream = backend::dropout(embedded, self.config().dropout);
        for (layer, block) in self.h.iter().enumerate() {
            let cache = cache.as_mut().map(|cache| &mut cache.layers[layer]);
            stream = block.forward(stream, layer, place.angles.as_ref(), cache, tap); // [batch, seq, d_model]
        }
        stream
    }

    /// What the head makes of the residual stream.
    ///
    /// # Shapes
    ///
    /// - stream: `[batch, seq, d_model]`
    /// - output: logits, `[batch, seq, vocab]`
    pub fn logits(&self, stream: Tensor<B, 3>, tap: &mut impl Tap<B>) -> Tensor<B, 3> {
        backend::head(self.ln_f.forward(stream, NormSite::Final, tap), self.head())
    }

    /// Where `tokens` stand in their sequences.
    fn place(&self, tokens: &Tensor<B, 2, Int>, cache: Option<&KvCache<B>>) -> Place<B> {
        let ([_, seq], device) = (tokens.dims(), tokens.device());
        let starts = self.starts(tokens.dims(), cache);
        let angles = match &self.config().positions {
            Positions::Learned => None,
            Positions::Rotary(rotary) => {
                Some(Angles::new(rotary, self.config().head_dim(), &starts, seq, &device))
            }
        };
        Place { starts, angles }
    }

    /// The position of the first of `tokens` in each sequence; one number where it is the same in all.
    fn starts(&self, [batch, seq]: [usize; 2], cache: Option<&KvCache<B>>) -> Vec<usize> {
        let context = self.config().context_length;
        let Some(cache) = cache else {
            assert!(seq <= context, "a sequence of {seq} tokens exceeds the context of {context}");
            return vec![0];
        };
        let start = cache.len();
        assert!(
            start + seq <= cache.capacity(),
            "{start} cached and {seq} new positions exceed the context of {}",
            cache.capacity()
        );
        let lengths = cache.lengths();
        assert_eq!(lengths.len(), batch, "the cache must have one sequence for each of the batch");
        lengths
    }

    /// Token embedding, plus that of the position where positions are learned: `[batch, seq] → [batch, seq, d_model]`.
    fn embed(&self, tokens: Tensor<B, 2, Int>, place: &Place<B>, tap: &mut impl Tap<B>) -> Tensor<B, 3> {
        let ([_, seq], device) = (tokens.dims(), tokens.device());
        let tokens = tap.at(Site::Embed, self.wte.forward(tokens)); // [batch, seq, d_model]
        let Some(wpe) = &self.wpe else { return tokens };
        let starts = &place.starts;
        let positions =
            starts.iter().flat_map(|start| (*start..start + seq).map(|position| position as i64)).collect();
        let positions = token_tensor(positions, [starts.len(), seq], &device); // [batch or 1, seq]
        let positions = tap.at(Site::PosEmbed, wpe.forward(positions)); // [batch or 1, seq, d_model]
        tokens + positions
    }

    /// The matrix that scores tokens, `[vocab, d_model]`.
    fn head(&self) -> Tensor<B, 2> {
        self.lm_head.as_ref().unwrap_or(&self.wte).weight.val()
    }
}

/// Token ids as the model takes them: row by row, on `device`.
///
/// # Shapes
///
/// - ids: `batch * seq` of them
/// - output: `[batch, seq]`
///
/// # Panics
///
/// If there are not as many ids as the shape has room for.
pub fn token_tensor<B: Backend, E: Element>(
    ids: Vec<E>,
    shape: [usize; 2],
    device: &B::Device,
) -> Tensor<B, 2, Int> {
    Tensor::from_data(TensorData::new(ids, shape), device)
}
