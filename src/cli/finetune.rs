//! Fine-tuning, as it is typed.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::common::{AdapterArgs, BackendArgs, PRINTING};
use super::training::minutes;
use crate::settings::Task;

/// `kiln finetune`
#[derive(Subcommand, Debug)]
#[command(after_help = EXAMPLES)]
pub enum Finetune {
    /// Learn the label of a text: spam or not, one of many topics.
    Classify {
        #[command(flatten)]
        tuning: Tuning,
        /// Take as many texts of each label as the rarest one has.
        #[arg(long)]
        balanced: bool,
    },
    /// Learn to answer: prompts and answers, or whole conversations.
    #[command(alias = "sft")]
    Instruct {
        #[command(flatten)]
        tuning: Tuning,
        #[command(flatten)]
        conversations: Conversations,
        /// Let the prompt count too, not the answer alone.
        #[arg(long)]
        train_on_prompt: bool,
    },
    /// Learn which of two answers is the better one.
    #[command(alias = "preference")]
    Dpo {
        #[command(flatten)]
        tuning: Tuning,
        #[command(flatten)]
        conversations: Conversations,
        /// What is minimised.
        #[arg(long, value_enum, value_name = "NAME")]
        loss: Option<Loss>,
        /// How strongly the model is held to the one that the run starts from.
        #[arg(long, value_name = "B")]
        beta: Option<f64>,
    },
}

const EXAMPLES: &str = "Examples:
  kiln finetune instruct --model runs/tales --data tales
  kiln finetune classify --model gpt2 --data spam.csv --balanced
  kiln finetune instruct --model smollm2.gguf --data instructions.json --lora 8
  kiln finetune dpo --model runs/instruct --data preferences.json
  kiln finetune instruct --run-dir runs/instruct --resume";

/// The heading of what stands for a `--set`.
const SHORTCUTS: &str = "Instead of --set";

/// What every task has.
#[derive(Args, Debug)]
pub struct Tuning {
    /// Model to start from: a directory, a .gguf file, the name of a run in runs/ or of a fetched model.
    #[arg(short, long, value_name = "MODEL", required_unless_present_any = ["resume", "config"])]
    pub model: Option<PathBuf>,
    /// Examples to learn from: .json, .jsonl, .csv, .tsv or .parquet.
    #[arg(short, long, value_name = "FILE", required_unless_present_any = ["resume", "config"])]
    pub data: Option<PathBuf>,
    /// Examples to evaluate on; default: some of --data.
    #[arg(long, value_name = "FILE")]
    pub valid: Option<PathBuf>,
    /// Examples to measure the best model on, at the end; default: some of --data, unless --valid names others.
    #[arg(long, value_name = "FILE")]
    pub test: Option<PathBuf>,
    /// The run's configuration: a file, or the name of a recipe; default: one for the model and the task.
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Change one key of the configuration; may be repeated. `kiln config finetune` lists them.
    #[arg(short, long, value_name = "SECTION.KEY=VALUE")]
    pub set: Vec<String>,
    /// Leave the model as it is and learn an adapter of this rank (LoRA) beside all linear maps, with an alpha of twice that.
    #[arg(long, value_name = "RANK", num_args = 0..=1, default_missing_value = "8")]
    pub lora: Option<u16>,
    /// Passes over the examples: finetune.epochs.
    #[arg(long, value_name = "N", help_heading = SHORTCUTS, alias = "num-epochs")]
    pub epochs: Option<f64>,
    /// Optimizer updates: training.steps, instead of --epochs.
    #[arg(long, value_name = "N", help_heading = SHORTCUTS, conflicts_with = "epochs")]
    #[arg(aliases = ["max-steps", "max_steps", "iters"])]
    pub steps: Option<usize>,
    /// Minutes after which the run stops: training.max_minutes.
    #[arg(long, value_name = "M", value_parser = minutes, help_heading = SHORTCUTS)]
    pub minutes: Option<f64>,
    /// Peak learning rate: optimizer.learning_rate.
    #[arg(long, value_name = "RATE", help_heading = SHORTCUTS, aliases = ["learning-rate", "learning_rate"])]
    pub lr: Option<f64>,
    /// Examples in a batch: training.batch_size.
    #[arg(long, value_name = "B", help_heading = SHORTCUTS, aliases = ["batch-size", "batch_size"])]
    pub batch: Option<usize>,
    /// Print the first N examples with what counts marked, and write nothing.
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "3", conflicts_with = "resume")]
    pub show_examples: Option<usize>,
    /// Print the whole configuration and what it needs in memory, and write nothing.
    #[arg(long, conflicts_with = "resume")]
    pub dry_run: bool,
    /// Where the run is written; default: training.run_dir, or the next free runs/TASK.
    #[arg(long, value_name = "DIR")]
    pub run_dir: Option<PathBuf>,
    /// Resume the run in --run-dir from its newest checkpoint.
    #[arg(long)]
    pub resume: bool,
    /// Print plain lines instead of the dashboard.
    #[arg(long)]
    pub plain: bool,
    #[command(flatten)]
    pub backend: BackendArgs,
}

/// How conversations become text.
#[derive(Args, Debug)]
pub struct Conversations {
    /// Template of conversations: model (the model's own), chatml, alpaca, plain, or a file; default: what fits the model.
    #[arg(long, value_name = "NAME|FILE")]
    pub template: Option<String>,
}

/// What learning preferences minimises.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
#[value(rename_all = "snake_case")]
pub enum Loss {
    /// Of sums over the tokens of an answer.
    Sigmoid,
    /// Of means, so that long answers weigh no more than short ones.
    SigmoidNorm,
    /// The squared distance from a margin.
    Ipo,
}

impl Finetune {
    /// What is learned.
    pub fn task(&self) -> Task {
        match self {
            Self::Classify { .. } => Task::Classify,
            Self::Instruct { .. } => Task::Instruct,
            Self::Dpo { .. } => Task::Dpo,
        }
    }

    /// What every task has.
    pub fn tuning(&self) -> &Tuning {
        match self {
            Self::Classify { tuning, .. } | Self::Instruct { tuning, .. } | Self::Dpo { tuning, .. } => {
                tuning
            }
        }
    }

    /// Everything that changes the configuration, as `--set` has it; the last one wins.
    pub fn changes(&self) -> Vec<String> {
        let path = |key: &str, path: &Option<PathBuf>| {
            path.as_ref()
                .map(|path| format!("finetune.{key}={}", toml::Value::from(path.display().to_string())))
        };
        fn change(key: &str, value: &Option<impl ToString>) -> Option<String> {
            value.as_ref().map(|value| format!("{key}={}", value.to_string()))
        }
        let flag = |key: &str, set: bool| set.then(|| format!("finetune.{key}=true"));
        let tuning = self.tuning();
        let number = |number: &Option<f64>| number.map(|number| format!("{number:?}"));
        let mut changes = vec![
            Some(format!("finetune.task={}", self.task())),
            path("model", &tuning.model),
            path("data", &tuning.data),
            path("valid", &tuning.valid),
            path("test", &tuning.test),
            change("lora.rank", &tuning.lora),
            change("lora.alpha", &number(&tuning.lora.map(|rank| f64::from(rank) * 2.0))),
            tuning.lora.map(|_| "lora.targets=all-linear".to_owned()),
            change("finetune.epochs", &number(&tuning.epochs)),
            change("training.steps", &tuning.steps),
            change("training.max_minutes", &number(&tuning.minutes)),
            change("optimizer.learning_rate", &number(&tuning.lr)),
            change("training.batch_size", &tuning.batch),
        ];
        match self {
            Self::Classify { balanced, .. } => changes.push(flag("balanced", *balanced)),
            Self::Instruct { conversations, train_on_prompt, .. } => {
                changes.push(change("finetune.template", &conversations.template));
                changes.push(flag("train_on_prompt", *train_on_prompt));
            }
            Self::Dpo { conversations, loss, beta, .. } => {
                changes.push(change("finetune.template", &conversations.template));
                changes.push(loss.and_then(|loss| {
                    Some(format!("finetune.loss={}", loss.to_possible_value()?.get_name()))
                }));
                changes.push(change("finetune.beta", &number(beta)));
            }
        }
        changes.into_iter().flatten().chain(tuning.set.iter().cloned()).collect()
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|number| *number > 0)
        .ok_or_else(|| "must be a whole number from 1 on".to_owned())
}

/// `kiln classify`
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  kiln classify --model runs/classify --text \"You have won!\"\n  kiln classify --model runs/classify --file messages.txt --json"
)]
pub struct Classify {
    /// Classifier: a directory, or the name of a run in runs/.
    #[arg(short, long, value_name = "MODEL")]
    pub model: PathBuf,
    #[command(flatten)]
    pub input: ClassifyInput,
    #[command(flatten)]
    pub adapter: AdapterArgs,
    /// Texts that are computed at a time.
    #[arg(long, value_name = "B", default_value = "32", value_parser = at_least_one)]
    pub batch_size: usize,
    /// Print a JSON object for each text, with the probability of each label.
    #[arg(long, help_heading = PRINTING)]
    pub json: bool,
    #[command(flatten)]
    pub backend: BackendArgs,
}

/// What to classify.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub struct ClassifyInput {
    /// Text to classify.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub text: Option<String>,
    /// File with a text on each line; - reads standard input.
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
}
