//! `kiln export`: a model directory for elsewhere.

use anyhow::{Result, bail};
use kiln_datasets::Tokenizer;
use kiln_model::{Backend, Dtype};

use crate::backend::{Job, dispatch};
use crate::cli::{Export, ExportDtype};
use crate::files::model_directory;

pub fn run(args: Export) -> Result<()> {
    let directory = model_directory(&args.model);
    kiln_model::load_config(&directory)?;
    if args.to.join("config.json").exists() {
        bail!("{}: already holds a model\nhint: choose another directory with `--to`", args.to.display());
    }
    // Nothing is computed: any backend will do.
    dispatch(&crate::cli::BackendArgs::default(), args)
}

impl Job for Export {
    type Output = ();

    fn run<B: Backend>(self, device: B::Device, _name: &'static str) -> Result<()> {
        let directory = model_directory(&self.model);
        let model = kiln_model::load::<B>(&directory, &device)?;
        let dtype = match self.dtype {
            ExportDtype::F32 => Dtype::F32,
            ExportDtype::Bf16 => Dtype::Bf16,
            ExportDtype::F16 => Dtype::F16,
        };
        // A model may come without a tokenizer, and then goes without one.
        let tokenizer = Tokenizer::from_directory(&directory).ok();
        kiln_model::save(&model, &self.to, dtype, tokenizer.as_ref().and_then(Tokenizer::end_of_text))?;
        if let Some(tokenizer) = tokenizer {
            tokenizer.save(&self.to)?;
        }
        println!("{}", self.to.display());
        Ok(())
    }
}
