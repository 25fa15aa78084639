//! `kiln sae eval`: how well an autoencoder stands for the vectors of its model.

use std::io::Write as _;
use std::path::Path;

use anyhow::{Result, bail};
use burn::tensor::backend::AutodiffBackend as BurnAutodiffBackend;
use kiln_inference::{SaeDump, SaeMetrics, measure_autoencoder};
use kiln_model::{AutodiffBackend, SparseAutoencoder};
use kiln_training::{Frontend, RunDir, Stop};
use safetensors::Dtype;
use safetensors::tensor::TensorView;

use super::learn::{Learning, Subject, bar, learn, show};
use super::opened::Opened;
use super::texts::TextWindows;
use crate::backend::{TrainingJob, dispatch_training};
use crate::cli::sae::SaeEval;
use crate::output::{self, print_message};
use crate::settings::{self, Settings};

/// Tokens that are read where nobody says how many.
const TOKENS: usize = 32_768;

/// Decides the weights of the model that has learned nothing.
const UNTRAINED: u64 = 0;

pub(super) fn run(args: SaeEval) -> Result<()> {
    let opened = Opened::of(&args.common)?;
    let backend = args.common.backend.clone();
    dispatch_training(&backend, Evaluating { args, opened })
}

struct Evaluating {
    args: SaeEval,
    opened: Opened,
}

impl TrainingJob for Evaluating {
    type Output = ();

    fn run<B: AutodiffBackend>(self, device: B::Device, name: &'static str) -> Result<()> {
        let Self { args, opened } = self;
        let (gpt, sae) = opened.load::<<B as BurnAutodiffBackend>::InnerBackend>(&device)?;
        let tokens = args.common.tokens.unwrap_or(TOKENS);
        let mut dump = args.vectors.is_some().then(SaeDump::default);
        let measured = measure(&opened, &gpt, &sae, tokens, dump.as_mut())?;
        if let (Some(path), Some(dump)) = (&args.vectors, &dump) {
            write_vectors(path, dump, sae.config().d_in, sae.config().d_sae)?;
        }
        let control = match args.control {
            true => Some(control::<B>(&opened, tokens, &device, name)?),
            false => None,
        };
        let mut out = output::stdout();
        if args.json {
            let mut report = serde_json::to_value(&measured)?;
            report["hook_name"] = opened.config.hook.to_string().into();
            if let Some(control) = &control {
                report["control"] = serde_json::to_value(control)?;
            }
            writeln!(out, "{report}")?;
            return Ok(());
        }
        print(&mut out, &measured, control.as_ref())
    }
}

type Inner<B> = <B as BurnAutodiffBackend>::InnerBackend;

fn measure<B: kiln_model::Backend>(
    opened: &Opened,
    gpt: &kiln_model::GptModel<B>,
    sae: &SparseAutoencoder<B>,
    tokens: usize,
    dump: Option<&mut SaeDump>,
) -> Result<SaeMetrics> {
    let bar = bar("read")?;
    let batches: Vec<_> = opened.batches(tokens).collect();
    let total = batches.len();
    let batches = batches.into_iter().enumerate().map(|(done, batch)| {
        show(&bar, done, total);
        batch
    });
    let measured = measure_autoencoder(gpt, sae, opened.tokenizer.end_of_text(), batches, dump);
    bar.finish_and_clear();
    Ok(measured)
}

/// The same of an autoencoder that learns in the same way, of a model before its first step.
fn control<B: AutodiffBackend>(
    opened: &Opened,
    tokens: usize,
    device: &B::Device,
    backend: &'static str,
) -> Result<SaeMetrics> {
    let config = opened.directory.join("config.toml");
    if !config.is_file() {
        bail!(
            "{}: --control needs the config.toml of the run that the autoencoder comes from",
            opened.directory.display()
        );
    }
    let (mut settings, _): (Settings, _) = settings::load(Some(&config), &[])?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("control");
    settings.training.run_dir = path.display().to_string();
    if let Some(section) = &mut settings.sae {
        section.scale = 0.0;
    }
    let section = settings.sae.clone().unwrap_or_default();
    let run = RunDir::create(&path, &toml::to_string_pretty(&settings)?)?;
    let texts = TextWindows::open(
        &settings,
        &opened.tokenizer,
        section.context_length,
        settings.training.batch_size,
        run.data(),
    )?;
    let gpt = opened.files.config().init::<Inner<B>>(UNTRAINED, device)?;
    let subject = Subject {
        gpt: gpt.clone(),
        name: "before the first step".to_owned(),
        site: opened.config.hook,
        texts,
        separator: opened.tokenizer.end_of_text(),
    };
    print_message(format_args!(
        "the same for the model before its first step: {} steps of learning",
        settings.training.steps
    ));
    let learning = Learning {
        settings,
        run,
        checkpoint: None,
        frontend: Frontend::Quiet,
        backend,
        stop: Stop::default(),
    };
    learn::<B>(subject, learning, device)?;
    let sae = SparseAutoencoder::open(&path, device)?;
    measure(opened, &gpt, &sae, tokens, None)
}

/// A line for each figure, and a column for each model.
fn print(out: &mut impl std::io::Write, measured: &SaeMetrics, control: Option<&SaeMetrics>) -> Result<()> {
    if control.is_some() {
        writeln!(out, "{:<30} {:>10} {:>12}", "", "model", "before step 1")?;
    }
    let rows = |metrics: &SaeMetrics| serde_json::to_value(metrics).unwrap_or_default();
    let (measured, control) = (rows(measured), control.map(rows));
    for (name, value) in measured.as_object().into_iter().flatten() {
        let shown = |value: &serde_json::Value| match value.as_u64() {
            Some(whole) => whole.to_string(),
            None => format!("{:.4}", value.as_f64().unwrap_or(f64::NAN)),
        };
        write!(out, "{name:<30} {:>10}", shown(value))?;
        if let Some(control) = &control {
            write!(out, " {:>12}", shown(&control[name]))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn write_vectors(path: &Path, dump: &SaeDump, d_in: usize, d_sae: usize) -> Result<()> {
    let floats =
        |values: &[f32]| -> Vec<u8> { values.iter().flat_map(|value| value.to_le_bytes()).collect() };
    let tokens =
        |values: &[i32]| -> Vec<u8> { values.iter().flat_map(|value| value.to_le_bytes()).collect() };
    let tensors = [
        ("input", Dtype::F32, floats(&dump.input), d_in),
        ("features", Dtype::F32, floats(&dump.features), d_sae),
        ("output", Dtype::F32, floats(&dump.output), d_in),
        ("tokens", Dtype::I32, tokens(&dump.tokens), dump.seq),
        ("targets", Dtype::I32, tokens(&dump.targets), dump.seq),
    ];
    let views = tensors.iter().map(|(name, dtype, bytes, width)| {
        // Numbers of either kind are four bytes long.
        let shape = vec![bytes.len() / 4 / (*width).max(1), *width];
        Ok((*name, TensorView::new(*dtype, shape, bytes)?))
    });
    let views: Vec<_> = views.collect::<Result<_>>()?;
    Ok(kiln_model::write_file(path, safetensors::serialize(views, None)?)?)
}
