//! `kiln classify`: the label of a text, by a model that was tuned for it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use burn::tensor::activation::softmax;
use kiln_datasets::{Tokenizer, open_input};
use kiln_inference::{ModelFiles, encode_prompt};
use kiln_model::{Adapter, Backend, Classifier, SpecialTokens, load_classifier, load_labels, token_tensor};
use serde_json::{Map, json};

use super::newest;
use crate::backend::{Job, dispatch};
use crate::cli::finetune::Classify;
use crate::files;
use crate::output;

pub fn run(args: Classify) -> Result<()> {
    let files =
        files::with_adapter(files::open_files(&newest::model_directory(Some(&args.model))?)?, &args.adapter)?;
    if !is_classifier(&files)? {
        bail!(
            "{}: no classifier, but a model that writes text\nhint: `kiln finetune classify --model {} --data FILE` makes one of it",
            files.path().display(),
            args.model.display()
        );
    }
    if let Some(other) = files.adapters().iter().find(|adapter| !adapter.is_classifier()) {
        bail!("{}: an adapter of a model that writes text, not of a classifier", other.directory().display());
    }
    let texts: Texts = match (&args.input.text, &args.input.file) {
        (Some(text), _) => Box::new(std::iter::once(Ok(text.clone()))),
        (None, Some(file)) => lines(file)?,
        (None, None) => Box::new(std::iter::empty()),
    };
    let backend = args.backend.clone();
    dispatch(&backend, Classifying { args, files, texts })
}

struct Classifying {
    args: Classify,
    files: ModelFiles,
    texts: Texts,
}

/// Texts as they are read.
type Texts = Box<dyn Iterator<Item = Result<String>>>;

/// The lines of a file, or of standard input, one after the other.
fn lines(file: &Path) -> Result<Texts> {
    let name = file.display().to_string();
    let lines = BufReader::new(open_input(file)?).lines();
    Ok(Box::new((1..).zip(lines).map(move |(number, line)| {
        let line = line.with_context(|| format!("{name}:{number}"))?;
        // A mark that some editors put first.
        Ok(line.strip_prefix('\u{feff}').filter(|_| number == 1).map(str::to_owned).unwrap_or(line))
    })))
}

impl Job for Classifying {
    type Output = ();

    fn run<B: Backend>(self, device: B::Device, _name: &'static str) -> Result<()> {
        let Self { args, files, mut texts } = self;
        let (classifier, labels) = open::<B>(&files, &device)?;
        let tokenizer = files.tokenizer()?;
        let mut out = output::stdout();
        loop {
            let batch = texts.by_ref().take(args.batch_size).collect::<Result<Vec<String>>>()?;
            if batch.is_empty() {
                return Ok(());
            }
            let tokens =
                batch.iter().map(|text| tokens_of(text, &tokenizer, &files)).collect::<Result<Vec<_>>>()?;
            for probabilities in probabilities(&classifier, &tokens) {
                let likeliest =
                    (0..labels.len()).max_by(|a, b| probabilities[*a].total_cmp(&probabilities[*b]));
                let label = &labels[likeliest.unwrap_or_default()];
                if args.json {
                    let by_label: Map<_, _> = labels
                        .iter()
                        .zip(&probabilities)
                        .map(|(label, p)| (label.clone(), json!(p)))
                        .collect();
                    writeln!(out, "{}", json!({ "label": label, "probabilities": by_label }))?;
                } else {
                    writeln!(out, "{label}")?;
                }
            }
        }
    }
}

/// Whether it tells labels: a whole model, or an adapter that makes such a one of its model.
pub fn is_classifier(files: &ModelFiles) -> Result<bool> {
    Ok(files.adapters().iter().any(Adapter::is_classifier) || load_labels(files.path())?.is_some())
}

/// The classifier: a whole model, or an adapter that makes one of its model.
pub fn open<B: Backend>(files: &ModelFiles, device: &B::Device) -> Result<(Classifier<B>, Vec<String>)> {
    let Some(adapter) = files.adapters().iter().find(|adapter| adapter.is_classifier()) else {
        return Ok(load_classifier(files.path(), device)?);
    };
    let base = ModelFiles::open(files.path())?;
    Ok(adapter.attach_classifier(base.load(device)?, &base.path().display().to_string())?)
}

/// The tokens of a classifier's model, with the one that fills up texts. `transformers` reads a label where padding begins, so
/// this must be what its tokenizer pads with, whatever the model says.
pub fn with_padding(tokens: SpecialTokens, tokenizer: &Tokenizer) -> SpecialTokens {
    let of_model = || tokens.padding.or(tokenizer.end_of_text()).or(tokens.end.first().copied());
    let padding = tokenizer.special_token("pad_token").or_else(of_model);
    SpecialTokens { padding, ..tokens }
}

/// The tokens of a text, as many of the first as the model can read.
fn tokens_of(text: &str, tokenizer: &Tokenizer, files: &ModelFiles) -> Result<Vec<u32>> {
    let mut tokens = encode_prompt(text, tokenizer, files.special_tokens())?;
    tokens.truncate(files.config().context_length);
    Ok(tokens)
}

/// The probability of each label, for each text.
fn probabilities<B: Backend>(classifier: &Classifier<B>, texts: &[Vec<u32>]) -> Vec<Vec<f32>> {
    let lengths: Vec<usize> = texts.iter().map(Vec::len).collect();
    let tokens: Vec<i32> = texts.iter().flatten().map(|token| *token as i32).collect();
    let total = tokens.len();
    let tokens = token_tensor(tokens, [1, total], &classifier.gpt.device()); // [1, Σ lengths]
    let logits = classifier.logits(classifier.last_hidden(tokens, &lengths)); // [texts, classes]
    let values: Vec<f32> = softmax(logits, 1).into_data().iter::<f32>().collect();
    values.chunks(classifier.num_classes()).map(<[f32]>::to_vec).collect()
}
