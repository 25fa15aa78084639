//! Causal multi-head self-attention: every position looks back and gathers what it needs.

use burn::module::Module;
use burn::tensor::Tensor;

use crate::kv_cache::LayerCache;
use crate::linear::Initializer;
use crate::{Backend, GptConfig, Linear, backend};

/// `softmax(Q Kᵀ · scale + causal mask) V` for `n_heads` heads side by side, between two linear maps
/// (<https://arxiv.org/abs/1706.03762>, §3.2).
///
/// One matrix, `c_attn`, makes queries, keys and values together; `c_proj` mixes the heads' results.
#[derive(Module, Debug)]
pub struct Attention<B: Backend> {
    /// `d_model → 3 · d_model`: queries, keys, values.
    pub c_attn: Linear<B>,
    /// `d_model → d_model`, back onto the residual stream.
    pub c_proj: Linear<B>,
    dropout: f64,
    n_heads: usize,
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
        let d_model = config.d_model;
        let head_scale = if config.scale_attention { (config.head_dim() as f64).powf(-0.5) } else { 1.0 };
        let layer_scale = if config.scale_attention_by_layer { 1.0 / (layer + 1) as f64 } else { 1.0 };
        let residual_scale = (2.0 * config.n_layers as f64).powf(-0.5);
        Self {
            c_attn: Linear::new([d_model, 3 * d_model], config.bias, 1.0, initializer, device),
            c_proj: Linear::new([d_model, d_model], config.bias, residual_scale, initializer, device),
            dropout: config.dropout,
            n_heads: config.n_heads,
            scale: head_scale * layer_scale,
        }
    }

    pub(crate) fn set_dropout(&mut self, dropout: f64) {
        self.dropout = dropout;
    }

    /// Attends within the sequence, each position to itself and those before it.
    ///
    /// # Shapes
    ///
    /// - input: `[batch, seq, d_model]`
    /// - output: `[batch, seq, d_model]`
    pub fn forward(&self, input: Tensor<B, 3>) -> Tensor<B, 3> {
        let qkv = self.c_attn.forward(input); // [batch, seq, 3 * d_model]
        let dropout = if B::ad_enabled(&qkv.device()) { self.dropout } else { 0.0 };
        let heads = backend::causal_attention(qkv, self.n_heads, self.scale, dropout); // [batch, seq, d_model]
        backend::dropout(self.c_proj.forward(heads), self.dropout)
    }

    /// Attends to the cached positions and the new ones, and adds the new ones to the cache.
    ///
    /// # Shapes
    ///
    /// - input: `[batch, new, d_model]`
    /// - output: `[batch, new, d_model]`
    pub fn forward_cached(&self, input: Tensor<B, 3>, cache: &mut LayerCache<B>) -> Tensor<B, 3> {
        let [batch, new, d_model] = input.dims();
        let head_dim = d_model / self.n_heads;
        let qkv =
            self.c_attn.forward(input).reshape([batch, new, 3 * self.n_heads, head_dim]).swap_dims(1, 2);
        let [query, key, value] = [0, 1, 2].map(|part| {
            qkv.clone().narrow(1, part * self.n_heads, self.n_heads) // [batch, n_heads, new, head_dim]
        });
        let sequences = cache.append(key, value).into_iter().enumerate();
        let heads = sequences.map(|(row, (keys, values, filled))| {
            backend::cached_attention(query.clone().narrow(0, row, 1), keys, values, filled, self.scale)
        });
        let heads = Tensor::cat(heads.collect(), 0); // [batch, n_heads, new, head_dim]
        let heads = heads.swap_dims(1, 2).reshape([batch, new, d_model]);
        self.c_proj.forward(heads)
    }
}
