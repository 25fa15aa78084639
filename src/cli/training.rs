//! Training, sweeping and reporting, as it is typed.

use std::path::{Path, PathBuf};

use clap::Args;
use kiln_training::Part;

use super::common::BackendArgs;
use crate::commands::newest::RUNS;

const TRAIN_EXAMPLES: &str = "Examples:
  kiln train my-book.txt --minutes 10
  kiln train --config shakespeare-char-cpu --set data.path=tinyshakespeare.txt
  kiln train --run-dir runs/tales --resume
  kiln train --init-from runs/tales --set optimizer.learning_rate=1e-4
`kiln config` lists every key.";

/// The heading of what stands for a `--set`.
const SHORTCUTS: &str = "Instead of --set";

const SWEEP_EXAMPLES: &str = "Examples:
  kiln sweep --grid optimizer.learning_rate=1e-3,3e-3
  kiln sweep --grid model.n_layers=2,4 --grid model.dropout=0.0,0.1 --set training.steps=500";

const REPORT_EXAMPLES: &str = "Examples:
  kiln report --open                    the newest run
  kiln report tales tales-2 -o both.html
  kiln report runs/sweep                all runs of a sweep";

/// `kiln train`
#[derive(Args, Debug, Default)]
#[command(after_help = TRAIN_EXAMPLES)]
pub struct Train {
    /// Text to learn from, a file or a folder: the recipe is then chosen for it, unless --config names one.
    #[arg(value_name = "TEXT")]
    pub text: Option<PathBuf>,
    /// The run's configuration: a file, or the name of a recipe; default: ./Config.toml if there is one, else the one built in.
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Change one key of the configuration; may be repeated. `kiln config` lists them.
    #[arg(short, long, value_name = "SECTION.KEY=VALUE")]
    pub set: Vec<String>,
    #[command(flatten)]
    pub short: Shortcuts,
    /// Where the run is written; default: training.run_dir, or the next free runs/NAME.
    #[arg(long, value_name = "DIR")]
    pub run_dir: Option<PathBuf>,
    /// Print the whole configuration and what it needs in memory, and write nothing.
    #[arg(long, conflicts_with = "resume")]
    pub dry_run: bool,
    /// Resume the run in --run-dir from its newest checkpoint.
    #[arg(long)]
    pub resume: bool,
    /// Start from the weights and tokenizer of a model instead of random ones: a directory, the name of a run in runs/
    /// or of a fetched model.
    #[arg(long, value_name = "MODEL", conflicts_with = "resume")]
    pub init_from: Option<PathBuf>,
    /// Print plain lines instead of the dashboard.
    #[arg(long)]
    pub plain: bool,
    /// Which run of a sweep it is: it ends when the sweep, at the other end of its standard input, does.
    #[arg(long, hide = true, value_name = "NUMBER/OF")]
    pub part: Option<Part>,
    #[command(flatten)]
    pub backend: BackendArgs,
}

/// What is changed most often; each stands for a `--set`, which wins over it.
// The names that nanoGPT, litgpt and transformers have for them work too.
#[derive(Args, Debug, Default)]
pub struct Shortcuts {
    /// The same as TEXT.
    #[arg(long, value_name = "TEXT", conflicts_with = "text", help_heading = SHORTCUTS)]
    pub data: Option<PathBuf>,
    /// Optimizer updates: training.steps.
    #[arg(long, value_name = "N", help_heading = SHORTCUTS)]
    #[arg(aliases = ["max-steps", "max_steps", "max-iters", "max_iters", "iters"])]
    pub steps: Option<usize>,
    /// Minutes after which the run stops; a recipe chosen for a text also aims at them: training.max_minutes.
    #[arg(long, value_name = "M", value_parser = minutes, help_heading = SHORTCUTS)]
    #[arg(aliases = ["max-minutes", "max_minutes"])]
    pub minutes: Option<f64>,
    /// Peak learning rate of AdamW: optimizer.learning_rate.
    #[arg(long, value_name = "RATE", help_heading = SHORTCUTS, aliases = ["learning-rate", "learning_rate"])]
    pub lr: Option<f64>,
    /// Windows in a batch: training.batch_size.
    #[arg(long, value_name = "B", help_heading = SHORTCUTS, aliases = ["batch-size", "batch_size"])]
    pub batch: Option<usize>,
    /// Tokens in a window: model.context_length.
    #[arg(long, value_name = "T", help_heading = SHORTCUTS)]
    #[arg(aliases = ["context-length", "context_length", "block-size", "block_size", "seq-len", "seq_len"])]
    pub context: Option<usize>,
    /// A published architecture, such as gpt2: model.preset.
    #[arg(long, value_name = "NAME", help_heading = SHORTCUTS)]
    pub preset: Option<String>,
}

pub(super) fn minutes(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(minutes) if minutes.is_finite() && minutes > 0.0 => Ok(minutes),
        _ => Err("must be a positive number".to_owned()),
    }
}

impl Train {
    /// The text that was named, in either way.
    pub fn named_text(&self) -> Option<&Path> {
        self.text.as_deref().or(self.short.data.as_deref())
    }

    /// Everything that changes the configuration, as `--set` has it; the last one wins.
    pub fn changes(&self) -> Vec<String> {
        let Shortcuts { steps, minutes, lr, batch, context, preset, .. } = &self.short;
        fn change(key: &str, value: &Option<impl ToString>) -> Option<String> {
            value.as_ref().map(|value| format!("{key}={}", value.to_string()))
        }
        // A model that was trained before, most likely with AdamW, stays with it.
        let of_start = (self.init_from.is_some() && self.config.is_none()).then_some(0.0);
        let shortcuts = [
            change("optimizer.muon_learning_rate", &of_start),
            change("data.path", &self.named_text().map(Path::display)),
            change("model.preset", preset),
            change("model.context_length", context),
            change("training.steps", steps),
            // With a point or an exponent: a long row of digits would be no number of TOML.
            change("training.max_minutes", &minutes.map(|minutes| format!("{minutes:?}"))),
            change("training.batch_size", batch),
            change("optimizer.learning_rate", &lr.map(|rate| format!("{rate:?}"))),
        ];
        shortcuts.into_iter().flatten().chain(self.set.iter().cloned()).collect()
    }
}

/// `kiln sweep`
#[derive(Args, Debug)]
#[command(after_help = SWEEP_EXAMPLES)]
pub struct Sweep {
    /// The configuration that all runs share: a file, or the name of a recipe; default: ./Config.toml if there is one, else the
    /// one built in.
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Change one key of it; may be repeated.
    #[arg(short, long, value_name = "SECTION.KEY=VALUE")]
    pub set: Vec<String>,
    /// Values to try for a key; may be repeated, and then every combination is tried.
    #[arg(short, long, value_name = "SECTION.KEY=VALUE,…", required = true, num_args = 1..)]
    pub grid: Vec<String>,
    /// Where the runs are written; the same command resumes them there.
    #[arg(long, value_name = "DIR", default_value = "runs/sweep")]
    pub dir: PathBuf,
    /// Print plain lines instead of the dashboard.
    #[arg(long)]
    pub plain: bool,
    /// Print the table as one JSON object.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub backend: BackendArgs,
}

/// `kiln runs`
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  kiln runs\n  kiln runs runs/sweep --json")]
pub struct Runs {
    /// Folder of the runs; those in its folders, such as a sweep's, are listed as well.
    #[arg(value_name = "FOLDER", default_value = RUNS)]
    pub folder: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// `kiln config`
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  kiln config optimizer\n  kiln config learning_rate\n  kiln config --file > my-run.toml"
)]
pub struct Config {
    /// Only this section or key, such as `training` or `learning_rate`.
    #[arg(value_name = "SECTION|KEY")]
    pub key: Option<String>,
    /// Print the file of the default run instead, to start one's own from.
    #[arg(long, conflicts_with = "key")]
    pub file: bool,
}

/// `kiln report`
#[derive(Args, Debug)]
#[command(after_help = REPORT_EXAMPLES)]
pub struct Report {
    /// Run directories, names of runs in runs/, or folders of runs; default: the newest run.
    #[arg(value_name = "RUN")]
    pub runs: Vec<PathBuf>,
    /// The page to write.
    #[arg(short = 'o', long, visible_alias = "output", value_name = "FILE", default_value = "report.html")]
    pub to: PathBuf,
    /// Show the page in the browser.
    #[arg(long)]
    pub open: bool,
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        train: Train,
    }

    #[test]
    fn a_run_that_starts_from_a_model_keeps_to_adamw_unless_it_is_told_otherwise() {
        let adamw = "optimizer.muon_learning_rate=0".to_owned();
        let changes = |args: &[&str]| Program::parse_from([&["kiln"], args].concat()).train.changes();
        assert_eq!(changes(&["--init-from", "gpt2"]), std::slice::from_ref(&adamw));
        assert!(
            changes(&[]).is_empty() && changes(&["--init-from", "gpt2", "--config", "a.toml"]).is_empty()
        );
        let own = "optimizer.muon_learning_rate=0.01".to_owned();
        assert_eq!(changes(&["--init-from", "gpt2", "--set", &own]), [adamw, own]);
    }
}
