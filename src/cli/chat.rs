//! Talking with a model, as it is typed.

use std::path::PathBuf;

use clap::Args;
use kiln_inference::ChatSettings;
use kiln_model::Precision;

use super::common::{AdapterArgs, BackendArgs};
use super::precision::in_memory;
use super::sampling::{SamplingArgs, count, stop};
use super::steering::SteeringArgs;

const EXAMPLES: &str = "Examples:
  kiln chat instruct
  kiln chat --model instruct \"Tell a tale about Ben and the tent.\"
  kiln chat --model SmolLM2-135M-Instruct.Q4_1.gguf --system \"Answer in one sentence.\"
  cat letter.txt | kiln chat --model my-model \"What does this letter ask for?\"";

/// `kiln chat`
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Chat {
    /// Model or run: a directory, a .gguf file, the name of a run in runs/ or of a fetched model; default: the newest run.
    #[arg(value_name = "MODEL|RUN")]
    pub target: Option<PathBuf>,
    /// Say this, print the reply, and leave; text that is piped in stands below it.
    pub prompt: Option<String>,
    /// The same as MODEL|RUN; the first argument is then PROMPT.
    #[arg(short, long, value_name = "MODEL", conflicts_with = "prompt")]
    pub model: Option<PathBuf>,
    /// How the model is to behave.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, alias = "system-prompt")]
    pub system: Option<String>,
    /// How a conversation becomes a text: chatml, alpaca, plain, or a Jinja file; default: the template of the model.
    #[arg(long, value_name = "NAME|FILE", alias = "chat-template")]
    pub template: Option<String>,
    /// After each reply, show tokens per second, the time to its first token, and how much of the context is used.
    #[arg(short, long)]
    pub verbose: bool,
    /// Most tokens of a reply; -1: as many as the context has room for.
    #[arg(long, value_name = "N", default_value = "-1", value_parser = count, allow_negative_numbers = true)]
    #[arg(aliases = ["max_tokens", "max-new-tokens", "max_new_tokens", "n-predict", "predict"])]
    pub max_tokens: usize,
    /// End a reply before this string, where \n, \t and \\ stand for a line break, a tab and a backslash; may be repeated.
    #[arg(short = 'r', long, value_name = "TEXT", value_parser = stop, allow_hyphen_values = true)]
    #[arg(aliases = ["reverse-prompt", "stop-string", "stop-strings", "stop_strings"])]
    pub stop: Vec<String>,
    #[command(flatten)]
    pub sampling: SamplingArgs,
    #[command(flatten)]
    pub steering: SteeringArgs,
    #[command(flatten)]
    pub adapter: AdapterArgs,
    /// Number format of the weights; fewer bits are read faster and cost a little accuracy.
    #[arg(long, value_parser = in_memory(), default_value = "f32", help_heading = "Where to compute")]
    pub dtype: Precision,
    #[command(flatten)]
    pub backend: BackendArgs,
}

impl Chat {
    /// How replies are made, unchecked.
    pub fn settings(&self) -> ChatSettings {
        ChatSettings {
            max_tokens: Some(self.max_tokens).filter(|most| *most < usize::MAX),
            stop: self.stop.clone(),
            seed: self.sampling.seed(),
            sampling: self.sampling.sampling(),
        }
    }
}
