//! What the operations take and give besides tensors.

use burn::tensor::TensorPrimitive;
use burn::tensor::ops::FloatTensor;

use super::Backend;

/// What a forward pass keeps for its backward pass; only the backend that made it knows what it means.
pub type Saved<B> = Vec<FloatTensor<B>>;

/// A matrix as [`Backend::pack`] lays it out for inference. In fewer bits than f32, only the `packed_…`
/// operations can read it.
pub type PackedWeight<B> = TensorPrimitive<B>;

/// Most logits that [`Backend::head_cross_entropy`] holds at once, in elements: 64 MiB of f32.
pub const CHUNK_LOGITS: usize = 1 << 24;

/// The same on a GPU through libtorch, which needs larger products to be busy: 1 GiB of f32.
pub const GPU_CHUNK_LOGITS: usize = 1 << 28;

/// Which gradients a backward pass is to compute: what is frozen, or was read from a file, needs none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// That of the input.
    pub input: bool,
    /// That of the weight.
    pub weight: bool,
    /// That of the bias; `false` where there is none.
    pub bias: bool,
}

/// Gradients of norms and of [`Backend::linear`]; one that was not [`Wanted`] may be there or not.
pub struct AffineGradients<B: Backend> {
    /// In the shape of the input.
    pub input: Option<FloatTensor<B>>,
    /// In the shape of the weight.
    pub weight: Option<FloatTensor<B>>,
    /// In the shape of the bias, if there is one.
    pub bias: Option<FloatTensor<B>>,
}

/// Loss and gradients of [`Backend::head_cross_entropy`]; one that was not [`Wanted`] may be there or not.
pub struct HeadGradients<B: Backend> {
    /// Mean loss over the targets that count, in nats, `[1]`.
    pub loss: FloatTensor<B>,
    /// `[.., d_model]`
    pub hidden: Option<FloatTensor<B>>,
    /// `[vocab, d_model]`
    pub weight: Option<FloatTensor<B>>,
}

/// The heads of one attention layer. With fewer heads of keys and values than of queries, neighbouring query
/// heads share one (grouped-query attention, <https://arxiv.org/abs/2305.13245>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heads {
    /// Heads of queries.
    pub n_heads: usize,
    /// Heads of keys and values, a divisor of `n_heads`.
    pub n_kv_heads: usize,
    /// Width of each head.
    pub head_dim: usize,
}

impl Heads {
    /// Width of queries, keys and values side by side: `(n_heads + 2 * n_kv_heads) * head_dim`.
    pub fn qkv_width(self) -> usize {
        (self.n_heads + 2 * self.n_kv_heads) * self.head_dim
    }

    /// Width of the output: `n_heads * head_dim`.
    pub fn width(self) -> usize {
        self.n_heads * self.head_dim
    }

    /// Query heads that share one head of keys and values.
    ///
    /// # Panics
    ///
    /// If `n_kv_heads` does not divide `n_heads`.
    pub fn group(self) -> usize {
        let divides = self.n_kv_heads > 0 && self.n_heads.is_multiple_of(self.n_kv_heads);
        assert!(divides, "{} query heads cannot share {} heads of keys", self.n_heads, self.n_kv_heads);
        self.n_heads / self.n_kv_heads
    }
}

/// The numbers of one Muon update (<https://kellerjordan.github.io/posts/muon/>).
#[derive(Clone, Copy, Debug)]
pub struct MuonStep<'a> {
    /// Learning rate of this step.
    pub learning_rate: f64,
    /// Decay of the running mean of gradients.
    pub momentum: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// What the gradient is multiplied by, as in [`AdamWStep`].
    pub gradient_scale: f64,
    /// Widths of the maps that lie side by side in the matrix, each of which is a matrix to Muon; they add up to its columns.
    pub parts: &'a [usize],
}

impl MuonStep<'_> {
    /// Factors of `x`, `x³` and `x⁵` in the polynomial that Muon applies to singular values: steep at 0, so that a few turns of
    /// it bring all of them near 1.
    pub const COEFFICIENTS: [f64; 3] = [3.4445, -4.7750, 2.0315];

    /// How often it applies the polynomial.
    pub const TURNS: usize = 5;

    /// The least norm by which a matrix is divided.
    pub const SMALLEST_NORM: f64 = 1e-7;

    /// The factor of an update from `d_in` features to `d_out`: with singular values of 1, the map then changes each output
    /// about as much as any other does.
    pub fn scale(d_in: usize, d_out: usize) -> f64 {
        (d_out as f64 / d_in as f64).max(1.0).sqrt()
    }
}

/// The numbers of one AdamW update (<https://arxiv.org/abs/1711.05101>).
#[derive(Clone, Copy, Debug)]
pub struct AdamWStep {
    /// Learning rate of this step.
    pub learning_rate: f64,
    /// Decay of the running mean of gradients.
    pub beta1: f64,
    /// Decay of the running mean of squared gradients.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Decoupled weight decay; 0 for parameters that are not to decay.
    pub weight_decay: f64,
    /// What the gradient is multiplied by: 1, or less where gradients are clipped.
    pub gradient_scale: f64,
    /// Number of this update, counted from 1: corrects the bias of moments that start at zero.
    pub step: usize,
}
