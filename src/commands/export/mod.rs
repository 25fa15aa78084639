//! `kiln export`: a model for elsewhere.

mod destination;
mod vocabulary;

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, bail};
use kiln_datasets::Tokenizer;
use kiln_inference::ModelFiles;
use kiln_model::{Backend, SpecialTokens, write_file};

use crate::backend::{Job, dispatch};
use crate::cli::common::BackendArgs;
use crate::cli::models::{Export, ExportFormat};
use crate::commands::shell::quoted;
use crate::commands::{classify, newest};
use crate::output;

/// Files beside the weights that are taken over as they are: they say more than Kiln reads of them.
const COMPANIONS: [&str; 9] = [
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
];

pub fn run(args: Export) -> Result<()> {
    let format = destination::format(&args.to, args.format)?;
    let directory = newest::model_directory(Some(&args.model))?;
    let files = crate::files::with_adapter(crate::files::open_files(&directory)?, &args.adapter)?;
    destination::check_free(&args.to, format)?;
    if classify::is_classifier(&files)? {
        if format == ExportFormat::Gguf {
            bail!(
                "{}: a classifier, of which llama.cpp knows nothing\nhint: `--to` a directory",
                directory.display()
            );
        }
        return dispatch(&BackendArgs::default(), ExportingClassifier { args, files });
    }
    crate::files::tell_unused_heads(&files);
    // Nothing is computed: any backend will do.
    dispatch(&BackendArgs::default(), Exporting { args, format, files })
}

struct Exporting {
    args: Export,
    format: ExportFormat,
    files: ModelFiles,
}

impl Job for Exporting {
    type Output = ();

    fn run<B: Backend>(self, device: B::Device, _name: &'static str) -> Result<()> {
        let Self { args: Export { to, dtype, .. }, format, files } = self;
        // Elsewhere no class has the norm; what it makes of the table says the same.
        let model = files.load::<B>(&device)?.with_folded_embedding_norm();
        // A model may come without a tokenizer, and then goes without one.
        let tokenizer = files.has_tokenizer().then(|| files.tokenizer()).transpose()?;
        let mut special_tokens = match format {
            ExportFormat::Hf if files.adapters().is_empty() => SpecialTokens::of_config(files.path())?,
            ExportFormat::Hf => files.special_tokens().clone(),
            ExportFormat::Gguf => files.special_tokens().clone(),
        };
        let end_of_text = tokenizer.as_ref().and_then(Tokenizer::end_of_text);
        if special_tokens == SpecialTokens::default() {
            special_tokens = SpecialTokens::of_end_of_text(end_of_text);
        }
        let next = match format {
            ExportFormat::Hf => {
                kiln_model::save(&model, &to, dtype, &special_tokens)?;
                if let Some(tokenizer) = tokenizer {
                    tokenizer.save(&to)?;
                }
                copy_companions(files.path(), &to)?;
                // What was learned later says more.
                for adapter in files.adapters() {
                    copy_companions(adapter.directory(), &to)?;
                }
                format!("kiln generate --model {} --prompt 'Once upon a time'", quoted(&to.to_string_lossy()))
            }
            ExportFormat::Gguf => {
                let vocabulary =
                    tokenizer.map(|tokenizer| vocabulary::of(&tokenizer, &special_tokens, files.path()));
                kiln_model::save_gguf(&model, &to, dtype, vocabulary.transpose()?.as_ref())?;
                format!("llama-cli -m {} -p 'Once upon a time'", quoted(&to.to_string_lossy()))
            }
        };
        writeln!(output::stdout(), "{}", to.display())?;
        output::print_message(format_args!("use it:  {next}"));
        Ok(())
    }
}

struct ExportingClassifier {
    args: Export,
    files: ModelFiles,
}

impl Job for ExportingClassifier {
    type Output = ();

    fn run<B: Backend>(self, device: B::Device, _name: &'static str) -> Result<()> {
        let Self { args: Export { to, dtype, .. }, files } = self;
        let (classifier, labels) = classify::open::<B>(&files, &device)?;
        let tokenizer = files.tokenizer()?;
        let special_tokens = classify::with_padding(SpecialTokens::of_config(files.path())?, &tokenizer);
        kiln_model::save_classifier(&classifier, &labels, &to, dtype, &special_tokens)?;
        tokenizer.save(&to)?;
        writeln!(output::stdout(), "{}", to.display())?;
        let named = quoted(&to.to_string_lossy());
        output::print_message(format_args!("use it:  kiln classify --model {named} --text '…'"));
        Ok(())
    }
}

fn copy_companions(from: &Path, to: &Path) -> Result<()> {
    for name in COMPANIONS {
        let path = from.join(name);
        if path.is_file() {
            let contents = std::fs::read(&path).with_context(|| path.display().to_string())?;
            write_file(&to.join(name), contents)?;
        }
    }
    Ok(())
}
