//! A new run: everything is checked before its first files are written, and what never trained leaves nothing behind.

use std::io::Write as _;
use std::path::Path;

use anyhow::{Result, bail};
use kiln_datasets::{Dataset, Tokenizer};
use kiln_inference::ModelFiles;
use kiln_model::GptConfig;
use kiln_training::RunDir;
use toml::{Table, Value};

use super::corpus::Text;
use super::{Prepared, Start, make_data_path_absolute, own_text, plan_memory, print_message};
use crate::cli::training::Train;
use crate::commands::run_folder;
use crate::output;
use crate::settings::{self, ModelSection, Origin, Settings};

/// The configuration: that of a file, or one for the text that was named.
fn settings(args: &Train) -> Result<(Settings, Origin)> {
    let (settings, origin) = match (args.named_text(), &args.config) {
        (Some(text), None) => {
            let (name, recipe) = own_text::recipe(args, text)?;
            settings::parse(name, recipe, &args.changes())?
        }
        _ => settings::load(args.config.as_deref(), &args.changes())?,
    };
    origin.notes().iter().for_each(print_message);
    if let Some(finetune) = &settings.finetune {
        bail!("{origin}: [finetune] is not for `kiln train`\nhint: `kiln finetune {}`", finetune.task);
    }
    Ok((settings, origin))
}

/// Checks everything that can be checked before anything is written; then writes the run's first files. `None` if that
/// was all that was asked for: the configuration is printed.
pub(super) fn prepare(args: &Train) -> Result<Option<Prepared>> {
    let (mut settings, origin) = settings(args)?;
    make_data_path_absolute(&mut settings)?;
    let folder = run_folder::new_run(args.run_dir.as_deref(), &settings)?;
    let had_data = Dataset::is_in(&folder.join("data"));
    let text = Text::of(&settings)?;
    let init_from = args.init_from.as_deref().map(crate::files::named_model).transpose()?;
    let tokenizer = match (&init_from, settings.tokenizer.kind.as_str()) {
        (Some(model), _) if model.has_tokenizer() => tokenizer_of_model(model, &settings, &origin)?,
        (_, kind) => {
            let tokenizer = text.tokenizer(kind, settings.tokenizer.vocab_size);
            let tokenizer = tokenizer.map_err(|error| origin.locate(error))?;
            // Shards are already encoded.
            let reserve = settings.tokenizer.chat && !matches!(text, Text::Prepared(_));
            if reserve { tokenizer.with_chat_tokens()? } else { tokenizer }
        }
    };
    let config = match &init_from {
        None => settings.model.config(tokenizer.vocab_size()).map_err(|error| origin.locate(error))?,
        Some(model) => config_from_model(model, &settings, &origin, &tokenizer)?,
    };
    settings.model = settings::ModelSection::resolved(&config);
    settings.training.run_dir = folder.display().to_string();
    let plan = plan_memory(args, &config, &mut settings, &origin)?;

    let config_text = toml::to_string_pretty(&settings)?;
    if args.dry_run {
        write!(output::stdout(), "{config_text}")?;
        print_message(plan.to_string());
        return Ok(None);
    }
    let run = RunDir::create(&folder, &config_text)?;
    let dataset = encode(&text, &tokenizer, &run.data(), config.context_length)
        .inspect_err(|_| RunDir::discard(&folder, had_data))?;
    print_message(plan.to_string());
    if args.named_text().is_none() && args.config.is_none() && origin.is_set("data", "path") {
        print_message("data.path goes with a recipe for other text; `kiln train TEXT` chooses one for it");
    }
    let floor = text.floor(&dataset);
    let start = init_from.map_or(Start::Seed, Start::Model);
    Ok(Some(Prepared {
        settings,
        text: config_text,
        config,
        tokenizer,
        dataset,
        run,
        floor,
        start,
        had_data,
    }))
}

/// The tokens of the run, in `folder` unless they are prepared.
fn encode(text: &Text, tokenizer: &Tokenizer, folder: &Path, context_length: usize) -> Result<Dataset> {
    let dataset = text.dataset(tokenizer, folder)?;
    tokenizer.save(folder)?;
    dataset.remember(folder)?;
    dataset.check(context_length)?;
    Ok(dataset)
}

/// The tokenizer of `model`, the only one that its weights know.
fn tokenizer_of_model(model: &ModelFiles, settings: &Settings, origin: &Origin) -> Result<Tokenizer> {
    let tokenizer = model.tokenizer()?;
    let kind = settings.tokenizer.kind.as_str();
    let name = tokenizer.name();
    if name == kind || crate::files::tokenizer(kind).is_ok_and(|other| are_alike(&tokenizer, &other)) {
        return Ok(tokenizer);
    }
    let directory = model.path().display();
    if origin.is_set("tokenizer", "kind") {
        bail!(
            "--set tokenizer.kind={kind}: {directory} has a tokenizer of its own ({name}), which its weights were trained with\n\
             hint: leave tokenizer.kind out"
        );
    }
    print_message(format_args!("tokenizer: that of {directory} ({name}), not tokenizer.kind = {kind}"));
    Ok(tokenizer)
}

/// Whether two tokenizers make the same of a text with some of everything.
fn are_alike(a: &Tokenizer, b: &Tokenizer) -> bool {
    let probe = "The quick brown fox's 1234 jumps;\n\n\tÀ la carte – 日本語 🦊 don't";
    a.vocab_size() == b.vocab_size() && a.encode(probe).ok() == b.encode(probe).ok()
}

/// The architecture of `model`, with the dropout of the settings and, if they ask for less, their context.
fn config_from_model(
    model: &ModelFiles,
    settings: &Settings,
    origin: &Origin,
    tokenizer: &Tokenizer,
) -> Result<GptConfig> {
    let theirs = model.config().clone();
    if tokenizer.vocab_size() > theirs.vocab_size {
        bail!(
            "{}: the model knows {} tokens, the tokenizer \"{}\" has {}\nhint: put the model's own tokenizer.json \
             beside it, or set tokenizer.kind",
            model.path().display(),
            theirs.vocab_size,
            tokenizer.name(),
            tokenizer.vocab_size()
        );
    }
    tell_other_shape(model, settings, origin)?;
    let context_length = settings.model.given("context_length").unwrap_or(theirs.context_length);
    if context_length < theirs.context_length {
        print_message(format_args!(
            "context shortened from {} to model.context_length = {context_length}",
            theirs.context_length
        ));
    }
    let dropout = settings.model.given("dropout").unwrap_or_default();
    Ok(GptConfig { context_length: context_length.min(theirs.context_length), dropout, ..theirs })
}

/// Tells what `--set` says about the model and its weights contradict: the weights decide.
fn tell_other_shape(model: &ModelFiles, settings: &Settings, origin: &Origin) -> Result<()> {
    let theirs = Table::try_from(ModelSection::resolved(model.config()))?;
    let ours = Table::try_from(&settings.model)?;
    for (key, ours) in ours.iter().filter(|(key, _)| origin.is_set("model", key)) {
        let fits = match (key.as_str(), ours.as_integer(), theirs.get(key)) {
            // May be any.
            ("dropout", ..) => true,
            ("context_length", Some(ours), Some(Value::Integer(theirs))) => ours <= *theirs,
            (.., theirs) => theirs == Some(ours),
        };
        if !fits {
            let theirs = theirs.get(key).map_or("none".to_owned(), Value::to_string);
            print_message(format_args!(
                "--set model.{key}={ours} does not apply: the weights of {} have {theirs}",
                model.path().display()
            ));
        }
    }
    Ok(())
}
