//! `kiln patch`: which value, moved from one text's run into another's, changes the answer.

mod heat_map;
mod html;
mod report;
mod task;

use anyhow::{Result, bail};
use burn::module::AutodiffModule;
use indicatif::{ProgressBar, ProgressStyle};
use kiln_inference::{
    Ablated, Ablation, AttributionGrid, ModelFiles, PatchTask, PatchedValue, Patching, ablate,
    activation_patching, attribution_patching,
};
use kiln_model::{AutodiffBackend, Backend, GptModel, Precision};

use self::task::Texts;
pub use self::task::single_token;
use crate::backend::{Job, TrainingJob, dispatch, dispatch_training};
use crate::cli::patch::{Ablate, Patch};
use crate::output::print_message;

pub fn run(args: Patch) -> Result<()> {
    let files = crate::files::with_adapter(crate::files::named_model(&args.model)?, &args.common.adapter)?;
    let tokenizer = crate::files::tokenizer_of(&files, args.tokenizer.as_deref())?;
    let texts = Texts::read(&args, tokenizer)?;
    let backend = args.common.backend.clone();
    let differentiate = args.attribution;
    if differentiate && args.common.dtype != Precision::F32 {
        bail!(
            "--attribution computes gradients, which --dtype {} cannot\nhint: leave --dtype out",
            args.common.dtype.name()
        );
    }
    let job = PatchJob { args, files, texts };
    if differentiate { dispatch_training(&backend, job) } else { dispatch(&backend, job) }
}

/// Everything that is asked of one pair of texts.
struct PatchJob {
    args: Patch,
    files: ModelFiles,
    texts: Texts,
}

/// What was found.
struct Findings {
    patching: Patching,
    /// A grid for each of `patching`, where it was asked for.
    attribution: Option<Vec<AttributionGrid>>,
    ablated: Option<Ablated>,
}

impl Job for PatchJob {
    type Output = ();

    fn run<B: Backend>(self, device: B::Device, _name: &'static str) -> Result<()> {
        let model = self.files.load_with_precision::<B>(&device, self.args.common.dtype)?;
        let findings = self.find(&model, None)?;
        report::write(&self.args, &self.texts, &findings)
    }
}

impl TrainingJob for PatchJob {
    type Output = ();

    fn run<B: AutodiffBackend>(self, device: B::Device, _name: &'static str) -> Result<()> {
        let model = self.files.load::<B>(&device)?;
        let attribution = attribution_patching(&model, &self.texts.task, &self.values())?;
        let findings = self.find(&model.valid(), Some(attribution))?;
        report::write(&self.args, &self.texts, &findings)
    }
}

impl PatchJob {
    /// What is patched.
    fn values(&self) -> Vec<PatchedValue> {
        let heads: &[PatchedValue] = if self.args.heads { &PatchedValue::HEADS } else { &[] };
        [&PatchedValue::BLOCKS, heads].concat()
    }

    fn find<B: Backend>(
        &self,
        model: &GptModel<B>,
        attribution: Option<Vec<AttributionGrid>>,
    ) -> Result<Findings> {
        let task = &self.texts.task;
        self.tell_of_spaces(model)?;
        let bar = ProgressBar::new(0);
        bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} runs, {eta} left")?);
        let progress = |done: usize, total: usize| {
            bar.set_length(total as u64);
            bar.set_position(done as u64);
        };
        let patching = activation_patching(model, task, &self.values(), progress)?;
        if patching.clean.logit_difference == patching.corrupt.logit_difference {
            bail!(
                "both texts are answered alike, with a logit difference of {:.4}: there is nothing to move\nhint: the \
                 texts must differ in what the answers depend on",
                patching.clean.logit_difference
            );
        }
        let both = [task.clean.clone(), task.corrupt.clone()];
        let ablation = self.args.ablate.map(|ablate| match ablate {
            Ablate::Zero => Ablation::Zero,
            Ablate::Mean => Ablation::Mean(&both),
            Ablate::Resample => Ablation::Resample(&task.corrupt),
        });
        let ablated =
            ablation.map(|ablation| ablate(model, &task.clean, Some(task.answers), ablation, progress));
        let ablated = ablated.transpose()?;
        bar.finish_and_clear();
        Ok(Findings { patching, attribution, ablated })
    }

    /// Answers are taken as they are typed; most tokenizers put the space before a word into its token.
    fn tell_of_spaces<B: Backend>(&self, model: &GptModel<B>) -> Result<()> {
        let Some(spaced) = self.texts.spaced_answers else { return Ok(()) };
        let other = PatchTask { answers: spaced, ..self.texts.task.clone() };
        let [typed, spaced] =
            [&self.texts.task, &other].map(|task| activation_patching(model, task, &[], |_, _| {}));
        if spaced?.clean.logprob > typed?.clean.logprob {
            let [first, second] = &self.texts.answers;
            print_message(format_args!(
                "after the clean text, {:?} is more probable than {first:?}: did you mean --answers \" {first}, {second}\"?",
                format!(" {first}")
            ));
        }
        Ok(())
    }
}
