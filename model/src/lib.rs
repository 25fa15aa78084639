//! GPT-2, and by other choices Llama and Qwen, as a [Burn](https://burn.dev) module.
//!
//! The files read bottom-up, in the order in which one learns a GPT: [`Embedding`] turns tokens into vectors,
//! [`Attention`] lets positions look back at each other, [`Norm`] keeps the scale, [`FeedForward`] thinks
//! about each position alone, [`Block`] joins the two, [`GptModel`] stacks blocks and asks for the next token,
//! and [`KvCache`] makes generation cheap. One model serves every device: it is generic over [`Backend`].
//!
//! # Shapes
//!
//! The same words name the same sizes everywhere:
//!
//! | word | meaning |
//! |---|---|
//! | `batch` | sequences handled together |
//! | `seq` | positions of a sequence, at most `context_length` |
//! | `d_model` | width of the residual stream |
//! | `n_heads`, `head_dim` | attention heads and the width of each; `n_heads * head_dim = d_model` |
//! | `d_ff` | hidden width of the feed-forward network, `4 * d_model` in GPT-2 |
//! | `vocab` | number of distinct tokens |
//!
//! # Example
//!
//! ```
//! use burn::tensor::{Int, Tensor};
//! use kiln_model::GptConfig;
//!
//! type B = burn_ndarray::NdArray;
//!
//! let device = Default::default();
//! let config = GptConfig { vocab_size: 65, context_length: 32, ..GptConfig::new(2, 2, 16) };
//! let model = config.init::<B>(1337, &device)?;
//!
//! let tokens = Tensor::<B, 2, Int>::from_ints([[1, 2, 3, 4]], &device);
//! let targets = Tensor::<B, 2, Int>::from_ints([[2, 3, 4, 5]], &device);
//! assert_eq!(model.forward(tokens.clone()).dims(), [1, 4, 65]);
//!
//! // An untrained model has no opinion yet: its loss is close to that of guessing, ln(65) = 4.17.
//! let loss = model.loss(tokens, targets).into_scalar();
//! assert!((loss - 65f32.ln()).abs() < 0.3);
//! # Ok::<(), kiln_model::Error>(())
//! ```

#![recursion_limit = "256"]
#![warn(clippy::print_stderr, clippy::print_stdout, unreachable_pub)]

mod activation;
mod allocation;
mod attention;
mod backend;
mod block;
mod classifier;
mod compute_precision;
mod config;
mod embedding;
mod error;
mod feed_forward;
mod file;
mod forward;
mod gpt;
mod kv_cache;
mod linear;
mod lora;
mod loss;
mod norm;
mod parameters;
mod place;
mod precision;
mod residual_scalars;
mod rotary;
mod sae;
mod segments;
mod site;
mod tap;
mod weights;

pub use activation::Activation;
pub use allocation::keep_freed_memory;
pub use attention::Attention;
pub use backend::{
    AdamWStep, AffineGradients, AutodiffBackend, Backend, CHUNK_LOGITS, GPU_CHUNK_LOGITS, HeadGradients,
    Heads, MuonStep, PackedWeight, Saved, Wanted,
};
pub use block::Block;
pub use classifier::Classifier;
pub use compute_precision::ComputePrecision;
pub use config::{Biases, FeedForwardKind, GptConfig, NormKind, PRESETS, Positions, Rotary, RotaryScaling};
pub use embedding::Embedding;
pub use error::{Error, Result};
pub use feed_forward::FeedForward;
pub use file::{replace_file, write_file};
pub use gpt::{GptModel, token_tensor};
pub use kv_cache::{CachedSequence, KvCache, LayerCache};
pub use linear::Linear;
pub use lora::{Lora, LoraConfig, Targets};
pub use loss::{MeanLoss, cross_entropy};
pub use norm::Norm;
pub use parameters::{Parameter, Role, parameters};
pub use place::Place;
pub use precision::{Channels, Precision};
pub use residual_scalars::{ResidualScalars, Scalars};
pub use rotary::Angles;
pub use sae::{Feature, SaeActivation, SaeConfig, SaeStatistics, SaeWeights, SparseAutoencoder};
pub use site::{NormSite, Site};
pub use tap::{NoTap, Tap, Watch};
pub use weights::{
    Adapter, ControlVector, Dtype, GgufVocabulary, SpecialTokens, base_checksum, is_gguf, load,
    load_classifier, load_config, load_gguf_vocabulary, load_labels, load_weights, load_with_precision,
    parameter_shapes, save, save_adapter, save_classifier, save_classifier_adapter, save_generation,
    save_gguf, unused_heads,
};
