//! The configuration of a run that brings none: from the task, the size of the model, and whether an adapter learns.

use kiln_model::GptConfig;

use crate::settings::Task;

/// Parameters of the model that the published learning rates are for: GPT-2.
const PUBLISHED_FOR: f64 = 124e6;

/// Learning rates of all weights that are tried at most and at least: beyond, small models forget and large ones stand still.
const RATES: (f64, f64) = (1e-6, 1e-3);

/// How much more an adapter wants than the weights themselves.
const OF_ADAPTER: f64 = 10.0;

/// The configuration as a file says it.
pub fn toml(task: Task, config: &GptConfig, adapter: bool) -> String {
    // A head that starts at random learns the training texts by heart within a pass, unless dropout is in its way.
    let (published, epochs, batch_size, dropout) = match task {
        Task::Classify => (5e-5, 3.0, 16, 0.1),
        Task::Instruct => (5e-5, 3.0, 8, 0.0),
        Task::Dpo => (5e-6, 1.0, 8, 0.0),
    };
    // Smaller models want larger steps.
    let scaled = published * (PUBLISHED_FOR / config.num_parameters() as f64).sqrt();
    let of_all = scaled.clamp(RATES.0, RATES.1);
    let (learning_rate, weight_decay) = if adapter { (of_all * OF_ADAPTER, 0.0) } else { (of_all, 0.1) };
    format!(
        "[model]\ndropout = {dropout:?}\n\
         [optimizer]\nlearning_rate = {learning_rate:.1e}\nbeta1 = 0.9\nbeta2 = 0.99\nweight_decay = {weight_decay:?}\n\
         grad_clip = 1.0\n\
         [schedule]\ndecay = \"linear\"\n\
         [training]\nbatch_size = {batch_size}\n\
         [generation]\nmax_tokens = 256\n\
         [finetune]\ntask = \"{task}\"\nepochs = {epochs:?}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings;

    #[test]
    fn every_recipe_is_valid_and_small_models_and_adapters_take_larger_steps() {
        let gpt2 = GptConfig::preset("gpt2").expect("it is there");
        let small = GptConfig { vocab_size: 1024, ..GptConfig::new(4, 4, 128) };
        let rate = |task, config, adapter| {
            let (settings, _) =
                settings::parse("FILE".into(), toml(task, config, adapter), &[]).expect("valid");
            assert_eq!(settings.finetune.expect("a section").task, task);
            settings.optimizer.learning_rate
        };
        for task in [Task::Classify, Task::Instruct, Task::Dpo] {
            let (of_gpt2, of_small) = (rate(task, &gpt2, false), rate(task, &small, false));
            assert!(of_small > 5.0 * of_gpt2, "{task}: {of_gpt2} and {of_small}");
            assert!((rate(task, &gpt2, true) / of_gpt2 - 10.0).abs() < 0.5);
        }
        assert!((rate(Task::Classify, &gpt2, false) - 5e-5).abs() < 1e-8);
    }
}
