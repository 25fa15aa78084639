//! The forward pass of the whole model: tokens in, a score for every possible next token out.

use burn::tensor::{Int, Tensor};

use crate::loss::cross_entropy;
use crate::norm::unweighted_rms_norm;
use crate::{Backend, GptModel, KvCache, NoTap, NormSite, Place, Site, Tap, Watch, backend};

impl<B: Backend> GptModel<B> {
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
        let hidden = self.learning_hidden(tokens, &place, tap); // [batch, seq, d_model]
        backend::head_cross_entropy(hidden, self.head(), targets, self.config().softcap())
    }

    /// What the head reads, in the precision in which the model learns: `[batch, seq] → [batch, seq, d_model]`.
    pub(crate) fn learning_hidden(
        &self,
        tokens: Tensor<B, 2, Int>,
        place: &Place<B>,
        tap: &mut impl Tap<B>,
    ) -> Tensor<B, 3> {
        let mut embedded = self.embed(tokens, place, tap); // [batch, seq, d_model]
        if let Some(dtype) = self.compute_precision().stream() {
            embedded = embedded.cast(dtype);
        }
        let stream = self.blocks(embedded, place, None, tap); // [batch, seq, d_model]
        self.ln_f.forward(stream, NormSite::Final, tap)
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

    /// The value at a place on the residual stream. Blocks behind it are not computed.
    ///
    /// # Shapes
    ///
    /// - tokens: `[batch, seq]`
    /// - output: `[batch, seq, d_model]`
    ///
    /// # Panics
    ///
    /// If `seq` exceeds the context length, or the model has no such place [on the stream](Site::is_on_stream).
    pub fn value_at(&self, tokens: Tensor<B, 2, Int>, site: Site) -> Tensor<B, 3> {
        let mut keep = Keep { site, value: None };
        let place = self.place(&tokens, None);
        let embedded = self.embed(tokens, &place, &mut keep); // [batch, seq, d_model]
        self.first_blocks(site.layer().map_or(0, |layer| layer + 1), embedded, &place, None, &mut keep);
        keep.value.unwrap_or_else(|| panic!("{site} is not on the residual stream of this model"))
    }

    /// The blocks on what they read first: `[batch, seq, d_model] → [batch, seq, d_model]`.
    fn blocks(
        &self,
        embedded: Tensor<B, 3>,
        place: &Place<B>,
        cache: Option<&mut KvCache<B>>,
        tap: &mut impl Tap<B>,
    ) -> Tensor<B, 3> {
        self.first_blocks(self.h.len(), embedded, place, cache, tap)
    }

    /// The first so many [`blocks`](Self::blocks).
    fn first_blocks(
        &self,
        count: usize,
        embedded: Tensor<B, 3>,
        place: &Place<B>,
        mut cache: Option<&mut KvCache<B>>,
        tap: &mut impl Tap<B>,
    ) -> Tensor<B, 3> {
        let mut stream = backend::dropout(embedded, self.config().dropout);
        let start = self.scalars.as_ref().map(|scalars| (scalars, stream.clone()));
        for (layer, block) in self.h.iter().take(count).enumerate() {
            let cache = cache.as_mut().map(|cache| &mut cache.layers[layer]);
            if let Some((scalars, start)) = &start {
                stream = scalars.blend(stream, start.clone(), layer, tap); // [batch, seq, d_model]
            }
            stream = block.forward(stream, layer, place, cache, tap); // [batch, seq, d_model]
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
        let hidden = self.ln_f.forward(stream, NormSite::Final, tap); // [batch, seq, d_model]
        backend::head(hidden, self.head(), self.config().softcap())
    }

    /// Where `tokens` stand in their sequences.
    fn place(&self, tokens: &Tensor<B, 2, Int>, cache: Option<&KvCache<B>>) -> Place<B> {
        let [_, seq] = tokens.dims();
        Place::rows(self.config(), &self.starts(tokens.dims(), cache), seq, &tokens.device())
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

    /// Token embedding, normalised where the model does that, plus that of the position where positions are learned:
    /// `[batch, seq] → [batch, seq, d_model]`.
    fn embed(&self, tokens: Tensor<B, 2, Int>, place: &Place<B>, tap: &mut impl Tap<B>) -> Tensor<B, 3> {
        let device = tokens.device();
        let mut tokens = self.wte.forward(tokens); // [batch, seq, d_model]
        if self.config().embedding_norm {
            tokens = unweighted_rms_norm(tokens, self.config().norm_epsilon, NormSite::Embed, tap);
        }
        let tokens = tap.at(Site::Embed, tokens);
        let Some(wpe) = &self.wpe else { return tokens };
        let positions = place.position_ids(&device); // [batch or 1, seq]
        let positions = tap.at(Site::PosEmbed, wpe.forward(positions)); // [batch or 1, seq, d_model]
        tokens + positions
    }

    /// The matrix that scores tokens, `[vocab, d_model]`.
    pub(crate) fn head(&self) -> Tensor<B, 2> {
        self.lm_head.as_ref().unwrap_or(&self.wte).weight.val()
    }
}

/// Keeps the value of one place.
struct Keep<B: Backend> {
    site: Site,
    value: Option<Tensor<B, 3>>,
}

impl<B: Backend> Tap<B> for Keep<B> {
    fn watches(&self) -> Watch {
        Watch::Stream
    }

    fn at<const D: usize>(&mut self, site: Site, value: Tensor<B, D>) -> Tensor<B, D> {
        if site == self.site
            && let [batch, seq, d_model] = value.dims()[..]
        {
            self.value = Some(value.clone().reshape([batch, seq, d_model]));
        }
        value
    }
}
