//! A recipe for a text of one's own: size, tokenizer, steps and split from the amount of text and the machine's speed.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use indicatif::DecimalBytes;
use kiln_datasets::{Dataset, STANDARD_INPUT, Source};
use kiln_inference::ModelFiles;
use kiln_model::{AutodiffBackend, ComputePrecision, GptConfig};
use kiln_training::{DeviceKind, OptimizerConfig, time_steps};

use super::print_message;
use crate::backend::{TrainingJob, device_kind, dispatch_training};
use crate::cli::training::{Shortcuts, Train};
use crate::commands::newest;
use crate::contents;

/// Minutes that a run takes if nobody says otherwise.
const MINUTES: f64 = 5.0;
/// Muon's peak: that of most who use it, whatever the size of the model.
const MUON_LEARNING_RATE: f64 = 0.02;
/// How often a small text is read at most: from then on it is only learned by heart.
const MOST_EPOCHS: f64 = 20.0;
/// More passes than this over so little text are worth a word.
const BY_HEART: f64 = 8.0;
/// How long steps are timed, after the first.
const TIMED: Duration = Duration::from_millis(700);
/// Bytes of a text whose size is not known before it is read.
const UNKNOWN: u64 = 1 << 20;

/// What is trained on a text.
#[derive(Clone, Debug, PartialEq)]
struct Recipe {
    tokenizer: &'static str,
    vocab_size: usize,
    bytes_per_token: f64,
    config: GptConfig,
    batch_size: usize,
    valid_fraction: f64,
}

impl Recipe {
    /// The recipe for so many bytes of text; a GPU affords larger models.
    fn new(bytes: u64, on_gpu: bool) -> Self {
        let kilobytes = bytes / 1000;
        // Below, a learned vocabulary would hold the text itself.
        let (tokenizer, vocab_size, bytes_per_token) = match kilobytes {
            0..100 => ("char", 100, 1.0),
            100..1_000 => ("bpe", 512, 2.2),
            1_000..10_000 => ("bpe", 1024, 2.7),
            10_000..100_000 => ("bpe", 4096, 3.5),
            _ => ("bpe", 8192, 3.8),
        };
        let [n_layers, n_heads, d_model, context_length, batch_size] = match (kilobytes, on_gpu) {
            (0..200, _) => [4, 4, 128, 128, 8],
            (_, false) if kilobytes < 3_000 => [4, 6, 192, 128, 16],
            (_, false) => [6, 8, 256, 256, 8],
            (_, true) if kilobytes < 30_000 => [6, 6, 384, 256, 64],
            (_, true) => [12, 12, 768, 1024, 32],
        };
        let config = GptConfig { vocab_size, context_length, ..GptConfig::new(n_layers, n_heads, d_model) };
        let valid_fraction = match kilobytes {
            0..1_000 => 0.1,
            1_000..100_000 => 0.05,
            _ => 0.01,
        };
        Self { tokenizer, vocab_size, bytes_per_token, config, batch_size, valid_fraction }
    }

    /// The recipe with what was asked for instead, as far as it is valid; `start` is the model that the run starts from.
    fn with(self, asked: &Shortcuts, start: Option<GptConfig>) -> Self {
        let preset = asked.preset.as_deref().and_then(GptConfig::preset);
        let preset = preset.map(|preset| GptConfig { vocab_size: self.config.vocab_size, ..preset });
        let config = start.or(preset).unwrap_or_else(|| self.config.clone());
        let context_length = asked.context.unwrap_or(config.context_length);
        let config = GptConfig { context_length, ..config };
        let config = if config.validate().is_ok() { config } else { self.config };
        Self { config, batch_size: asked.batch.unwrap_or(self.batch_size).max(1), ..self }
    }

    /// Tokens of the training split of so many bytes, about.
    fn tokens(&self, bytes: u64) -> f64 {
        bytes as f64 * (1.0 - self.valid_fraction) / self.bytes_per_token
    }

    fn tokens_of_a_step(&self) -> f64 {
        self.batch_size as f64 * self.config.context_length as f64
    }

    /// Steps for so many minutes at this speed, if the text has enough to read.
    fn steps(&self, bytes: u64, minutes: f64, tokens_per_second: f64) -> usize {
        let tokens = (minutes * 60.0 * tokens_per_second).min(self.tokens(bytes) * MOST_EPOCHS);
        ((tokens / self.tokens_of_a_step()) as usize).max(50)
    }

    fn optimizer(&self) -> OptimizerConfig {
        // Wider models want smaller steps.
        let learning_rate = (0.4 / self.config.d_model as f64 * 1e5).round() / 1e5;
        let muon_learning_rate = MUON_LEARNING_RATE;
        OptimizerConfig { learning_rate, muon_learning_rate, beta2: 0.99, ..OptimizerConfig::default() }
    }

    /// The configuration as a file says it.
    fn toml(&self, path: &Path, steps: usize, epochs: f64) -> String {
        // The largest number of a TOML file.
        let steps = steps.min(i64::MAX as usize);
        let GptConfig { n_layers, n_heads, d_model, context_length, .. } = self.config;
        let Self { tokenizer, vocab_size, batch_size, valid_fraction, .. } = self;
        let dropout = if epochs > 4.0 { 0.1 } else { 0.0 };
        let OptimizerConfig { learning_rate, muon_learning_rate, beta2, .. } = self.optimizer();
        let (warmup, interval) = ((steps / 20).max(1), (steps / 10).max(1));
        let path = toml::Value::String(path.display().to_string());
        format!(
            "[model]\ncontext_length = {context_length}\nd_model = {d_model}\nn_layers = {n_layers}\n\
             n_heads = {n_heads}\ndropout = {dropout:?}\n\
             [tokenizer]\nkind = \"{tokenizer}\"\nvocab_size = {vocab_size}\nchat = true\n\
             [data]\nsource = \"path\"\npath = {path}\nvalid_fraction = {valid_fraction}\n\
             [optimizer]\nlearning_rate = {learning_rate}\nmuon_learning_rate = {muon_learning_rate:?}\n\
             beta2 = {beta2}\n\
             [schedule]\nwarmup_steps = {warmup}\ndecay = \"linear\"\n\
             [training]\nsteps = {steps}\nbatch_size = {batch_size}\neval_interval = {interval}\neval_batches = 20\n"
        )
    }
}

/// The configuration for the text that was named, and what messages call it.
pub(super) fn recipe(args: &Train, path: &Path) -> Result<(String, String)> {
    contents::check_text(path)?;
    let bytes = size(path)?;
    let on_gpu = matches!(device_kind(&args.backend)?, DeviceKind::LibtorchGpu(_) | DeviceKind::Device(_));
    let recipe = Recipe::new(bytes, on_gpu);
    let minutes = args.short.minutes.unwrap_or(MINUTES);
    // Timed as it is: what was asked for instead need not fit into memory, and is told so later.
    let timed = dispatch_training(&args.backend, Timing { recipe: recipe.clone() })?;
    let (before, recipe) = (recipe.config.num_parameters(), recipe.with(&args.short, model(args)?));
    // A token costs about as much as the model has parameters.
    let speed = timed * before as f64 / recipe.config.num_parameters() as f64;
    let steps = args.short.steps.unwrap_or_else(|| recipe.steps(bytes, minutes, speed));
    let epochs = steps as f64 * recipe.tokens_of_a_step() / recipe.tokens(bytes);
    let tokenizer = match (&args.init_from, recipe.tokenizer) {
        (Some(model), _) => format!("the tokens of {}", model.display()),
        (None, "char") => "characters".to_owned(),
        (None, kind) => format!("{kind} with {} tokens", recipe.vocab_size),
    };
    tell(&recipe, &tokenizer, path, bytes, steps, epochs, speed);
    let name = format!("the recipe for {}", path.display());
    Ok((name, recipe.toml(path, steps, epochs)))
}

/// The model that the run starts from, if that is another one.
fn model(args: &Train) -> Result<Option<GptConfig>> {
    let Some(named) = &args.init_from else { return Ok(None) };
    let files = ModelFiles::open(newest::model_directory(Some(named))?)?;
    Ok(Some(files.config().clone()))
}

/// Bytes of text.
fn size(path: &Path) -> Result<u64> {
    if Dataset::is_in(path) {
        let entries = std::fs::read_dir(path)?.filter_map(|entry| entry.ok()?.metadata().ok());
        // A token of two bytes stands for about four.
        return Ok(2 * entries.map(|file| file.len()).sum::<u64>());
    }
    if path == Path::new(STANDARD_INPUT) {
        return Ok(UNKNOWN);
    }
    let bytes: u64 = Source::new(path).files()?.iter().map(|file| file.size).sum();
    Ok(if bytes == 0 { UNKNOWN } else { bytes })
}

/// What was chosen, in two lines, and a word where there is little to learn from.
fn tell(
    recipe: &Recipe,
    tokenizer: &str,
    path: &Path,
    bytes: u64,
    steps: usize,
    epochs: f64,
    tokens_per_second: f64,
) {
    let GptConfig { n_layers, d_model, context_length, .. } = recipe.config;
    let parameters = recipe.config.num_parameters() as f64 / 1e6;
    print_message(format_args!(
        "{}: {} of text, {:.0} % of it for validation: {parameters:.1} M parameters ({n_layers} layers of width {d_model}, \
         context {context_length}), {tokenizer}",
        path.display(),
        DecimalBytes(bytes),
        recipe.valid_fraction * 100.0,
    ));
    let seconds = steps as f64 * recipe.tokens_of_a_step() / tokens_per_second;
    print_message(format_args!(
        "{steps} steps of {} windows, {epochs:.1} times through the text, about {} on this machine; --minutes, --steps, --batch, \
         --context and --lr change that, --dry-run shows all of it",
        recipe.batch_size,
        if seconds < 90.0 {
            format!("{seconds:.0} seconds")
        } else {
            format!("{:.0} minutes", seconds / 60.0)
        },
    ));
    if epochs > BY_HEART {
        print_message(format_args!(
            "so little text is learned by heart rather than understood: look at the validation loss, or find more text"
        ));
    }
}

/// Tokens a second of the recipe's model.
struct Timing {
    recipe: Recipe,
}

impl TrainingJob for Timing {
    type Output = f64;

    fn run<B: AutodiffBackend>(self, device: B::Device, _name: &'static str) -> Result<f64> {
        let Recipe { config, batch_size, .. } = &self.recipe;
        let enough = |steps: &[Duration]| steps.iter().sum::<Duration>() >= TIMED;
        let optimizer = self.recipe.optimizer();
        let times = time_steps::<B>(config, &optimizer, *batch_size, ComputePrecision::F32, &device, enough)?;
        let total: Duration = times.steps.iter().sum();
        Ok((times.tokens * times.steps.len()) as f64 / total.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings;

    #[test]
    fn more_text_makes_a_larger_model_that_every_size_can_be_configured_for() {
        let mut before = 0;
        for on_gpu in [false, true] {
            for bytes in [500, 20_000, 400_000, 1_100_000, 20_000_000, 3_000_000_000_u64] {
                let recipe = Recipe::new(bytes, on_gpu);
                let steps = recipe.steps(bytes, 5.0, 3000.0);
                let text = recipe.toml(Path::new("my \"book\".txt"), steps, 1.0);
                let (settings, origin) = settings::parse("a recipe".into(), text, &[]).expect("valid");
                assert_eq!(
                    settings.model.config(recipe.vocab_size).expect("valid").d_model,
                    recipe.config.d_model
                );
                assert_eq!(settings.data.path.as_deref(), Some(Path::new("my \"book\".txt")));
                assert!(origin.notes().is_empty(), "{:?}", origin.notes());
                let parameters = recipe.config.num_parameters();
                assert!(parameters >= before || bytes == 500, "{bytes} bytes");
                before = parameters;
            }
        }
    }

    #[test]
    fn what_is_asked_for_is_what_is_told() {
        let asked = Shortcuts { batch: Some(32), context: Some(64), ..Shortcuts::default() };
        let recipe = Recipe::new(20_000, false).with(&asked, None);
        assert_eq!(recipe.tokens_of_a_step(), 32.0 * 64.0);
        let asked = Shortcuts { preset: Some("gpt2".to_owned()), ..Shortcuts::default() };
        let recipe = Recipe::new(20_000, false).with(&asked, None);
        assert_eq!((recipe.config.d_model, recipe.config.vocab_size), (768, 100));
    }

    #[test]
    fn steps_fill_the_time_unless_the_text_is_short() {
        let recipe = Recipe::new(1_100_000, false);
        let tokens = |steps: usize| steps as f64 * recipe.tokens_of_a_step();
        let five = tokens(recipe.steps(1_100_000, 5.0, 4000.0));
        assert!((five / (300.0 * 4000.0) - 1.0).abs() < 0.01, "{five}");
        let short = Recipe::new(20_000, false);
        let epochs = |steps: usize| steps as f64 * short.tokens_of_a_step() / short.tokens(20_000);
        assert!(epochs(short.steps(20_000, 60.0, 10_000.0)) <= MOST_EPOCHS);
    }
}
