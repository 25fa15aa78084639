//! `kiln serve`, as it is typed.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;
use kiln_model::Precision;

use super::common::{AdapterArgs, BackendArgs};
use super::precision::in_memory;
use super::steering::KitArgs;

/// `kiln serve`
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Serve {
    /// Model or run: a directory, the name of a run in runs/ or of a fetched model; default: the newest run.
    #[arg(value_name = "MODEL|RUN", conflicts_with = "model")]
    pub target: Option<PathBuf>,
    /// The same as MODEL|RUN.
    #[arg(short, long, value_name = "MODEL")]
    pub model: Option<PathBuf>,
    #[command(flatten)]
    pub adapter: AdapterArgs,
    #[command(flatten)]
    pub kit: KitArgs,
    /// How a conversation becomes a text: chatml, alpaca, plain, or a Jinja file; default: the model's own template.
    #[arg(long, value_name = "NAME|FILE")]
    pub chat_template: Option<String>,
    /// Tokenizer, for a model directory without one: gpt2, cl100k_base, …, or a directory.
    #[arg(long, value_name = "NAME|DIR")]
    pub tokenizer: Option<String>,
    /// Address to listen at; 0.0.0.0 is every one of this machine.
    #[arg(help_heading = REACHING, long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub host: IpAddr,
    /// Port to listen at; 0: any that is free.
    #[arg(help_heading = REACHING, long, value_name = "PORT", default_value_t = 8080)]
    pub port: u16,
    /// Ask clients for the key that stands in this file; or set KILN_API_KEY to the key.
    #[arg(help_heading = REACHING, long, value_name = "FILE")]
    pub api_key_file: Option<PathBuf>,
    /// Answer to this name too, besides those of this machine; * for any; may be repeated.
    #[arg(help_heading = REACHING, long, value_name = "NAME")]
    pub allow_host: Vec<String>,
    /// Let pages of this origin ask from a browser, scheme, name and port, or * for any; may be repeated.
    #[arg(help_heading = REACHING, long, value_name = "ORIGIN")]
    pub allow_origin: Vec<String>,
    /// Texts that are written at the same time.
    #[arg(help_heading = LOAD, long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub slots: u32,
    /// Texts that may wait for a slot; who asks for more is told to come again.
    #[arg(help_heading = LOAD, long, value_name = "N", default_value_t = 64)]
    pub queue: u32,
    /// Seconds in which texts may end after the server was told to: by Control-C or SIGTERM; a second one ends it at once.
    #[arg(help_heading = LOAD, long, value_name = "S", default_value_t = 10)]
    pub drain_seconds: u32,
    /// Number format of the weights; fewer bits are read faster and cost a little accuracy.
    #[arg(long, value_parser = in_memory(), default_value = "f32", help_heading = super::common::COMPUTING)]
    pub dtype: Precision,
    #[command(flatten)]
    pub backend: BackendArgs,
}

/// Headings of the help.
const REACHING: &str = "How it is reached, and by whom";
const LOAD: &str = "How much at a time";

const EXAMPLES: &str = "Examples:
  kiln serve runs/tales
  kiln serve --model gpt2 --dtype int8 --port 9000
  curl http://127.0.0.1:8080/v1/completions --json '{\"prompt\": \"Once upon a time\"}'";
