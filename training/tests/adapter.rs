//! Runs of an adapter: only it learns, checkpoints hold nothing else, and a run that resumes goes on to the last bit.

use std::path::Path;

use burn_autodiff::Autodiff;
use burn_ndarray::NdArray;
use kiln_model::{
    Adapter, GptConfig, GptModel, LoraConfig, Role, Targets, base_checksum, parameters, save_adapter,
};
use kiln_training::{
    AnswerModel, Checkpoint, Frontend, Recipe, Run, RunDir, Saving, Segment, Stop, Summary, TrainingConfig,
    Tuning, train,
};

type B = Autodiff<NdArray>;

const STEPS: usize = 8;

fn config() -> GptConfig {
    GptConfig { vocab_size: 64, context_length: 16, init_std: 0.1, ..GptConfig::new(2, 2, 32) }
}

/// The model of a seed, with a new adapter.
fn adapted(seed: u64) -> GptModel<B> {
    let base: GptModel<B> = config().init(seed, &Default::default()).expect("valid");
    let lora = LoraConfig { rank: 2, dropout: 0.1, targets: Targets::AllLinear, ..LoraConfig::default() };
    base.with_lora(lora, 3).expect("valid")
}

fn segments() -> Vec<Segment> {
    let tokens = |text: u32| (0..9).map(move |place| (text * 5 + place * 3) % 64).collect::<Vec<u32>>();
    (0..12).map(|text| Segment::new(&tokens(text), &[true; 9])).collect()
}

fn run(folder: &Path, model: GptModel<B>, checkpoint: Option<Checkpoint>) -> kiln_training::Result<Summary> {
    let training = TrainingConfig {
        steps: STEPS,
        batch_size: 3,
        grad_accumulation: 2,
        eval_interval: 4,
        checkpoint_interval: 3,
        keep_checkpoints: 9,
        ..TrainingConfig::default()
    };
    let mut recipe = Recipe { training, ..Recipe::default() };
    recipe.optimizer.learning_rate = 0.01;
    recipe.schedule.warmup_steps = 2;
    let saving: Saving<AnswerModel<NdArray>> = Saving {
        tokenizer: Box::new(|(), _| Ok(())),
        model: Box::new(|model, directory| Ok(save_adapter(&model.gpt, directory, "base")?)),
    };
    let objective: Tuning<B, AnswerModel<B>, Segment> =
        Tuning::new(segments(), segments()[..4].to_vec(), &recipe.training, saving);
    let directory = match &checkpoint {
        Some(_) => RunDir::open(folder)?,
        None => RunDir::create(folder, "")?,
    };
    let run = Run {
        recipe,
        directory,
        config: String::new(),
        checkpoint,
        frontend: Frontend::Quiet,
        backend: "ndarray".to_owned(),
        floor: None,
        part: None,
        stop: Stop::default(),
    };
    train(objective, AnswerModel { gpt: model }, run)
}

fn losses(folder: &Path) -> Vec<u64> {
    let history = RunDir::look(folder).and_then(|run| run.history()).expect("a run");
    history.steps.iter().map(|step| step.loss.to_bits()).collect()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("writable");
    for entry in std::fs::read_dir(from).expect("readable").flatten() {
        let target = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).expect("writable")),
        }
    }
}

/// The run in `folder` as it was when its process died after step 3.
fn cut_short(folder: &Path, to: &Path) -> Checkpoint {
    copy(folder, to);
    for step in [4, 6, 8] {
        let checkpoint = to.join(format!("checkpoint/step-{step:08}"));
        std::fs::remove_dir_all(checkpoint).expect("there was a checkpoint");
    }
    let view = RunDir::look(to).expect("a run");
    let checkpoint = view.newest_checkpoint(|path, reason| panic!("{}: {reason}", path.display()));
    checkpoint.expect("one is left")
}

#[test]
fn a_run_that_resumes_ends_with_the_same_bits_and_the_model_stays_as_it_is() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let [whole, resumed] = ["whole", "resumed"].map(|name| folder.path().join(name));
    let model = adapted(1);
    run(&whole, model.clone(), None).expect("it trains");
    let checkpoint = cut_short(&whole, &resumed);
    assert_eq!(checkpoint.step(), 3);
    // The adapter of a new process is another one, until its checkpoint is read.
    run(&resumed, adapted(1), Some(checkpoint)).expect("it resumes");

    assert_eq!(losses(&whole).len(), STEPS);
    assert_eq!(losses(&whole), losses(&resumed));
    for file in ["model/adapter_model.safetensors", "checkpoint/step-00000008/model.mpk"] {
        let [first, second] =
            [&whole, &resumed].map(|folder| std::fs::read(folder.join(file)).expect("written"));
        assert_eq!(first, second, "{file}");
    }

    // The first and the last loss differ, so something was learned, and it is not in the model.
    let adapter = Adapter::open(&whole.join("model")).expect("just written");
    let learned = adapter.attach(model.clone().without_lora(), "base").expect("the same weights");
    assert_eq!(base_checksum::<B, _>(&learned), base_checksum::<B, _>(&model));
    let history = RunDir::look(&whole).and_then(|run| run.history()).expect("a run");
    let evaluations: Vec<f64> = history.evaluations.iter().map(|evaluation| evaluation.loss).collect();
    assert!(evaluations.windows(2).all(|pair| pair[1] < pair[0]), "{evaluations:?}");
}

#[test]
fn a_checkpoint_holds_the_adapter_alone() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let folder = folder.path().join("run");
    let model = adapted(1);
    let found = parameters(&model);
    let size = |adapts: bool| -> u64 {
        let found = found.iter().filter(|found| (found.role == Role::Adapter) == adapts);
        found.map(|found| 4 * found.num_elements() as u64).sum()
    };
    let (adapter, rest) = (size(true), size(false));
    run(&folder, model, None).expect("it trains");
    let length = |name: &str| {
        let path = folder.join("checkpoint/step-00000008").join(name);
        path.metadata().expect("written").len()
    };
    // Names and numbers of parameters come on top.
    assert!((adapter..adapter + rest / 2).contains(&length("model.mpk")), "{}", length("model.mpk"));
    let moments = length("optimizer.mpk");
    assert!((2 * adapter..2 * adapter + rest / 2).contains(&moments), "{moments}");
}

#[test]
fn a_checkpoint_of_another_model_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let [whole, resumed] = ["whole", "resumed"].map(|name| folder.path().join(name));
    run(&whole, adapted(1), None).expect("it trains");
    let checkpoint = cut_short(&whole, &resumed);
    let refused = run(&resumed, adapted(2), Some(checkpoint)).expect_err("another model").to_string();
    let [expected, found] = [1, 2].map(|seed| base_checksum::<B, _>(&adapted(seed)));
    let words = format!("beside weights with the checksum {expected}; those of its model are {found}");
    assert!(refused.ends_with(&words), "{refused}");
}
