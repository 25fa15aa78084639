//! One tensor of a model in the words of its family.

use super::{Family, Layer, MatrixLayout, Size};
use crate::{GptConfig, Role};

/// The weight or the bias of a layer; in a block, of block number `block`.
#[derive(Clone, Copy)]
pub(in crate::weights) struct Slot {
    layer: &'static Layer,
    pub(super) block: usize,
    bias: bool,
}

impl Slot {
    /// The tensors of a layer.
    pub(super) fn of(layer: &'static Layer, block: usize) -> impl Iterator<Item = Self> {
        let parts = if layer.bias.is_some() { &[false, true][..] } else { &[false] };
        parts.iter().map(move |bias| Self { layer, block, bias: *bias })
    }

    /// `weight` or `bias`.
    pub(super) fn part(&self) -> &'static str {
        if self.bias { "bias" } else { "weight" }
    }

    /// Its name in `model.safetensors`, without the family's prefix.
    pub(in crate::weights) fn name(&self) -> String {
        self.numbered(self.layer.name)
    }

    /// The path of the parameter in the model.
    pub(super) fn path(&self) -> String {
        self.numbered(self.layer.path)
    }

    /// Its name as `transformers` writes it.
    pub(in crate::weights) fn full_name(&self, family: &Family) -> String {
        let prefix = if self.layer.role == Role::Head { "" } else { family.prefix };
        format!("{prefix}{}", self.name())
    }

    /// Its name in GGUF.
    pub(in crate::weights) fn gguf_name(&self) -> String {
        self.numbered(self.layer.gguf)
    }

    fn numbered(&self, layer: &str) -> String {
        format!("{}.{}", layer.replacen('*', &self.block.to_string(), 1), self.part())
    }

    pub(in crate::weights) fn role(&self) -> Role {
        if self.bias { Role::Bias } else { self.layer.role }
    }

    /// Whether the model has it as a parameter; files hold zeros in place of a bias that it lacks.
    pub(in crate::weights) fn is_parameter(&self, config: &GptConfig) -> bool {
        !self.bias || self.layer.bias.is_some_and(|has| has(config))
    }

    /// Whether the model has the layer.
    pub(super) fn is_in(&self, config: &GptConfig) -> bool {
        (self.layer.is_in)(config)
    }

    /// Its shape in the model.
    pub(in crate::weights) fn shape(&self, config: &GptConfig) -> Vec<usize> {
        let heads = config.heads();
        let sizes = self.layer.shape.iter().map(|size| match size {
            Size::Vocab => config.vocab_size,
            Size::Context => config.context_length,
            Size::Width => config.d_model,
            Size::Qkv => heads.qkv_width(),
            Size::Queries => heads.width(),
            Size::Keys => heads.n_kv_heads * heads.head_dim,
            Size::HeadDim => heads.head_dim,
            Size::FeedForward => config.d_ff,
            Size::Layers => config.n_layers,
        });
        // A bias has the length of the weight's last axis.
        let skipped = if self.bias { self.layer.shape.len() - 1 } else { 0 };
        sizes.skip(skipped).collect()
    }

    /// Its shape in a file.
    pub(in crate::weights) fn shape_in(&self, layout: MatrixLayout, config: &GptConfig) -> Vec<usize> {
        layout.shape(self.role(), self.shape(config))
    }
}
