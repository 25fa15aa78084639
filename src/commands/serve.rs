//! `kiln serve`: a model that answers over HTTP.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use kiln_datasets::Tokenizer;
use kiln_datasets::examples::Template;
use kiln_inference::{ModelFiles, ServeOptions, ServedModel, TextModel};
use kiln_model::Backend;
use kiln_training::Stop;

use crate::backend::{Job, dispatch};
use crate::cli::serve::Serve;
use crate::commands::{newest, steering};
use crate::output::print_message;
use crate::signals;

/// The key of the environment.
const API_KEY: &str = "KILN_API_KEY";

pub fn run(args: Serve) -> Result<ExitCode> {
    let named = args.model.as_deref().or(args.target.as_deref());
    let directory = newest::model_directory(named)?;
    // All mistakes before the weights are read.
    let files = crate::files::with_adapter(crate::files::open_model(&directory)?, &args.adapter)?;
    let tokenizer = crate::files::tokenizer_of(&files, args.tokenizer.as_deref())?;
    let template = template(args.chat_template.as_deref(), &tokenizer)?;
    let options = ServeOptions {
        slots: args.slots as usize,
        queue: args.queue as usize,
        api_key: api_key(args.api_key_file.as_deref())?,
        allowed_hosts: args.allow_host.clone(),
        allowed_origins: args.allow_origin.clone(),
        drain: Duration::from_secs(args.drain_seconds.into()),
    };
    let address = SocketAddr::new(args.host, args.port);
    let listener = TcpListener::bind(address).with_context(|| format!("--host and --port: {address}"))?;
    let id = name_of(named, &directory);
    let stop = signals::handle()?;
    let backend = args.backend.clone();
    let serving = Serving { args, files, tokenizer, template, options, listener, id, stop: stop.clone() };
    dispatch(&backend, serving)?;
    Ok(stop.reason().map_or(ExitCode::SUCCESS, signals::exit_code))
}

/// The template that was named, or the model's own; none where Alpaca's would be a guess.
fn template(named: Option<&str>, tokenizer: &Tokenizer) -> Result<Option<Template>> {
    Ok(match named {
        Some(named) => Some(Template::open(named, tokenizer)?),
        None => Some(Template::of(tokenizer, None)?).filter(|template| !matches!(template, Template::Alpaca)),
    })
}

/// The key that clients must send, if any.
fn api_key(file: Option<&Path>) -> Result<Option<String>> {
    let (key, from) = match (file, std::env::var(API_KEY)) {
        (Some(path), _) => (crate::files::read_text(path)?, path.display().to_string()),
        (None, Ok(key)) => (key, API_KEY.to_owned()),
        (None, Err(_)) => return Ok(None),
    };
    let key = key.trim();
    if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        bail!("{from}: a key is one line of visible ASCII characters");
    }
    Ok(Some(key.to_owned()))
}

/// The name of a model: the last part of what was named, or of its path.
fn name_of(named: Option<&Path>, directory: &Path) -> String {
    let path: PathBuf = named.unwrap_or(directory).to_owned();
    let is_inside = |name: &std::ffi::OsStr| name == "model" || name == "model.safetensors";
    let mut parts = path.iter().rev().filter(|name| !is_inside(name));
    let name = parts.next().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    match name.strip_suffix(".gguf").unwrap_or(&name) {
        "" | "." | ".." | "/" => "kiln".to_owned(),
        name => name.to_owned(),
    }
}

struct Serving {
    args: Serve,
    files: ModelFiles,
    tokenizer: Tokenizer,
    template: Option<Template>,
    options: ServeOptions,
    listener: TcpListener,
    id: String,
    stop: Stop,
}

impl Job for Serving {
    type Output = ();

    fn run<B: Backend>(self, device: B::Device, _name: &'static str) -> Result<()> {
        let Self { args, files, tokenizer, template, options, listener, id, stop } = self;
        let kit = steering::kit::<B>(&args.kit, files.config(), &device)?;
        let model = files.load_with_precision::<B>(&device, args.dtype)?;
        let model = TextModel::new(model, tokenizer).with_special_tokens(files.special_tokens());
        tell(listener.local_addr()?, &id, &files, template.is_some(), options.api_key.is_some());
        let served = ServedModel { id, model, template, kit };
        Ok(kiln_inference::serve(listener, served, options, || stop.is_asked())?)
    }
}

/// Says how to reach the server.
fn tell(address: SocketAddr, id: &str, files: &ModelFiles, answers: bool, asks_key: bool) {
    let key = if asks_key { " -H \"Authorization: Bearer $KILN_API_KEY\"" } else { "" };
    let (route, body) = match answers {
        true => ("chat/completions", r#"{"messages": [{"role": "user", "content": "Hello!"}]}"#),
        false => ("completions", r#"{"prompt": "Once upon a time", "max_tokens": 100}"#),
    };
    print_message(format_args!("{id}: {} on http://{address}", files.path().display()));
    if !answers {
        print_message("no chat template: texts are continued, not answered; --chat-template names one");
    }
    print_message(format_args!("curl http://{address}/v1/{route}{key} --json '{body}'"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_has_the_name_by_which_it_was_named() {
        for (path, name) in [
            ("runs/tales", "tales"),
            ("runs/tales/model", "tales"),
            ("openai-community/gpt2", "gpt2"),
            ("/m/Qwen.Q4_1.gguf", "Qwen.Q4_1"),
            ("d/model.safetensors", "d"),
            ("/", "kiln"),
        ] {
            assert_eq!(name_of(Some(Path::new(path)), Path::new("x")), name);
        }
        assert_eq!(name_of(None, Path::new("runs/one/model")), "one");
    }
}
