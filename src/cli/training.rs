//! Training, sweeping and reporting, as it is typed.

use std::path::PathBuf;

use clap::Args;
use kiln_training::Part;

use super::common::BackendArgs;
use crate::commands::newest::RUNS;

/// `kiln train`
#[derive(Args, Debug, Default)]
pub struct Train {
    /// The run's configuration; default: ./Config.toml if there is one, else the one built in.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Change one key of the configuration; may be repeated.
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    pub set: Vec<String>,
    /// Where the run is written; default: training.run_dir, or the next free runs/NAME.
    #[arg(long, value_name = "DIR")]
    pub run_dir: Option<PathBuf>,
    /// Resume the run in --run-dir from its newest checkpoint.
    #[arg(long)]
    pub resume: bool,
    /// Start from the weights and tokenizer of a model instead of random ones.
    #[arg(long, value_name = "MODEL_DIR", conflicts_with = "resume")]
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

/// `kiln sweep`
#[derive(Args, Debug)]
pub struct Sweep {
    /// The configuration that all runs share; default: ./Config.toml if there is one, else the one built in.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Change one key of it; may be repeated.
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    pub set: Vec<String>,
    /// Values to try for a key; may be repeated, and then every combination is tried.
    #[arg(long, value_name = "SECTION.KEY=VALUE,…", required = true, num_args = 1..)]
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
pub struct Report {
    /// Run directories, names of runs in runs/, or folders of runs; default: the newest run.
    #[arg(value_name = "RUN")]
    pub runs: Vec<PathBuf>,
    /// The page to write.
    #[arg(long, value_name = "FILE", default_value = "report.html")]
    pub to: PathBuf,
}
