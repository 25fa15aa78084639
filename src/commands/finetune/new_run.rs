//! A new run: everything is checked before its first files are written.

use std::io::Write as _;

use anyhow::{Result, bail};
use kiln_inference::ModelFiles;
use kiln_model::GptConfig;
use kiln_training::{MemoryPlan, RunDir};

use super::examples::Examples;
use super::{Prepared, paths, recipe};
use crate::cli::finetune::{Finetune, Tuning};
use crate::commands::run_folder;
use crate::commands::shell::quoted;
use crate::output::{self, print_message};
use crate::settings::{self, ModelSection, Origin, Settings, Trained};

/// Evaluations of a run, about.
const EVALUATIONS: usize = 10;
/// The share of the steps in which the learning rate rises.
const WARMUP: usize = 20;

/// Checks everything that can be checked before anything is written; then writes the run's first files. `None` if that was all
/// that was asked for: examples, or the configuration, are printed.
pub(super) fn prepare(args: &Finetune) -> Result<Option<Prepared>> {
    let tuning = args.tuning();
    let (mut settings, origin) = settings(args)?;
    check_section(&settings, &origin)?;
    let named = paths::make_absolute(&mut settings, |_| true)?;
    let files = crate::files::open_model(&named)?;
    check_adapters(&files, &settings)?;
    check_model(&files, &settings).map_err(|error| origin.locate(error))?;
    let folder = run_folder::new_run(tuning.run_dir.as_deref(), &settings)?;
    let tokenizer = files.tokenizer()?;
    let examples = Examples::read(&settings, &files, &tokenizer)?;
    if let Some(count) = tuning.show_examples {
        examples.show(count, &tokenizer, &mut output::stdout())?;
        return Ok(None);
    }
    if let Some(lora) = &settings.lora {
        lora.validate(files.config()).map_err(|error| origin.locate(error.into()))?;
    }
    let config = decide(&mut settings, &origin, files.config(), &examples);
    settings.training.run_dir = folder.display().to_string();
    let plan = plan_memory(tuning, &config, &mut settings, &origin, &examples)?;
    let text = toml::to_string_pretty(&settings)?;
    if tuning.dry_run {
        write!(output::stdout(), "{text}")?;
        print_message(plan.to_string());
        return Ok(None);
    }
    let run = RunDir::create(&folder, &text)?;
    examples.remember(&run).inspect_err(|_| RunDir::discard(&folder, false))?;
    print_message(plan.to_string());
    Ok(Some(Prepared { settings, text, config, files, tokenizer, examples, run, checkpoint: None }))
}

/// The configuration: that of a file, or one for the model and the task.
fn settings(args: &Finetune) -> Result<(Settings, Origin)> {
    let tuning = args.tuning();
    let (settings, origin) = match (&tuning.config, &tuning.model) {
        (None, Some(model)) => {
            let files = crate::files::named_model(model)?;
            let text = recipe::toml(args.task(), files.config(), tuning.lora.is_some());
            settings::parse(format!("the recipe for {}", model.display()), text, &args.changes())?
        }
        (config, _) => settings::load(config.as_deref(), &args.changes())?,
    };
    origin.notes().iter().for_each(print_message);
    Ok((settings, origin))
}

/// Checks that the section of the task names a model and examples, and how long to learn from them.
fn check_section(settings: &Settings, origin: &Origin) -> Result<()> {
    let Some(section) = &settings.finetune else { bail!("{origin}: no section [finetune]") };
    for (key, path, example) in [("model", &section.model, "gpt2"), ("data", &section.data, "examples.json")]
    {
        if path.as_os_str().is_empty() {
            bail!("{origin}: finetune.{key} is missing\nhint: name it, for instance `--{key} {example}`");
        }
    }
    if section.epochs == 0.0 && !origin.says("training", "steps") {
        bail!(
            "{origin}: neither finetune.epochs nor training.steps says how long\nhint: for instance `--epochs 3`"
        );
    }
    Ok(())
}

/// Refuses another architecture than that of the model.
fn check_model(files: &ModelFiles, settings: &Settings) -> Result<()> {
    match settings.model.contradiction(files.config()) {
        Some((key, value, theirs)) => {
            let problem = format!(" = {value}: the model that is tuned has {theirs}");
            Err(settings::bad_value("model", &key, problem))
        }
        None => Ok(()),
    }
}

/// Refuses to learn on top of an adapter what cannot be: from one that classifies anything, from others a further adapter.
fn check_adapters(files: &ModelFiles, settings: &Settings) -> Result<()> {
    if let Some(adapter) = files.adapters().iter().find(|adapter| adapter.is_classifier()) {
        bail!(
            "{}: an adapter that classifies texts: nothing else is learned from it",
            adapter.directory().display()
        );
    }
    if let (Some(_), [adapter, ..]) = (&settings.lora, files.adapters()) {
        bail!(
            "{}: an adapter, and no other learns on top of it\nhint: `kiln export --model {} --to DIR` merges it into its model",
            adapter.directory().display(),
            quoted(&adapter.directory().to_string_lossy())
        );
    }
    Ok(())
}

/// Decides what follows from the model and the examples: its architecture, what is frozen, the steps, and when to evaluate.
fn decide(settings: &mut Settings, origin: &Origin, theirs: &GptConfig, examples: &Examples) -> GptConfig {
    let dropout = settings.model.given("dropout").unwrap_or_default();
    let config = GptConfig { dropout, ..theirs.clone() };
    settings.model = ModelSection::resolved(&config);
    let section = settings.finetune.clone().unwrap_or_default();
    settings.training.freeze.extend(frozen(section.train, &config));
    let training = &mut settings.training;
    let at_a_time = (training.batch_size * training.grad_accumulation).max(1);
    let steps_are_said = origin.is_set("training", "steps")
        || origin.says("training", "steps") && !origin.is_set("finetune", "epochs");
    if section.epochs > 0.0 && !steps_are_said {
        let steps = (section.epochs * examples.counts.train as f64 / at_a_time as f64).ceil();
        training.steps = (steps as usize).max(1);
    }
    if !origin.says("training", "eval_interval") {
        training.eval_interval = training.steps.div_ceil(EVALUATIONS).max(1);
    }
    if !origin.says("schedule", "warmup_steps") {
        settings.schedule.warmup_steps = training.steps / WARMUP;
    }
    config
}

/// Patterns for what does not learn.
fn frozen(trained: Trained, config: &GptConfig) -> Vec<String> {
    let blocks = match trained {
        Trained::All => return Vec::new(),
        Trained::Last => config.n_layers.saturating_sub(1),
        Trained::Head => config.n_layers,
    };
    let learned_positions = config.positions == kiln_model::Positions::Learned;
    let tables = ["wte"].into_iter().chain(learned_positions.then_some("wpe"));
    let norm = (trained == Trained::Head).then(|| "ln_f".to_owned());
    tables.map(str::to_owned).chain((0..blocks).map(|block| format!("h.{block}"))).chain(norm).collect()
}

/// Checks that a step fits into memory, and writes down how many examples are computed at a time.
pub(super) fn plan_memory(
    args: &Tuning,
    config: &GptConfig,
    settings: &mut Settings,
    origin: &Origin,
    examples: &Examples,
) -> Result<MemoryPlan> {
    let device = crate::backend::device_kind(&args.backend)?;
    // No example is longer, and none is padded.
    let longest = GptConfig { context_length: examples.longest.max(1), ..config.clone() };
    let plan = match &settings.lora {
        Some(lora) => MemoryPlan::with_lora(&longest, lora, &settings.training, device),
        None => MemoryPlan::new(&longest, &settings.training, device),
    };
    let plan = plan.map_err(|error| origin.locate(error.into()))?;
    settings.training.micro_batch_size = plan.micro_batch;
    Ok(plan)
}
