//! One attention head, step by step.

use kiln_model::{Backend, Site};
use serde::Serialize;

use super::matrix::Matrix;
use super::pass::Pass;

/// `softmax(mask(Q Kᵀ · scale)) V` of one head: each row is the position that looks, each column one that is looked at.
#[derive(Clone, Debug, Serialize)]
pub struct HeadPanel {
    /// Block.
    pub layer: usize,
    /// Head of queries.
    pub head: usize,
    /// Head of keys and values that it reads; several heads may share one.
    pub kv_head: usize,
    /// Features of each query, key and value.
    pub head_dim: usize,
    /// What scores are multiplied by: `1 / √head_dim`.
    pub scale: f32,
    /// Whether queries and keys are turned by their positions; those here are.
    pub rotary: bool,
    /// `Q`, `[seq, head_dim]`.
    pub query: Matrix,
    /// `K`, `[seq, head_dim]`.
    pub key: Matrix,
    /// `V`, `[seq, head_dim]`.
    pub value: Matrix,
    /// `Q Kᵀ`, `[query, key]`: each number is the sum of `head_dim` products.
    pub scores: Matrix,
    /// The same times `scale`.
    pub scaled: Matrix,
    /// The same with `-∞` where a key comes after the query.
    pub masked: Matrix,
    /// `softmax` of each row.
    pub pattern: Matrix,
    /// The pattern times `V`, `[seq, head_dim]`: the context vectors.
    pub context: Matrix,
}

impl HeadPanel {
    pub(super) fn of<B: Backend>(pass: &Pass<'_, B>, layer: usize, head: usize) -> Self {
        let config = pass.config();
        let heads = config.heads();
        let kv_head = head / heads.group();
        let head_scale = if config.scale_attention { (heads.head_dim as f32).sqrt().recip() } else { 1.0 };
        let layer_scale = if config.scale_attention_by_layer { 1.0 / (layer + 1) as f32 } else { 1.0 };
        let query = pass.turned(layer, head, true);
        let key = pass.turned(layer, kv_head, false);
        let value = pass.head_values(Site::Value(layer), kv_head);
        let panel = Self::from_vectors(query, key, value, head_scale * layer_scale);
        let rotary = pass.model.wpe.is_none();
        Self { layer, head, kv_head, rotary, ..panel }
    }

    /// Attention between these vectors, `[seq, head_dim]` each.
    pub fn from_vectors(query: Matrix, key: Matrix, value: Matrix, scale: f32) -> Self {
        let scores = query.times_transposed(&key);
        let scaled = scores.map(|score| score * scale);
        let masked = scaled.masked();
        let pattern = masked.softmax();
        let context = pattern.times(&value);
        let head_dim = query.columns();
        Self {
            layer: 0,
            head: 0,
            kv_head: 0,
            head_dim,
            scale,
            rotary: false,
            query,
            key,
            value,
            scores,
            scaled,
            masked,
            pattern,
            context,
        }
    }
}

/// What one head multiplies: enough to compute its [`HeadPanel`] anew.
#[derive(Clone, Debug)]
pub struct HeadVectors {
    /// Block.
    pub layer: usize,
    /// Head of queries.
    pub head: usize,
    /// Head of keys and values.
    pub kv_head: usize,
    /// What scores are multiplied by.
    pub scale: f32,
    /// `[seq, head_dim]`
    pub query: Matrix,
    /// `[seq, head_dim]`
    pub key: Matrix,
    /// `[seq, head_dim]`
    pub value: Matrix,
}

impl HeadVectors {
    /// Those of as many heads as `most` numbers have room for, but of at least one: of this head, of its block, of other
    /// blocks for which `open` holds.
    pub(super) fn around<B: Backend>(
        pass: &Pass<'_, B>,
        (layer, head): (usize, usize),
        most: usize,
        open: impl Fn(usize) -> bool,
    ) -> Vec<Self> {
        let config = pass.config();
        let others = (0..config.n_layers).filter(|block| open(*block));
        let all = others.flat_map(|block| (0..config.n_heads).map(move |head| (block, head)));
        let mut order: Vec<(usize, usize)> = all.collect();
        order.sort_by_key(|&(block, of)| (block != layer, (block, of) != (layer, head)));
        let room = most / (3 * pass.tokens.len() * config.head_dim());
        let vectors = |(layer, head)| {
            let HeadPanel { kv_head, scale, query, key, value, .. } = HeadPanel::of(pass, layer, head);
            Self { layer, head, kv_head, scale, query, key, value }
        };
        order.into_iter().take(room.max(1)).map(vectors).collect()
    }
}
