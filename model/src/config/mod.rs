//! The shape of a GPT: every number that the architecture needs, and nothing about training it.

mod choices;
mod preset;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::{Activation, Backend, GptModel, Heads};

pub use self::choices::{Biases, FeedForwardKind, NormKind, Positions, Rotary, RotaryScaling};
pub use self::preset::PRESETS;

/// Configuration of a [`GptModel`].
///
/// Later versions may add fields. Start from [`new`](Self::new) or [`preset`](Self::preset), and code keeps
/// compiling:
///
/// ```
/// use kiln_model::GptConfig;
///
/// let config = GptConfig { vocab_size: 65, context_length: 256, ..GptConfig::new(6, 6, 384) };
/// assert!(config.validate().is_ok());
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GptConfig {
    /// Number of distinct tokens.
    pub vocab_size: usize,
    /// Longest sequence the model can attend over, in tokens.
    pub context_length: usize,
    /// Width of the residual stream, in features.
    pub d_model: usize,
    /// Number of transformer blocks.
    pub n_layers: usize,
    /// Attention heads of each block; divides `d_model`, unless `head_dim` says how wide they are.
    pub n_heads: usize,
    /// Heads of keys and values, each shared by `n_heads / n_kv_heads` heads of queries
    /// (<https://arxiv.org/abs/2305.13245>); `None` is as many as `n_heads`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_kv_heads: Option<usize>,
    /// Width of one head, in features; `None` is `d_model / n_heads`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head_dim: Option<usize>,
    /// Hidden width of the feed-forward network, in features; GPT-2 uses `4 * d_model`.
    pub d_ff: usize,
    /// Probability of dropping an activation while training, in `[0, 1)`.
    pub dropout: f64,
    /// Which linear layers and layer norms have biases; an RMS norm never has one.
    pub bias: Biases,
    /// Whether the head that predicts tokens shares the token embedding's matrix.
    pub tied_head: bool,
    /// Nonlinearity of the feed-forward network.
    pub activation: Activation,
    /// What normalises what a layer reads.
    #[serde(default)]
    pub norm: NormKind,
    /// Added to the variance, or to the mean square, in norms.
    pub norm_epsilon: f64,
    /// Whether each head's queries and keys pass an RMS norm of their own (<https://arxiv.org/abs/2302.05442>).
    #[serde(default)]
    pub qk_norm: bool,
    /// Whether each token's vector passes an RMS norm without a weight, before its position is added
    /// (<https://github.com/karpathy/nanochat>).
    #[serde(default)]
    pub embedding_norm: bool,
    /// How the model knows where a token stands.
    #[serde(default)]
    pub positions: Positions,
    /// How the feed-forward network gets to its hidden layer.
    #[serde(default)]
    pub feed_forward: FeedForwardKind,
    /// Whether each block reads a mix, which it learns, of the residual stream and the embedding
    /// ([`ResidualScalars`](crate::ResidualScalars)).
    #[serde(default)]
    pub residual_scalars: bool,
    /// What keeps the scores of tokens within `±c`: they become `c · tanh(scores / c)` (<https://arxiv.org/abs/2408.00118>, §2).
    /// 0 for nothing.
    #[serde(default)]
    pub logit_softcap: f64,
    /// Standard deviation of the initial weights; projections onto the residual stream divide it by
    /// `√(2 · n_layers)`.
    pub init_std: f64,
    /// Whether the projections onto the residual stream start at zero, and a head of its own too: a new block changes nothing
    /// (<https://github.com/KellerJordan/modded-nanogpt>, after <https://arxiv.org/abs/2203.03466>).
    #[serde(default)]
    pub zero_init: bool,
    /// Whether attention scores are divided by `√head_dim`.
    pub scale_attention: bool,
    /// Whether attention scores are also divided by the block's one-based index.
    pub scale_attention_by_layer: bool,
}

impl GptConfig {
    /// A model of the given depth and width; the rest as in GPT-2 (50,257 tokens, context 1,024, no dropout).
    pub fn new(n_layers: usize, n_heads: usize, d_model: usize) -> Self {
        Self {
            vocab_size: 50_257,
            context_length: 1024,
            d_model,
            n_layers,
            n_heads,
            d_ff: 4 * d_model,
            dropout: 0.0,
            n_kv_heads: None,
            head_dim: None,
            bias: Biases::ALL,
            tied_head: true,
            activation: Activation::GeluTanh,
            norm: NormKind::LayerNorm,
            norm_epsilon: 1e-5,
            qk_norm: false,
            embedding_norm: false,
            positions: Positions::Learned,
            feed_forward: FeedForwardKind::Plain,
            residual_scalars: false,
            logit_softcap: 0.0,
            init_std: 0.02,
            zero_init: false,
            scale_attention: true,
            scale_attention_by_layer: false,
        }
    }

    /// Width of one attention head, in features.
    pub fn head_dim(&self) -> usize {
        self.head_dim.unwrap_or(self.d_model / self.n_heads)
    }

    /// The heads of a block.
    pub fn heads(&self) -> Heads {
        let n_kv_heads = self.n_kv_heads.unwrap_or(self.n_heads);
        Heads { n_heads: self.n_heads, n_kv_heads, head_dim: self.head_dim() }
    }

    /// What the spread of the initial weights is multiplied by in projections onto the residual stream.
    pub(crate) fn residual_init_scale(&self) -> f64 {
        if self.zero_init { 0.0 } else { (2.0 * self.n_layers as f64).powf(-0.5) }
    }

    /// The softcap of the scores of tokens, if there is one.
    pub fn softcap(&self) -> Option<f64> {
        Some(self.logit_softcap).filter(|cap| *cap != 0.0)
    }

    /// Whether norms have biases.
    pub fn norm_bias(&self) -> bool {
        self.bias.norm && self.norm == NormKind::LayerNorm
    }

    /// Number of trainable numbers; a tied head is counted once.
    pub fn num_parameters(&self) -> usize {
        self.checked_num_parameters().expect("a validated configuration fits in memory")
    }

    fn checked_num_parameters(&self) -> Option<usize> {
        let matrix = |rows: usize, columns: usize, bias: bool| {
            rows.checked_mul(columns)?.checked_add(if bias { columns } else { 0 })
        };
        let Heads { n_heads, n_kv_heads, head_dim } = self.heads();
        let queries = n_heads.checked_mul(head_dim)?;
        let qkv = n_kv_heads.checked_mul(head_dim)?.checked_mul(2)?.checked_add(queries)?;
        let norm = self.d_model.checked_mul(1 + usize::from(self.norm_bias()))?;
        let expanding = matrix(self.d_model, self.d_ff, self.bias.feed_forward)?;
        let block = [
            norm,
            norm,
            matrix(self.d_model, qkv, self.bias.qkv)?,
            matrix(queries, self.d_model, self.bias.attention_out)?,
            if self.qk_norm { head_dim.checked_mul(2)? } else { 0 },
            expanding,
            if self.feed_forward == FeedForwardKind::Gated { expanding } else { 0 },
            matrix(self.d_ff, self.d_model, self.bias.feed_forward)?,
        ];
        let block = block.into_iter().try_fold(0, usize::checked_add)?;
        let scalars = if self.residual_scalars { self.n_layers.checked_mul(2)? } else { 0 };
        let vocabularies = if self.tied_head { 1 } else { 2 };
        let positions = if self.positions == Positions::Learned { self.context_length } else { 0 };
        self.vocab_size
            .checked_mul(vocabularies)?
            .checked_add(positions)?
            .checked_mul(self.d_model)?
            .checked_add(block.checked_mul(self.n_layers)?)?
            .checked_add(scalars)?
            .checked_add(norm)
    }

    /// Floating-point operations of training on one token, forward and backward: `6 N + 12 L H D T`
    /// (<https://arxiv.org/abs/2204.02311>, appendix B), where `N` counts the matrices that multiply, and `H` heads of width
    /// `D` look at `T` positions.
    pub fn flops_per_token(&self) -> f64 {
        let Self { vocab_size, context_length, d_model, n_layers, n_heads, tied_head, .. } = *self;
        let positions = if self.positions == Positions::Learned { context_length * d_model } else { 0 };
        let looked_up = positions + if tied_head { 0 } else { vocab_size * d_model };
        let multiplied = self.num_parameters() - looked_up;
        6.0 * multiplied as f64 + 12.0 * (n_layers * n_heads * self.head_dim() * context_length) as f64
    }

    /// Numbers that exist for each token of a training step: those that the forward pass keeps for the backward pass, and
    /// those that pass through a layer meanwhile. Attention keeps no weights, but computes them anew; `dropout_masks` says
    /// whether it keeps what dropout drew for them, or draws it anew.
    pub fn activations_per_token(&self, dropout_masks: bool) -> usize {
        let Self { context_length, d_model, n_layers, n_heads, d_ff, dropout, .. } = *self;
        // The sum of each row of weights; of masks, about half, because no query sees what comes later.
        let masks = if dropout_masks && dropout > 0.0 { n_heads * context_length.div_ceil(2) } else { 0 };
        let attention = n_heads + masks;
        // Of each block: both norms' inputs and outputs, queries, keys, values and what attention made of them, the hidden
        // layer before and after its activation, and its gate.
        let heads = self.heads();
        let turned = self.qk_norm || self.positions != Positions::Learned;
        let qkv = heads.qkv_width() * if turned { 2 } else { 1 };
        let hidden = if self.feed_forward == FeedForwardKind::Gated { 3 * d_ff } else { 2 * d_ff };
        let kept =
            n_layers * (4 * d_model + qkv + n_heads * heads.head_dim + hidden + attention) + 4 * d_model;
        // Both tensors that each block's input is mixed of, and what the embedding's norm makes of its input.
        let mixed = if self.residual_scalars { (n_layers + 1) * d_model } else { 0 };
        let embedded = if self.embedding_norm { d_model } else { 0 };
        let passing = hidden + 4 * d_model;
        kept + mixed + embedded + passing
    }

    /// A choice that no published family has, as it is written in `[model]`.
    pub(crate) fn own_choice(&self) -> Option<String> {
        let switches = [("embedding_norm", self.embedding_norm), ("residual_scalars", self.residual_scalars)];
        let switch = switches.into_iter().find(|(_, on)| *on).map(|(name, _)| format!("{name} = true"));
        switch.or_else(|| self.softcap().map(|cap| format!("logit_softcap = {cap}")))
    }

    /// Checks every field and every rule between fields.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] names the key, its value and, where two values contradict each other, the other one.
    pub fn validate(&self) -> Result<()> {
        let positive = [
            ("vocab_size", self.vocab_size),
            ("context_length", self.context_length),
            ("d_model", self.d_model),
            ("n_layers", self.n_layers),
            ("n_heads", self.n_heads),
            ("d_ff", self.d_ff),
        ];
        for (key, value) in positive {
            ensure(key, value, value > 0, || "must be at least 1".into())?;
        }
        let divides = self.head_dim.is_some() || self.d_model.is_multiple_of(self.n_heads);
        ensure("n_heads", self.n_heads, divides, || {
            format!("does not divide model.d_model = {}", self.d_model)
        })?;
        let Heads { n_heads, n_kv_heads, head_dim } = self.heads();
        ensure("head_dim", head_dim, head_dim > 0, || "must be at least 1".into())?;
        ensure("n_kv_heads", n_kv_heads, n_kv_heads > 0 && n_heads.is_multiple_of(n_kv_heads), || {
            format!("does not divide model.n_heads = {n_heads}")
        })?;
        if let Positions::Rotary(rotary) = &self.positions {
            ensure("head_dim", head_dim, head_dim.is_multiple_of(2), || {
                "must be even, because rotary positions turn pairs of features".into()
            })?;
            if let Err(reason) = rotary.validate() {
                return Err(Error::Config { key: "positions", value: format!("{rotary:?}"), reason });
            }
        }
        ensure("dropout", self.dropout, self.dropout >= 0.0 && (self.dropout as f32) < 1.0, || {
            "must be at least 0 and less than 1, as an f32 too".into()
        })?;
        for (key, value) in [("norm_epsilon", self.norm_epsilon), ("init_std", self.init_std)] {
            ensure(key, value, value.is_finite() && value > 0.0, || "must be a positive number".into())?;
        }
        let softcap = self.logit_softcap;
        ensure(
            "logit_softcap",
            softcap,
            softcap == 0.0 || (softcap > 0.0 && (softcap as f32).is_normal()),
            || "must be a positive number that an f32 holds, or 0 for none".into(),
        )?;
        // Beyond this, sizes in bytes would no longer fit in an address.
        let parameters = self.checked_num_parameters().filter(|count| *count < 1 << 46);
        let sizes = [
            ("d_model", self.d_model),
            ("n_layers", self.n_layers),
            ("vocab_size", self.vocab_size),
            ("context_length", self.context_length),
        ];
        let (key, size) = sizes.into_iter().max_by_key(|(_, size)| *size).expect("four of them");
        ensure(key, size, parameters.is_some(), || {
            format!(
                "a model with model.n_layers = {}, model.d_model = {}, model.d_ff = {}, model.context_length = {} and a \
                 vocabulary of {} is larger than any memory",
                self.n_layers, self.d_model, self.d_ff, self.context_length, self.vocab_size
            )
        })
    }

    /// Creates a model with GPT-2's initial weights, drawn from `seed`: the same on every backend.
    ///
    /// # Errors
    ///
    /// What [`validate`](Self::validate) says.
    pub fn init<B: Backend>(&self, seed: u64, device: &B::Device) -> Result<GptModel<B>> {
        self.validate()?;
        B::seed(device, seed);
        Ok(GptModel::new(self, seed, device))
    }
}

fn ensure(
    key: &'static str,
    value: impl ToString,
    holds: bool,
    reason: impl FnOnce() -> String,
) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::Config { key, value: value.to_string(), reason: reason() }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// nanoGPT counts 124,439,808 parameters for GPT-2, of which 786,432 are positions, hence
    /// `6 · 123,653,376 + 12 · 12 · 768 · 1024` operations a token.
    #[test]
    fn gpt2_costs_what_nanogpt_says() {
        let config = GptConfig::preset("gpt2").expect("a listed preset");
        assert_eq!(config.flops_per_token(), 855_166_464.0);
    }

    #[test]
    fn contradictions_name_both_numbers() {
        let config = GptConfig { n_heads: 5, ..GptConfig::new(2, 4, 128) };
        let message = config.validate().expect_err("5 does not divide 128").to_string();
        assert!(
            message.contains("model.n_heads = 5") && message.contains("model.d_model = 128"),
            "{message}"
        );
    }

    #[test]
    fn absurd_sizes_are_refused_without_overflow() {
        let config = GptConfig { d_ff: usize::MAX / 2, ..GptConfig::new(1, 1, 1) };
        assert!(config.validate().is_err());
    }
}
