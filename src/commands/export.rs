//! `kiln export`: a model for elsewhere.

use std::io::Write as _;

use anyhow::{Result, bail};
use kiln_datasets::{Splitting, Tokenizer};
use kiln_inference::ModelFiles;
use kiln_model::{Backend, GgufVocabulary};

use crate::backend::{Job, dispatch};
use crate::cli::common::BackendArgs;
use crate::cli::models::{Export, ExportFormat};
use crate::output;

pub fn run(args: Export) -> Result<()> {
    let files = ModelFiles::open(&args.model)?;
    let taken = match args.format {
        ExportFormat::Hf => args.to.join("config.json").exists(),
        ExportFormat::Gguf => args.to.exists(),
    };
    if taken {
        bail!(
            "{}: already there, and not overwritten\nhint: choose another place with `--to`",
            args.to.display()
        );
    }
    // Nothing is computed: any backend will do.
    dispatch(&BackendArgs::default(), Exporting { args, files })
}

struct Exporting {
    args: Export,
    files: ModelFiles,
}

impl Job for Exporting {
    type Output = ();

    fn run<B: Backend>(self, device: B::Device, _name: &'static str) -> Result<()> {
        let Self { args: Export { to, format, dtype, .. }, files } = self;
        let model = files.load::<B>(&device)?;
        // A model may come without a tokenizer, and then goes without one.
        let tokenizer = files.has_tokenizer().then(|| files.tokenizer()).transpose()?;
        match format {
            ExportFormat::Hf => {
                let end_of_text = tokenizer.as_ref().and_then(Tokenizer::end_of_text);
                kiln_model::save(&model, &to, dtype, end_of_text)?;
                if let Some(tokenizer) = tokenizer {
                    tokenizer.save(&to)?;
                }
            }
            ExportFormat::Gguf => {
                let vocabulary = tokenizer.as_ref().map(vocabulary).transpose()?;
                kiln_model::save_gguf(&model, &to, dtype, vocabulary.as_ref())?;
            }
        }
        writeln!(output::stdout(), "{}", to.display())?;
        Ok(())
    }
}

/// The tokenizer in llama.cpp's words.
fn vocabulary(tokenizer: &Tokenizer) -> Result<GgufVocabulary> {
    let pairs = tokenizer.byte_pairs()?;
    let pre_tokenizer = match pairs.splitting {
        Splitting::Gpt2 => "gpt-2",
        // DBRX has the pattern of cl100k_base, which llama.cpp knows under no name of its own.
        Splitting::Cl100kBase => "dbrx",
        Splitting::Llama3 => "llama-bpe",
        Splitting::O200kBase => "gpt-4o",
    };
    Ok(GgufVocabulary {
        tokens: pairs.tokens,
        special: pairs.special,
        merges: pairs.merges.into_iter().map(|(left, right)| format!("{left} {right}")).collect(),
        pre_tokenizer: pre_tokenizer.to_owned(),
        end_of_text: tokenizer.end_of_text(),
    })
}
