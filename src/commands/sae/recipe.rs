//! The configuration of a run that brings none: from the size of the model.

use kiln_model::GptConfig;

/// Vectors of a step.
pub const BATCH: usize = 2048;

/// Vectors to learn from: tales never end, and a small model has said by then what it has to say.
const TOKENS: usize = 4 << 20;

/// Width of a model up to which it counts as small.
const SMALL: usize = 256;

/// Tokens of a window that the model reads, at most.
const CONTEXT: usize = 256;

/// A learning rate for `d_sae` features: that of 2^14 of them and a root
/// (<https://github.com/saprmarks/dictionary_learning>).
pub fn learning_rate(d_sae: usize) -> f64 {
    2e-4 / (d_sae as f64 / 16384.0).sqrt()
}

/// The configuration as a file says it.
pub fn toml(config: &GptConfig, d_sae: Option<usize>, tokens: Option<usize>) -> String {
    let d_sae = d_sae.unwrap_or(8 * config.d_model);
    let k = if config.d_model <= SMALL { 16 } else { 32 };
    let steps = (tokens.unwrap_or(TOKENS) / BATCH).max(1);
    let (warmup, interval) = (100.min(steps / 10), (steps / 5).max(1));
    format!(
        "[optimizer]\nlearning_rate = {:.1e}\nbeta1 = 0.9\nbeta2 = 0.999\nweight_decay = 0.0\ngrad_clip = 1.0\n\
         [schedule]\nwarmup_steps = {warmup}\ndecay = \"linear\"\ndecay_share = 0.2\n\
         [training]\nsteps = {steps}\nbatch_size = {BATCH}\neval_interval = {interval}\n\
         [sae]\nhook = \"blocks.{}.hook_resid_post\"\nd_sae = {d_sae}\nk = {}\ncontext_length = {}\n",
        learning_rate(d_sae),
        config.n_layers / 2,
        k.min(d_sae),
        config.context_length.min(CONTEXT),
    )
}
