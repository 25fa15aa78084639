//! `kiln explain`: every number on the way from a text to its next token.

mod page;
mod terminal;

use std::io::Write as _;
use std::path::Path;

use anyhow::{Result, bail};
use burn::module::AutodiffModule;
use indicatif::{ProgressBar, ProgressStyle};
use kiln_datasets::Tokenizer;
use kiln_inference::explain::{ExplainOptions, Explanation, Names, View, explain};
use kiln_inference::{ModelFiles, Recorder, write_cache};
use kiln_model::{AutodiffBackend, Backend, GptModel, Site, SparseAutoencoder, token_tensor};

use crate::backend::{TrainingJob, dispatch_training};
use crate::cli::explain::Explain;
use crate::commands::patch::single_token;
use crate::output::{self, print_message};

pub fn run(args: Explain) -> Result<()> {
    let files = crate::files::with_adapter(crate::files::named_model(&args.model)?, &args.adapter)?;
    // A text of token ids needs no tokenizer; its tokens are then shown as numbers.
    let tokenizer = match crate::files::tokenizer_of(&files, args.tokenizer.as_deref()) {
        Err(_) if args.input.tokens.is_some() && args.tokenizer.is_none() => None,
        tokenizer => Some(tokenizer?),
    };
    let encode = |text: &str| match &tokenizer {
        Some(tokenizer) => Ok(tokenizer.encode_with_special_tokens(text)?),
        None => bail!("{text:?}: a text needs a tokenizer\nhint: name one, for instance `--tokenizer gpt2`"),
    };
    let tokens = match (&args.input.text, &args.input.tokens) {
        (Some(text), _) => encode(text)?,
        (None, tokens) => tokens.clone().unwrap_or_default(),
    };
    if tokens.is_empty() {
        bail!(
            "the text is empty\nhint: give at least one character, for instance --text \"Once upon a time\""
        );
    }
    let answers =
        args.answers.as_deref().map(|answers| answer_tokens(answers, tokenizer.as_ref())).transpose()?;
    let corrupt = args.corrupt.as_deref().map(encode).transpose()?;
    let backend = args.backend.clone();
    dispatch_training(&backend, Explaining { args, files, tokenizer, tokens, answers, corrupt })
}

/// The two tokens that answers are.
fn answer_tokens(answers: &str, tokenizer: Option<&Tokenizer>) -> Result<[u32; 2]> {
    let parts: Vec<&str> = answers.split(',').collect();
    let [first, second] = parts[..] else {
        bail!(
            "--answers {answers:?}: {} answers, and two are compared\nhint: with a comma between them: --answers \" Paris, Rome\"",
            parts.len()
        );
    };
    let Some(tokenizer) = tokenizer else {
        bail!(
            "--answers {answers:?}: a text needs a tokenizer\nhint: name one, for instance `--tokenizer gpt2`"
        );
    };
    Ok([single_token(tokenizer, first)?, single_token(tokenizer, second)?])
}

struct Explaining {
    args: Explain,
    files: ModelFiles,
    tokenizer: Option<Tokenizer>,
    tokens: Vec<u32>,
    answers: Option<[u32; 2]>,
    corrupt: Option<Vec<u32>>,
}

impl TrainingJob for Explaining {
    type Output = ();

    fn run<B: AutodiffBackend>(self, device: B::Device, _name: &'static str) -> Result<()> {
        let model = self.files.load::<B>(&device)?;
        let args = &self.args;
        // A page has all of them; so has the object that a program reads, unless it asks for one.
        let whole = args.html.is_some() || (args.json && args.view.is_none());
        let views = match args.view {
            _ if whole => Vec::new(),
            Some(view) => vec![view],
            None => terminal::overview_views(args.corrupt.is_some(), args.sae.is_some()),
        };
        let options = ExplainOptions {
            views,
            layer: args.layer,
            head: args.head,
            position: args.pos,
            answers: self.answers,
            corrupt: self.corrupt.as_deref(),
            vectors: if args.html.is_some() { page::VECTORS } else { 0 },
            names: Names(self.tokenizer.as_ref()),
        };
        let sae = args.sae.as_deref().map(|sae| SparseAutoencoder::open(sae, &device)).transpose()?;
        let bar = ProgressBar::new(0);
        bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} runs, {eta} left")?);
        let explanation = explain(&model, &self.tokens, &options, sae.as_ref(), |done, total| {
            bar.set_length(total as u64);
            bar.set_position(done as u64);
        })?;
        bar.finish_and_clear();
        if let Some(path) = &args.cache {
            write_whole_cache(&model.valid(), &self.tokens, path)?;
        }
        if let Some(path) = &args.html {
            let title = self.files.path().display().to_string();
            kiln_model::write_file(path, page::html(&explanation, &title)?)?;
            print_message(format_args!("{}: open it in a browser", path.display()));
        }
        self.print(&explanation)
    }
}

/// Every value of a pass.
fn write_whole_cache<B: Backend>(model: &GptModel<B>, tokens: &[u32], path: &Path) -> Result<()> {
    let mut recorder = Recorder::of(Site::all(model.config()));
    let tokens = token_tensor(tokens.to_vec(), [1, tokens.len()], &model.device());
    model.forward_tapped(tokens, None, &mut recorder);
    write_cache(model, &recorder, path)?;
    print_message(format_args!("{}: {} values", path.display(), recorder.all().count()));
    Ok(())
}

impl Explaining {
    fn print(&self, explanation: &Explanation) -> Result<()> {
        let args = &self.args;
        let mut out = output::stdout();
        match args.view {
            Some(view) if view == View::Patching && explanation.panels.patching.is_none() => bail!(
                "--view patching: it compares the text with another one\nhint: add --corrupt TEXT and --answers A,B"
            ),
            Some(view) if view == View::Features && explanation.panels.features.is_none() => bail!(
                "--view features: it shows the features of a sparse autoencoder\nhint: add --sae DIR; `kiln sae train` makes one"
            ),
            Some(View::Gradients) if explanation.panels.gradients.is_none() => {
                bail!("--view gradients: a text of one token predicts nothing\nhint: give a longer one")
            }
            _ if args.json => writeln!(out, "{}", serde_json::to_string(explanation)?)?,
            Some(view) => terminal::print(view, explanation, &mut out)?,
            None if args.html.is_some() => {}
            None => terminal::overview(explanation, &args.model, &mut out)?,
        }
        Ok(())
    }
}
