//! Sparse autoencoders, as they are typed.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::common::{BackendArgs, PRINTING};

/// `kiln sae`
#[derive(Subcommand, Debug)]
#[command(after_help = EXAMPLES)]
pub enum Sae {
    /// Learn the directions of which a model's vectors are sums.
    Train(SaeTrain),
    /// Measure how much of the vectors, and of the model's predictions, an autoencoder gives back.
    Eval(SaeEval),
    /// Show what each feature stands for.
    Features(SaeFeatures),
}

const EXAMPLES: &str = "Examples:
  kiln sae train --model runs/tales --out runs/sae
  kiln sae eval runs/sae --model runs/tales
  kiln sae features runs/sae --model runs/tales --find fox
  kiln sae train --model smollm2.gguf --data book.txt --tokens 500000 --out runs/book-sae
  kiln sae train --out runs/sae --resume";

/// The heading of what stands for a `--set`.
const SHORTCUTS: &str = "Instead of --set";

/// `kiln sae train`
#[derive(Args, Debug)]
pub struct SaeTrain {
    /// Model to look into: a directory, a .gguf file, the name of a run in runs/ or of a fetched model.
    #[arg(short, long, value_name = "MODEL", required_unless_present = "resume")]
    pub model: Option<PathBuf>,
    /// Where the run is written; default: the next free runs/sae.
    #[arg(short, long, value_name = "DIR", alias = "run-dir")]
    pub out: Option<PathBuf>,
    /// What the model reads: a file, a folder, or tales, which never end; default: what a run was trained on.
    #[arg(short, long, value_name = "PATH")]
    pub data: Option<PathBuf>,
    /// Change one key of the configuration; may be repeated. `kiln config sae` lists them.
    #[arg(short, long, value_name = "SECTION.KEY=VALUE")]
    pub set: Vec<String>,
    /// Place in the model, on its residual stream: sae.hook; default: behind the block in the middle.
    #[arg(long, value_name = "NAME", help_heading = SHORTCUTS)]
    pub hook: Option<String>,
    /// Number of features: sae.d_sae; default: eight times the width of the model.
    #[arg(long, value_name = "N", help_heading = SHORTCUTS, alias = "d_sae")]
    pub d_sae: Option<usize>,
    /// Active features of a vector, on the average: sae.k.
    #[arg(long, value_name = "K", help_heading = SHORTCUTS)]
    pub k: Option<usize>,
    /// Vectors to learn from, which are as many tokens: training.steps times training.batch_size.
    #[arg(long, value_name = "N", help_heading = SHORTCUTS, conflicts_with = "steps")]
    pub tokens: Option<usize>,
    /// Optimizer updates: training.steps.
    #[arg(long, value_name = "N", help_heading = SHORTCUTS)]
    pub steps: Option<usize>,
    /// Peak learning rate: optimizer.learning_rate.
    #[arg(long, value_name = "RATE", help_heading = SHORTCUTS, alias = "learning-rate")]
    pub lr: Option<f64>,
    /// Decides first directions and the order of vectors: training.seed.
    #[arg(long, value_name = "S", help_heading = SHORTCUTS)]
    pub seed: Option<u64>,
    /// Print the whole configuration, and write nothing.
    #[arg(long, conflicts_with = "resume")]
    pub dry_run: bool,
    /// Resume the run in --out from its newest checkpoint.
    #[arg(long)]
    pub resume: bool,
    /// Print plain lines instead of the dashboard.
    #[arg(long)]
    pub plain: bool,
    #[command(flatten)]
    pub backend: BackendArgs,
}

impl SaeTrain {
    /// Everything that changes the configuration, as `--set` has it; the last one wins.
    pub fn changes(&self) -> Vec<String> {
        fn change(key: &str, value: &Option<impl ToString>) -> Option<String> {
            value.as_ref().map(|value| format!("{key}={}", value.to_string()))
        }
        let text = |text: String| toml::Value::from(text).to_string();
        let changes = [
            change("sae.model", &self.model.as_ref().map(|model| text(model.display().to_string()))),
            change("sae.hook", &self.hook.clone().map(text)),
            change("sae.d_sae", &self.d_sae),
            change("sae.k", &self.k),
            change("training.steps", &self.steps),
            change("optimizer.learning_rate", &self.lr.map(|rate| format!("{rate:?}"))),
            change("training.seed", &self.seed),
        ];
        changes.into_iter().flatten().chain(self.set.iter().cloned()).collect()
    }
}

/// An autoencoder, by its place or by the option.
#[derive(Args, Debug, Clone)]
pub struct NamedSae {
    /// Autoencoder: a directory as SAELens has it, or a run of `kiln sae train`.
    #[arg(value_name = "SAE", required_unless_present = "sae")]
    target: Option<PathBuf>,
    /// The same as SAE.
    #[arg(long, value_name = "SAE", conflicts_with = "target")]
    sae: Option<PathBuf>,
}

impl NamedSae {
    /// What was named.
    pub fn path(&self) -> &Path {
        self.target.as_deref().or(self.sae.as_deref()).unwrap_or(Path::new("."))
    }
}

/// An autoencoder, its model, and what that reads.
#[derive(Args, Debug, Clone)]
pub struct SaeArgs {
    #[command(flatten)]
    pub sae: NamedSae,
    /// Model that it looks into: a directory, a .gguf file, the name of a run in runs/ or of a fetched model.
    #[arg(short, long, value_name = "MODEL")]
    pub model: PathBuf,
    /// What the model reads: a file, a folder, or tales; default: what a run was trained on.
    #[arg(short, long, value_name = "PATH")]
    pub data: Option<PathBuf>,
    /// Tokens to read.
    #[arg(long, value_name = "N")]
    pub tokens: Option<usize>,
    /// Decides which texts are read.
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,
    #[command(flatten)]
    pub backend: BackendArgs,
}

/// `kiln sae eval`
#[derive(Args, Debug)]
pub struct SaeEval {
    #[command(flatten)]
    pub common: SaeArgs,
    /// Train another autoencoder in the same way, on the model before its first step, and measure that too.
    #[arg(long)]
    pub control: bool,
    /// Write the vectors, what the autoencoder makes of them, and the tokens, as tensors of a safetensors file.
    #[arg(long, value_name = "FILE")]
    pub vectors: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long, help_heading = PRINTING)]
    pub json: bool,
}

/// `kiln sae features`
#[derive(Args, Debug)]
pub struct SaeFeatures {
    #[command(flatten)]
    pub common: SaeArgs,
    /// List the features that tell, or foretell, this word.
    #[arg(long, value_name = "WORD")]
    pub find: Option<String>,
    /// Write a page that shows every feature.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Write every feature as JSON, as Neuronpedia reads it.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// List so many features.
    #[arg(long, value_name = "N", default_value_t = 20, help_heading = PRINTING)]
    pub top: usize,
}
