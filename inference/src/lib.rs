//! Text out of a GPT.
//!
//! [`TextModel`] opens a model with its tokenizer and writes text. Below it, everything speaks token ids:
//! [`ModelFiles`] opens what lies in a model directory, [`Sampling`] says how a token is chosen from logits, an
//! [`Engine`] repeats that for all texts that are asked of it, [`generate()`] and [`generate_batch`] ask it for one
//! and for several, [`score()`] asks how probable a given text is, and [`evaluate()`] asks that for a corpus.
//!
//! # Example
//!
//! ```
//! use burn_ndarray::NdArray;
//! use kiln_inference::{GenerateOptions, Request, Sampling, generate, score};
//! use kiln_model::{GptConfig, GptModel};
//!
//! let config = GptConfig { vocab_size: 29, context_length: 32, ..GptConfig::new(1, 2, 8) };
//! let model: GptModel<NdArray> = config.init(1337, &Default::default())?;
//!
//! let options = GenerateOptions { max_tokens: 8, sampling: Sampling::GREEDY, ..Default::default() };
//! let request = Request { prompt: vec![1, 2, 3], options };
//! let tokens: Vec<u32> = generate(&model, &request)?.collect::<Result<_, _>>()?;
//! assert_eq!(tokens.len(), 8);
//!
//! // Greedy tokens are the most probable ones, so they are no worse than a guess among 29.
//! let text = score(&model, &[&request.prompt[..], &tokens].concat())?;
//! let chosen: f64 = text.logprobs[3..].iter().flatten().sum();
//! assert!(chosen / 8.0 > -f64::ln(29.0));
//! # Ok::<(), kiln_inference::Error>(())
//! ```

#![recursion_limit = "256"]
#![warn(clippy::print_stderr, clippy::print_stdout, unreachable_pub)]

mod batch;
mod chat;
mod constraint;
mod engine;
mod error;
mod evaluate;
pub mod explain;
mod features;
mod files;
mod generate;
mod gguf;
mod inspect;
#[cfg(feature = "json-schema")]
mod json_schema;
mod logits;
mod logprobs;
mod prompt;
mod request;
mod sampler;
mod sampling;
mod score;
#[cfg(feature = "serve")]
mod serve;
mod steer;
mod stop;
mod text_model;
mod text_stream;
mod tokens;
mod vectors;

pub use batch::{Completion, generate_batch};
pub use chat::{ChatHistory, ChatSession, ChatSettings, Reply, Turn, chat_template};
pub use constraint::{ConstrainedText, Constraint};
pub use engine::{Engine, EngineOptions, Event, RequestId};
pub use error::{Error, Result};
pub use evaluate::{CorpusLoss, evaluate, evaluate_tapped};
pub use features::{
    Candidate, Catalogue, Context, Criterion, FeatureRecord, Name, Ranked, Readings, Relation, SaeDump,
    SaeMetrics, candidates, dashboard, measure_autoencoder,
};
pub use files::ModelFiles;
pub use generate::{FinishReason, GeneratedTokens, generate};
pub use gguf::gguf_tokenizer;
pub use inspect::{
    Ablated, Ablation, AblationGrid, Answer, AttributionGrid, Component, DetectedHeads, Direction, HeadGrid,
    HeadScores, LensNext, LensRow, LensToken, LogitAttribution, LogitLens, PatchGrid, PatchTask,
    PatchedValue, Patching, Recorded, Recorder, RepeatedTokens, ablate, activation_patching,
    attribution_patching, attribution_sites, correlation, direct_logit_attribution, head_results,
    head_score_sites, head_scores, lens_logits, lens_sites, logit_lens, recorded_head_results,
    repeated_token_scores, repeated_tokens, write_cache,
};
#[cfg(feature = "json-schema")]
pub use json_schema::JsonSchemas;
pub use logprobs::TokenLogprob;
pub use prompt::encode_prompt;
pub use request::{GenerateOptions, Request, WhenFull};
pub use sampler::TokenSampler;
pub use sampling::Sampling;
pub use score::{TextScore, score, score_tapped};
#[cfg(feature = "serve")]
pub use serve::{ServeOptions, ServedModel, serve};
pub use steer::{
    Action, Figures, Intervention, MeanDifference, SteeredPositions, Steering, SteeringDial, SteeringHandle,
    SteeringKit, SteeringMode, SteeringStudy, SteeringTap, SteeringUnit, StudyOptions, StudyResult,
    WordFeature, has_word, kl_floor, mean_difference, wilson,
};
pub use text_model::{GeneratedText, TextModel};

/// The example in the README is compiled with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
