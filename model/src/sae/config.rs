//! What is known of a sparse autoencoder beside its weights.

use crate::Site;

/// Which features of a vector are active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaeActivation {
    /// Those above zero: `standard` in files of SAELens.
    Relu,
    /// Those above a threshold of their own: `jumprelu` (<https://arxiv.org/abs/2407.14435>).
    JumpRelu,
    /// The so many largest that are above zero: `topk` (<https://arxiv.org/abs/2406.04093>).
    TopK(usize),
}

impl SaeActivation {
    /// What `cfg.json` calls the architecture.
    pub fn name(self) -> &'static str {
        match self {
            Self::Relu => "standard",
            Self::JumpRelu => "jumprelu",
            Self::TopK(_) => "topk",
        }
    }
}

/// The description of a [`SparseAutoencoder`](crate::SparseAutoencoder).
#[derive(Clone, Debug, PartialEq)]
pub struct SaeConfig {
    /// Width of the vectors that it reads.
    pub d_in: usize,
    /// Number of features.
    pub d_sae: usize,
    /// Which of them are active.
    pub activation: SaeActivation,
    /// Whether the decoder's bias is taken off a vector before it is encoded.
    pub apply_b_dec_to_input: bool,
    /// The place in the model whose values it reads.
    pub hook: Site,
    /// The model that it was trained on, as it was named then.
    pub model_name: String,
    /// Tokens of the windows that the model read.
    pub context_length: Option<usize>,
    /// What the model read.
    pub dataset: Option<String>,
    /// [`base_checksum`](crate::base_checksum) of the model.
    pub model_checksum: Option<String>,
    /// Mean length of the vectors that it was trained on.
    pub mean_norm: Option<f64>,
    /// Active features of a vector, on the average, that it was trained for.
    pub k: Option<usize>,
    /// Vectors that it was trained on.
    pub training_tokens: Option<u64>,
}

impl SaeConfig {
    /// The description of an autoencoder of `d_sae` features of vectors of width `d_in` at `hook`, of which nothing else is known.
    pub fn new(d_in: usize, d_sae: usize, hook: Site) -> Self {
        Self {
            d_in,
            d_sae,
            activation: SaeActivation::JumpRelu,
            apply_b_dec_to_input: true,
            hook,
            model_name: String::new(),
            context_length: None,
            dataset: None,
            model_checksum: None,
            mean_norm: None,
            k: None,
            training_tokens: None,
        }
    }
}

/// What was measured of each feature on texts that it was not trained on.
#[derive(Clone, Debug, PartialEq)]
pub struct SaeStatistics {
    /// Share of the vectors on which each is active, `[d_sae]`.
    pub density: Vec<f32>,
    /// The largest value of each, `[d_sae]`; 0 where a feature was never active.
    pub max_activation: Vec<f32>,
}
