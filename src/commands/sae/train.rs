//! `kiln sae train`: a new run. Everything is checked before its first files are written.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};
use kiln_datasets::Tokenizer;
use kiln_inference::ModelFiles;
use kiln_model::{GptConfig, Site};
use kiln_training::{Checkpoint, Frontend, RunDir};

use super::job::Training;
use super::texts::{self, TextWindows};
use super::{recipe, resume};
use crate::backend::dispatch_training;
use crate::cli::sae::SaeTrain;
use crate::commands::{newest, run_folder};
use crate::output;
use crate::settings::{self, ModelSection, Origin, SaeSection, Settings};

/// A run that is ready to train.
pub(super) struct Prepared {
    pub settings: Settings,
    pub site: Site,
    pub files: ModelFiles,
    pub tokenizer: Tokenizer,
    pub texts: TextWindows,
    pub run: RunDir,
    /// Where to resume.
    pub checkpoint: Option<Checkpoint>,
}

pub(super) fn run(args: SaeTrain) -> Result<ExitCode> {
    crate::backend::check(&args.backend)?;
    let prepared = if args.resume { Some(resume::prepare(&args)?) } else { prepare(&args)? };
    let Some(prepared) = prepared else { return Ok(ExitCode::SUCCESS) };
    let folder = prepared.run.path().to_owned();
    let frontend = if args.plain { Frontend::Plain } else { Frontend::Auto };
    dispatch_training(&args.backend, Training { prepared, frontend })
        .map_err(|error| run_folder::after_failure(error, &folder, "kiln sae train", args.resume, false))
}

/// Checks everything, then writes the run's first files. `None` if the configuration was all that was asked for.
fn prepare(args: &SaeTrain) -> Result<Option<Prepared>> {
    let Some(named) = &args.model else { bail!("--model is missing") };
    let directory = newest::model_directory(Some(named))?;
    let files = crate::files::open_model(&directory)?;
    let text = recipe::toml(files.config(), args.d_sae, args.tokens);
    let name = format!("the recipe for {}", named.display());
    let (mut settings, origin) = settings::parse(name, text, &args.changes())?;
    texts::choose(&mut settings, args.data.as_deref(), &directory)?;
    let mut section = settings.sae.take().unwrap_or_default();
    section.model = std::path::absolute(&directory)?;
    let site = check(&section, files.config(), &origin)?;
    settings.model = ModelSection::resolved(files.config());
    settings.sae = Some(section.clone());
    let folder = run_folder::new_run(args.out.as_deref(), &settings)?;
    settings.training.run_dir = folder.display().to_string();
    let text = toml::to_string_pretty(&settings)?;
    if args.dry_run {
        write!(output::stdout(), "{text}")?;
        return Ok(None);
    }
    let tokenizer = files.tokenizer()?;
    let run = RunDir::create(&folder, &text)?;
    let texts =
        open_texts(&settings, &section, &tokenizer, &run).inspect_err(|_| RunDir::discard(&folder, false))?;
    Ok(Some(Prepared { settings, site, files, tokenizer, texts, run, checkpoint: None }))
}

/// What the model reads in a run.
pub(super) fn open_texts(
    settings: &Settings,
    section: &SaeSection,
    tokenizer: &Tokenizer,
    run: &RunDir,
) -> Result<TextWindows> {
    let tokens = settings.training.batch_size;
    TextWindows::open(settings, tokenizer, section.context_length, tokens, run.data())
}

/// Checks the section against the model; gives the place.
pub(super) fn check(section: &SaeSection, config: &GptConfig, origin: &Origin) -> Result<Site> {
    let site = Site::of(&section.hook, config)?;
    if !site.is_on_stream() || site == Site::PosEmbed {
        bail!(
            "sae.hook = \"{site}\": not a place on the residual stream\nhint: for instance `--hook blocks.{}.hook_resid_post`",
            config.n_layers / 2
        );
    }
    let longest = config.context_length;
    if !(2..=longest).contains(&section.context_length) {
        let problem = format!(" = {}: must be from 2 to the model's {longest}", section.context_length);
        return Err(origin.locate(settings::bad_value("sae", "context_length", problem)));
    }
    Ok(site)
}

/// The directory of the model that a section names, which may be gone.
pub(super) fn model_files(section: &SaeSection) -> Result<ModelFiles> {
    let model: &Path = &section.model;
    crate::files::open_model(&newest::model_directory(Some(model))?)
}
