//! Causal multi-head self-attention: every position looks back and gathers what it needs.

use burn::module::Module;
use burn::tensor::{Bool, Int, Tensor, TensorData};

use crate::kv_cache::{LayerCache, padded};
use crate::linear::Initializer;
use crate::{Backend, GptConfig, Heads, Linear, Norm, NormSite, Place, Site, Tap, Watch, backend};

/// `softmax(Q Kᵀ · scale + causal mask) V` for `n_heads` heads side by side, between two linear maps
/// (<https://arxiv.org/abs/1706.03762>, §3.2).
///
/// One matrix, `c_attn`, makes queries, keys and values together; `c_proj` mixes the heads' results. Where there are fewer heads
/// of keys and values than of queries, neighbouring query heads share one.
#[derive(Module, Debug)]
pub struct Attention<B: Backend> {
    /// `d_model → (n_heads + 2 · n_kv_heads) · head_dim`: queries, keys, values.
    pub c_attn: Linear<B>,
    /// `n_heads · head_dim → d_model`, back onto the residual stream.
    pub c_proj: Linear<B>,
    /// Normalises the queries of each head, `[head_dim]`.
    pub q_norm: Option<Norm<B>>,
    /// Normalises the keys of each head, `[head_dim]`.
    pub k_norm: Option<Norm<B>>,
    dropout: f64,
    #[module(skip)]
    heads: Heads,
    scale: f64,
}

impl<B: Backend> Attention<B> {
    /// The attention of block number `layer`, counted from zero.
    pub(crate) fn new(
        config: &GptConfig,
        layer: usize,
        initializer: &mut Initializer,
        device: &B::Device,
    ) -> Self {
        let (d_model, heads) = (config.d_model, config.heads());
        let head_scale = if config.scale_attention { (heads.head_dim as f64).powf(-0.5) } else { 1.0 };
        let layer_scale = if config.scale_attention_by_layer { 1.0 / (layer + 1) as f64 } else { 1.0 };
        let head_norm = || config.qk_norm.then(|| Norm::rms(heads.head_dim, config.norm_epsilon, device));
        Self {
            c_attn: Linear::new([d_model, heads.qkv_width()], config.bias.qkv, 1.0, initializer, device),
            c_proj: Linear::new(
                [heads.width(), d_model],
                config.bias.attention_out,
                config.residual_init_scale(),
                initializer,
                device,
            ),
            q_norm: head_norm(),
            k_norm: head_norm(),
            dropout: config.dropout,
            heads,
            scale: head_scale * layer_scale,
        }
    }

    pub(crate) fn set_dropout(&mut self, dropout: f64) {
        self.dropout = dropout;
    }

    /// Attends to the positions of the same sequence: to its own and those before it. Where positions are rotary, queries and
    /// keys turn with their place. With a cache, `input` holds the positions that follow the cached ones, and is added to the
    /// cache. `layer` says which block this is to the tap.
    ///
    /// # Shapes
    ///
    /// - input: `[batch, seq, d_model]`
    /// - output: `[batch, seq, d_model]`
    pub fn forward(
        &self,
        input: Tensor<B, 3>,
        layer: usize,
        place: &Place<B>,
        cache: Option<&mut LayerCache<B>>,
        tap: &mut impl Tap<B>,
    ) -> Tensor<B, 3> {
        let qkv = self.c_attn.forward(input); // [batch, seq, (n_heads + 2 * n_kv_heads) * head_dim]
        let mixed = if tap.watches() == Watch::Everything {
            self.formula(qkv, layer, place, cache, tap)
        } else {
            let mut qkv = self.normalised(qkv);
            if let Some(angles) = place.angles() {
                qkv = angles.turn_joint(qkv, self.heads);
            }
            self.fused(qkv, place, cache)
        }; // [batch, seq, n_heads * head_dim]
        backend::dropout(self.c_proj.forward(mixed), self.dropout)
    }

    /// Scores, mask, softmax and mix as one operation.
    fn fused(&self, qkv: Tensor<B, 3>, place: &Place<B>, cache: Option<&mut LayerCache<B>>) -> Tensor<B, 3> {
        let Some(cache) = cache else {
            let dropout = if B::ad_enabled(&qkv.device()) { self.dropout } else { 0.0 };
            return match place.lengths() {
                Some(lengths) => backend::segment_attention(qkv, self.heads, self.scale, dropout, lengths),
                None => backend::attention(qkv, self.heads, self.scale, dropout),
            };
        };
        let [query, key, value] = self.split_heads(qkv); // [batch, n_heads or n_kv_heads, seq, head_dim] each
        join_heads(backend::cached_attention(query, cache.append(key, value), self.scale))
    }

    /// Each head's queries and keys, normalised where the model does that: the shape of `qkv`.
    fn normalised(&self, qkv: Tensor<B, 3>) -> Tensor<B, 3> {
        let (Some(q_norm), Some(k_norm)) = (&self.q_norm, &self.k_norm) else { return qkv };
        let Heads { n_heads, n_kv_heads, head_dim } = self.heads;
        let [batch, seq, width] = qkv.dims();
        let heads = qkv.reshape([batch, seq, n_heads + 2 * n_kv_heads, head_dim]);
        let part = |first, count| heads.clone().narrow(2, first, count); // [batch, seq, count, head_dim]
        let query = q_norm.fused(part(0, n_heads));
        let key = k_norm.fused(part(n_heads, n_kv_heads));
        let value = part(n_heads + n_kv_heads, n_kv_heads);
        Tensor::cat(vec![query, key, value], 2).reshape([batch, seq, width])
    }

    /// Step by step what [`forward`](Self::forward) computes in one operation.
    fn formula(
        &self,
        qkv: Tensor<B, 3>,
        layer: usize,
        place: &Place<B>,
        cache: Option<&mut LayerCache<B>>,
        tap: &mut impl Tap<B>,
    ) -> Tensor<B, 3> {
        let [query, key, value] = self.split_heads(qkv);
        let query = tap.at(Site::Query(layer), query); // [batch, n_heads, new, head_dim]
        let key = tap.at(Site::Key(layer), key); // [batch, n_kv_heads, new, head_dim]
        let value = tap.at(Site::Value(layer), value); // [batch, n_kv_heads, new, head_dim]
        let [_, _, new, _] = query.dims();

        // Where the model does so, each head is normalised, and turned by its position.
        let mut turned = |heads: Tensor<B, 4>, norm: &Option<Norm<B>>, site| {
            let heads = match norm {
                Some(norm) => norm.formula(heads, site, tap),
                None => heads,
            };
            match place.angles() {
                Some(angles) => angles.turn(heads),
                None => heads,
            }
        };
        let query = turned(query, &self.q_norm, NormSite::Query(layer)); // [batch, n_heads, new, head_dim]
        let key = turned(key, &self.k_norm, NormSite::Key(layer)); // [batch, n_kv_heads, new, head_dim]
        let (keys, values, lengths) = match cache {
            Some(cache) => padded(cache.append(key, value)),
            None => (key, value, vec![new]),
        }; // [batch, n_kv_heads, seq, head_dim]
        // Neighbouring heads of queries share keys and values.
        let [keys, values] = [keys, values].map(|heads| shared(heads, self.heads.group())); // [batch, n_heads, seq, head_dim]

        // How well each query matches each key.
        let scores = backend::matmul(query, keys.swap_dims(2, 3)) * self.scale; // [batch, n_heads, new, seq]
        // A query sees no key that comes after it.
        let scores = scores.clone().mask_fill(future(&lengths, scores), backend::MASKED); // [batch, n_heads, new, seq]
        let scores = match place.lengths() {
            // Nor one of another sequence.
            Some(lengths) => scores.clone().mask_fill(apart(lengths, scores), backend::MASKED),
            None => scores,
        }; // [batch, n_heads, new, seq]
        let scores = tap.at(Site::AttnScores(layer), scores);
        // Scores become weights that sum to 1.
        let pattern = tap.at(Site::Pattern(layer), softmax(scores)); // [batch, n_heads, new, seq]
        let pattern = backend::dropout(pattern, self.dropout);
        // Each query gathers the values, weighted.
        let mixed = tap.at(Site::Mixed(layer), backend::matmul(pattern, values)); // [batch, n_heads, new, head_dim]
        join_heads(mixed) // [batch, new, d_model]
    }

    /// The joint projection to queries, `[batch, n_heads, seq, head_dim]`, and keys and values, each
    /// `[batch, n_kv_heads, seq, head_dim]`.
    fn split_heads(&self, qkv: Tensor<B, 3>) -> [Tensor<B, 4>; 3] {
        let Heads { n_heads, n_kv_heads, head_dim } = self.heads;
        let [batch, seq, _] = qkv.dims();
        let heads = qkv.reshape([batch, seq, n_heads + 2 * n_kv_heads, head_dim]).swap_dims(1, 2);
        let parts = [(0, n_heads), (n_heads, n_kv_heads), (n_heads + n_kv_heads, n_kv_heads)];
        parts.map(|(first, count)| heads.clone().narrow(1, first, count))
    }
}

/// Each head as often as heads of queries share it, one behind the other.
fn shared<B: Backend>(heads: Tensor<B, 4>, group: usize) -> Tensor<B, 4> {
    let [batch, n_kv_heads, seq, head_dim] = heads.dims();
    let repeated = heads.unsqueeze_dim::<5>(2).expand([batch, n_kv_heads, group, seq, head_dim]);
    repeated.reshape([batch, n_kv_heads * group, seq, head_dim])
}

/// `[batch, n_heads, seq, head_dim] → [batch, seq, n_heads * head_dim]`.
fn join_heads<B: Backend>(heads: Tensor<B, 4>) -> Tensor<B, 3> {
    let [batch, n_heads, seq, head_dim] = heads.dims();
    heads.swap_dims(1, 2).reshape([batch, seq, n_heads * head_dim])
}

/// `e^score / Σ e^score` over the keys of each query: `[batch, n_heads, new, seq]`, positive, and each row sums to 1.
fn softmax<B: Backend>(scores: Tensor<B, 4>) -> Tensor<B, 4> {
    // The same numbers for any shift of a row; this one keeps `exp` from overflowing.
    let largest = scores.clone().detach().max_dim(3); // [batch, n_heads, new, 1]
    let exponentials = (scores - largest).exp(); // [batch, n_heads, new, seq]
    let sum = exponentials.clone().sum_dim(3); // [batch, n_heads, new, 1]
    backend::divide(exponentials, sum)
}

/// The causal mask of `scores`, `[batch or 1, 1, new, seq]`: true where a key comes after the query. The queries are the
/// last positions of sequences of these lengths.
fn future<B: Backend>(lengths: &[usize], scores: Tensor<B, 4>) -> Tensor<B, 4, Bool> {
    let ([_, _, new, seq], device) = (scores.dims(), scores.device());
    let shape = [lengths.len(), 1, new, seq];
    let positions = lengths.iter().flat_map(|length| (length - new..*length).map(|position| position as i64));
    let queries = TensorData::new(positions.collect(), [lengths.len(), 1, new, 1]);
    let queries = Tensor::<B, 4, Int>::from_data(queries, &device).expand(shape);
    let keys = Tensor::<B, 1, Int>::arange(0..seq as i64, &device).reshape([1, 1, 1, seq]).expand(shape);
    keys.greater(queries)
}

/// True where query and key are of different sequences, which lie one behind the other: `[1, 1, seq, seq]`.
fn apart<B: Backend>(lengths: &[usize], scores: Tensor<B, 4>) -> Tensor<B, 4, Bool> {
    let sequences = lengths.iter().enumerate();
    let of_each: Vec<i64> =
        sequences.flat_map(|(number, length)| std::iter::repeat_n(number as i64, *length)).collect();
    let seq = of_each.len();
    let queries = Tensor::<B, 4, Int>::from_data(TensorData::new(of_each, [1, 1, seq, 1]), &scores.device());
    let keys = queries.clone().swap_dims(2, 3);
    queries.expand([1, 1, seq, seq]).not_equal(keys.expand([1, 1, seq, seq]))
}
