//! All panels together.

use serde::Serialize;

use super::*;

/// A text, explained: the panels that were asked for.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// The model.
    pub model: ModelSummary,
    /// The text; what is no whole character in it is U+FFFD.
    pub text: String,
    /// Ids of the text.
    pub ids: Vec<u32>,
    /// Texts of the tokens.
    pub texts: Vec<String>,
    /// What panels of one block, head or position show.
    pub at: Focus,
    /// The panels.
    #[serde(flatten)]
    pub panels: Panels,
}

/// A block, a head and a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Focus {
    /// Block.
    pub layer: usize,
    /// Head.
    pub head: usize,
    /// Position.
    pub position: usize,
}

/// What was computed; what was not asked for, or cannot be without further files, is absent.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Panels {
    /// Tokens and embeddings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<TokensPanel>,
    /// Shapes at every step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shapes: Option<ShapesPanel>,
    /// A norm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub norm: Option<NormPanel>,
    /// One head.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<HeadPanel>,
    /// What further heads multiply, where there is room for it.
    #[serde(skip)]
    pub vectors: Vec<HeadVectors>,
    /// All heads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heads: Option<HeadsPanel>,
    /// Dropout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dropout: Option<DropoutPanel>,
    /// A feed-forward network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mlp: Option<MlpPanel>,
    /// The residual stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub residual: Option<ResidualPanel>,
    /// Gradients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gradients: Option<GradientsPanel>,
    /// The logit lens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lens: Option<LensPanel>,
    /// Sampling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampling: Option<SamplingPanel>,
    /// Direct logit attribution.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attribution: Option<AttributionPanel>,
    /// Activation patching.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patching: Option<PatchingPanel>,
    /// Features of a sparse autoencoder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub features: Option<FeaturesPanel>,
}
