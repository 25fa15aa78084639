//! What kind of model it is.

use kiln_model::{Backend, FeedForwardKind, GptModel, NormKind, Positions};
use serde::Serialize;

/// What kind of model it is.
#[derive(Clone, Debug, Serialize)]
pub struct ModelSummary {
    /// Blocks.
    pub n_layers: usize,
    /// Heads of queries of each block.
    pub n_heads: usize,
    /// Heads of keys and values.
    pub n_kv_heads: usize,
    /// Features of a head.
    pub head_dim: usize,
    /// Width of the residual stream.
    pub d_model: usize,
    /// Width of the hidden layer.
    pub d_ff: usize,
    /// Tokens.
    pub vocab_size: usize,
    /// Longest text.
    pub context_length: usize,
    /// Parameters.
    pub parameters: usize,
    /// `"LayerNorm"` or `"RmsNorm"`.
    pub norm: &'static str,
    /// `"learned"` or `"rotary"`.
    pub positions: &'static str,
    /// Whether feed-forward networks have gates.
    pub gated: bool,
    /// Whether the head is the token embedding.
    pub tied_head: bool,
}

impl ModelSummary {
    pub(super) fn of<B: Backend>(model: &GptModel<B>) -> Self {
        let config = model.config();
        let heads = config.heads();
        Self {
            n_layers: config.n_layers,
            n_heads: heads.n_heads,
            n_kv_heads: heads.n_kv_heads,
            head_dim: heads.head_dim,
            d_model: config.d_model,
            d_ff: config.d_ff,
            vocab_size: config.vocab_size,
            context_length: config.context_length,
            parameters: config.num_parameters(),
            norm: match config.norm {
                NormKind::LayerNorm => "LayerNorm",
                NormKind::RmsNorm => "RmsNorm",
            },
            positions: match config.positions {
                Positions::Learned => "learned",
                Positions::Rotary(_) => "rotary",
            },
            gated: config.feed_forward == FeedForwardKind::Gated,
            tied_head: config.tied_head,
        }
    }
}
