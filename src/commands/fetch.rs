//! `kiln fetch`: a model of the Hugging Face hub.

use std::borrow::Cow;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Result, bail};
use kiln_datasets::{
    Absence, CORPORA, Error, FetchOptions, FetchProgress, HubModel, LocalModel, ModelDownload, Tokenizer,
};
use kiln_model::is_gguf;
use serde_json::json;

use super::download_bar::DownloadBar;
use super::newest;
use super::shell::quoted;
use crate::cli::models::Fetch;
use crate::output::{self, print_message};

pub fn run(args: Fetch) -> Result<()> {
    let model = named(&args)?;
    let environment = FetchOptions::from_env();
    let options = FetchOptions { offline: args.offline || environment.offline, ..environment };
    let fetched = if options.offline {
        here(&args, &model, &options)?
    } else {
        let mut bar = DownloadBar::new();
        let fetched = download(&args, &model, &options, &mut |progress| bar.show(progress));
        bar.finish();
        match fetched {
            Err(error) if matches!(error.downcast_ref(), Some(Error::Unreachable { .. })) => {
                let Ok(found) = here(&args, &model, &options) else { return Err(error) };
                print_message(format_args!("{error}; this is what was fetched before"));
                found
            }
            fetched => fetched?,
        }
    };
    report(&args, &model, &fetched)
}

/// The model that was named, at the revision that was named.
fn named(args: &Fetch) -> Result<HubModel> {
    if let Some(corpus) = CORPORA.iter().find(|corpus| corpus.name == args.model) {
        let name = corpus.name;
        bail!("{name} is a corpus ({})\nhint: `kiln data fetch {name}` fetches it", corpus.description);
    }
    let model = HubModel::parse(&args.model)?;
    let Some(revision) = &args.revision else { return Ok(model) };
    let named = HubModel::parse(&format!("{}@{revision}", model.name))?;
    if args.model.contains('@') && named != model {
        bail!("{} and --revision {revision} name two revisions\nhint: leave one of them out", args.model);
    }
    Ok(named)
}

/// The model as it lies in the folder or in the cache, without asking anyone.
fn here(args: &Fetch, model: &HubModel, options: &FetchOptions) -> Result<LocalModel> {
    let found = match (&args.out, &args.file) {
        (Some(folder), None) => folder.is_dir().then(|| LocalModel::of(folder)),
        (Some(folder), Some(file)) => {
            let path = folder.join(file);
            (is_gguf(&path) && path.is_file()).then(|| LocalModel::of_gguf(path))
        }
        (None, None) => model.in_cache(options),
        (None, Some(file)) => model.gguf_in_cache(file, options),
    };
    let missing = Error::NotThere { url: model.to_string(), reason: Absence::Offline };
    let found = found.ok_or(missing)?;
    if let Some(missing) = &found.missing {
        bail!(
            "{}: there is no {missing}: {model} is here only in part\nhint: fetch the rest without --offline",
            found.path.display()
        );
    }
    Ok(found)
}

fn download(
    args: &Fetch,
    model: &HubModel,
    options: &FetchOptions,
    progress: &mut dyn FnMut(&FetchProgress),
) -> Result<LocalModel> {
    if let Some(file) = &args.file {
        let fetched = model.fetch_gguf(file, args.out.as_deref(), options, progress)?;
        // What it is, only the file itself says.
        if let Err(error) = kiln_model::load_config(&fetched.path) {
            bail!("{error}\nhint: the file is here, but Kiln cannot run it; fetch another one of this model");
        }
        return Ok(fetched);
    }
    let download = ModelDownload::start(model, args.out.as_deref(), options, progress)?;
    // Weights that nothing here can run need not come.
    if let Err(error) = kiln_model::load_config(&download.folder()) {
        let reason = match error {
            kiln_model::Error::Format { reason, .. } => reason,
            error => error.to_string(),
        };
        bail!(
            "{model}: config.json: {reason}\nhint: its weights were not downloaded; look for a model of this \
             architecture on huggingface.co, or start with `kiln fetch gpt2`"
        );
    }
    Ok(download.finish(progress)?)
}

fn report(args: &Fetch, model: &HubModel, fetched: &LocalModel) -> Result<()> {
    let mut out = output::stdout();
    if args.json {
        let names = match &args.file {
            Some(file) => vec![Cow::from(file)],
            None => {
                let names = fetched.files.iter().filter_map(|file| file.strip_prefix(&fetched.path).ok());
                names.map(Path::to_string_lossy).collect()
            }
        };
        let bytes: u64 = fetched.files.iter().filter_map(|file| Some(file.metadata().ok()?.len())).sum();
        writeln!(
            out,
            "{}",
            json!({"model": model.name, "revision": model.revision, "commit": fetched.commit,
                "path": fetched.path, "files": names, "bytes": bytes})
        )?;
    } else {
        writeln!(out, "{}", fetched.path.display())?;
    }
    // Where something else has its name, the folder says which model is meant.
    let name = Path::new(&model.to_string()).to_owned();
    let name = if newest::model_directory(Some(&name)).is_ok_and(|found| found == fetched.path) {
        name
    } else {
        fetched.path.clone()
    };
    let tokenizer =
        if args.file.is_some() || Tokenizer::is_in(&fetched.path) { "" } else { " --tokenizer gpt2" };
    print_message(format_args!(
        "use it:  kiln generate --model {}{tokenizer} --prompt 'Once upon a time'",
        quoted(&name.to_string_lossy())
    ));
    Ok(())
}
