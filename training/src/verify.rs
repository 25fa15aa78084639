//! llm.c's check of a GPT-2: ten steps on one small batch, whose losses are published.

use burn::optim::Optimizer;
use burn_train::TrainStep;
use kiln_datasets::Batch;
use kiln_model::{AutodiffBackend, GptModel};

use crate::{ByRole, LanguageModel, MicroBatches, OptimizerConfig};

/// What `test_gpt2.c` of llm.c expects of GPT-2 124M in f32 (<https://github.com/karpathy/llm.c>).
pub const LLM_C_LOSSES: [f64; 10] = [
    5.270007133483887,
    4.059706687927246,
    3.3751230239868164,
    2.8007826805114746,
    2.315382242202759,
    1.8490285873413086,
    1.3946564197540283,
    0.9991465210914612,
    0.6240804195404053,
    0.37651097774505615,
];

/// How far a loss may be from its published value.
pub const LLM_C_TOLERANCE: f64 = 1e-2;

/// Sequences of the batch.
pub const LLM_C_BATCH: usize = 4;
/// Tokens of each.
pub const LLM_C_CONTEXT: usize = 64;

/// The ten losses of a model: AdamW at 1e-4 with β 0.9 and 0.999, decay 0.01 on *every* parameter, no clipping, and the
/// same batch each time, so that it is learned by heart. The first loss is that of the model as it came.
///
/// `tokens` are the first `LLM_C_BATCH * LLM_C_CONTEXT + 1` of the text.
///
/// # Panics
///
/// If there are not as many tokens, one is outside the vocabulary, or the model's context is shorter.
pub fn llm_c_losses<B: AutodiffBackend>(model: GptModel<B>, tokens: &[u32]) -> [f64; LLM_C_LOSSES.len()] {
    let predicted = LLM_C_BATCH * LLM_C_CONTEXT;
    assert_eq!(tokens.len(), predicted + 1, "a batch and the token after it");
    let config = OptimizerConfig { beta2: 0.999, weight_decay: 0.01, ..OptimizerConfig::default() };
    let adamw = ByRole { config, decays: |_| true };
    let mut optimizer = adamw.init::<B, LanguageModel<B>>();
    let mut model = LanguageModel { gpt: model.with_dropout(0.0) };
    let cut = |from: usize| -> Vec<i32> {
        tokens[from..from + predicted].iter().map(|token| *token as i32).collect()
    };
    let mut losses = [0.0; LLM_C_LOSSES.len()];
    for loss in &mut losses {
        let batch = Batch { inputs: cut(0), targets: cut(1), windows: LLM_C_BATCH, seq: LLM_C_CONTEXT };
        let output = TrainStep::step(&model, MicroBatches::from(vec![batch]));
        *loss = output.item.loss;
        model = optimizer.step(1e-4, model, output.grads);
    }
    losses
}
