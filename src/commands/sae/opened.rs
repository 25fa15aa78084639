//! An autoencoder that was named, its model, and what that reads.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use kiln_datasets::{Batch, Tokenizer};
use kiln_inference::ModelFiles;
use kiln_model::{Backend, GptModel, SaeConfig, Site, SparseAutoencoder, base_checksum};
use kiln_training::Portion;

use super::texts::{self, TextWindows};
use crate::cli::sae::SaeArgs;
use crate::commands::newest;
use crate::output::print_message;
use crate::settings::Settings;

/// Tokens that are read at a time.
const AT_A_TIME: usize = 1024;

/// Windows are no longer, whatever the autoencoder was trained on.
const CONTEXT: usize = 256;

/// What was named, checked.
pub struct Opened {
    /// Where the autoencoder lies.
    pub directory: PathBuf,
    pub config: SaeConfig,
    pub files: ModelFiles,
    pub tokenizer: Tokenizer,
    pub texts: TextWindows,
    seed: u64,
    /// Encoded text, as long as it is needed.
    _folder: tempfile::TempDir,
}

impl Opened {
    pub fn of(args: &SaeArgs) -> Result<Self> {
        let directory = directory(args.sae.path());
        let config = SaeConfig::open(&directory)?;
        let model = newest::model_directory(Some(&args.model))?;
        let files = crate::files::open_model(&model)?;
        check(&config, &files, &directory)?;
        let tokenizer = files.tokenizer()?;
        let mut settings = Settings::default();
        texts::choose(&mut settings, args.data.as_deref(), &model)?;
        // Not the stories that a run with the same seed has learned from.
        settings.training.seed = kiln_datasets::mix(args.seed, 0x5AE);
        let longest = files.config().context_length;
        let seq = config.context_length.unwrap_or(CONTEXT).min(longest);
        let folder = tempfile::tempdir()?;
        let texts = TextWindows::open(&settings, &tokenizer, seq, AT_A_TIME, folder.path().join("data"))?;
        Ok(Self { directory, config, files, tokenizer, texts, seed: args.seed, _folder: folder })
    }

    /// The model and the autoencoder.
    pub fn load<B: Backend>(&self, device: &B::Device) -> Result<(GptModel<B>, SparseAutoencoder<B>)> {
        let gpt = self.files.load::<B>(device)?;
        let sae = SparseAutoencoder::open(&self.directory, device)?;
        if let Some(then) = &self.config.model_checksum {
            let now = base_checksum(&gpt);
            if *then != now {
                print_message(format_args!(
                    "warning: {}: it looks into other weights, of the checksum {then}; those of {} have {now}",
                    self.directory.display(),
                    self.files.path().display()
                ));
            }
        }
        Ok((gpt, sae))
    }

    /// Windows of texts that no step has read, of about so many tokens.
    pub fn batches(&self, tokens: usize) -> impl Iterator<Item = Batch> + '_ {
        let batches = tokens.div_ceil(AT_A_TIME) as u64;
        let first = self.seed << 32;
        (first..first + batches).map(|number| self.texts.batch(Portion::HeldOut, number))
    }
}

/// A directory, or a run in `runs/` by its name.
pub fn directory(named: &Path) -> PathBuf {
    let run = Path::new(newest::RUNS).join(named);
    if !named.exists() && run.is_dir() { run } else { named.to_owned() }
}

/// Checks that the model has the place, and vectors of the right width there.
fn check(config: &SaeConfig, files: &ModelFiles, directory: &Path) -> Result<()> {
    let site = Site::of(&config.hook.to_string(), files.config())?;
    let (d_in, d_model) = (config.d_in, files.config().d_model);
    if !site.is_on_stream() || site == Site::PosEmbed {
        bail!("{}: it reads {site}, which is not on the residual stream", directory.display());
    }
    if d_in != d_model {
        bail!(
            "{}: it reads vectors of width {d_in}; those of {} have {d_model}",
            directory.display(),
            files.path().display()
        );
    }
    Ok(())
}
