//! The whole model: its parts, and how it starts.

use burn::module::Module;
use burn::tensor::{Element, Int, Tensor, TensorData};

use crate::linear::Initializer;
use crate::norm::unweighted_rms_norm;
use crate::residual_scalars::ResidualScalars;
use crate::{
    Backend, Block, ComputePrecision, Embedding, GptConfig, LoraConfig, NoTap, Norm, NormSite, Positions,
};

/// A GPT-2 style language model (<https://cdn.openai.com/better-language-models/language_models_are_unsupervised_multitask_learners.pdf>).
///
/// Fields are named as in GPT-2's checkpoints, so a parameter's path is its name in the file.
#[derive(Module, Debug)]
pub struct GptModel<B: Backend> {
    /// Token embedding, `[vocab, d_model]`; also the head that scores tokens, unless `lm_head` is set.
    pub wte: Embedding<B>,
    /// Position embedding, `[context_length, d_model]`, where positions are learned.
    pub wpe: Option<Embedding<B>>,
    /// What each block's input is mixed of, where the model has [`residual_scalars`](GptConfig::residual_scalars).
    pub scalars: Option<ResidualScalars<B>>,
    /// The stack of blocks.
    pub h: Vec<Block<B>>,
    /// Normalises the stream before the head reads it.
    pub ln_f: Norm<B>,
    /// A head of its own, `[vocab, d_model]`; `None` when it is tied to `wte`.
    pub lm_head: Option<Embedding<B>>,
    // Checkpoints know the field by this name.
    #[module(skip)]
    config: Description,
}

/// What a model was made from, and how it computes while it learns.
#[derive(Clone, Debug)]
struct Description {
    config: GptConfig,
    precision: ComputePrecision,
    lora: Option<LoraConfig>,
}

impl<B: Backend> GptModel<B> {
    /// A model with GPT-2's initial weights.
    pub(crate) fn new(config: &GptConfig, seed: u64, device: &B::Device) -> Self {
        Self::build(config, &mut Initializer::normal(seed, config.init_std), device)
    }

    /// A model whose matrices are still to be filled.
    pub(crate) fn uninitialised(config: &GptConfig, device: &B::Device) -> Self {
        Self::build(config, &mut Initializer::Absent, device)
    }

    fn build(config: &GptConfig, initializer: &mut Initializer, device: &B::Device) -> Self {
        let GptConfig { vocab_size, context_length, d_model, .. } = *config;
        let mut table = |rows, scale| Embedding::new([rows, d_model], scale, initializer, device);
        let wte = table(vocab_size, 1.0);
        let learned = config.positions == Positions::Learned;
        let wpe = learned.then(|| table(context_length, 1.0));
        let head_scale = if config.zero_init { 0.0 } else { 1.0 };
        Self {
            wte,
            wpe,
            scalars: config.residual_scalars.then(|| ResidualScalars::new(config.n_layers, device)),
            h: (0..config.n_layers).map(|layer| Block::new(config, layer, initializer, device)).collect(),
            ln_f: Norm::new(config, device),
            lm_head: (!config.tied_head)
                .then(|| Embedding::new([vocab_size, d_model], head_scale, initializer, device)),
            config: Description {
                config: config.clone(),
                precision: ComputePrecision::default(),
                lora: None,
            },
        }
    }

    /// The configuration the model was made from.
    pub fn config(&self) -> &GptConfig {
        &self.config.config
    }

    /// What [`loss`](Self::loss) is computed in.
    pub(crate) fn compute_precision(&self) -> ComputePrecision {
        self.config.precision
    }

    pub(crate) fn set_compute_precision(&mut self, precision: ComputePrecision) {
        self.config.precision = precision;
    }

    /// The adapter that is attached, if there is one.
    pub fn lora(&self) -> Option<&LoraConfig> {
        self.config.lora.as_ref()
    }

    pub(crate) fn set_lora(&mut self, lora: Option<LoraConfig>) {
        self.config.lora = lora;
    }

    /// Where its parameters are.
    pub fn device(&self) -> B::Device {
        self.wte.weight.device()
    }

    /// The same model with another dropout probability, for training on.
    pub fn with_dropout(mut self, dropout: f64) -> Self {
        self.config.config.dropout = dropout;
        for block in &mut self.h {
            block.attn.set_dropout(dropout);
            block.mlp.set_dropout(dropout);
        }
        self
    }

    /// The same model without [`embedding_norm`](GptConfig::embedding_norm), if its head has a matrix of its own: the table of
    /// the tokens then holds what the norm makes of its rows, and the model fits files of more families. One to compute with,
    /// not to train on.
    pub fn with_folded_embedding_norm(mut self) -> Self {
        if self.lm_head.is_some() && self.config().embedding_norm {
            let epsilon = self.config().norm_epsilon;
            self.wte.weight = self.wte.weight.map(|table| {
                let rows = unweighted_rms_norm(table.unsqueeze(), epsilon, NormSite::Embed, &mut NoTap);
                rows.squeeze_dim::<2>(0).detach().require_grad()
            });
            self.config.config.embedding_norm = false;
        }
        self
    }

    /// The same model with its head tied to the embedding: one whose head nobody asks.
    pub(crate) fn without_own_head(mut self) -> Self {
        self.lm_head = None;
        self.config.config.tied_head = true;
        self
    }

    /// The same model for shorter sequences: the embeddings of later positions are dropped.
    ///
    /// # Panics
    ///
    /// If `context_length` is 0 or longer than the model's.
    pub fn with_context_length(mut self, context_length: usize) -> Self {
        let longest = self.config().context_length;
        assert!((1..=longest).contains(&context_length), "a context of {context_length} out of {longest}");
        if let Some(wpe) = self.wpe.take_if(|_| context_length < longest) {
            // Detached, or the gradient would stop at the longer table, which is no parameter any more.
            let weight = wpe.weight.map(|weight| weight.narrow(0, 0, context_length).detach().require_grad());
            self.wpe = Some(Embedding { weight });
        }
        self.config.config.context_length = context_length;
        self
    }
}

/// Token ids as the model takes them: row by row, on `device`.
///
/// # Shapes
///
/// - ids: `batch * seq` of them
/// - output: `[batch, seq]`
///
/// # Panics
///
/// If there are not as many ids as the shape has room for.
pub fn token_tensor<B: Backend, E: Element>(
    ids: Vec<E>,
    shape: [usize; 2],
    device: &B::Device,
) -> Tensor<B, 2, Int> {
    Tensor::from_data(TensorData::new(ids, shape), device)
}
